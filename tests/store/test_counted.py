"""What `status` counts by is right in an older state, too, and nobody who was deleted is counted."""

from contextlib import closing
from dataclasses import replace

from crmsync.model import Change
from crmsync.store import journal, schema
from crmsync.store.database import open_store
from crmsync.store.moves import read_moves
from crmsync.store.queries import crm_counts, held_bands
from tests.store.test_companies import settled
from tests.support.make import contact
from tests.support.state import make_empty, rows, save


def test_an_older_state_counts_its_bands_and_moves(state_url):
    make_empty(state_url)
    with closing(open_store(state_url, version="0020")) as old, old.begin() as tx:
        for number, current in enumerate(('{"band":"mql","score":70}', '{"score":3}', "{}", '{"band":"cold"}'), 1):
            tx.exec_driver_sql(
                "INSERT INTO record (crm, kind, ref_id, known, person, current) "
                f"VALUES ('hubspot', 'contact', '{number}', true, {number}, '{current}')"
            )
        for number, after in enumerate(('{"band":"mql"}', '{"score":3}', '{"stage":"sql"}'), 1):
            tx.exec_driver_sql(
                "INSERT INTO change (run, record, crm, kind, ref_id, before, after, because, state, at) "
                f"VALUES ('r', {number}, 'hubspot', 'contact', '{number}', '{{}}', '{after}', '', 'updated', 1)"
            )
        tx.exec_driver_sql("INSERT INTO run (id, command, started, model, verdict) VALUES ('r', 'sync', 1, 'm', 'ok')")
    with closing(open_store(state_url)) as new, new.read() as reading:
        assert held_bands(reading, ["cold", "mql"]) == {"mql": 1, "cold": 1}
        for field, move in {"band": (1, None, "mql"), "stage": (3, None, "sql")}.items():
            assert [(each.person, each.before, each.after) for each in read_moves(reading, field, 0)] == [move]


def test_a_deleted_record_is_in_no_band_and_not_counted(state):
    first, other = (contact(number, current={"band": "mql", "score": 70}) for number in (1, 2))
    settled(state, first, other)
    with state.read() as reading:
        assert held_bands(reading, ["cold", "mql"]) == {"mql": 2}
        assert crm_counts(reading)["hubspot"]["records"] == 2
    save(state, replace(other, gone=True))
    with state.read() as reading:
        assert held_bands(reading, ["cold", "mql"]) == {"mql": 1}
        assert crm_counts(reading)["hubspot"]["records"] == 1
    assert [row["band"] for row in rows(state, schema.record)] == ["mql", ""]


def test_only_what_moves_a_band_or_stage_is_read_as_a_move(state):
    save(state, contact(1), contact(2))
    one, other = contact(1).ref, contact(2).ref
    with state.begin() as tx:
        changes = [
            (1, Change(one, {"band": "cold"}, {"band": "mql"})),
            (2, Change(other, {}, {"score": 5, "reason": '"band":'})),
        ]
        journal.add_changes(tx, "r1", changes, 0)
        assert [row["is_move"] for row in tx.execute(schema.change.select()).mappings()] == [True, False]
