"""The whole connector, in every version of HubSpot's API."""

import pytest

from tests.support.hubspot import change, contacts, hubspot
from tests.support.pages import pulled


@pytest.mark.parametrize("version", ["2026-09", "2026-03", "v3"])
def test_reads_and_writes_the_same_in_every_version(sandbox, version):
    connector = hubspot(sandbox, api_version=version)
    connector.create_fields()
    found, _ = contacts(connector)
    activities, _ = pulled(connector.activities(None))
    receipts = list(connector.write([change(contact_id, score=7) for contact_id in found]))
    assert set(found) == {str(contact_id) for contact_id in sandbox.portal.state.contacts.live}
    assert {each.kind for each in activities} >= {"page_viewed", "form_submitted", "email_sent", "meeting_held"}
    assert all(each.ok for each in receipts)
    assert {each.current["score"] for each in contacts(connector)[0].values()} == {7}
