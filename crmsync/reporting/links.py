"""Links of the CRMs, where somebody is to be named."""

from __future__ import annotations

import re

from sqlalchemy import Connection

from crmsync.config import Config, connectors
from crmsync.errors import ConfigError
from crmsync.store.queries import read_account


def resolve_link(config: Config, connection: Connection, who: str) -> str:
    """Who is meant by a pasted link of a record's page; whatever is no link is left as it is.

    Raises `ConfigError` for a link that is nobody's, or of another account than the state's.
    """
    if not re.match(r"https?://", who.strip()):
        return who
    for crm, settings in config.crms.items():
        try:
            found = connectors()[crm].read_link(who.strip(), settings, read_account(connection, crm))
        except ValueError:  # no address at all
            found = None
        if found:
            return str(found)
    raise ConfigError(
        f"{who!r} is not a page of a contact or lead of {' or '.join(config.crms)}; copy the address of one, or give "
        "an e-mail address"
    )
