"""The tasks that owners get in the CRM: for what, in which CRM, each once, and those that a CRM does not take."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from crmsync.cycle import preview_run, run_cycle
from crmsync.model import Activity, Ref, TaskReceipt
from crmsync.reporting.documents import check_document
from crmsync.reporting.person import explain_person
from crmsync.reporting.route import route_document
from crmsync.reporting.status import status_document
from crmsync.store import schema
from crmsync.undo import undo_run
from tests.support.cycles import ADA, NEVER_FADES, balanced, edit, hot, two_crms
from tests.support.make import NOW, config, work

FEEDBACK = {
    "field": {"hubspot": "crmsync_feedback", "salesforce": "Crmsync_Feedback__c"},
    "tags": {"engaged, needs follow-up": "task", "fine": "keep"},
}


def settings(*on, **tables):
    return config(NEVER_FADES, tasks={"on": list(on)}, **tables)


def hours(number):
    return NOW + timedelta(hours=number)


def run(state, *crms, at=0.0, by):
    return balanced(run_cycle(work(state, *crms, now=hours(at), settings=by)))


def told(of):
    return [(task.subject, task.ref, task.owner) for task in of.tasks.values()]


def rows(state):
    with state.read() as reading:
        return [(row.event, row.owner, row.state) for row in reading.execute(select(schema.task))]


def test_no_task_is_made_unless_the_file_asks_for_one(state):
    hubspot = hot()
    run(state, hubspot, by=config(NEVER_FADES))
    run(state, hubspot, at=1, by=settings())
    assert hubspot.tasks == {}


def test_S0_27_the_new_owner_gets_one_task_with_reason_and_next_step(state):
    hubspot, by = hot(), settings("hand_off", sla={"within": "4h"})
    result = run(state, hubspot, by=by)
    (task,) = hubspot.tasks.values()
    assert (task.ref, task.owner, task.subject) == (ADA, "hubspot-ann", "Contact ada@x.example")
    assert "Demo requested +30" in task.body
    assert "pool sales" in task.body
    assert f"get in touch by {hours(4):%Y-%m-%d %H:%M} (UTC)" in task.body
    assert task.due == hours(4)
    assert result.tasks == {"created": 1}
    for at in (1, 2, 30):
        run(state, hubspot, at=at, by=by)
    assert len(hubspot.tasks) == 1
    said = explain_person(by, state, "ada@x.example", hours(30))
    check_document("explain", json.loads(json.dumps(said)))
    assert [(each["event"], each["state"], each["crm"]) for each in said["routing"]["tasks"]] == [
        ("hand_off", "created", "hubspot")
    ]


def test_a_person_in_both_crms_has_one_task_in_the_crm_whose_word_counts_first(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce, by=settings("hand_off"))
    assert len(hubspot.tasks) + len(salesforce.tasks) == 1
    assert told(salesforce) == [("Contact ada@x.example", Ref("salesforce", "lead", "00Q1"), "salesforce-ann")]


def test_a_preview_makes_no_task_and_says_how_many_there_would_be(state):
    hubspot = hot()
    result = preview_run(work(state, hubspot, settings=settings("hand_off")))
    assert (result.tasks, hubspot.tasks, rows(state)) == ({"planned": 1}, {}, [])


def test_who_was_handed_over_before_the_file_asked_for_tasks_gets_none(state):
    hubspot = hot()
    run(state, hubspot, by=config(NEVER_FADES))
    run(state, hubspot, at=1, by=settings("hand_off"))
    assert hubspot.tasks == {}


def test_a_task_waits_until_the_crm_has_taken_the_owner(state):
    hubspot, by = hot(), settings("hand_off")
    hubspot.refusing[ADA] = "the record is locked"
    run(state, hubspot, by=by)
    assert hubspot.tasks == {}
    hubspot.refusing.clear()
    edit(hubspot, ADA, changed_at=hours(1))
    run(state, hubspot, at=1, by=by)
    assert len(hubspot.tasks) == 1


def test_a_task_whose_owner_lost_the_person_before_it_was_made_is_dropped(state):
    hubspot, by = hot(), settings("hand_off")
    hubspot.refusing_tasks["1"] = TaskReceipt("", ok=False, reason="try again", retry=True)
    run(state, hubspot, by=by)
    hubspot.people = [replace(each, active="ann" not in each.id) for each in hubspot.people[:2]]
    hubspot.refusing_tasks.clear()
    run(state, hubspot, at=1, by=by)
    assert ("hand_off", "ann@acme.example", "dropped") in rows(state)
    assert [task.owner for task in hubspot.tasks.values()] == ["hubspot-bob"]


def test_a_task_that_a_crm_will_not_take_is_told_and_tried_again_a_day_later(state):
    hubspot, by = hot(), settings("hand_off")
    hubspot.refusing_tasks["1"] = TaskReceipt("", ok=False, reason="the field Crmsync_Task_Key__c is missing")
    result = run(state, hubspot, by=by)
    assert result.verdict == "partial"
    assert "hubspot: 1 task was not created: the field Crmsync_Task_Key__c is missing" in result.problems
    hubspot.refusing_tasks.clear()
    run(state, hubspot, at=12, by=by)
    assert hubspot.tasks == {}
    result = run(state, hubspot, at=25, by=by)
    assert (len(hubspot.tasks), result.verdict) == (1, "ok")


def test_a_task_is_given_up_after_a_week(state):
    hubspot, by = hot(), settings("hand_off")
    hubspot.refusing_tasks["1"] = TaskReceipt("", ok=False, reason="no", retry=True)
    run(state, hubspot, by=by)
    run(state, hubspot, at=24 * 8, by=by)
    assert rows(state) == [("hand_off", "ann@acme.example", "dropped")]


def test_a_breach_makes_one_task_for_the_owner(state):
    hubspot, by = hot(), settings("breach", sla={"within": "4h"})
    run(state, hubspot, by=by)
    run(state, hubspot, at=4, by=by)
    assert hubspot.tasks == {}
    for at in (5, 6, 48):
        run(state, hubspot, at=at, by=by)
    assert told(hubspot) == [("Overdue: contact ada@x.example", ADA, "hubspot-ann")]


@pytest.mark.parametrize("at", [2, 5])
@pytest.mark.parametrize(
    "settled",
    [
        lambda ada: {"fields": {**ada.fields, "feedback": "not a fit"}},
        lambda ada: {"fields": {**ada.fields, "feedback": "wrong timing"}},
        lambda _ada: {"stage": "opportunity"},
    ],
)
def test_who_is_not_routed_any_more_does_not_have_to_be_contacted(state, settled, at):
    """Their owner gave them a tag that ends it, or the CRM took them further: nobody is late any more."""
    tags = {"not a fit": "disqualify", "wrong timing": {"recycle": "1d"}}
    hubspot, by = hot(), settings("breach", sla={"within": "4h"}, feedback={**FEEDBACK, "tags": tags})
    run(state, hubspot, by=by)
    edit(hubspot, ADA, **settled(hubspot.records[ADA]), changed_at=hours(at))
    for later in {at, 5, 6}:
        result = run(state, hubspot, at=later, by=by)
        assert not [each for each in result.notes if "not contacted" in each]
    assert hubspot.tasks == {}
    assert status_document(by, state, hours(6))["sla"]["breaches"] == []


def test_breaches_of_long_ago_make_no_tasks(state):
    hubspot = hot()
    run(state, hubspot, by=config(NEVER_FADES, sla={"within": "4h"}))
    run(state, hubspot, at=24 * 9, by=settings("breach", sla={"within": "4h"}))
    assert hubspot.tasks == {}


def test_S4_25_a_tag_that_asks_for_a_task_makes_one_for_the_owner_once(state):
    hubspot, by = hot(), settings("feedback", feedback=FEEDBACK)
    run(state, hubspot, by=by)
    edit(hubspot, ADA, fields={**hubspot.records[ADA].fields, "feedback": "Engaged, needs follow-up"})
    for at in (1, 2, 3):
        run(state, hubspot, at=at, by=by)
    assert told(hubspot) == [("Follow up with ada@x.example", ADA, "hubspot-ann")]
    assert "Feedback: engaged, needs follow-up" in next(iter(hubspot.tasks.values())).body
    edit(hubspot, ADA, fields={**hubspot.records[ADA].fields, "feedback": "fine"})
    run(state, hubspot, at=4, by=by)
    edit(hubspot, ADA, fields={**hubspot.records[ADA].fields, "feedback": "engaged, needs follow-up"})
    run(state, hubspot, at=5, by=by)
    assert len(hubspot.tasks) == 2


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"tasks": {"on": ["breach"]}}, "needs [sla]"),
        ({"tasks": {"on": ["feedback"]}}, "no tag of [feedback.tags] asks for one"),
        ({"tasks": {"on": ["hand-off"]}}, "hand_off"),
    ],
)
def test_a_file_that_asks_for_tasks_that_cannot_be_is_refused(tables, said):
    with pytest.raises(ValidationError) as error:
        config(NEVER_FADES, **tables)
    assert said in str(error.value)


def test_turning_tasks_on_reads_no_record_again():
    assert settings("hand_off").mapping_hash("hubspot") == config(NEVER_FADES).mapping_hash("hubspot")


def rerouting(**tables):
    return config(NEVER_FADES, sla={"within": "4h", "reroute": True}, **tables)


def test_S3_13_whoever_is_not_contacted_in_time_goes_to_somebody_else_once(state):
    hubspot, by = hot(), rerouting()
    run(state, hubspot, by=by)
    run(state, hubspot, at=4, by=by)
    assert hubspot.records[ADA].owner == "hubspot-ann"
    seen = preview_run(work(state, hubspot, now=hours(4.1), settings=by))
    assert seen.routing["by_owner"] == {"bob@acme.example": 1}
    route = route_document(by, state, "ada@x.example", hours(4.1))
    assert (route["to"], route["member"]) == ("sales", "bob@acme.example")
    assert "ann@acme.example was not in touch in time" in route["turn"]
    run(state, hubspot, at=4.1, by=by)
    assert hubspot.records[ADA].owner == "hubspot-bob"
    said = explain_person(by, state, "ada@x.example", hours(5))
    assert "ann@acme.example was not in touch in time" in said["owner_why"]
    for at in (9, 10, 100):
        run(state, hubspot, at=at, by=by)
    assert hubspot.records[ADA].owner == "hubspot-bob"


def test_nobody_is_rerouted_who_was_contacted_though_late_or_with_the_option_off(state):
    hubspot = hot()
    run(state, hubspot, by=rerouting())
    run(state, hubspot, at=8, by=config(NEVER_FADES, sla={"within": "4h"}))
    hubspot.happen(Activity(ADA, "call", "call_completed", hours(9), {}))
    run(state, hubspot, at=10, by=rerouting())
    assert hubspot.records[ADA].owner == "hubspot-ann"


def test_where_nobody_else_is_there_the_late_owner_keeps_the_person(state):
    hubspot, by = hot(), rerouting()
    hubspot.people = [each for each in hubspot.people if "bob" not in each.id]
    run(state, hubspot, by=by)
    result = run(state, hubspot, at=5, by=by)
    assert hubspot.records[ADA].owner == "hubspot-ann"
    assert (result.routing["owned"], result.routing["waiting"]) == (1, 0)


def test_an_owner_whom_a_user_chose_is_not_taken_away(state):
    hubspot, by = hot(), rerouting()
    run(state, hubspot, by=by)
    edit(hubspot, ADA, owner="hubspot-bob")
    run(state, hubspot, at=1, by=by)
    run(state, hubspot, at=9, by=by)
    assert hubspot.records[ADA].owner == "hubspot-bob"


def test_a_person_in_both_crms_is_rerouted_in_both(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce, by=rerouting())
    run(state, hubspot, salesforce, at=5, by=rerouting())
    assert (hubspot.records[ADA].owner, salesforce.records[Ref("salesforce", "lead", "00Q1")].owner) == (
        "hubspot-bob",
        "salesforce-bob",
    )


def test_undo_closes_the_task_that_the_run_made(state):
    hubspot, by = hot(), settings("hand_off")
    result = run(state, hubspot, by=by)
    undo_run(work(state, hubspot, now=hours(1), settings=by), result.run)
    assert hubspot.closed_tasks == hubspot.tasks.keys()
    assert rows(state) == [("hand_off", "ann@acme.example", "closed")]
    run(state, hubspot, at=2, by=by)
    assert len(hubspot.tasks) == 1


def test_a_task_is_due_where_its_owner_works(state):
    """Salesforce has only a day of it: that of UTC would be tomorrow for who works in the evening of Los Angeles."""
    ann = {"email": "ann@acme.example", "timezone": "America/Los_Angeles"}
    pool = {"name": "sales", "members": [ann, "bob@acme.example"]}
    hubspot, by = hot(), settings("hand_off", owner_pool=[pool], sla={"within": "17h"})
    run(state, hubspot, by=by)
    (task,) = hubspot.tasks.values()
    assert (task.due, task.due.isoformat()) == (hours(17), f"{hours(9):%Y-%m-%dT%H:%M:%S}-08:00")
    assert f"get in touch by {hours(9):%Y-%m-%d %H:%M} (PST)" in task.body
