"""Another score that the CRMs hold, beside ours: who has the same, how far others are apart, and who changes band."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.compare import COMPARED
from crmsync.config.units import to_hundredths
from crmsync.store.plan_people import call_people, scored_people
from crmsync.store.score_inputs import read_field

NAMED = 20
"""People who are named of those that differ most, and of each move to another band."""

BARS = 15
"""Bars of the differences, at most."""

STEPS = tuple(digit * 10**power for power in range(7) for digit in (1, 2, 5))
"""Widths of a bar (points) to choose from."""


class ComparedPerson(NamedTuple):
    """Somebody with both scores (hundredths): the other one and ours, the bands of both, and the lines of ours."""

    person: int
    theirs: int
    ours: int
    bands: tuple[str, str]
    lines: Mapping[str, int]

    @property
    def difference(self) -> int:
        """Ours without the other one."""
        return self.ours - self.theirs


def read_compared(reading: Connection, config: Config) -> Iterator[ComparedPerson | None]:
    """Everybody who is scored, by person; `None` for whoever has no other score, or one that is no number."""
    for people in scored_people(reading):
        values = read_field(reading, [each.person for each in people], COMPARED, config.identity.source_of_truth)
        for each in people:
            value = values.get(each.person)
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield None
                continue
            theirs = to_hundredths(value)
            yield ComparedPerson(each.person, theirs, each.total, (find_band(config, theirs), each.band), each.lines)


def agrees(each: ComparedPerson, config: Config) -> bool:
    """Whether both scores are the same but for rounding: less than a step of our score apart."""
    return abs(each.difference) < config.score.unit


def find_band(config: Config, total: int) -> str:
    """The highest band that points (hundredths) alone reach; the lowest one where they reach none."""
    reached = [name for name, band in config.bands.items() if band.at is not None and to_hundredths(band.at) <= total]
    return reached[-1] if reached else next(iter(config.bands), "")


def compare_scores(reading: Connection, config: Config) -> dict[str, Any] | None:
    """The comparison as plain values; `None` without `[compare]`."""
    if config.compare is None:
        return None
    counts: Counter[str] = Counter()
    differences: Counter[int] = Counter()
    largest: list[tuple[int, int, ComparedPerson]] = []
    moves: Counter[tuple[str, str]] = Counter()
    movers: dict[tuple[str, str], list[tuple[int, int, ComparedPerson]]] = {}
    for each in read_compared(reading, config):
        if each is None:
            counts["without"] += 1
            continue
        counts["compared"] += 1
        if each.bands[0] != each.bands[1]:
            moves[each.bands] += 1
            _keep_largest(movers.setdefault(each.bands, []), each)
        if not agrees(each, config):
            differences[each.difference] += 1
            _keep_largest(largest, each)
    kept = [largest, *movers.values()]
    named = call_people(reading, sorted({it.person for some in kept for _far, _person, it in some}))
    order = config.band_names()
    return {
        "compared": counts["compared"],
        "agree": counts["compared"] - differences.total(),
        "without": counts["without"],
        **count_differences(differences),
        "largest": _describe_people(largest, named),
        "moves": [
            {"from": was or None, "to": now or None, "people": many, "who": _describe_people(movers[was, now], named)}
            for (was, now), many in sorted(moves.items(), key=lambda move: [order.index(name) for name in move[0]])
        ],
    }


def _keep_largest(kept: list[tuple[int, int, ComparedPerson]], each: ComparedPerson) -> None:
    heapq.heappush(kept, (abs(each.difference), -each.person, each))
    if len(kept) > NAMED:
        heapq.heappop(kept)


def count_differences(differences: Mapping[int, int]) -> dict[str, Any]:
    """People by difference, those who agree left out, in bars of equal width that begin at 0."""
    low, high = min(differences, default=0) / 100, max(differences, default=0) / 100
    step = next((each for each in STEPS if (high - low) / each < BARS), STEPS[-1])
    bars: Counter[int] = Counter()
    for difference, many in differences.items():
        bars[difference // (100 * step)] += many
    return {"step": step, "bars": [{"from": number * step, "people": many} for number, many in sorted(bars.items())]}


def _describe_people(
    kept: list[tuple[int, int, ComparedPerson]], named: Mapping[int, tuple[str, str]]
) -> list[dict[str, Any]]:
    found = []
    for _far, _person, each in sorted(kept, reverse=True):
        name, email = named.get(each.person, ("", ""))
        found.append(
            {
                "person": each.person,
                "name": name,
                "email": email,
                "theirs": show_hundredths(each.theirs),
                "ours": show_hundredths(each.ours),
                "bands": {"theirs": each.bands[0] or None, "ours": each.bands[1] or None},
                "lines": describe_own_lines(each),
            }
        )
    return found


def describe_own_lines(each: ComparedPerson) -> list[dict[str, Any]]:
    """The lines of our score, the most points first."""
    lines = sorted(each.lines.items(), key=lambda line: -abs(line[1]))
    return [{"rule": rule, "points": show_hundredths(points)} for rule, points in lines]


def show_hundredths(value: int) -> float | int:
    """Hundredths as points: a whole number wherever it is one."""
    return value // 100 if value % 100 == 0 else value / 100
