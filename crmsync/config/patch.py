"""Edits of the config's text: a few numbers and some more rules, with every comment kept."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from crmsync.config.mistakes import Loc, find_places
from crmsync.errors import ConfigError

MARK = "# learned: "
"""How the comment on a line that was edited begins."""


class NumberEdit(NamedTuple):
    """A number that changes: where it stands, what it becomes, and a comment for the line."""

    loc: Loc
    value: float
    said: str


class TableEdit(NamedTuple):
    """Texts and tables that keys of a table become. A table that is not there is added at the end."""

    name: str
    values: Mapping[str, Any]


class NewRule(NamedTuple):
    """A rule that is added to a table (`fit`, `learned.adjustment`), with a comment for the line of its points."""

    table: str
    rule: Mapping[str, Any]
    said: str


class ConfigPatch(NamedTuple):
    """Everything that changes in the text of a config."""

    edits: Sequence[NumberEdit]
    rules: Sequence[NewRule] = ()
    tables: Sequence[TableEdit] = ()
    removed: Sequence[str] = ()
    """Tables all of whose rows go."""


def edit_config(text: str, patch: ConfigPatch) -> str:
    """The text with these edits, the rules after the last one of their table, and new tables at the end.

    Raises `ConfigError` where a value is written in a way that cannot be edited line by line.
    """
    lines = text.removesuffix("\n").split("\n")
    places = _places(lines)
    for edit in patch.edits:
        _edit_line(lines, places, edit)
    for removed in patch.removed:
        _remove_rows(lines, removed)
    for each in patch.tables:
        _edit_table(lines, each)
    for table in dict.fromkeys(each.table for each in patch.rules):
        written = [line for each in patch.rules if each.table == table for line in ("", *write_rule(each))]
        end = _end_of_table(lines, _places(lines), table)
        lines[end:end] = written
    edited = "\n".join(lines) + "\n"
    try:
        is_so = tomllib.loads(edited) == _expected(tomllib.loads(text), patch)
    except (tomllib.TOMLDecodeError, KeyError):
        is_so = False
    if not is_so:
        raise ConfigError(
            "the config cannot be edited line by line; write each rule as a table of its own, [[fit]], with points on "
            "a line of its own, and the bands in [bands]"
        )
    return edited


def show_edited(text: str, patch: ConfigPatch) -> str:
    """Only the tables of an edited text that have an edit or are new: for pasting."""
    names = {each.rule["name"] for each in patch.rules}
    changed = {each.loc[:2] if isinstance(each.loc[1], int) else each.loc[:1] for each in patch.edits}
    changed |= {(each.name,) for each in patch.tables}
    lines = text.removesuffix("\n").split("\n")
    headers = _headers(lines, _places(lines))
    given = tomllib.loads(text)
    shown = []
    for (start, loc), end in zip(headers, [*(each[0] for each in headers[1:]), len(lines)], strict=True):
        is_new = isinstance(loc[-1], int) and _value_at(given, loc).get("name") in names
        if is_new or any(loc[: len(each)] == each for each in changed):
            shown.append("\n".join(lines[start : _last_line(lines, start, end)]))
    return "\n\n".join(shown) + "\n" if shown else ""


def write_rule(new: NewRule) -> list[str]:
    """The lines of a rule."""
    return [
        f"[[{new.table}]]",
        *(
            f"{key} = {write_value(value)}" + (f"   {MARK}{new.said}" if key == "points" and new.said else "")
            for key, value in new.rule.items()
        ),
    ]


def write_value(value: Any) -> str:
    """A value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return write_number(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, Mapping) and not value:
        return "{}"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{write_key(str(key))} = {write_value(each)}" for key, each in value.items()) + " }"
    return "[" + ", ".join(write_value(each) for each in value) + "]"


def write_number(value: float) -> str:
    """A number as short as it can be: 25, -7.5."""
    return str(int(value)) if value == int(value) else repr(float(value))


def write_key(name: str) -> str:
    """A key as TOML: `half_life`, `"not a fit"`."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


_NUMBER = r"[-+]?[0-9][0-9_]*(?:\.[0-9_]+)?(?:[eE][-+]?[0-9]+)?"


def _edit_line(lines: list[str], places: Iterable[tuple[int, Loc]], edit: NumberEdit) -> None:
    """Replace the number on its own line, or inside the table that is written on one line."""
    at = {loc: number for number, loc in places}
    key = re.escape(str(edit.loc[-1]))
    if edit.loc in at:
        number, pattern = at[edit.loc], rf"^(.*?=\s*)({_NUMBER})"
    elif edit.loc[:-1] in at:
        number = at[edit.loc[:-1]]
        pattern = rf"^(.*?[{{,]\s*{key}\s*=\s*)({_NUMBER})"
        if edit.loc[-1] == "at" and "{" not in lines[number].partition("#")[0]:
            pattern = rf"^(.*?=\s*)({_NUMBER})"
    else:
        return
    line = re.sub(rf"\s*{re.escape(MARK)}.*$", "", lines[number]) if edit.said else lines[number]
    line = re.sub(pattern, lambda found: found[1] + write_number(edit.value), line, count=1)
    lines[number] = f"{line}   {MARK}{edit.said}" if edit.said else line


def _places(lines: Sequence[str]) -> list[tuple[int, Loc]]:
    return [(number - 1, loc) for number, loc in find_places("\n".join(lines))]


def _headers(lines: Sequence[str], places: Iterable[tuple[int, Loc]]) -> list[tuple[int, Loc]]:
    return [(number, loc) for number, loc in places if re.match(r"\s*\[", lines[number])]


def _value_at(given: Any, loc: Loc) -> Any:
    for part in loc:
        given = given[part]
    return given


def _edit_table(lines: list[str], edit: TableEdit) -> None:
    """Replace the value of each key on its own line; what is not there comes first in its table."""
    places = _places(lines)
    header = next((number for number, loc in _headers(lines, places) if loc == (edit.name,)), None)
    written = {key: f"{key} = {write_value(value)}" for key, value in edit.values.items()}
    if header is None:
        lines += ["", f"[{edit.name}]", *written.values()]
        return
    at = {loc[-1]: number for number, loc in places if loc[:-1] == (edit.name,) and number > header}
    for key in (each for each in written if each in at):
        rest = re.match(r"""[^=]*=\s*(?:"[^"]*"|'[^']*')(\s*(?:#.*)?)$""", lines[at[key]])
        lines[at[key]] = written[key] + (rest[1] if rest else "")
    lines[header + 1 : header + 1] = [line for key, line in written.items() if key not in at]


def _remove_rows(lines: list[str], table: str) -> None:
    """Remove the rows of a table; comments before the next one stay."""
    path = tuple(table.split("."))
    headers = _headers(lines, _places(lines))
    end = len(lines)
    for start, loc in reversed(headers):
        if loc[: len(path)] == path:
            last = _last_line(lines, start, end)
            # With the blank line after it, so that none is left over.
            del lines[start : last + (last < end and not lines[last].strip())]
        end = start


def _end_of_table(lines: Sequence[str], places: Sequence[tuple[int, Loc]], table: str) -> int:
    """The line after the last row of a table, or after everything."""
    headers = _headers(lines, places)
    own = [place for place, (_number, loc) in enumerate(headers) if loc[0] == table.partition(".")[0]]
    if not own:
        return len(lines)
    last = own[-1]
    end = headers[last + 1][0] if last + 1 < len(headers) else len(lines)
    return _last_line(lines, headers[last][0], end)


def _last_line(lines: Sequence[str], start: int, end: int) -> int:
    """The end of a table without the blank lines and comments before the next one."""
    while end > start + 1 and re.match(r"\s*(#|$)", lines[end - 1]):
        end -= 1
    return end


def _expected(given: dict[str, Any], patch: ConfigPatch) -> dict[str, Any]:
    wanted = copy.deepcopy(given)
    for edit in patch.edits:
        above: Any = wanted
        for part in edit.loc[:-2]:
            above = above[part]
        table = above[edit.loc[-2]]
        if isinstance(table, dict):
            table[edit.loc[-1]] = edit.value
        else:
            above[edit.loc[-2]] = edit.value
    for removed in patch.removed:
        *tables, name = removed.split(".")
        _value_at(wanted, tuple(tables)).pop(name, None)
    for added in patch.tables:
        wanted.setdefault(added.name, {}).update(copy.deepcopy(dict(added.values)))
    for each in patch.rules:
        *tables, name = each.table.split(".")
        _value_at(wanted, tuple(tables)).setdefault(name, []).append(copy.deepcopy(dict(each.rule)))
    return wanted
