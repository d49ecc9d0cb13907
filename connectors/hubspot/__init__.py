"""HubSpot: contacts, companies and activities in, score, stage and owner out."""

from __future__ import annotations

from connectors.hubspot.links import read_link
from connectors.hubspot.mapping import COUNTS
from connectors.hubspot.settings import Settings
from crmsync.connector import Connector, FieldMap, Notes, Stop

SOURCE_FIELD = "hs_analytics_source"
"""Where a contact came from, for decisions about `source` where the file maps nothing else to it."""

LABEL = "HubSpot"
"""What people call this CRM."""

LISTS = "lists"
"""The key of `[exclude]` that names lists of this CRM."""

COUNTED_ATTRIBUTES = {each.kind: tuple(each.attributes) for each in COUNTS}
"""The attributes of the activities that engagement totals stand for, by kind."""

__all__ = ["COUNTED_ATTRIBUTES", "LABEL", "LISTS", "SOURCE_FIELD", "Settings", "connect", "read_link"]


def connect(settings: Settings, names: FieldMap, notes: Notes, stop: Stop) -> Connector:
    """A connector for one portal; nothing is sent before its first method is called. Raises as its own `connect`."""
    # Here: whoever only reads the config or the state does not wait for the vendor's client.
    from connectors.hubspot import connector

    return connector.connect(settings, names, notes, stop)
