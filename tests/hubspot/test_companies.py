"""The company of a contact and its values."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.http import site_host
from connectors.hubspot.properties import to_millis
from connectors.sandbox.faults import Fault
from crmsync.model import Company, Ref
from tests.support.hubspot import NAMES, calls, contacts, hubspot, properties


def test_what_is_read_by_id_has_the_companys_values_too(sandbox, ready):
    found, _ = contacts(ready)
    assert {each.ref.id: each for each in ready.read([each.ref for each in found.values()])} == found


def test_a_companys_change_reaches_its_contacts(sandbox, ready):
    _, cursor = contacts(ready)
    company = next(each for each in sandbox.portal.state.records["companies"].live if members(sandbox, each))
    sandbox.clock.advance(7200)
    sandbox.do("hubspot", "update", type="companies", id=str(company), properties={"numberofemployees": "4321"})
    changed, _ = contacts(ready, cursor)
    for contact_id in members(sandbox, company):
        assert changed[str(contact_id)].fields["employees"] == 4321


def members(sandbox, company):
    """The contacts whose primary company it is."""
    return [
        contact_id
        for contact_id in sandbox.portal.state.contacts.live
        if properties(sandbox, contact_id).get("associatedcompanyid") == str(company)
    ]


def test_companies_are_found_without_the_property_that_names_them(sandbox, ready):
    expected = contacts(ready)[0]
    sandbox.do("hubspot", "hide_property", property="associatedcompanyid")
    assert contacts(hubspot(sandbox))[0] == expected


def test_companies_that_are_not_remembered_are_looked_up_page_by_page(sandbox, ready, monkeypatch):
    expected = contacts(ready)[0]
    monkeypatch.setattr("connectors.hubspot.companies.KEPT", 3)
    monkeypatch.setattr("connectors.hubspot.paging.LIST_PAGE", 9)
    assert contacts(hubspot(sandbox))[0] == expected


def test_company_fields_that_the_token_may_not_see_are_missing(sandbox, ready):
    sandbox.portal.switches.scopes = ["crm.objects.contacts.read", "crm.schemas.contacts.read"]
    (missing,) = ready.missing_fields()
    assert (missing.role, missing.name) == ("field", "employees")
    assert "crm.schemas.companies.read" in missing.sentence


WITH_COMPANIES = replace(NAMES, companies=True)
"""The tests' mapping, with a company field, where companies are asked about, too."""

ONLY_COMPANIES = replace(WITH_COMPANIES, fields={"title": "jobtitle"})


def some_company(sandbox):
    """A company that has an owner and contacts: its id and what the portal has of it."""
    for number in sandbox.portal.state.records["companies"].live:
        values = sandbox.portal.state.records["companies"].by_id[number].properties
        if values.get("hubspot_owner_id") and members(sandbox, number):
            return number, values
    raise AssertionError("no company has an owner and contacts")


@pytest.mark.parametrize("names", [WITH_COMPANIES, ONLY_COMPANIES], ids=["beside fields", "alone"])
def test_a_contact_knows_its_primary_company_and_whose_it_is(sandbox, ready, names):
    number, values = some_company(sandbox)
    expected = Company(str(number), values["name"], values["domain"], values["hubspot_owner_id"])
    connector = hubspot(sandbox, names)
    found, _ = contacts(connector)
    assert {found[str(each)].company for each in members(sandbox, number)} == {expected}
    assert any(each.company is None for each in found.values())
    assert {each.ref.id: each for each in connector.read([each.ref for each in found.values()])} == found


def test_a_company_is_found_without_the_property_that_names_it(sandbox, ready):
    expected = {contact_id: each.company for contact_id, each in contacts(hubspot(sandbox, ONLY_COMPANIES))[0].items()}
    assert any(expected.values())
    sandbox.do("hubspot", "hide_property", property="associatedcompanyid")
    found, _ = contacts(hubspot(sandbox, ONLY_COMPANIES))
    assert {contact_id: each.company for contact_id, each in found.items()} == expected


def test_a_company_that_changes_hands_reaches_its_contacts(sandbox, ready):
    connector = hubspot(sandbox, ONLY_COMPANIES)
    _, cursor = contacts(connector)
    number, values = some_company(sandbox)
    other = next(str(each) for each in sandbox.portal.state.owners if str(each) != values["hubspot_owner_id"])
    sandbox.clock.advance(7200)
    sandbox.do("hubspot", "update", type="companies", id=str(number), properties={"hubspot_owner_id": other})
    changed, _ = contacts(connector, cursor)
    assert {changed[str(each)].company.owner for each in members(sandbox, number)} == {other}


def test_companies_that_nothing_is_decided_by_are_not_read(sandbox, ready):
    plain = replace(NAMES, fields={"title": "jobtitle"})
    connector = hubspot(sandbox, plain)
    found, cursor = contacts(connector)
    list(connector.read([each.ref for each in found.values()]))
    contacts(connector, cursor)
    assert {each.company for each in found.values()} == {None}
    assert not any("associatedcompanyid" in each.query for each in calls(sandbox, "contacts"))
    called = Counter(each.path.partition("/2026-09/")[2] for each in calls(sandbox, "/crm/objects/"))
    # the list and the recycle bin, by id, what changed: as many as before companies could be asked about
    assert called == {"contacts": 2, "contacts/batch/read": 1, "contacts/search": 1}
    assert [each.path for each in calls(sandbox, "/crm/properties/")] == ["/crm/properties/2026-09/contacts"]


def test_what_is_asked_of_companies_takes_no_call_more_than_a_company_field(sandbox, ready):
    assert counted(sandbox, WITH_COMPANIES) == counted(sandbox, NAMES)


def counted(sandbox, names):
    """The calls of a pull of everything, and of one by id."""
    sandbox.calls.clear()
    connector = hubspot(sandbox, names)
    found, _ = contacts(connector)
    list(connector.read([each.ref for each in found.values()]))
    return sorted((each.method, each.path) for each in sandbox.calls.of("hubspot"))


@pytest.mark.parametrize("backfill", ["list", "export"])
def test_a_contact_says_when_it_was_made(sandbox, ready, backfill):
    found, _ = contacts(hubspot(sandbox, backfill=backfill))
    for each in found.values():
        made = sandbox.portal.state.contacts.by_id[int(each.ref.id)].created
        assert (to_millis(each.created_at), each.created_at.utcoffset()) == (made, timedelta(0))


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("https://www.Acme.example/en?a=b", "acme.example"),
        ("acme.example", "acme.example"),
        ("//www.acme.example:8080", "acme.example"),
        ("http://user@acme.example#top", "acme.example"),
        (" shop.acme.co.uk/ ", "shop.acme.co.uk"),
        ("none", "none"),
        ("", ""),
    ],
)
def test_a_domain_is_the_host_of_whatever_somebody_typed(written, host):
    assert site_host(written) == host


def test_a_company_that_cannot_be_read_is_known_by_its_id(sandbox, ready):
    number, _ = some_company(sandbox)
    sandbox.faults.add(
        Fault(do="answer", vendor="hubspot", path="companies/batch/read", status=200, body={"results": []})
    )
    connector = hubspot(sandbox, ONLY_COMPANIES)
    ref = Ref("hubspot", "contact", str(members(sandbox, number)[0]))
    known = next(iter(connector.read([ref]))).company
    assert (known.id, bool(known.name)) == (str(number), True)
    sandbox.faults.add(
        Fault(do="answer", vendor="hubspot", path=f"companies/{number}$", status=200, body={"id": number})
    )
    assert next(iter(hubspot(sandbox, ONLY_COMPANIES).read([ref]))).company == Company(str(number))


def test_contacts_of_a_company_that_was_merged_are_those_of_its_survivor(sandbox, ready):
    connector = hubspot(sandbox, WITH_COMPANIES)
    known, cursor = contacts(connector)
    number, _ = some_company(sandbox)
    theirs = [str(each) for each in members(sandbox, number)]
    other = next(each.company.id for each in known.values() if each.company and each.company.id != str(number))
    theirs += [str(each) for each in members(sandbox, int(other))]
    survivor = sandbox.do("hubspot", "merge", type="companies", id=str(number), other=other)["id"]
    sandbox.do(
        "hubspot", "update", type="companies", id=survivor, properties={"name": "Umbra", "numberofemployees": 77}
    )
    # HubSpot may be late with the property that names the company, or a contact may keep a former id in it.
    assert {properties(sandbox, each)["associatedcompanyid"] for each in theirs} == {str(number), other}
    for found in (contacts(connector, cursor)[0], contacts(hubspot(sandbox, WITH_COMPANIES))[0]):
        assert {found[each].company.id for each in theirs} == {survivor}
        assert {found[each].company.name for each in theirs} == {"Umbra"}
        assert {found[each].fields["employees"] for each in theirs} == {77}


def test_the_check_tells_whether_the_token_may_read_companies(sandbox, ready):
    sandbox.portal.switches.scopes = ["crm.objects.contacts.read", "crm.schemas.contacts.read"]
    assert any("crm.objects.companies.read" in each for each in hubspot(sandbox, ONLY_COMPANIES).check().problems)
    plain = replace(NAMES, fields={"title": "jobtitle"})
    assert not any("companies" in each for each in hubspot(sandbox, plain).check().problems)


def test_a_company_that_is_not_there_takes_no_account_from_the_other_contacts_of_the_page(sandbox, ready):
    """A batch in which nothing is there can be a 404, and the others of the page are remembered."""
    connector = hubspot(sandbox, WITH_COMPANIES)
    accounts = {each: found.company for each, found in contacts(connector)[0].items() if found.company}
    first, *_ = accounts
    other = next(each for each, company in accounts.items() if company.id != accounts[first].id)
    connector = hubspot(sandbox, WITH_COMPANIES)
    list(connector.read([Ref("hubspot", "contact", first)]))
    said = {"status": "error", "message": "Could not get some COMPANY objects", "category": "OBJECT_NOT_FOUND"}
    gone = f"/companies/(batch/read|{accounts[other].id})$"
    sandbox.faults.add(Fault(do="answer", vendor="hubspot", path=gone, status=404, body=said))
    read = {each.ref.id: each for each in connector.read([Ref("hubspot", "contact", each) for each in (first, other)])}
    assert read[first].company == accounts[first]
    assert read[first].unread == frozenset()
    assert read[other].company.name == ""
