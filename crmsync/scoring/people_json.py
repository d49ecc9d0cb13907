"""People written down by hand (a line of a file, a test lead), read strictly and put into columns."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import numpy as np

from crmsync.columns import Columns, Fact
from crmsync.errors import ConfigError
from crmsync.model import Scalar

KEYS = ("id", "fields", "activities", "previous")

OUTCOME_KEYS = ("outcome", "outcome_at", "created_at", "handed_off_at", "touched_at", "value", "owner", "name")
"""What a person of a file may have besides, for what asks whether scores were right."""

_EARLIEST = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp())
_LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())
"""What came of people lies between these instants."""

_PLAIN = frozenset({str, int, float, bool, type(None)})
_ENCODED = json.JSONEncoder(sort_keys=True, default=str).encode


class Act(NamedTuple):
    """Something a person did: seconds since 1970, kind and attributes, and these two as one comparable text."""

    at: int
    key: str
    kind: str
    attributes: Mapping[str, Scalar]


class WrittenOutcome(NamedTuple):
    """What a file says that came of a person: `outcome` is `won`, `lost` or `None`; instants are seconds since 1970."""

    outcome: Literal["won", "lost"] | None = None
    outcome_at: int | None = None
    created_at: int | None = None
    handed_off_at: int | None = None
    touched_at: int | None = None
    value: float | None = None
    owner: str = ""
    name: str = ""


NOTHING_CAME = WrittenOutcome()


class ParsedPerson(NamedTuple):
    """A person as written down: what they did by time, each activity once; `previous` is the band they were in."""

    id: Any
    fields: Mapping[str, Scalar]
    acts: Sequence[Act]
    previous: str | None
    outcome: WrittenOutcome = NOTHING_CAME


def parse_person(person: Any, bands: Collection[str] | None = None) -> ParsedPerson:
    """A person given as `{"id", "fields": {…}, "activities": [{"kind", "at", "attributes"}], "previous"}`.

    What came of them may be given, too: `OUTCOME_KEYS`.

    Activities with the same `id` are one; so are, without an id, those that agree in kind, instant and attributes.
    Raises `ConfigError` with every mistake; `bands`, if given, are those that `previous` may name.
    """
    if not (isinstance(person, Mapping) and isinstance(person.get("fields") or {}, Mapping)):
        raise ConfigError('write {"id": …, "fields": {…}, "activities": [{…}]}')
    problems = [*_strange(person, bands), *_unreadable("the field", person.get("fields") or {})]
    once: dict[Any, Act] = {}
    listed = person.get("activities") or ()
    for place, activity in enumerate(listed if isinstance(listed, list | tuple) else [listed], start=1):
        try:
            key, act = _act(activity)
            once[key] = act
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            problems.append(f"activity no. {place}: {_describe_odd_activity(activity)}")
        else:
            problems += [f"activity no. {place}: {each}" for each in _unreadable("the attribute", act.attributes)]
    if problems:
        raise ConfigError(problems)
    fields = {name: _scalar(value) for name, value in (person.get("fields") or {}).items()}
    acts = sorted(once.values(), key=lambda act: act[:2])
    came = _outcome(person, problems)
    if problems:
        raise ConfigError(problems)
    return ParsedPerson(person.get("id"), fields, acts, person.get("previous"), came)


def _outcome(person: Mapping[str, Any], problems: list[str]) -> WrittenOutcome:
    """What came of a person; mistakes are added to `problems`."""
    given = {key: person[key] for key in OUTCOME_KEYS if person.get(key) is not None}
    if not given:
        return NOTHING_CAME
    read: dict[str, Any] = {}
    for key, value in given.items():
        try:
            read[key] = _OUTCOME_READERS[key](value)
        except (TypeError, ValueError, OverflowError):
            problems.append(f"{key} {value!r}: {_OUTCOME_HINTS.get(key, _INSTANT_HINT)}")
    if ("outcome" in given) is not ("outcome_at" in given):
        problems.append("write outcome and outcome_at together, and neither for somebody who is still open")
    return NOTHING_CAME if problems else WrittenOutcome(**read)


def _seconds(value: Any) -> int:
    instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("an instant needs its offset")
    seconds = int(instant.timestamp() // 1)
    if not _EARLIEST <= seconds < _LATEST:
        raise ValueError("systems write nothing as the first or last day of their calendar")
    return seconds


def _won_or_lost(value: Any) -> str:
    if value not in ("won", "lost"):
        raise ValueError("no such outcome")
    return str(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


_OUTCOME_READERS = {
    "outcome": _won_or_lost,
    "value": _number,
    **dict.fromkeys(("owner", "name"), _text),
    **dict.fromkeys(("outcome_at", "created_at", "handed_off_at", "touched_at"), _seconds),
}

_INSTANT_HINT = "write an instant as 2026-11-21T12:00:00Z, from the years 1900 to 2199, or leave it out"

_OUTCOME_HINTS = {
    "outcome": 'write "won" or "lost"',
    "value": "write a number",
    **dict.fromkeys(("owner", "name"), "write a text"),
}


def _strange(person: Mapping[str, Any], bands: Collection[str] | None) -> Iterator[str]:
    if unknown := sorted(set(person) - {*KEYS, *OUTCOME_KEYS}):
        known = ", ".join((*KEYS, *OUTCOME_KEYS))
        yield f"{', '.join(map(repr, unknown))} is not a key of a person; the keys are {known}"
    before = person.get("previous")
    if before is not None and (not isinstance(before, str) or (bands is not None and before not in bands)):
        yield f"previous {before!r} is not a band of the model; its bands are {', '.join(bands or ()) or 'none'}"
    if isinstance(person.get("id"), dict | list):
        yield "id must be a text or a number"


def _unreadable(what: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about values that are nothing a CRM field can hold."""
    if _PLAIN.issuperset(map(type, values.values())):
        return
    for name, value in values.items():
        parts = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(part, dict | list | tuple) for part in parts):
            yield f"{what} {name!r} has a table as its value; write a text, a number, true or false, or a list of texts"
        elif isinstance(value, list | tuple) and not all(isinstance(part, str) for part in parts):
            yield f"{what} {name!r} has a list with other values than texts"


def _act(activity: Any) -> tuple[Any, Act]:
    """An activity, and the key by which it is told from others."""
    at, kind = activity["at"], activity["kind"]
    instant = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    if instant.tzinfo is None or not isinstance(kind, str) or not kind:
        raise ValueError("an instant needs its offset, and a kind is a word")
    attributes = dict(activity.get("attributes") or {})
    text = _ENCODED([kind, attributes])
    # Always down; `int` alone would round up before 1970.
    act = Act(int(instant.timestamp() // 1), text, kind, {name: _scalar(each) for name, each in attributes.items()})
    given = activity.get("id")
    if isinstance(given, dict | list):
        raise ValueError("an id is a text or a number")
    # A pair that no instant and text can make.
    return (given, "id") if given is not None else (act.at, text), act


def _describe_odd_activity(activity: Any) -> str:
    if not isinstance(activity, Mapping):
        return 'write {"kind": "page_viewed", "at": "2026-11-21T12:00:00Z", "attributes": {…}}'
    if isinstance(activity.get("id"), dict | list):
        return "its id is a table or a list; write a text or a number"
    kind, attributes = activity.get("kind"), activity.get("attributes")
    if not isinstance(kind, str) or not kind or not isinstance(attributes or {}, Mapping):
        return "it needs a kind, and attributes that are a table"
    return "it needs at, an instant with its offset, for example 2026-11-21T12:00:00Z"


def _scalar(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def columns_of(people: Sequence[Mapping[str, Any]]) -> Columns:
    """Columns of people who are written as `parse_person` reads them. Raises `ConfigError` with every mistake."""
    return columns_of_parsed(parse_people(people))


def parse_people(people: Sequence[Any], bands: Collection[str] | None = None) -> list[ParsedPerson]:
    """People as `parse_person` reads them. Raises `ConfigError` with every mistake and the number of the person."""
    read, problems = [], []
    for number, person in enumerate(people, start=1):
        try:
            read.append(parse_person(person, bands))
        except ConfigError as error:
            problems += [f"person no. {number}{_joint(each)}{each}" for each in error.problems]
    if problems:
        raise ConfigError(problems)
    return read


def _joint(problem: str) -> str:
    return ", " if problem.startswith("activity") else ": "


def columns_of_parsed(people: Sequence[ParsedPerson]) -> Columns:
    """Columns of people, in their order."""
    facts: dict[str, int] = {}
    kept: list[Fact] = []
    rows: list[tuple[int, int, int]] = []
    for row, person in enumerate(people):
        for act in person.acts:
            if act.key not in facts:
                facts[act.key] = len(kept)
                kept.append(Fact(act.kind, act.attributes))
            rows.append((row, act.at, facts[act.key]))
    names = sorted({name for person in people for name in person.fields})
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Columns(
        people=np.arange(len(people), dtype=np.int64),
        fields={name: [person.fields.get(name) for person in people] for name in names},
        person=table[:, 0].astype(np.int32),
        at=table[:, 1].copy(),
        fact=table[:, 2].astype(np.int32),
        facts=kept,
    )
