"""Leads and contacts as they are read: what came, what went, and what the user may not see."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.salesforce.schema import instant_of
from crmsync.model import Company, Ref
from crmsync.scoring.spellings import read_host
from tests.support.pages import pulled
from tests.support.salesforce import NAMES, by_ref, connect, do, fault, live, row

WITH_COMPANIES = replace(NAMES, companies=True)
ONLY_COMPANIES = replace(WITH_COMPANIES, fields={"title": "Title"})


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
    # The third asks the log of deletions about those that are not shown.
    assert len(sandbox.calls) == 3


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


def account_of(sandbox, contact):
    """The company of a contact, as the org has it."""
    accounts = sandbox.snapshot("salesforce")["Account"]
    if (number := row(sandbox, contact.ref)["AccountId"]) is None:
        return None
    values = accounts[number]
    return Company(number, values["Name"], read_host(values["Website"]), values["OwnerId"])


@pytest.mark.parametrize("names", [WITH_COMPANIES, ONLY_COMPANIES], ids=["beside fields", "alone"])
def test_a_contact_knows_its_account_and_whose_it_is(sandbox, crm, names):
    made = connect(sandbox, names=names)
    found = live(made, "contact")
    assert {each.company for each in found} >= {account_of(sandbox, found[0])}
    assert [each.company for each in found] == [account_of(sandbox, each) for each in found]
    assert len({each.company.owner for each in found if each.company}) > 1
    assert by_ref(made.read([each.ref for each in found])) == by_ref(found)


def test_a_lead_has_no_account(sandbox, crm):
    assert {each.company for each in live(connect(sandbox, names=WITH_COMPANIES))} == {None}


def test_accounts_come_with_bulk_queries_too(sandbox, crm, bulky):
    expected = by_ref(live(connect(sandbox, names=WITH_COMPANIES), "contact"))
    assert any(each.company for each in expected.values())
    assert by_ref(live(bulky(names=WITH_COMPANIES), "contact")) == expected


@pytest.mark.parametrize("action", ["hide_field", "remove_field"])
def test_an_account_whose_website_is_not_shown_is_known_without_it(sandbox, crm, action):
    made = connect(sandbox, names=WITH_COMPANIES)
    expected = {each.ref: each.company for each in live(made, "contact")}
    do(sandbox, action, object="Account", field="Website")
    found = {each.ref: each.company for each in live(made, "contact")}
    assert found == {ref: each and each._replace(domain="") for ref, each in expected.items()}
    ref = next(iter(found))
    assert next(iter(made.read([ref]))).company == found[ref]


def test_an_account_that_changes_hands_brings_its_contacts(sandbox, crm):
    made = connect(sandbox, names=ONLY_COMPANIES)
    contact = next(each for each in live(made, "contact") if each.company)
    _, cursor = pulled(made.contacts(None))
    sandbox.clock.advance(7_200)
    users = sandbox.snapshot("salesforce")["User"].values()
    other = next(each["Id"] for each in users if each["IsActive"] and each["Id"] != contact.company.owner)
    do(sandbox, "update", id=contact.company.id, fields={"OwnerId": other})
    found = by_ref(pulled(connect(sandbox, names=ONLY_COMPANIES).contacts(cursor))[0])
    assert found[contact.ref].company.owner == other


def test_a_person_account_is_no_company(sandbox, crm):
    do(sandbox, "add_field", object="Contact", field="IsPersonAccount", type="boolean")
    first, second = [each for each in live(connect(sandbox, names=WITH_COMPANIES), "contact") if each.company][:2]
    do(sandbox, "update", id=first.ref.id, fields={"IsPersonAccount": True})
    found = by_ref(live(connect(sandbox, names=WITH_COMPANIES), "contact"))
    assert found[first.ref].company is None
    assert found[second.ref].company == second.company


def test_accounts_that_nothing_is_decided_by_are_not_read(sandbox, crm):
    plain = replace(NAMES, fields={"title": "Title"})
    assert {each.company for each in live(connect(sandbox, names=plain), "contact")} == {None}
    assert not any("Account.Name" in each.query for each in sandbox.calls)


def test_accounts_take_no_call_more(sandbox, crm):
    assert counted(sandbox, WITH_COMPANIES) == counted(sandbox, NAMES)
    assert counted(sandbox, ONLY_COMPANIES) == counted(sandbox, replace(ONLY_COMPANIES, companies=False))


def counted(sandbox, names):
    """The calls of a pull of everything, of one of what changed, and of one by id."""
    made = connect(sandbox, names=names)
    sandbox.calls.clear()
    found, cursor = pulled(made.contacts(None))
    pulled(made.contacts(cursor))
    list(made.read([each.ref for each in found]))
    return sorted((each.method, each.path) for each in sandbox.calls)


def test_a_record_says_when_it_was_made(sandbox, crm, bulky):
    for each in [*live(crm), *live(crm, "contact"), *live(bulky())]:
        assert each.created_at == instant_of(row(sandbox, each.ref)["CreatedDate"])
        assert each.created_at.utcoffset() == timedelta(0)
