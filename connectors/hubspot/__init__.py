"""HubSpot: contacts, companies and activities in, score, stage and owner out."""

from connectors.hubspot.connector import HubSpot, connect
from connectors.hubspot.settings import Settings

__all__ = ["HubSpot", "Settings", "connect"]
