"""The fields of leads, contacts and accounts, as the org describes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from connectors.salesforce.schema import NUMBERS, OBJECTS, Field, Schema
from crmsync.connector import DescribedField

ACCOUNT, CONVERTED = "Account", "ConvertedAccountId"

Type = Literal["text", "number", "yes_no", "date", "choice", "choices", "other"]

TYPES: dict[str, Type] = {
    **dict.fromkeys(("string", "textarea", "email", "phone", "url", "combobox", "encryptedstring"), "text"),
    **dict.fromkeys(NUMBERS, "number"),
    **dict.fromkeys(("date", "datetime"), "date"),
    "boolean": "yes_no",
    "picklist": "choice",
    "multipicklist": "choices",
}


def describe_fields(schema: Schema) -> Iterator[DescribedField]:
    """Each field of leads and contacts that this user sees, and of the accounts of contacts, in one call."""
    schema.learn([*OBJECTS.values(), ACCOUNT])
    for kind, object_ in OBJECTS.items():
        fields = schema.of(object_)
        for each in fields.values():
            yield _describe_field(kind, each)
        # What a lead was converted into is nobody's company: converted leads are not scored.
        ways = [each.relationship for each in fields.values() if each.parent == ACCOUNT and each.name != CONVERTED]
        for way in filter(None, ways):
            for each in schema.of(ACCOUNT).values():
                yield _describe_field(kind, each, f"{way}.")


def _describe_field(kind: str, of: Field, way: str = "") -> DescribedField:
    """One field, with the active values where it is a pick list."""
    type_: Type = TYPES.get(of.type, "other")
    picks = of.options if type_ in ("choice", "choices") else ()
    choices = tuple((value, of.labels.get(value, value)) for value in picks)
    return DescribedField(kind, f"{way}{of.name}", of.label or of.name, type_, choices)
