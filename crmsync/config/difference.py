"""What an edit of the config file changed, table by table and rule by rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from crmsync.config.settings import AFFECTS, Config

Kind = Literal["added", "removed", "changed"]


class Difference(NamedTuple):
    """One edit: `table` as it stands in the file, `name` of the rule or key, and what it was and is, in words."""

    kind: Kind
    table: str
    name: str
    said: str


def compare_configs(before: Config, after: Config) -> list[Difference]:
    """How two configs differ in anything that a score or a plan rests on, in the order of the file's tables."""
    old, new = (each.model_dump(mode="json", by_alias=True, exclude_unset=True) for each in (before, after))
    return [
        each
        for name in Config.model_fields
        if AFFECTS[name] or (name == "account" and any(it.asks_about_account_scores() for it in (before, after)))
        for each in _compare_table(name, old.get(name), new.get(name))
    ]


def _compare_table(table: str, old: Any, new: Any) -> Iterator[Difference]:
    if old == new:
        return
    if _is_rows(old) and _is_rows(new):
        yield from _compare_rows(table, old or [], new or [])
        return
    for key in _lists_of_rows(old, new):
        was_rows, now_rows = ((each or {}).get(key) for each in (old, new))
        yield from _compare_rows(f"{table}.{key}", was_rows or [], now_rows or [])
        old, new = ({name: each for name, each in (it or {}).items() if name != key} for it in (old, new))
    was, now = _flat(old), _flat(new)
    for key in dict.fromkeys((*was, *now)):
        if key not in was:
            yield Difference("added", f"[{table}]", key, f"{key}: {now[key]}")
        elif key not in now:
            yield Difference("removed", f"[{table}]", key, f"{key}: was {was[key]}")
        elif was[key] != now[key]:
            yield Difference("changed", f"[{table}]", key, f"{key}: {was[key]} → {now[key]}")


def _lists_of_rows(*tables: Any) -> list[str]:
    """The keys of a table whose rows have names: an edit of one row is told as one."""
    return [
        *dict.fromkeys(
            key
            for each in tables
            if isinstance(each, Mapping)
            for key, rows in each.items()
            if isinstance(rows, list) and rows and all(isinstance(it, Mapping) and "name" in it for it in rows)
        )
    ]


def _is_rows(value: Any) -> bool:
    """Whether it is a list of tables with names, or nothing."""
    return value is None or (isinstance(value, list) and all(isinstance(each, Mapping) for each in value))


def _compare_rows(table: str, old: list[Any], new: list[Any]) -> Iterator[Difference]:
    was, now = ({str(each.get("name", place)): each for place, each in enumerate(rows)} for rows in (old, new))
    where = f"[[{table}]]"
    for name in dict.fromkeys((*was, *now)):
        if name not in was:
            yield Difference("added", where, name, _sum_up(_flat(now[name])))
        elif name not in now:
            yield Difference("removed", where, name, _sum_up(_flat(was[name])))
        elif was[name] != now[name]:
            rows = [each.said for each in _compare_table(table, was[name], now[name])]
            yield Difference("changed", where, name, "; ".join(rows))
    if list(was) != list(now) and sorted(was) == sorted(now):
        yield Difference("changed", where, "", f"the order: {', '.join(was)} → {', '.join(now)}")


def _sum_up(values: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {value}" for key, value in values.items() if key != "name")


def _flat(value: Any, above: str = "") -> dict[str, str]:
    """Each value with its path: `{"mql.at": "80"}`."""
    if isinstance(value, Mapping):
        return {
            path: said
            for key, each in value.items()
            for path, said in _flat(each, f"{above}.{key}" if above else str(key)).items()
        }
    return {} if value is None else {above: _show(value)}


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        named = ", ".join(f"{key} = {_show(each)}" for key, each in value.items() if key != "email")
        email = str(value.get("email", ""))
        return f"{email} ({named})" if email and named else email or f"{{ {named} }}"
    if isinstance(value, list):
        return ", ".join(map(_show, value)) or "none"
    return (
        f"{value:,.15g}" if isinstance(value, float) else str(value).lower() if value in (True, False) else str(value)
    )
