"""How a HubSpot contact becomes a Contact."""

from crmsync.model import Ref, long_id
from tests.support.hubspot import contacts, create, update


def test_a_contact_has_typed_fields_of_itself_and_of_its_company(sandbox, ready):
    company = sandbox.do("hubspot", "create", type="companies", properties={"name": "Acme", "numberofemployees": "250"})
    contact_id = create(
        sandbox, email="Ann@Acme.example", jobtitle="CTO", lifecyclestage="marketingqualifiedlead", ls_score="42"
    )
    sandbox.do("hubspot", "associate", id=contact_id, to="companies", other=company["id"], primary=True)
    update(sandbox, contact_id, associatedcompanyid=company["id"])
    found = contacts(ready)[0][contact_id]
    assert found.ref == Ref("hubspot", "contact", contact_id)
    assert found.emails == ("Ann@Acme.example",) or found.emails == ("ann@acme.example",)
    assert found.fields == {"title": "CTO", "employees": 250}
    assert found.stage == "mql"
    assert found.current == {"score": 42}


def test_a_stage_that_the_config_does_not_name_keeps_hubspots_value(sandbox, ready):
    contact_id = create(sandbox, email="e@acme.example", lifecyclestage="evangelist")
    assert contacts(ready)[0][contact_id].stage == "evangelist"


def test_the_native_salesforce_sync_links_records_and_is_said(sandbox, ready):
    linked = [each for each in contacts(ready)[0].values() if each.links]
    assert linked
    assert {each.crm for contact in linked for each in contact.links} == {"salesforce"}
    assert any("one system" in note for note in ready.check().notes)


def test_a_short_salesforce_id_becomes_the_long_one():
    assert long_id("00Q5g00000AbCdE") == long_id(long_id("00Q5g00000AbCdE"))
    assert long_id("0013000001Dbz3F") == "0013000001Dbz3FAAR"
    assert long_id("003D000000QV9n2") == "003D000000QV9n2IAD"
