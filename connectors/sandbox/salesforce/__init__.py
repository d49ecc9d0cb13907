"""A stateful Salesforce org on loopback, true enough for the clients people really use."""

from connectors.sandbox.salesforce.org import SandboxOrg

__all__ = ["SandboxOrg"]
