"""Bulk queries: the same rows as by REST, from jobs that go wrong at any step."""

import csv
import io
import json

import pytest

from connectors.salesforce import bulk
from connectors.salesforce.errors import RequestRefused
from connectors.sandbox.salesforce import bulk as sandbox_bulk
from crmsync.connector import FieldMap
from crmsync.errors import Unavailable
from tests.support.pages import pulled
from tests.support.salesforce import NAMES, by_ref, connect, do, fault, live


def test_many_rows_come_by_a_bulk_query_and_are_the_same(sandbox, crm):
    whole = by_ref(pulled(crm.contacts(None))[0])
    made = connect(sandbox)
    object.__setattr__(made._org.settings, "bulk_query_threshold", 10)
    contacts, cursor = pulled(made.contacts(None))
    assert by_ref(contacts) == whole
    assert len(contacts) == len(whole)
    assert any(call.path.endswith("/jobs/query") for call in sandbox.calls)
    assert json.loads(cursor)["here"] == ["", [], "", [], "", "", 0, "", False]


def test_a_bulk_query_goes_on_from_any_page_with_the_same_job(sandbox, crm, bulky):
    whole = set(by_ref(pulled(crm.contacts(None))[0]))
    pages = list(bulky().contacts(None))
    assert len(pages) > 8
    for number, page in enumerate(pages):
        had = {each.ref for each in (item for page in pages[: number + 1] for item in page.items)}
        rest = {each.ref for each in pulled(bulky().contacts(page.cursor))[0]}
        assert had | rest == whole


@pytest.mark.parametrize("do_", ["html", "reset", "truncate", "short"])
@pytest.mark.parametrize("path", ["/jobs/query$", "/jobs/query/\\w+$", "/results$"])
def test_a_bulk_query_survives_a_call_that_goes_wrong(sandbox, crm, bulky, do_, path):
    whole = by_ref(pulled(crm.contacts(None))[0])
    fault(sandbox, do_, path, nth=1)
    assert by_ref(pulled(bulky().contacts(None))[0]) == whole


@pytest.mark.parametrize("path", ["/jobs/query$", "/jobs/query/\\w+$", "/results$"])
def test_a_session_that_ends_during_a_bulk_query_is_renewed(sandbox, crm, bulky, path):
    whole = by_ref(pulled(crm.contacts(None))[0])
    fault(sandbox, "answer", path, nth=1, status=401, body=[{"message": "x", "errorCode": "INVALID_SESSION_ID"}])
    assert by_ref(pulled(bulky().contacts(None))[0]) == whole


def interrupted(pages, why):
    """The last cursor before a pull broke off."""
    cursor = None
    try:
        for page in pages:
            cursor = page.cursor
    except Unavailable as error:
        broke_off = str(error)
    assert why in broke_off
    return cursor


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_bulk_query_that_fails_is_no_empty_answer(sandbox, crm, bulky, state):
    fault(sandbox, "answer", "/jobs/query/\\w+$", status=200, nth=1, body={"id": "750", "state": state})
    cursor = interrupted(bulky().contacts(None), "started again")
    contacts, _ = pulled(bulky().contacts(cursor))
    assert by_ref(contacts) == by_ref(pulled(crm.contacts(None))[0])


def test_a_bulk_query_that_takes_too_long_is_looked_at_again_by_the_next_cycle(sandbox, crm, bulky):
    sandbox.do("salesforce", "set", bulk_polls=6)
    cursor = interrupted(bulky(bulk_wait="3s").contacts(None), "next run")
    sandbox.calls.clear()
    first = next(page for page in bulky().contacts(cursor) if page.items)
    assert first.items
    assert not any(call.method == "POST" and call.path.endswith("/jobs/query") for call in sandbox.calls)


def test_a_field_that_goes_during_a_bulk_query_begins_another(sandbox, crm, bulky):
    cursor = next(page.cursor for page in bulky().contacts(None) if page.items)
    do(sandbox, "hide_field", object="Lead", field="Company")
    do(sandbox, "show_field", object="Lead", field="Phone")
    names = FieldMap(fields={**NAMES.fields, "phone": {"lead": "Phone"}})
    contacts, _ = pulled(bulky(names=names).contacts(cursor))
    assert by_ref(contacts) == by_ref(pulled(connect(sandbox, names=names).contacts(None))[0])


def test_a_bulk_query_short_of_rows_is_begun_again(sandbox, crm, bulky, monkeypatch):
    ended = bulk.ended_query
    monkeypatch.setattr(bulk, "ended_query", lambda org, job, **how: ended(org, job, **how) and 4_000)
    with pytest.raises(Unavailable, match=r"only \d+ of 4,000 rows"):
        list(bulky().contacts(None))


def test_pages_of_a_bulk_query_that_lead_round_end_the_pull(sandbox, crm, bulky):
    cells = {"Id": "00Q000000000001AAA", "SystemModstamp": "2026-11-01T00:00:00.000+0000"}
    columns = ["SystemModstamp", "Id", *crm._readers["lead"].source(crm._schema).columns]
    body = ",".join(columns) + "\n" + ",".join(cells.get(each, "") for each in columns) + "\n"
    for place, locator in ((1, "MTAw"), (2, "MjAw")):
        headers = {"Sforce-Locator": locator, "Sforce-NumberOfRecords": "1", "Content-Type": "text/csv"}
        how = {"first": place, "every": 2, "last": 200}
        fault(sandbox, "answer", "/jobs/query/\\w+/results", status=200, headers=headers, body=body, **how)
    with pytest.raises(Unavailable, match="come again and again"):
        list(bulky().contacts(None))


def test_a_bulk_query_that_does_not_say_how_many_rows_it_has_is_read(sandbox, crm, bulky, monkeypatch):
    whole = by_ref(pulled(crm.contacts(None))[0])
    asked = bulk.await_job

    def untold(*args, **how):
        return {name: value for name, value in asked(*args, **how).items() if name != "numberRecordsProcessed"}

    monkeypatch.setattr(bulk, "await_job", untold)
    assert by_ref(pulled(bulky().contacts(None))[0]) == whole


def on_page(number, change):
    """The sandbox's pages of a bulk query, of which one has its table (header first) changed."""
    served, seen = sandbox_bulk.csv_page, []

    def page(*asked):
        seen.append(served(*asked))
        table = list(csv.reader(io.StringIO(seen[-1].decode(), newline="")))
        return sandbox_bulk.csv_text(change(table), ",", "\n") if len(seen) == number else seen[-1]

    return page


def test_the_columns_of_a_bulk_page_are_known_by_their_names(sandbox, crm, bulky, monkeypatch):
    whole = by_ref(pulled(crm.contacts(None))[0])
    turned = on_page(2, lambda table: [row[::-1] for row in table])
    monkeypatch.setattr(sandbox_bulk, "csv_page", turned)
    assert by_ref(pulled(bulky().contacts(None))[0]) == whole


def test_the_case_of_a_column_is_salesforces(sandbox, crm, bulky):
    names = FieldMap(
        fields={"title": "TITLE", "company": {"lead": "company"}, "industry": {"contact": "account.INDUSTRY"}}
    )
    whole = by_ref(pulled(connect(sandbox, names=names).contacts(None))[0])
    assert {"title", "company", "industry"} <= {name for each in whole.values() for name in each.fields}
    assert by_ref(pulled(bulky(names=names).contacts(None))[0]) == whole


def test_a_bulk_page_that_lacks_a_column_is_begun_again_and_gives_no_values(sandbox, crm, bulky, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(sandbox_bulk, "csv_page", on_page(2, lambda table: [row[:-1] for row in table]))
        cursor = interrupted(bulky().contacts(None), "the column Crmsync_Reason__c is not in its results")
    assert by_ref(pulled(bulky().contacts(cursor))[0]) == by_ref(pulled(crm.contacts(None))[0])


def test_a_bulk_job_that_is_gone_is_begun_again(sandbox, crm, bulky):
    pages = list(bulky().contacts(None))
    at = json.loads(pages[1].cursor)
    at["here"][4] = "7500000000000zzAAA"
    contacts, _ = pulled(bulky().contacts(json.dumps(at)))
    assert by_ref(contacts) == by_ref(pulled(crm.contacts(None))[0])


def test_without_bulk_everything_comes_by_rest(sandbox, crm, bulky):
    whole = by_ref(pulled(crm.contacts(None))[0])
    said = [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "Bulk API is not enabled"}]
    fault(sandbox, "answer", "/jobs/query", status=403, body=said)
    assert by_ref(pulled(bulky().contacts(None))[0]) == whole


HOSTILE = [
    "a\x00b",
    "x" * 200_000,
    "one\r\ntwo",
    'say ""',
    "\r",
    "a\u2028b",
    "\u202eabc",
    "\U0001f680",
    "=cmd()",
    "Zoë",
]


@pytest.mark.parametrize("by_bulk", [False, True])
def test_hostile_text_is_read_as_it_is(sandbox, crm, bulky, by_bulk):
    sandbox.do("salesforce", "add_field", object="Lead", field="Note__c", type="textarea", size=262_144)
    leads = live(crm)[: len(HOSTILE)]
    table = sandbox.org.state.of("Lead")
    for lead, text in zip(leads, HOSTILE, strict=True):
        table.set(table.rows[lead.ref.id], "Note__c", text)
    names = FieldMap(fields={"note": {"lead": "Note__c"}})
    made = bulky(names=names) if by_bulk else connect(sandbox, names=names)
    found = by_ref(pulled(made.contacts(None))[0])
    assert [found[lead.ref].fields["note"] for lead in leads] == [text.replace("\x00", "") for text in HOSTILE]


def test_a_locator_that_has_expired_begins_the_job_again(sandbox, crm, bulky):
    whole = by_ref(pulled(crm.contacts(None))[0])
    said = [{"errorCode": "INVALIDLOCATOR", "message": "Invalid locator"}]
    fault(sandbox, "answer", "/results$", nth=3, status=400, body=said)
    pages = []
    with pytest.raises(RequestRefused):
        pages.extend(bulky().contacts(None))
    assert any(page.items for page in pages)
    fault(sandbox, "answer", "/results$", nth=1, status=400, body=said)
    assert by_ref(pulled(bulky().contacts(pages[-1].cursor))[0]) == whole
