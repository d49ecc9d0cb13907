"""Several accounts in one PostgreSQL database, each with a schema of its own."""

import psycopg
import pytest
from sqlalchemy import make_url, select

from crmsync.errors import ConfigError, StateInUse
from crmsync.store import schema
from crmsync.store.database import bind_account, held_by, open_store


@pytest.fixture
def address(new_database):
    """The address of the state in a schema of one database, which is made."""

    def of(name):
        with psycopg.connect(make_url(new_database).render_as_string(hide_password=False), autocommit=True) as server:
            server.execute(f'CREATE SCHEMA IF NOT EXISTS "{name}"')
        return of_schema(name)

    def of_schema(name):
        url = make_url(new_database)
        return url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)

    of.without_making = of_schema
    return of


def test_each_schema_holds_an_account_of_its_own(address):
    for name, account in (("acme", "1111"), ("globex", "2222")):
        store = open_store(address(name))
        bind_account(store, "hubspot", account)
        store.close()
    accounts = []
    for name in ("acme", "globex"):
        store = open_store(address(name))
        with store.read() as reading:
            accounts.append(reading.scalar(select(schema.account.c.account)))
        store.close()

    assert accounts == ["1111", "2222"]


def test_each_schema_has_a_writer_of_its_own_and_only_one(address, new_database):
    stores = [open_store(url) for url in (address("acme"), address("globex"), new_database)]
    second = open_store(address("acme"))
    with stores[0].writer("crmsync run"), stores[1].writer("crmsync run"), stores[2].writer("crmsync run"):
        assert all(each.is_writer() for each in stores)
        assert held_by(second).startswith("crmsync run")
        with pytest.raises(StateInUse), second.writer("crmsync sync"):
            pass
    assert held_by(second) is None
    with second.writer("crmsync sync"):
        assert second.is_writer()
    for each in (*stores, second):
        each.close()


def test_a_schema_that_is_not_there_gets_a_sentence(address):
    with pytest.raises(ConfigError, match="names a schema that is not there; make it with CREATE SCHEMA"):
        open_store(address.without_making("nobody"))
