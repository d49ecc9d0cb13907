"""Links to pages of Salesforce, as people paste them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from connectors.salesforce.settings import Settings
from crmsync.errors import ConfigError

HOST = re.compile(
    r"(?P<org>[\w-]+)(?:\.sandbox|\.develop|\.scratch|\.trailblaze)?\.(?:lightning\.force|my\.salesforce)\.com"
)
"""The host of a page: the name of the My Domain, and the kind of org where it is none for work."""

PERSON = re.compile(r"00[3Q][0-9A-Za-z]{12}(?:[0-9A-Za-z]{3})?")
"""The id of a contact or lead."""


def read_link(link: str, settings: Settings, _account: str) -> str | None:
    """Who is meant by the address of a page of a lead or contact, by its id; `None` where it is none of Salesforce.

    `…/lightning/r/Lead/ID/view` and `…/ID`. Raises `ConfigError` for a page of another org than that of `settings`,
    and for one that is nobody's.
    """
    host = HOST.fullmatch(urlsplit(link).hostname or "")
    if host is None:
        return None
    ours = HOST.fullmatch(urlsplit(settings.instance_url).hostname or "")
    if ours and ours["org"] != host["org"]:
        raise ConfigError(f"this link is of the Salesforce org {host['org']}; this config works with {ours['org']}")
    ids = [part for part in urlsplit(link).path.split("/") if PERSON.fullmatch(part)]
    if not ids:
        said = "this is a page of Salesforce, but not that of a lead or contact; open the record and copy its address"
        raise ConfigError(said)
    return ids[0]
