"""A field that a CRM no longer shows is no zero: what was known of it holds, in both CRMs and in the score."""

import threading
from datetime import timedelta

import pytest

from crmsync.config import connectors, load
from crmsync.cycle import run_cycle
from crmsync.store import schema
from crmsync.store.cursors import StoredNotes
from crmsync.work import Work
from tests.support.demo import SECRETS, write_config
from tests.support.make import contact, store
from tests.support.state import rows, save

MORE_CONFIG = "\n[account]\n"
"""Whose account a contact is of is read, too."""


def test_R33_what_was_known_of_a_field_that_is_not_shown_holds(state):
    save(state, contact(1, fields={"title": "VP", "employees": 10}))
    save(state, contact(1, fields={"employees": 20}, unread=frozenset({"title"})))
    assert rows(state, schema.record)[0]["fields"] == '{"employees":20,"title":"VP"}'
    save(state, contact(1, fields={"employees": 20}))
    assert rows(state, schema.record)[0]["fields"] == '{"employees":20}'


@pytest.mark.parametrize(
    ("crm", "action", "hidden"),
    [
        ("hubspot", "hide_property", {"property": "jobtitle"}),
        ("salesforce", "hide_field", {"object": "Lead", "field": "Title"}),
        ("salesforce", "hide_field", {"object": "Lead", "field": "Title", "listed": True}),
    ],
)
def test_R33_scores_stay_when_a_crm_hides_a_field(sandbox, now, tmp_path, monkeypatch, crm, action, hidden):
    state = store(tmp_path)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    config = load(write_config(tmp_path, sandbox.url, ["a@x.example"]))

    def one_cycle(at, **how):
        made = connectors()[crm].connect(
            config.crms[crm], config.field_map(crm), StoredNotes(state, crm), threading.Event()
        )
        made.create_fields()
        result = run_cycle(Work(config, state, {crm: made}, at), **how)
        made.close()
        return result

    one_cycle(now)
    before = totals(state)
    assert len(set(before.values())) > 5
    sandbox.do(crm, action, **hidden)
    again = one_cycle(now + timedelta(minutes=5), full=True)
    assert totals(state) == before
    assert again.crms[crm].planned == 0
    assert sum("last known values" in each for each in again.problems) == 1
    state.close()


def test_R33_what_only_queries_refuse_is_told_once_in_each_run_and_scores_stay(sandbox, now, tmp_path, monkeypatch):
    state = store(tmp_path)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    config = load(write_config(tmp_path, sandbox.url, ["a@x.example"]))
    crm = connectors()["salesforce"].connect(
        config.crms["salesforce"], config.field_map("salesforce"), StoredNotes(state, "salesforce"), threading.Event()
    )
    crm.create_fields()
    run_cycle(Work(config, state, {"salesforce": crm}, now))
    before = totals(state)
    sandbox.do("salesforce", "hide_field", object="Lead", field="Title", listed=True)
    for minutes in (2, 4):
        result = run_cycle(Work(config, state, {"salesforce": crm}, now + timedelta(minutes=minutes)), full=True)
        assert [("Lead.Title" in each) for each in result.problems] == [True]
        assert "salesforce: Lead.Title (the field 'title') is described" in result.problems[0]
        assert result.verdict == "partial"
        assert totals(state) == before
    crm.close()
    state.close()


@pytest.mark.parametrize(
    ("crm", "action", "shown", "hidden"),
    [
        ("hubspot", "hide_property", "show_property", {"property": "email"}),
        ("hubspot", "hide_property", "show_property", {"property": "hubspot_owner_id"}),
        ("salesforce", "hide_field", "show_field", {"object": "Lead", "field": "Email"}),
        ("salesforce", "hide_field", "show_field", {"object": "Contact", "field": "AccountId"}),
    ],
)
def test_R33_what_tells_who_and_whose_somebody_is_is_not_taken_for_empty(runs, crm, action, shown, hidden):
    runs.run("hubspot", "salesforce")
    before = identities(runs)
    runs.do(crm, action, **hidden)
    for full in (False, True):
        result = runs.run("hubspot", "salesforce", full=full)
        assert list(result.skipped) == [crm]
        assert hidden.get("field", hidden.get("property")) in result.skipped[crm]
        assert identities(runs) == before
    made = runs.connect(crm)
    assert any(each in result.skipped[crm] for each in made.check().problems)
    made.close()
    runs.do(crm, shown, **hidden)
    assert not runs.run("hubspot", "salesforce").skipped
    assert identities(runs) == before


def identities(runs):
    """Who and whose each record is, as the state has it."""
    wanted = ("emails", "person", "ambiguous", "owner", "company")
    return {(each["crm"], each["ref_id"]): [each[name] for name in wanted] for each in runs.rows()}


def totals(state):
    return {row["id"]: row["total"] for row in rows(state, schema.person)}
