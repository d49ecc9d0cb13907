"""Events of a real database: each row once, in whatever order transactions end, and nothing is written there."""

from datetime import timedelta

import pytest
from sqlalchemy import create_engine, make_url, text

from crmsync.config.events import EventSource
from crmsync.errors import ConfigError, Unavailable
from crmsync.events import table
from crmsync.events.source import check_source
from crmsync.events.table import read_table
from crmsync.model import Ref
from tests.core.test_events import GUARD, MODEL
from tests.support.cycles import run
from tests.support.make import NOW, contact, crm

QUERY = "select id, email, happened as at, 'a :b' as note, seats::int as seats from usage"
MADE = "create table usage (id integer primary key, email text, happened {instant}, seats text, changed integer)"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """The address of a database of usage, and what types it knows."""
    if request.param == "sqlite":
        url, instant = f"sqlite:///{tmp_path}/usage.db", "text"
    else:
        url, instant = request.getfixturevalue("new_database"), "timestamptz"
    engine = create_engine(make_url(url))
    with engine.begin() as connection:
        connection.execute(text(MADE.format(instant=instant)))
    yield engine
    engine.dispose()


def add(database, *ids, email="person1@firm.example", changed=None):
    with database.begin() as connection:
        for number in ids:
            values = {"id": number, "email": email, "at": (NOW - timedelta(seconds=number)).isoformat(), "seats": "5"}
            connection.execute(
                text("insert into usage values (:id, :email, :at, :seats, :changed)"),
                {**values, "changed": number if changed is None else changed},
            )


def source(database, **over):
    query = QUERY if database.dialect.name == "postgresql" else QUERY.replace("::int", "")
    url = database.url.render_as_string(hide_password=False)
    given = {"name": "billing", "query": query, "cursor": "id", "kind": "invitation_sent", "url": url}
    return EventSource(**{**given, "timezone": "UTC", "attributes": ["seats"], **over})


def read(of, cursor=None, now=NOW):
    ids = []
    for page in read_table(of, cursor, now):
        ids.append([each.id for each in page.items])
        cursor = page.cursor
    return ids, cursor


def test_rows_count_for_whoever_has_the_address_and_once(state, database):
    hubspot = crm("hubspot")
    hubspot.edit(contact(1))
    add(database, 1, 2)
    of = source(database)
    given = {**of.model_dump(exclude_unset=True), "url": of.url.get_secret_value()}

    def go(hours):
        made = run(state, hubspot, at=NOW + timedelta(hours=hours), model=MODEL, events=[given], guard=GUARD)
        assert made.problems == []
        return hubspot.records[Ref("hubspot", "contact", "1")].current["behavior"]

    assert (go(0), go(1)) == (20, 20)
    add(database, 3)
    assert go(2) == 30


def test_pages_follow_the_cursor_and_go_on_where_they_were_cut_off(database, monkeypatch):
    monkeypatch.setattr(table, "PAGE", 3)
    add(database, *range(1, 101))
    of = source(database)
    pages = read_table(of, None, NOW)
    cut_off = [next(pages) for _ in range(20)][-1].cursor
    pages.close()
    rest, cursor = read(of, cut_off)
    assert rest[0][0] == "41"  # two of a page of three are new
    assert rest[-1] == ["99", "100"]
    add(database, 101)
    again, cursor = read(of, cursor, NOW + timedelta(minutes=15))
    assert again[0][0] == "81"  # ten pages before the end
    again, cursor = read(of, cursor, NOW + timedelta(minutes=30))
    assert again == [["100", "101"]]
    assert read(of, cursor, NOW + timedelta(minutes=45))[0] == [["101"]]


def test_rows_that_become_visible_after_later_ones_are_read(database):
    of = source(database)
    add(database, 1, 5)
    _ids, cursor = read(of)
    add(database, 3)
    ids, cursor = read(of, cursor, NOW + timedelta(minutes=15))
    assert "3" in ids[0]
    add(database, 9)
    _ids, cursor = read(of, cursor, NOW + timedelta(minutes=30))
    add(database, 8)
    assert "8" in read(of, cursor, NOW + timedelta(minutes=39))[0][0]


def test_more_rows_than_a_page_with_one_value_of_the_cursor_are_all_read(database, monkeypatch):
    monkeypatch.setattr(table, "PAGE", 2)
    add(database, *range(1, 8), changed=5)
    add(database, 8, 9)
    of = source(database, query="select id, email, happened as at, changed from usage", cursor="changed", attributes=[])
    ids, cursor = read(of)
    assert {each for some in ids for each in some} == {str(number) for number in range(1, 10)}
    add(database, 10, changed=9)
    assert "10" in {each for some in read(of, cursor)[0] for each in some}


def test_a_row_that_cannot_be_read_is_named_by_its_cursor(database):
    add(database, 1, 3)
    add(database, 2, email="")
    (page,) = read_table(source(database), None, NOW)
    assert [(each.what, each.why) for each in page.odd] == [("row id = 2", "names nobody: no email, record or domain")]
    assert [each.id for each in page.items] == ["1", "3"]


@pytest.mark.parametrize(
    "query",
    [
        "select 1 as id from usage) x; delete from usage; --",
        "with gone as (delete from usage returning *) select * from gone",
    ],
)
def test_nothing_is_written_whatever_the_query_says(database, query):
    add(database, 1, 2)
    with pytest.raises((ConfigError, Unavailable)):
        list(read_table(source(database, query=query, attributes=[]), None, NOW))
    with database.connect() as connection:
        assert connection.execute(text("select count(*) from usage")).scalar() == 2


def test_what_is_wrong_with_the_address_or_query_is_said_and_no_secret(database):
    said = {
        "is missing; set CRMSYNC_EVENTS__BILLING__URL": {"url": ""},
        "is not one that SQLAlchemy reads": {"url": "my database"},
        "the database driver": {"url": "oracle+oracledb://u:sesame-street@h/x"},
        "does not take the query": {"query": "select id from nowhere"},
        "the query has no column 'number'; it has id": {"cursor": "number"},
    }
    for words, over in said.items():
        with pytest.raises(ConfigError, match=words) as error:
            check_source(source(database, **over))
        assert "sesame" not in str(error.value)
    with pytest.raises(Unavailable, match="the database cannot be used") as error:
        check_source(source(database, url="postgresql://u:sesame-street@127.0.0.1:9/x"))
    assert "sesame" not in str(error.value)
    assert check_source(source(database))[0].startswith("the query has the columns id, email, at")
