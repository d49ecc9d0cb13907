"""The example, which explains every key, and what a demo makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

SECRETS = {
    "hubspot": ("CRMSYNC_HUBSPOT__TOKEN",),
    "salesforce": ("CRMSYNC_SALESFORCE__CLIENT_ID", "CRMSYNC_SALESFORCE__CLIENT_SECRET"),
}
"""The variables that a first config needs, by CRM."""

INSTANCE_URL = "https://acme.my.salesforce.com"
BASE_URL = "https://api.hubapi.com"
SALES = ("ann@acme.example", "bob@acme.example")


def example_config() -> str:
    """The whole example."""
    return files("crmsync").joinpath("config.example.toml").read_text(encoding="utf-8")


def demo_config(url: str, sales: Sequence[str]) -> str:
    """The config of the demo: the example, pointed at a sandbox that holds both CRMs at `url`."""
    members = ", ".join(f'"{each}"' for each in sales)
    return replace_keys(
        example_config(),
        {
            '# secrets = "secrets"    ': 'secrets = "secrets"      ',
            f'base_url = "{BASE_URL}"': f'base_url = "{url}"',
            f'instance_url = "{INSTANCE_URL}"   # the address in Setup > My Domain': f'instance_url = "{url}"',
            f'members = ["{SALES[0]}", "{SALES[1]}"]': f"members = [{members}]",
            "unassigned_users = []    ": 'unassigned_users = ["admin@sandbox.example"]   ',
        },
    )


def replace_keys(text: str, replacements: Mapping[str, str]) -> str:
    """The text with each key, which it has exactly once, replaced. Raises `ValueError` where it has not."""
    for old, new in replacements.items():
        if text.count(old) != 1:
            raise ValueError(f"the example has {old!r} {text.count(old)} times")
        text = text.replace(old, new)
    return text
