"""Which fields and stages of the config an org does not show."""

import pytest

from crmsync.connector import FieldMap
from tests.support.pages import pulled
from tests.support.salesforce import connect, do, fault


def roles(crm):
    return {(each.role, each.name, each.kind) for each in crm.missing_fields()}


def test_nothing_is_missing_in_a_healthy_org(sandbox, crm):
    assert crm.missing_fields() == []


@pytest.mark.parametrize("action", ["hide_field", "remove_field"])
def test_a_field_that_goes_is_missing_in_the_next_run_of_a_daemon(sandbox, crm, action):
    assert crm.missing_fields() == []
    for object_, field in (
        ("Lead", "Title"),
        ("Account", "Industry"),
        ("Contact", "Crmsync_Fit__c"),
        ("Contact", "Crmsync_Stage__c"),
    ):
        do(sandbox, action, object=object_, field=field)
    assert roles(crm) == {
        ("field", "title", "lead"), ("field", "industry", "contact"), ("score_field", "fit", "contact"),
        ("stage", "stage", "contact"),
    }  # fmt: skip
    problems = crm.check().problems
    assert all(each.sentence in problems for each in crm.missing_fields())
    assert any("correct [fields]" in each for each in problems)
    assert sum("run: crmsync setup" in each for each in problems) == 2


def test_a_field_that_comes_back_is_not_missing(sandbox, crm):
    do(sandbox, "hide_field", object="Lead", field="Title")
    assert roles(crm) == {("field", "title", "lead")}
    do(sandbox, "show_field", object="Lead", field="Title")
    assert crm.missing_fields() == []


def test_a_field_that_no_api_reads_whole_is_missing(sandbox, crm):
    made = connect(sandbox, names=FieldMap(fields={"place": {"contact": "MailingAddress"}}))
    [missing] = made.missing_fields()
    assert "map one of its parts" in missing.sentence


def test_what_is_missing_costs_one_call_and_no_describe_again(sandbox, crm):
    crm.missing_fields()
    sandbox.calls.clear()
    crm.missing_fields()
    assert len(sandbox.calls) == 1
    crm.stage_order()
    pulled(crm.contacts(None))
    assert [call.path for call in sandbox.calls if "describe" in call.path or call.path.endswith("/composite")] == [
        sandbox.calls[0].path
    ]


def test_what_is_missing_is_found_without_composite(sandbox, crm):
    said = [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "no composite"}]
    fault(sandbox, "answer", "/composite$", status=400, body=said)
    assert crm.missing_fields() == []
    do(sandbox, "hide_field", object="Lead", field="Title")
    assert roles(crm) == {("field", "title", "lead")}
