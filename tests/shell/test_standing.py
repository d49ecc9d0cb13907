"""What the status says of people, calls and dates."""

import json
from dataclasses import replace
from datetime import date, timedelta

from sqlalchemy import update

from crmsync.model import Ref
from crmsync.reporting.documents import check_document
from crmsync.reporting.standing import describe_schedule
from crmsync.reporting.status import status_document
from crmsync.store import schema
from crmsync.undo import undo_run
from tests.core.test_override_rates import crowd
from tests.support.cycles import ADA, DAYS, NEVER_FADES, edit, hot, run, two_crms
from tests.support.make import activity, config, contact, crm, work
from tests.support.state import rows


def status(state, at, model=NEVER_FADES, **tables):
    said = status_document(config(model, **tables), state, at)
    check_document("status", json.loads(json.dumps(said)))
    return said


def moved(state, at, model=NEVER_FADES):
    found = status(state, at, model)["qualified"]
    return [(each["field"], each["name"], each["entered"], each["left"]) for each in found]


EXITS = NEVER_FADES.replace('band = "mql"\n', 'band = "mql"\nexit = { field = "score", lt = 40 }\n')


def test_who_came_to_a_stage_and_band_and_who_fell_below_it_is_counted_and_named(state):
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    for number in range(3):
        each = contact(number, fields={"title": "VP", "employees": 500}, stage="lead")
        hubspot.edit(each)
        hubspot.happen(activity(number, each))
    twin = contact("00Q1", "salesforce", "lead", emails=("person1@firm.example",), stage="lead")
    salesforce.edit(twin)
    run(state, hubspot, salesforce, at=DAYS[0], model=EXITS)
    said = status(state, DAYS[1], EXITS)["qualified"]
    assert [(each["field"], each["name"], each["entered"], each["left"]) for each in said] == [
        ("stage", "mql", 3, 0), ("band", "mql", 3, 0),
    ]  # fmt: skip
    assert {each["email"] for each in said[0]["who_entered"]} == {f"person{number}@firm.example" for number in range(3)}
    assert said[0]["days"] == 7
    run(state, hubspot, salesforce, at=DAYS[8], model=EXITS.replace("points = 30", "points = 1"))
    assert moved(state, DAYS[9], EXITS) == [("stage", "mql", 0, 3), ("band", "mql", 0, 3)]
    assert status(state, DAYS[20], EXITS)["qualified"][0]["left"] == 0


def test_what_a_crm_refused_and_what_a_plan_would_do_moved_nobody(state):
    hubspot = hot()
    hubspot.refusing = {ADA: "a rule says no"}
    run(state, hubspot, at=DAYS[0])
    assert moved(state, DAYS[0]) == [("stage", "mql", 0, 0), ("band", "mql", 0, 0)]
    hubspot.refusing = {}
    run(state, hubspot, at=DAYS[2], guard={"first_run": 0})
    assert moved(state, DAYS[2]) == [("stage", "mql", 0, 0), ("band", "mql", 0, 0)]


def test_a_step_from_a_stage_to_the_next_loses_nobody(state):
    model = NEVER_FADES.replace(
        "[[owner_pool]]", '[[stage]]\nname = "sql"\nvalues = { hubspot = "sql" }\n\n[[owner_pool]]'
    )
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], model=model)
    edit(hubspot, ADA, stage="sql")
    run(state, hubspot, at=DAYS[1], model=model)
    assert [each["left"] for each in status(state, DAYS[1], model)["qualified"]] == [0, 0]


def test_whom_another_record_holds_at_a_stage_after_an_undo_was_not_lost_from_it(state):
    hubspot, salesforce = two_crms()
    ran = run(state, hubspot, salesforce, at=DAYS[0])
    assert moved(state, DAYS[0]) == [("stage", "mql", 1, 0), ("band", "mql", 1, 0)]
    taken = hubspot.write

    def write(changes, narrow=list):
        for receipt in taken(changes, narrow):
            yield replace(receipt, refused={"stage": "stages only move forward"})

    hubspot.write = write
    made = work(state, hubspot, salesforce, now=DAYS[1], settings=config(NEVER_FADES))
    undo_run(made, ran.run)
    assert moved(state, DAYS[1]) == [("stage", "mql", 1, 0), ("band", "mql", 1, 1)]
    # When the record that stays came to the stage does not matter.
    assert moved(state, DAYS[0] + timedelta(days=7, hours=1)) == [("stage", "mql", 0, 0), ("band", "mql", 0, 1)]


def test_who_was_at_a_stage_in_one_crm_does_not_come_to_it_in_the_other(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, at=DAYS[0])
    run(state, hubspot, salesforce, at=DAYS[8])
    assert rows(state, schema.record)[-2]["stage"] == "mql"
    assert moved(state, DAYS[8])[0] == ("stage", "mql", 0, 0)


def test_a_lead_that_was_converted_since_holds_nobody_at_its_stage(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce, at=DAYS[0], model=EXITS)
    became = contact("0039", "salesforce", "contact", emails=("ada@x.example",))
    salesforce.edit(became)
    edit(salesforce, Ref("salesforce", "lead", "00Q1"), converted_into=became.ref)
    run(state, hubspot, salesforce, at=DAYS[1], model=EXITS)
    run(state, hubspot, salesforce, at=DAYS[2], model=EXITS.replace("points = 30", "points = 1"))
    assert moved(state, DAYS[2], EXITS)[0] == ("stage", "mql", 1, 1)


def test_who_came_last_is_named_first_and_whoever_went_and_came_again_is_both(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], model=EXITS)
    run(state, hubspot, at=DAYS[1], model=EXITS.replace("points = 30", "points = 1"))
    late = contact(7, fields={"title": "VP", "employees": 500}, stage="lead")
    run(state, hubspot, at=DAYS[2], model=EXITS)
    hubspot.edit(late)
    hubspot.happen(activity(7, late))
    run(state, hubspot, at=DAYS[3], model=EXITS)
    (stage, _band) = status(state, DAYS[3], EXITS)["qualified"]
    assert [each["email"] for each in stage["who_entered"]] == ["person7@firm.example", "ada@x.example"]
    assert [each["email"] for each in stage["who_left"]] == ["ada@x.example"]


def test_without_a_stage_that_crmsync_gives_the_highest_band_counts(state):
    model = NEVER_FADES.replace('band = "mql"\n', "")
    run(state, hot(), at=DAYS[0], model=model)
    (said,) = status(state, DAYS[0], model)["qualified"]
    assert (said["field"], said["name"], said["entered"]) == ("band", "mql", 1)


def test_whom_no_active_user_owns_is_counted_whoever_the_crm_says(state):
    hubspot = crowd(1)
    owners = [None, "hubspot-queue", "hubspot-eve", "hubspot-bob", "unknown"]
    for number, owner in enumerate(owners, 10):
        hubspot.edit(contact(number, owner=owner))
    run(state, hubspot, at=DAYS[0])
    assert status(state, DAYS[0])["without_owner"] == {"count": 3, "qualified": 0}
    alone = NEVER_FADES.replace(', "bob@acme.example"', "").replace(
        "[write.fields]", '[write]\nunassigned_users = ["BOB@acme.example"]\n\n[write.fields]'
    )
    assert status(state, DAYS[0], alone)["without_owner"]["count"] == 4
    edit(hubspot, Ref("hubspot", "contact", "0"), owner=None)
    run(state, hubspot, at=DAYS[1])
    assert status(state, DAYS[1])["without_owner"] == {"count": 4, "qualified": 1}


def test_the_calls_left_are_those_of_the_newest_run_that_heard_of_them(state):
    hubspot = hot()
    said = status(state, DAYS[0])["crms"]
    assert said == {}
    type(hubspot).api_left, type(hubspot).api_used = 999_392, 0.000608
    try:
        run(state, hubspot, at=DAYS[0])
    finally:
        type(hubspot).api_left = type(hubspot).api_used = None
    run(state, hubspot, at=DAYS[1])
    said = status(state, DAYS[1])["crms"]["hubspot"]
    assert (said["api_left"], said["api_used"]) == (999_392, 0.000608)


def test_a_review_is_overdue_from_the_day_after_it_was_due(state):
    on = DAYS[0].date()
    for days, overdue in ((30, False), (31, True)):
        at = DAYS[0] + timedelta(days=days)
        said = status(state, at, review={"on": on, "every": "30d"})["review"]
        assert said == {"on": "2026-11-21", "due": "2026-12-21", "overdue": overdue}
    assert status(state, DAYS[0])["review"] == {"on": None, "due": None, "overdue": False}
    assert status(state, DAYS[0], review={"on": date(2026, 8, 1)})["review"]["overdue"]


def test_a_schedule_is_told_as_it_is_written():
    assert describe_schedule(config(schedule={"every": "90m"}).schedule) == "every 90m"
    told = describe_schedule(config(schedule={"cron": "0 6 * * 1-5", "timezone": "Europe/Berlin"}).schedule)
    assert told == 'cron "0 6 * * 1-5" (Europe/Berlin)'


def test_S3_12_the_status_says_how_long_a_new_lead_waits_at_most(state):
    def delay(**schedule):
        return status(state, DAYS[0], schedule=schedule)["next_run"]["delay_seconds"]

    assert delay(every="20m") is None
    run(state, hot(), at=DAYS[0])
    with state.begin() as tx:
        tx.execute(update(schema.run).values(ended=schema.run.c.started + 65_000))
    assert delay(every="20m") == 20 * 60 + 65
    assert delay(cron="0 8 * * *") is None
