"""Conditions on a plan under which a pipeline should stop: `mql > +20%`, `stage:mql < 10`, `changes > 500`."""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import NamedTuple

from crmsync.counts import count_of
from crmsync.errors import ConfigError

COUNTED = ("changes", "owners", "people")
"""What can be asked for besides bands and stages: records to update, people who get another owner, people changed."""

STAGE = "stage:"

_GATE = re.compile(
    # A comma parts thousands: "0,5%" is not read as five percent.
    r"\s*(?P<name>.+?)\s*(?P<sign>>=|<=|>|<)\s*(?P<number>[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)\s*"
    r"(?P<share>%?)\s*"
)

_COMPARED = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}


class FailCondition(NamedTuple):
    """One condition: with `grows` the number is growth against what the CRMs hold, with `share` a percentage."""

    text: str
    name: str
    sign: str
    number: Decimal
    grows: bool
    share: bool


class PlanCount(NamedTuple):
    """What a plan does to something that can be asked for: how many before and after, of so many (`whole`).

    A number of changes has no `before` of its own: it is growth already.
    """

    before: int
    after: int
    whole: int
    is_change: bool = False


def parse_gate(
    text: str, bands: Collection[str], stages: Collection[str], counted: Collection[str] = COUNTED
) -> FailCondition:
    """A condition as somebody wrote it. Raises `ConfigError` where it cannot be read or names nothing that there is."""
    known = [*bands, *(f"{STAGE}{each}" for each in stages), *counted]
    found = _GATE.fullmatch(text)
    if found is None:
        examples = '"mql > +20%" or "changes > 500"' if "changes" in counted else '"mql > +20%"'
        said = f"--fail-if {text!r} cannot be read; write NAME > N, for example {examples}, with"
        raise ConfigError(f"{said} >, <, >= or <=; the names are {', '.join(known)}")
    if found["name"] not in known:
        raise ConfigError(f"--fail-if {text!r}: there is no {found['name']!r}; the names are {', '.join(known)}")
    number = found["number"]
    return FailCondition(
        " ".join(text.split()),
        found["name"],
        found["sign"],
        Decimal(number.replace(",", "")),
        number[0] in "+-",
        bool(found["share"]),
    )


def check_gate(gate: FailCondition, standings: Mapping[str, PlanCount]) -> tuple[bool, str]:
    """Whether a plan meets the condition under which it fails, and a sentence with the numbers."""
    it = standings[gate.name]
    grown = it.after - it.before
    base = it.whole if it.is_change or not gate.grows else it.before
    value, limit = Decimal(grown if gate.grows else it.after), gate.number
    if gate.share and base:
        # Without a division, which would find 7 of 100 to be more than 7 %.
        value, limit = value * 100, limit * base
    elif gate.share and value:
        value *= Decimal("Infinity")  # growth from nothing is more than any percentage
    is_met = bool(_COMPARED[gate.sign](value, limit))
    return is_met, f"--fail-if {gate.text!r}: {_describe(gate.name, it, grown)}"


def _describe(name: str, it: PlanCount, grown: int) -> str:
    if it.is_change:
        what = {"changes": "records would be updated", "owners": "people would get another owner"}
        share = f" ({it.after / it.whole:.1%} of {it.whole:,})" if it.whole else ""
        return f"{it.after:,} {what.get(name, 'people would change')}{share}"
    share = f", {grown / it.before:+.1%}" if it.before and grown else ""
    return f"{name} would have {count_of(it.after, 'person')} instead of {it.before:,} ({grown:+,}{share})"
