"""Mistakes in a config, as sentences for the admin who wrote it: where each one is, and what to write instead."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

Loc = tuple[str | int, ...]


class Mistake(NamedTuple):
    """A mistake: where in the config (table, key, …), and the sentence about it, which may name the place `itself`."""

    loc: Loc
    said: str
    itself: bool = False


class MistakesError(ValueError):
    """What is wrong between several tables, each with its place: for validators to raise."""

    def __init__(self, found: Iterable[Mistake]) -> None:
        self.found = [each._replace(itself=True) for each in found]
        super().__init__("\n".join(each.said for each in self.found))


def raise_mistakes(found: Iterable[Mistake]) -> None:
    """Raise `MistakesError` where there are any."""
    if mistakes := list(found):
        raise MistakesError(mistakes)


_PLAIN = {
    "missing": "this key is missing",
    "string_type": 'write a text in quotes, for example "…"',
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "list_type": "write a list, for example [ … ]",
    "too_short": "the list is empty; add at least one",
    "dict_type": "write a table, for example { … }",
    "model_type": "write a table, for example { … }",
    "model_attributes_type": "write a table, for example { … }",
    "date_from_datetime_parsing": "write a date, for example 2026-11-21",
}


def find_mistakes(errors: Iterable[ErrorDetails], model: type[BaseModel]) -> list[Mistake]:
    """The errors of pydantic in plain words, those about alternatives of one value as one."""
    found: dict[Loc, list[str]] = {}
    placed: list[Mistake] = []
    for each in errors:
        loc = _without_alternatives(each["loc"], model)
        error = each.get("ctx", {}).get("error")
        if isinstance(error, MistakesError):
            placed += [one._replace(loc=(*loc, *one.loc)) for one in error.found]
            continue
        said = _words(each, loc, model)
        if said not in found.setdefault(loc, []):
            found[loc].append(said)
    alternatives = {_PLAIN["string_type"], _PLAIN["dict_type"]}
    return placed + [
        Mistake(loc, each)
        for loc, said in found.items()
        for each in ([" or ".join(sorted(said))] if alternatives >= set(said) else said)
    ]


def _words(error: ErrorDetails, loc: Loc, model: type[BaseModel]) -> str:
    kind, said = error["type"], error["msg"]
    if kind == "extra_forbidden":
        return "this key does not exist" + _perhaps(str(loc[-1]), _keys(_annotation(model, loc[:-1])))
    if kind == "value_error":
        return said.removeprefix("Value error, ")
    return _PLAIN.get(kind) or said.replace("Input should be", "it should be").replace("String should", "it should")


def _perhaps(wrong: str, keys: Sequence[str]) -> str:
    near = difflib.get_close_matches(wrong, keys, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _annotation(model: type[BaseModel], loc: Loc) -> Any:
    """The type of what stands at `loc`, or `None` where the path leads nowhere."""
    at: Any = model
    for part in loc:
        at = next((found for each in _members(at) if (found := _within(each, part)) is not None), None)
    return at


def _members(annotation: Any) -> list[Any]:
    """The types that a value may have: the parts of a union, without what annotates them."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [each for part in get_args(annotation) for each in _members(part)]
    if hasattr(annotation, "__metadata__"):
        return _members(annotation.__origin__)
    return [annotation]


def _within(annotation: Any, part: str | int) -> Any:
    """The type of one key or element of a value of this type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {info.alias or name: info.annotation for name, info in annotation.model_fields.items()}
        return fields.get(str(part))
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    return get_args(annotation)[0] if get_origin(annotation) is list and isinstance(part, int) else None


def _keys(annotation: Any) -> list[str]:
    models = [each for each in _members(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
    return [info.alias or name for each in models for name, info in each.model_fields.items()]


_ALTERNATIVE = r"^(str|int|float|bool)$|[\[\]()]"
"""What pydantic puts into a path to say which part of a union it speaks of."""


def _without_alternatives(loc: Loc, model: type[BaseModel]) -> Loc:
    """The path without the parts by which pydantic tells the alternatives of a union and validators apart."""
    kept: Loc = ()
    for part in loc:
        several = len(_members(_annotation(model, kept))) > 1
        if not (str(part).startswith("function-") or (several and re.search(_ALTERNATIVE, str(part)))):
            kept = (*kept, part)
    return kept


def describe_mistakes(found: Iterable[Mistake], path: str, text: str, elsewhere: Mapping[Loc, str]) -> list[str]:
    """Each mistake with the line of the file it is on, in the order of the lines; `elsewhere` names other origins."""
    placed = [(_line_of(text, each.loc) or 0, each) for each in found]
    return [
        f"{_where(path, line, elsewhere.get(each.loc))}: {'' if each.itself else _spelled(each.loc)}{each.said}"
        for line, each in sorted(placed, key=lambda pair: pair[0])
    ]


def _where(path: str, line: int, origin: str | None) -> str:
    return origin or (f"{path}, line {line}" if line else path)


def _spelled(loc: Loc) -> str:
    words = [f"no. {part + 1}" if isinstance(part, int) else part for part in loc]
    return " → ".join(words) + ": " if words else ""


_QUOTED = r"\"[^\"]*\"|'[^']*'"
"""A quoted part of a key, which may have blanks and dots in it."""


def _line_of(text: str, loc: Loc) -> int | None:
    """The line (from 1) where the table or key that `loc` names begins; the nearest one above where it is absent."""
    best, depth = None, 0
    for number, here in _places(text):
        if len(here) > depth and loc[: len(here)] == here:
            best, depth = number, len(here)
    return best


def _places(text: str) -> Iterator[tuple[int, Loc]]:
    """Every line of TOML that begins a table or a key, and which."""
    table: Loc = ()
    elements: dict[Loc, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            table = _header(header[2], header[1] == "[[", elements)
            yield number, table
        elif key := re.match(rf"\s*((?:{_QUOTED}|[\w\-.])+)\s*=", line):
            yield number, (*table, *_names(key[1]))


def _header(written: str, is_element: bool, elements: dict[Loc, int]) -> Loc:
    """The path of a table header; inside an array of tables it belongs to the latest element."""
    here: Loc = ()
    names = _names(written)
    for place, name in enumerate(names, start=1):
        here = (*here, name)
        if is_element and place == len(names):
            elements[here] = elements.get(here, -1) + 1
        if here in elements:
            here = (*here, elements[here])
    return here


def _names(written: str) -> Loc:
    return tuple(part.strip().strip("\"'") for part in re.findall(rf"{_QUOTED}|[^.\"']+", written))
