"""Conditions that ask for the score, the people and the missing roles of an account, through whole runs."""

from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import event, select

from crmsync.config import load
from crmsync.errors import ConfigError
from crmsync.model import Company, Ref
from crmsync.reporting.person import explain_person
from crmsync.reporting.route import route_document
from crmsync.routing.tryout import try_lead
from crmsync.store import schema
from crmsync.store.forgetting import forget_records
from tests.support.cycles import DAYS, NEVER_FADES, edit, run
from tests.support.make import activity, config, contact, crm
from tests.support.state import rows

BARE = NEVER_FADES[: NEVER_FADES.index("[[stage]]")] + NEVER_FADES[NEVER_FADES.index("[fields]") :]
OPEN = {"owners": 1, "scores": 1, "bands": 1, "stages": 1}
POOLS = [{"name": name, "members": [f"{name}@acme.example"]} for name in ("ann", "bob")]
KESTREL = Company("7", "Kestrel", "kestrel.example")
RIVAL = Company("8", "Rival", "rival.example")
BOSS = {"when": {"field": "title", "seniority": ["vp", "c_level"]}}
BUYER = {"when": {"field": "title", "contains": "buyer"}}
GROUP = {"score": "sum", "roles": {"Decision maker": BOSS, "Buyer": BUYER}}
LATE = {"name": "Everybody else", "to": "ann"}


def to_bob(**when):
    return [{"name": "Accounts", "when": when, "to": "bob", "reassign": True}, LATE]


WARM = to_bob(field="account.score", gte=50)


def tables(route, **over):
    return {"account": GROUP, "owner_pool": POOLS, "guard": OPEN, "route": route, **over}


def go(state, *crms, at, route=WARM, **over):
    return run(state, *crms, at=at, model=BARE, **tables(route, **over))


def settings(route=WARM, **over):
    return config(BARE, **tables(route, **over))


def join(of, number, *, title="Clerk", demo=False, company=KESTREL, **values):
    mails = (f"p{number}@mail.example",)
    made = contact(number, of.name, emails=mails, fields={"title": title}, company=company, **values)
    of.edit(made)
    if demo:
        of.happen(activity(str(number), made))
    return made.ref


def owner(of, number):
    return of.records[Ref(of.name, "contact", str(number))].owner.partition("-")[2]


def planned(result):
    return sum(each.planned for each in result.crms.values())


@pytest.fixture
def hubspot():
    return crm("hubspot")


def test_whoever_belongs_to_an_account_follows_its_score_and_it_settles(state, hubspot):
    join(hubspot, 1, title="VP Sales")
    join(hubspot, 2)
    join(hubspot, 3, company=RIVAL)
    go(state, hubspot, at=DAYS[0])
    go(state, hubspot, at=DAYS[1])
    assert [owner(hubspot, each) for each in (1, 2, 3)] == ["ann", "ann", "ann"]
    hubspot.happen(activity("demo", hubspot.records[Ref("hubspot", "contact", "2")]))
    go(state, hubspot, at=DAYS[2])
    assert [owner(hubspot, each) for each in (1, 2, 3)] == ["bob", "bob", "ann"]
    assert planned(go(state, hubspot, at=DAYS[4])) == 0
    asked = explain_person(settings(), state, "p1@mail.example", DAYS[4])
    assert (asked["account"]["score"], asked["account"]["missing"]) == (50, ["Buyer"])
    first, _last = route_document(settings(), state, "p1@mail.example", DAYS[4])["rules"]
    assert first["matched"]
    assert first["why"].endswith("found: account.score 50")


@pytest.mark.parametrize(
    ("when", "bobs"),
    [
        ({"field": "account.people", "gte": 2}, [1, 2]),
        ({"field": "account.people", "is": 1}, [3]),
        ({"field": "account.missing_roles", "has": "Buyer"}, [1, 2, 3]),
        ({"field": "account.missing_roles", "has": "Decision maker"}, [3]),
        ({"field": "account.missing_roles", "contains": ["decision"]}, [3]),
        ({"field": "account.missing_roles", "has_all": ["Buyer", "Decision maker"]}, [3]),
        ({"field": "account.score", "exists": True}, [1, 2, 3]),
        ({"field": "account.score", "missing": True}, [4]),
        ({"field": "account.score", "between": [15, 25]}, [1, 2]),
    ],
)
def test_people_and_missing_roles_are_asked_for_by_the_usual_operators(state, hubspot, when, bobs):
    join(hubspot, 1, title="VP Sales")
    join(hubspot, 2)
    join(hubspot, 3, company=RIVAL)
    hubspot.edit(contact(4, emails=("p4@gmail.com",), fields={"title": "Clerk"}))
    go(state, hubspot, at=DAYS[0], route=to_bob(**when))
    assert [each for each in (1, 2, 3, 4) if owner(hubspot, each) == "bob"] == bobs
    assert planned(go(state, hubspot, at=DAYS[1], route=to_bob(**when))) == 0


def test_a_role_that_is_filled_is_missing_no_more_and_none_left_reads_as_not_known(state, hubspot):
    none_left = to_bob(all=[{"field": "account.people", "gte": 1}, {"field": "account.missing_roles", "missing": True}])
    join(hubspot, 1, title="VP Sales")
    go(state, hubspot, at=DAYS[0], route=none_left)
    assert owner(hubspot, 1) == "ann"
    join(hubspot, 2, title="Head buyer")
    go(state, hubspot, at=DAYS[2], route=none_left)
    assert [owner(hubspot, each) for each in (1, 2)] == ["bob", "bob"]
    assert planned(go(state, hubspot, at=DAYS[4], route=none_left)) == 0


def test_who_leaves_an_account_or_is_deleted_is_seen_by_those_who_stay(state, hubspot):
    cold = to_bob(field="account.score", lt=30)
    for number in (1, 2):
        join(hubspot, number, title="VP Sales")
    go(state, hubspot, at=DAYS[0], route=cold)
    assert [owner(hubspot, each) for each in (1, 2)] == ["ann", "ann"]
    edit(hubspot, Ref("hubspot", "contact", "2"), company=RIVAL)
    go(state, hubspot, at=DAYS[2], route=cold)
    assert [owner(hubspot, each) for each in (1, 2)] == ["bob", "bob"]
    many = [{**to_bob(field="account.people", gt=1)[0], "to": "ann"}, {**LATE, "to": "bob", "reassign": True}]
    join(hubspot, 3)
    go(state, hubspot, at=DAYS[3], route=many)
    assert owner(hubspot, 1) == "ann"
    edit(hubspot, Ref("hubspot", "contact", "3"), gone=True)
    go(state, hubspot, at=DAYS[4], route=many)
    assert owner(hubspot, 1) == "bob"
    assert planned(go(state, hubspot, at=DAYS[5], route=many)) == 0


def test_who_joins_an_account_with_a_score_of_long_ago_is_seen_by_those_who_were_there(state, hubspot):
    join(hubspot, 1, title="VP Sales")
    other = contact(2, "hubspot", emails=("p2@gmail.com",), fields={"title": "VP Sales"}, company=RIVAL)
    hubspot.edit(other)
    go(state, hubspot, at=DAYS[0])
    go(state, hubspot, at=DAYS[1])
    hubspot.happen(activity("2", other))
    go(state, hubspot, at=DAYS[1] + timedelta(hours=1))
    assert [owner(hubspot, each) for each in (1, 2)] == ["ann", "bob"]
    edit(hubspot, Ref("hubspot", "contact", "2"), company=KESTREL)
    go(state, hubspot, at=DAYS[2])
    assert [owner(hubspot, each) for each in (1, 2)] == ["bob", "bob"]
    assert planned(go(state, hubspot, at=DAYS[3])) == 0


def test_who_is_merged_into_another_account_is_seen_by_those_who_stay(state, hubspot):
    cold = to_bob(field="account.score", lt=30)
    for number in (1, 2):
        join(hubspot, number, title="VP Sales")
    hubspot.edit(contact(3, "hubspot", emails=("p3@gmail.com",), fields={"title": "VP Sales"}, company=RIVAL))
    go(state, hubspot, at=DAYS[0], route=cold)
    assert [owner(hubspot, each) for each in (1, 2)] == ["ann", "ann"]
    del hubspot.records[Ref("hubspot", "contact", "2")]
    edit(hubspot, Ref("hubspot", "contact", "3"), aliases=("2",))
    go(state, hubspot, at=DAYS[2], route=cold)
    assert owner(hubspot, 1) == "bob"
    assert planned(go(state, hubspot, at=DAYS[3], route=cold)) == 0


def test_a_new_record_that_brings_its_person_into_an_account_is_seen_by_those_who_were_there(state, hubspot):
    salesforce = crm("salesforce")
    join(hubspot, 1, title="VP Sales")
    lead = contact(2, "salesforce", emails=("p2@gmail.com",), fields={"title": "VP Sales"})
    salesforce.edit(lead)
    go(state, hubspot, salesforce, at=DAYS[0])
    salesforce.happen(activity("2", lead))
    go(state, hubspot, salesforce, at=DAYS[1])
    go(state, hubspot, salesforce, at=DAYS[2])
    assert owner(hubspot, 1) == "ann"
    hubspot.edit(contact(2, "hubspot", emails=("p2@gmail.com",), fields={"title": "VP Sales"}, company=KESTREL))
    go(state, hubspot, salesforce, at=DAYS[3])
    assert owner(hubspot, 1) == "bob"


def test_who_is_forgotten_is_missed_by_those_who_stay(state, hubspot):
    cold = to_bob(field="account.score", lt=30)
    for number in (1, 2):
        join(hubspot, number, title="VP Sales")
    go(state, hubspot, at=DAYS[0], route=cold)
    assert [owner(hubspot, each) for each in (1, 2)] == ["ann", "ann"]
    with state.begin() as writing:
        forget_records(writing, [writing.scalar(select(schema.record.c.id).where(schema.record.c.ref_id == "2"))])
    go(state, hubspot, at=DAYS[2], route=cold)
    assert owner(hubspot, 1) == "bob"


def test_an_edited_account_table_is_planned_for_where_a_condition_asks_for_it(state, hubspot):
    for number in (1, 2):
        join(hubspot, number, title="VP Sales")
    route = to_bob(field="account.score", gte=40)
    lowest = {**GROUP, "score": "min"}
    go(state, hubspot, at=DAYS[0], route=route, account=lowest)
    assert owner(hubspot, 1) == "ann"
    go(state, hubspot, at=DAYS[2], route=route)
    assert owner(hubspot, 1) == "bob"
    plain = [LATE]
    assert settings(plain).decision_hash() == settings(plain, account=lowest).decision_hash()
    assert settings(route).model_hash() == settings(route, account=lowest).model_hash()


def test_a_stage_may_ask_too_and_whom_it_moves_is_settled(state, hubspot):
    stages = [
        {"name": "lead", "values": {"hubspot": "lead"}},
        {
            "name": "mql",
            "enter": {"field": "account.score", "gte": 40},
            "values": {"hubspot": "marketingqualifiedlead"},
        },
    ]
    join(hubspot, 1, title="VP Sales", stage="lead")
    join(hubspot, 2, title="CEO", stage="lead")
    go(state, hubspot, at=DAYS[0], route=[LATE], stage=stages)
    assert {each.stage for each in hubspot.records.values()} == {"mql"}
    assert planned(go(state, hubspot, at=DAYS[2], route=[LATE], stage=stages)) == 0


def test_a_held_colleague_counts_as_before_for_the_others(state, hubspot):
    """What waits for approval is left as if its run had not been, for the account too."""
    for number in range(1, 7):
        join(hubspot, number)
    go(state, hubspot, at=DAYS[0])
    held = {"guard": {**OPEN, "scores": 0.0, "from_records": 1}}
    edit(hubspot, Ref("hubspot", "contact", "1"), fields={"title": "VP"})
    hubspot.happen(activity("demo", hubspot.records[Ref("hubspot", "contact", "1")]))
    for day in (2, 3):
        assert go(state, hubspot, at=DAYS[day], **held).verdict == "held"
    assert {owner(hubspot, each) for each in range(1, 7)} == {"ann"}
    assert {row["total"] for row in rows(state, schema.person)} == {0}
    # Approved, it moves everybody.
    go(state, hubspot, at=DAYS[4])
    assert {owner(hubspot, each) for each in range(1, 7)} == {"bob"}


def test_a_role_that_asks_for_a_stage_is_that_of_the_run_before_and_settles(state, hubspot):
    stages = [
        {"name": "lead", "values": {"hubspot": "lead"}},
        {"name": "mql", "band": "warm", "values": {"hubspot": "mql"}},
    ]
    tables = {"stage": stages, "account": {"roles": {"Champion": {"when": {"field": "stage", "is": "mql"}}}}}
    route = to_bob(field="account.missing_roles", missing=True)
    join(hubspot, 1, title="VP Sales", stage="lead")
    join(hubspot, 2, stage="lead")
    go(state, hubspot, at=DAYS[0], route=route, **tables)
    assert [owner(hubspot, each) for each in (1, 2)] == ["ann", "ann"]
    go(state, hubspot, at=DAYS[1], route=route, **tables)
    assert [owner(hubspot, each) for each in (1, 2)] == ["bob", "bob"]
    assert planned(go(state, hubspot, at=DAYS[2], route=route, **tables)) == 0


COMPANY = "|| record.company"
"""What every statement has that asks for the company of a record."""


def test_nothing_of_accounts_is_read_where_no_condition_asks_and_an_idle_run_reads_none(state, hubspot):
    join(hubspot, 1, title="VP Sales")
    read = []
    count = lambda *args: read.append(args[2])  # noqa: E731
    event.listen(state.engine, "before_cursor_execute", count)
    go(state, hubspot, at=DAYS[0], route=[LATE])
    assert not [each for each in read if COMPANY in each]
    go(state, hubspot, at=DAYS[1])
    assert [each for each in read if COMPANY in each]
    read.clear()
    go(state, hubspot, at=DAYS[3])
    assert not [each for each in read if COMPANY in each]


# The file


@pytest.mark.parametrize(
    ("field", "account", "said"),
    [
        ("account.score", None, 'account.score needs [account]; add it, for example with score = "top_three"'),
        ("account.people", None, 'account.people needs [account]; add it, for example with score = "top_three"'),
        ("account.missing_roles", {"score": "sum"}, "account.missing_roles needs [account.roles]"),
    ],
)
def test_a_condition_needs_the_table_that_answers_it(field, account, said):
    route = to_bob(field=field, exists=True)
    with pytest.raises(ValidationError, match=said.replace("[", r"\[").replace("]", r"\]")):
        settings(route, account=account)


def test_the_mistake_names_the_line(tmp_path):
    path = tmp_path / "crmsync.toml"
    lines = BARE + '[[owner_pool]]\nname = "ann"\nmembers = ["ann@acme.example"]\n\n[[route]]\nname = "Hot"\n'
    when = 'when = { field = "account.score", gte = 5 }\nto = "ann"\n\n[[route]]\nname = "Rest"\nto = "ann"\n'
    path.write_text(lines + when, encoding="utf-8")
    line = 1 + (lines + when).splitlines().index('when = { field = "account.score", gte = 5 }')
    with pytest.raises(ConfigError, match=f"line {line}: .*account.score needs"):
        load(path)


def test_a_role_that_the_file_does_not_name_is_a_mistake():
    with pytest.raises(ValidationError, match=r"there is no role 'Boss'; .account.roles. has Decision maker, Buyer"):
        settings(to_bob(field="account.missing_roles", has="Boss"))


def test_roles_and_exclusion_come_before_the_score_of_an_account():
    role = {"when": {"field": "account.score", "gte": 5}}
    with pytest.raises(ValidationError, match=r"cannot ask for 'account.score'"):
        settings([LATE], account={"roles": {"Big": role}})
    with pytest.raises(ValidationError, match=r"comes before accounts, .* cannot ask for 'account.score'"):
        settings([LATE], exclude={"when": {"field": "account.score", "gte": 5}})


# Test leads


def lead(**given):
    test = {"name": "Vera", "given": {"title": "Clerk", **given}, "expect": {"owner": "bob@acme.example"}}
    made = settings(to_bob(all=[{"field": "account.score", "gte": 50}, {"field": "account.people", "gt": 1},
                                {"field": "account.missing_roles", "has": "Buyer"}]), test=[test])  # fmt: skip
    return try_lead(made, made.test[0])


def test_a_test_lead_may_be_given_an_account():
    given = {"account_score": 50, "account_people": 2, "account_missing_roles": ["Buyer"]}
    assert lead(**given).owner == "bob@acme.example"
    assert lead(**given | {"account_score": 49.5}).owner == "ann@acme.example"
    assert lead(**given | {"account_missing_roles": []}).owner == "ann@acme.example"
    assert lead().owner == "ann@acme.example"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"account_score": "high"}, "account_score: write a number"),
        ({"account_people": True}, "account_people: write a number"),
        ({"account_missing_roles": 3}, "account_missing_roles: write the names of roles"),
        ({"account_missing_roles": ["Boss"]}, "account_missing_roles: there is no role 'Boss'"),
    ],
)
def test_an_account_of_a_test_lead_that_cannot_be_is_a_sentence(given, said):
    with pytest.raises(ValidationError, match=said):
        lead(**given)
