"""A line or row of a source as an activity: whose it is, when it was, and what it says, or why it cannot be read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from crmsync.config.events import EventSource
from crmsync.config.values import MISSING
from crmsync.folding import UNSEEN, fold_text
from crmsync.identity.matching import normal_email
from crmsync.model import ADDRESS, DOMAIN, REFERENCE, Activity, Odd, Ref, Scalar

LEEWAY = timedelta(minutes=10)
"""What is dated no later than so long from now is not in the future: clocks differ."""

LONGEST_ID, LONGEST_KIND = 400, 80

SECONDS, MILLISECONDS = 1e11, 1e14
"""A number below the first is seconds since 1970, one below the second milliseconds, and a larger one microseconds."""

EXACT = 2**53
"""From here on two whole numbers may be one number of JSON."""

_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+")
_NAMED = re.compile(r"[^<>]*<\s*([^<>]+?)\s*>")
_NOTHING = frozenset(fold_text(each) for each in MISSING)
_HOST = re.compile(r"[\w-]+(\.[\w-]+)+")


class EventPage(NamedTuple):
    """Some events and the cursor that says "everything up to here was read"; each id is there once.

    `odd` names what could not be read, and `future` what is dated in the future; `others` counts those of types that
    the config does not take.
    """

    items: Sequence[Activity]
    cursor: str
    odd: Sequence[Odd] = ()
    future: Sequence[str] = ()
    others: int = 0


class PageBuilder:
    """What was read since the last page."""

    def __init__(self, source: EventSource, now: datetime) -> None:
        self.source, self.now = source, now
        self.items: dict[str, Activity] = {}
        self.odd: list[Odd] = []
        self.future: list[str] = []
        self.read = self.others = 0

    def add(self, what: str, row: Mapping[str, Any]) -> None:
        """Take in a line or row; `what` is how a person finds it."""
        self.read += 1
        found = read_event(self.source, row)
        if isinstance(found, str):
            self.odd.append(Odd(what, found))
        elif found is None:
            self.others += 1
        else:
            # What is said twice counts as it was said last, whether or not both are on one page.
            self.items.pop(found.id, None)
            self.items[found.id] = found
            if found.at > self.now + LEEWAY:
                self.future.append(what)

    def refuse(self, what: str, why: str) -> None:
        """Note something that is no row at all."""
        self.read += 1
        self.odd.append(Odd(what, why))

    def take(self, cursor: str) -> EventPage:
        """The page so far; the next one begins empty."""
        page = EventPage([*self.items.values()], cursor, tuple(self.odd), tuple(self.future), self.others)
        self.items, self.odd, self.future, self.read, self.others = {}, [], [], 0, 0
        return page


def read_event(source: EventSource, row: Mapping[str, Any]) -> Activity | str | None:
    """The activity that a row is; `None` where its type is not taken, and a text that says why where it is unreadable.

    The text never repeats a value, which may be personal.
    """
    columns = source.columns
    said = _value(row, columns.id)
    if isinstance(said, float) and abs(said) >= EXACT:
        return f"has an id that is too large for a number; write it as a text ({columns.id})"
    event_id = _text(said)
    if not event_id or len(event_id) > LONGEST_ID:
        return f"has no id ({columns.id})" if not event_id else f"has an id of more than {LONGEST_ID} characters"
    kind = source.kind or _text(_value(row, columns.kind or ""))
    if source.kinds:
        if kind and kind not in source.kinds:
            return None
        kind = source.kinds.get(kind, "")
    if not kind or len(kind) > LONGEST_KIND:
        return f"has no activity type ({columns.kind})"
    at = read_time(_value(row, columns.at), source)
    if isinstance(at, str):
        return f"{at} ({columns.at})"
    ref = _read_whose(source, row)
    if isinstance(ref, str):
        return ref
    read = ((name, _scalar(_value(row, path))) for name, path in source.attributes.items())
    attributes = {name: value for name, value in read if value is not None}
    return Activity(ref, event_id, kind, at, attributes)


def read_time(value: Any, source: EventSource) -> datetime | str:
    """An instant (aware UTC), or why it is none."""
    if value is None or value == "":
        return "has no time"
    at = _find_instant(value)
    if at is not None and at.tzinfo is None:
        if source.zone is None:
            return "has a time without a zone; write timezone into [[events]]"
        at = at.replace(tzinfo=source.zone)
    try:
        at = at and at.astimezone(UTC)
    except OverflowError:
        at = None
    # Seconds are kept in 32 bits.
    return at if at is not None and 0 <= at.timestamp() < 2**32 else "has a time that cannot be read"


def _find_instant(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _from_number(float(value))
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"\d{9,16}(\.\d+)?", text):
        return _from_number(float(text))
    # A day alone says no instant, and "20261121" is as good as a number.
    return _parse(text) if re.match(r"\d{4}-\d\d-\d\d[T ]\d", text) else None


def _parse(text: str) -> datetime | None:
    # PostgreSQL writes +00 and a blank, others "UTC" or more digits than Python reads.
    text = re.sub(r"\s*(UTC|GMT)$", "+00:00", text)
    text = re.sub(r"([+-]\d\d)$", r"\1:00", text) if re.search(r"\d:\d.*[+-]\d\d$", text) else text
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        return datetime.fromisoformat(re.sub(r"\s+(?=[+-]\d\d)", "", text))
    except ValueError:
        return None


def _from_number(number: float) -> datetime | None:
    if not math.isfinite(number):
        return None
    seconds = number if abs(number) < SECONDS else number / 1e3 if abs(number) < MILLISECONDS else number / 1e6
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _read_whose(source: EventSource, row: Mapping[str, Any]) -> Ref | str:
    """Whose event it is: of a record of a CRM first, then of an address, then of a company's domain."""
    columns = source.columns
    record, email = (_known(_value(row, path)) for path in (columns.record, columns.email))
    domain, user = (_known(_value(row, path)) for path in (columns.domain, columns.user))
    if record:
        crm, _, record_id = record.rpartition(":") if ":" in record else (source.crm or "", "", record)
        crm = crm.partition(":")[0]
        if not crm:
            return f"has the id of a record without its CRM; write crm into [[events]] ({columns.record})"
        return (
            Ref(source.name, REFERENCE, f"{crm}:{record_id}")
            if record_id
            else f"has no id of a record ({columns.record})"
        )
    if email:
        # "Ada <ada@x.example>", as mail programs write it.
        named = _NAMED.fullmatch(email)
        address = normal_email((named[1] if named else email).strip("' ").removeprefix("mailto:"))
        if not _ADDRESS.fullmatch(address):
            return f"has an e-mail address that is none ({columns.email})"
        return Ref(source.name, ADDRESS, address)
    if domain:
        host = re.sub(r"^\w+://", "", domain.lower()).partition("/")[0].removeprefix("www.").rstrip(".")
        if not _HOST.fullmatch(host):
            return f"has a domain that is none ({columns.domain})"
        return Ref(source.name, DOMAIN, f"{host}#{user}" if user else host)
    return f"names nobody: no {columns.email}, {columns.record} or {columns.domain}"


def _value(row: Mapping[str, Any], path: str) -> Any:
    """What a column says, or what a dotted path leads to in tables inside one another."""
    if path in row:
        return row[path]
    found: Any = row
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, Mapping | list | tuple):
        return ""
    if isinstance(value, float | Decimal) and value == value and abs(value) != math.inf and value == int(value):
        value = int(value)
    return str(value).strip()


def _known(value: Any) -> str:
    """A text, or nothing for what stands for nothing, like "N/A" or "null"."""
    text = _text(value).strip(UNSEEN)
    return "" if fold_text(text) in _NOTHING else text


def _scalar(value: Any) -> Scalar | None:
    """A value as activities keep it; nothing for what is empty or no plain value."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return tuple(str(each) for each in value if isinstance(each, str | int | float)) or None
    return None
