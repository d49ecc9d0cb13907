"""Queries that are longer than an address may be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce.long_queries import halve_query
from connectors.salesforce.paging import text_literal
from connectors.sandbox.salesforce import org
from crmsync.connector import FieldMap
from crmsync.errors import ConfigError
from tests.support.pages import pulled
from tests.support.salesforce import by_ref, connect, do, fault, happened, live

NO_COMPOSITE = {"status": 400, "body": [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "no composite"}]}
PART = {"referenceId": "q0", "httpHeaders": {}, "httpStatusCode": 414, "body": "<h1>Bad Message 414</h1>"}
TOO_LONG_THERE_TOO = {"status": 200, "body": {"compositeResponse": [PART]}}


def refused(sandbox):
    return [call for call in sandbox.calls if call.status in (414, 431)]


def test_more_fields_than_an_address_holds_are_read_all_the_same(sandbox, crm):
    wide = [f"A_field_with_a_rather_long_name_number_{number}__c" for number in range(400)]
    for field in wide:
        sandbox.do("salesforce", "add_field", object="Lead", field=field, type="string", size=40)
    lead = live(crm)[0].ref
    do(sandbox, "update", id=lead.id, fields={field: f"value {number}" for number, field in enumerate(wide)})
    names = FieldMap(fields={field.lower(): {"lead": field} for field in wide})
    made = connect(sandbox, names=names)
    found, cursor = pulled(made.contacts(None))
    read = by_ref(found)[lead]
    assert read.fields == {field.lower(): f"value {number}" for number, field in enumerate(wide)}
    assert read.unread == frozenset()
    assert len(refused(sandbox)) == 1
    assert [each.fields for each in made.read([lead])] == [read.fields]
    pulled(made.contacts(cursor))
    assert len(refused(sandbox)) == 1


@pytest.mark.parametrize("status", [414, 431])
@pytest.mark.parametrize("how", ["html", "answer"])
def test_a_query_that_an_address_cannot_hold_goes_in_a_body(sandbox, crm, status, how):
    whole = by_ref(pulled(crm.contacts(None))[0])
    fault(sandbox, how, "/queryAll", status=status, body=[{"errorCode": "URI_TOO_LONG", "message": "too long"}])
    assert by_ref(pulled(connect(sandbox).contacts(None))[0]) == whole
    assert len(refused(sandbox)) == 1


@pytest.mark.parametrize("composite", [NO_COMPOSITE, TOO_LONG_THERE_TOO])
def test_a_list_of_ids_that_is_too_long_is_halved(sandbox, crm, monkeypatch, composite):
    leads = [each.ref for each in live(crm)]
    whole, did = list(crm.read(leads)), happened(crm)[0]
    fault(sandbox, "answer", "/composite$", **composite)
    monkeypatch.setattr(org, "LONGEST_URL", 900)
    made = connect(sandbox)
    assert by_ref(made.read(leads)) == by_ref(whole)
    assert len({call.query for call in refused(sandbox)}) == len(refused(sandbox))
    assert happened(connect(sandbox))[0] == did


@pytest.mark.parametrize("composite", [NO_COMPOSITE, TOO_LONG_THERE_TOO])
def test_a_query_that_cannot_be_shortened_says_what_to_do(sandbox, crm, monkeypatch, composite):
    fault(sandbox, "answer", "/composite$", **composite)
    monkeypatch.setattr(org, "LONGEST_URL", 300)
    with pytest.raises(ConfigError, match=r"map fewer fields in \[fields\]"):
        list(connect(sandbox).contacts(None))
    assert len(refused(sandbox)) == 1


def test_a_refusal_of_a_query_in_a_body_is_told_as_one_of_any_other(sandbox, crm):
    fault(sandbox, "html", "/queryAll", status=414)
    part = {**PART, "httpStatusCode": 400, "body": [{"errorCode": "MALFORMED_QUERY", "message": "unexpected token"}]}
    fault(sandbox, "answer", "/composite$", status=200, body={"compositeResponse": [part]})
    with pytest.raises(ConfigError, match="unexpected token"):
        crm.account()


def test_a_query_in_a_body_that_fails_in_passing_is_sent_again(sandbox, crm):
    whole = crm.account()
    fault(sandbox, "html", "/queryAll", status=414)
    part = {**PART, "httpStatusCode": 503, "body": [{"errorCode": "SERVER_UNAVAILABLE", "message": "busy"}]}
    fault(sandbox, "answer", "/composite$", status=200, body={"compositeResponse": [part]}, times=2)
    assert connect(sandbox).account() == whole


@given(st.lists(st.text(max_size=6) | st.sampled_from(["a IN ('", "') OR x IN ('", "\\", "'"]), max_size=9))
def test_the_halves_of_a_list_are_the_list(values):
    listed = ",".join(map(text_literal, values))
    soql = (
        f"SELECT Id FROM Lead WHERE Name = {text_literal(''.join(values))} AND Email IN ({listed}) AND Title IN ('x')"
    )
    halves = halve_query(soql)
    assert (halves == ()) == (len(values) < 2)
    if halves:
        whole, parts = (
            listed,
            [re.fullmatch(r"(.*Email IN \()(.*)(\) AND Title IN \('x'\))", each, re.S) for each in halves],
        )
        assert ",".join(part[2] for part in parts) == whole
        assert {(part[1], part[3]) for part in parts} == {(parts[0][1], parts[0][3])}
