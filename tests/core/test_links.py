"""Links of the CRMs' pages: who is meant, and what is refused."""

from __future__ import annotations

import pytest

from crmsync.config import connectors
from crmsync.errors import ConfigError
from tests.support.make import config

HERE = config(hubspot={}, salesforce={"instance_url": "https://acme.my.salesforce.com"}).crms


def read(crm, link):
    return connectors()[crm].read_link(link, HERE[crm], {"hubspot": "8", "salesforce": "00D000000000001EAA"}[crm])


@pytest.mark.parametrize(
    ("crm", "link", "meant"),
    [
        ("hubspot", "https://app.hubspot.com/contacts/8/record/0-1/100000001599", "hubspot:contact:100000001599"),
        ("hubspot", "https://app-eu1.hubspot.com/contacts/8/contact/51/?tab=1#top", "hubspot:contact:51"),
        (
            "salesforce",
            "https://acme.lightning.force.com/lightning/r/Lead/00Q5g00000AbCdEEAV/view",
            "00Q5g00000AbCdEEAV",
        ),
        ("salesforce", "https://acme.my.salesforce.com/0035g00000AbCdE", "0035g00000AbCdE"),
    ],
)
def test_a_link_is_the_record(crm, link, meant):
    assert read(crm, link) == meant


@pytest.mark.parametrize(
    ("crm", "link", "said"),
    [
        ("hubspot", "https://app.hubspot.com/contacts/9/record/0-1/5", "HubSpot account 9; this config works with 8"),
        ("hubspot", "https://app.hubspot.com/contacts/8/record/0-2/5", "not that of a contact"),
        ("hubspot", "https://app.hubspot.com/reports-dashboard/8", "not that of a contact"),
        ("salesforce", "https://other.my.salesforce.com/0035g00000AbCdE", "the Salesforce org other"),
        ("salesforce", "https://acme--dev.sandbox.my.salesforce.com/0035g00000AbCdE", "the Salesforce org acme--dev"),
        (
            "salesforce",
            "https://acme.lightning.force.com/lightning/r/Account/0015g00000AbCdEEAV/view",
            "not that of a lead",
        ),
    ],
)
def test_a_link_of_another_account_or_to_nobody_is_refused_by_name(crm, link, said):
    with pytest.raises(ConfigError, match=said):
        read(crm, link)


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
@pytest.mark.parametrize(
    "link",
    [
        "https://example.com/contacts/8/record/0-1/5",
        "https://app.hubspot.com.evil.example/contacts/8/record/0-1/5",
        "https://acme.lightning.force.com.evil.example/0035g00000AbCdE",
        "https://",
        "https://app",
    ],
)
def test_links_of_others_are_nobodys(crm, link):
    assert read(crm, link) is None
