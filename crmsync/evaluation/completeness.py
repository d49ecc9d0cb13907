"""How much is known of the people who are judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from crmsync.evaluation.cases import JudgedCases
from crmsync.evaluation.proportions import divide_counts


class Coverage(NamedTuple):
    """Of `people` so many were `scored`; `reasons` says why others were not, `no_rule` whom no rule gave points."""

    people: int
    scored: int
    rate: float | None
    reasons: dict[str, int]
    no_rule: int


def measure_coverage(judged: JudgedCases, skipped: Mapping[str, int]) -> Coverage:
    """The coverage; `skipped` are those without a score, by reason."""
    people = len(judged) + sum(skipped.values())
    nobody = len(judged) - int(judged.points.any(axis=1).sum())
    return Coverage(people, len(judged), divide_counts(len(judged), people), dict(skipped), nobody)


class Completeness(NamedTuple):
    """The share of people of whom each field is known, the least known first, and the mean of them."""

    overall: float | None
    fields: dict[str, float]


def measure_completeness(judged: JudgedCases) -> Completeness:
    """The completeness of the fields that rules read."""
    if not len(judged):
        return Completeness(None, {})
    asked = list_rule_fields(judged)
    shares = dict(zip(judged.fields, judged.known.mean(axis=0).tolist(), strict=True))
    known = dict(sorted(((name, shares[name]) for name in asked), key=lambda each: (each[1], each[0])))
    return Completeness(sum(known.values()) / len(known) if known else None, known)


def list_rule_fields(judged: JudgedCases) -> list[str]:
    """The fields that rules read, without those that are empty unless somebody chooses a value."""
    read = judged.model.used_fields() - judged.model.chosen_fields()
    return [name for name in judged.fields if name in read]
