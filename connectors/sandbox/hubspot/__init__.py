"""The sandbox's HubSpot: one portal with its records, its odd rules and its limits, behind HubSpot's own paths."""

from connectors.sandbox.hubspot.portal import SandboxPortal
from connectors.sandbox.hubspot.state import PortalSwitches

__all__ = ["PortalSwitches", "SandboxPortal"]
