"""A field that a CRM does not let us edit: each run says so, and tries again as soon as its description allows it."""

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from crmsync.errors import Unavailable
from crmsync.model import Receipt
from crmsync.store import schema
from tests.support.cycles import ADA, DAYS, edit, held, hot, run
from tests.support.make import activity, contact, crm
from tests.support.state import rows

SOON = timedelta(minutes=15)
SAID = (
    "hubspot: the contact field crmsync_band (band) is on hold for 1 record since 2026-11-21 12:00 UTC, because "
    "crmsync's user cannot edit it; crmsync tries again when it can"
)


def band(hubspot):
    return hubspot.records[ADA].current.get("band")


def holds(ran):
    return [each for each in ran.notes if " on hold " in each]


@pytest.fixture
def hubspot():
    made = hot()
    made.read_only = {"contact": {"band"}}
    return made


def test_W12_each_run_says_which_field_is_on_hold_since_when_and_when_it_is_tried_again(state, hubspot):
    first = run(state, hubspot, at=DAYS[0])
    assert (first.crms["hubspot"].partly, band(hubspot)) == (1, None)
    for number in range(1, 200, 40):  # more than a day
        quiet = run(state, hubspot, at=DAYS[0] + number * SOON)
        assert holds(quiet) == [SAID]
        assert (quiet.verdict, quiet.crms["hubspot"].planned) == ("ok", 0)


def test_W12_what_a_field_held_up_is_written_by_the_first_run_that_may_edit_it(state, hubspot):
    run(state, hubspot, at=DAYS[0])
    run(state, hubspot, at=DAYS[0] + SOON)
    hubspot.read_only = {}
    mended = run(state, hubspot, at=DAYS[0] + 2 * SOON)
    assert (mended.crms["hubspot"].updated, band(hubspot), holds(mended)) == (1, "mql", [])
    assert run(state, hubspot, at=DAYS[0] + 3 * SOON).crms["hubspot"].planned == 0


def test_W12_a_stage_that_could_not_be_edited_is_tried_again_as_soon(state, hubspot):
    hubspot.read_only = {"contact": {"stage"}}
    run(state, hubspot, at=DAYS[0])
    (said,) = holds(run(state, hubspot, at=DAYS[0] + SOON))
    assert said.startswith("hubspot: the contact field stage is on hold for 1 record since ")
    hubspot.read_only = {}
    run(state, hubspot, at=DAYS[0] + 2 * SOON)
    assert held(hubspot)["1"][1] == "mql"


def test_W12_where_nothing_but_that_field_is_wanted_it_waits_as_well(state, hubspot):
    hubspot.read_only = {}
    run(state, hubspot, at=DAYS[0])
    hubspot.read_only = {"contact": {"band"}}
    edit(hubspot, ADA, current={**hubspot.records[ADA].current, "band": "cold"})
    refused = run(state, hubspot, at=DAYS[1])
    assert (refused.crms["hubspot"].rejected, band(hubspot)) == (1, "cold")
    for number in (1, 2, 100):
        assert run(state, hubspot, at=DAYS[1] + number * SOON).crms["hubspot"].planned == 0
    hubspot.read_only = {}
    run(state, hubspot, at=DAYS[1] + 101 * SOON)
    assert band(hubspot) == "mql"


def test_W12_a_field_on_hold_costs_no_call_in_a_quiet_run(state, hubspot):
    hubspot.read_only = {}
    run(state, hubspot, at=DAYS[0])
    quiet = run(state, hubspot, at=DAYS[0] + SOON).crms["hubspot"].api_calls
    hubspot.read_only = {"contact": {"band"}}
    edit(hubspot, ADA, current={**hubspot.records[ADA].current, "band": "cold"})
    run(state, hubspot, at=DAYS[1])
    assert run(state, hubspot, at=DAYS[1] + SOON).crms["hubspot"].api_calls == quiet


def test_W12_a_field_that_is_described_as_editable_and_refused_is_tried_once_more_and_then_after_a_day(state, hubspot):
    hubspot.read_only = {}
    taken, tries = hubspot.write, []

    def write(changes, narrow=list):
        for receipt in taken(changes, narrow):
            tries.append(receipt.ref)
            hubspot.records[ADA].current.pop("band", None)
            rest = len(hubspot.writes[-1].after) > 1
            yield Receipt(receipt.ref, rest, reason="band: not editable", refused={"band": "not editable"})

    hubspot.write = write
    run(state, hubspot, at=DAYS[0])
    (told,) = holds(run(state, hubspot, at=DAYS[0] + SOON)) or [""]
    assert told == ""  # this run tries again
    told = holds(run(state, hubspot, at=DAYS[0] + 2 * SOON))
    assert len(tries) == 2
    assert told == [
        "hubspot: the contact field crmsync_band (band) is on hold for 1 record since 2026-11-21 12:15 UTC, because "
        "hubspot rejects it or does not keep it; crmsync tries again after 2026-11-22 12:15 UTC, or when the record "
        "changes"
    ]
    hubspot.write = taken
    run(state, hubspot, at=DAYS[1] + 2 * SOON)
    assert band(hubspot) == "mql"


def test_W12_what_another_tool_keeps_changing_back_is_not_said_to_be_rejected_alone(state, hubspot):
    hubspot.read_only = {}
    for number in range(6):
        ran = run(state, hubspot, at=DAYS[0] + number * SOON)
        edit(hubspot, ADA, current={**hubspot.records[ADA].current, "band": "cold"})
    (told,) = holds(ran)
    assert "hubspot rejects it or does not keep it" in told


def test_W12_a_field_beside_one_that_is_refused_for_another_reason_is_written_as_soon_as_it_can_be(state, hubspot):
    taken, tries = hubspot.write, []

    def write(changes, narrow=list):
        for change in narrow(changes):
            tries.append(set(change.after))
            after = {name: value for name, value in change.after.items() if name != "stage"}
            told = list(taken([replace(change, after=after)])) if after else []
            refused = {**(told[0].refused if told else {}), **({"stage": "a rule"} if "stage" in change.after else {})}
            yield Receipt(change.ref, bool(set(change.after) - set(refused)), reason="a rule", refused=refused)

    hubspot.write = write
    for number in range(4):
        run(state, hubspot, at=DAYS[0] + number * SOON)
    assert orjson.loads(rows(state, schema.record)[0]["on_hold"])["after"] == {"band": "mql", "stage": "mql"}
    waited = len(tries)
    hubspot.read_only = {}
    for number in range(4, 9):
        run(state, hubspot, at=DAYS[0] + number * SOON)
    assert band(hubspot) == "mql"
    assert len(tries) == waited + 1


def test_W12_records_of_a_field_are_counted_in_one_sentence(state, hubspot):
    for number in (2, 3):
        other = contact(number, fields={"title": "VP Sales", "employees": 500}, stage="lead")
        hubspot.edit(other)
        hubspot.happen(activity(number, other))
    run(state, hubspot, at=DAYS[0])
    assert holds(run(state, hubspot, at=DAYS[0] + SOON)) == [SAID.replace("1 record", "3 records")]
    assert all(row["on_hold"] for row in rows(state, schema.record))


def test_W12_a_run_that_skips_the_crm_does_not_begin_anew_with_what_waits_there(state, hubspot):
    salesforce = crm("salesforce")
    salesforce.edit(contact(1, "salesforce", "lead"))
    run(state, hubspot, salesforce, at=DAYS[0])
    run(state, hubspot, salesforce, at=DAYS[0] + SOON)

    def is_gone(_cursor):
        raise Unavailable("hubspot", "it does not answer")

    hubspot.contacts = is_gone
    assert run(state, hubspot, salesforce, at=DAYS[0] + 2 * SOON).skipped
    del hubspot.contacts
    back = run(state, hubspot, salesforce, at=DAYS[0] + 3 * SOON)
    assert (back.crms["hubspot"].planned, holds(back)) == (0, [SAID])
