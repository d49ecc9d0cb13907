"""What the tests of the HubSpot connector find ready."""

import pytest

from tests.support.hubspot import hubspot


@pytest.fixture
def ready(sandbox):
    """A connector to a portal that has our properties."""
    connector = hubspot(sandbox)
    connector.create_fields()
    sandbox.calls.clear()
    yield connector
    connector.close()
