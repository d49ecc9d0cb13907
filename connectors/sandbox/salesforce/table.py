"""One object's records, kept by column: a million tasks fit in memory, and a page of 2,000 is a few list reads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from connectors.sandbox.salesforce.schema import SObject
from connectors.sandbox.world import salesforce_id


class ObjectTable:
    """The records of one object. A row is its position, which only purging moves; an empty column is not kept.

    `unshared` are the ids that sharing does not show to the integration user, with the code of a write's refusal,
    `purged` the stamps and ids of what the recycle bin no longer has.
    """

    def __init__(self, sobject: SObject) -> None:
        self.sobject = sobject
        self.ids: list[str] = []
        self.rows: dict[str, int] = {}
        self.columns: dict[str, list[Any]] = {}
        self.next_number = 1
        self.unshared: dict[str, str] = {}
        self.purged: list[tuple[str, str]] = []
        self._stamped: list[tuple[str, str, int]] | None = None
        self._sorted_ids: list[str] = []
        self._lookups: dict[str, dict[Any, list[int]]] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def missing(self, name: str) -> Any:
        """What a record has in a field nobody filled."""
        known = self.sobject.fields.get(name.lower())
        return known.missing if known else None

    def get(self, row: int, name: str) -> Any:
        column = self.columns.get(name)
        return self.missing(name) if column is None else column[row]

    def pick(self, name: str, rows: Sequence[int]) -> list[Any]:
        """One field of many rows."""
        if name == "Id":
            return [self.ids[row] for row in rows]
        column = self.columns.get(name)
        return [self.missing(name)] * len(rows) if column is None else [column[row] for row in rows]

    def record(self, row: int) -> dict[str, Any]:
        """Everything there is of one record."""
        return {"Id": self.ids[row]} | {name: column[row] for name, column in self.columns.items()}

    def new_id(self) -> str:
        self.next_number += 1
        return salesforce_id(self.sobject.prefix, self.next_number - 1)

    def extend(self, records: Sequence[Mapping[str, Any]], *, after: int = 0) -> None:
        """Add many records, each with its `Id`; new ids go on above `after`."""
        start = len(self.ids)
        for name in {name for record in records for name in record} - self.columns.keys() - {"Id"}:
            self.columns[name] = [self.missing(name)] * start
        for name, column in self.columns.items():
            default = self.missing(name)
            column.extend(record.get(name, default) for record in records)
        added = [record["Id"] for record in records]
        self.ids.extend(added)
        self.rows.update(zip(added, range(start, len(self.ids)), strict=True))
        self.next_number = max(self.next_number, after + 1)
        self._stamped = None
        self._lookups.clear()

    def insert(self, record: Mapping[str, Any]) -> int:
        """Add one record and keep the indexes."""
        row = len(self.ids)
        self.ids.append(record["Id"])
        self.rows[record["Id"]] = row
        for name, column in self.columns.items():
            column.append(self.missing(name))
        for name, value in record.items():
            if name != "Id":
                self.set(row, name, value)
        return row

    def discard_last(self) -> None:
        """Take back the record that was added last."""
        del self.rows[self.ids.pop()]
        for column in self.columns.values():
            column.pop()
        self._stamped = None
        self._lookups.clear()

    def purge(self) -> int:
        """Forget deleted records for good, and say how many."""
        deleted = self.columns.get("IsDeleted", [False] * len(self.ids))
        kept = [row for row, gone in enumerate(deleted) if not gone]
        purged = len(self.ids) - len(kept)
        self.purged += [(self.get(row, "SystemModstamp"), self.ids[row]) for row, gone in enumerate(deleted) if gone]
        self.ids = [self.ids[row] for row in kept]
        self.columns = {name: [column[row] for row in kept] for name, column in self.columns.items()}
        self.rows = {id_: row for row, id_ in enumerate(self.ids)}
        self._stamped, self._sorted_ids = None, []
        self._lookups.clear()
        return purged

    def set(self, row: int, name: str, value: Any) -> None:
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = [self.missing(name)] * len(self.ids)
        before, column[row] = column[row], value
        if before == value:
            return
        if name in self._lookups:
            self._lookups[name].setdefault(value, []).append(row)
        if name == "SystemModstamp" and self._stamped is not None:
            self._place(value, row)

    def _place(self, stamp: str, row: int) -> None:
        assert self._stamped is not None
        entry = (stamp, self.ids[row], row)
        if not self._stamped or self._stamped[-1] < entry:
            self._stamped.append(entry)
            return
        at = bisect_left(self._stamped, entry)
        if at == len(self._stamped) or self._stamped[at] != entry:
            self._stamped.insert(at, entry)

    def by_stamp(self, low: str, high: str | None = None) -> Iterator[int]:
        """Rows whose SystemModstamp is from `low` to `high`, both included, ordered by (SystemModstamp, Id)."""
        if self._stamped is None or len(self._stamped) > 2 * len(self.ids) + 1000:
            stamps = self.columns.get("SystemModstamp", [])
            self._stamped = sorted((stamp, self.ids[row], row) for row, stamp in enumerate(stamps) if stamp is not None)
        stamped, current = self._stamped, self.columns.get("SystemModstamp", [])
        end = len(stamped) if high is None else bisect_left(stamped, (high, "~"))
        for at in range(bisect_left(stamped, (low,)), end):
            stamp, _, row = stamped[at]
            if current[row] == stamp:  # an entry whose record has moved on since stays behind
                yield row

    def by_id(self, low: str) -> Iterator[int]:
        """Rows whose Id is `low` or later, in the order of their ids."""
        if len(self._sorted_ids) != len(self.ids):
            self._sorted_ids = sorted(self.ids)
        for at in range(bisect_left(self._sorted_ids, low), len(self._sorted_ids)):
            yield self.rows[self._sorted_ids[at]]

    def where(self, name: str, values: Iterable[Any]) -> list[int]:
        """Rows whose field has one of these values, in their own order."""
        if name == "Id":
            return sorted({self.rows[value] for value in values if value in self.rows})
        lookup = self._lookups.get(name)
        if lookup is None:
            lookup = self._lookups[name] = {}
            for row, value in enumerate(self.columns.get(name, ())):
                lookup.setdefault(value, []).append(row)
        column = self.columns.get(name, ())
        return sorted({row for value in values for row in lookup.get(value, ()) if column[row] == value})
