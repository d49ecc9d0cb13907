"""The text of a first config: the example, which explains every key, fitted to whoever starts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

INSTANCE_URL = "https://acme.my.salesforce.com"
BASE_URL = "https://api.hubapi.com"
SALES = ("ann@acme.example", "bob@acme.example")


def example() -> str:
    """The whole example."""
    return files("crmsync").joinpath("config.example.toml").read_text(encoding="utf-8")


def starter(only: str | None = None, instance_url: str | None = None) -> str:
    """The config that `crmsync init` writes; `only` leaves the table of the other CRM out."""
    text = example() if instance_url is None else replaced(example(), {INSTANCE_URL: instance_url})
    for crm in ("hubspot", "salesforce"):
        if only not in (None, crm):
            text = without_table(text, crm)
    return text


def demo(url: str, sales: Sequence[str]) -> str:
    """The config of the demo: the example, pointed at a sandbox that holds both CRMs at `url`."""
    members = ", ".join(f'"{each}"' for each in sales)
    return replaced(
        example(),
        {
            '# secrets = "secrets"    ': 'secrets = "secrets"      ',
            f'base_url = "{BASE_URL}"': f'base_url = "{url}"',
            f'instance_url = "{INSTANCE_URL}"   # the address in Setup > My Domain': f'instance_url = "{url}"',
            f'members = ["{SALES[0]}", "{SALES[1]}"]': f"members = [{members}]",
            "nobody = []               ": 'nobody = ["admin@sandbox.example"]   ',
        },
    )


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    """The text with each key, which it has exactly once, replaced. Raises `ValueError` where it has not."""
    for old, new in replacements.items():
        if text.count(old) != 1:
            raise ValueError(f"the example has {old!r} {text.count(old)} times")
        text = text.replace(old, new)
    return text


def without_table(text: str, crm: str) -> str:
    """The text with the table of a CRM turned into comments."""
    lines, inside = [], False
    for line in text.splitlines():
        if header := re.match(r"\[+([\w.]+)\]", line):
            inside = header[1].split(".")[0] == crm
        elif line.startswith("# ──"):
            inside = False
        lines.append(f"# {line}" if inside and line and not line.startswith("#") else line)
    return "\n".join(lines) + "\n"
