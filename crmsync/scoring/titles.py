"""Job titles read as seniority and department: "VP, IT Security" is a vp in it and security."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import chain
from typing import NamedTuple
from weakref import ReferenceType, ref

from crmsync.config.conditions import DEPARTMENTS, SENIORITIES
from crmsync.config.model import Titles
from crmsync.scoring.title_departments import Meant, keep_heads
from crmsync.scoring.title_lexicon import (
    NO_LEVEL,
    Vocabulary,
    Word,
    find_wording,
    index_wordings,
    inflect_own,
    join_meanings,
    load_lexicon,
    wording_of,
)
from crmsync.scoring.title_roles import C_LEVEL, TitleWords, keep_person, read_level
from crmsync.scoring.title_words import fold_letters, locate_words, split_title
from crmsync.scoring.values import Column

LONGEST_TITLE = 300
"""Characters of a title that are read."""

MOST_TITLES = 50_000
"""Titles that are kept in memory with what they say."""

_GENERAL_MANAGEMENT = 1 << DEPARTMENTS.index("general_management")


class Title(NamedTuple):
    """What a title says; `seniority` is one of `SENIORITIES`. `is_known`: whether any word says something."""

    seniority: str
    departments: frozenset[str]
    is_known: bool


class Evidence(NamedTuple):
    """A seniority or department, and the words of the title that it comes from."""

    meaning: str
    text: str


@lru_cache(maxsize=4096)
def _title(level: int, departments: int) -> Title:
    names = frozenset(each for bit, each in enumerate(DEPARTMENTS) if departments >> bit & 1)
    return Title(SENIORITIES[level] if level != NO_LEVEL else "staff", names, level != NO_LEVEL or bool(names))


Aliases = tuple[tuple[str, tuple[str, ...]], ...]


def title_reader(titles: Titles) -> TitleReader:
    """A reader of titles that knows the admin's own words, which come before the built-in ones."""
    return _reader(
        tuple((level, tuple(words)) for level, words in titles.seniority.items()),
        tuple((department, tuple(words)) for department, words in titles.department.items()),
    )


@lru_cache(maxsize=64)
def _reader(seniority: Aliases, department: Aliases) -> TitleReader:
    return TitleReader(seniority, department)


class _Reading(NamedTuple):
    """What words mean together."""

    level: Meant | None
    departments: Sequence[Meant]

    def as_title(self) -> Title:
        """The same without the places."""
        bits = 0
        for each in self.departments:
            bits |= each.meaning
        return _title(self.level.meaning if self.level else NO_LEVEL, bits)


class TitleReader:
    """Reads titles, each once; the admin's own words come first.

    `read` gives the `Title` of a text, `explain` the words that its seniority (none where nothing says it) and each of
    its departments come from.
    """

    def __init__(self, seniority: Aliases, department: Aliases) -> None:
        self.seniority, self.department = seniority, department
        self.read = lru_cache(maxsize=MOST_TITLES)(self._read)
        self.explain = lru_cache(maxsize=MOST_TITLES)(self._explain)
        self._read_places = lru_cache(maxsize=100_000)(self._read_places_anew)
        self._last: tuple[ReferenceType[Column], Sequence[Title | None]] | None = None

    def read_column(self, column: Column) -> Sequence[Title | None]:
        """The title of each distinct value; `None` for what is no text."""
        # Several rules ask one column in a row, which has more titles than `read` remembers.
        last = self._last
        if last is not None and last[0]() is column:
            return last[1]
        read = self.read if len(column.distinct) <= MOST_TITLES else self._read
        titles = [read(value) if isinstance(value, str) else None for value in column.distinct]
        self._last = ref(column), titles
        return titles

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        own: dict[tuple[str, ...], Word] = {}
        levels = [(Word("", level=SENIORITIES.index(level)), words) for level, words in self.seniority]
        departments = [(Word("", departments=1 << DEPARTMENTS.index(each)), words) for each, words in self.department]
        for word, texts in levels + departments:
            for tokens in chain.from_iterable(inflect_own(wording_of(text)) for text in texts):
                own[tokens] = join_meanings(own.get(tokens), word, " ".join(tokens))
        return Vocabulary(load_lexicon(), index_wordings(own))

    def _read(self, text: str) -> Title:
        vocabulary = self._vocabulary
        return self._read_places(tuple([vocabulary[each] for each in split_title(fold_letters(text[:LONGEST_TITLE]))]))

    def _read_places_anew(self, places: tuple[int, ...]) -> Title:
        """What words say by their places in the vocabulary."""
        vocabulary = self._vocabulary
        return _interpret(vocabulary, [vocabulary.words[place] for place in places]).as_title()

    def _explain(self, text: str) -> tuple[Sequence[Evidence], Sequence[Evidence]]:
        text = text[:LONGEST_TITLE]
        words = [self._vocabulary.look_up(token) for token in split_title(fold_letters(text))]
        reading, places = _interpret(self._vocabulary, words), locate_words(text)
        levels = [(SENIORITIES[reading.level.meaning], reading.level)] if reading.level else []
        departments = [
            (name, each)
            for bit, name in enumerate(DEPARTMENTS)
            for each in [each for each in reading.departments if each.meaning >> bit & 1][:1]
        ]
        said = [
            [Evidence(name, _quote(text, places[at.start][0], places[at.end - 1][1])) for name, at in found]
            for found in (levels, departments)
        ]
        return said[0], said[1]


def _quote(text: str, start: int, end: int) -> str:
    """Part of a text; an abbreviation with its last dot."""
    quoted = text[start:end]
    return text[start : end + 1] if "." in quoted and text[end : end + 1] == "." else quoted


def _interpret(vocabulary: Vocabulary, words: Sequence[Word]) -> _Reading:
    """A title word by word, each beside the others."""
    kept = keep_person(words)
    said, departments = _join_wordings(words, kept)
    deciding = read_level(said)
    level = None if deciding < 0 else Meant(said.levels[deciding], said.starts[deciding], said.ends[deciding])
    departments = _correct_departments(said, keep_heads(words, departments) if departments else [])
    if vocabulary.own:
        own_levels, own_departments = _find_own(vocabulary, words)
        level, departments = max(own_levels, default=level), own_departments + departments
    return _Reading(level, departments)


def _find_own(vocabulary: Vocabulary, words: Sequence[Word]) -> tuple[list[Meant], list[Meant]]:
    """The levels and departments of an admin's own words, wherever they stand."""
    levels, departments = [], []
    for at, first in enumerate(words):
        found = find_wording(vocabulary.own.get(first.text, {}), words, at)
        if found and found[0].level != NO_LEVEL:
            levels.append(Meant(found[0].level, at, found[1]))
        if found and found[0].departments:
            departments.append(Meant(found[0].departments, at, found[1]))
    return levels, departments


def _join_wordings(words: Sequence[Word], kept: Sequence[int]) -> tuple[TitleWords, list[Meant]]:
    """The words of a title, those that are a wording together as one; and the same for what they say of departments."""
    joined, starts, ends, departments = [], [], [], []
    end = end_of_department = -1
    for at in kept:
        word = words[at]
        if at >= end:
            end, one = at + 1, word
            if word.wordings is not None:
                one, end = find_wording(word.wordings, words, at) or (word, end)
            joined.append(one)
            starts.append(at)
            ends.append(end)
        if at >= end_of_department:
            end_of_department, one = at + 1, word
            if word.department_wordings is not None:
                one, end_of_department = find_wording(word.department_wordings, words, at) or (word, at + 1)
            if one.departments:
                departments.append(Meant(one.departments, at, end_of_department))
    return TitleWords(joined, starts, ends), departments


def _correct_departments(said: TitleWords, departments: list[Meant]) -> list[Meant]:
    """Departments without those of former jobs; who serves a boss of the whole firm does not manage it."""
    if said.over:
        over = {place for at in said.over for place in range(said.starts[at], said.ends[at])}
        departments = [each for each in departments if each.start not in over]
    if C_LEVEL not in said.levels and said.is_served:
        return [each._replace(meaning=each.meaning & ~_GENERAL_MANAGEMENT) for each in departments]
    if "owner" in said.roles:
        at = said.roles.index("owner")
        if said.levels[at] == C_LEVEL and at not in said.over:
            return [*departments, Meant(_GENERAL_MANAGEMENT, said.starts[at], said.ends[at])]
    return departments
