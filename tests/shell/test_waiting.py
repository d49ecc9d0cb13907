"""Why a command that somebody typed does nothing for a while, told in a sentence; a daemon has it in its log."""

import logging
from contextlib import contextmanager

import pytest

from crmsync import log
from crmsync.cli.command import Ending, opened_config, telling_waits
from crmsync.store import database
from crmsync.store.database import open_store
from tests.support.commands import crmsync_in, settings_alone, write_model
from tests.support.make import MODEL, new_sqlite
from tests.support.state import writing


@pytest.fixture
def ready(tmp_path, monkeypatch):
    """A folder with a config and a state, and little patience with whoever writes into it."""
    monkeypatch.setattr(database, "ATTEMPT", 0.05)
    new_sqlite(tmp_path)
    return write_model(tmp_path, MODEL)


@contextmanager
def somebody_writing(folder, seconds):
    store = open_store(f"sqlite:///{folder}/state.db")
    with writing(store, seconds):
        yield
    store.close()


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_command_says_once_that_it_waits_for_another_one(ready, more):
    with somebody_writing(ready.parent, 0.5):
        ended = crmsync_in(ready.parent)("pause", "-c", ready, *more)
    assert ended.code == 0
    assert ended.err.count("Waiting for another crmsync command to finish writing") == 1
    assert "waiting_for_another_writer" not in ended.err


def test_a_command_that_need_not_wait_says_nothing_of_it(ready):
    assert "Waiting" not in crmsync_in(ready.parent)("pause", "-c", ready).err


def told(capsys, event, **more):
    logging.getLogger("crmsync.store.database").warning(event, extra=more)
    return capsys.readouterr().err


@pytest.mark.parametrize(("is_daemon", "said"), [(True, "waiting_for_another_writer"), (False, "Waiting for another")])
def test_a_daemon_has_it_in_its_log(ready, capsys, monkeypatch, is_daemon, said):
    with settings_alone(monkeypatch, {}):
        opened_config(Ending(False, False, config=ready), is_daemon=is_daemon)
        assert said in told(capsys, "waiting_for_another_writer", why="another crmsync writes to this state")


def test_how_long_it_takes_to_take_over_is_told_in_a_sentence_too(capsys, monkeypatch):
    with settings_alone(monkeypatch, {}):
        log.start_logging("console", logging.WARNING, (), telling_waits())
        log.get_logger().warning("waiting_to_take_over", seconds=45, why="an earlier process ended unexpectedly")
        assert capsys.readouterr().err == "Waiting 45 seconds, because an earlier process ended unexpectedly …\n"
        assert "something_else" in told(capsys, "something_else")
