"""Ledgers in the state: they read as they were stored, those of an older state too, and no reason is kept twice."""

from contextlib import closing

import pytest

from crmsync.model import Change, Ref
from crmsync.store import journal, schema
from crmsync.store.changes import list_changes
from crmsync.store.database import open_store
from crmsync.store.ledgers import ENTRY, ledger_reader, number_lines
from tests.support.state import make_empty, rows

OLD = {
    1: ('[["vp",2000],["mail: time decay",-1250]]', '[["vp",2000],["Größe \\"50\\"",1]]'),
    2: ("[]", ""),
    3: ('[["mail: time decay",-5]]', "[]"),
}
NAMES = ("id", "fit", "behavior", "total", "band", "due", "model", "plan", "scored_at", "scored_run", "lines", "was")


def test_a_line_keeps_its_number_and_a_new_one_gets_its_own(state):
    with state.begin() as tx:
        first = number_lines(tx, ["vp", "mail"])
        assert number_lines(tx, ["mail", "Größe", "vp", "mail"]) == [first[1], max(first) + 1, first[0], first[1]]


@pytest.mark.parametrize("points", [0, 1, -250, 10_000_000 * 50_000, -(2**62)])
def test_points_of_any_size_come_back(state, points):
    with state.begin() as tx:
        (number,) = number_lines(tx, ["a"])
        assert ledger_reader(tx)(ENTRY.pack(number, points)) == {"a": points}


def test_the_ledgers_of_an_older_state_read_as_before(state_url):
    make_empty(state_url)
    with closing(open_store(state_url, version="0020")) as old, old.begin() as tx:
        for person, ledgers in OLD.items():
            values = (person, 0, 0, 0, "", 0, "m", "p", 0, "r", *ledgers)
            said = ", ".join("'" + str(each).replace("'", "''") + "'" for each in values)
            tx.exec_driver_sql(f"INSERT INTO person ({', '.join(NAMES)}) VALUES ({said.replace('%', '%%')})")
        tx.exec_driver_sql(
            "INSERT INTO stage_entry (person, run, at, stage, band, total, fit, behavior, lines, model, owner) VALUES "
            "(1, 'r', 0, '', '', 0, 0, 0, '[[\"left\",7]]', 'm', ''), (2, 'r', 0, '', '', 0, 0, 0, '', 'm', '')"
        )
    with closing(open_store(state_url)) as new, new.begin() as tx:
        read = ledger_reader(tx)
        people = {each["id"]: (each["ledger"], each["ledger_before"]) for each in rows(new, schema.person)}
        assert {who: tuple(None if it is None else read(it) for it in both) for who, both in people.items()} == {
            1: ({"vp": 2000, "mail: time decay": -1250}, {"vp": 2000, 'Größe "50"': 1}),
            2: ({}, None),
            3: ({"mail: time decay": -5}, {}),
        }
        assert [each["ledger"] and read(each["ledger"]) for each in rows(new, schema.stage_entry)] == [
            {"left": 7},
            None,
        ]
        # What comes after goes on where they ended.
        assert number_lines(tx, ["new"])[0] == 1 + max(number_lines(tx, ["vp", "mail: time decay", "left"]))


REF = Ref("hubspot", "contact", "1")


@pytest.mark.parametrize(
    ("after", "because", "kept"),
    [
        ({"score": 5, "reason": "cold, 5 points"}, "cold, 5 points", ""),
        ({"score": None, "reason": None}, "excluded: a competitor", "excluded: a competitor"),
        ({"stage": "mql"}, "cold, 5 points", "cold, 5 points"),
        ({"score": 5, "reason": "cold, 5 points"}, "run r0 was undone", "run r0 was undone"),
    ],
)
def test_why_a_change_was_made_is_kept_once_and_always_told(state, after, because, kept):
    with state.begin() as tx:
        journal.add_changes(tx, "r1", [(1, Change(REF, {}, after, because))], 0)
        assert [each["because"] for each in tx.execute(schema.change.select()).mappings()] == [kept]
        assert [each.change.because for each in list_changes(tx, "r1")] == [because]
        assert [row.change.because for _state, _reason, row in journal.rows_of(tx, "r1")] == [because]
