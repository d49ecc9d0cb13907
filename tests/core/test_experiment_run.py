"""Experiments in whole runs: the arm's own line decides, in every run and every state alike."""

from datetime import timedelta

from crmsync.reporting.person import explain_person
from crmsync.scoring.arms import choose_arm
from crmsync.store import schema
from crmsync.store.database import open_store
from tests.support.cycles import DAYS, NEVER_FADES, run
from tests.support.make import NOW, activity, config, contact, crm, new_sqlite
from tests.support.state import rows

LINES = {"line": {"arms": {"a": 50, "b": 70}, "start": "2026-01-01", "size": 100}}
HALVES = {"a": 0.5, "b": 0.5}
OPEN = {"guard": {"owners": 1, "scores": 1, "bands": 1, "stages": 1, "first_run": 5_000}}
CAME = NOW - timedelta(days=30)


def address_in(arm):
    return next(each for each in (f"p{n}@x.example" for n in range(99)) if choose_arm("line", HALVES, each) == arm)


def lead(number, email, **over):
    """Somebody with 65 points: VP, a large company, a demo."""
    fields = {"title": "VP Sales", "employees": 500}
    return contact(number, emails=(email,) if email else (), fields=fields, stage="lead", created_at=CAME, **over)


def hubspot_of(*contacts):
    made = crm("hubspot")
    for number, each in enumerate(contacts):
        made.edit(each)
        made.happen(activity(number, each))
    return made


def bands(state):
    return [row["band"] for row in sorted(rows(state, schema.person), key=lambda row: row["id"])]


def test_S0_22_a_lead_of_65_points_is_handed_over_in_arm_50_and_not_in_arm_70(state):
    hubspot = hubspot_of(lead(1, address_in("a")), lead(2, address_in("b")))
    run(state, hubspot, at=DAYS[0], experiment=LINES, **OPEN)
    assert bands(state) == ["mql", "warm"]
    assert [(each.stage, each.owner) for each in hubspot.records.values()] == [
        ("mql", "hubspot-ann"),
        ("lead", None),
    ]
    run(state, hubspot, at=DAYS[1], **OPEN)
    assert bands(state) == ["mql", "mql"]


def test_S4_26_the_arm_is_the_same_after_a_restart_and_in_a_state_that_was_built_again(state, tmp_path):
    people = [lead(1, address_in("b")), lead(2, None), lead(3, None), lead(4, address_in("a"))]
    hubspot = hubspot_of(*people)
    run(state, hubspot, at=DAYS[0], experiment=LINES, **OPEN)
    first = {row["id"]: row["band"] for row in rows(state, schema.person)}
    run(state, hubspot, at=DAYS[1], experiment=LINES, **OPEN)
    assert {row["id"]: row["band"] for row in rows(state, schema.person)} == first
    again = open_store(new_sqlite(tmp_path, "again.db"))
    other = hubspot_of(*reversed(people))
    try:
        run(again, other, at=DAYS[0], experiment=LINES, **OPEN)
        assert {ref: each.stage for ref, each in other.records.items()} == {
            ref: each.stage for ref, each in hubspot.records.items()
        }
    finally:
        again.close()


def test_explain_shows_the_arm_and_the_line_that_holds(state):
    hubspot = hubspot_of(lead(1, address_in("b")))
    run(state, hubspot, at=DAYS[0], experiment=LINES, **OPEN)
    told = explain_person(config(NEVER_FADES, experiment=LINES), state, address_in("b"), DAYS[0], str)
    assert told["experiments"] == {"line": "b"}
    assert (told["segment"], told["band"]) == ("line: b", "warm")
    assert told["next"]["points"] == 5


def test_who_came_before_the_start_is_in_no_arm(state):
    early = lead(1, address_in("b"))
    hubspot = hubspot_of(early)
    later = {"line": {**LINES["line"], "start": (CAME + timedelta(days=1)).date().isoformat()}}
    run(state, hubspot, at=DAYS[0], experiment=later, **OPEN)
    assert bands(state) == ["mql"]
    told = explain_person(config(NEVER_FADES, experiment=later), state, address_in("b"), DAYS[0], str)
    assert told["experiments"] == {"line": "none"}
    assert told["gaps"] == []


def test_a_route_may_ask_for_the_arm(state):
    hubspot = hubspot_of(lead(1, address_in("a")), lead(2, address_in("b")))
    arms = {"line": {"arms": ["a", "b"], "start": "2026-01-01", "size": 100}}
    routes = [
        {"name": "B", "when": {"field": "experiment.line", "is": "b"}, "to": "bob@acme.example"},
        {"name": "Rest", "to": "ann@acme.example"},
    ]
    run(state, hubspot, at=DAYS[0], experiment=arms, route=routes, **OPEN)
    assert [each.owner for each in hubspot.records.values()] == ["hubspot-ann", "hubspot-bob"]


def test_a_stored_config_with_arms_reads_as_it_was():
    made = config(NEVER_FADES, experiment=LINES)
    assert [each.name for each in made.segment] == ["line: a", "line: b"]
    again = type(made).model_validate_json(made.decision_text())
    assert again.decision_hash() == made.decision_hash()
    assert made.decision_hash() != config(NEVER_FADES).decision_hash()


def test_other_shares_score_everybody_again():
    one = config(NEVER_FADES, experiment=LINES)
    other = config(NEVER_FADES, experiment={"line": {**LINES["line"], "share": {"a": 3}}})
    assert one.model_hash() != other.model_hash()
