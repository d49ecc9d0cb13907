"""The objects and fields of the org, in Salesforce's own terms, and how `describe` tells of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

TEXT = frozenset(
    {"string", "textarea", "email", "phone", "url", "combobox", "picklist", "multipicklist", "encryptedstring"}
)
NUMBERS = frozenset({"int", "double", "currency", "percent", "long"})

AUDIT = """
IsDeleted boolean d
CreatedDate datetime d
CreatedById reference(User) d
LastModifiedDate datetime d
LastModifiedById reference(User) d
SystemModstamp datetime d
"""


@dataclass(frozen=True)
class SandboxField:
    """One field. `size` is its length in characters, or its digits before and after the point together.

    `inactive` are values of a picklist that were taken away: records may still hold them, and describe hides them.
    """

    name: str
    type: str
    size: int = 0
    scale: int = 0
    label: str = ""
    updateable: bool = False
    createable: bool = False
    nillable: bool = False
    defaulted: bool = False
    filterable: bool = True
    restricted: bool = False
    lookup: bool = False
    targets: tuple[str, ...] = ()
    relationship: str | None = None
    values: tuple[str, ...] = ()
    inactive: tuple[str, ...] = ()
    description: str | None = None
    custom: bool = False
    external: bool = False
    unique: bool = False
    compound: str | None = None
    formula: str | None = None

    @property
    def polymorphic(self) -> bool:
        return len(self.targets) > 1

    @property
    def missing(self) -> Any:
        """What a record has in a field nobody filled."""
        return False if self.type == "boolean" else None


@dataclass
class SObject:
    """One object. `fields` is keyed by the lower-case name, because Salesforce does not mind case."""

    name: str
    prefix: str
    label: str
    plural: str
    writable: bool
    mergeable: bool
    undeletable: bool
    bulk: bool
    shared: bool
    fields: dict[str, SandboxField] = field(default_factory=dict)

    def add(self, added: SandboxField) -> None:
        self.fields[added.name.lower()] = added

    def drop(self, name: str) -> None:
        del self.fields[name.lower()]


_LINE = re.compile(r"(\w+) (\w+)(?:\(([^)]*)\))? ([-\w]+)(?: = (.*))?")
_LABELS = {"Id": "ID", "Url": "URL", "Sobject": "SObject"}


def label(name: str) -> str:
    """A field's label as Salesforce would have it: `OwnerId` is "Owner ID"."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+", name.removesuffix("__c"))
    return " ".join(_LABELS.get(word, word) for word in words)


def _sizes(type_: str, inside: str) -> tuple[int, int, tuple[str, ...]]:
    if type_ == "reference":
        return 18, 0, tuple(inside.split(","))
    size, _, scale = inside.partition(",")
    return int(size or 0), int(scale or 0), ()


@cache
def _field(line: str) -> SandboxField:
    match = _LINE.fullmatch(line)
    assert match, line
    name, type_, inside, flags, values = match.groups()
    size, scale, targets = _sizes(type_, inside or "")
    return SandboxField(
        name=name,
        type=type_,
        size=size,
        scale=scale,
        label=label(name),
        updateable="u" in flags,
        createable="c" in flags,
        nillable="n" in flags,
        defaulted="d" in flags,
        filterable="x" not in flags,
        restricted="r" in flags,
        lookup="i" in flags,
        targets=targets,
        relationship=name.removesuffix("Id") if targets and "o" not in flags else None,
        values=tuple(values.split("|")) if values else (),
    )


_ADDRESS = re.compile(r"(Mailing|Billing|)(Street|City|State|PostalCode|Country)")
_COMPOUND_NAME = frozenset({"FirstName", "LastName", "Salutation"})


@cache
def _with_compound(each: SandboxField, sobject: str) -> SandboxField:
    if match := _ADDRESS.fullmatch(each.name):
        return replace(each, compound=f"{match[1]}Address") if sobject != "Organization" else each
    if each.name in _COMPOUND_NAME and sobject in ("Lead", "Contact", "User"):
        return replace(each, compound="Name")
    return each


def _sobject(head: str, lines: list[str]) -> SObject:
    name, prefix, flags, labels = head.split(" ", 3)
    label_, _, plural = labels.partition("|")
    made = SObject(
        name, prefix, label_, plural, "w" in flags, "m" in flags, "u" in flags, "q" not in flags, "s" in flags
    )
    made.add(SandboxField("Id", "id", 18, label=f"{label_} ID", defaulted=True, lookup=True))
    for each in map(_field, lines + AUDIT.split("\n")[1:-1]):
        made.add(_with_compound(each, name))
    if "a" in flags:  # such records are gone at once when they are deleted
        made.drop("IsDeleted")
    # What is never edited has no editor, and a field's history not even a stamp.
    unedited = ("LastModifiedDate", "LastModifiedById") if {"h", "t"} & set(flags) else ()
    for each in (*unedited, *(("SystemModstamp",) if "t" in flags else ())):
        made.drop(each)
    return made


def sobjects(*, shared: bool = False) -> dict[str, SObject]:
    """Every object of a fresh org, by its lower-case name; or what Shared Activities adds to it."""
    text = (files(__package__) / "objects.txt").read_text(encoding="utf-8")
    blocks = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).split("\n> ")[1:]
    made = [_sobject(head, [line for line in lines if line]) for head, *lines in map(str.splitlines, blocks)]
    return {each.name.lower(): each for each in made if each.shared == shared}


NAME_FIELDS = {
    each.name.lower(): each
    for each in (
        _field(line)
        for line in (
            "Name string(121) -",
            "Type string(40) -",
            "FirstName string(40) n",
            "LastName string(80) n",
            "Email email(80) n",
            "Title string(128) n",
            "Phone phone(40) n",
            "Alias string(8) n",
            "Username string(80) n",
            "IsActive boolean -",
            "ProfileId reference(Profile) n",
            "UserRoleId reference(UserRole) n",
        )
    )
} | {"id": SandboxField("Id", "id", 18)}
"""What can be read of a parent that may be of several objects: `Owner.Name`, `Who.Type`."""
