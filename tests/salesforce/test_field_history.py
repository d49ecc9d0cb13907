"""Former values of fields: those that Salesforce kept, typed as a pull types them, and since when none is missing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.sandbox.salesforce.state import ADMIN_USER
from crmsync.connector import FieldHistory, PastValue
from crmsync.model import Ref
from tests.support.salesforce import NAMES, connect, do, fault, live
from tests.support.sandbox_salesforce import QUEUE

TRACKED = ("Title", "NumberOfEmployees", "OwnerId", "HasOptedOutOfEmail", "Birthdate__c", "Topics__c", "Essay__c")
FIELDS = {
    "title": "title",
    "employees": {"lead": "NumberOfEmployees", "contact": "Account.NumberOfEmployees"},
    "belongs_to": "OwnerId",
    "opted_out": "HasOptedOutOfEmail",
    "born": {"lead": "Birthdate__c"},
    "topics": {"lead": "Topics__c"},
    "essay": {"lead": "Essay__c"},
    "industry": {"lead": "Industry"},
}
PAST = replace(NAMES, fields=FIELDS)


@pytest.fixture
def lead(sandbox, crm):
    """A lead of an org that keeps a history of some fields."""
    for field, type_ in (("Birthdate__c", "date"), ("Topics__c", "multipicklist"), ("Essay__c", "textarea")):
        size = 32_000 if type_ == "textarea" else 255
        do(sandbox, "add_field", object="Lead", field=field, type=type_, size=size)
    for field in TRACKED:
        do(sandbox, "track_field", object="Lead", field=field)
    do(sandbox, "track_field", object="Contact", field="Title")
    return live(crm)[0]


def past(sandbox, *refs, names=PAST):
    """The former values of the records, and since when they are whole, by kind."""
    made = connect(sandbox, names)
    assert isinstance(made, FieldHistory)
    pages = list(made.past_fields(refs))
    return [each for page in pages for each in page.values], {
        kind: whole for page in pages for kind, whole in page.whole_since.items()
    }


def edit(sandbox, ref, **fields):
    do(sandbox, "update", id=ref.id, fields=fields)
    return sandbox.clock()


def test_values_are_read_as_a_pull_reads_them(sandbox, crm, lead):
    edit(sandbox, lead.ref, Title="VP", NumberOfEmployees=120, Birthdate__c="1990-02-01", HasOptedOutOfEmail=False)
    at = edit(sandbox, lead.ref, Title="CTO", NumberOfEmployees=None, Birthdate__c=None, HasOptedOutOfEmail=True)
    values, whole = past(sandbox, lead.ref)
    assert {each for each in values if each.until == at} == {
        PastValue(lead.ref, "title", "VP", at),
        PastValue(lead.ref, "employees", 120, at),
        PastValue(lead.ref, "born", "1990-02-01", at),
        PastValue(lead.ref, "opted_out", False, at),
    }
    assert whole["lead"].keys() == {"title", "employees", "born", "opted_out"}


def test_a_value_that_was_none_is_told_as_none(sandbox, crm, lead):
    edit(sandbox, lead.ref, Title=None)
    at = edit(sandbox, lead.ref, Title="CTO")
    values, _ = past(sandbox, lead.ref)
    assert PastValue(lead.ref, "title", None, at) in values


def test_a_lookup_is_told_by_its_id(sandbox, crm, lead):
    edit(sandbox, lead.ref, OwnerId=ADMIN_USER)
    at = edit(sandbox, lead.ref, OwnerId=QUEUE)
    assert [each for each in past(sandbox, lead.ref)[0] if each.until == at] == [
        PastValue(lead.ref, "belongs_to", ADMIN_USER, at)
    ]


def test_what_the_history_cannot_hold_is_not_told(sandbox, crm, lead):
    edit(sandbox, lead.ref, Topics__c="a;b", Essay__c="Once upon a time")
    edit(sandbox, lead.ref, Topics__c="c", Essay__c="The end")
    values, whole = past(sandbox, lead.ref)
    assert (values, whole["lead"]) == ([], {})


def test_it_is_whole_since_the_first_edit_of_the_field_in_the_org(sandbox, crm, lead):
    other = live(crm)[1].ref
    at = edit(sandbox, other, Title="First of all")
    sandbox.clock.advance(86_400)
    edit(sandbox, lead.ref, Title="CTO")
    assert past(sandbox, lead.ref)[1] == {"lead": {"title": at}}
    sandbox.clock.advance(600 * 86_400)
    assert past(sandbox, lead.ref)[1] == {"lead": {"title": sandbox.clock() - timedelta(days=540)}}


def test_a_field_whose_history_was_switched_off_has_none(sandbox, crm, lead):
    edit(sandbox, lead.ref, Title="CTO")
    do(sandbox, "track_field", object="Lead", field="Title", tracked=False)
    assert past(sandbox, lead.ref)[1] == {"lead": {}}


def test_who_may_not_ask_what_is_tracked_goes_by_what_there_is(sandbox, crm, lead):
    at = edit(sandbox, lead.ref, Title="CTO")
    fault(sandbox, "answer", "tooling", status=400, body=[{"errorCode": "INVALID_TYPE", "message": "no"}])
    assert past(sandbox, lead.ref)[1] == {"lead": {"title": at}}


def test_each_kind_has_its_own(sandbox, crm, lead):
    contact = live(crm, "contact")[0].ref
    at = edit(sandbox, contact, Title="CTO")
    values, whole = past(sandbox, lead.ref, contact, Ref("salesforce", "contact", "003000000000000AAA"))
    assert [(each.ref, each.field, each.until) for each in values] == [(contact, "title", at)]
    assert whole == {"lead": {}, "contact": {"title": at}}


def test_an_org_without_history_has_nothing(sandbox, crm, lead):
    edit(sandbox, lead.ref, Title="CTO")
    for name in ("leadhistory", "contacthistory"):
        sandbox.org.state.tables.pop(name)
    assert past(sandbox, lead.ref) == ([], {})


def test_nothing_is_asked_where_nothing_could_be_told(sandbox, crm, lead):
    made = connect(sandbox, replace(NAMES, fields={"industry": {"contact": "Account.Industry"}}))
    assert list(made.past_fields([lead.ref])) == list(connect(sandbox, PAST).past_fields([])) == []


def test_many_records_and_many_fields(sandbox, crm, lead):
    everybody = [each.ref for each in live(crm)]
    for each in everybody[:5]:
        edit(sandbox, each, Title="CTO")
    many = {f"f{number}": "Industry" for number in range(40)} | {"title": "Title"}
    for names in (PAST, replace(NAMES, fields=many)):
        values, _ = past(sandbox, *everybody, names=names)
        assert {each.ref for each in values} == set(everybody[:5])


def test_an_edit_that_cannot_be_read_leaves_the_others(sandbox, crm, lead):
    edit(sandbox, lead.ref, Title="VP")
    at = edit(sandbox, lead.ref, Title="CTO")
    made = connect(sandbox, PAST)
    table = sandbox.org.state.of("LeadHistory")
    table.set(0, "OldValue", {"odd": 1})
    assert [each for page in made.past_fields([lead.ref]) for each in page.values] == [
        PastValue(lead.ref, "title", "VP", at)
    ]
