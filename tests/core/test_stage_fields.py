"""Why people are in their stage and since when, as the CRMs are told."""

import json
from contextlib import closing
from datetime import timedelta

from rich.console import Console
from sqlalchemy import update

from crmsync.reporting.documents import check_document
from crmsync.reporting.person import explain_person
from crmsync.reporting.print_person import print_explanation
from crmsync.store import schema
from tests.support.cycles import ADA, DAYS, NEVER_FADES, edit, hot, run
from tests.support.make import NOW, activity, config, contact, crm, store

MAPPED = (
    NEVER_FADES
    + """
stage_reason = { hubspot = "crmsync_stage_reason", salesforce = "Crmsync_Stage_Reason__c" }
stage_since = { hubspot = "crmsync_stage_since", salesforce = "Crmsync_Stage_Since__c" }
"""
)
EXIT = 'exit = { field = "employees", lt = 50 }\nvalues = { hubspot = "marketingqualifiedlead"'
LEAVING = MAPPED.replace('values = { hubspot = "marketingqualifiedlead"', EXIT)


def told(of, ref=ADA):
    held = of.records[ref]
    return held.stage, held.current.get("stage_reason"), held.current.get("stage_since")


def opened(folder, name):
    (folder / name).mkdir()
    return closing(store(folder / name))


def planned(ran):
    return sum(counts.planned for counts in ran.crms.values())


def test_the_reason_and_the_day_of_a_stage_are_written_with_it_and_not_again(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], model=MAPPED)
    assert told(hubspot) == ("mql", "enters mql: the band is mql", "2026-11-21")
    written = len(hubspot.writes)
    for day in (1, 2, 5):
        edit(hubspot, ADA, name=f"Ada {day}")
        assert planned(run(state, hubspot, at=DAYS[day], model=MAPPED)) == 0
    assert len(hubspot.writes) == written


def test_nothing_is_written_where_the_fields_are_not_mapped(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    assert told(hubspot) == ("mql", None, None)


def test_another_score_in_the_same_stage_changes_neither(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], model=MAPPED)
    edit(hubspot, ADA, fields={"title": "Clerk", "employees": 5})
    assert planned(run(state, hubspot, at=DAYS[1], model=MAPPED)) == 1
    assert hubspot.records[ADA].current["band"] != "mql"
    assert told(hubspot) == ("mql", "enters mql: the band is mql", "2026-11-21")


def test_the_day_is_that_of_the_time_zone_of_the_schedule(state):
    hubspot = hot()
    run(state, hubspot, at=NOW + timedelta(hours=13), model=MAPPED, schedule={"timezone": "America/New_York"})
    assert told(hubspot)[2] == "2026-11-21"


def test_a_stage_that_a_user_set_says_so_with_the_day(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], model=MAPPED)
    edit(hubspot, ADA, stage="lead")
    run(state, hubspot, at=DAYS[3], model=MAPPED)
    assert told(hubspot) == ("lead", "set by a user", "2026-11-24")
    for day in (4, 9):
        assert planned(run(state, hubspot, at=DAYS[day], model=MAPPED)) == 0
    run(state, hubspot, at=DAYS[18], model=MAPPED)  # the override has ended
    assert told(hubspot) == ("mql", "enters mql: the band is mql", "2026-12-09")


def test_whom_the_crm_itself_took_further_has_that_as_the_reason(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], model=MAPPED)
    edit(hubspot, ADA, stage="customer")
    run(state, hubspot, at=DAYS[1], model=MAPPED)
    assert told(hubspot) == ("customer", "the CRM itself gives the stage customer", "2026-11-22")
    assert planned(run(state, hubspot, at=DAYS[2], model=MAPPED)) == 0


def test_a_stage_from_before_crmsync_has_no_day(state):
    hubspot = hot()
    edit(hubspot, ADA, fields={})
    run(state, hubspot, at=DAYS[0], model=MAPPED)
    assert told(hubspot) == ("lead", "it was the stage when crmsync began", None)
    assert planned(run(state, hubspot, at=DAYS[1], model=MAPPED)) == 0


def test_who_leaves_a_stage_reads_why(state):
    hubspot = hot()
    forward = {"hubspot": {"backward_stages": False}}
    run(state, hubspot, at=DAYS[0], model=LEAVING, **forward)
    edit(hubspot, ADA, fields={"title": "VP Sales", "employees": 5})
    run(state, hubspot, at=DAYS[1], model=LEAVING, **forward)
    stage, reason, since = told(hubspot)
    assert (stage, since) == ("mql", "2026-11-21")  # HubSpot keeps it
    assert reason.startswith("lead: leaves mql: employees is")
    assert reason.endswith("; back to lead; hubspot moves stages only forward")
    for day in (2, 3):
        edit(hubspot, ADA, name=f"Ada {day}")
        assert planned(run(state, hubspot, at=DAYS[day], model=LEAVING, **forward)) == 0


def test_where_stages_go_back_the_new_one_has_the_reason_and_the_day(state):
    hubspot = crm("salesforce")
    lead = contact("1", "salesforce", "lead", fields={"title": "VP", "employees": 500}, stage="lead")
    hubspot.edit(lead)
    hubspot.happen(activity(1, lead))
    run(state, hubspot, at=DAYS[0], model=LEAVING)
    edit(hubspot, lead.ref, fields={"title": "VP", "employees": 5})
    run(state, hubspot, at=DAYS[1], model=LEAVING)
    stage, reason, since = told(hubspot, lead.ref)
    assert (stage, since) == ("lead", "2026-11-22")
    assert reason.startswith("leaves mql: ")
    assert planned(run(state, hubspot, at=DAYS[2], model=LEAVING)) == 0


def test_a_stage_that_the_crm_refused_has_no_reason_beside_the_old_one(state):
    hubspot = hot()
    hubspot.refusing[ADA] = "locked"
    for day in range(3):
        run(state, hubspot, at=DAYS[day], model=MAPPED)
    assert told(hubspot) == ("lead", None, None)
    hubspot.refusing.clear()
    edit(hubspot, ADA, name="Ada")
    run(state, hubspot, at=DAYS[4], model=MAPPED)
    assert told(hubspot)[0:2] == ("mql", "enters mql: the band is mql")
    assert planned(run(state, hubspot, at=DAYS[5], model=MAPPED)) == 0


def test_a_lost_state_finds_both_in_the_crm(tmp_path):
    hubspot = hot()
    with opened(tmp_path, "one") as first:
        run(first, hubspot, at=DAYS[0], model=MAPPED)
    before = told(hubspot)
    with opened(tmp_path, "two") as second:
        assert planned(run(second, hubspot, at=DAYS[9], model=MAPPED)) == 0
    assert told(hubspot) == before


def test_a_state_of_an_earlier_version_keeps_the_day_that_it_decided(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    with state.begin() as tx:
        tx.execute(update(schema.person).values(stage_reason="", stage_entered=None))
    run(state, hubspot, at=DAYS[5], model=MAPPED)
    assert told(hubspot) == ("mql", "stays mql: the band is mql", "2026-11-21")
    assert planned(run(state, hubspot, at=DAYS[6], model=MAPPED)) == 0


def test_explain_says_both_and_excluded_people_lose_them_where_asked(state, capsys):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], model=MAPPED)
    said = explain_person(config(MAPPED), state, "ada@x.example", DAYS[1])
    check_document("explain", json.loads(json.dumps(said)))
    assert said["lifecycle"]["reason"] == "enters mql: the band is mql"
    assert said["lifecycle"]["entered"] == NOW.isoformat()
    print_explanation(Console(width=200), said)
    assert "In mql since 2026-11-21 12:00 UTC: enters mql: the band is mql" in capsys.readouterr().out
    run(state, hubspot, at=DAYS[1], model=MAPPED, exclude={"domains": ["x.example"], "clear": True})
    assert told(hubspot) == ("mql", None, None)
