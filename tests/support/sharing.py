"""What all tests of one process share, for each would make the same anew: compiled statements, and an empty state."""

import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from unittest import mock

from sqlalchemy.util import LRUCache

from crmsync.store import database

_create_engine, _upgrade = database.create_engine, database._upgrade


def share(monkeypatch):
    """Let every state that is opened from now on know what others of its database have compiled and migrated."""
    monkeypatch.setattr(database, "create_engine", _engine_that_shares())
    monkeypatch.setattr(database, "_upgrade", _upgrade_or_copy)


def _engine_that_shares():
    """`create_engine` whose engines have one dialect and one cache of statements: else each compiles all its own."""
    dialects, statements = {}, LRUCache(2_000)

    def create(url, **options):
        engine = _create_engine(url, execution_options={"compiled_cache": statements}, **options)
        known = dialects.setdefault(engine.dialect.driver, engine.dialect)
        # Until its engine has connected, a dialect does not know its server.
        if known.server_version_info is None:
            dialects[engine.dialect.driver] = engine.dialect
        else:
            engine.dialect = known
        return engine

    return create


def _upgrade_or_copy(engine, version):
    """The migrations; but an empty SQLite file gets what they made of another one."""
    if engine.dialect.name != "sqlite" or version != database.HEAD or database._version(engine) is not None:
        _upgrade(engine, version)
        return
    with engine.begin() as connection:
        for statement in _statements():
            connection.exec_driver_sql(statement)


@cache
def _statements():
    with closing(sqlite3.connect(":memory:")) as made:
        # The version in its header says that it has a log, which nothing in memory has.
        made.deserialize(migrated()[:18] + b"\1\1" + migrated()[20:])
        return [each for each in made.iterdump() if each not in ("BEGIN TRANSACTION;", "COMMIT;")]


@cache
def migrated():
    """The bytes of an empty state that the migrations made."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(database, "_upgrade", _upgrade):
        database.open_store(f"sqlite:///{folder}/state.db").close()
        return Path(folder, "state.db").read_bytes()
