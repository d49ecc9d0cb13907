"""Mistakes in a config, as sentences for the admin who wrote it: where each one is, and what to write instead."""

from __future__ import annotations

import difflib
import re
import tomllib
import types
from collections.abc import Iterable, Iterator, Mapping
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
    """What is wrong in several places, for validators to raise; between tables the sentences name the place."""

    def __init__(self, found: Iterable[Mistake], *, itself: bool = True) -> None:
        self.found = [each._replace(itself=itself) for each in found]
        super().__init__("\n".join(each.said for each in self.found))


def raise_mistakes(found: Iterable[Mistake], *, itself: bool = True) -> None:
    """Raise `MistakesError` where there are any."""
    if mistakes := list(found):
        raise MistakesError(mistakes, itself=itself)


WRITE_DATE = "write a date, for example 2026-11-21"

WRITE_TIME = "write the time with its time zone, for example 2026-11-21T12:00:00Z"

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
    "list_type": 'write a list in brackets, each entry in quotes, for example ["…", "…"]',
    "too_short": "the list is empty; add at least one",
    "dict_type": "write a table, for example { … }",
    "model_type": "write a table, for example { … }",
    "model_attributes_type": "write a table, for example { … }",
    **dict.fromkeys(("date_type", "date_from_datetime_parsing", "date_from_datetime_inexact"), WRITE_DATE),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), WRITE_TIME),
    "tuple_type": "write two numbers in brackets, for example [50, 200]",
}


def suggest_name(wrong: str, known: Iterable[str], otherwise: str) -> str:
    """The name that was likely meant, as a question; `otherwise` where none comes near."""
    names = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(wrong.strip().casefold(), names, n=1, cutoff=0.6)
    return f"did you mean {names[near[0]]!r}?" if near else otherwise


SYNONYMS = {
    **dict.fromkeys(("equals", "equal", "eq", "value", "values", "matches_exactly"), "is"),
    **dict.fromkeys(("one_of", "any_of", "oneof"), "in"),
    **dict.fromkeys(("includes", "like", "contain"), "contains"),
    **dict.fromkeys(("not_contains", "excluding"), "excludes"),
    **dict.fromkeys(("greater_than", "more_than", "over", "above"), "gt"),
    **dict.fromkeys(("min", "minimum", "from", "at_least_number"), "gte"),
    **dict.fromkeys(("less_than", "under", "below"), "lt"),
    **dict.fromkeys(("max", "maximum", "to", "up_to"), "lte"),
    **dict.fromkeys(("range",), "between"),
    **dict.fromkeys(("known", "present", "is_known", "not_empty"), "exists"),
    **dict.fromkeys(("unknown", "empty", "is_empty", "is_unknown"), "missing"),
    **dict.fromkeys(("matches", "pattern", "regexp"), "regex"),
    **dict.fromkeys(("newer_than", "in_last", "within_last", "last"), "within"),
    **dict.fromkeys(("in_next", "next"), "within_next"),
    **dict.fromkeys(("earlier_than", "until"), "before"),
    "later_than": "after",
    **dict.fromkeys(("score", "weight", "value_points"), "points"),
    **dict.fromkeys(("title", "label"), "name"),
    **dict.fromkeys(("condition", "if", "where", "filter"), "when"),
    **dict.fromkeys(("and", "all_of"), "all"),
    "or": "any",
    "pool": "to",
    **dict.fromkeys(("event", "activity", "type", "kind", "activities"), "on"),
}
"""Words that people write for a key, where it exists and theirs does not."""

_NEGATED = {
    **dict.fromkeys(("is_not", "not_is", "isnt", "not_equal", "not_equals", "ne", "neq"), "is"),
    **dict.fromkeys(("not_in", "in_not", "none_of"), "in"),
}
"""Words for the contrary of a key, which has none of its own."""

MOST_KEYS = 36
"""So many keys of a table are listed at most where somebody wrote another one."""


def find_mistakes(errors: Iterable[ErrorDetails], model: type[BaseModel]) -> list[Mistake]:
    """The errors of pydantic in plain words, those about alternatives of one value as one."""
    found: dict[Loc, list[str]] = {}
    placed: list[Mistake] = []
    renamed: set[Loc] = set()
    for each in errors:
        loc = _without_alternatives(each["loc"], model)
        error = each.get("ctx", {}).get("error")
        if isinstance(error, MistakesError):
            placed += [one._replace(loc=(*loc, *one.loc)) for one in error.found]
            continue
        said = _words(each, loc, model)
        if each["type"] == "extra_forbidden" and (meant := _find_meant(loc, model)):
            renamed.add((*loc[:-1], meant))
        if said not in found.setdefault(loc, []):
            found[loc].append(said)
    alternatives = {_PLAIN["string_type"], _PLAIN["dict_type"]}
    for place, words in found.items():
        # What may be a list of texts, too, is mostly one text or a table.
        if {_PLAIN["string_type"], _PLAIN["list_type"]} <= set(words):
            words.remove(_PLAIN["list_type"])
        # What is wrong inside of a value says which alternative was meant.
        if set(words) <= alternatives and any(place == each[: len(place)] != each for each in found):
            words.clear()
    return placed + [
        Mistake(loc, each)
        for loc, said in found.items()
        # One typo is one mistake: the key that was meant is not missing besides.
        if not (loc in renamed and said == [_PLAIN["missing"]])
        for each in ([" or ".join(sorted(said))] if said and alternatives >= set(said) else said)
    ]


def _words(error: ErrorDetails, loc: Loc, model: type[BaseModel]) -> str:
    kind, said = error["type"], error["msg"]
    if kind == "extra_forbidden":
        if (asked := _NEGATED.get(str(loc[-1]))) and asked in _keys(_annotation(model, loc[:-1])):
            return f'this key does not exist; write not = {{ field = "…", {asked} = … }}'
        if meant := _find_meant(loc, model):
            return f"this key does not exist; did you mean {meant!r}?"
        if home := _find_home(loc, model):
            return f"this key belongs {home}"
        keys = _keys(_annotation(model, loc[:-1]))
        listed = f"; the keys here are {', '.join(keys)}" if 0 < len(keys) <= MOST_KEYS and len(loc) > 1 else ""
        return f"this key does not exist{listed}"
    if kind in _SHARE and _is_share(model, loc):
        return "write a part of 1: 0.2 is 20 %"
    if kind in ("list_type", "too_short") and len(loc) == 1 and loc[0] in model.model_fields:
        info = model.model_fields[str(loc[0])]
        if kind == "list_type" and _holds_tables(info.annotation):
            return f"write the header with two brackets, once for each: [[{loc[0]}]]"
    if kind == "value_error":
        return said.removeprefix("Value error, ")
    return _PLAIN.get(kind) or said.replace("Input should be", "it should be").replace("String should", "it should")


_SHARE = ("float_type", "float_parsing", "less_than_equal", "greater_than_equal")


def _find_meant(loc: Loc, model: type[BaseModel]) -> str:
    """The key of the same table that was likely meant; `""` where none comes near."""
    keys, wrong = _keys(_annotation(model, loc[:-1])), str(loc[-1])
    near = difflib.get_close_matches(wrong, keys, n=1, cutoff=0.6)
    if wrong.lower() in SYNONYMS and SYNONYMS[wrong.lower()] in keys:
        return SYNONYMS[wrong.lower()]
    return near[0] if near else ""


def _find_home(loc: Loc, model: type[BaseModel]) -> str:
    """Where a key belongs that stands below a header it is nothing of; `""` where that is not sure.

    Whoever adds a key at the end of the file adds it to the last table.
    """
    if len(loc) < 2:
        return ""
    homes = [name for name, info in model.model_fields.items() if loc[-1] in _own_keys(info.annotation)]
    if len(homes) == 1 and homes[0] != loc[0]:
        return f"below [{homes[0]}]; below a header stands what is its own"
    is_plain = loc[-1] in model.model_fields and not _keys(model.model_fields[str(loc[-1])].annotation)
    return "at the top of the file, before the first header" if is_plain and not homes else ""


def _own_keys(annotation: Any) -> list[str]:
    """The keys of a table that the file has once."""
    return [] if get_origin(annotation) in (list, dict) else _keys(annotation)


def _is_share(model: type[BaseModel], loc: Loc) -> bool:
    """Whether what stands there is a share, which is at most 1."""
    for each in split_type(_annotation(model, loc[:-1])):
        if isinstance(each, type) and issubclass(each, BaseModel):
            info = next((info for name, info in each.model_fields.items() if (info.alias or name) == loc[-1]), None)
            if info is not None and any(getattr(limit, "le", None) == 1 for limit in info.metadata):
                return True
    return False


def _holds_tables(annotation: Any) -> bool:
    """Whether this is a list of tables."""
    inner = get_args(annotation)[0] if get_origin(annotation) is list else None
    return isinstance(inner, type) and issubclass(inner, BaseModel)


def _annotation(model: type[BaseModel], loc: Loc) -> Any:
    """The type of what stands at `loc`, or `None` where the path leads nowhere."""
    at: Any = model
    for part in loc:
        at = next((found for each in split_type(at) if (found := _within(each, part)) is not None), None)
    return at


def split_type(annotation: Any) -> list[Any]:
    """The types that a value may have: the parts of a union, without what annotates them."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [each for part in get_args(annotation) for each in split_type(part)]
    if hasattr(annotation, "__metadata__"):
        return split_type(annotation.__origin__)
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
    models = [each for each in split_type(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
    return [info.alias or name for each in models for name, info in each.model_fields.items()]


_VALIDATOR = r"^function-|^\[key\]$"
"""What pydantic puts into a path for a validator, and for the key of a table itself."""

_ALTERNATIVE = r"^(str|int|float|bool)$|[\[\]()]"
"""What pydantic puts into a path to say which part of a union it speaks of."""


def _without_alternatives(loc: Loc, model: type[BaseModel]) -> Loc:
    """The path without the parts by which pydantic tells the alternatives of a union and validators apart."""
    kept: Loc = ()
    for part in loc:
        several = len(split_type(_annotation(model, kept))) > 1
        if not (re.search(_VALIDATOR, str(part)) or (several and re.search(_ALTERNATIVE, str(part)))):
            kept = (*kept, part)
    return kept


def describe_mistakes(found: Iterable[Mistake], path: str, text: str, elsewhere: Mapping[Loc, str]) -> list[str]:
    """Each mistake with the line of the file it is on, in the order of the lines; `elsewhere` names other origins."""
    placed = [(_line_of(text, each.loc) or 0, each) for each in found]
    given = tomllib.loads(text)
    return [
        f"{_where(path, line, elsewhere.get(each.loc))}: {'' if each.itself else _spelled(each.loc, given)}{each.said}"
        for line, each in sorted(placed, key=lambda pair: pair[0])
    ]


def _where(path: str, line: int, origin: str | None) -> str:
    return origin or (f"{path}, line {line}" if line else path)


def _spelled(loc: Loc, given: Any) -> str:
    """A place in words: a row of a list of tables by its name, or else by its number."""
    words: list[str] = []
    for part in loc:
        given = _element(given, part)
        if not isinstance(part, int):
            words.append(part)
        elif isinstance(given, Mapping) and isinstance(given.get("name"), str) and given["name"].strip():
            words[-1] = f'{words[-1]} "{given["name"]}"'
        else:
            words.append(f"no. {part + 1}")
    return " → ".join(words) + ": " if words else ""


def _element(given: Any, part: str | int) -> Any:
    """What stands at a key or number of a part of the file; `None` where nothing does."""
    if isinstance(part, int):
        return given[part] if isinstance(given, list) and part < len(given) else None
    return given.get(part) if isinstance(given, Mapping) else None


_QUOTED = r"\"[^\"]*\"|'[^']*'"
"""A quoted part of a key, which may have blanks and dots in it."""


def _line_of(text: str, loc: Loc) -> int | None:
    """The line (from 1) where the table or key that `loc` names begins; the nearest one above where it is absent."""
    best, depth, inside = None, 0, None
    for number, here in find_places(text):
        if len(here) > depth and loc[: len(here)] == here:
            best, depth = number, len(here)
        elif inside is None and loc and here[: len(loc)] == loc:
            inside = number  # a table that only its parts begin
    return best or inside


def find_places(text: str) -> Iterator[tuple[int, Loc]]:
    """Every line of TOML that begins a table or a key, and which."""
    table: Loc = ()
    elements: dict[Loc, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):  # TOML has no other ends of a line
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
