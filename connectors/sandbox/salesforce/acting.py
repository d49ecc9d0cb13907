"""How an action finds what it is about, and whose hand does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from connectors.sandbox.salesforce.state import ADMIN_USER, OrgState
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.salesforce.writes import Hand, full_id

Doing: TypeAlias = Callable[[OrgState, Mapping[str, Any]], dict[str, Any]]
"""What somebody does in the org, asked for in plain JSON."""


def hand_of(asked: Mapping[str, Any]) -> Hand:
    """A person in the browser: assignment rules do not run, and what the API may not write they may."""
    return Hand(user=str(asked.get("user") or ADMIN_USER), assigns=False, bound=False)


def find_record(state: OrgState, id_: object) -> tuple[ObjectTable, int]:
    """Where a record is. Raises `ValueError` where there is none."""
    found = state.locate(full_id(id_))
    if found is None:
        raise ValueError(f"there is no record {id_}")
    return found


def find_table(state: OrgState, name: object) -> ObjectTable:
    """The records of an object. Raises `ValueError` where there is none of that name."""
    table = state.table(str(name))
    if table is None:
        raise ValueError(f"there is no object {name}")
    return table
