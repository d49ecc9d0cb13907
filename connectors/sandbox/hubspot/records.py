"""The records of one type of object: kept by id, listed in id order, and found by when they were last modified."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from connectors.sandbox.digits import is_count
from connectors.sandbox.hubspot.catalog import ObjectType
from connectors.sandbox.hubspot.schema import Properties
from connectors.sandbox.hubspot.wire import Json, iso


class PropertyVersion(NamedTuple):
    """A value a property had from an instant on, and who set it."""

    at: int
    value: str
    source: str
    source_id: str


class Seen(NamedTuple):
    """A record as the search index still has it."""

    properties: dict[str, str]
    updated: int


@dataclass(slots=True, eq=False)
class StoredRecord:
    """One record. Times are epoch milliseconds; a property without a value is absent.

    `history` has the properties that changed since the record was made. `before` is what the search index still shows
    until it catches up with the last write.
    """

    id: int
    created: int
    updated: int
    properties: dict[str, str]
    source: str = "CRM_UI"
    archived_at: int | None = None
    history: dict[str, list[PropertyVersion]] = field(default_factory=dict)
    before: Seen | None = None


View = tuple[StoredRecord, Seen | None]
"""A record and, where the index lags behind, what it still shows of it."""


class FoundRecords(NamedTuple):
    """What a search found, in order, and the version of the records it was found in."""

    version: int
    views: list[View]


class Searches:
    """Searches by what they ask, so that the pages of one need not be searched again while nothing changes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, FoundRecords] = OrderedDict()

    def find(self, key: bytes, version: int, search: Callable[[], list[View]]) -> list[View]:
        """The result of a search, from the last time if nothing changed since."""
        kept = self._kept.get(key)
        if kept is None or kept.version != version:
            kept = self._kept[key] = FoundRecords(version, search())
            if len(self._kept) > 8:
                self._kept.popitem(last=False)
        return kept.views


class RecordTable:
    """Every record of one type.

    `moved` maps the ids of merged records to the id that took their place. `version` grows with every change, so that
    whoever caches something can tell when it is stale.
    """

    def __init__(self, kind: ObjectType, first_id: int) -> None:
        self.kind = kind
        self.schema = Properties(kind.name)
        self.by_id: dict[int, StoredRecord] = {}
        self.live: list[int] = []
        self.archived: list[int] = []
        self.moved: dict[int, int] = {}
        self.unique: dict[str, dict[str, int]] = {"email": {}} if kind.name == "contacts" else {}
        self.version = 0
        self.searches = Searches()
        self.next_id = first_id
        self._log: list[tuple[int, int]] = []
        self._sorted = True

    def add(self, properties: dict[str, str], created: int, updated: int, source: str) -> StoredRecord:
        """Make a record; its id is higher than any before."""
        record = StoredRecord(self.next_id, created, updated, properties, source)
        self.next_id += 1 + record.id % 7
        self.by_id[record.id] = record
        self.live.append(record.id)
        self._note(record)
        self.index(record)
        return record

    def index(self, record: StoredRecord) -> None:
        """Let a record be found by the properties that are unique."""
        for name, ids in self.unique.items():
            if value := record.properties.get(name):
                ids.setdefault(value.lower(), record.id)

    def unindex(self, record: StoredRecord) -> None:
        """The opposite, before a record changes or goes."""
        for name, ids in self.unique.items():
            value = record.properties.get(name, "").lower()
            if ids.get(value) == record.id:
                del ids[value]

    def stamp(self, record: StoredRecord, at: int) -> None:
        """Say that a record was modified."""
        record.updated = at
        self._note(record)

    def _note(self, record: StoredRecord) -> None:
        entry = (record.updated, record.id)
        self._sorted = self._sorted and (not self._log or self._log[-1] <= entry)
        self._log.append(entry)
        self.version += 1

    def _tidy(self) -> None:
        """Sort what came out of order (a clock that was set back), and forget entries that later ones replaced."""
        if len(self._log) > 2 * len(self.live) + 1_000:
            self._log = [(self.by_id[each].updated, each) for each in self.live]
            self._sorted = False
        if not self._sorted:
            self._log.sort()
            self._sorted = True

    def modified(self, low: int, high: int) -> list[StoredRecord]:
        """The live records last modified from `low` to `high`, both included, each once."""
        self._tidy()
        span = self._log[bisect_left(self._log, (low, 0)) : bisect_right(self._log, (high, 1 << 62))]
        found = (record for at, number in span if (record := self.by_id.get(number)) and record.updated == at)
        return [record for record in dict.fromkeys(found) if record.archived_at is None]

    def find(self, text: str) -> StoredRecord | None:
        """The record a client means by an id: the survivor where it was merged."""
        return self.by_id.get(self.survivor(int(text))) if is_count(text) else None

    def survivor(self, number: int) -> int:
        """The id that a merged id leads to, through however many merges."""
        while number in self.moved:
            number = self.moved[number]
        return number

    def by_unique(self, name: str, value: str) -> StoredRecord | None:
        """The record with this value in a unique property."""
        found = self.unique[name].get(value.strip().lower())
        return None if found is None else self.by_id.get(found)

    def page(self, after: int, limit: int, archived: bool) -> tuple[list[StoredRecord], int | None]:
        """Records from an id on, in id order, and the id the next page begins with."""
        ids = self.archived if archived else self.live
        start = bisect_left(ids, after)
        following = ids[start + limit] if start + limit < len(ids) else None
        return [self.by_id[each] for each in ids[start : start + limit]], following

    def archive(self, record: StoredRecord, at: int) -> None:
        """Put a record in the recycle bin."""
        record.archived_at = at
        self._leave(self.live, record.id)
        insort(self.archived, record.id)
        self.unindex(record)
        self.version += 1

    def restore(self, record: StoredRecord, at: int) -> None:
        """Take a record out of the recycle bin."""
        record.archived_at = None
        self._leave(self.archived, record.id)
        insort(self.live, record.id)
        self.index(record)
        self.stamp(record, at)

    def forget(self, record: StoredRecord) -> None:
        """Remove a record for good."""
        self.unindex(record)
        self._leave(self.live, record.id)
        self._leave(self.archived, record.id)
        del self.by_id[record.id]
        self.version += 1

    @staticmethod
    def _leave(ids: list[int], number: int) -> None:
        where = bisect_left(ids, number)
        if where < len(ids) and ids[where] == number:
            del ids[where]


def value_of(records: RecordTable, record: StoredRecord, name: str, seen: Seen | None = None) -> str | None:
    """The value of a property: times and id come from the record itself."""
    if name == "hs_object_id":
        return str(record.id)
    if name == records.kind.modified:
        return iso((seen or record).updated)
    if name == records.kind.created:
        return iso(record.created)
    return (seen or record).properties.get(name)


def show_record(
    records: RecordTable, record: StoredRecord, names: Iterable[str], seen: Seen | None = None
) -> dict[str, str | None]:
    """The properties a client asked for, if they exist, with the three that always come."""
    kind, known, values = records.kind, records.schema.known, (seen or record).properties
    found: dict[str, str | None] = {name: values.get(name) for name in names if name in known}
    found["hs_object_id"] = str(record.id)
    found[kind.created] = iso(record.created)
    found[kind.modified] = iso((seen or record).updated)
    return found


def as_json(
    records: RecordTable, record: StoredRecord, names: Iterable[str], portal_id: int, seen: Seen | None = None
) -> Json:
    """A record as the object endpoints show it."""
    body: Json = {
        "id": str(record.id),
        "properties": show_record(records, record, names, seen),
        "createdAt": iso(record.created),
        "updatedAt": iso((seen or record).updated),
        "archived": record.archived_at is not None,
    }
    if record.archived_at is not None:
        body["archivedAt"] = iso(record.archived_at)
    body["url"] = f"https://app.hubspot.com/contacts/{portal_id}/record/{records.kind.type_id}/{record.id}"
    return body


def list_versions_of(records: RecordTable, record: StoredRecord, name: str, most: int) -> list[Json]:
    """The history of a property, newest first, as far as it is kept."""
    kept = record.history.get(name)
    if kept is None:
        value = value_of(records, record, name)
        kept = [] if value is None else [PropertyVersion(record.created, value, record.source, "")]
    return [_version_json(each) for each in kept[: -most - 1 : -1]]


def _version_json(version: PropertyVersion) -> Json:
    said: Json = {"value": version.value, "timestamp": iso(version.at), "sourceType": version.source}
    said["sourceId"] = version.source_id
    if version.source_id.startswith("userId:"):
        said["updatedByUserId"] = int(version.source_id.removeprefix("userId:"))
    return said


def write_properties(record: StoredRecord, values: Mapping[str, str], at: int, source: str, source_id: str) -> bool:
    """Set properties (`""` clears), keep the history, and say whether anything changed. Stamping is the caller's."""
    changed = False
    for name, value in values.items():
        former = record.properties.get(name, "")
        if former == value:
            continue
        changed = True
        kept = record.history.setdefault(
            name, [PropertyVersion(record.created, former, record.source, "")] if former else []
        )
        kept.append(PropertyVersion(at, value, source, source_id))
        if value:
            record.properties[name] = value
        else:
            del record.properties[name]
    return changed
