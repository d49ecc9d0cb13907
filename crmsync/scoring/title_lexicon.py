"""What the words of job titles mean, as `titles.toml` says it, by themselves or by the parts of a compound."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from threading import Lock
from typing import Any, NamedTuple

from crmsync.config.conditions import DEPARTMENTS, SENIORITIES
from crmsync.scoring.title_words import SEPARATORS, clean_word, fold_letters, split_title

NO_LEVEL = -1

STAFF, VP = SENIORITIES.index("staff"), SENIORITIES.index("vp")

STAFF_ROLES = frozenset({"staff", "assistant", "aide", "clerk"})
"""Roles of words that are a job."""

MOST_WORDS = 200_000
"""Words of titles that are kept in memory with what they mean."""


class Word(NamedTuple):
    """A word or wording: its level (a place in `SENIORITIES`, or `NO_LEVEL`), departments (a bit each) and role.

    `beside`: before or after which roles it says something. The wordings are those that it begins.
    """

    text: str
    level: int = NO_LEVEL
    departments: int = 0
    role: str = ""
    beside: frozenset[str] = frozenset()
    wordings: Following | None = None
    department_wordings: Following | None = None


Following = Mapping[str, Sequence[tuple[tuple[str, ...], Word]]]
"""By the second word of a wording ("" where there is none): the words after it, the longest first, and the meaning."""

Wordings = Mapping[str, Following]
"""By the first word of a wording."""


def find_wording(following: Following, words: Sequence[Word], at: int) -> tuple[Word, int] | None:
    """The longest wording that begins at a place, and where it ends; `following` are those that its word begins."""
    if at + 1 < len(words):
        for rest, word in following.get(words[at + 1].text, ()):
            end = at + 2 + len(rest)
            if not rest or tuple([each.text for each in words[at + 2 : end]]) == rest:
                return word, end
    alone = following.get("")
    return (alone[0][1], at + 1) if alone else None


class Lexicon(NamedTuple):
    """What is known of single words, of wordings, and of how longer words begin and end."""

    words: Mapping[str, Word]
    wordings: Wordings
    department_wordings: Wordings
    heads: Mapping[str, Word]
    tails: Mapping[str, Word]


@cache
def load_lexicon() -> Lexicon:
    """What `titles.toml` says, with the endings of each language."""
    said = tomllib.loads(files("crmsync.scoring").joinpath("titles.toml").read_text(encoding="utf-8"))
    words: dict[str, Word] = {}
    heads: dict[str, Word] = {}
    tails: dict[str, Word] = {}
    levels: dict[tuple[str, ...], Word] = {}
    departments: dict[tuple[str, ...], Word] = {}
    for table, text, meaning, ends in _entries(said):
        several = departments if table == "department" else levels
        tokens = wording_of(text.strip("*"))
        if len(tokens) > 1:
            for each in _inflect(tokens, ends):
                several[each] = join_meanings(several.get(each), meaning, " ".join(each))
                if meaning.level == VP:
                    # Or a vice president would be in the department of a president.
                    departments.setdefault(each, Word(" ".join(each)))
            continue
        for (one,) in _inflect(tokens, ends):
            words[one] = join_meanings(words.get(one), meaning, one)
            if text.startswith("*"):
                tails[one] = join_meanings(tails.get(one), meaning, one)
        if text.endswith("*"):
            heads[tokens[0]] = join_meanings(heads.get(tokens[0]), meaning, tokens[0])
    _write_apart(words, {*tails, *(wording_of(each)[0] for each in said["apart"])}, levels, departments)
    return Lexicon(words, index_wordings(levels), index_wordings(departments), heads, tails)


def _entries(said: Mapping[str, Any]) -> Iterator[tuple[str, str, Word, Sequence[str]]]:
    """Each text of the lexicon: the sort of its table, the text, what it means, and the endings that it may have."""
    for table in ("level", "department", "role", "beside"):
        for name, languages in said[table].items():
            meaning = _meaning_of(table, name)
            for language, texts in languages.items():
                yield from ((table, text, meaning, said["endings"][language]) for text in texts)


def _meaning_of(table: str, name: str) -> Word:
    if table == "level":
        return Word("", level=SENIORITIES.index(name))
    if table == "department":
        return Word("", departments=0 if name == "none" else 1 << DEPARTMENTS.index(name))
    if table == "role":
        return Word("", STAFF if name in STAFF_ROLES else NO_LEVEL, role=name)
    return Word("", beside=frozenset({name}))


def join_meanings(known: Word | None, more: Word, text: str) -> Word:
    """Two meanings of a word in one; the higher level holds."""
    if known is None:
        return more._replace(text=text)
    departments, beside = known.departments | more.departments, known.beside | more.beside
    return Word(text, max(known.level, more.level), departments, known.role or more.role, beside)


def wording_of(text: str) -> tuple[str, ...]:
    """The words of a wording, as they are looked for in titles."""
    return tuple(clean_word(each) if "." not in each else each for each in split_title(fold_letters(text)))


def inflect_own(tokens: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A wording of an admin, whose language nobody knows, with the endings that change no meaning."""
    return _inflect(tokens, ("in", "innen", "s")) if tokens else iter(())


def _inflect(tokens: tuple[str, ...], endings: Iterable[str]) -> Iterator[tuple[str, ...]]:
    yield tokens
    if len(tokens[-1]) >= 4:
        yield from ((*tokens[:-1], clean_word(tokens[-1] + each)) for each in endings)


def _write_apart(
    words: Mapping[str, Word],
    tails: Collection[str],
    levels: dict[tuple[str, ...], Word],
    departments: dict[tuple[str, ...], Word],
) -> None:
    """Compounds with a meaning of their own also as two words: "teamleiter" → "team leiter"."""
    for text, word in words.items():
        for cut in range(3, len(text) - 3):
            if word.level != NO_LEVEL and text[cut:] in tails:
                levels.setdefault((text[:cut], text[cut:]), word)
                if word.departments:
                    departments.setdefault((text[:cut], text[cut:]), word)


def index_wordings(wordings: Mapping[tuple[str, ...], Word]) -> Wordings:
    """Wordings by their first and second word."""
    found: dict[str, dict[str, list[tuple[tuple[str, ...], Word]]]] = {}
    for (first, *rest), word in sorted(wordings.items(), key=lambda each: -len(each[0])):
        second, *others = rest or [""]
        found.setdefault(first, {}).setdefault(second, []).append((tuple(others), word))
    return found


class Vocabulary(dict[str, int]):
    """For each token of titles the place in `words` of what it means beside others.

    Words that mean nothing share the place 0, and those that mean no more than the same departments share one, so that
    titles which differ in nothing else are read once.
    """

    def __init__(self, lexicon: Lexicon, own: Wordings) -> None:
        super().__init__()
        self.lexicon, self.own = lexicon, own
        self.words = [Word("")]
        self._places: dict[Word, int] = {Word(""): 0}
        self._one_at_a_time = Lock()
        self._in_wordings = {
            each
            for table in (lexicon.wordings, lexicon.department_wordings, own)
            for first, following in table.items()
            for second, wordings in following.items()
            for each in (first, second, *(text for rest, _ in wordings for text in rest))
        }

    def __missing__(self, token: str) -> int:
        if token.isdecimal() and token not in self._in_wordings:
            return 0
        word = self._look_up(token)
        # People are scored in several threads, and two words must not get one place.
        with self._one_at_a_time:
            if len(self) > MOST_WORDS:
                self.clear()
            self[token] = place = self._place(word)
        return place

    def _place(self, word: Word) -> int:
        if word.text not in self._in_wordings:
            word = word._replace(text="")
        if word not in self._places:
            self._places[word] = len(self.words)
            self.words.append(self._with_wordings(word))
        return self._places[word]

    def look_up(self, token: str) -> Word:
        """What a token means, and the wordings that it begins."""
        return self._with_wordings(self._look_up(token))

    def _with_wordings(self, word: Word) -> Word:
        return word._replace(
            wordings=self.lexicon.wordings.get(word.text),
            department_wordings=self.lexicon.department_wordings.get(word.text),
        )

    def _look_up(self, token: str) -> Word:
        if token in SEPARATORS:
            return Word(token, role="sep")
        if token in (",", "&", "+", "@"):
            return Word(token, role={",": "comma", "@": "at"}.get(token, "and"))
        known = self.lexicon.words
        text = clean_word(token)
        if "." in token and token.replace(" ", "") in known:
            return known[token.replace(" ", "")]._replace(text=text)
        word, parts = known.get(text, Word(text)), self._compound(text)
        if parts is None or word.role == "plain":
            return word
        word = word._replace(departments=word.departments or parts.departments)
        return word if word.level != NO_LEVEL or word.role else word._replace(level=parts.level, role=parts.role)

    def _compound(self, text: str) -> Word | None:
        """A compound by its last part, with the departments of what stands before: "verkaufsdirektor"."""
        departments, head = 0, self._head(text)
        for cut in range(2, len(text) - 2):
            tail = self.lexicon.tails.get(text[cut:])
            if tail is None:
                continue
            departments = departments or tail.departments
            if tail.level != NO_LEVEL or tail.role:
                # "steuerberat*" says what "berater" does not.
                listed = head.departments if head and len(head.text) > cut and not departments else 0
                return tail._replace(text=text, departments=departments | listed | self._first_part(text[:cut]))
        if head is None and not departments:
            return None
        return (head or Word(""))._replace(text=text, departments=departments | (head.departments if head else 0))

    def _first_part(self, text: str) -> int:
        """The departments of the first part of a compound, with or without the letters that join the parts."""
        known = self.lexicon.words
        for joint in ("", "s", "es", "n", "en", "er", "e"):
            word = known.get(text.removesuffix(joint)) if text.endswith(joint) else None
            if word:
                return word.departments
        word = self._compound(text) if len(text) > 5 else self._head(text)
        return word.departments if word else 0

    def _head(self, text: str) -> Word | None:
        return next(
            (self.lexicon.heads[text[:cut]] for cut in range(len(text), 2, -1) if text[:cut] in self.lexicon.heads),
            None,
        )
