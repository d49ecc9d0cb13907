"""What a CRM ties to an address alone stays with the record that it was stored for, as long as that one lives."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from crmsync.model import Page
from crmsync.store import full_pull, schema
from crmsync.store.activities import save_activities
from tests.support.make import activity, contact
from tests.support.runs import VARIABLES, Runs
from tests.support.state import rows, save

X, Y = contact(1), contact(2)


def sent(number, of):
    return replace(activity(number, of), by_address=True)


def come(state, *items):
    with state.begin() as tx:
        save_activities(tx, items)


def whose(state):
    with state.read() as reading:
        found = select(schema.record.c.ref_id, schema.activity.c.id).join(
            schema.activity, schema.activity.c.record == schema.record.c.id
        )
        return sorted((ref_id, activity_id.partition(":")[2]) for ref_id, activity_id in reading.execute(found))


def test_what_nobody_has_the_address_of_any_more_is_there_still(state):
    save(state, X, Y)
    come(state, sent(1, X), sent(2, X), sent(3, Y))
    with state.begin() as tx:
        full_pull.begin_tracking(tx, "hubspot", "full:activities")
        page = Page([sent(3, Y)], "1", frozenset({"form_submitted:"}), nobodys=frozenset({"form_submitted:1"}))
        save_activities(tx, page.items)
        assert full_pull.compare_page(tx, "hubspot", "full:activities", page) == []
    assert whose(state) == [("1", "1"), ("2", "3")]


def test_somebody_else_who_has_the_address_now_gets_what_is_new(state):
    save(state, X, Y)
    come(state, sent(1, X))
    come(state, sent(1, Y), sent(2, Y))
    assert whose(state) == [("1", "1"), ("2", "2")]


@pytest.mark.parametrize("how", ["deleted", "only its activities were seen"])
def test_of_a_record_that_is_not_there_it_goes_to_whoever_has_the_address(state, how):
    save(state, Y)
    come(state, sent(1, X))
    if how == "deleted":
        save(state, X)
        save(state, replace(X, gone=True))
    come(state, sent(1, Y))
    assert whose(state) == [("2", "1")]


def test_what_the_crm_itself_moves_to_another_record_moves(state):
    save(state, X, Y)
    come(state, activity(1, X))
    come(state, activity(1, Y))
    assert whose(state) == [("2", "1")]


def test_a_merge_takes_it_to_the_survivor_and_an_erasure_away(state):
    survivor = contact(3, aliases=("1",))
    save(state, X, Y)
    come(state, sent(1, X))
    save(state, survivor)
    come(state, sent(1, Y))
    assert whose(state) == [("3", "1")]
    save(state, replace(survivor, gone=True, erased=True))
    assert whose(state) == []


def test_a_form_counts_on_after_somebody_corrected_the_address(sandbox, tmp_path, monkeypatch):
    for variable, value in VARIABLES.items():
        monkeypatch.setenv(f"CRMSYNC_{variable}", value)
    sandbox.do("hubspot", "issue_token", token=VARIABLES["HUBSPOT__TOKEN"])
    runs = Runs(sandbox, tmp_path)

    def create(email):
        return runs.do("hubspot", "create", properties={"email": email})["id"]

    def forms(contact_id):
        row = next(each["id"] for each in runs.rows() if each["ref_id"] == contact_id)
        facts = {each["id"] for each in rows(runs.state, schema.fact) if each["kind"] == "form_submitted"}
        return [
            each["id"] for each in rows(runs.state, schema.activity) if each["record"] == row and each["fact"] in facts
        ]

    first = create("typo@firm.example")
    runs.do("hubspot", "add_activity", id=first, kind="form_submitted", attributes={"form": "Contact us"})
    runs.run("hubspot")
    (known,) = forms(first)
    assert known.startswith("forms:")
    runs.do("hubspot", "update", id=first, properties={"email": "right@firm.example"})
    for full in (False, True, True):
        runs.run("hubspot", full=full)
        assert forms(first) == [known]
    other = create("typo@firm.example")
    runs.do("hubspot", "add_activity", id=other, kind="form_submitted", attributes={"form": "Contact us"})
    for full in (False, True):
        runs.run("hubspot", full=full)
        assert forms(first) == [known]
        assert len(forms(other)) == 1
    runs.do("hubspot", "gdpr_delete", id=first)
    runs.run("hubspot", full=True)
    assert forms(first) == []
    runs.state.close()
