"""Meetings and calls as activities of whom they are associated with."""

from datetime import UTC, datetime

import pytest

from connectors.sandbox.faults import Fault
from crmsync.config.tables import Feed
from tests.support.hubspot import calls, create, hubspot, refused
from tests.support.pages import pulled
from tests.support.scoring import model, total


@pytest.mark.parametrize("count", [101, 501, 1_000])
def test_a_meeting_with_many_people_is_an_activity_of_each(sandbox, ready, count):
    sandbox.portal.switches.association_page = 100
    meeting = sandbox.do(
        "hubspot",
        "create",
        type="meetings",
        properties={"hs_timestamp": "2026-11-20T09:00:00Z", "hs_meeting_outcome": "COMPLETED"},
    )["id"]
    ids = [create(sandbox, email=f"guest{number}@acme.example") for number in range(count)]
    for contact_id in ids:
        sandbox.do("hubspot", "associate", type="meetings", id=meeting, to="contacts", other=contact_id)
    found = [each for each in pulled(ready.activities(None))[0] if each.id == f"meetings:{meeting}"]
    assert sorted(each.ref.id for each in found) == sorted(ids)


def test_a_meeting_that_is_called_off_is_no_activity_any_more(sandbox, ready):
    contact_id = create(sandbox, email="host@acme.example")
    meeting = sandbox.do(
        "hubspot",
        "create",
        type="meetings",
        properties={"hs_timestamp": "2026-11-20T09:00:00Z", "hs_meeting_outcome": "SCHEDULED"},
    )["id"]
    sandbox.do("hubspot", "associate", type="meetings", id=meeting, to="contacts", other=contact_id)
    sandbox.clock.advance(3600)
    found, cursor = pulled(ready.activities(None))
    assert [each.kind for each in found if each.id == f"meetings:{meeting}"] == ["meeting_booked"]
    sandbox.do("hubspot", "update", type="meetings", id=meeting, properties={"hs_meeting_outcome": "CANCELED"})
    assert [(each.id, each.gone) for each in pulled(ready.activities(cursor))[0]] == [(f"meetings:{meeting}", True)]


def test_a_deleted_call_is_gone(sandbox, ready):
    call = str(sandbox.portal.state.records["calls"].live[0])
    _, cursor = pulled(ready.activities(None))
    sandbox.do("hubspot", "archive", type="calls", id=call)
    sandbox.clock.advance(90_000)
    assert (f"calls:{call}", True) in {(each.id, each.gone) for each in pulled(ready.activities(cursor))[0]}


def test_an_old_call_that_gains_a_contact_counts_within_a_day(sandbox, ready):
    contact_id = create(sandbox, email="joined@acme.example")
    call = sandbox.do("hubspot", "create", type="calls", properties={"hs_timestamp": "2026-11-20T09:00:00Z"})["id"]
    _, cursor = pulled(ready.activities(None))
    sandbox.do("hubspot", "associate", type="calls", id=call, to="contacts", other=contact_id)
    sandbox.clock.advance(90_000)
    assert (f"calls:{call}", contact_id) in {(each.id, each.ref.id) for each in pulled(ready.activities(cursor))[0]}


def logged(sandbox, connector, kind, *many):
    """The activities that some records of a kind become, each about one contact."""
    contact_id = create(sandbox, email="reached@acme.example")
    ids = []
    for properties in many:
        fields = {"hs_timestamp": "2026-11-20T09:00:00Z", **properties}
        ids.append(sandbox.do("hubspot", "create", type=kind, properties=fields)["id"])
        sandbox.do("hubspot", "associate", type=kind, id=ids[-1], to="contacts", other=contact_id)
    found = {each.id: each for each in pulled(connector.activities(None))[0]}
    return [found.get(f"{kind}:{each}") for each in ids]


NO_ANSWER, VOICEMAIL = "73a0d17f-1163-4015-bdd5-ec830791da20", "b2cf5968-551e-4856-9783-52b3da59a7d0"
CONNECTED, OWN = "f240bbac-87c9-4f6e-bf70-924b57d47db7", "0a1b2c3d-0000-4000-8000-000000000001"


def test_case_A1_the_outcome_of_a_call_is_its_label_and_one_that_reached_nobody_is_no_call(sandbox, ready):
    sandbox.portal.switches.call_outcomes = {OWN: "Wants a quote"}
    done = [
        {"hs_call_status": "COMPLETED", "hs_call_disposition": each}
        for each in (NO_ANSWER, VOICEMAIL, CONNECTED.upper(), OWN, "")
    ]
    found = logged(sandbox, ready, "calls", *done, {"hs_call_status": "NO_ANSWER"})
    assert [(each.kind, each.attributes.get("outcome")) for each in found] == [
        ("call_attempted", "No answer"),
        ("call_attempted", "Left voicemail"),
        ("call_completed", "Connected"),
        ("call_completed", "Wants a quote"),
        ("call_completed", None),
        ("call_attempted", None),
    ]
    assert len(calls(sandbox, "dispositions")) == 1


def test_without_the_portals_outcomes_the_standard_ones_are_known(sandbox, ready):
    sandbox.faults.add(Fault(**refused(403, message="no"), path="dispositions"))
    (call, own) = logged(sandbox, ready, "calls", {"hs_call_disposition": NO_ANSWER}, {"hs_call_disposition": OWN})
    assert (call.kind, call.attributes["outcome"]) == ("call_attempted", "No answer")
    assert (own.kind, own.attributes["outcome"]) == ("call_completed", OWN)


@pytest.mark.parametrize("wanted", [CONNECTED, "Connected", ["!No answer", f"!{VOICEMAIL}"]])
def test_a_feed_asks_for_an_outcome_by_its_id_or_its_label(sandbox, wanted):
    feed = Feed(source="calls", kind="talked", where={"hs_call_disposition": wanted})
    done = [{"hs_call_disposition": each} for each in (NO_ANSWER, VOICEMAIL, CONNECTED)]
    found = logged(sandbox, hubspot(sandbox, activities=[feed]), "calls", *done)
    assert [each and each.kind for each in found] == [None, None, "talked"]


def test_an_idle_pull_does_not_ask_for_outcomes(sandbox, ready):
    sandbox.clock.advance(3600)
    _, cursor = pulled(ready.activities(None))
    sandbox.calls.clear()
    pulled(ready.activities(cursor))
    assert not calls(sandbox, "dispositions")


def test_case_S6_an_automatic_answer_is_no_reply(sandbox, ready):
    subjects = ["Automatic reply: Your demo", "自动回复: Re", "Re: Your demo", "Re: Automatic doors"]
    incoming = {"hs_email_direction": "INCOMING_EMAIL"}
    mails = [{**incoming, "hs_email_subject": each} for each in subjects]
    mails += [{**incoming, "hs_email_subject": "Re: Your demo", "hs_incoming_email_is_out_of_office": "true"}]
    mails += [
        {"hs_email_direction": "EMAIL", "hs_email_status": "SENT", "hs_email_subject": "Out of office: back soon"}
    ]
    found = logged(sandbox, ready, "emails", *mails)
    automatic, replied = "email_auto_replied", "email_replied"
    assert [each.kind for each in found] == [automatic, automatic, replied, replied, automatic, automatic]
    done = [{"kind": each.kind, "at": each.at, "attributes": dict(each.attributes)} for each in found]
    of = model(
        behavior=[{"name": "replied", "points": 20, "on": "email_replied"}],
        inactivity=[{"name": "silent", "points": -5, "after": "1d"}],
    )
    machines = [each for each in done if each["kind"] == automatic]
    assert total(of, machines) == 0
    assert total(of, done, now=datetime(2026, 11, 20, 12, tzinfo=UTC)) == 40


def test_a_feed_without_a_subject_knows_automatic_answers_all_the_same(sandbox):
    feed = Feed(source="emails", kind="email_replied", where={"hs_email_direction": "INCOMING_EMAIL"})
    mail = {"hs_email_direction": "INCOMING_EMAIL", "hs_email_subject": "Automatische Antwort: Ihre Demo"}
    (found,) = logged(sandbox, hubspot(sandbox, activities=[feed]), "emails", mail)
    assert (found.kind, found.attributes) == ("email_auto_replied", {})
