"""Windows and cursors: every row is read, once, whatever the clocks say."""

from datetime import UTC, datetime, timedelta

import pytest

from connectors.salesforce.paging import Cursor, Source, Window, cursor_of, query_of, text_literal
from connectors.salesforce.schema import Field, Schema
from crmsync.errors import ConfigError, Unavailable
from tests.support.pages import pulled
from tests.support.salesforce import by_ref, connect, do, fault, live

LEADS = Source("Lead", "Lead", ("Email",))
HOUR = Window(datetime(2026, 11, 21, 8, tzinfo=UTC), datetime(2026, 11, 21, 9, tzinfo=UTC))


class Typed(Schema):
    """A schema of stamps and ids."""

    def __init__(self):
        super().__init__(None)

    def of(self, name):
        return {"systemmodstamp": Field("SystemModstamp", "datetime"), "id": Field("Id", "id")}


def test_a_window_is_read_in_the_order_of_its_keyset():
    assert query_of(LEADS, HOUR, ("2026-11-21T08:30:00+00:00", "00Q1"), Typed()) == (
        "SELECT SystemModstamp, Id, Email FROM Lead "
        "WHERE SystemModstamp >= 2026-11-21T08:00:00Z AND SystemModstamp <= 2026-11-21T09:00:00Z "
        "AND SystemModstamp >= 2026-11-21T08:30:00Z AND (SystemModstamp > 2026-11-21T08:30:00Z "
        "OR (SystemModstamp = 2026-11-21T08:30:00Z AND Id > '00Q1')) ORDER BY SystemModstamp, Id"
    )


def test_text_in_a_query_is_quoted():
    assert text_literal("O'Brien\\ \n' OR Id != '") == "'O\\'Brien\\\\ \\n\\' OR Id != \\''"


@pytest.mark.parametrize("cursor", ["x", "[]", "{}", '{"v":2,"done":{},"here":["",[],"",[],"","",0]}'])
def test_a_cursor_of_another_kind_is_not_guessed_at(cursor):
    with pytest.raises(ConfigError, match="crmsync backfill"):
        cursor_of(cursor)


def test_a_cursor_is_read_as_it_was_written():
    at = Cursor(
        until="2026-11-21T09:00:00Z", finished=("Lead",), stream="Contact", job="750", locator="abc", read=7, shape="x"
    )
    assert cursor_of(at.spelled()) == at


def test_rows_that_appear_late_are_read_by_the_next_pull(sandbox, crm):
    """A row carries the time its transaction ran, which may lie behind a cursor that has passed it."""
    _, cursor = pulled(crm.contacts(None))
    lead = live(crm)[0]
    table = sandbox.org.state.of("Lead")
    late = sandbox.clock() - timedelta(minutes=9)
    table.set(table.rows[lead.ref.id], "Title", "Late")
    table.set(table.rows[lead.ref.id], "SystemModstamp", late.strftime("%Y-%m-%dT%H:%M:%S.000+0000"))
    assert by_ref(pulled(crm.contacts(cursor))[0])[lead.ref].fields["title"] == "Late"


def test_one_second_with_more_rows_than_a_page_is_read_once_and_ends(sandbox, crm):
    do(sandbox, "bulk_stamp", object="Lead")
    do(sandbox, "set", page_size=5)
    contacts, _ = pulled(crm.contacts(None))
    assert len(contacts) == len(by_ref(contacts))


def test_pages_that_lead_round_are_noticed(sandbox, crm):
    asked = crm._readers["lead"].source(crm._schema).columns
    for place, locator in ((1, "01g-5"), (2, "01g-9")):
        columns = {"Id": f"00Q00000000000{place}AAA", "SystemModstamp": "2026-11-01T00:00:00.000+0000"}
        page = {"totalSize": 9, "done": False, "nextRecordsUrl": f"/services/data/v66.0/query/{locator}"}
        page["records"] = [dict.fromkeys(asked) | columns]
        fault(sandbox, "answer", "/query", status=200, body=page, first=place, every=2, last=400)
    with pytest.raises(Unavailable, match="again and again"):
        pulled(crm.contacts(None))


def test_a_page_that_comes_again_and_again_is_noticed(sandbox, crm):
    sandbox.do("salesforce", "set", page_size=5)
    page = {"totalSize": 9, "done": False, "nextRecordsUrl": "/services/data/v66.0/query/01g-5"}
    columns = {"Id": "00Q000000000001AAA", "SystemModstamp": "2026-11-01T00:00:00.000+0000"}
    asked = crm._readers["lead"].source(crm._schema).columns
    page["records"] = [dict.fromkeys(asked) | columns]
    fault(sandbox, "answer", "/query", status=200, body=page)
    with pytest.raises(Unavailable, match="again and again"):
        list(crm.contacts(None))


def test_a_lost_locator_is_followed_by_a_query_from_the_last_row(sandbox, crm):
    whole = by_ref(pulled(crm.contacts(None))[0])
    sandbox.do("salesforce", "set", page_size=5, locator_pages=2)
    sandbox.calls.clear()
    contacts, _ = pulled(crm.contacts(None))
    assert by_ref(contacts) == whole
    assert len(contacts) == len(whole)


@pytest.mark.parametrize("skew", [timedelta(seconds=90), timedelta(seconds=-90), timedelta(hours=-1)])
def test_only_the_servers_clock_counts(sandbox, crm, skew):
    _, cursor = pulled(crm.contacts(None))
    lead = live(crm)[0]
    sandbox.clock.set(sandbox.clock() + skew)
    _, cursor = pulled(connect(sandbox).contacts(cursor))
    sandbox.do("salesforce", "update", id=lead.ref.id, fields={"Title": "Skewed"})
    assert by_ref(pulled(connect(sandbox).contacts(cursor))[0])[lead.ref].fields["title"] == "Skewed"


def test_an_idle_pull_is_one_call(sandbox, crm):
    _, cursor = pulled(crm.contacts(None))
    sandbox.clock.advance(7_200)
    made = connect(sandbox)
    made.account()
    list(made.contacts(cursor))
    sandbox.calls.clear()
    assert pulled(made.contacts(cursor))[0] == []
    assert len(sandbox.calls) == 1
