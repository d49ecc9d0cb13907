"""What describe says: which fields this user sees, and how their values are read and written."""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from connectors.http import drop_unstorable
from connectors.salesforce.client import Org
from connectors.salesforce.errors import RequestRefused, check_object, odd_answer, text_of
from crmsync.errors import Transient
from crmsync.model import Scalar

OBJECTS = {"lead": "Lead", "contact": "Contact"}
KINDS = {**{name: kind for kind, name in OBJECTS.items()}, "Opportunity": "opportunity"}
PREFIXES = {"00Q": "lead", "003": "contact"}
"""The first three characters of an id tell its object."""

KEPT_FOR = 3600.0
"""Seconds a describe is believed; a field that vanishes before is noticed by its INVALID_FIELD."""

TASK_KEY = "Crmsync_Task_Key__c"
"""The field of tasks that holds crmsync's own id of each."""

UNREADABLE = frozenset({"address", "location", "base64", "complexvalue", "anyType"})
"""Compound and binary types, which Bulk 2.0 refuses to read."""

NUMBERS = frozenset({"int", "double", "currency", "percent", "long"})
HOLDING = {"number": NUMBERS, "date": frozenset({"date", "string", "textarea"})}
"""The types of fields that hold the values of a score field, by its type; any other type holds texts."""


@dataclass(frozen=True)
class Field:
    """One field of one object. `relationship` is how SOQL spells the way to the parent, `parent` its object.

    `labels` are what people read in the place of values of a picklist, where it is something else, and `label` in the
    place of the name.
    """

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0
    writable: bool = False
    calculated: bool = False
    restricted: bool = False
    filterable: bool = True
    options: tuple[str, ...] = ()
    relationship: str = ""
    parent: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    label: str = ""


Fields = Mapping[str, Field]


@dataclass(frozen=True)
class Described:
    """What describe said of one object, read whole and confirmed when (monotonic), and its `Last-Modified`."""

    fields: Fields
    read_at: float
    confirmed_at: float
    modified: str = ""


class NotDescribed(Exception):
    """An object of which nothing is known, where nothing may be asked."""


class Schema:
    """Describes, believed for an hour."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._known: dict[str, Described] = {}
        self._refused: dict[tuple[str, str], tuple[str, float]] = {}
        self._is_believed = False

    def forget(self) -> None:
        """Ask again: a field has gone."""
        self._known.clear()

    def forget_all(self) -> None:
        """The same, and try what queries were refused for, too."""
        self._known.clear()
        self._refused.clear()

    def learn(self, names: Iterable[str]) -> None:
        """Describe several objects in one call."""
        if self._is_believed:
            return
        self._ask([name for name in dict.fromkeys(names) if not self._is_fresh(name)], {})

    @contextmanager
    def believed(self) -> Iterator[None]:
        """Within the block all that is known counts as if it had just been read, and what is not raises `NotDescribed`:
        it makes no call.
        """
        self._is_believed = True
        try:
            yield
        finally:
            self._is_believed = False

    def confirm(self, names: Iterable[str], queries: Sequence[str] = ()) -> None:
        """Ask once more for these objects and all that are known, in one call: what did not change has no body.

        The first pages of `queries` are asked for with them.

        Once an hour all is read whole, because nobody documents whether a permission that was taken away is a change
        (https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api/intro_rest_conditional_requests.htm, read
        2026-11).
        """
        before, self._known = self._known, {}
        self._ask(list(dict.fromkeys((*names, *before))), before, queries)

    def _ask(self, names: Sequence[str], before: Mapping[str, Described], queries: Sequence[str] = ()) -> None:
        now = time.monotonic()
        since = {
            name: each.modified for name, each in before.items() if now - each.read_at < KEPT_FOR and each.modified
        }
        paths = {name: f"sobjects/{name}/describe" for name in names}
        for name, part in self._org.ask_together(queries, paths, since).items():
            if part.status == 200:
                with suppress(Transient):  # it is asked for alone when it is needed
                    fields = _fields(part.body)
                    self._known[name] = Described(fields, now, now, part.headers.get("Last-Modified", ""))
            elif part.status == 304 and name in before:
                self._known[name] = replace(before[name], confirmed_at=now)
            # Not there, or this user sees nothing of it: for us that is the same.
            elif part.status == 404:
                self._known[name] = Described({}, now, now)

    def of(self, name: str) -> Fields:
        """The fields of an object that this user sees; none if it sees nothing of the object."""
        if not self._is_fresh(name):
            if self._is_believed:
                raise NotDescribed
            now = time.monotonic()
            self._known[name] = Described(self._asked(name), now, now)
        return self._known[name].fields

    def pullable(self, name: str) -> bool:
        """Whether an object can be read in windows; some stamps cannot be asked for (airbytehq/airbyte#68166)."""
        stamp = self.of(name).get("systemmodstamp")
        return stamp is not None and stamp.filterable

    def refuse(self, name: str, path: str) -> None:
        """Take a column for one that cannot be read, whatever describe says: a query named it as such."""
        self._refused[name, path.lower()] = path, time.monotonic()

    def refused(self, name: str) -> list[str]:
        """The columns of an object that are described but cannot be read; each is tried again after an hour."""
        now = time.monotonic()
        return [path for (of, _), (path, at) in self._refused.items() if of == name and now - at < KEPT_FOR]

    def resolve(self, name: str, path: str) -> Field | None:
        """The field behind `Industry` or `Account.Industry`, or `None` where this user does not see or read it."""
        found = self.find(name, path)
        return found[1] if found and found[0] not in self.refused(name) else None

    def owner_of(self, name: str, path: str) -> str:
        """The object that has the last field of a path, `""` where none is known."""
        for step in path.split(".")[:-1]:
            parents = [each.parent for each in self.of(name).values() if each.relationship.lower() == step.lower()]
            name = parents[0] if parents else ""
        return name

    def find(self, name: str, path: str) -> tuple[str, Field] | None:
        """What describe says of a field, with the path in the case in which Salesforce answers; it asks for no case."""
        steps, (*way, last) = [], path.split(".")
        fields = self.of(name)
        for step in way:
            found = [each for each in fields.values() if each.relationship.lower() == step.lower()]
            if not found:
                return None
            steps.append(found[0].relationship)
            fields = self.of(found[0].parent)
        field = fields.get(last.lower())
        return (".".join([*steps, field.name]), field) if field else None

    def _is_fresh(self, name: str) -> bool:
        known = self._known.get(name)
        return known is not None and (self._is_believed or time.monotonic() - known.confirmed_at < KEPT_FOR)

    def _asked(self, name: str) -> Fields:
        try:
            found: Fields = self._org.rest("GET", f"sobjects/{name}/describe", read=_fields)
            return found
        except RequestRefused as error:
            if error.code in ("NOT_FOUND", "INVALID_TYPE", "INSUFFICIENT_ACCESS"):
                return {}
            raise


def readable_paths(schema: Schema, name: str, paths: Iterable[str]) -> dict[str, str]:
    """Of these paths the ones this user sees and every API can read, each with the case in which Salesforce answers."""
    found, refused = {path: schema.find(name, path) for path in paths}, schema.refused(name)
    readable = {path: each[0] for path, each in found.items() if each and each[1].type not in UNREADABLE}
    return {path: each for path, each in readable.items() if each not in refused}


def _fields(describe: Any) -> Fields:
    """What a describe says. Raises `Transient` where any of it is not as documented: a field must not seem gone."""
    listed = check_object(describe, "fields")["fields"]
    if not isinstance(listed, list) or not listed:
        raise odd_answer()
    fields = [_field(each) for each in listed]
    return {each.name.lower(): each for each in fields}


def _field(told: Any) -> Field:
    said = check_object(told, "name", "type")
    parents, values = said.get("referenceTo") or [], said.get("picklistValues") or []
    texts = [said["name"], said["type"], said.get("relationshipName") or ""]
    sizes = [said.get(name) or 0 for name in ("length", "precision", "scale", "digits")]
    if not all(isinstance(each, list) for each in (parents, values)):
        raise odd_answer()
    texts += [*parents, *(check_object(each, "value")["value"] for each in values)]
    if not all(isinstance(each, str) for each in texts) or not all(isinstance(each, int) for each in sizes):
        raise odd_answer()
    length, precision, scale, digits = sizes
    return Field(
        name=said["name"],
        type=said["type"],
        length=length,
        precision=precision,
        scale=scale,
        digits=digits,
        writable=bool(said.get("updateable")),
        calculated=bool(said.get("calculated")),
        restricted=bool(said.get("restrictedPicklist")),
        filterable=bool(said.get("filterable", True)),
        options=tuple(each["value"] for each in values if each.get("active", True)),
        relationship=said.get("relationshipName") or "",
        parent=parents[0] if parents else "",
        labels={v["value"]: label for v in values if (label := text_of(v.get("label"))) and label != v["value"]},
        label=text_of(said.get("label")) or said["name"],
    )


def reader_of(type_: str) -> Callable[[Any], Scalar | None]:
    """How a value that JSON or CSV holds becomes one of the type that describe says; `None` where it is not known."""
    if type_ in NUMBERS:
        return _number
    return _READERS.get(type_, _text)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    return None if isinstance(value, dict | list) else str(value) or None


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _choices(value: Any) -> tuple[str, ...] | None:
    return tuple(each for each in str(value).split(";") if each) or None


def _moment(value: Any) -> str | None:
    if isinstance(value, str) and value[19:] in _WHOLE_SECONDS:
        return value[:19] + "+00:00"
    at = instant_of(value)
    return at.isoformat() if at else None


def _number(value: Any) -> float | int | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


_WHOLE_SECONDS = frozenset({".000+0000", ".000Z", "Z"})
"""How Salesforce ends its own stamps: they need no parsing to become ISO 8601."""

READ_BOOLEAN = _boolean

_READERS: dict[str, Callable[[Any], Scalar | None]] = {
    "boolean": _boolean,
    "multipicklist": _choices,
    "datetime": _moment,
}


def instant_of(text: object) -> datetime | None:
    """`2020-10-22T21:03:23.000+0000` (REST), `…T21:03:23.000Z` (Bulk) or ISO 8601, as aware UTC."""
    try:
        at = datetime.fromisoformat(str(text))
        if at.tzinfo is UTC:
            return at
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def fit_value(value: Scalar, field: Field) -> str | int | float | bool:
    """The value as the field takes it: text clamped to its length, a number rounded to its scale.

    Raises `ValueError` with a sentence for the admin where the field cannot hold it.
    """
    if field.type in NUMBERS:
        return _fitting_number(value, field)
    if field.type == "boolean":
        return bool(value)
    text = drop_unstorable(";".join(value) if isinstance(value, tuple) else _spelled(value))
    if field.type in ("picklist", "multipicklist") and field.restricted and not isinstance(value, tuple):
        if text not in field.options:
            raise ValueError(
                f"{field.name} has no active value {text!r}; add it to the picklist, or correct the config"
            )
        return text
    return clamp_text(text, field.length) if field.length else text


def _spelled(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fitting_number(value: Scalar, field: Field) -> int | float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{field.name} accepts only a number, not {value!r}")
    # Describe gives digits for integers, precision and scale for other numbers.
    whole = field.digits or field.precision - field.scale
    # + 0.0 makes a plain zero of a negative one (W32).
    number = round(float(value), field.scale) + 0.0
    if whole and abs(number) >= 10**whole:
        raise ValueError(f"{field.name} allows only {whole} digits before the decimal point, too few for {value:,g}")
    return int(number) if number.is_integer() else number


def clamp_text(text: str, length: int) -> str:
    """At most `length` UTF-16 units of `text` (as Salesforce counts), not cut inside what a reader sees as one sign."""
    if _units(text) <= length:
        return text
    kept, used = 0, 0
    while used + _units(text[kept]) <= length:
        used += _units(text[kept])
        kept += 1
    while kept and not _edge(text, kept):
        kept -= 1
    return text[:kept].rstrip()


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _edge(text: str, at: int) -> bool:
    """Whether a sign ends before `text[at]`: a near enough reading of Unicode's grapheme clusters (UAX #29)."""
    before, after = text[at - 1], text[at]
    if before == "\u200d" or after == "\u200d" or (before, after) == ("\r", "\n"):
        return False
    if unicodedata.category(after) in ("Mn", "Me", "Mc") or "\U0001f3fb" <= after <= "\U0001f3ff":
        return False
    return not (_flag(before) and _flag(after) and _flags_before(text, at) % 2)


def _flag(sign: str) -> bool:
    return "\U0001f1e6" <= sign <= "\U0001f1ff"


def _flags_before(text: str, at: int) -> int:
    start = at
    while start and _flag(text[start - 1]):
        start -= 1
    return at - start
