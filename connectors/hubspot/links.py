"""Links to pages of HubSpot, as people paste them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from connectors.hubspot.errors import CRM, KIND
from connectors.hubspot.settings import Settings
from crmsync.errors import ConfigError

CONTACTS = "0-1"
"""The number of the contacts among HubSpot's types of objects."""


def read_link(link: str, _settings: Settings, account: str) -> str | None:
    """Who is meant by the address of a contact's page, as `crm:kind:id`; `None` where it is no address of HubSpot.

    `…/contacts/PORTAL/record/0-1/ID` and the older `…/contacts/PORTAL/contact/ID`. Raises `ConfigError` for a page of
    another portal than `account` (where that is known), and for one that is nobody's.
    """
    address = urlsplit(link)
    if not re.fullmatch(r"app(-\w+)?\.hubspot\.com", address.hostname or ""):
        return None
    found = re.search(r"/contacts/(\d+)/(?:record/(\d+-\d+)|(contact))/(\d+)", address.path)
    if found is None or (found[2] and found[2] != CONTACTS):
        raise ConfigError("this is a page of HubSpot, but not that of a contact; open the contact and copy its address")
    if account and found[1] != account:
        raise ConfigError(f"this link is of the HubSpot account {found[1]}; this config works with {account}")
    return f"{CRM}:{KIND}:{found[4]}"
