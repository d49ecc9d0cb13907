"""Hand-offs and touches as runs store them, and what is told of those who were not contacted in time."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError
from rich.console import Console
from sqlalchemy import event

from crmsync.cycle import preview_run, run_cycle
from crmsync.model import TOUCHES, Activity
from crmsync.reporting.documents import check_document
from crmsync.reporting.person import explain_person
from crmsync.reporting.print_person import print_explanation
from crmsync.reporting.print_status import print_status
from crmsync.reporting.status import status_document
from crmsync.store.hand_offs import latest_hand_offs
from tests.support.cycles import ADA, NEVER_FADES, balanced, edit, hot
from tests.support.make import NOW, activity, config, contact, crm, work

SETTINGS = config(NEVER_FADES, sla={"within": "4h"})


def hours(number):
    return NOW + timedelta(hours=number)


def run(state, *crms, at=0.0, settings=SETTINGS):
    return balanced(run_cycle(work(state, *crms, now=hours(at), settings=settings)))


def touch(of, at, kind="call_completed", ref=ADA, owner=None):
    of.happen(Activity(ref, f"{kind}:{at}", kind, hours(at), {}, owner=owner))


def sla(state, at, settings=SETTINGS):
    said = status_document(settings, state, hours(at))
    check_document("status", json.loads(json.dumps(said)))
    return said["sla"]


def explained(state, at, settings=SETTINGS):
    return explain_person(settings, state, "ada@x.example", hours(at))["sla"]


def test_nobody_in_touch_is_a_breach_after_the_time_and_not_at_its_end(state):
    run(state, hot())
    assert (sla(state, 4)["open"], sla(state, 4)["breached"]) == (1, 0)
    said = sla(state, 4.01)
    assert (said["open"], said["touched"], said["breached"]) == (1, 0, 1)
    assert said["breaches"] == [
        {
            "person": 1,
            "name": "ada@x.example",
            "owner": "ann@acme.example",
            "stage": "mql",
            "handed_off": NOW.isoformat(),
            "due": hours(4).isoformat(),
        }
    ]
    assert explained(state, 4.01) == {"due": hours(4).isoformat(), "touched": None, "breached": True}


@pytest.mark.parametrize("kind", TOUCHES)
def test_each_kind_of_touch_counts_once_it_has_come(state, kind):
    hubspot = hot()
    run(state, hubspot)
    touch(hubspot, 2, kind)
    run(state, hubspot, at=3)
    said = sla(state, 48)
    assert (said["open"], said["touched"], said["breached"]) == (0, 1, 0)
    assert said["speed_to_lead"] == [
        {"owner": "ann@acme.example", "leads": 1, "median_minutes": 120.0, "p90_minutes": 120.0}
    ]
    assert explained(state, 48)["touched"] == hours(2).isoformat()


@pytest.mark.parametrize(
    ("kind", "at"), [("email_opened", 2), ("note_logged", 2), ("call_completed", -1), ("call_completed", 50)]
)
def test_other_activity_earlier_touches_and_those_to_come_do_not_count(state, kind, at):
    hubspot = hot()
    touch(hubspot, at, kind)
    run(state, hubspot)
    assert sla(state, 5)["breached"] == 1


def test_the_first_touch_counts_and_a_late_one_stays_late(state):
    hubspot = hot()
    run(state, hubspot)
    for at in (9, 5):
        touch(hubspot, at)
    run(state, hubspot, at=10)
    assert explained(state, 10) == {"due": hours(4).isoformat(), "touched": hours(5).isoformat(), "breached": True}
    assert sla(state, 10)["breached"] == 1


def test_a_touch_of_another_record_of_the_person_counts(state):
    hubspot, salesforce = hot(), crm("salesforce")
    lead = contact("00Q1", "salesforce", "lead", emails=("ada@x.example",))
    salesforce.edit(lead)
    run(state, hubspot, salesforce)
    touch(salesforce, 1, ref=lead.ref)
    run(state, hubspot, salesforce, at=2)
    assert sla(state, 5)["touched"] == 1


@pytest.mark.parametrize(
    ("owner", "touched"), [("hubspot-ann", 1), (None, 1), ("hubspot-bob", 0), ("hubspot-eve", 0), ("somebody-else", 0)]
)
def test_a_touch_counts_where_the_owner_made_it_or_the_crm_does_not_say_who(state, owner, touched):
    hubspot = hot()
    run(state, hubspot)
    assert hubspot.records[ADA].owner == "hubspot-ann"
    touch(hubspot, 2, owner=owner)
    run(state, hubspot, at=3)
    said = sla(state, 5)
    assert (said["touched"], said["breached"]) == (touched, 1 - touched)
    assert explained(state, 5)["touched"] == (hours(2).isoformat() if touched else None)


def test_the_first_touch_is_the_owners_own_in_whatever_crm(state):
    hubspot, salesforce = hot(), crm("salesforce")
    lead = contact("00Q1", "salesforce", "lead", emails=("ada@x.example",))
    salesforce.edit(lead)
    run(state, hubspot, salesforce)
    touch(hubspot, 1, owner="hubspot-bob")
    touch(salesforce, 2, ref=lead.ref, owner="hubspot-ann")  # of another CRM, where she is nobody
    touch(salesforce, 3, ref=lead.ref, owner="salesforce-ann")
    run(state, hubspot, salesforce, at=4)
    assert explained(state, 5)["touched"] == hours(3).isoformat()


def test_a_touch_by_the_owner_of_another_person_is_none(state):
    hubspot = crowd(state, 2)
    owners = [hubspot.records[contact(number).ref].owner for number in (1, 2)]
    assert owners[0] != owners[1]
    for number in (1, 2):
        touch(hubspot, number, ref=contact(number).ref, owner=owners[0])
    run(state, hubspot, at=3)
    assert [each["owner"] for each in sla(state, 5)["speed_to_lead"]] == [
        each.email.lower() for each in hubspot.people if each.id == owners[0]
    ]
    assert sla(state, 5)["touched"] == 1


def test_whose_an_activity_is_may_change_and_moves_no_score(state):
    hubspot = hot()
    run(state, hubspot)
    touch(hubspot, 1, owner="hubspot-bob")
    run(state, hubspot, at=2)
    for at, owner, touched in ((3, "hubspot-ann", 1), (4, "hubspot-bob", 0), (5, None, 1)):
        touch(hubspot, 1, owner=owner)
        assert run(state, hubspot, at=at).crms["hubspot"].rescored == 0
        assert sla(state, 6)["touched"] == touched
    assert [feed["activities"] for feed in feeds_of(state) if feed["kind"] == "call_completed"] == [1]


def feeds_of(state):
    return status_document(SETTINGS, state, hours(6), feeds=True)["feeds"]


def test_with_reroute_a_call_by_somebody_else_keeps_nobody(state):
    hubspot, settings = hot(), config(NEVER_FADES, sla={"within": "4h", "reroute": True})
    run(state, hubspot, settings=settings)
    touch(hubspot, 1, owner="hubspot-eve")
    run(state, hubspot, at=5, settings=settings)
    assert hubspot.records[ADA].owner == "hubspot-bob"


def test_the_time_begins_with_the_latest_hand_off(state):
    hubspot = hot()
    run(state, hubspot)
    touch(hubspot, 1)
    hubspot.people = [replace(each, active=each.email != "ann@acme.example") for each in hubspot.people]
    run(state, hubspot, at=10)
    assert hubspot.records[ADA].owner == "hubspot-bob"
    said = explained(state, 11)
    assert said == {"due": hours(14).isoformat(), "touched": None, "breached": False}


def test_the_time_begins_when_the_crm_takes_the_owner(state):
    hubspot = hot()
    hubspot.refusing[ADA] = "locked"
    run(state, hubspot)
    assert sla(state, 5)["open"] == 0  # nobody owns her yet
    hubspot.refusing.clear()
    edit(hubspot, ADA, name="Ada")
    run(state, hubspot, at=24 * 8)
    assert explained(state, 24 * 8 + 1)["due"] == hours(24 * 8 + 4).isoformat()


def test_whom_a_user_took_over_is_not_waited_for(state):
    hubspot = hot()
    run(state, hubspot)
    edit(hubspot, ADA, owner="hubspot-bob")
    run(state, hubspot, at=1)
    assert sla(state, 5)["open"] == 0
    assert explained(state, 5) is None


def test_whoever_is_left_out_or_gone_is_not_waited_for(state):
    hubspot = hot()
    run(state, hubspot)
    out = config(NEVER_FADES, sla={"within": "4h"}, exclude={"domains": ["x.example"]})
    run(state, hubspot, at=1, settings=out)
    assert sla(state, 5, out)["open"] == 0
    run(state, hubspot, at=2)
    assert sla(state, 5)["open"] == 1
    edit(hubspot, ADA, gone=True)
    run(state, hubspot, at=3)
    assert sla(state, 5)["open"] == 0


def test_other_stages_do_not_count(state):
    settings = config(NEVER_FADES, sla={"within": "4h", "stages": ["lead"]})
    run(state, hot(), settings=settings)
    assert sla(state, 5, settings)["open"] == 0
    assert explained(state, 5, settings) is None


def test_a_run_notes_who_was_not_contacted_until_somebody_does(state):
    hubspot, note = hot(), "1 person was not contacted within 4h: crmsync status"
    assert run(state, hubspot).notes == []
    assert run(state, hubspot, at=5).notes == [note]
    touch(hubspot, 5.5)
    assert run(state, hubspot, at=6).notes == []
    assert note not in preview_run(work(state, hubspot, now=hours(7), settings=SETTINGS)).notes


def test_health_stays_as_it_is(state):
    hubspot = hot()
    run(state, hubspot)
    settings = config(NEVER_FADES, sla={"within": "1s"})
    assert status_document(settings, state, hours(0.1))["sla"]["breached"] == 1
    assert status_document(settings, state, hours(0.1))["healthy"]


def test_without_sla_nothing_is_said(state):
    plain = config(NEVER_FADES)
    run(state, hot(), settings=plain)
    assert sla(state, 99, plain) is None
    assert explained(state, 99, plain) is None


def crowd(state, people):
    hubspot = crm("hubspot")
    for number in range(1, people + 1):
        each = contact(number, fields={"title": "VP", "employees": 500}, name=f"Person {number}")
        hubspot.edit(each)
        hubspot.happen(activity(number, each))
    run(state, hubspot)
    return hubspot


def test_five_are_named_to_people_and_fifty_to_scripts(state, capsys):
    hubspot = crowd(state, 60)
    touch(hubspot, 9, ref=contact(1).ref)
    run(state, hubspot, at=10)
    said = sla(state, 11)
    assert (len(said["breaches"]), said["breached"]) == (50, 60)
    # Those who still wait come first.
    assert "Person 1" not in [each["name"] for each in said["breaches"]]
    print_status(Console(width=300), status_document(SETTINGS, state, hours(11)))
    printed = capsys.readouterr().out
    assert "Not contacted within 4h: 60 people: Person 10 (ann@acme.example), Person 11 (" in printed
    assert "and 55 more" in printed
    print_explanation(Console(width=300), explain_person(SETTINGS, state, "person1@firm.example", hours(11)))
    assert (
        "To be contacted by 2026-11-21 16:00 UTC; contacted 2026-11-21 21:00 UTC, too late" in capsys.readouterr().out
    )


BY_SOURCE = NEVER_FADES.replace("[fields]", '[fields]\nsource = { hubspot = "hs_source", salesforce = "LeadSource" }')


def grouped(found, *names):
    return [tuple(each[name] for name in ("name", *names)) for each in found]


def test_the_speed_is_told_by_owner_by_band_at_the_hand_off_and_by_source(state):
    settings = config(BY_SOURCE, sla={"within": "4h"})
    hubspot = crm("hubspot")
    for number, source in enumerate(("Webinar", "Webinar", "Ads", None)):
        known = {"title": "VP", "employees": 500} | ({"source": source} if source else {})
        hubspot.edit(contact(number, fields=known, stage="lead"))
        hubspot.happen(activity(number, contact(number)))
    run(state, hubspot, settings=settings)
    for number, at in ((0, 1), (1, 3), (2, 9)):
        touch(hubspot, at, ref=contact(number).ref)
    # Their band is another one by now, which does not matter.
    edit(hubspot, contact(0).ref, fields={"title": "Clerk", "employees": 5, "source": "Webinar"})
    run(state, hubspot, at=10, settings=settings)
    said = sla(state, 11, settings)
    whole = ("open", "touched", "breached", "median_minutes", "p90_minutes")
    assert grouped(said["by_band"], *whole) == [("mql", 1, 3, 2, 180.0, 468.0)]
    assert grouped(said["by_source"], *whole) == [
        ("Webinar", 0, 2, 0, 120.0, 168.0),
        ("", 1, 0, 1, None, None),
        ("Ads", 0, 1, 1, 540.0, 540.0),
    ]
    assert grouped(said["by_owner"], "open", "touched") == [("ann@acme.example", 0, 2), ("bob@acme.example", 1, 1)]


def test_without_a_field_for_it_nothing_is_said_by_source(state):
    run(state, hot())
    said = sla(state, 5)
    assert (said["by_source"], len(said["by_owner"])) == ([], 1)


def test_the_source_of_the_crm_that_is_trusted_most_counts(state):
    settings = config(BY_SOURCE, sla={"within": "4h"}, identity={"source_of_truth": ["salesforce", "hubspot"]})
    hubspot, salesforce = hot(), crm("salesforce")
    edit(hubspot, ADA, fields={"title": "VP Sales", "employees": 500, "source": "Ads"})
    salesforce.edit(
        contact("00Q1", "salesforce", "lead", emails=("ada@x.example",), fields={"source": "Fair"}, stage="lead")
    )
    run(state, hubspot, salesforce, settings=settings)
    assert grouped(sla(state, 1, settings)["by_source"], "open") == [("Fair", 1)]


def test_the_speed_fits_into_eighty_columns_and_many_groups_are_summed_up(state, capsys):
    hubspot = crm("hubspot")
    settings = config(BY_SOURCE, sla={"within": "4h"})
    for number in range(13):
        fields = {"title": "VP", "employees": 500, "source": f"A campaign with quite a long name, number {number:02}"}
        hubspot.edit(contact(number, fields=fields))
        hubspot.happen(activity(number, contact(number)))
    run(state, hubspot, settings=settings)
    touch(hubspot, 1.25, ref=contact(0).ref)
    run(state, hubspot, at=2, settings=settings)
    print_status(Console(width=80), status_document(settings, state, hours(3)))
    printed = capsys.readouterr().out
    table = printed[printed.index("Speed to lead") : printed.index("\naccount")]
    assert max(map(len, table.splitlines())) <= 80
    assert " 1:15" in table
    assert "number 09" in table
    assert "number 10" not in table
    assert "And 3 other sources: see --json" in table


def statements(state, people):
    """The statements that a status makes for so many people."""
    crowd(state, people)
    seen = []
    event.listen(state.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    sla(state, 11)
    return len(seen)


def test_there_is_no_query_for_each_person(state):
    few = statements(state, 3)
    assert statements(state, 40) == few


def test_touches_are_found_by_record_and_not_among_all_activities(state):
    crowd(state, 3)
    with state.read() as reading:
        if reading.dialect.name != "sqlite":
            pytest.skip("what PostgreSQL does depends on how large tables are")
        seen = []
        event.listen(state.engine, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
        latest_hand_offs(reading, int(hours(1).timestamp() * 1000))
        query, values = seen[-1]
        plan = [row[3] for row in reading.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values)]
    found = [each for each in plan if "activity " in each]
    assert found
    assert all("ix_activity_record (record=? AND at>? AND at<?)" in each for each in found)
    assert not [each for each in plan if each.startswith("SCAN activity_owner")]
    assert not any(
        each.startswith("SCAN") and ("record" in each or "fact" in each or "change" in each) for each in plan
    )


@pytest.mark.parametrize(
    "table", [{"within": "0h"}, {"within": "4h", "reroute": "4h"}, {"within": "4h", "stages": ["x"]}, {}]
)
def test_a_mistake_in_the_table_is_told(table):
    with pytest.raises(ValidationError):
        config(NEVER_FADES, sla=table)


def test_the_table_decides_nothing():
    assert SETTINGS.decision_hash() == config(NEVER_FADES).decision_hash()
