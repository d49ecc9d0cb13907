"""The company of a contact and its values."""

from tests.support.hubspot import contacts, hubspot, properties


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
