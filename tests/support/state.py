"""What tests put into a state, read of it, and do to its lock."""

import threading
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import select

from crmsync.store import schema
from crmsync.store.contacts import save_contacts
from crmsync.store.ledgers import ledger_reader
from tests.support.make import NOW


def save(state, *contacts, run="r1"):
    with state.begin() as tx:
        save_contacts(tx, run, contacts, NOW)


def rows(state, table):
    with state.read() as reading:
        return [row._asdict() for row in reading.execute(select(table))]


def records(state):
    """The records in the order in which they came."""
    return sorted(rows(state, schema.record), key=lambda row: row["id"])


def act(state, does, *given, **named):
    """What something does in a transaction of its own."""
    with state.begin() as tx:
        return does(tx, *given, **named)


@contextmanager
def writing(store, seconds):
    """A transaction that another thread begins now and ends so much later."""
    begun = threading.Event()

    def work():
        with store.begin() as tx:
            tx.execute(select(schema.note))
            begun.set()
            threading.Event().wait(seconds)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    yield
    thread.join()


def ledgers(state):
    """The points of each line of everybody's score, by the names of the lines: each state has its own numbers."""
    with state.read() as reading:
        read, people = ledger_reader(reading), select(schema.person.c.id, schema.person.c.ledger)
        return {who: tuple(read(ledger).items()) for who, ledger in reading.execute(people)}


def is_postgres(url):
    return url.startswith("postgres")


def make_empty(url):
    """Take away what a state has, with its version, so that an older one can be made in its place."""
    if not is_postgres(url):
        Path(url.removeprefix("sqlite:///")).unlink()
        return
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


def take_lock_away(url):
    """What a failover, a proxy or a tidy admin does."""
    if not is_postgres(url):
        Path(f"{url.removeprefix('sqlite:///')}.lock").unlink()
        return
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
