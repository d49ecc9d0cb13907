"""Stages through whole runs: who leaves one, where the CRM only moves forward, and cool-downs."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from crmsync.model import Ref
from crmsync.store import schema
from tests.support.cycles import DAYS, NEVER_FADES, edit, hot, run
from tests.support.make import MODEL, activity, config, contact, crm
from tests.support.state import rows

EXIT = """
exit = { field = "score", lt = 30 }
recycle = "nurture"
cool_down = "30d"
values = { hubspot = "marketingqualifiedlead\""""
LEAVING = NEVER_FADES.replace('\nvalues = { hubspot = "marketingqualifiedlead"', EXIT)
TRACKED = LEAVING + '\ntrack = { hubspot = "crmsync_track", salesforce = "Crmsync_Track__c" }\n'
LEAD = Ref("salesforce", "lead", "1")
ADA = Ref("hubspot", "contact", "1")
COLD = {"title": "Clerk", "employees": 5}
HOT = {"title": "VP Sales", "employees": 500}


def ada(of, ref, **values):
    """Ada in a CRM, an mql by her title and company."""
    given = {"emails": ("ada@x.example",), "fields": HOT, "stage": "lead", **values}
    made = contact(ref.id, ref.crm, ref.kind, **given)
    of.edit(made)
    return made


@pytest.fixture
def salesforce():
    made = crm("salesforce")
    made.happen(activity(1, ada(made, LEAD)))
    return made


def cool(of, ref):
    """The score falls so far that the exit holds: it is the demo alone that is left."""
    edit(of, ref, fields=COLD)


MODEL_OF_EXIT = LEAVING.replace("lt = 30", "lt = 40")
TRACKED_EXIT = TRACKED.replace("lt = 30", "lt = 40")


def person(state):
    (row,) = rows(state, schema.person)
    return row


def test_who_leaves_a_stage_goes_back_in_the_crm_and_onto_the_track(state, salesforce):
    run(state, salesforce, at=DAYS[0], model=TRACKED_EXIT)
    assert salesforce.records[LEAD].stage == "mql"
    assert "track" not in salesforce.records[LEAD].current
    cool(salesforce, LEAD)
    run(state, salesforce, at=DAYS[1], model=TRACKED_EXIT)
    assert salesforce.records[LEAD].stage == "lead"
    assert salesforce.records[LEAD].current["track"] == "nurture"
    row = person(state)
    assert (row["stage"], row["track"], row["stage_left"]) == ("lead", "nurture", "mql")
    assert row["stage_why"].startswith("leaves mql: ")
    assert row["stage_why"].endswith("; back to lead")
    for later in (DAYS[2], DAYS[3]):
        written = len(salesforce.writes)
        again = run(state, salesforce, at=later, model=TRACKED_EXIT)
        assert again.crms["salesforce"].planned == 0
        assert len(salesforce.writes) == written


def test_who_enters_again_leaves_the_track(state, salesforce):
    model = TRACKED_EXIT.replace('cool_down = "30d"\n', "")
    for day, fields in ((0, HOT), (1, COLD), (2, HOT)):
        edit(salesforce, LEAD, fields=fields)
        run(state, salesforce, at=DAYS[day], model=model)
    assert salesforce.records[LEAD].stage == "mql"
    assert "track" not in salesforce.records[LEAD].current
    assert person(state)["track"] == ""


@pytest.mark.parametrize("backward", [False, True])
def test_where_hubspot_only_moves_forward_its_value_stays_and_the_state_goes_on(state, backward):
    hubspot = hot()
    tables = {"hubspot": {"backward_stages": backward}}
    run(state, hubspot, at=DAYS[0], model=MODEL_OF_EXIT, **tables)
    assert hubspot.records[ADA].stage == "mql"
    cool(hubspot, ADA)
    run(state, hubspot, at=DAYS[1], model=MODEL_OF_EXIT, **tables)
    assert hubspot.records[ADA].stage == ("lead" if backward else "mql")
    row = person(state)
    assert row["stage"] == "lead"
    said = "stays mql: hubspot moves stages only forward (see [hubspot] backward_stages)"
    assert (said in row["stage_why"]) is not backward
    for later in (DAYS[2], DAYS[3]):
        again = run(state, hubspot, at=later, model=MODEL_OF_EXIT, **tables)
        assert again.crms["hubspot"].planned == 0
    assert person(state)["stage"] == "lead"
    edit(hubspot, ADA, name="Ada")  # they are decided about once more
    run(state, hubspot, at=DAYS[4], model=MODEL_OF_EXIT, **tables)
    assert (person(state)["stage"], said in person(state)["stage_why"]) == ("lead", not backward)


def test_a_record_of_the_other_crm_goes_back_with_its_person(state, salesforce):
    hubspot = hot()
    run(state, hubspot, salesforce, at=DAYS[0], model=MODEL_OF_EXIT)
    assert {hubspot.records[ADA].stage, salesforce.records[LEAD].stage} == {"mql"}
    cool(hubspot, ADA)
    cool(salesforce, LEAD)
    salesforce.happened.clear()
    run(state, hubspot, salesforce, at=DAYS[1], model=MODEL_OF_EXIT.replace("lt = 40", "lt = 70"))
    assert {hubspot.records[ADA].stage, salesforce.records[LEAD].stage} == {"lead"}


def test_a_cool_down_is_kept_across_runs_and_ends_by_itself(state, salesforce):
    run(state, salesforce, at=DAYS[0], model=MODEL_OF_EXIT)
    cool(salesforce, LEAD)
    run(state, salesforce, at=DAYS[1], model=MODEL_OF_EXIT)
    edit(salesforce, LEAD, fields=HOT)
    run(state, salesforce, at=DAYS[2], model=MODEL_OF_EXIT)
    assert salesforce.records[LEAD].current["score"] == 65
    assert salesforce.records[LEAD].stage == "lead"
    assert person(state)["stage_why"] == f"mql is not entered again before {DAYS[31]:%Y-%m-%d}"
    for later in (DAYS[3], DAYS[20], DAYS[31] - timedelta(minutes=1)):
        assert run(state, salesforce, at=later, model=MODEL_OF_EXIT).crms["salesforce"].planned == 0
    run(state, salesforce, at=DAYS[31], model=MODEL_OF_EXIT)
    assert salesforce.records[LEAD].stage == "mql"
    assert run(state, salesforce, at=DAYS[32], model=MODEL_OF_EXIT).crms["salesforce"].planned == 0


def test_a_user_may_put_somebody_back_within_the_cool_down_and_that_stays_so(state, salesforce):
    run(state, salesforce, at=DAYS[0], model=MODEL_OF_EXIT)
    cool(salesforce, LEAD)
    run(state, salesforce, at=DAYS[1], model=MODEL_OF_EXIT)
    edit(salesforce, LEAD, fields=HOT, stage="mql")
    for day in (2, 10, 17, 20, 33):
        run(state, salesforce, at=DAYS[day], model=MODEL_OF_EXIT)
        assert salesforce.records[LEAD].stage == "mql"
    assert person(state)["stage"] == "mql"


def test_a_user_who_keeps_somebody_in_a_stage_is_respected_for_a_time(state, salesforce):
    run(state, salesforce, at=DAYS[0], model=MODEL_OF_EXIT)
    edit(salesforce, LEAD, stage="lead")
    run(state, salesforce, at=DAYS[1], model=MODEL_OF_EXIT)
    edit(salesforce, LEAD, stage="mql")
    run(state, salesforce, at=DAYS[2], model=MODEL_OF_EXIT)
    cool(salesforce, LEAD)
    run(state, salesforce, at=DAYS[3], model=MODEL_OF_EXIT)
    assert salesforce.records[LEAD].stage == "mql"
    run(state, salesforce, at=DAYS[20], model=MODEL_OF_EXIT)
    assert salesforce.records[LEAD].stage == "lead"


def test_an_enter_condition_may_ask_for_more_than_a_band(state, salesforce):
    model = MODEL.replace(
        'band = "mql"\n', 'enter = { all = [{ field = "score", gte = 60 }, { field = "title", seniority = ["vp"] }] }\n'
    )
    edit(salesforce, LEAD, fields={**HOT, "title": "CEO"})
    run(state, salesforce, at=DAYS[0], model=model)
    assert (salesforce.records[LEAD].current["band"], salesforce.records[LEAD].stage) == ("mql", "lead")
    edit(salesforce, LEAD, fields=HOT)
    run(state, salesforce, at=DAYS[1], model=model)
    assert salesforce.records[LEAD].stage == "mql"


def test_a_stage_that_the_crm_itself_gave_is_neither_taken_back_nor_routed(state):
    hubspot = crm("hubspot")
    hubspot.happen(activity(1, ada(hubspot, ADA, stage="customer")))
    result = run(state, hubspot, at=DAYS[0], model=MODEL_OF_EXIT)
    record = hubspot.records[ADA]
    assert (record.stage, record.owner, record.current["score"]) == ("customer", None, 65)
    assert result.routing["in"] == result.routing["excluded"] == 1
    assert person(state)["owner_why"] == "not routed: the CRM itself gives the stage customer"


DID = 'enter = { field = "rules", has = "Demo requested" }\nexit = { field = "rules", has = "Pricing page viewed" }'


def test_a_stage_may_ask_what_somebody_did(state):
    asks = NEVER_FADES.replace('band = "mql"\n', f"{DID}\n")
    hubspot = hot()
    bo = contact(2, fields={"title": "VP Sales", "employees": 500}, stage="lead")
    hubspot.edit(bo)
    run(state, hubspot, at=DAYS[0], model=asks)
    assert (hubspot.records[ADA].stage, hubspot.records[bo.ref].stage) == ("mql", "lead")
    hubspot.happen(activity(9, hubspot.records[ADA], kind="page_viewed", url="https://x.example/pricing"))
    hubspot.happen(activity(10, bo))
    run(state, hubspot, at=DAYS[1], model=asks)
    assert hubspot.records[bo.ref].stage == "mql"
    assert rows(state, schema.person)[0]["stage"] == "lead"


def test_a_question_about_a_rule_that_is_not_there_is_refused():
    with pytest.raises(ValidationError, match="there is no rule 'Demo'; the rules are VP or above"):
        config(NEVER_FADES.replace('band = "mql"\n', 'enter = { field = "rules", has = "Demo" }\n'))
