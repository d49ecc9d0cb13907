"""What a run reads follows what changed: of its statements none goes through everybody."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from crmsync.cycle import run_cycle
from tests.support.make import NOW, activity, contact, crm, store, work

COUNTED = ("ix_person_destination", "ix_person_band", "ix_person_due", "ix_record_live", "ix_record_scored")
"""Indexes that a run may read whole, because it says how many people there are, and where."""

MANY = "person", "record", "activity", "identity", "change", "score_input", "fact"
"""Tables that grow with the CRMs."""


@pytest.fixture
def state(tmp_path):
    """SQLite, which says how it looks for rows."""
    made = store(tmp_path)
    yield made
    made.close()


def whole_reads(state, act):
    """The plans of the statements that `act` executes which read all of a table, or of an index, or of a CRM."""
    asked = []
    notice = lambda _connection, _cursor, statement, values, _context, many: asked.append((statement, values, many))  # noqa: E731
    event.listen(state.engine, "before_cursor_execute", notice)
    act()
    event.remove(state.engine, "before_cursor_execute", notice)
    found = []
    with state.read() as reading:
        for statement, values, many in asked:
            if not statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
                continue
            given = values[0] if many and values else values
            plan = reading.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()
            found += [(step, statement) for *_ids, step in plan if is_whole(step)]
    return found


def is_whole(step):
    words = step.split()
    if len(words) < 2 or words[1] not in MANY:
        return False
    index = words[words.index("INDEX") + 1] if "INDEX" in words else ""
    of_a_crm = index.startswith("sqlite_autoindex_record") and "ref_id=?" not in step
    of_everybody = index == "ix_record_person" and "person>?" in step and "person<?" not in step
    # A partial index of the few rows that something is to be done about may be read whole.
    few = index.startswith("ix_") and index not in {"ix_record_person", "ix_person_model"}
    return of_a_crm or of_everybody or (words[0] == "SCAN" and not few and index not in COUNTED)


def test_a_run_without_changes_goes_through_nobody(state):
    hubspot = crm()
    for number in range(1, 30):
        made = contact(number)
        hubspot.edit(made)
        hubspot.happen(activity(str(number), made))
    run_cycle(work(state, hubspot))
    run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=15)))

    assert not whole_reads(state, lambda: run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=30))))


def test_a_run_after_one_person_acted_goes_through_nobody_else(state):
    hubspot = crm()
    for number in range(1, 30):
        hubspot.edit(contact(number))
    run_cycle(work(state, hubspot))
    run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=15)))
    hubspot.happen(activity("new", contact(7)))

    assert not whole_reads(state, lambda: run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=30))))
