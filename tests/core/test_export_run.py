"""An export is of one instant, and an import of it is the same state, on each database."""

import threading
from contextlib import closing
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, update

from crmsync.batch.export import export_state
from crmsync.batch.inputs import find_inputs
from crmsync.batch.people_file import FileTally
from crmsync.batch.score_parts import ScoreJob, score_to_tables
from crmsync.batch.state_files import opened_export
from crmsync.cycle import run_cycle
from crmsync.errors import ConfigError
from crmsync.model import Activity
from crmsync.store import schema
from crmsync.store.database import open_store
from crmsync.store.exported import MOVED
from crmsync.store.restoring import restore_state
from tests.support.cycles import world
from tests.support.make import MODEL, NOW, activity, config, contact, new_sqlite, work
from tests.support.state import ledgers as state_ledgers

STEADY = MODEL.replace('window = "60d"\n', 'window = "60d"\ndecay = { half_life = "20d" }\n')
"""Points that decay, so that it matters as of when somebody is scored, and whether a clock stands still."""

QUIET = """
[[inactivity]]
name = "Quiet"
points = -5
after = "30d"
every = "10d"
"""
CRMS = {
    "hubspot": {},
    "salesforce": {"instance_url": "https://acme.my.salesforce.com"},
    "guard": {"bands": 1.0, "scores": 1.0, "stages": 1.0, "owners": 1.0},
    "feeds": {"form_submitted": "0d"},
}
NEVER = threading.Event()


def tell(_what, _crm, _more):
    pass


def exported(settings, state, folder):
    return export_state(settings, state, folder, tell, NEVER)


def rows_of(state):
    """Every row that an import brings, by table."""
    with state.read() as reading:
        return {table.name: sorted(map(repr, reading.execute(select(table)))) for table in MOVED}


def stored(state):
    lines = state_ledgers(state)
    with state.read() as reading:
        return {
            row.id: (row.total / 100, [(line, points / 100) for line, points in lines[row.id]])
            for row in reading.execute(select(schema.person))
        }


def ledgers(tables):
    return {
        row["person"]: (row["score"], [(line["line"], line["points"]) for line in row["ledger"]])
        for table in tables
        for row in table.to_pylist()
    }


def scored(settings, folder):
    inputs, tally = find_inputs(folder), FileTally()
    job = ScoreJob(settings, inputs.at, inputs.facts, inputs.person)
    found = ledgers(table for part in inputs.parts for table in score_to_tables(job, part, tally))
    assert (tally.problems, tally.people) == ([], len(found))
    return found


@pytest.mark.parametrize("dead", [False, True], ids=["all feeds live", "a feed is dead"])
def test_an_export_scores_as_stored_and_comes_back_row_by_row(state, tmp_path, monkeypatch, dead):
    monkeypatch.setattr("crmsync.batch.export.PEOPLE_AT_ONCE", 7)
    hubspot, salesforce = world(3)
    if dead:  # forty days of one look a day, and then none
        looker = contact("looker", emails=("looker@x.example",))
        hubspot.edit(looker)
        for day in range(40):
            hubspot.happen(activity(f"look{day}", looker, "page_viewed", 2 + day, url="/pricing"))
    twice = contact("twice", emails=("twice@x.example",), fields={"title": "VP"})
    hubspot.edit(twice)
    for number in range(2):  # two that agree in everything count twice
        hubspot.happen(
            Activity(twice.ref, f"same{number}", "page_viewed", NOW - timedelta(days=2), {"url": "/pricing"})
        )
    settings = config(STEADY + QUIET, **CRMS)
    run_cycle(work(state, hubspot, salesforce, settings=settings), approved=True)
    later = NOW + timedelta(days=9, hours=5)
    result = run_cycle(work(state, hubspot, salesforce, now=later, settings=settings), approved=True)
    assert bool(result.holds) is dead
    done = exported(settings, state, tmp_path / "out")
    assert (done.at, done.pending) == (later, 0)
    assert ("clocks" in pq.read_schema(tmp_path / "out" / "people" / "part-00000.parquet").names) is dead
    assert len(list((tmp_path / "out" / "people").iterdir())) > 3
    assert scored(settings, tmp_path / "out") == stored(state)
    assert ledgers([pq.read_table(tmp_path / "out" / "scores")]) == stored(state)

    with (
        opened_export(tmp_path / "out", tell, NEVER) as source,
        closing(open_store(new_sqlite(tmp_path, "other.db"))) as other,
    ):
        restore_state(source, other, int(later.timestamp() * 1000), tell, NEVER, lambda _seconds: None)
        before, after = rows_of(state), rows_of(other)
        # What a restore forgets of a state is in its notes and cursors.
        assert [name for name in before if name not in ("note", "cursor") and before[name] != after[name]] == []
        assert scored(settings, tmp_path / "out") == stored(other)


def test_an_export_sees_one_instant_beside_a_writer(state, tmp_path, monkeypatch):
    hubspot, salesforce = world(5, people=8)
    settings = config()
    run_cycle(work(state, hubspot, salesforce, settings=settings), approved=True)
    before = stored(state)

    def write_meanwhile(reading, model):
        with state.begin() as writing:
            writing.execute(update(schema.person).values(total=schema.person.c.total + 100))
        return find_pending(reading, model)

    from crmsync.batch.export import find_pending

    monkeypatch.setattr("crmsync.batch.export.find_pending", write_meanwhile)
    exported(settings, state, tmp_path / "out")
    assert ledgers([pq.read_table(tmp_path / "out" / "scores")]) == before
    assert stored(state) != before


def test_what_is_no_whole_export_is_not_imported(state, tmp_path):
    hubspot, salesforce = world(5, people=4)
    with pytest.raises(ConfigError, match="nobody was scored yet"):
        exported(config(), state, tmp_path / "out")
    run_cycle(work(state, hubspot, salesforce), approved=True)
    exported(config(), state, tmp_path / "out")
    (tmp_path / "out" / "state" / "record.parquet").write_bytes(b"PAR1")
    with (
        pytest.raises(ConfigError, match=r"record\.parquet cannot be read"),
        opened_export(tmp_path / "out", tell, NEVER),
    ):
        pass
