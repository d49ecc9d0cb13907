"""What is wrong with a file that is no TOML: the line, a mark below the place, and what was likely meant."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from crmsync.config.mistakes import Loc, find_places
from crmsync.config.model import NAMED_TABLES, RULE_TABLES

ARRAYS = frozenset({*RULE_TABLES, *NAMED_TABLES, "stage", "route", "owner_pool"})
"""Tables that a file may have many of: each begins with two brackets."""

LONGEST = 70
"""Characters of a line that are shown."""

SECRET_KEY = re.compile(r"(?i)[^=]*(?:token|secret|passw|private|credential|key|url)[^=]*=")
"""How a line begins whose value may be nobody else's business."""


class Place(NamedTuple):
    """A line of the file (from 1), its text, and the column (from 1) at which reading stopped."""

    line: int
    text: str
    column: int


class SyntaxMistake(NamedTuple):
    """A sentence with the line and the likely cause; the line itself and a mark below the place."""

    said: str
    excerpt: tuple[str, ...]


def describe_syntax_error(path: str, text: str, error: tomllib.TOMLDecodeError) -> SyntaxMistake:
    """What to say of a file that Python cannot read. A line that may hold a secret is not shown."""
    place = _place_of(text, error)
    why, column = _find_cause(text, place, str(error))
    said = f"{path}, line {place.line}, column {column}: {why}"
    if SECRET_KEY.match(place.text):
        return SyntaxMistake(said, ())
    start = max(0, column - LONGEST)
    margin = f"  {place.line} | "
    mark = " " * (len(margin) + column - 1 - start) + "^"
    return SyntaxMistake(said, (margin + place.text[start : start + LONGEST].replace("\t", " "), mark))


def _place_of(text: str, error: tomllib.TOMLDecodeError) -> Place:
    lines = text.splitlines() or [""]
    # Python says where only in its sentence before 3.14.
    found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    if found is None:
        number = max((at for at, line in enumerate(lines, start=1) if line.strip()), default=1)
        return Place(number, lines[number - 1], len(lines[number - 1]) + 1)
    number = min(int(found[1]), len(lines))
    return Place(number, lines[number - 1], int(found[2]))


def _find_cause(text: str, place: Place, said: str) -> tuple[str, int]:
    """The likely cause, and the column at which it stands."""
    code = _without_comment(place.text)
    for pattern, why in LIKELY:
        # Not inside of texts, but for what spoils the text itself.
        if found := pattern.search(code):
            return why(found), found.start(found.lastindex or 0) + 1
    if twice := _find_twice(text, place):
        return twice, place.column
    said = re.sub(r" \(at .*\)$", "", said)
    if said in MEANT:
        return MEANT[said], place.column
    return f"this is not TOML: {said[0].lower()}{said[1:]}", place.column


MEANT = {
    "Unclosed array": "between two entries of a list stands a comma, and behind the last one ]",
    "Unclosed inline table": "between two keys in { } stands a comma, and behind the last one }; what is asked is a "
    'key, too: { field = "employees", gte = 200 }',
    "Expected newline or end of document after a statement": "something stands behind the value that does not belong "
    "there; each key begins a line of its own",
}
"""What to say of what Python says, where no line tells more."""


def _as_date(written: str) -> str:
    """What to write for a date in another order; which part is the day is sure only where points part them."""
    said = "write a date as year, month and day"
    found = re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", written)
    return f"{said}: {found[3]}-{found[2]:0>2}-{found[1]:0>2}" if found else f"{said}, for example 2026-11-21"


def _text(words: str) -> Callable[[re.Match[str]], str]:
    return lambda _found: words


_IN_TEXT = r"^(?:[^\"'#]|\"[^\"]*\"|'[^']*')*?"
"""What of a line stands before a place that is not inside of a text."""

LIKELY: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(rf"{_IN_TEXT}([\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u00ab\u00bb])"),
        _text('these are curly quotes, as word processors and chats write them; write straight ones: "…"'),
    ),
    (
        re.compile(rf"{_IN_TEXT}([\u00a0\u2007\u202f\u200b\ufeff])"),
        _text("an invisible character stands here, as web pages have them; delete it and write a space"),
    ),
    (
        re.compile(r"\"[^\"]*?(\\)(?![btnfr\"\\]|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})"),
        _text("in double quotes a backslash is a sign of its own; write the text in single quotes: '…'"),
    ),
    (
        re.compile(rf"{_IN_TEXT}=\s*([\u2212\u2013\u2014])\s*\d"),
        _text("this is a dash and no minus; write -, as in -10"),
    ),
    (
        re.compile(rf"{_IN_TEXT}=\s*(\d+(?:\.\d+)?\s*%)"),
        lambda found: f"write per cent as a part of 1: {float(found[1].rstrip('% ')) / 100:g}",
    ),
    (
        re.compile(rf"{_IN_TEXT}=\s*(\d{{1,4}}[./]\d{{1,2}}[./]\d{{2,4}})\s*(?:$|[,\]}}])"),
        lambda found: _as_date(found[1]),
    ),
    (
        re.compile(r"^[^=#\[]*=\s*(-?\d{1,3}(?:(?:,\d{3})+|(?:'\d{3})+|(?:\.\d{3}){2,}))\s*$"),
        lambda found: f"write the number without separators: {re.sub(r'[^-0-9]', '', found[1])}",
    ),
    (
        re.compile(r"^[^=#\[]*=\s*(-?\d+,\d+)\s*$"),
        lambda found: f"write a decimal point: {found[1].replace(',', '.')}",
    ),
    (
        re.compile(rf"{_IN_TEXT}[=,\[]\s*(True|False|TRUE|FALSE|Yes|No|yes|no|on|off)\b\s*(?:$|[,\]}}])"),
        lambda found: f"write {'true' if found[1].lower() in ('true', 'yes', 'on') else 'false'}, in small letters",
    ),
    (
        re.compile(rf"{_IN_TEXT}[=,\[]\s*(None|null|nil|NULL)\b"),
        _text("there is no such value; leave the key out"),
    ),
    (
        re.compile(r"^\s*(//|;|--|/\*)"),
        _text("a comment begins with #"),
    ),
    (
        re.compile(r"^[^=#]*=\s*(\{(?:[^{}\"']|\"[^\"]*\"|'[^']*')*)$"),
        _text("a table in { } stands on one line; write it on one line, up to its }"),
    ),
    (
        re.compile(r"^\s*(\[\[[^\[\]]*\](?!\]))|^\s*(?!\[\[)(\[[^\[\]]*\]\])"),
        _text("a header has as many brackets on both sides: [[fit]] or [write]"),
    ),
    (
        re.compile(r"^[^=#]*=\s*(\"(?:[^\"\\]|\\.)*|'[^']*)$"),
        _text("the quotes of this text are not closed on this line"),
    ),
    (
        re.compile(r"^\s*(\w[\w\-]*(?:[ .]+[^\s=\"'\[\]]+)+)\s*=|^\s*([^\s=\"'\[\]#]*[^\x00-\x7f\s=\"'\[\]]\S*)\s*="),
        lambda found: f'a name with blanks or accents needs quotes: "{found[1] or found[2]}" = …',
    ),
    (
        re.compile(r"^[^=#]*[^=#\s<>!]\s*(:)\s*\S"),
        _text("between a key and its value stands =, not a colon"),
    ),
    (
        re.compile(rf"{_IN_TEXT}=\s*([A-Za-z_@][^\s,\]}}]*)"),
        lambda found: f'a text needs quotes: "{found[1]}"',
    ),
    (
        re.compile(rf"{_IN_TEXT}=\s*(\d+\s*[smhdw])\s*(?:$|[,\]}}])"),
        lambda found: f'a length of time needs quotes: "{found[1]}"',
    ),
    (
        re.compile(rf"{_IN_TEXT}(,)\s*\}}"),
        _text("a table in { } has no comma behind its last key"),
    ),
    (
        re.compile(r"^[^=#]*=\s*(\"[^\"]*\"[^\s,#\]}\"=][^\"=]*\")"),
        _text("write a text with quotes in it in single quotes: '…'"),
    ),
    (
        re.compile(rf"{_IN_TEXT}(;)\s*$"),
        _text("a line ends without a semicolon"),
    ),
    (
        re.compile(r"^\s*([A-Za-z_][\w\-]*)\s*$"),
        lambda found: f"a value is missing; write {found[1]} = …",
    ),
    (
        re.compile(r"^[^=#]*=()\s*$"),
        _text("the value after = is missing"),
    ),
)
"""Patterns of a line without its comment, whose group is the place, and what to say; the first one that fits."""


def _without_comment(line: str) -> str:
    found = re.match(r"(?:[^\"'#]|\"(?:[^\"\\]|\\.)*\"|'[^']*')*", line)
    code = found[0] if found else line
    # An open text may hold the rest of the line.
    return code if line[len(code) :].startswith("#") or len(code) == len(line) else line


def _find_twice(text: str, place: Place) -> str:
    """What to say where a table or key is there twice; `""` where none is."""
    if (many := re.match(r"\s*\[\[\s*([\w\-]+)\s*\]\]", place.text)) and (once := _line_of_single(text, many[1])):
        return f"line {once} has [{many[1]}] with one bracket; write [[{many[1]}]] there, too"
    for first, second, loc in _repeated(text):
        name, header = str(loc[-1]), text.splitlines()[second - 1].lstrip().startswith("[")
        if second <= place.line:
            if header and loc[0] in ARRAYS and len([each for each in loc if isinstance(each, str)]) == 1:
                name = str(loc[0])
                return f"there is a [{name}] on line {first} already; write [[{name}]] with two brackets, each time"
            if header:
                return f"the table [{'.'.join(map(str, loc))}] is on line {first} already; write all of it there"
            return f"the key {name!r} is on line {first} already; remove one of them"
    return ""


def _line_of_single(text: str, name: str) -> int | None:
    """The line whose header has one bracket around a name."""
    header = re.compile(rf"\s*\[\s*{re.escape(name)}\s*\]")
    return next((at for at, line in enumerate(text.split("\n"), start=1) if header.match(line)), None)


def _repeated(text: str) -> Iterator[tuple[int, int, Loc]]:
    seen: dict[Loc, int] = {}
    for number, loc in find_places(text):
        if loc in seen:
            yield seen[loc], number, loc
        seen.setdefault(loc, number)
