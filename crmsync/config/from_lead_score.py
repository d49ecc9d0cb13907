"""The text of a first config that scores as a lead score of a CRM does, and says what it could not take over."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from crmsync.config.deciding import DECIDED_FIELDS, Spelling
from crmsync.config.patch import NewRule, write_key, write_rule, write_value
from crmsync.config.starter.description import Starter
from crmsync.config.starter.text import BAND, write_starter
from crmsync.connector import ImportedRule, LeadScore, NotImported

QUARTERS = (("cold", 0.0), ("warm", 0.25), ("hot", 0.5), (BAND, 0.75))
"""Bands of a score without levels of its own: where they begin, as parts of the highest score."""

WITHOUT_LIMIT = 100.0
"""What stands for the highest score of one that has no limit."""

MODEL = "# the model\n"
"""Stands for the model while the rest is written, so that nothing a CRM calls something is taken for our own text."""


def write_from_score(start: Starter, score: LeadScore, crm: str, most: float = math.inf) -> str:
    """A small or standard config with the fields, rules, limits and bands of a lead score of `crm`.

    `most` (above 0) is what its rules give at the most: no band begins above that.
    """
    named = name_fields(score, start.fields, crm)
    fields = {name: _map_field(name, spelled, start, crm) for spelled, name in named.items() if name != "email"}
    rest = write_starter(replace(start, fields=fields), MODEL)
    highest = list(list_bands(score, most))[-1][0]
    top = write_value(highest)
    rest = rest.replace(f"people in the band {BAND} move", f"people in the band {highest} move")
    rest = rest.replace(f'band = "{BAND}"\n', f"band = {top}\n")
    rest = rest.replace(f'field = "band", is = "{BAND}"', f'field = "band", is = {top}')
    return rest.replace(MODEL, "\n".join(_write_model(score, named, crm, most)) + "\n")


# Fields


def name_fields(score: LeadScore, known: Mapping[str, Mapping[str, Spelling]], crm: str) -> dict[str, str]:
    """The config's name of each field that the rules read, by how the CRM spells it; those in comments, too."""
    usual = {spelled[crm]: name for name, spelled in known.items() if isinstance(spelled.get(crm), str)}
    named: dict[str, str] = {}
    rules = [*score.rules, *(each.rule for each in score.not_imported if each.rule is not None)]
    for spelled in dict.fromkeys(name for each in rules for name in _fields_in(each.rule.get("when"))):
        name = "email" if spelled == "email" else usual.get(spelled) or _plain_name(spelled)
        while name in named.values() or (name in DECIDED_FIELDS and name != spelled):
            name = f"{crm}_{name}"
        named[spelled] = f"{crm}_{name}" if name in DECIDED_FIELDS and name != "email" else name
    return named


def _plain_name(spelled: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", spelled.lower()).strip("_") or "field"


def _fields_in(condition: Any) -> Iterator[str]:
    """Every field that a condition names."""
    if isinstance(condition, Mapping):
        yield from filter(None, [condition.get("field")])
        for part in (*condition.get("all", ()), *condition.get("any", ()), condition.get("not")):
            yield from _fields_in(part)


def _map_field(name: str, spelled: str, start: Starter, crm: str) -> Mapping[str, Spelling]:
    """Where each CRM keeps a field; of others that is known for the usual ones alone."""
    usual = start.fields.get(name, {})
    return usual if usual.get(crm) == spelled else {crm: spelled}


def _rename_fields(condition: Any, named: Mapping[str, str]) -> Any:
    if isinstance(condition, Mapping):
        return {
            key: named[value] if key == "field" else _rename_fields(value, named) if key in JOINED else value
            for key, value in condition.items()
        }
    return [_rename_fields(each, named) for each in condition]


JOINED = ("all", "any", "not")


# The model


def list_bands(score: LeadScore, most: float) -> Iterator[tuple[str, dict[str, float]]]:
    """The bands, lowest first; the first one takes whoever reaches no other."""
    highest = min(score.limits.get("total", {}).get("cap", WITHOUT_LIMIT), most)
    levels = reachable_levels(score, most) or [(name, round(highest * part, 2)) for name, part in QUARTERS]
    for place, (name, at) in enumerate(levels):
        yield name, {"at": at} if place else {}


def reachable_levels(score: LeadScore, most: float) -> list[tuple[str, float]]:
    """The levels of the score that somebody can reach; none where that is only the lowest one."""
    levels = [each for place, each in enumerate(score.levels) if not place or each[1] <= most]
    return levels if len(levels) > 1 else []


def _write_model(score: LeadScore, named: Mapping[str, str], crm: str, most: float) -> Iterator[str]:
    counted = count_rules(len(score.rules), len(score.not_imported))
    yield f"# From the lead score {_on_one_line(score.name)!r} (id {score.id}): {counted}."
    yield from (f"# {_on_one_line(each)}." for each in score.notes)
    yield from ("", "[schedule]", f"timezone = {write_value(score.timezone)}   # days end when they do in the CRM", "")
    yield "[values]"
    yield 'missing = []              # in the CRM a text like "N/A" is a value like any other\n'
    if score.field:
        yield "[compare]                 # `crmsync plan` compares this score with ours, person by person"
        yield f"score = {write_value({crm: score.field})}\n"
    if score.excluded_lists:
        yield "[exclude]                 # who is on one of these lists has no score there either"
        yield f"lists = {write_value(list(score.excluded_lists))}\n"
    yield from _write_bands(score, most)
    yield from _write_limits(score)
    yield from _write_rules(score.rules, "fit", named, "Fit: who somebody is.")
    yield from _write_rules(score.rules, "behavior", named, "Behavior: what somebody did.")
    yield from _write_not_imported(score.not_imported, named)


def count_rules(taken: int, left: int) -> str:
    """How many rules were taken over, and how many were not."""
    return f"{taken} {'rule' if taken == 1 else 'rules'} taken over, {left} not"


def _write_bands(score: LeadScore, most: float) -> Iterator[str]:
    levels = reachable_levels(score, most)
    said = "the levels of the score, each from its points on" if levels else NO_LEVELS
    yield f"[bands]                   # {said}"
    yield from (f"{write_key(name)} = {write_value(band)}" for name, band in list_bands(score, most))
    for name, at in (each for each in score.levels if each not in levels):
        yield f"# {write_key(name)} = {write_value({'at': at})}   # the rules here give at most {most:,.15g} points"
    yield ""
    for table, cells in (("grades", score.grades), ("grid", score.grid)):
        if cells:
            yield f"[{table}]"
            yield from (f"{write_key(name)} = {write_value(at)}" for name, at in cells)
            yield ""


NO_LEVELS = "the score has no levels to use: these are quarters of the most it can be; choose your own"


def _write_limits(score: LeadScore) -> Iterator[str]:
    if score.limits:
        yield "[score]                   # the limits of the score; there, they reach as far below 0 as above"
        yield from (f"{axis} = {write_value(dict(limit))}" for axis, limit in score.limits.items())
        yield ""
    if score.groups:
        yield "[groups]                  # all rules of a group together give at most and at least this"
        yield from (f"{write_key(name)} = {write_value(dict(limit))}" for name, limit in score.groups.items())
        yield ""


def _write_rules(rules: Sequence[ImportedRule], table: str, named: Mapping[str, str], said: str) -> Iterator[str]:
    wanted = [each for each in rules if each.table == table]
    if wanted:
        yield f"# {said}"
    for each in wanted:
        if each.difference:
            yield f"# May differ: {_on_one_line(each.difference)}."
        yield from (*_write_rule(each, named), "")


def _write_rule(rule: ImportedRule, named: Mapping[str, str]) -> list[str]:
    renamed = {key: _rename_fields(value, named) if key == "when" else value for key, value in rule.rule.items()}
    return write_rule(NewRule(rule.table, renamed, ""))


def _write_not_imported(rules: Sequence[NotImported], named: Mapping[str, str]) -> Iterator[str]:
    if rules:
        yield "# Not taken over, with the reason; a rule below a reason is what comes nearest."
    for each in rules:
        yield f"# - {_on_one_line(each.name)}: {_on_one_line(each.reason)}. What to do: {_on_one_line(each.remedy)}."
        if each.rule is not None:
            kept = {key: value for key, value in each.rule.rule.items() if key != "group"}
            yield from (f"# {line}" for line in _write_rule(each.rule._replace(rule=kept), named))
        yield ""


def _on_one_line(text: str) -> str:
    """What can stand in a comment."""
    return re.sub(r"[\x00-\x20\x7f\u0085\u2028\u2029\ud800-\udfff]+", " ", text).strip().rstrip(".")
