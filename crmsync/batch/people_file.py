"""A file of people, one a line: read and scored some at a time, so that its length costs no memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

import orjson

from crmsync.config import Config
from crmsync.config.conditions import BUILTIN_FIELDS
from crmsync.config.model import selections_of
from crmsync.config.settings import kinds_of
from crmsync.counts import count_of
from crmsync.errors import ConfigError
from crmsync.scoring.arms import add_arms_of_file
from crmsync.scoring.people_json import ParsedPerson, parse_person

AT_ONCE = 10_000
"""So many people are in memory at a time."""


class FileLine(NamedTuple):
    """One line of a file: its number, and the person in it or what is wrong with it."""

    number: int
    person: ParsedPerson | None
    problems: tuple[str, ...] = ()


@dataclass
class FileTally:
    """What became of a file: how many people were scored, what is wrong with lines, and what is odd about people.

    `columns` are those of tables that may be fields; nobody counts how many people have one.
    """

    people: int = 0
    problems: list[str] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    columns: dict[str, None] = field(default_factory=dict)

    def add(self, other: FileTally) -> None:
        """Add what became of a part of the file."""
        self.people += other.people
        self.problems += other.problems
        for mine, theirs in ((self.odd, other.odd), (self.fields, other.fields), (self.kinds, other.kinds)):
            mine.update(theirs)
        self.columns |= other.columns

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
            *_unused_columns([name for name in self.columns if name not in known], known),
        ]


def _unknown(what: str, name: str, number: int, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.7)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{count_of(number, 'person')}: the config has no {what} {name!r}, so it is ignored{hint}"


def _unused_columns(names: Sequence[str], known: Collection[str]) -> Iterator[str]:
    """A sentence about the columns of tables that no field is called like, and one for each that was perhaps meant."""
    if names:
        more = f" and {count_of(len(names) - SOME, 'more column')}" if len(names) > SOME else ""
        yield f"the config has no fields {', '.join(map(repr, names[:SOME]))}{more}, so these columns are ignored"
    for name in names:
        if near := get_close_matches(name, known, n=1, cutoff=0.7):
            yield f"the column {name!r} is no field of the config; did you mean {near[0]!r}?"


SOME = 5


def read_people(
    config: Config, file: Iterable[bytes], name: str, tally: FileTally, at_once: int
) -> Iterator[list[ParsedPerson]]:
    """The people of a file, so many at a time; the rest is in `tally`."""
    lines = read_json_lines(file, name, config.band_names())
    for good in keep_good_lines(config, lines, name, tally, at_once):
        yield [person for _, person in good]


def keep_good_lines(
    config: Config, lines: Iterator[FileLine], name: str, tally: FileTally, at_once: int, unit: str = "line"
) -> Iterator[list[tuple[int, ParsedPerson]]]:
    """The people of the lines without mistakes and the numbers of these, so many at a time; the rest is in `tally`.

    `unit` is what a line is called.
    """
    while some := list(islice(lines, at_once)):
        good = [(line.number, line.person) for line in some if line.person is not None]
        tally.problems += [f"{name}, {unit} {line.number}: {each}" for line in some for each in line.problems]
        tally.people += len(good)
        people = [person for _, person in good]
        tally.fields.update(each for person in people for each in person.fields)
        tally.kinds.update(kind for person in people for kind in {act.kind for act in person.acts})
        divided = add_arms_of_file(people, config.experiment, config.zone)
        yield [(number, person) for (number, _), person in zip(good, divided, strict=True)]


def read_json_lines(file: Iterable[bytes], name: str, bands: Collection[str]) -> Iterator[FileLine]:
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
