"""What a pull leaves out of an org, in sentences that say what to do."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.salesforce.schema import Schema
from crmsync.errors import ConfigError

GRANTS = {
    **dict.fromkeys(("Task", "Event", "EmailMessage"), "'Access Activities' under System Permissions"),
    "CampaignMember": "'Read' on Campaign",
}
"""What shows the rows of each activity source."""


def hidden_source(schema: Schema, source: str) -> str:
    """What keeps a source of activities from being read at all; nothing where it can be."""
    if not schema.of(source):
        return (
            f"{source} records are not visible to the integration user, so they are not used as activities; "
            f"give its permission set {GRANTS[source]}"
        )
    if not schema.pullable(source):
        return (
            f"{source}.SystemModstamp cannot be filtered, so that nobody can tell which {source} records changed, and "
            "they are not used as activities; have Salesforce's support make it filterable, or write "
            f"[[salesforce.activities]] without {source}"
        )
    return ""


def refused_source(source: str, refusal: ConfigError) -> str:
    """What to say of a source of activities that is described, but cannot be read."""
    return (
        f"{source} records are not used as activities ({refusal}); give the permission set of the integration user "
        f"{GRANTS[source]} and 'Read' on their fields; until then the last known ones are used"
    )


def refused_column(object_: str, path: str, name: str = "") -> str:
    """What to say of a column that describe lists, but no query reads; `name` is what the config calls it."""
    field = f" (the field {name!r})" if name else ""
    return (
        f"{object_}.{path}{field} is described to the integration user, but Salesforce refuses to read it, so it is "
        f"unknown to rules; give its permission set 'Read' on {path}, or remove it from the config"
    )


def refused_columns(schema: Schema, object_: str, names: Mapping[str, str] | None = None) -> list[str]:
    """The same of every column that queries of an object were refused for; `names` has the config's names by path."""
    return [refused_column(object_, path, (names or {}).get(path.lower(), "")) for path in schema.refused(object_)]
