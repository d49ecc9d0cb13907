"""HubSpot: contacts, companies and activities in, score, stage and owner out."""

from connectors.hubspot.connector import HubSpot, connect
from connectors.hubspot.links import read_link
from connectors.hubspot.mapping import COUNTS
from connectors.hubspot.settings import Settings

SOURCE_FIELD = "hs_analytics_source"
"""Where a contact came from, for decisions about `source` where the file maps nothing else to it."""

LABEL = "HubSpot"
"""What people call this CRM."""

LISTS = "lists"
"""The key of `[exclude]` that names lists of this CRM."""

COUNTED_ATTRIBUTES = {each.kind: tuple(each.attributes) for each in COUNTS}
"""The attributes of the activities that engagement totals stand for, by kind."""

__all__ = ["COUNTED_ATTRIBUTES", "LABEL", "LISTS", "SOURCE_FIELD", "HubSpot", "Settings", "connect", "read_link"]
