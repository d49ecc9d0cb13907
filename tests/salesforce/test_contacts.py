"""Leads and contacts as they are read: what came, what went, and what the user may not see."""

import pytest

from crmsync.model import Ref
from tests.support.pages import pulled
from tests.support.salesforce import by_ref, connect, do, fault, live


def test_an_account_that_changes_brings_its_contacts(sandbox, crm):
    contact = next(each for each in live(crm, "contact") if each.group.startswith("001"))
    _, cursor = pulled(crm.contacts(None))
    sandbox.clock.advance(7_200)
    do(sandbox, "update", id=contact.group, fields={"Industry": "Banking"})
    found = by_ref(pulled(connect(sandbox).contacts(cursor))[0])
    assert found[contact.ref].fields["industry"] == "Banking"
    assert found[contact.ref].changed_at > contact.changed_at
    assert all(ref.kind == "contact" for ref in found)


def test_more_records_than_a_query_takes_are_read_in_few_calls(sandbox, crm):
    refs = [each.ref for each in pulled(crm.contacts(None))[0]]
    unknown = [Ref("salesforce", "lead", f"00Q0000000{number:05}AAA") for number in range(40_000, 40_900)]
    sandbox.calls.clear()
    found = by_ref(crm.read([*refs, *unknown]))
    assert set(found) == {*refs, *unknown}
    assert all(found[ref].gone for ref in unknown)
    assert len(sandbox.calls) == 2


@pytest.mark.parametrize("action", ["hide_field", "remove_field"])
def test_a_field_that_goes_is_unknown_and_the_pull_goes_on(sandbox, crm, action):
    assert any("title" in each.fields for each in pulled(crm.contacts(None))[0])
    do(sandbox, action, object="Lead", field="Title")
    contacts, _ = pulled(crm.contacts(None))
    assert not any("title" in each.fields for each in contacts if each.ref.kind == "lead")
    assert any("title" in each.fields for each in contacts if each.ref.kind == "contact")
    assert all("title" not in each.fields for each in crm.read([live(crm)[0].ref]))


def test_a_field_that_comes_back_is_read_for_everybody(sandbox, crm):
    do(sandbox, "hide_field", object="Lead", field="Title")
    _, cursor = pulled(connect(sandbox).contacts(None))
    do(sandbox, "show_field", object="Lead", field="Title")
    found = by_ref(pulled(connect(sandbox).contacts(cursor))[0])
    assert set(found) >= {each.ref for each in live(crm)}


def test_a_field_that_goes_between_describe_and_read_is_left_out(sandbox, crm):
    ref = live(crm)[0].ref
    do(sandbox, "hide_field", object="Lead", field="Title")
    assert [each.ref for each in crm.read([ref])] == [ref]


def test_an_output_field_of_the_crm_is_current(sandbox, crm):
    ref = live(crm)[0].ref
    do(sandbox, "update", id=ref.id, fields={"Crmsync_Score__c": 12, "Crmsync_Band__c": "warm"})
    assert next(iter(crm.read([ref]))).current == {"score": 12, "band": "warm"}


def test_an_org_without_composite_is_read_call_by_call(sandbox, crm):
    whole = by_ref(pulled(crm.contacts(None))[0])
    said = [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]
    fault(sandbox, "answer", "/composite$", status=404, body=said)
    made = connect(sandbox)
    assert by_ref(pulled(made.contacts(None))[0]) == whole
    unknown = [Ref("salesforce", "lead", f"00Q0000000{number:05}AAA") for number in range(40_000, 40_500)]
    assert len(list(made.read(unknown))) == 500
