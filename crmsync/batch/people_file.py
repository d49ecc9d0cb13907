"""A file of people, one a line: read and scored some at a time, so that its length costs no memory."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from crmsync.config import Config
from crmsync.config.conditions import BUILTIN_FIELDS
from crmsync.config.model import selections_of
from crmsync.config.settings import kinds_of
from crmsync.counts import count_of
from crmsync.errors import ConfigError
from crmsync.scoring.arms import add_arms_of_file
from crmsync.scoring.document import score_parsed
from crmsync.scoring.people_json import ParsedPerson, parse_person

AT_ONCE = 10_000
"""So many people are in memory at a time."""


class FileLine(NamedTuple):
    """One line of the file: its number, and the person in it or what is wrong with it."""

    number: int
    person: ParsedPerson | None
    problems: tuple[str, ...] = ()


@dataclass
class FileTally:
    """What became of a file: how many people were scored, what is wrong with lines, and what is odd about people."""

    people: int = 0
    problems: list[str] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def warnings(self, config: Config) -> list[str]:
        """Sentences about what was not used, or not as it was meant."""
        known = [*sorted({*config.fields, *config.used_fields(), *config.arm_fields(), *BUILTIN_FIELDS})]
        kinds = [*sorted({*kinds_of(config), *(kind for on, _ in selections_of(config) for kind in on)})]
        return [
            *(f"{count_of(number, 'person')}: {sentence}" for sentence, number in self.odd.most_common()),
            *(_unknown("field", name, number, known) for name, number in self.fields.items() if name not in known),
            *(
                _unknown("activity type", name, number, kinds)
                for name, number in self.kinds.items()
                if name not in kinds
            ),
        ]


def _unknown(what: str, name: str, number: int, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.7)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{count_of(number, 'person')}: the config has no {what} {name!r}, so it is ignored{hint}"


@contextmanager
def open_people(path: Path) -> Iterator[BinaryIO]:
    """The file, or what comes in by a pipe where the path is "-". Raises `ConfigError` where it cannot be read."""
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"--input {path} cannot be read: {error.strerror}") from None
    with file:
        yield file


def score_people_file(
    config: Config, file: Iterable[bytes], name: str, now: datetime, tally: FileTally
) -> Iterator[list[dict[str, Any]]]:
    """The documents of the people in a file, some at a time, each with the number of its line; the rest is in `tally`.

    A line with a mistake is told in `tally.problems` and the others are scored.
    """
    for good in _good_lines(config, file, name, tally, AT_ONCE):
        documents = list(score_parsed(config, [person for _, person in good], now, config.zone))
        tally.odd.update(each for document in documents for each in document["warnings"])
        yield [{"line": number, **document} for (number, _), document in zip(good, documents, strict=True)]


def read_people(
    config: Config, file: Iterable[bytes], name: str, tally: FileTally, at_once: int
) -> Iterator[list[ParsedPerson]]:
    """The people of a file, so many at a time; the rest is in `tally`."""
    for good in _good_lines(config, file, name, tally, at_once):
        yield [person for _, person in good]


def _good_lines(
    config: Config, file: Iterable[bytes], name: str, tally: FileTally, at_once: int
) -> Iterator[list[tuple[int, ParsedPerson]]]:
    lines = _lines(file, name, config.band_names())
    while some := list(islice(lines, at_once)):
        good = [(line.number, line.person) for line in some if line.person is not None]
        tally.problems += [f"{name}, line {line.number}: {each}" for line in some for each in line.problems]
        tally.people += len(good)
        people = [person for _, person in good]
        tally.fields.update(each for person in people for each in person.fields)
        tally.kinds.update(kind for person in people for kind in {act.kind for act in person.acts})
        divided = add_arms_of_file(people, config.experiment, config.zone)
        yield [(number, person) for (number, _), person in zip(good, divided, strict=True)]


def _lines(file: Iterable[bytes], name: str, bands: Collection[str]) -> Iterator[FileLine]:
    """The lines that are not empty. Raises `ConfigError` when the first one shows that this is another kind of file."""
    first = True
    for number, raw in enumerate(file, start=1):
        # Some editors put a byte-order mark in front of UTF-8.
        text = (raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw).strip()
        if not text:
            continue
        if first and not _begins_a_person(text):
            raise ConfigError(
                f"{name} is not a file with one person per line: line {number} begins with {_begun(text)}; write "
                "each person "
                'on one line: {"id": …, "fields": {…}, "activities": [{…}]}'
            )
        first = False
        yield _line(number, text, bands)


def _begins_a_person(text: bytes) -> bool:
    return text.startswith(b"{") and text != b"{"


def _begun(text: bytes) -> str:
    try:
        return repr(text[:80].decode()[:40])
    except UnicodeDecodeError:
        return "text that is not UTF-8"


def _line(number: int, text: bytes, bands: Collection[str]) -> FileLine:
    try:
        return FileLine(number, parse_person(orjson.loads(text), bands))
    except orjson.JSONDecodeError as error:
        return FileLine(number, None, (_not_json(text, error),))
    except ConfigError as error:
        return FileLine(number, None, error.problems)


def _not_json(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode()
    except UnicodeDecodeError:
        return "this is not UTF-8; save the file in UTF-8"
    return f"this is not JSON: {error.msg}, at character {error.pos + 1}"
