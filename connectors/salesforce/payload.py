"""What a change writes, cell by cell, checked against describe before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from connectors.salesforce.client import Org
from connectors.salesforce.contacts import RecordReader
from connectors.salesforce.errors import text_of
from connectors.salesforce.row_errors import INACTIVE_OWNER, NOT_SHOWN, RowError
from connectors.salesforce.schema import OBJECTS, Field, Schema, fit_value
from crmsync.model import Change, Owner, Scalar


@dataclass
class Update:
    """A change under way: the cells it writes, by name, and what became of them so far."""

    change: Change
    cells: dict[str, Any] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    refused: dict[str, RowError] = field(default_factory=dict)
    moved: RowError | None = None
    silent: bool = False
    under_way: int = 0

    @property
    def is_spoken_of(self) -> bool:
        """Whether there is something to tell: an answer may leave a row out, and so may whoever narrows a batch."""
        return not self.silent and bool(self.taken or self.refused or not self.cells)

    def refuse(self, names: Iterable[str], why: RowError) -> None:
        """These names will not be written."""
        self.refused.update(dict.fromkeys(names, why))

    def blame_sharing(self, why: RowError) -> None:
        """What was refused for this reason was refused because Salesforce does not show the record."""
        names = [name for name, each in self.refused.items() if each == why]
        self.refuse(names, RowError(NOT_SHOWN, why.message))

    def take_up_again(self) -> frozenset[str]:
        """The names that were refused for the record's inactive owner, once it has another one: no longer refused."""
        names = (
            {name for name, why in self.refused.items() if why.code == INACTIVE_OWNER} if "owner" in self.taken else {}
        )
        self.refused = {name: why for name, why in self.refused.items() if name not in names}
        return frozenset(names)


class Unwritable(Exception):
    """A value that is refused before it is sent."""

    def __init__(self, code: str, message: str) -> None:
        self.refusal = RowError(code, message)
        super().__init__(message)


def converted_statuses(org: Org) -> frozenset[str]:
    """The values of `Lead.Status` that mean "converted"."""
    rows = org.rows("SELECT ApiName, MasterLabel FROM LeadStatus WHERE IsConverted = true")
    return frozenset(text_of(each.get("ApiName")) or text_of(each.get("MasterLabel")) for each in rows)


class Cells:
    """Makes rows of changes. Users and converted statuses are asked for once, when first needed."""

    def __init__(
        self, org: Org, schema: Schema, readers: Mapping[str, RecordReader], owners: Callable[[], Sequence[Owner]]
    ) -> None:
        self._org, self._schema, self._readers, self._read_owners = org, schema, readers, owners

    def spelled(self, kind: str) -> dict[str, str]:
        """The API name of everything that can be written to a kind."""
        return self._readers[kind].written_fields

    def row(self, change: Change) -> Update:
        """A change with its cells checked against describe; what cannot be written is refused without asking."""
        row = Update(change)
        for name, value in change.after.items():
            try:
                row.cells[name] = self._cell(change, name, value)
            except Unwritable as error:
                row.refused[name] = error.refusal
        return row

    def _cell(self, change: Change, name: str, value: Scalar | None) -> Any:
        known = self._writable(change.ref.kind, name)
        if name == "owner":
            return self._owner(change.ref.kind, value)
        if name == "stage":
            return self._stage(change.ref.kind, known, value)
        if value is None or value == "":
            return None
        try:
            return fit_value(value, known)
        except ValueError as error:
            raise Unwritable("UNFIT", str(error)) from None

    def _writable(self, kind: str, name: str) -> Field:
        api = self.spelled(kind).get(name)
        if not api:
            raise Unwritable("NOT_MAPPED", f"the config has no mapping of {name} for a {kind}")
        known = self._schema.of(OBJECTS[kind]).get(api.lower())
        if known is None:
            raise Unwritable("INVALID_FIELD", f"{OBJECTS[kind]}.{api}")
        if not known.writable:
            raise Unwritable("INVALID_FIELD_FOR_INSERT_UPDATE", f"{OBJECTS[kind]}.{api}")
        return known

    def _stage(self, kind: str, known: Field, value: Scalar | None) -> str | None:
        if value is None:
            return None
        names = {name: value for value, name in self._readers[kind].stages.items()}
        wanted = names.get(str(value), str(value))
        if known.options and wanted not in known.options:
            raise Unwritable("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f"{known.name} has no active value {wanted!r}")
        if (kind, known.name) == ("lead", "Status") and wanted in self._converted_statuses:
            raise Unwritable("CONVERTED_STATUS", f"only a lead conversion can set {wanted!r}")
        return wanted

    def _owner(self, kind: str, value: Scalar | None) -> str:
        # Ids come with 15 characters or with 18; the first 15 are the same.
        owner = self._owners.get(str(value)[:15])
        if owner is None:
            raise Unwritable("UNKNOWN_OWNER", f"there is no user or queue {value}")
        if not owner.active:
            raise Unwritable(INACTIVE_OWNER, f"{owner.name} is inactive")
        if owner.kind == "queue" and kind != "lead":
            raise Unwritable("QUEUE_OWNER", f"{owner.name} is a queue, and queues can own only leads")
        return owner.id

    @cached_property
    def _owners(self) -> dict[str, Owner]:
        return {owner.id[:15]: owner for owner in self._read_owners()}

    @cached_property
    def _converted_statuses(self) -> frozenset[str]:
        return converted_statuses(self._org)
