"""What people ask of the state, on both databases: who somebody is, why they have their score, how things stand."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from crmsync import doctor
from crmsync.cycle import preview_run, run_cycle
from crmsync.errors import ConfigError
from crmsync.model import Change, Ref
from crmsync.planning.review import changes_of, refusal_cause
from crmsync.reporting import person as explain
from crmsync.reporting import status as health
from crmsync.store import journal, run_journal, schema
from crmsync.store.database import held_by
from crmsync.store.queries import find_contacts
from tests.support import make


@pytest.fixture
def work(state):
    """Two CRMs and three people, pulled and scored: one in both CRMs and hot, one cold, one on a shared mailbox."""
    hubspot, salesforce = make.crm("hubspot"), make.crm("salesforce")
    hot = make.contact(1, name="Ann Able", fields={"title": "VP Sales", "employees": 900})
    twin = make.contact(2, "salesforce", "lead", emails=hot.emails, aliases=("00Q_old",))
    cold = make.contact(3, emails=("cold@firm.example",))
    shared = [make.contact(each, emails=("info@firm.example",)) for each in (4, 5)]
    for crm, records in ((hubspot, [hot, cold, *shared]), (salesforce, [twin])):
        for record in records:
            crm.edit(record)
    hubspot.happen(make.activity(1, hot))
    made = make.work(state, hubspot, salesforce)
    run_cycle(made)
    return made


def found(work, who):
    with work.store.read() as reading:
        return {each.person for each in find_contacts(reading, who)}


def test_somebody_is_found_by_whatever_they_are_known(work):
    for who in ("person1@firm.example", " Person1@FIRM.example ", "hubspot:contact:1", "salesforce:lead:2", "00Q_old"):
        (person,) = found(work, who)
        assert found(work, f"person:{person}") == {person}


def test_nobody_is_found(work):
    for who in ("nobody@firm.example", "hubspot:lead:1", "person:0", "%", "", "x:y", "9" * 30):
        assert found(work, who) == set()


def test_an_explanation_sums_to_the_total(work):
    said = explain.explain_person(work.config, work.store, "person1@firm.example", work.now)
    assert said["refs"] == ["hubspot:contact:1", "salesforce:lead:2"]
    assert said["name"] == "Ann Able"
    assert sum(Decimal(str(line["points"])) for line in said["lines"]) == said["total"] == said["written"]["total"]
    assert said["history"][0]["state"] == "updated"
    assert [each["delivery"] for each in said["records"]] == ["written", "written"]


def test_a_value_that_counts_as_unknown_is_told(work, monkeypatch):
    (hubspot,) = [each for each in work.crms.values() if each.name == "hubspot"]
    hubspot.edit(make.contact(3, emails=("cold@firm.example",), fields={"employees": 1e300}))
    later = work._replace(now=work.now + timedelta(minutes=15))
    run_cycle(later)
    said = explain.explain_person(later.config, later.store, "cold@firm.example", later.now)
    assert said["warnings"] == ["employees: the value is an impossibly large number, so it counts as unknown"]
    monkeypatch.setattr(doctor, "existing_state", lambda _config: nullcontext(later.store))
    odd = doctor.diagnose(later.config, later.now, None)["warnings"]
    assert "employees: 1 person has a value that is an impossibly large number; it counts as unknown" in odd


def test_an_explanation_of_what_cannot_be_told_apart(work):
    with pytest.raises(ConfigError, match="is not matched to a person"):
        explain.explain_person(work.config, work.store, "info@firm.example", work.now)


def test_an_explanation_of_several_names_them(work):
    with work.store.read() as reading:
        people = sorted(each for each in found(work, "person1@firm.example") | found(work, "cold@firm.example"))
        assert len(people) == 2
        hottest = explain.hottest_people(work.config, reading, work.now, 5)
    assert [each["person"] for each in hottest] == people
    assert "Demo requested" in hottest[0]["reason"]


def test_the_status_counts(work):
    said = health.status_document(work.config, work.store, work.now, feeds=True)
    assert said["crms"]["hubspot"]["records"] == 4
    assert said["crms"]["hubspot"]["not_matched"] == 2
    assert said["crms"]["salesforce"]["pending_updates"] == 0
    assert said["feeds"] == [
        {"crm": "hubspot", "kind": "form_submitted", "activities": 1, "last": "2026-11-20 12:00 UTC"}
    ]
    assert said["bands"] == {"cold": 1, "mql": 1}
    assert said["healthy"]
    assert "feeds" not in health.status_document(work.config, work.store, work.now)


def status(work, **over):
    return health.status_document(work.config, work.store, work.now + timedelta(**over))


def minutes(work, number, **over):
    return work._replace(now=work.now + timedelta(minutes=number), **over)


def test_a_plan_changes_nothing_in_the_status_but_that_it_was_made(work):
    before = status(work)
    dearer = make.config(make.MODEL.replace("mql = 50", "mql = 500"))
    assert preview_run(minutes(work, 1, config=dearer)).crms["hubspot"].planned == 1
    assert status(work) == before


def test_what_is_approved_and_not_written_is_listed_until_it_is_void(work):
    planned = preview_run(minutes(work, 1, config=make.config(make.MODEL.replace("mql = 50", "mql = 500"))))
    approved_at = minutes(work, 2).now
    assert status(work)["approved"] == []
    with work.store.begin() as tx:
        run_journal.approve_plan(tx, planned.run, minutes(work, 2).now_ms, "ann")
    (approved,) = status(work, minutes=3)["approved"]
    assert (approved["run"], approved["at"]) == (planned.run, approved_at.isoformat())
    assert approved["records"]["hubspot"]["records"] == 1
    assert status(work, days=2)["approved"] == []


def test_a_stage_that_the_config_does_not_name_is_told(work, monkeypatch):
    work.crms["hubspot"].edit(make.contact(3, emails=("cold@firm.example",), stage="Recycled"))
    later = minutes(work, 15)
    run_cycle(later)
    monkeypatch.setattr(doctor, "existing_state", lambda _config: nullcontext(later.store))
    notes = doctor.diagnose(later.config, later.now, None)["notes"]
    assert [each for each in notes if "has no [[stage]]" in each] == [
        "hubspot: 1 contact is in the stage Recycled, which has no [[stage]]; whether they move forward "
        "depends on the order of stages in the CRM"
    ]


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        (
            '[[stage]]\nname = "mql"',
            '[[stage]]\nname = "again"\nvalues = { hubspot = "Recycled" }\n\n[[stage]]\nname = "mql"',
            ["the stage again is new and not read yet; the next run does that: crmsync plan"],
        ),
        (
            'name = "lead"',
            'name = "fresh"',
            [
                "the stage fresh is new and not read yet; the next run does that: crmsync plan",
                "hubspot: 1 contact is in the stage Recycled, which has no [[stage]]; whether they move forward "
                "depends on the order of stages in the CRM",
            ],
        ),
    ],
    ids=["a new stage", "a stage of another name"],
)
def test_a_stage_that_was_named_since_the_last_run_is_not_read_yet(work, monkeypatch, written, instead, said):
    work.crms["hubspot"].edit(make.contact(3, emails=("cold@firm.example",), stage="Recycled"))
    work.crms["hubspot"].edit(make.contact(4, emails=("lead@firm.example",), stage="lead"))
    later = minutes(work, 15)
    run_cycle(later)
    monkeypatch.setattr(doctor, "existing_state", lambda _config: nullcontext(later.store))
    edited = make.config(make.MODEL.replace(written, instead, 1), hubspot={})
    notes = doctor.diagnose(edited, later.now, None)["notes"]
    assert [each for each in notes if "stage" in each and "[[route]]" not in each] == said


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        ("hubspot-ann", "the owner is active"),
        ("hubspot-eve", "the owner stays; the file has no [[route]]"),
        ("", "the file has no [[route]]"),
    ],
)
def test_an_explanation_says_why_an_owner_stays(work, owner, why):
    routes = make.MODEL[: make.MODEL.index("[[route]]")] + make.MODEL[make.MODEL.index("[fields]") :]
    later = minutes(work, 15, config=make.config(routes))
    work.crms["hubspot"].edit(make.contact(7, emails=("new@firm.example",), owner=owner, changed_at=later.now))
    run_cycle(later)
    said = explain.explain_person(later.config, later.store, "new@firm.example", later.now)
    assert said["owner_why"] == why


def test_an_explanation_calls_records_by_their_names(work):
    said = explained(work)
    work.crms["hubspot"].edit(make.contact(6, emails=("person1@firm.example",), name="Ann Able", changed_at=work.now))
    run_cycle(minutes(work, 15))
    said = explained(minutes(work, 16))
    assert "same owner as Ann Able (hubspot contact" in said["owner_why"]
    assert "hubspot:contact:" not in said["owner_why"]


def test_bands_are_what_the_crms_hold_and_what_waits_stands_beside(work):
    dearer = make.config(make.MODEL.replace("mql = 50", "mql = 500"), guard={"from_records": 1, "bands": 0.1})
    later = minutes(work, 15, config=dearer)
    assert run_cycle(later).held
    said = status(later)
    assert said["bands"] == {"cold": 1, "mql": 1}
    assert said["bands_waiting"] == {"warm": 1}
    assert said["crms"]["hubspot"]["pending_updates"] == 0
    assert said["waiting"][0]["kind"] == "config"
    assert any("another band" in each for each in said["waiting"][0]["reasons"])


def test_pending_updates_are_those_of_runs_and_each_counts_once(work):
    with work.store.begin() as tx:
        query = select(schema.record.c.id).where(schema.record.c.ref_id == "1")
        (row_id,) = tx.scalars(query)
        change = Change(Ref("hubspot", "contact", "1"), {"score": 1}, {"score": 2})
        (run,) = run_journal.recent_runs(tx, 1)
        run_journal.add_plan(tx, "seen", run_journal.PREVIEW, ("m", "c"), work.now_ms, {})
        journal.add_changes(tx, "seen", [(row_id, change)], work.now_ms)
        journal.add_changes(tx, run.id, [(row_id, change)], work.now_ms)
        journal.add_changes(tx, run.id, [(row_id, change)], work.now_ms, journal.SENT)
    assert status(work)["crms"]["hubspot"]["pending_updates"] == 1


def test_who_waits_for_an_owner_is_counted_by_why(work):
    for crm in work.crms.values():
        crm.people = [replace(each, active=False) for each in crm.people]
    later = minutes(work, 15)
    run_cycle(later)
    said = status(later)["waiting_for_owner"]
    assert said["count"] == 1
    assert ["no member of pool sales is active in hubspot" in why for why in said["reasons"]] == [True]
    explained = explain.explain_person(later.config, later.store, "person1@firm.example", later.now)
    assert "no member of pool sales is active" in explained["waiting"]


def refuse(work, number, reason, first=10):
    """A hundred new records, of which the CRM refuses so many for a reason of each one's own."""
    hubspot = work.crms["hubspot"]
    for each in range(first, first + number):
        hubspot.edit(make.contact(each, name=f"Person {each}"))
        hubspot.refusing[Ref("hubspot", "contact", str(each))] = reason.format(id=10_000_000 + each)


def test_what_a_crm_refuses_is_told_once_for_each_cause(work):
    refuse(work, 30, "the record {id} is locked by someone{id}@x.example")
    refuse(work, 4, "there is no property crmsync_score: create it with crmsync setup", first=100)
    later = minutes(work, 15)
    ran = run_cycle(later)
    locked, missing = status(later)["refused"]
    assert (locked["crm"], locked["records"], locked["cause"]) == ("hubspot", 30, "the record … is locked by …")
    assert locked["examples"] == [f"person{each}@firm.example" for each in (10, 11, 12)]
    assert locked["fix"].startswith("correct it in hubspot")
    assert (missing["records"], missing["fix"]) == (4, "crmsync setup")
    assert "score" in missing["fields"]
    with later.store.read() as reading:
        troubles = changes_of(reading, ran.run)["troubles"]
    assert [(each["state"], each["records"]) for each in troubles] == [("rejected", 30), ("rejected", 4)]


def test_a_record_that_is_partly_refused_names_each_reason_once(work):
    taken = work.crms["hubspot"].write

    def without_fields(changes, narrow):
        for receipt in taken(changes, narrow):
            yield replace(receipt, refused={"score": "no such property", "fit": "no such property"})

    work.crms["hubspot"].write = without_fields
    work.crms["hubspot"].edit(make.contact(9))
    later = minutes(work, 15)
    run_cycle(later)
    (refused,) = status(later)["refused"]
    assert (refused["cause"], refused["fields"], refused["state"]) == ("no such property", ["fit", "score"], "partly")
    (record,) = explain.explain_person(later.config, later.store, "hubspot:contact:9", later.now)["records"]
    assert record["delivery"] == "on_hold"


def test_the_status_names_what_a_crm_refuses(work):
    hubspot = work.crms["hubspot"]
    hubspot.refusing[Ref("hubspot", "contact", "3")] = "the title is locked"
    hubspot.edit(make.contact(3, emails=("cold@firm.example",), fields={"title": "CEO"}))
    later = work._replace(now=work.now + timedelta(minutes=15))
    run_cycle(later)
    (parked,) = health.status_document(later.config, later.store, later.now)["on_hold"]
    assert parked["ref"] == "hubspot:contact:3"
    assert "the title is locked" in parked["reason"]


def test_who_writes_is_told(state):
    assert held_by(state) is None
    with state.writer("crmsync sync"):
        assert held_by(state)
    assert held_by(state) is None


def test_a_review_counts_moves_and_names_who_moves_first(work):
    with work.store.read() as reading:
        (run,) = run_journal.recent_runs(reading, 1)
        told = changes_of(reading, run.id)
    assert told["records"] == {"hubspot": 2, "salesforce": 1}
    assert {"crm": "hubspot", "from": None, "to": "mql", "records": 1} in told["bands"]
    assert {"crm": "salesforce", "from": None, "to": "mql", "records": 1} in told["stages"]
    assert told["movers"][0]["moved"] == told["movers"][0]["to"] == 65
    first, second = told["people"]
    assert (first["name"], first["refs"]) == ("person1@firm.example", ["hubspot:contact:1", "salesforce:lead:2"])
    assert first["stage"] == {"from": None, "to": "mql"}
    assert first["owner"] == {"from": None, "to": "ann@acme.example"}
    assert second["name"] == "cold@firm.example"
    assert "stage" not in second
    assert told["more_records"] == 0
    assert {"crm": "hubspot", "from": None, "to": "ann@acme.example", "records": 1} in told["owners"]


def test_a_review_names_somebody_without_an_address_once_for_all_records(work):
    linked = make.contact(9, "salesforce", "lead", emails=(), name="Bo", links=(Ref("hubspot", "contact", "9"),))
    for crm, record in (("hubspot", make.contact(9, emails=(), name="Bo")), ("salesforce", linked)):
        work.crms[crm].edit(record)
    later = minutes(work, 15)
    ran = run_cycle(later)
    with later.store.read() as reading:
        (one,) = changes_of(reading, ran.run)["people"]
    assert (one["name"], one["refs"]) == ("Bo", ["hubspot:contact:9", "salesforce:lead:9"])


def test_a_review_of_many_says_how_many_it_does_not_name(work):
    for number in range(100, 160):
        work.crms["hubspot"].edit(make.contact(number))
    with minutes(work, 15).store.read() as reading:
        ran = run_cycle(minutes(work, 15))
    with work.store.read() as reading:
        told = changes_of(reading, ran.run)
    assert (len(told["people"]), told["more_records"]) == (20, 40)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("the record 00Q5g00000AbCdEEAV is locked", "the record … is locked"),
        ("contact 100000001599 is gone", "contact … is gone"),
        ("correlation 5f0c1e1e-0d7e-4c53-9e9a-2a4b0c3d4e5f", "correlation …"),
        ("stage is 'lead' instead of 'mql'; look for a flow", "stage is not as written; look for a flow"),
        ("score is 12 instead of 77, band is None instead of 'mql'", "score is not as written, band is not as written"),
        ('Property "crmsync_score" does not exist (400)', 'Property "crmsync_score" does not exist (400)'),
        ("owned by vera@kestrel.example", "owned by …"),
    ],
)
def test_a_cause_has_nothing_of_one_record(said, cause):
    assert refusal_cause(said) == cause


# Explaining more than the score


def explained(work, who="person1@firm.example"):
    return explain.explain_person(work.config, work.store, who, work.now)


def test_an_explanation_names_the_owner_and_says_why(work):
    said = explained(work)
    assert said["owner"] == "ann@acme.example"
    assert said["owners"]["hubspot:contact:1"] == {"id": "hubspot-ann", "email": "ann@acme.example", "name": "Ann"}
    assert said["owners"]["salesforce:lead:2"]["id"] == "salesforce-ann"
    assert "pool sales" in said["owner_why"]
    assert said["stage_why"] in ("moves forward to mql", "in mql")
    assert said["waiting"] == ""
    assert [each["owner"] for each in said["records"]] == ["ann@acme.example"] * 2


def test_an_explanation_says_until_when_a_users_change_holds(work):
    hubspot = work.crms["hubspot"]
    record = hubspot.records[Ref("hubspot", "contact", "1")]
    hubspot.edit(replace(record, stage="lead", changed_at=work.now))
    later = minutes(work, 15)
    run_cycle(later)
    (override,) = explained(later)["overrides"]
    assert (override["ref"], override["field"], override["value"]) == ("hubspot:contact:1", "stage", "lead")
    assert override["until"] == (later.now + timedelta(days=14)).isoformat()
    assert explained(minutes(work, 15 + 60 * 24 * 15))["overrides"] == []


def test_an_explanation_says_whether_it_is_written(work):
    hubspot = work.crms["hubspot"]
    hubspot.happen(make.activity(7, make.contact(3), kind="page_viewed", url="/pricing"))
    hubspot.refusing[Ref("hubspot", "contact", "3")] = "the title is locked"
    later = minutes(work, 15)
    run_cycle(later)
    (record,) = explained(later, "cold@firm.example")["records"]
    assert (record["delivery"], "locked" in record["on_hold"]) == ("on_hold", True)
    assert explained(minutes(work, 90 * 24 * 60))["records"][0]["delivery"] == "differs"
    dearer = make.config(make.MODEL.replace("mql = 50", "mql = 500"), guard={"from_records": 1, "bands": 0.1})
    waiting = minutes(work, 30, config=dearer)
    held = run_cycle(waiting).held
    first = explained(waiting)["records"][0]
    assert (first["delivery"], first["run"], first["next"]) == ("held", held.run, f"crmsync apply {held.run}")
    assert first["pending"]["band"] == "warm"


def test_an_explanation_says_that_somebody_stays_in_a_band(work):
    kept = make.config(make.MODEL.replace("mql = 50", "mql = { at = 80, drop_below = 60 }"))
    with work.store.begin() as tx:
        tx.execute(schema.person.update().values(band="mql"))
    said = explained(work._replace(config=kept))
    assert said["band"] == "mql"
    assert said["band_why"] == (
        "Stays in mql until the score drops below 60 (entered at 80 points); the points alone would give warm"
    )
    assert explained(work)["band_why"] == ""


def test_plans_are_no_history(work):
    dearer = make.config(make.MODEL.replace("mql = 50", "mql = 500"))
    preview_run(minutes(work, 1, config=dearer))
    assert {each["state"] for each in explained(work)["history"]} == {"updated"}


def test_the_name_of_somebody_is_that_of_the_newest_record(work):
    hubspot, mail = work.crms["hubspot"], ("cold@firm.example",)
    for number in (9, 10):
        hubspot.edit(make.contact(number, emails=mail, name=f"Name {number}", changed_at=make.NOW))
    run_cycle(work._replace(now=work.now + timedelta(minutes=15)))
    said = explain.explain_person(work.config, work.store, mail[0], work.now)
    assert (said["name"], said["refs"]) == ("Name 10", ["hubspot:contact:10", "hubspot:contact:9", "hubspot:contact:3"])
