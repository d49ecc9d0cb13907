"""A CRM that is a dictionary: what the core is tested on, and the shortest example of a connector."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from crmsync.connector import Checkup, ListMembers, MissingField, Narrow, ReadBack, Stop
from crmsync.errors import Cancelled
from crmsync.model import (
    Activity,
    Change,
    Contact,
    Odd,
    Opportunity,
    Owner,
    Page,
    Receipt,
    Ref,
    Scalar,
    Task,
    TaskReceipt,
)

Key = TypeVar("Key", Ref, tuple[str, Ref])


class Memory:
    """A connector to itself. Every edit gets the next number; a cursor is the number up to which all was seen."""

    def __init__(self, name: str, stop: Stop, page_size: int = 100) -> None:
        self.name, self.stop, self.page_size = name, stop, page_size
        self.calls = 0
        self.writes: list[Change] = []
        self.refusing: dict[Ref, str] = {}
        self.people: list[Owner] = []
        self.unreadable: set[Ref] = set()
        self.missing: list[MissingField] = []
        self.tasks: dict[str, Task] = {}
        self.closed_tasks: set[str] = set()
        self.refusing_tasks: dict[str, TaskReceipt] = {}
        self.lists: dict[str, set[Ref]] = {}
        self.order: dict[str, tuple[str, ...]] = {}
        self.read_only: dict[str, set[str]] = {}
        self.time: datetime | None = None
        self.records: dict[Ref, Contact] = {}
        self._versions: dict[Ref, list[tuple[Contact, bool]]] = {}
        self.happened: dict[tuple[str, Ref], Activity] = {}
        self.opportunities: dict[Ref, Opportunity] = {}
        self._numbers: dict[Ref | tuple[str, Ref], int] = {}
        self._last = 0

    def edit(self, contact: Contact, *, by_hand: bool = False) -> None:
        """Put a record as somebody (or crmsync itself) leaves it; the history tells what was done `by_hand`."""
        self._versions.setdefault(contact.ref, []).append((contact, by_hand))
        self.records[contact.ref] = contact
        self._number(contact.ref)

    def happen(self, activity: Activity) -> None:
        """Let something happen."""
        self.happened[activity.id, activity.ref] = activity
        self._number((activity.id, activity.ref))

    def sell(self, opportunity: Opportunity) -> None:
        """Put an opportunity as somebody leaves it."""
        self.opportunities[opportunity.ref] = opportunity
        self._number(opportunity.ref)

    def _number(self, key: Ref | tuple[str, Ref]) -> None:
        self._last += 1
        self._numbers[key] = self._last

    def _call(self) -> None:
        if self.stop.is_set():
            raise Cancelled(f"stopped before a call to {self.name}")
        self.calls += 1

    @property
    def api_used(self) -> float | None:
        """A dictionary has no limit."""
        return None

    @property
    def api_left(self) -> int | None:
        """Neither is there anything to be left of it."""
        return None

    def account(self) -> str:
        """One name, one account."""
        self._call()
        return f"memory:{self.name}"

    def clock(self) -> datetime | None:
        """What a test says the time is; a dictionary has no clock."""
        return self.time

    def check(self) -> Checkup:
        """Nothing can be wrong with a dictionary."""
        return Checkup(self.account())

    def contacts(self, cursor: str | None) -> Iterator[Page[Contact]]:
        """Records edited since the cursor, in the order of their last edit."""
        for refs, number in self._pages(list(self.records), cursor):
            odd = [Odd(f"{ref.kind} {ref.id}", "without its properties", ref) for ref in refs if ref in self.unreadable]
            yield Page([self.records[ref] for ref in refs if ref not in self.unreadable], number, odd=odd)

    def activities(self, cursor: str | None) -> Iterator[Page[Activity]]:
        """What happened since the cursor."""
        number = cursor or "0"
        for keys, number in self._pages(list(self.happened), cursor):
            yield Page([self.happened[key] for key in keys], number)
        if cursor is None:
            yield Page((), number, whole=frozenset({""}))

    def outcomes(self, cursor: str | None) -> Iterator[Page[Opportunity]]:
        """Opportunities edited since the cursor."""
        for refs, number in self._pages(list(self.opportunities), cursor):
            yield Page([self.opportunities[ref] for ref in refs], number)

    def _pages(self, keys: list[Key], cursor: str | None) -> Iterator[tuple[list[Key], str]]:
        since = int(cursor or 0)
        news = sorted((self._numbers[key], key) for key in keys if self._numbers[key] > since)
        for start in range(0, max(len(news), 1), self.page_size):
            self._call()
            some = news[start : start + self.page_size]
            yield [key for _number, key in some], str(some[-1][0] if some else since)

    def owners(self) -> Sequence[Owner]:
        """Everybody who was put there."""
        self._call()
        return self.people

    def list_members(self, known: Mapping[str, str]) -> Iterator[ListMembers]:
        """Who is on each list of `lists`; the members themselves are the version."""
        for asked, version in known.items():
            self._call()
            if asked not in self.lists:
                yield ListMembers(asked, problem=f"there is no list {asked!r}; correct [exclude] lists")
                continue
            members = frozenset(self.lists[asked])
            now = " ".join(["v", *map(str, sorted(members))])
            yield ListMembers(asked, asked, asked, now, None if now == version else members)

    def read(self, refs: Sequence[Ref]) -> Iterator[Contact]:
        """The records as they are now."""
        self._call()
        for ref in (each for each in refs if each not in self.unreadable):
            yield self.records.get(ref) or Contact(ref, datetime(1970, 1, 1, tzinfo=UTC), gone=True, erased=True)

    def write(self, changes: Sequence[Change], narrow: Narrow = list) -> Iterator[Receipt]:
        """Take each change, unless `refusing` has a reason not to; each is a batch of its own."""
        for change in (each for one in changes for each in narrow([one])):
            self._call()
            record = self.records.get(change.ref)
            if record is None or record.gone:
                yield Receipt(change.ref, ok=False, reason="there is no such record", gone=True)
            elif change.ref in self.refusing:
                yield Receipt(change.ref, ok=False, reason=self.refusing[change.ref])
            else:
                yield self._take(record, change)

    def _take(self, record: Contact, change: Change) -> Receipt:
        refused = {name: "not editable" for name in self.read_only.get(change.ref.kind, ()) if name in change.after}
        after = {name: value for name, value in change.after.items() if name not in refused}
        if not after:
            return Receipt(change.ref, ok=False, reason="not editable", refused=refused)
        self.writes.append(replace(change, after=after))
        self.edit(_changed(record, self.writes[-1]))
        return Receipt(change.ref, ok=True, refused=refused)

    def estimate_writes(self, records: Mapping[str, int]) -> int:
        """One call a record."""
        return sum(records.values())

    def create_tasks(self, tasks: Sequence[Task]) -> Iterator[TaskReceipt]:
        """Take each task once, unless `refusing_tasks` says otherwise for its record's id, or nobody could have it."""
        self._call()
        for task in tasks:
            refused = self.refusing_tasks.get(task.ref.id) or self._refused(task)
            if refused is None:
                self.tasks.setdefault(task.key, task)
            yield refused._replace(key=task.key) if refused else TaskReceipt(task.key, ok=True, id=f"task-{task.key}")

    def _refused(self, task: Task) -> TaskReceipt | None:
        record = self.records.get(task.ref)
        if task.key in self.tasks:
            return None
        if record is None or record.gone:
            return TaskReceipt(task.key, ok=False, reason="there is no such record")
        if not any(each.id == task.owner and each.active and each.kind == "user" for each in self.people):
            return TaskReceipt(task.key, ok=False, reason=f"the owner {task.owner} is deactivated or unknown")
        return None

    def close_tasks(self, keys: Sequence[str]) -> Iterator[TaskReceipt]:
        """Close each task that there is."""
        self._call()
        for key in keys:
            self.closed_tasks |= {key} & self.tasks.keys()
            yield TaskReceipt(key, ok=True, id=f"task-{key}" if key in self.tasks else "")

    def read_back(self, changes: Sequence[Change]) -> Iterator[ReadBack]:
        """With the last other value of each stage and owner, where it is not the one that the change began with."""
        asked = {change.ref: change for change in changes}
        for each in self.read(list(asked)):
            yield ReadBack(each, dict(self._replaced(asked[each.ref])) if each.ref in asked else {})

    def _replaced(self, change: Change) -> Iterator[tuple[str, Scalar | None]]:
        for name in {"stage", "owner"} & change.after.keys():
            values = [(getattr(each, name), by_hand) for each, by_hand in self._versions.get(change.ref, ())]
            others = [place for place, (value, _) in enumerate(values) if value != change.after[name]]
            if not others or others[-1] == len(values) - 1:
                continue
            (former, _), (_, was_by_hand) = values[others[-1]], values[others[-1] + 1]
            # Whoever gave it our value by hand is not overruled.
            if former != change.before[name] and not was_by_hand:
                yield name, former

    def missing_fields(self) -> Sequence[MissingField]:
        """What a test says is missing; a dictionary takes any field."""
        return self.missing

    def stage_order(self) -> Mapping[str, Sequence[str]]:
        """What a test says the order is."""
        return self.order

    def read_only_fields(self) -> Mapping[str, Collection[str]]:
        """What a test says cannot be edited."""
        return self.read_only

    def create_fields(self) -> Sequence[str]:
        """Nothing to create."""
        return ()

    def close(self) -> None:
        """Nothing to give back."""


def _changed(record: Contact, change: Change) -> Contact:
    after = dict(change.after)
    stage, owner = after.pop("stage", record.stage), after.pop("owner", record.owner)
    current = {name: value for name, value in {**record.current, **after}.items() if value is not None}
    return replace(record, stage=str(stage or "") or None, owner=str(owner or "") or None, current=current)
