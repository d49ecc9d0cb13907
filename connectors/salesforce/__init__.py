"""Salesforce: leads and contacts read, scored fields, stages and owners written back."""

from __future__ import annotations

from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.settings import Settings
from crmsync.connector import Connector, FieldMap, Notes, Stop

__all__ = ["Settings", "connect"]


def connect(settings: Settings, names: FieldMap, notes: Notes, stop: Stop) -> Connector:
    """A connector for one org; nothing is sent before its first method is called."""
    return SalesforceConnector(settings, names, notes, stop)
