"""The text of a first config: the example, which explains every key, fitted to whoever starts."""

from __future__ import annotations

import re
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


def starter_config(only: str | None = None, instance_url: str | None = None) -> str:
    """The config that `crmsync init` writes: it names no owners, and with `only` nothing of the other CRM."""
    text = _without_owners(
        example_config() if instance_url is None else replace_keys(example_config(), {INSTANCE_URL: instance_url})
    )
    for crm in crms_left_out(only):
        text = _without_crm(text, crm)
    return text


def crms_left_out(only: str | None) -> list[str]:
    """The CRMs that a first config does without."""
    return [crm for crm in SECRETS if only not in (None, crm)]


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


NO_OWNERS = """\
# No owners are assigned yet. To assign them, remove the "# " at the start of these lines, and write the addresses that
# your users have in the CRMs. `crmsync check --online` says whether the CRMs know each of them.
"""


def _without_owners(text: str) -> str:
    """The text with its pools and routes as comments: people who are made up must not look as if they were there."""
    start = text.index("[[owner_pool]]")
    end = text.index("\n\n\n", start)
    return text[:start] + NO_OWNERS + re.sub("(?m)^(?=.)", "# ", text[start:end]) + text[end:]


BOTH_CRMS = "# These are the eight stages of a new HubSpot portal. A stage may have a value in only one CRM.\n"
_VALUE = r'(?:"[^"]*"|\{[^{}]*\})'


def _without_crm(text: str, crm: str) -> str:
    """The text without the table of a CRM, its fields and values, and the stages that it alone has."""
    text = replace_keys(_without_table(text, crm), {BOTH_CRMS: ""})
    text = re.sub(r"(?m)^# \[truth\](?:.*\n)+?\n", "", text)  # no CRM leads where there is only one
    text = re.sub(rf'\[\[stage\]\]\nname = "\w+"\nvalues = \{{ {crm} = {_VALUE} \}}\n\n', "", text)
    text = re.sub(rf"\b{crm} = {_VALUE}, |, {crm} = {_VALUE}", "", text)
    return re.sub(rf'(source_of_truth = .*?)(?:"{crm}", |, "{crm}")', r"\1", text)


def _without_table(text: str, crm: str) -> str:
    lines, inside = [], False
    for line in text.splitlines():
        if header := re.match(r"\[+([\w.]+)\]", line):
            inside = header[1].split(".")[0] == crm
        elif line.startswith("# ──"):
            inside = False
        if not inside:
            lines.append(line)
    return "\n".join(lines) + "\n"
