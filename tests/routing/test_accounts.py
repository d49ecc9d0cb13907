"""Which account each person counts for, and what its score is, against the slowest way to work it out."""

import random
from collections import defaultdict
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.identity.accounts import group_people
from crmsync.identity.domains import first_own_domain, is_free_mail, registrable_domain, site_domain
from crmsync.routing.accounts import fill_roles, score_accounts
from tests.support.make import config

NONE = -1
METHODS = ("sum", "max", "min", "average", "top_three")


def ints(values):
    return np.array(list(values), dtype=np.int64)


def grouped(records, sites, domains):
    """`group_people` of records (person, company, domain)."""
    person, company, domain = zip(*records, strict=True) if records else ((), (), ())
    return group_people(ints(person), ints(company), ints(domain), ints(sites), domains)


def places_of(records, sites, domains):
    """For each person the places they are in, the one that is preferred first."""
    claimed = {site for site in sites if site != NONE}
    settled = {person for person, company, _ in records if company != NONE and sites[company] != NONE}
    many = [sum(each[1] == company for each in records) for company in range(len(sites))]
    mails = [sum(each[2] == domain for each in records) for domain in range(domains)]
    found = defaultdict(set)
    for person, company, domain in records:
        if company != NONE:
            found[person].add((0, sites[company] == NONE, -many[company], company, place(sites, company)))
        if domain != NONE and (domain not in claimed or person not in settled):
            found[person].add((1, False, -mails[domain], domain, ("site", domain)))
    return {person: [each[-1] for each in sorted(places)] for person, places in found.items()}


def place(sites, company):
    return ("site", sites[company]) if sites[company] != NONE else ("company", company)


def slowly_grouped(records, sites, domains):
    """For each person the places that are one account: said in words, one by one."""
    theirs = places_of(records, sites, domains)
    of_companies = {place(sites, company) for company in range(len(sites))}
    members = defaultdict(set)
    for person, places in theirs.items():
        for each in places:
            members[each].add(person)
    joined = {each: {each} for each in {*members, *of_companies}}
    for one, other in permutations(members, 2):
        if other not in of_companies:
            continue
        whole = {each for each in members[one] if one in of_companies or of_companies & {*theirs[each]}}
        if 2 * len(members[one] & members[other]) > len(whole):
            both = joined[one] | joined[other]
            joined |= dict.fromkeys(both, both)
    return {person: frozenset(joined[places[0]]) for person, places in theirs.items()}


@st.composite
def worlds(draw):
    companies, domains, people = draw(st.integers(0, 5)), draw(st.integers(0, 4)), draw(st.integers(1, 8))
    some = lambda count: st.integers(NONE, count - 1)  # noqa: E731
    sites = draw(st.lists(some(domains), min_size=companies, max_size=companies))
    one = st.tuples(st.integers(0, people - 1), some(companies), some(domains))
    return draw(st.lists(one, max_size=20)), sites, domains


@given(worlds())
def test_everybody_counts_for_the_account_that_the_words_say(world):
    _records, sites, _domains = world
    found = grouped(*world)
    slow = slowly_grouped(*world)
    assert found.people.tolist() == sorted(slow)
    together = {frozenset(found.people[found.account == number].tolist()) for number in range(len(found.domain))}
    wanted = defaultdict(set)
    for person, account in slow.items():
        wanted[account].add(person)
    assert together == {frozenset(each) for each in wanted.values()}
    numbers = dict(zip(found.people.tolist(), found.account.tolist(), strict=True))
    for company, site in enumerate(sites):
        here = {numbers[person] for person, account in slow.items()
                if (("site", site) if site != NONE else ("company", company)) in account}  # fmt: skip
        assert {int(found.of_company[company])} == (here or {NONE})


@given(worlds(), st.randoms())
def test_the_order_of_the_records_decides_nothing(world, random):
    records, sites, domains = world
    shuffled = random.sample(records, len(records))
    for one, other in zip(grouped(*world), grouped(shuffled, sites, domains), strict=True):
        assert one.tolist() == other.tolist()


def rolled_world(seed):
    """As `worlds`, by the seed alone, and larger."""
    rng = random.Random(seed)
    companies, domains, people = rng.randint(0, 6), rng.randint(0, 5), rng.randint(1, 12)
    sites = [rng.randint(NONE, domains - 1) for _ in range(companies)]
    rolled = [
        (rng.randrange(people), rng.randint(NONE, companies - 1), rng.randint(NONE, domains - 1))
        for _ in range(rng.randint(0, 30))
    ]
    return rolled, sites, domains


@pytest.mark.parametrize("seed", range(40))
def test_everybody_of_a_larger_world_counts_for_the_account_that_the_words_say(seed):
    test_everybody_counts_for_the_account_that_the_words_say.hypothesis.inner_test(rolled_world(seed))


def test_an_account_is_called_by_its_best_known_company_and_has_its_website_or_else_most_addresses():
    records = [(1, 1, 2), (2, 1, 2), (3, 0, 1), (4, 2, NONE), (5, NONE, 1), (6, NONE, 3), (7, NONE, 3), (8, 4, 4)]
    found = grouped([*records, (9, 2, NONE)], [NONE, 0, 0, NONE, NONE], 6)
    assert found.people.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    # Those with a website first, then those with the most records; nobody is of the company without people.
    assert found.order.tolist() == [1, 2, 0, 4, 3]
    at = found.account.tolist()
    assert (at[0], at[3], at[2]) == (at[1], at[8], at[4])
    assert found.of_company.tolist() == [at[2], at[0], at[0], NONE, at[7]]
    assert found.of_domain.tolist() == [at[0], at[2], at[0], at[5], at[7], NONE]
    assert found.domain[[at[0], at[2], at[5], at[7]]].tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("address", "own", "is_free"),
    [
        ("Ann@Mail.Acme.co.uk", "acme.co.uk", False), ("ann@gmail.com", "gmail.com", True),
        ("x@GMX.us ", "gmx.us", True),
        ("x@i.softbank.jp", "softbank.jp", True), ("x@mail.gmail.com", "gmail.com", True), ("co.uk", "", False),
        ("10.0.0.1", "", False), ("localhost", "", False), ("x@acme.com.", "acme.com", False), ("", "", False),
        ("x@facebook.com", "facebook.com", False), ("müller.de", "xn--mller-kva.de", False), ("a..de", "", False),
        ("ann @ acme.com", "acme.com", False), ("a@b@acme.com", "acme.com", False),
        ("PrivateRelay.AppleID.com", "appleid.com", True),
    ],
)  # fmt: skip
def test_whose_an_address_is(address, own, is_free):
    assert (registrable_domain(address), is_free_mail(address)) == (own, is_free)


def test_the_first_address_of_an_organisation_says_whose_somebody_is():
    assert first_own_domain(["acme.com", "ann@gmail.com", "ann@localhost", "a@x.acme.com", "a@b.com"]) == "acme.com"
    assert first_own_domain(["ann@gmail.com"]) == ""


def test_a_page_on_a_site_of_many_is_no_website_of_a_company():
    sites = ("www.acme.com", "www.facebook.com", "gmail.com", "de.linkedin.com", "x.com")
    assert [site_domain(each) for each in sites] == ["acme.com", "", "", "", ""]


def accounts_of(records, sites=(), domains=0):
    found = grouped(records, list(sites), domains)
    return dict(zip(found.people.tolist(), found.account.tolist(), strict=True))


def test_two_companies_of_one_domain_are_one_account_with_those_who_only_have_the_address():
    found = accounts_of([(1, 0, NONE), (2, 1, NONE), (3, NONE, 0)], [0, 0], 1)
    assert found[1] == found[2] == found[3]


def test_two_companies_without_a_domain_are_one_where_most_people_of_one_are_in_the_other():
    linked = [(1, 0, NONE), (1, 1, NONE), (2, 0, NONE), (3, 0, NONE)]
    assert len(set(accounts_of(linked, [NONE, NONE]).values())) == 1
    assert len(set(accounts_of([*linked, (4, 1, NONE)], [NONE, NONE]).values())) == 2


def test_one_person_who_changed_jobs_does_not_make_two_companies_one():
    records = [(1, 0, NONE), (2, 0, NONE), (3, 0, NONE), (3, 1, NONE), (4, 1, NONE), (5, 1, NONE)]
    found = accounts_of(records, [0, 1], 2)
    assert (found[1], found[4]) == (found[2], found[5])
    assert found[1] != found[4]
    assert found[3] == found[1]


def test_a_domain_that_several_companies_without_a_website_use_joins_none_of_them():
    records = [(1, 0, 0), (2, 1, 0), (3, NONE, 0)]
    assert len(set(accounts_of(records, [NONE, NONE], 1).values())) == 3
    assert len(set(accounts_of([*records, (4, 0, 0)], [NONE, NONE], 1).values())) == 2


# The score


def slowly_scored(method, points):
    """The score of one account (hundredths), from the definitions."""
    if not points:
        return 0
    if method == "average":
        return round(Fraction(sum(points), len(points)))
    return {"sum": sum, "max": max, "min": min, "top_three": lambda each: sum(sorted(each)[-3:])}[method](points)


@pytest.mark.parametrize("method", METHODS)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-(10**6), 10**6) | st.integers(-3, 3)), max_size=30))
def test_the_score_of_an_account_is_what_the_method_says(method, people):
    found = score_accounts(method, ints(each for each, _ in people), ints(each for _, each in people), 5)
    assert found.tolist() == [slowly_scored(method, [each for at, each in people if at == n]) for n in range(5)]


def test_large_scores_are_added_exactly():
    points = ints([2**53 + 1, 2, 4])
    assert score_accounts("sum", ints([0, 0, 0]), points, 1).tolist() == [2**53 + 7]
    assert score_accounts("top_three", ints([0, 0, 0]), points, 1).tolist() == [2**53 + 7]


# The roles


def roles(**each):
    return {"roles": {name: {"when": when} for name, when in each.items()}}


def test_a_role_is_filled_by_whom_its_question_holds_for():
    asked = roles(
        boss={"field": "title", "seniority": ["c_level", "vp"]},
        hot={"all": [{"field": "score", "gte": 50}, {"not": {"field": "band", "is": "cold"}}]},
    )
    known = {"title": ["CEO", "Clerk", None], "score": [10, 50, 60], "band": ["cold", "mql", None]}
    found = fill_roles(config(account=asked), known, 3)
    assert {name: each.tolist() for name, each in found.items()} == {
        "boss": [True, False, False],
        "hot": [False, True, False],
    }


def test_nobody_fills_a_role_of_which_nothing_is_known():
    asked = roles(boss={"not": {"field": "title", "is": "Clerk"}})
    assert fill_roles(config(account=asked), {}, 2)["boss"].tolist() == [False, False]
    assert fill_roles(config(account={"score": "sum"}), {}, 2) == {}
