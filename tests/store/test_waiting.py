"""Whoever writes waits for a long transaction of somebody else, tells whoever waits, and gives up in the end."""

import logging
import threading

import pytest

from crmsync.errors import StateError
from crmsync.store import database, schema
from crmsync.store.database import open_store
from tests.support.make import new_sqlite
from tests.support.state import rows, writing

WRITTEN = {"crm": "", "name": "waited", "value": "1"}


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two processes' view of one state, whose patience ran out at once until now."""
    monkeypatch.setattr(database, "ATTEMPT", 0.05)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0)
    url = new_sqlite(tmp_path)
    one, other = open_store(url), open_store(url)
    yield one, other
    one.close()
    other.close()


def write(store):
    with store.begin() as tx:
        tx.execute(schema.note.insert().values(WRITTEN))


def test_who_writes_waits_for_a_long_transaction_and_is_told_once(two, caplog):
    one, other = two
    with caplog.at_level(logging.WARNING), writing(one, 0.6):
        write(other)
    assert WRITTEN in [dict(each) for each in rows(one, schema.note)]
    assert [(each.message, each.why) for each in caplog.records] == [
        ("waiting_for_another_writer", "another crmsync writes to this state")
    ]


def test_a_thread_of_a_daemon_waits_without_a_word(two, caplog):
    one, other = two
    with caplog.at_level(logging.WARNING), writing(one, 0.3):
        thread = threading.Thread(target=write, args=(other,))
        thread.start()
        thread.join()
    assert WRITTEN in [dict(each) for each in rows(one, schema.note)]
    assert not caplog.records


def test_patience_ends_with_a_sentence_and_nothing_is_written(two, monkeypatch):
    one, other = two
    monkeypatch.setattr(database, "ATTEMPTS", 2)
    with writing(one, 0.6), pytest.raises(StateError, match="database is locked; nothing was written to it"):
        write(other)
    assert WRITTEN not in [dict(each) for each in rows(one, schema.note)]
