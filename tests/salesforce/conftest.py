"""What the tests of the Salesforce connector find ready."""

import pytest

from connectors.salesforce import bulk
from tests.support.salesforce import connect, live, org_with_our_fields


@pytest.fixture
def crm(sandbox):
    return org_with_our_fields(sandbox)


@pytest.fixture
def bulky(sandbox, crm, monkeypatch):
    """A connector that reads everything by bulk, five rows to a page."""
    monkeypatch.setattr(bulk, "RESULT_ROWS", 5)

    def made(**how):
        connector = connect(sandbox, **how)
        object.__setattr__(connector._org.settings, "bulk_query_threshold", 1)
        return connector

    return made


@pytest.fixture
def leads(crm):
    return [each.ref for each in live(crm)]


@pytest.fixture
def contacts(crm):
    return [each.ref for each in live(crm, "contact")]
