"""The sandbox's HubSpot: what becomes of a world's people."""

from connectors.sandbox.world import salesforce_id
from tests.support.sandbox_hubspot import only


def test_the_native_salesforce_sync_leaves_its_ids(ask, portal):
    names = "salesforceleadid,salesforcecontactid"
    lead, contact = (
        ask.get(f"/crm/v3/objects/contacts/{only(portal, first)}", properties=names)["properties"]
        for first in ("First1", "First4")
    )
    assert (lead["salesforceleadid"], lead["salesforcecontactid"]) == (salesforce_id("00Q", 4), None)
    assert (contact["salesforceleadid"], contact["salesforcecontactid"]) == (None, salesforce_id("003", 17))


def test_a_duplicate_has_another_address_because_hubspot_has_one_contact_for_each(portal):
    found = [each.properties.get("email") for each in portal.state.contacts.by_id.values()]
    assert {"double@umbra.example", "double+2@umbra.example"} <= set(found)
