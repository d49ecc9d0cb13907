"""Associations between records: which record is linked with which, and by which association types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class LinkType(NamedTuple):
    """An association type; `label` is `None` for the plain one."""

    category: str
    type_id: int
    label: str | None


# The ids are HubSpot's own (see the client library's association_type module); a pair reads from → to.
_PLAIN = {
    ("contacts", "companies"): 279,
    ("companies", "contacts"): 280,
    ("contacts", "deals"): 4,
    ("deals", "contacts"): 3,
    ("companies", "deals"): 342,
    ("deals", "companies"): 341,
    ("contacts", "calls"): 193,
    ("calls", "contacts"): 194,
    ("contacts", "emails"): 197,
    ("emails", "contacts"): 198,
    ("contacts", "meetings"): 199,
    ("meetings", "contacts"): 200,
    ("contacts", "notes"): 201,
    ("notes", "contacts"): 202,
    ("contacts", "tasks"): 203,
    ("tasks", "contacts"): 204,
    ("contacts", "communications"): 82,
    ("communications", "contacts"): 81,
    ("contacts", "contacts"): 449,
    ("companies", "calls"): 181,
    ("calls", "companies"): 182,
    ("companies", "emails"): 185,
    ("emails", "companies"): 186,
    ("companies", "meetings"): 187,
    ("meetings", "companies"): 188,
    ("companies", "notes"): 189,
    ("notes", "companies"): 190,
    ("companies", "tasks"): 191,
    ("tasks", "companies"): 192,
    ("deals", "calls"): 205,
    ("calls", "deals"): 206,
    ("deals", "emails"): 209,
    ("emails", "deals"): 210,
    ("deals", "meetings"): 211,
    ("meetings", "deals"): 212,
    ("deals", "notes"): 213,
    ("notes", "deals"): 214,
    ("deals", "tasks"): 215,
    ("tasks", "deals"): 216,
}
_PRIMARY = {
    ("contacts", "companies"): 1,
    ("companies", "contacts"): 2,
    ("deals", "companies"): 5,
    ("companies", "deals"): 6,
}

Pair = tuple[str, str]


def plain_ids(pair: Pair) -> tuple[LinkType, ...]:
    """The association type without a label; empty where HubSpot knows none between the two."""
    return _plain_types.get(pair, ())


def primary_link(pair: Pair) -> tuple[LinkType, ...]:
    """The association types of a record's main company; the plain ones where there is no such thing."""
    return _primary_types.get(pair, plain_ids(pair))


_plain_types = {pair: (LinkType("HUBSPOT_DEFINED", type_id, None),) for pair, type_id in _PLAIN.items()}
_primary_types = {
    pair: (LinkType("HUBSPOT_DEFINED", type_id, "Primary"), *_plain_types[pair]) for pair, type_id in _PRIMARY.items()
}


def types_of(pair: Pair) -> list[LinkType]:
    """Every association type between two types of object."""
    return [*primary_link(pair)]


class Links:
    """Every association, kept in both directions; `version` grows with every change."""

    def __init__(self) -> None:
        self._of: dict[Pair, dict[int, dict[int, tuple[LinkType, ...]]]] = {}
        self.version = 0

    def of(self, pair: Pair, number: int) -> dict[int, tuple[LinkType, ...]]:
        """What a record is linked with, and how."""
        return self._of.get(pair, {}).get(number, {})

    def add(self, pair: Pair, one: int, other: int, main: bool = False) -> None:
        """Link two records; `main` makes a company the record's primary one."""
        self.version += 1
        for direction, left, right in ((pair, one, other), (pair[::-1], other, one)):
            linked = self._of.setdefault(direction, {}).setdefault(left, {})
            if main or right not in linked:
                linked[right] = primary_link(direction) if main else plain_ids(direction)

    def demote(self, pair: Pair, one: int) -> None:
        """Make none of a record's companies the primary one."""
        for other in self.of(pair, one):
            self._of[pair][one][other] = plain_ids(pair)
            self._of[pair[::-1]][other][one] = plain_ids(pair[::-1])

    def drop(self, pair: Pair, one: int, other: int) -> None:
        """Unlink two records."""
        self.version += 1
        self._of.get(pair, {}).get(one, {}).pop(other, None)
        self._of.get(pair[::-1], {}).get(other, {}).pop(one, None)

    def around(self, type_name: str, number: int) -> Iterator[tuple[Pair, int, bool]]:
        """Every link of one record: the pair, the other record, and whether it is the primary one."""
        for pair, linked in self._of.items():
            if pair[0] == type_name:
                for other, types in linked.get(number, {}).items():
                    yield pair, other, any(each.label == "Primary" for each in types)

    def forget(self, type_name: str, number: int) -> None:
        """Unlink a record from everything."""
        for pair, other, _ in list(self.around(type_name, number)):
            self.drop(pair, number, other)

    def move(self, type_name: str, old: int, new: int) -> None:
        """Give one record the links of another."""
        for pair, other, main in list(self.around(type_name, old)):
            self.drop(pair, old, other)
            if other != new:
                self.add(pair, new, other, main)
