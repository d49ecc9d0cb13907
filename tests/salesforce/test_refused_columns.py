"""Columns that queries refuse although describe lists them, and sources of activities that are left out."""

from dataclasses import replace

import pytest

from connectors.sandbox.salesforce import describe, org, records
from crmsync.connector import FieldMap
from crmsync.errors import ConfigError, Unavailable
from tests.support.pages import pulled
from tests.support.salesforce import NAMES, by_ref, connect, do, fault, happened, live

CALLS = [
    {"source": "Task", "kind": "phone", "where": {"TaskSubtype": "Call"}, "attributes": {"note": "Note__c"}},
    {"source": "Event", "kind": "meeting_held"},
]
SOLD = FieldMap(fields=NAMES.fields, outcomes=True)


def refuse(sandbox, object_, field):
    """Have describe list a field that no query reads."""
    do(sandbox, "hide_field", object=object_, field=field, listed=True)


def told(pages):
    return [each for page in pages for each in page.left_out]


def folded(pages):
    return by_ref(each for page in pages for each in page.items)


@pytest.mark.parametrize("by_bulk", [False, True])
@pytest.mark.parametrize(
    ("object_", "field", "name", "kind"),
    [("Lead", "Title", "title", "lead"), ("Account", "Industry", "industry", "contact")],
)
def test_a_column_that_queries_refuse_is_unread_and_the_rest_comes(
    sandbox, crm, bulky, by_bulk, object_, field, name, kind
):
    whole = by_ref(pulled(crm.contacts(None))[0])
    refuse(sandbox, object_, field)
    pages = list((bulky() if by_bulk else connect(sandbox)).contacts(None))
    found = folded(pages)
    assert found.keys() == whole.keys()
    for ref, each in found.items():
        without = {own: value for own, value in whole[ref].fields.items() if (own, ref.kind) != (name, kind)}
        assert each.fields == without
        assert each.unread == ({name} if ref.kind == kind else frozenset())
    [sentence] = told(pages)
    assert f".{field} (the field {name!r}) is described" in sentence
    assert "last known values" in sentence


def test_a_job_that_fails_for_a_column_is_begun_again_without_it(sandbox, crm, bulky):
    whole = by_ref(pulled(crm.contacts(None))[0])
    said = "InvalidField: No such column 'Title' on entity 'Lead'. If you are attempting to use a custom field, …"
    fault(sandbox, "answer", "/jobs/query/\\w+$", status=200, body={"state": "Failed", "errorMessage": said}, times=1)
    pages = list(bulky().contacts(None))
    found = folded(pages)
    assert found.keys() == whole.keys()
    assert {each.ref.kind for each in found.values() if "title" in each.unread} == {"lead"}
    assert len(told(pages)) == 1


def test_a_job_that_fails_for_what_nobody_asked_for_is_told_as_before(sandbox, crm, bulky):
    said = "InvalidField: No such column 'Shoe__c' on entity 'Lead'."
    fault(sandbox, "answer", "/jobs/query/\\w+$", status=200, body={"state": "Failed", "errorMessage": said})
    with pytest.raises(Unavailable, match="must be started again"):
        list(bulky().contacts(None))


def test_several_columns_are_dropped_one_after_the_other(sandbox, crm):
    for object_, field in (("Lead", "Title"), ("Lead", "Industry"), ("Account", "NumberOfEmployees")):
        refuse(sandbox, object_, field)
    pages = list(connect(sandbox).contacts(None))
    assert {(each.ref.kind, each.unread) for page in pages for each in page.items} == {
        ("lead", frozenset({"title", "industry"})), ("contact", frozenset({"employees"}))
    }  # fmt: skip
    assert len(told(pages)) == 3


def test_a_dropped_column_costs_no_full_read_and_is_read_for_everybody_once_it_can_be(sandbox, crm, monkeypatch):
    whole, cursor = pulled(crm.contacts(None))
    refuse(sandbox, "Lead", "Title")
    made = connect(sandbox)
    assert pulled(made.contacts(cursor))[0] == []
    sandbox.calls.clear()
    found, later = pulled(made.contacts(cursor))
    assert found == []
    assert not [call for call in sandbox.calls if call.status >= 400]
    do(sandbox, "show_field", object="Lead", field="Title")
    assert {each.ref for each in pulled(connect(sandbox).contacts(later))[0]} == {
        each.ref for each in whole if each.ref.kind == "lead"
    }


def test_a_refused_column_is_tried_again_after_an_hour(sandbox, crm, monkeypatch):
    refuse(sandbox, "Lead", "Title")
    made = connect(sandbox)
    pulled(made.contacts(None))
    do(sandbox, "show_field", object="Lead", field="Title")
    assert any("title" in each.unread for each in pulled(made.contacts(None))[0])
    monkeypatch.setattr("connectors.salesforce.schema.KEPT_FOR", -1.0)
    assert not any("title" in each.unread for each in pulled(made.contacts(None))[0])


def test_records_are_looked_up_without_a_refused_column(sandbox, crm):
    leads = [each.ref for each in live(crm)]
    refuse(sandbox, "Lead", "Title")
    assert {(each.ref, each.unread) for each in connect(sandbox).read(leads)} == {
        (ref, frozenset({"title"})) for ref in leads
    }


def test_a_way_to_a_parent_that_queries_do_not_understand_is_unread(sandbox, crm):
    names = FieldMap(fields={"title": "Title", "team": {"lead": "Owner.DeveloperName"}})
    pages = list(connect(sandbox, names=names).contacts(None))
    assert {each.unread for page in pages for each in page.items if each.ref.kind == "lead"} == {frozenset({"team"})}
    assert "Lead.Owner.DeveloperName" in told(pages)[0]


@pytest.mark.parametrize("field", ["OwnerId", "Email", "IsConverted", "Status", "Crmsync_Score__c", "IsDeleted"])
def test_a_column_that_nothing_can_do_without_is_refused_as_before(sandbox, crm, field):
    refuse(sandbox, "Lead", field)
    with pytest.raises(ConfigError, match=rf"No such column '{field}'[\s\S]*'Read'"):
        list(connect(sandbox).contacts(None))
    assert any(f"No such column '{field}'" in each for each in connect(sandbox).check().problems)


def test_a_refusal_that_names_nothing_we_asked_for_is_told_as_before(sandbox, crm):
    said = [{"errorCode": "INVALID_FIELD", "message": "No such column 'Shoe__c' on entity 'Lead'."}]
    fault(sandbox, "answer", "/query", status=400, body=said)
    for pull in (crm.contacts, crm.activities):
        with pytest.raises(ConfigError, match="Shoe__c"):
            list(pull(None))
    assert sum(call.status == 400 for call in sandbox.calls) <= 4


def test_the_check_names_refused_columns(sandbox, crm):
    for object_, field in (("Lead", "Title"), ("Task", "Note__c"), ("Opportunity", "Amount"), ("Event", "WhoId")):
        if field.endswith("__c"):
            do(sandbox, "add_field", object=object_, field=field, type="string")
        refuse(sandbox, object_, field)
    made = connect(sandbox, names=SOLD, activities=CALLS)
    problems = made.check().problems
    for name in ("Lead.Title (the field 'title')", "Task.Note__c", "Opportunity.Amount"):
        assert sum(f"{name} is described" in each for each in problems) == 1
    assert any("Event records are not used" in each and "'WhoId'" in each for each in problems)
    for object_, field in (("Lead", "Title"), ("Task", "Note__c"), ("Opportunity", "Amount"), ("Event", "WhoId")):
        do(sandbox, "show_field", object=object_, field=field)
    assert not [each for each in made.check().problems if "described" in each or "not used" in each]


def test_the_check_names_a_query_that_is_too_long_beside_all_else(sandbox, crm, monkeypatch):
    no = [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "no composite"}]
    fault(sandbox, "answer", "/composite$", status=400, body=no)
    monkeypatch.setattr(org, "LONGEST_URL", 300)
    do(sandbox, "hide_field", object="Lead", field="Title")
    problems = connect(sandbox).check().problems
    assert any("map fewer fields" in each for each in problems)
    assert any("Lead.Title" in each for each in problems)


def test_an_attribute_that_queries_refuse_is_absent_and_the_activities_come(sandbox, crm):
    do(sandbox, "add_field", object="Task", field="Note__c", type="string")
    lead = live(crm)[0]
    do(sandbox, "add_activity", who=lead.ref.id, fields={"TaskSubtype": "Call", "Note__c": "rang back"})
    whole, _ = happened(connect(sandbox, activities=CALLS))
    assert any(each.attributes.get("note") == "rang back" for each in whole)
    refuse(sandbox, "Task", "Note__c")
    pages = list(connect(sandbox, activities=CALLS).activities(None))
    assert {each.id for page in pages for each in page.items} == {each.id for each in whole}
    assert not any("note" in each.attributes for page in pages for each in page.items)
    assert ["Task.Note__c is described" in each for each in told(pages)] == [True]


@pytest.mark.parametrize("field", ["TaskSubtype", "WhoId", "IsRecurrence", "SystemModstamp"])
def test_a_source_whose_rows_cannot_be_understood_is_left_out_and_read_from_there_later(sandbox, crm, field):
    before, cursor = happened(connect(sandbox, activities=CALLS))
    lead = live(crm)[0]
    refuse(sandbox, "Task", field)
    do(sandbox, "add_activity", who=lead.ref.id, fields={"TaskSubtype": "Call"})
    sandbox.clock.advance(3_600)
    pages = list(connect(sandbox, activities=CALLS).activities(cursor))
    assert not [each for page in pages for each in page.items if each.id.startswith("00T")]
    [sentence] = told(pages)
    assert sentence.startswith("Task records are not used as activities")
    assert "Access Activities" in sentence
    do(sandbox, "show_field", object="Task", field=field)
    found, _ = happened(connect(sandbox, activities=CALLS), pages[-1].cursor)
    assert [each.kind for each in found if each.id not in {one.id for one in before}] == ["phone"]


def unfilterable(monkeypatch, name):
    real = records.describe_fully

    def described(sobject, version, fields, children):
        for each in fields:
            each["filterable"] &= (sobject.name, each["name"]) != (name, "SystemModstamp")
        return real(sobject, version, fields, children)

    monkeypatch.setattr(records, "describe_fully", described)


def test_a_source_whose_stamp_only_queries_do_not_filter_is_left_out_and_told(sandbox, crm, monkeypatch):
    _, cursor = happened(connect(sandbox, activities=CALLS))
    fields = sandbox.org.state.of("Event").sobject.fields
    real = describe.describe_field
    fields["systemmodstamp"] = replace(fields["systemmodstamp"], filterable=False)
    sandbox.org.state.forget()
    monkeypatch.setattr(records, "describe_field", lambda each: {**real(each), "filterable": True})
    made = connect(sandbox, activities=CALLS)
    [sentence] = told(made.activities(cursor))
    assert sentence.startswith("Event records are not used as activities")
    assert "SystemModstamp" in sentence


@pytest.mark.parametrize("how", ["unseen", "unfilterable", "stamp hidden"])
def test_a_source_that_the_config_names_and_that_cannot_be_read_is_told(sandbox, crm, monkeypatch, how):
    if how == "unseen":
        sandbox.org.state.tables.pop("event")
    elif how == "unfilterable":
        unfilterable(monkeypatch, "Event")
    else:
        do(sandbox, "hide_field", object="Event", field="SystemModstamp")
    made = connect(sandbox, activities=CALLS)
    pages = list(made.activities(None))
    assert [each.startswith("Event") and "not used as activities" in each for each in told(pages)] == [True]
    assert {each.id[:3] for page in pages for each in page.items} == {"00T"}
    assert told(pages)[0] in made.check().problems
    assert not [each for each in made.check().notes if "could not be checked" in each]


@pytest.mark.parametrize("how", ["unseen", "unfilterable"])
def test_a_source_that_an_org_never_had_is_told_by_the_check_alone(sandbox, crm, monkeypatch, how):
    if how == "unseen":
        sandbox.org.state.tables.pop("emailmessage")
    else:
        unfilterable(monkeypatch, "EmailMessage")
    made = connect(sandbox)
    pages = list(made.activities(None))
    assert told(pages) == []
    assert told(made.activities(pages[-1].cursor)) == []
    assert [each.startswith("EmailMessage") for each in made.check().notes if "not used" in each] == [True]


def test_a_source_that_was_read_until_now_is_told_where_it_goes_out_of_sight(sandbox, crm):
    _, cursor = happened(crm)
    do(sandbox, "hide_field", object="Event", field="SystemModstamp")
    pages = list(connect(sandbox).activities(cursor))
    assert [each.startswith("Event") for each in told(pages)] == [True]
    assert [each.startswith("Event") for each in told(connect(sandbox).activities(pages[-1].cursor))] == [True]


def test_opportunities_come_without_a_column_that_queries_refuse(sandbox, crm):
    whole, _ = pulled(connect(sandbox, names=SOLD).outcomes(None))
    refuse(sandbox, "Opportunity", "LeadSource")
    pages = list(connect(sandbox, names=SOLD).outcomes(None))
    assert {each.ref for page in pages for each in page.items} == {each.ref for each in whole}
    assert ["Opportunity.LeadSource" in each for each in told(pages)] == [True]
