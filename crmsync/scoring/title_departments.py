"""Which of the departments that a title names are the person's: what the head noun says that they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from crmsync.config.conditions import DEPARTMENTS
from crmsync.scoring.title_lexicon import STAFF, Word


def _bits(*names: str) -> int:
    return sum(1 << DEPARTMENTS.index(each) for each in names)


_GENERAL_MANAGEMENT = _bits("general_management")

_CRAFTS = _bits("consulting", "project_management")
"""Done in every department: an IT consultant consults."""

_FUNCTIONS = _bits("procurement", "marketing", "sales", "business_development", "hr")
_SUBJECTS = _bits("it", "security", "engineering", "data", "product")
"""What functions deal with: software sales sells."""

_BREAKS = ("sep", "comma", "and")


class Meant(NamedTuple):
    """A level or departments (a bit each), and the places of the first word that says so and of the word after it."""

    meaning: int
    start: int
    end: int


def keep_heads(words: Sequence[Word], found: Sequence[Meant]) -> list[Meant]:
    """The departments of a title without those that only say what the person's craft or function is about."""
    kept = [_head_of(each.meaning) for each in found]
    _drop_adjectives(words, found, kept)
    _drop_adjuncts(words, found, kept)
    for craft, meaning in zip(found, kept, strict=True):
        if meaning & _CRAFTS and _names_job(words, craft):
            about = {*_about_craft(words, craft)}
            for at, each in enumerate(found):
                if each.start in about and not kept[at] & _CRAFTS:
                    kept[at] &= _GENERAL_MANAGEMENT
    return [each._replace(meaning=meaning) for each, meaning in zip(found, kept, strict=True) if meaning]


def _head_of(meaning: int) -> int:
    """The departments of one word or wording: the last part of a compound decides ("Softwarevertrieb")."""
    if meaning & _CRAFTS:
        return meaning & (_CRAFTS | _GENERAL_MANAGEMENT)
    return meaning & ~_SUBJECTS if meaning & _FUNCTIONS else meaning


def _drop_adjectives(words: Sequence[Word], found: Sequence[Meant], kept: list[int]) -> None:
    """Technical compliance is compliance; a technical director has no other department."""
    for at, (each, after) in enumerate(pairwise(found)):
        if each.end == after.start and _is_adjective(words, each) and not _is_adjective(words, after):
            kept[at] = 0


def _drop_adjuncts(words: Sequence[Word], found: Sequence[Meant], kept: list[int]) -> None:
    """In a row of nouns the last one decides: IT project management, software sales."""
    for at in range(len(found) - 2, -1, -1):
        each, after, head = found[at], found[at + 1], kept[at + 1]
        if each.end != after.start or _names_job(words, each) or _is_adjective(words, after):
            continue
        if head & _CRAFTS or (head & _FUNCTIONS and kept[at] and not kept[at] & ~_SUBJECTS):
            # What stands before the adjunct is beside the head as well.
            kept[at] = head if kept[at] & ~_GENERAL_MANAGEMENT else kept[at]


def _is_adjective(words: Sequence[Word], each: Meant) -> bool:
    return each.end - each.start == 1 and "adjective" in words[each.start].beside


def _names_job(words: Sequence[Word], each: Meant) -> bool:
    return any(_is_job(words[at]) for at in range(each.start, each.end))


def _is_job(word: Word) -> bool:
    return word.level >= STAFF or word.role in ("lead", "owner")


def _about_craft(words: Sequence[Word], craft: Meant) -> Iterator[int]:
    """The places of the words that say what a craft is about: "IT consultant", "project manager, marketing"."""
    for at in range(craft.start - 1, -1, -1):
        if words[at].role in (*_BREAKS, "of", "to") or _is_job(words[at]):
            break
        yield at
    if craft.end < len(words) and words[craft.end].role == "and":
        return
    behind: list[int] = []
    for at in range(craft.end, len(words)):
        if words[at].role == "sep":
            break
        if _is_job(words[at]):
            # Another job begins after the last sign or "and".
            while behind and words[behind[-1]].role not in _BREAKS:
                behind.pop()
            break
        behind.append(at)
    yield from behind
