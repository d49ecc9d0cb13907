"""A field that becomes read-only and editable again, in both CRMs over HTTP."""

import pytest

from crmsync.store import schema

LOCK = {
    "hubspot": [("lock_property", {"property": "crmsync_score"})],
    "salesforce": [
        ("hide_field", {"object": each, "field": "Crmsync_Score__c", "readable": True}) for each in ("Lead", "Contact")
    ],
}
UNLOCK = {
    "hubspot": [("lock_property", {"property": "crmsync_score", "locked": False})],
    "salesforce": [("show_field", {"object": each, "field": "Crmsync_Score__c"}) for each in ("Lead", "Contact")],
}


def act(runs, crm, steps):
    for action, body in steps[crm]:
        runs.do(crm, action, **body)


def on_hold(runs):
    return [row["ref_id"] for row in runs.rows() if row["on_hold"]]


def holds(ran):
    return [each for each in ran.notes if " on hold " in each]


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
def test_W12_a_field_that_is_editable_again_is_written_by_the_next_run_and_waiting_for_it_costs_no_call(runs, crm):
    act(runs, crm, LOCK)
    runs.run(crm)
    waiting = on_hold(runs)
    assert waiting
    assert set(runs.scores(crm).values()) <= {-1, None}
    runs.run(crm)
    quiet = runs.run(crm)
    assert quiet.crms[crm].planned == 0
    assert {each.split(" is on hold ")[0] for each in holds(quiet)} == {
        "hubspot: the contact field crmsync_score (score)" for _ in range(crm == "hubspot")
    } | {
        f"salesforce: the {kind} field Crmsync_Score__c (score)" for kind in ("lead", "contact") if crm == "salesforce"
    }
    act(runs, crm, UNLOCK)
    mended = runs.run(crm)
    assert on_hold(runs) == []
    assert mended.crms[crm].updated >= len(waiting)
    assert holds(mended) == []
    assert all(value not in (-1, None) for ref_id, value in runs.scores(crm).items() if ref_id in waiting)
    after = runs.run(crm)
    assert (after.crms[crm].planned, after.crms[crm].api_calls) == (0, quiet.crms[crm].api_calls)


def test_W12_a_property_that_became_read_only_since_it_was_described_is_tried_again_when_it_is_not(runs):
    """Its refusal by HubSpot, and not its description, is what puts it on hold."""
    runs.run("hubspot", act=lambda: act(runs, "hubspot", LOCK))
    assert on_hold(runs)
    assert any(row["refused"] != "{}" for row in runs.rows(schema.change))
    act(runs, "hubspot", UNLOCK)
    runs.run("hubspot")
    assert on_hold(runs) == []
