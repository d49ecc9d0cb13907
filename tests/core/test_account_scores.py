"""Accounts through whole runs: what they are worth, who is missing, and one owner for each."""

import tempfile
from contextlib import closing
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crmsync.model import Company, Owner, Ref
from crmsync.reporting.accounts import account_document, accounts_document
from crmsync.reporting.person import explain_person
from tests.support import make
from tests.support.cycles import DAYS, NEVER_FADES, edit, run
from tests.support.make import activity, config, contact, crm

BARE = NEVER_FADES[: NEVER_FADES.index("[[owner_pool]]")] + NEVER_FADES[NEVER_FADES.index("[fields]") :]
SALES = {"name": "sales", "members": ["ann@acme.example", "bob@acme.example"]}
OPEN = {"owners": 1, "scores": 1, "bands": 1, "stages": 1}
KESTREL = Company("7", "Kestrel", "kestrel.example", "hubspot-bob")
KESTREL_TOO = Company("001K", "Kestrel Ltd", owner="salesforce-ann")
BOSS = {"when": {"field": "title", "seniority": ["vp", "c_level"]}}
LEAD = {"when": {"all": [{"field": "title", "contains": "engineer"}, {"field": "score", "gte": 30}]}}
GROUP = {"score": "top_three", "roles": {"Decision maker": BOSS, "Technical lead": LEAD}}
ONE_OWNER = [
    {"name": "Colleagues", "to": "colleague_owner", "reassign": True},
    {"name": "Everybody else", "to": "sales"},
]
VERA = Ref("hubspot", "contact", "1")


def tables(account, over):
    given = {"route": ONE_OWNER, "owner_pool": [SALES], "guard": OPEN, **over}
    return {**given, **({"account": account} if account else {})}


def go(state, *crms, at=DAYS[0], account=GROUP, **over):
    return run(state, *crms, at=at, model=BARE, **tables(account, over))


def settings_of(account=GROUP, **over):
    return config(BARE, **tables(account, over))


def listed(state, at=DAYS[0], account=GROUP, missing=None, top=None, **over):
    return accounts_document(settings_of(account, **over), state, at, missing, top)["accounts"]


def join(of, number, *, title="Clerk", demo=False, mail=None, **values):
    mails = (mail or f"p{number}@kestrel.example",)
    made = contact(number, of.name, **{"emails": mails, "fields": {"title": title}, **values})
    of.edit(made)
    if demo:
        of.happen(activity(str(number), made))
    return made


def owners(*crms):
    return {record.owner and record.owner.split("-")[1] for of in crms for record in of.records.values()}


@pytest.fixture
def hubspot():
    return crm("hubspot")


# The score and the roles


def test_an_account_has_the_score_of_its_people_and_the_roles_they_fill(state, hubspot):
    join(hubspot, 1, title="VP Sales", demo=True, company=KESTREL)
    join(hubspot, 2, title="Engineer", company=KESTREL)
    join(hubspot, 3, demo=True)
    join(hubspot, 4, title="CEO", mail="bo@other.example")
    go(state, hubspot)
    assert listed(state) == [
        {
            "name": "Kestrel",
            "domain": "kestrel.example",
            "owner": "bob@acme.example",
            "score": 80,
            "people": 3,
            "active_people": 2,
            "roles": {"Decision maker": 1, "Technical lead": 0},
            "missing": ["Technical lead"],
        },
        {
            "name": None,
            "domain": "other.example",
            "owner": None,
            "score": 20,
            "people": 1,
            "active_people": 0,
            "roles": {"Decision maker": 1, "Technical lead": 0},
            "missing": ["Technical lead"],
        },
    ]
    hubspot.happen(activity("more", hubspot.records[Ref("hubspot", "contact", "2")]))
    go(state, hubspot, at=DAYS[1])
    assert [each["missing"] for each in listed(state, DAYS[1])] == [[], ["Technical lead"]]


@pytest.mark.parametrize(
    ("method", "score"), [("sum", 130), ("top_three", 130), ("max", 50), ("min", 0), ("average", 32.5)]
)
def test_each_method_is_of_the_scores_of_the_last_run(state, hubspot, method, score):
    join(hubspot, 1, title="VP Sales", demo=True)
    join(hubspot, 2, title="CEO", demo=True)
    join(hubspot, 3, demo=True)
    join(hubspot, 4)
    go(state, hubspot)
    (account,) = listed(state, account={"score": method})
    assert (account["score"], account["people"], account["roles"]) == (score, 4, {})
    assert accounts_document(settings_of({"score": method}), state, DAYS[0], None, None)["method"] == method


def test_who_is_excluded_or_gone_does_not_count_and_an_account_of_nobody_is_none(state, hubspot):
    join(hubspot, 1, title="VP Sales", company=KESTREL)
    join(hubspot, 2, demo=True, company=KESTREL)
    join(hubspot, 3, mail="spy@rival.example")
    exclude = {"domains": ["rival.example"], "addresses": ["p2@kestrel.example"]}
    go(state, hubspot, exclude=exclude)
    (only,) = listed(state, exclude=exclude)
    assert (only["name"], only["people"], only["score"], only["active_people"]) == ("Kestrel", 1, 20, 0)
    edit(hubspot, VERA, gone=True)
    go(state, hubspot, at=DAYS[1], exclude=exclude)
    assert listed(state, DAYS[1], exclude=exclude) == []


def test_one_company_in_two_crms_is_shown_once_with_the_owner_of_the_crm_that_leads(state, hubspot):
    salesforce = crm("salesforce")
    join(hubspot, 1, demo=True, company=KESTREL)
    join(salesforce, 1, company=KESTREL_TOO)
    join(salesforce, 2, mail="vera@gmail.com", demo=True, company=KESTREL_TOO)
    go(state, hubspot, salesforce)
    (only,) = listed(state)
    assert (only["name"], only["people"], only["score"], only["owner"]) == ("Kestrel", 2, 60, "ann@acme.example")
    first = {"source_of_truth": ["hubspot", "salesforce"]}
    assert listed(state, identity=first)[0]["owner"] == "bob@acme.example"


def test_the_list_is_of_those_without_a_role_or_of_the_highest(state, hubspot):
    join(hubspot, 1, title="VP Sales", demo=True)
    join(hubspot, 2, demo=True, mail="a@low.example")
    join(hubspot, 3, title="CEO", mail="b@middle.example", demo=True)
    go(state, hubspot)
    assert [each["domain"] for each in listed(state)] == ["kestrel.example", "middle.example", "low.example"]
    assert [each["domain"] for each in listed(state, missing="Decision maker")] == ["low.example"]
    assert [each["domain"] for each in listed(state, top=2)] == ["kestrel.example", "middle.example"]
    assert accounts_document(settings_of(), state, DAYS[0], None, 2)["count"] == 3


def test_an_account_is_shown_with_its_people_and_an_explanation_with_its_account(state, hubspot):
    join(hubspot, 1, title="VP Sales", name="Vera", company=KESTREL)
    join(hubspot, 2, title="Engineer", demo=True, mail="eng@mail.kestrel.example")
    go(state, hubspot)
    for which in ("kestrel.example", "www.Kestrel.example", "KESTREL", "ada@kestrel.example"):
        (account,) = account_document(settings_of(), state, which, DAYS[0])["accounts"]
        assert [(each["name"], each["score"], each["roles"]) for each in account["members"]] == [
            ("", 30, ["Technical lead"]),
            ("Vera", 20, ["Decision maker"]),
        ]
    said = explain_person(settings_of(), state, "p1@kestrel.example", DAYS[0])["account"]
    assert said == {
        "name": "Kestrel",
        "owner": "bob@acme.example",
        "people": 2,
        "active_people": 1,
        "score": 50,
        "roles": {"Decision maker": 1, "Technical lead": 1},
        "missing": [],
    }


def test_a_role_may_ask_for_all_that_is_stored_of_somebody(state, hubspot):
    join(hubspot, 1, title="VP Sales", demo=True)
    join(hubspot, 2, demo=True, stage="lead")
    asked = {
        "fit": {"field": "fit", "gte": 20},
        "behavior": {"field": "behavior", "is": 30},
        "score": {"field": "score", "between": [30, 30]},
        "band": {"field": "band", "in": ["warm", "mql"]},
        "stage": {"field": "stage", "is": "mql"},
        "track": {"field": "track", "is": "later"},
        "email": {"field": "email", "domain": "kestrel.example"},
        "no title": {"field": "title", "missing": True},
    }
    group = {"roles": {name: {"when": when} for name, when in asked.items()}}
    tracks = {"tracks": {"later": {"when": {"field": "title", "is": "Clerk"}}}}
    go(state, hubspot, account=group, **tracks)
    filled = {"fit": 1, "behavior": 2, "score": 1, "band": 2, "stage": 1, "track": 1, "email": 2, "no title": 0}
    (only,) = listed(state, account=group, **tracks)
    assert (only["roles"], only["missing"]) == (filled, ["no title"])
    alone = {"roles": {"hot": {"when": asked["score"]}}}
    assert listed(state, account=alone)[0]["roles"] == {"hot": 1}


def test_a_role_alone_brings_the_companies_along_and_asks_for_nothing_else(state, hubspot):
    join(hubspot, 1, title="VP Sales", company=KESTREL)
    plain = {"route": [{"name": "All", "to": "sales"}]}
    assert not config(BARE, **tables(None, plain)).field_map("hubspot").companies
    assert settings_of(**plain).field_map("hubspot").companies
    assert settings_of(**plain).decision_hash() == config(BARE, **tables(None, plain)).decision_hash()


# One owner for each account


def test_people_of_one_account_who_come_without_an_owner_get_one(state, hubspot):
    salesforce = crm("salesforce")
    for number in range(4):
        join(hubspot, number, demo=number % 2 == 0)
    join(salesforce, 9, mail="p2@kestrel.example")
    join(salesforce, 10, mail="p10@kestrel.example")
    join(hubspot, 11, mail="ada@other.example")
    go(state, hubspot, salesforce)
    other = hubspot.records[Ref("hubspot", "contact", "11")].owner.split("-")[1]
    assert {other} | owners(hubspot, salesforce) == {"ann", "bob"}
    hubspot.records.pop(Ref("hubspot", "contact", "11"))
    assert owners(hubspot, salesforce) == {"ann", "bob"} - {other}


def test_an_account_of_the_account_owner_goes_to_them_as_a_whole(state, hubspot):
    join(hubspot, 1, company=KESTREL, owner="hubspot-ann")
    join(hubspot, 2, company=KESTREL)
    join(hubspot, 3)
    go(state, hubspot, route=[{"name": "Account", "to": "account_owner", "reassign": True}, ONE_OWNER[1]])
    assert owners(hubspot) == {"bob"}


@pytest.mark.parametrize("held", ["ab", "abc", "aabb", "ba", "abab-", "aab", "-a-b"])
def test_an_account_of_several_owners_goes_to_one_of_them_in_one_run(state, hubspot, held):
    hubspot.people = [*hubspot.people, Owner("hubspot", "hubspot-cy", "cy@acme.example", "Cy")]
    names = {"a": "hubspot-ann", "b": "hubspot-bob", "c": "hubspot-cy", "-": None}
    for number, name in enumerate(held):
        join(hubspot, number, demo=number % 2 == 1, owner=names[name])
    go(state, hubspot)
    assert len(owners(hubspot)) == 1
    for at in DAYS[1:3]:
        edit(hubspot, Ref("hubspot", "contact", "0"), name="Ada")
        assert go(state, hubspot, at=at).crms["hubspot"].planned == 0


WORLDS = st.lists(st.tuples(st.sampled_from(["hubspot", "salesforce"]), st.integers(0, 3), st.sampled_from("ab-e")),
                  min_size=1, max_size=7)  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(WORLDS)
@example([("hubspot", 0, "-"), ("hubspot", 2, "b"), ("salesforce", 2, "a")])
def test_whoever_owned_an_account_afterwards_one_does_and_stays(world):
    names = {"a": "ann", "b": "bob", "e": "eve"}
    both = {name: crm(name) for name in ("hubspot", "salesforce")}
    for number, (where, who, owner) in enumerate(world):
        held = f"{where}-{names[owner]}" if owner in names else None
        join(both[where], number, mail=f"p{who}@kestrel.example", owner=held)
    with tempfile.TemporaryDirectory() as folder, closing(make.store(folder)) as state:
        go(state, *both.values())
        assert len(owners(*both.values())) == 1
        assert owners(*both.values()) <= {"ann", "bob"}
        again = go(state, *both.values(), at=DAYS[0] + timedelta(days=20))
        assert sum(each.planned for each in again.crms.values()) == 0
