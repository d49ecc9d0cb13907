"""Salesforce: leads and contacts read, scored fields, stages and owners written back."""

from __future__ import annotations

from connectors.salesforce.links import read_link
from connectors.salesforce.settings import Settings
from crmsync.connector import Connector, FieldMap, Notes, Stop

SOURCE_FIELD = "LeadSource"
"""Where a record came from, for decisions about `source` where the file maps nothing else to it."""

LABEL = "Salesforce"
"""What people call this CRM."""

LISTS = "campaigns"
"""The key of `[exclude]` that names lists of this CRM."""

__all__ = ["LABEL", "LISTS", "SOURCE_FIELD", "Settings", "connect", "read_link"]


def connect(settings: Settings, names: FieldMap, notes: Notes, stop: Stop) -> Connector:
    """A connector for one org; nothing is sent before its first method is called."""
    # Here: whoever only reads the config or the state does not wait for the vendor's client.
    from connectors.salesforce.connector import SalesforceConnector

    return SalesforceConnector(settings, names, notes, stop)
