"""The sandbox's HubSpot: one portal with its records, its odd rules and its limits, behind HubSpot's own paths."""

from connectors.sandbox.hubspot.portal import Portal
from connectors.sandbox.hubspot.state import Switches

__all__ = ["Portal", "Switches"]
