"""Counts of what the people of an account do, in rules and decisions: they follow events, people and time."""

import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crmsync.config import config_class
from crmsync.doctor import diagnose
from crmsync.model import Activity, Company, Ref
from crmsync.reporting.past_person import explain_person_at
from crmsync.reporting.person import explain_person
from crmsync.reporting.route import route_document
from tests.core.test_events import event, lines
from tests.support.cycles import NEVER_FADES, edit, run
from tests.support.make import NOW, activity, config, contact, crm, store

RULES = NEVER_FADES.replace(
    "[[behavior]]",
    """[[fit]]
name = "A team"
points = 40
when = { field = "account.users", gte = 2 }

[[fit]]
name = "Ten seats"
points = 7
when = { field = "account.seats", gte = 10 }

[[fit]]
name = "First look at billing"
points = 3
when = { field = "account.billing", is = 1 }

[[behavior]]""",
    1,
)
COUNTS = {
    "users": {"on": "logged_in", "of": "users", "window": "30d"},
    "seats": {"on": "bought", "sum": "seats"},
    "billing": {"on": ["logged_in"], "where": {"feature": "billing"}},
}
KESTREL = Company("7", "Kestrel", "kestrel.example")
GUARD = {"owners": 1, "scores": 1, "bands": 1, "stages": 1}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "usage"
    made.mkdir()
    return made


@pytest.fixture
def hubspot():
    made = crm("hubspot")
    for number in (1, 2, 3):
        made.edit(contact(number, emails=(f"p{number}@kestrel.example",), company=KESTREL))
    made.edit(contact(4, emails=("p4@rival.example",)))
    made.edit(contact(5, emails=("p5@gmail.com",)))
    return made


def tables(folder):
    columns = {"kind": "event"}
    source = {"name": "product", "folder": str(folder), "columns": columns, "attributes": ["seats", "feature"]}
    return {"events": [source], "account": {"counts": COUNTS}, "guard": GUARD}


def go(state, folder, *crms, days=0, model=RULES, **over):
    return run(state, *crms, at=NOW + timedelta(days=days), model=model, **{**tables(folder), **over})


def login(number, email, days=1, **values):
    return event(number, email, "logged_in", hours=24 * days, **values)


def fits(of):
    return [of.records[Ref(of.name, "contact", str(number))].current["fit"] for number in (1, 2, 3, 4, 5)]


def test_everybody_of_an_account_has_the_points_and_nobody_else(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(login(1, "p1@kestrel.example"), login(2, "p1@kestrel.example", 2)))
    go(state, folder, hubspot)
    assert fits(hubspot) == [0, 0, 0, 0, 0]
    (folder / "b.jsonl").write_text(lines(login(3, "p2@kestrel.example"), login(4, "p4@rival.example")))
    assert sum(each.planned for each in go(state, folder, hubspot).crms.values()) == 3
    assert fits(hubspot) == [40, 40, 40, 0, 0]
    go(state, folder, hubspot)
    again = go(state, folder, hubspot)
    assert [(each.planned, each.rescored) for each in again.crms.values()] == [(0, 0)]


def test_users_whom_no_crm_knows_count_for_the_account_of_their_domain(state, folder, hubspot):
    (folder / "a.jsonl").write_text(
        lines(
            login(1, "new@mail.kestrel.example"),
            login(2, "", domain="app.kestrel.example", user="u17"),
            login(3, "", domain="kestrel.example"),
            login(4, "x@gmail.com"),
            login(5, "y@nowhere.example"),
            event(6, "", "bought", domain="https://www.kestrel.example/", seats="10"),
        )
    )
    go(state, folder, hubspot)
    assert fits(hubspot) == [47, 47, 47, 0, 0]
    # Whoever comes into the CRM is the same user as before.
    hubspot.edit(contact(6, emails=("new@mail.kestrel.example",)))
    (folder / "b.jsonl").write_text(lines(event(7, "new@mail.kestrel.example", "bought", seats=-3)))
    go(state, folder, hubspot)
    assert fits(hubspot) == [40, 40, 40, 0, 0]


def test_time_alone_takes_points_away(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(login(1, "p1@kestrel.example", 1), login(2, "p2@kestrel.example", 10)))
    go(state, folder, hubspot)
    go(state, folder, hubspot, days=20)
    assert fits(hubspot)[:3] == [40, 40, 40]
    go(state, folder, hubspot, days=21)
    assert fits(hubspot)[:3] == [0, 0, 0]


def test_what_is_to_come_counts_when_its_time_has_come(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(login(1, "p1@kestrel.example"), login(2, "p2@kestrel.example", -2)))
    go(state, folder, hubspot)
    assert fits(hubspot)[0] == 0
    go(state, folder, hubspot, days=3)
    assert fits(hubspot)[0] == 40


def test_who_comes_leaves_or_is_deleted_takes_their_users_along(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(login(1, "p1@kestrel.example"), login(2, "z@gmail.com")))
    go(state, folder, hubspot)
    assert fits(hubspot)[0] == 0
    hubspot.edit(contact(6, emails=("z@gmail.com",), company=KESTREL))
    go(state, folder, hubspot, days=1)
    assert fits(hubspot)[:3] == [40, 40, 40]
    edit(hubspot, Ref("hubspot", "contact", "6"), company=None)
    go(state, folder, hubspot, days=2)
    assert fits(hubspot)[:3] == [0, 0, 0]
    edit(hubspot, Ref("hubspot", "contact", "6"), company=KESTREL)
    go(state, folder, hubspot, days=3)
    assert fits(hubspot)[0] == 40
    edit(hubspot, Ref("hubspot", "contact", "6"), gone=True)
    go(state, folder, hubspot, days=4)
    assert fits(hubspot)[0] == 0


def test_activities_of_the_crms_count_as_well_and_an_event_of_two_records_once(state, folder, hubspot):
    salesforce = crm("salesforce")
    twin = contact("00Q1", "salesforce", "lead", emails=("p1@kestrel.example",), stage="lead")
    salesforce.edit(twin)
    first = contact(1, emails=("p1@kestrel.example",), company=KESTREL)
    for number, of, where in ((1, first, hubspot), (2, twin, salesforce)):
        where.happen(activity(number, of, kind="logged_in", feature="billing"))
    go(state, folder, hubspot, salesforce)
    assert fits(hubspot)[:3] == [3, 3, 3]
    hubspot.happen(activity(3, contact(2), kind="logged_in", days_ago=2, feature="billing"))
    go(state, folder, hubspot, salesforce)
    assert fits(hubspot)[:3] == [40, 40, 40]


def test_what_counts_for_no_person_counts_for_no_account(state):
    """Clicks of a link scanner, and the second log of a call."""
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    first = contact(1, emails=("p1@kestrel.example",), company=KESTREL)
    twin = contact("00Q1", "salesforce", "lead", emails=("p1@kestrel.example",), stage="lead")
    hubspot.edit(first)
    salesforce.edit(twin)
    then = NOW - timedelta(days=1)
    for number in range(4):
        at = then + timedelta(seconds=number % 3)
        hubspot.happen(Activity(first.ref, f"click{number}", "email_clicked", at, {"url": f"x{number}"}))
    for of, ref, seconds in ((hubspot, first.ref, 0), (salesforce, twin.ref, 40)):
        at = then + timedelta(seconds=seconds)
        of.happen(Activity(ref, f"call{seconds}", "call_completed", at, {"subject": "Demo"}))
    counts = {"users": {"on": "email_clicked"}, "seats": {"on": "email_clicked"}, "billing": {"on": "call_completed"}}
    run(state, hubspot, salesforce, at=NOW, model=RULES, account={"counts": counts}, guard=GUARD)
    # One call, and not two clicks.
    assert hubspot.records[first.ref].current["fit"] == 3
    apart = {"same_activity": "0s"}
    clicks = {"within": "0s"}
    more = {"account": {"counts": counts}, "guard": GUARD, "identity": apart, "machine_clicks": clicks}
    run(state, hubspot, salesforce, at=NOW, model=RULES, **more)
    assert hubspot.records[first.ref].current["fit"] == 40


def test_decisions_and_explanations_ask_for_counts_as_well(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(login(1, "p1@kestrel.example"), login(2, "p2@kestrel.example")))
    route = [
        {"name": "Teams", "when": {"field": "account.users", "gte": 2}, "to": "sales"},
        {"name": "Others", "to": "nurture"},
    ]
    go(state, folder, hubspot, route=route)
    given_to = [hubspot.records[Ref("hubspot", "contact", str(number))].owner for number in (3, 4)]
    assert given_to[0] is not None
    assert given_to[1] is None
    asked = config(RULES, **{**tables(folder), "route": route})
    first, _last = route_document(asked, state, "p3@kestrel.example", NOW)["rules"]
    assert (first["matched"], first["why"].endswith("found: account.users 2")) == (True, True)
    told = explain_person(asked, state, "p3@kestrel.example", NOW)
    assert [each["rule"] for each in told["lines"]] == ["A team"]
    for hours, total in ((23, 40), (25, 0)):
        past = explain_person_at(asked, state, "p1@kestrel.example", NOW - timedelta(hours=hours), NOW)
        assert past["total"] == total


PROBLEMS = {
    "no count": ({"account": {"counts": {}}}, "account.users needs [account.counts.users], which says what is counted"),
    "a taken name": ({"account": {"counts": {"people": COUNTS["users"]}}}, "cannot be the name of a count"),
    "two numbers": ({"account": {"counts": {"users": {"on": "x", "of": "users", "sum": "y"}}}}, "either of or sum"),
    "too early": ({"exclude": {"when": {"field": "account.users", "gt": 1}}}, "[exclude] comes before"),
}


@pytest.mark.parametrize("what", PROBLEMS)
def test_what_cannot_be_counted_is_a_mistake_of_the_file(tmp_path, what):
    over, said = PROBLEMS[what]
    with pytest.raises(ValidationError, match=said.replace("[", r"\[").replace(".", r"\.")):
        config(RULES, **{**tables(tmp_path), **over})


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_any_order_and_split_of_files_and_any_order_of_people_gives_the_same_scores(tmp_path_factory, seed):
    rng = random.Random(seed)
    who = [f"p{number}@kestrel.example" for number in range(1, 5)] + ["new@kestrel.example", "z@gmail.com"]
    happened = [login(number, rng.choice(who), rng.randrange(0, 40)) for number in range(12)]
    happened += [event(20 + n, "", "bought", domain="kestrel.example", seats=rng.choice([4, 6])) for n in range(2)]
    ends = []
    for _way in range(2):
        base = tmp_path_factory.mktemp("way")
        of, folder = crm("hubspot"), base / "usage"
        folder.mkdir()
        people = [contact(n, emails=(f"p{n}@kestrel.example",), company=KESTREL) for n in (1, 2, 3)]
        people += [contact(4, emails=("p4@rival.example",)), contact(5, emails=("z@gmail.com",), company=KESTREL)]
        said = [*happened, *rng.sample(happened, 4)]
        rng.shuffle(people)
        rng.shuffle(said)
        made = store(base)
        for step in range(3):
            for each in people[step * 2 : step * 2 + 2]:
                of.edit(each)
            for each in said[step * 6 : step * 6 + 6 if step < 2 else None]:
                with (folder / rng.choice(["a.jsonl", "b.jsonl"])).open("a") as file:
                    file.write(lines(each))
            go(made, folder, of, days=step)
        ends.append(fits(of))
        made.close()
    assert ends[0] == ends[1]


def test_a_count_of_nothing_or_for_nobody_is_told(tmp_path):
    counts = {"users": {"on": "logged_in", "of": "users"}, "seats": {"on": "bought"}, "billing": {"on": "email_opened"}}
    one_kind = [{"name": "product", "folder": str(tmp_path), "kind": "logged_in"}]
    rules = RULES.replace('when = { field = "account.billing", is = 1 }', 'when = { field = "title", exists = true }')
    told = diagnose(config(rules, events=one_kind, account={"counts": counts}), NOW, None)
    assert [each for each in told["problems"] if "account.seats: no activity source has the type 'bought'" in each]
    assert [each for each in told["notes"] if "nothing asks for account.billing" in each]


@pytest.mark.parametrize(
    ("mapped", "window", "said"),
    [("until", "30d", 1), ("next", "30d", 1), ("until", None, 0), ("score", "30d", 0)],
)
def test_a_count_that_is_not_foreseen_is_told_where_the_crm_gets_what_is(tmp_path, mapped, window, said):
    counts = {"users": {"on": "logged_in", "of": "users", "window": window}, "seats": {"on": "logged_in"}}
    one_kind = [{"name": "product", "folder": str(tmp_path), "kind": "logged_in"}]
    fields = {"fields": {mapped: {"hubspot": "crmsync_it"}}}
    rules = RULES.replace('when = { field = "account.billing", is = 1 }', 'when = { field = "title", exists = true }')
    told = diagnose(config(rules, events=one_kind, account={"counts": counts}, write=fields), NOW, None)
    assert [each for each in told["notes"] if "foreseen" in each] == said * [
        f"[write.fields] {mapped}: what is foreseen goes by today's account.users, although what is older than 30d "
        "leaves that count day by day"
    ]


def test_a_count_stands_still_while_its_source_is_silent(state, folder, hubspot):
    often = [login(number, f"p{1 + number % 2}@kestrel.example", number) for number in range(1, 26)]
    (folder / "a.jsonl").write_text(lines(*often))
    go(state, folder, hubspot)
    held = go(state, folder, hubspot, days=40)
    assert [each["kind"] for each in held.holds] == ["logged_in"]
    assert fits(hubspot)[0] == 40
    (folder / "b.jsonl").write_text(lines(login(99, "p4@rival.example", -39)))
    assert go(state, folder, hubspot, days=40).holds == []
    assert fits(hubspot)[0] == 0


def test_a_count_alone_changes_the_model_and_none_changes_nothing(tmp_path):
    bare = config_class()().model_hash()
    assert config_class()(account={"score": "sum"}).model_hash() == bare
    assert config_class()(account={"counts": COUNTS}).model_hash() != bare
