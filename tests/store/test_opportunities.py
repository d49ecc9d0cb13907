"""Opportunities in the state: pages that may come twice, what is deleted or re-opened, and nobody's traces in them."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import MetaData

from crmsync.model import Opportunity, Ref, StageEntry
from crmsync.store import run_journal, schema
from crmsync.store.database import open_store
from crmsync.store.forgetting import forget_records
from crmsync.store.hand_offs import NewEntry, save_entries
from crmsync.store.ledgers import ENTRY
from crmsync.store.opportunities import begin_full_outcomes, end_full_outcomes, save_opportunities
from crmsync.store.outcomes import LOST, OPEN, WON, OutcomeNames, first_entries, read_deals
from crmsync.store.queries import find_contacts
from crmsync.store.sql import to_ms
from tests.store.test_store import settle
from tests.support.make import NOW, contact
from tests.support.state import rows, save

DAY = timedelta(days=1)


def deal(number=1, *records, crm="hubspot", kind="deal", **over):
    given = {"changed_at": NOW, "created_at": NOW - 10 * DAY, "records": tuple(each.ref for each in records), **over}
    return Opportunity(Ref(crm, kind, f"d{number}"), **given)


def sell(state, *deals):
    with state.begin() as tx:
        save_opportunities(tx, deals)


def deals_of(state, **names):
    with state.read() as reading:
        return read_deals(reading, OutcomeNames(**names))


def test_an_opportunity_that_comes_again_changes_nothing_and_a_newer_one_takes_its_place(state):
    ada, bo = contact(1), contact(2)
    entries = (StageEntry("Qualified", NOW - 9 * DAY), StageEntry("Demo", NOW - 5 * DAY))
    first = deal(1, ada, bo, stage="Demo", pipeline="Sales", stages=entries, value=9.5, currency="EUR", owner="7")
    for _ in range(2):
        sell(state, first, first)
        (row,) = rows(state, schema.opportunity)
        assert (row["state"], row["stage"], row["value"], row["owner"]) == ("open", "Demo", 9.5, "7")
        assert row["created_at"] == to_ms(NOW - 10 * DAY)
        assert {each["ref_id"] for each in rows(state, schema.opportunity_record)} == {"1", "2"}
        assert {each["stage"] for each in rows(state, schema.opportunity_stage)} == {"Qualified", "Demo"}
    sell(state, deal(1, bo, state="won", closed_at=NOW, stage="Closed", stages=entries[:1]))
    assert [(row["state"], row["closed_at"]) for row in rows(state, schema.opportunity)] == [("won", to_ms(NOW))]
    assert [each["ref_id"] for each in rows(state, schema.opportunity_record)] == ["2"]
    assert len(rows(state, schema.opportunity_stage)) == 1


def test_one_that_is_opened_again_is_open_and_one_that_is_deleted_is_gone(state):
    save(state, contact(1))
    settle(state)
    sell(state, deal(1, contact(1), state="lost", closed_at=NOW), deal(2, contact(1), state="won", closed_at=NOW))
    assert sorted(deals_of(state).state.tolist()) == [LOST, WON]
    sell(state, deal(1, contact(1)), replace(deal(2), gone=True))
    assert deals_of(state).state.tolist() == [OPEN]
    assert [row["opportunity"] for row in rows(state, schema.opportunity_record)] == ["d1"]


def test_an_instant_that_cannot_be_one_counts_as_unknown(state):
    odd = datetime(1900, 1, 1, tzinfo=UTC)
    far = datetime(2200, 1, 1, tzinfo=UTC)
    sell(state, deal(1, created_at=odd, state="won", closed_at=far, stages=(StageEntry("New", odd),)))
    (row,) = rows(state, schema.opportunity)
    assert (row["created_at"], row["closed_at"]) == (None, None)
    assert rows(state, schema.opportunity_stage) == []


def test_a_value_that_is_no_number_and_a_null_character_are_cleaned(state):
    sell(state, deal(1, value=float("nan"), lost_reason="no\0budget"), deal(2, value=float("inf")))
    assert [row["value"] for row in rows(state, schema.opportunity)] == [None, None]
    assert {row["lost_reason"] for row in rows(state, schema.opportunity)} == {"nobudget", ""}


def test_what_a_pull_of_everything_did_not_bring_is_gone(state):
    sell(state, deal(1), deal(2), deal(3, crm="salesforce", kind="opportunity"))
    with state.begin() as tx:
        begin_full_outcomes(tx, "hubspot")
    sell(state, deal(2))
    with state.begin() as tx:
        assert end_full_outcomes(tx, "hubspot") == []
    assert sorted(row["id"] for row in rows(state, schema.opportunity)) == ["d2", "d3"]


def test_many_that_do_not_come_are_kept_and_said_unless_somebody_trusts_that(state):
    sell(state, *(deal(number, contact(1)) for number in range(30)))
    with state.begin() as tx:
        begin_full_outcomes(tx, "hubspot")
        (said,) = end_full_outcomes(tx, "hubspot")
        assert said.startswith("hubspot: 30 of the 30 opportunities were missing")
    assert len(rows(state, schema.opportunity)) == 30
    with state.begin() as tx:
        assert end_full_outcomes(tx, "hubspot", trusting=True) == []
    for table in (schema.opportunity, schema.opportunity_record):
        assert rows(state, table) == []


def test_an_opportunity_belongs_to_who_its_records_became(state):
    sell(
        state,
        deal(1, contact(1)),
        deal(2, contact("00Q1", "salesforce", "lead"), crm="salesforce"),
        deal(3),
        deal(4, contact(99)),
    )
    survivor, converted = contact(2), contact("0031", "salesforce", emails=("b@x.example",))
    lead = contact("00Q1", "salesforce", "lead", emails=("b@x.example",))
    save(state, contact(1), survivor, lead, converted)
    save(state, replace(survivor, aliases=("1",)), replace(lead, converted_into=converted.ref))
    settle(state)
    found = deals_of(state)
    people = {row["ref_id"]: row["person"] for row in rows(state, schema.record)}
    assert sorted(found.person.tolist()) == sorted([people["2"], people["0031"]])
    assert found.unlinked == 2


def test_one_that_names_several_records_of_a_person_is_theirs_once(state):
    one, other = contact(1, emails=("a@x.example",)), contact("0031", "salesforce", emails=("a@x.example",))
    save(state, one, other)
    settle(state)
    sell(state, deal(1, one), deal(2, one, replace(one, ref=Ref("hubspot", "contact", "1"))))
    assert len(deals_of(state).person) == 2
    sell(state, deal(3, other))
    # An id means nothing in another CRM.
    assert deals_of(state).unlinked == 1


def test_stages_of_the_config_and_pipelines_say_what_counts(state):
    save(state, contact(1))
    settle(state)
    entry = (StageEntry("Contract sent", NOW - 2 * DAY),)
    sell(
        state,
        deal(1, contact(1), stage="Contract sent", pipeline="Sales", stages=entry),
        deal(2, contact(1), stage="Nurture", pipeline="Sales"),
        deal(3, contact(1), state="won", closed_at=NOW, pipeline="Renewals"),
    )
    found = deals_of(state, won=["contract sent"], lost=["Nurture"], pipelines=["Sales"])
    assert found.state.tolist() == [WON, LOST]
    assert found.closed.tolist()[0] == int((NOW - 2 * DAY).timestamp())


def test_values_in_another_currency_than_most_do_not_count(state):
    save(state, contact(1))
    settle(state)
    won = {"state": "won", "closed_at": NOW}
    sell(
        state,
        *(deal(number, contact(1), value=10.0, currency="EUR", **won) for number in range(2)),
        deal(3, contact(1), value=7.0, currency="USD", **won),
    )
    found = deals_of(state)
    assert found.currencies == ["EUR", "USD"]
    assert [each for each in found.value.tolist() if each == each] == [10.0, 10.0]


def test_of_somebody_forgotten_no_opportunity_names_a_record_before_or_after(state):
    ada, bo = contact(1, emails=("ada@x.example",)), contact(2)
    save(state, ada, bo)
    settle(state)
    sell(state, deal(1, ada, bo))
    with state.begin() as tx:
        removed = forget_records(tx, [each.id for each in find_contacts(tx, "ada@x.example")])
    assert removed["opportunity_record"] == 1
    sell(state, deal(1, ada, bo), deal(2, ada))
    assert [row["ref_id"] for row in rows(state, schema.opportunity_record)] == ["2"]
    assert len(rows(state, schema.opportunity)) == 2


def test_of_an_erased_record_no_opportunity_knows(state):
    save(state, contact(1), contact(2))
    settle(state)
    sell(state, deal(1, contact(1), contact(2)))
    save(state, contact(1, gone=True, erased=True))
    assert [row["ref_id"] for row in rows(state, schema.opportunity_record)] == ["2"]


SECRET = ENTRY.pack(1, 500)


def keep_entry(state, person, at=0):
    with state.begin() as tx:
        lines = {"fit": 0, "behavior": 500, "total": 500, "band": "mql", "due": 0, "model": "m", "plan": "p"}
        tx.execute(schema.person.insert().values(id=person, scored_at=0, scored_run="r", ledger=SECRET, **lines))
        save_entries(tx, "r1", at, "m1", [NewEntry(person, "mql", "ann@acme.example")])


def test_an_entry_into_a_stage_is_kept_with_the_score_that_decided_it(state):
    keep_entry(state, 7, at=5)
    (row,) = rows(state, schema.stage_entry)
    assert {**row, "id": 0} == {
        "id": 0, "person": 7, "run": "r1", "at": 5, "stage": "mql", "band": "mql", "total": 500, "fit": 0,
        "behavior": 500, "ledger": SECRET, "model": "m1", "owner": "ann@acme.example",
    }  # fmt: skip


def test_entries_go_with_who_is_forgotten_and_lose_their_lines_with_who_is_deleted(state):
    save(state, contact(1), contact(2))
    settle(state)
    keep_entry(state, 1)
    keep_entry(state, 2)
    save(state, contact(2, gone=True))
    assert [row["ledger"] for row in rows(state, schema.stage_entry)] == [SECRET, None]
    with state.begin() as tx:
        forget_records(tx, [1])
    assert [row["person"] for row in rows(state, schema.stage_entry)] == [2]


def test_entries_from_before_two_people_were_one_go_with_them(state):
    one, other = contact(1, emails=("a@x.example",)), contact(2, emails=("b@x.example",))
    save(state, one, other)
    settle(state)
    keep_entry(state, 2)
    save(state, replace(other, emails=("a@x.example",)))
    settle(state)
    with state.read() as reading:
        people = np.array([1], dtype=np.int64)
        assert first_entries(reading, people, {"mql"}, ()).person.tolist() == [1]
    with state.begin() as tx:
        forget_records(tx, [1, 2])
    assert rows(state, schema.stage_entry) == []


def test_entries_are_kept_as_long_as_the_state_keeps_runs(state):
    keep_entry(state, 1, at=1_000)
    keep_entry(state, 2, at=3_000)
    with state.begin() as tx:
        run_journal.prune_runs(tx, 2_000, 5_000)
    assert [row["person"] for row in rows(state, schema.stage_entry)] == [2]


@pytest.mark.parametrize(
    ("created", "seen"), [(None, 5_000), (4_000, 5_000), (9_000, 9_000)], ids=["unknown", "before", "after"]
)
def test_a_state_of_the_version_before_says_since_when_records_are_known(tmp_path, created, seen):
    address = f"sqlite:///{tmp_path}/older.db"
    with closing(open_store(address, version="0016")) as old:
        tables = MetaData()
        tables.reflect(old.engine)
        with old.begin() as tx:
            for run in (5_000, 6_000):
                given = {"id": f"r{run}", "command": "sync", "started": run, "model": "m", "verdict": "ok"}
                tx.execute(tables.tables["run"].insert().values(**given))
            for ref, known in (("1", True), ("2", False)):
                given = {"crm": "hubspot", "kind": "contact", "ref_id": ref, "known": known, "created_at": created}
                tx.execute(tables.tables["record"].insert().values(**given))
    with closing(open_store(address)) as new:
        assert [row["seen_at"] for row in rows(new, schema.record)] == [seen, None]
        assert rows(new, schema.opportunity) == []
