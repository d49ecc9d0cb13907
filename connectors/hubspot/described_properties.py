"""The properties of contacts and of their companies, as the portal describes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from connectors.hubspot.errors import KIND, Forbidden
from connectors.hubspot.mapping import COMPANY_PREFIX
from connectors.hubspot.properties import Definition
from connectors.hubspot.schema import Portal
from crmsync.connector import DescribedField

TYPES: dict[str, Literal["text", "number", "date"]] = {
    "string": "text",
    "phone_number": "text",
    "number": "number",
    "date": "date",
    "datetime": "date",
}


def describe_properties(portal: Portal) -> Iterator[DescribedField]:
    """Each property of contacts, then each of companies where this token may read them, in two calls."""
    for each in portal.definitions("contacts").values():
        yield _describe_property(each)
    try:
        companies = portal.definitions("companies")
    except Forbidden:
        return
    for each in companies.values():
        yield _describe_property(each, COMPANY_PREFIX)


def _describe_property(of: Definition, prefix: str = "") -> DescribedField:
    """One property. The values of a pick list that HubSpot keeps elsewhere (users, say) are not among its options."""
    name, label = f"{prefix}{of.name}", of.label or of.name
    if of.is_yes_or_no:
        return DescribedField(KIND, name, label, "yes_no")
    if of.type != "enumeration":
        return DescribedField(KIND, name, label, TYPES.get(of.type, "other"))
    choices = tuple((value, of.label_of(value)) for value in of.options)
    if not choices:
        return DescribedField(KIND, name, label, "other")
    return DescribedField(KIND, name, label, "choices" if of.field_type == "checkbox" else "choice", choices)
