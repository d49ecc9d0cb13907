"""Stages by band, and whose turn it is."""

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from crmsync.config.settings import OwnerPool, Route, Stage
from crmsync.model import Holding, Owner, Ref
from crmsync.routing.assignment import Unassigned, assign_owners, next_member
from crmsync.routing.lifecycle import stage_of_band
from crmsync.routing.owners import owners_of, state_of
from tests.support.make import owners

POOLS = [OwnerPool(name="sales", members=["ann@acme.example", "bob@acme.example"])]
ROUTES = [Route(bands=["mql"], pool="sales")]
BOTH = ("hubspot", "salesforce")


def record(number, crm="hubspot", owner=None):
    return Holding(number, Ref(crm, "contact", str(number)), number, "", None, owner, {}, {}, {}, {}, 0)


def both(hubspot=None, salesforce=None):
    """One person in both CRMs, with an owner in each or none."""
    return "mql", [record(1, "hubspot", hubspot), record(2, "salesforce", salesforce)]


def somebody(crm, name, active=True):
    return Owner(crm, f"{crm}-{name}", f"{name}@acme.example", name.title(), active)


def everybody(crms=BOTH):
    return [each for crm in crms for each in owners(crm)]


def given(*people, pointers=None, directory=None, pools=POOLS, nobody=(), promised=None):
    found = owners_of(everybody() if directory is None else directory, nobody)
    waiting = [Unassigned(number, band, records) for number, (band, records) in enumerate(people, start=1)]
    return assign_owners(waiting, ROUTES, pools, pointers or {}, found, promised or {})


def test_a_band_earns_the_furthest_stage_it_reaches():
    stages = [
        Stage(name="lead", values={}, band="cold"),
        Stage(name="x", values={}),
        Stage(name="mql", values={}, band="warm"),
    ]
    assert stage_of_band(stages, ["bottom", "cold", "warm", "hot"]) == {"cold": "lead", "warm": "mql", "hot": "mql"}


@pytest.mark.parametrize(
    ("last", "available", "turn"),
    [(None, "abc", "a"), ("a", "abc", "b"), ("c", "abc", "a"), ("a", "ac", "c"), ("gone", "bc", "b"), ("a", "", None)],
)
def test_turns_go_round(last, available, turn):
    assert next_member(["A", "b ", "c"], last, frozenset(available)) == turn


def test_a_member_named_twice_keeps_nobody_from_their_turn():
    turns = ["a"]
    for _ in range(3):
        turns.append(next_member(["a", "A", "b", "a", "c"], turns[-1], frozenset("abc")))
    assert turns == ["a", "b", "c", "a"]


def test_people_without_an_owner_are_dealt_in_turn_and_the_pointer_stands_at_the_last():
    dealt = given(*(("mql", [record(number)]) for number in range(1, 4)))
    assert dealt.owner_of == {1: "hubspot-ann", 2: "hubspot-bob", 3: "hubspot-ann"}
    assert dealt.pointers == {"sales": "ann@acme.example"}
    assert dealt.waiting == {}
    assert dealt.why == {
        1: "round robin in pool sales, first in the list",
        2: "round robin in pool sales, after ann@acme.example",
        3: "round robin in pool sales, after bob@acme.example",
    }


def test_the_rotation_goes_on_where_it_stood():
    assert given(("mql", [record(1)]), pointers={"sales": "ann@acme.example"}).owner_of == {1: "hubspot-bob"}


def test_nobody_is_taken_from_an_active_owner_and_a_band_without_a_route_gets_nobody():
    dealt = given(("mql", [record(1, owner="hubspot-bob")]), ("warm", [record(2)]))
    assert (dealt.owner_of, dealt.why, dealt.waiting) == ({}, {}, {})


@pytest.mark.parametrize("owner", ["hubspot-eve", "hubspot-queue", None, ""])
def test_a_record_of_somebody_who_left_of_a_queue_or_of_nobody_is_free(owner):
    assert given(("mql", [record(1, owner=owner)])).owner_of == {1: "hubspot-ann"}


def test_an_owner_that_stands_for_nobody_is_free_to_take_from_and_gets_nothing():
    dealt = given(("mql", [record(1, owner="hubspot-ann")]), nobody=[" ANN@acme.example"])
    assert dealt.owner_of == {1: "hubspot-bob"}


def test_an_owner_the_crm_does_not_list_is_left_alone():
    assert given(("mql", [record(1, owner="somebody-else")])).owner_of == {}


def test_addresses_are_one_whatever_their_case_and_spaces():
    directory = [Owner("hubspot", "7", " Ann@ACME.example ", "Ann")]
    pools = [OwnerPool(name="sales", members=[" ANN@acme.example"])]
    assert given(("mql", [record(1)]), directory=directory, pools=pools).owner_of == {1: "7"}


# One human for all records of a person


def test_both_records_of_a_person_get_one_human():
    dealt = given(both())
    assert dealt.owner_of == {1: "hubspot-ann", 2: "salesforce-ann"}
    assert dealt.pointers == {"sales": "ann@acme.example"}


def test_an_owner_in_one_crm_is_the_owner_in_the_other():
    dealt = given(both(salesforce="salesforce-bob"))
    assert dealt.owner_of == {1: "hubspot-bob"}
    assert dealt.why == {1: "same owner as salesforce:contact:2"}
    assert dealt.pointers == {}


def test_a_record_gets_the_owner_that_the_person_has_in_the_same_crm():
    records = [record(1, "hubspot", "hubspot-ann"), record(2, "salesforce", "salesforce-bob"), record(3, "salesforce")]
    assert given(("mql", records)).owner_of == {3: "salesforce-bob"}


@pytest.mark.parametrize("stranger", ["salesforce-admin", "not-even-listed"])
def test_where_their_owner_is_unknown_the_other_crm_gives_the_next_member(stranger):
    dealt = given(both(salesforce=stranger), directory=[*everybody(), somebody("salesforce", "admin")])
    assert dealt.owner_of == {1: "hubspot-ann"}
    assert dealt.why == {
        1: "round robin in pool sales, first in the list; the owner in salesforce is not a user in hubspot"
    }
    assert dealt.pointers == {"sales": "ann@acme.example"}
    assert dealt.waiting == {}


def test_where_their_owner_is_unknown_and_nobody_is_there_they_wait():
    directory = [somebody("salesforce", "admin"), somebody("salesforce", "ann")]
    dealt = given(both(salesforce="salesforce-admin"), directory=directory)
    assert (dealt.owner_of, dealt.pointers) == ({}, {})
    assert dealt.waiting == {
        1: "the owner in salesforce is not a user in hubspot, and no member of pool sales is a user in hubspot"
    }


def test_who_is_in_both_crms_comes_before_who_is_in_one():
    directory = [somebody("hubspot", "ann"), somebody("hubspot", "bob"), somebody("salesforce", "bob")]
    assert given(both(), directory=directory).owner_of == {1: "hubspot-bob", 2: "salesforce-bob"}


def test_a_member_of_one_crm_gets_what_is_there_and_the_person_waits_for_the_other():
    dealt = given(both(), directory=[somebody("hubspot", "ann"), somebody("salesforce", "bob", active=False)])
    assert dealt.owner_of == {1: "hubspot-ann"}
    assert dealt.why == {1: "round robin in pool sales, first in the list"}
    assert dealt.waiting == {
        1: "the owner in hubspot is not a user in salesforce, and no member of pool sales is active in salesforce"
    }


def test_members_of_one_crm_each_share_a_person_and_the_next_run_would_say_the_same():
    directory = [somebody("hubspot", "ann"), somebody("salesforce", "bob")]
    dealt = given(both(), directory=directory)
    assert dealt.owner_of == {1: "hubspot-ann", 2: "salesforce-bob"}
    assert dealt.why[2] == (
        "round robin in pool sales, after ann@acme.example; the owner in hubspot is not a user in salesforce"
    )
    assert dealt.waiting == {}
    assert given(both("hubspot-ann", "salesforce-bob"), directory=directory).owner_of == {}


# Nobody is passed over in silence


@pytest.mark.parametrize(
    ("directory", "reason"),
    [
        ([], "no member of pool sales is a user in hubspot"),
        ([somebody("hubspot", "ann", active=False)], "no member of pool sales is active in hubspot"),
        ([somebody("salesforce", "ann")], "no member of pool sales is a user in hubspot"),
    ],
)
def test_who_can_be_given_to_nobody_waits(directory, reason):
    dealt = given(("mql", [record(1)]), ("mql", [record(2)]), directory=directory)
    assert (dealt.owner_of, dealt.pointers) == ({}, {})
    assert dealt.waiting == {1: reason, 2: reason}


def test_a_person_of_two_crms_waits_for_both():
    assert given(both(), directory=[somebody("salesforce", "ann", active=False)]).waiting == {
        1: "no member of pool sales is a user in hubspot; no member of pool sales is active in salesforce"
    }


@pytest.mark.parametrize(
    ("address", "crm", "state"),
    [
        (" ANN@acme.example", "hubspot", "active"),
        ("eve@acme.example", "hubspot", "inactive"),
        ("zoe@acme.example", "hubspot", "missing"),
        ("ann@acme.example", "salesforce", "missing"),
    ],
)
def test_what_a_crm_knows_of_an_address(address, crm, state):
    assert state_of(owners_of(owners("hubspot"), ()), crm, address) == state


# After an interruption


def test_what_an_interrupted_run_had_decided_holds_and_takes_no_turn():
    dealt = given(("mql", [record(1)]), ("mql", [record(2)]), promised={1: "hubspot-bob"})
    assert dealt.owner_of == {1: "hubspot-bob", 2: "hubspot-ann"}
    assert dealt.why[1] == "assigned by an interrupted run"
    assert dealt.pointers == {"sales": "ann@acme.example"}


def test_what_was_decided_for_one_record_is_kept_for_the_others_of_the_person():
    assert given(both(), promised={2: "salesforce-bob"}).owner_of == {1: "hubspot-bob", 2: "salesforce-bob"}


def test_an_owner_that_a_person_has_by_now_comes_before_what_was_decided():
    dealt = given(both(salesforce="salesforce-ann"), promised={1: "hubspot-bob"})
    assert dealt.owner_of == {1: "hubspot-ann"}


@pytest.mark.parametrize("gone", ["hubspot-eve", "hubspot-queue", "unheard-of", "hubspot-zoe"])
def test_what_was_decided_for_somebody_who_left_or_is_no_member_is_decided_again(gone):
    directory = [*everybody(), somebody("hubspot", "zoe")]
    dealt = given(("mql", [record(1)]), directory=directory, promised={1: gone})
    assert dealt.owner_of == {1: "hubspot-ann"}
    assert dealt.why == {1: "round robin in pool sales, first in the list"}


# Laws

NAMES = ("ann", "bob", "eve", "zoe")
USERS = st.lists(st.builds(somebody, st.sampled_from(BOTH), st.sampled_from(NAMES), st.booleans()), max_size=8)
OWNER_IDS = st.one_of(st.none(), st.sampled_from([*NAMES, "stranger"]))
RECORDS = st.lists(st.tuples(st.sampled_from(BOTH), OWNER_IDS), min_size=1, max_size=4)


@drawn(USERS, st.lists(RECORDS, max_size=5), st.sets(st.sampled_from(NAMES), min_size=1))
def test_everybody_is_given_to_somebody_or_waits_and_the_next_run_agrees(users, people, members):
    directory = list({(each.crm, each.id): each for each in users}.values())
    pools = [OwnerPool(name="sales", members=[f"{each}@acme.example" for each in sorted(members)])]
    numbers = iter(range(1, 100))
    before = [
        ("mql", [record(next(numbers), crm, owner and f"{crm}-{owner}") for crm, owner in records])
        for records in people
    ]
    found = owners_of(directory, ())
    first = given(*before, directory=directory, pools=pools)
    after = [
        (band, [each._replace(owner=first.owner_of.get(each.id, each.owner)) for each in records])
        for band, records in before
    ]
    for number, (_, records) in enumerate(after, start=1):
        lacking = [each for each in records if found.somebody(each.ref.crm, each.owner) is None]
        assert bool(lacking) == (number in first.waiting)
    for owner_id in first.owner_of.values():
        assert any(each.id == owner_id and each.active for each in directory)
    assert set(first.why) == set(first.owner_of)
    again = given(*after, directory=directory, pools=pools, pointers=first.pointers)
    assert (again.owner_of, again.pointers, again.waiting) == ({}, first.pointers, first.waiting)
    resumed = given(*before, directory=directory, pools=pools, pointers=first.pointers, promised=first.owner_of)
    assert (resumed.owner_of, resumed.pointers) == (first.owner_of, first.pointers)
    assert resumed.waiting == first.waiting


def test_an_owner_who_left_one_crm_is_told_apart_from_one_it_never_knew():
    directory = [*everybody(), somebody("hubspot", "dan"), somebody("salesforce", "dan", active=False)]
    dealt = given(both(hubspot="hubspot-dan"), directory=directory)
    assert (
        dealt.why[2] == "round robin in pool sales, first in the list; the owner in hubspot is not active in salesforce"
    )
