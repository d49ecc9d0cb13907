"""A sample of people to review, out of the state or a file, and what reviewers said so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from crmsync.batch.verdict_file import VerdictFile
from crmsync.config import Config
from crmsync.evaluation.audit import Agreement, count_agreement, draw_sample, find_high_scorers
from crmsync.evaluation.cases import LOST, OPEN, WON, Cases, JudgedCases, join_judged, judge_cases
from crmsync.reporting.cases import read_outcomes
from crmsync.reporting.handed_over import feedback_counts
from crmsync.scoring.wording import format_points, to_points
from crmsync.store.database import Store
from crmsync.store.forgetting import pause_writer
from crmsync.store.hand_offs import names_of_people
from crmsync.store.outcomes import was_read
from crmsync.store.sql import to_ms
from crmsync.store.verdicts import (
    find_known_people,
    read_lines,
    read_owners_of,
    read_sampling_frame,
    read_verdicts,
    save_verdicts,
)

REASONS = 3
"""Rules that are named of each."""

OUTCOMES = {WON: "won", LOST: "lost", OPEN: "open"}


def default_seed(today: date) -> str:
    """The week by ISO 8601: `2026-W48`."""
    year, week, _day = today.isocalendar()
    return f"{year}-W{week:02}"


def sample_state(config: Config, reading: Connection, many: int, seed: str, now: datetime) -> list[dict[str, Any]]:
    """People of the state with the scores that the last run gave them."""
    scored = read_sampling_frame(reading)
    names = config.band_names()
    places = {name: place for place, name in enumerate(names)}
    band = np.array([places.get(each, -1) for each in scored.band], dtype=np.int64)
    outcome = _read_outcomes(config, reading, scored.people, now)
    rows = draw_sample(scored.people, scored.total, band, outcome, many, seed)
    chosen = scored.people[rows].tolist()
    high = find_high_scorers(scored.total, band)
    called, owners = (read(reading, chosen) for read in (names_of_people, read_owners_of))
    lines = read_lines(reading, chosen)
    known = config.outcome is not None
    return [
        {
            "person": whose,
            "name": called.get(whose, ""),
            "score": to_points(int(scored.total[row])),
            "band": scored.band[row],
            "half": "high" if high[row] else "low",
            "reasons": _top_reasons(lines[whose]),
            "outcome": OUTCOMES[int(outcome[row])] if known else None,
            "owner": owners.get(whose, ""),
            "verdict": None,
        }
        for row, whose in zip(rows.tolist(), chosen, strict=True)
    ]


def _read_outcomes(config: Config, reading: Connection, people: NDArray[np.int64], now: datetime) -> NDArray[np.int8]:
    """What came of people (ascending ids), as every command counts it; excluded ones are open."""
    outcome = np.full(len(people), OPEN, dtype=np.int8)
    if config.outcome is None or not was_read(reading):
        return outcome
    judged, theirs = read_outcomes(config, config.outcome, reading, now)
    place = {whose: row for row, whose in enumerate(people.tolist())}
    for whose, each in zip(judged.tolist(), theirs.tolist(), strict=True):
        if whose in place:
            outcome[place[whose]] = each
    return outcome


def sample_cases(config: Config, cases: Iterable[Cases], many: int, seed: str) -> list[dict[str, Any]]:
    """People of a file, each scored as known when they were judged; they have no crmsync id."""
    parts = [judge_cases(config, each, config.zone) for each in cases]
    if not parts:
        return []
    judged = join_judged(parts)
    keys = np.array([_key(*each) for each in zip(judged.names, judged.came.tolist(), judged.at.tolist(), strict=True)])
    rows = draw_sample(keys, judged.total, judged.band, judged.outcome, many, seed)
    high, names = find_high_scorers(judged.total, judged.band), config.band_names()
    return [_case(judged, row, high=bool(high[row]), bands=names) for row in rows.tolist()]


def _key(*of: object) -> int:
    """A number that tells somebody of a file apart, wherever in the file they are."""
    return int.from_bytes(blake2b(repr(of).encode(), digest_size=8).digest(), "big") >> 1


def _case(judged: JudgedCases, row: int, *, high: bool, bands: Sequence[str]) -> dict[str, Any]:
    rep = judged.groups["rep"]
    points = judged.points[row].tolist()
    return {
        "person": None,
        "name": judged.names[row],
        "score": to_points(int(judged.total[row])),
        "band": bands[judged.band[row]] if judged.band[row] >= 0 else "",
        "half": "high" if high else "low",
        "reasons": _top_reasons(dict(zip(judged.rules, points, strict=True))),
        "outcome": OUTCOMES[int(judged.outcome[row])],
        "owner": rep.labels[rep.codes[row]],
        "verdict": None,
    }


def _top_reasons(lines: Mapping[str, int]) -> list[str]:
    """The rules that weigh most, each net of its own decay and cap: `Demo requested +30`."""
    nets: dict[str, int] = {}
    for name, points in lines.items():
        rule, _, cut = name.rpartition(": ")
        whose = rule if rule in lines and (cut == "time decay" or cut.startswith("at most ")) else name
        nets[whose] = nets.get(whose, 0) + points
    given = sorted(((name, points) for name, points in nets.items() if points), key=lambda each: -abs(each[1]))
    return [f"{name} {format_points(points, '+')}" for name, points in given[:REASONS]]


def audit_document(
    config: Config,
    store: Store | None,
    seed: str | None,
    people: Sequence[Mapping[str, Any]],
    read: Mapping[str, Any] | None = None,
    further: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """What `crmsync audit` prints; `further` are verdicts (band and verdict) that the state does not keep."""
    said, feedback = list(further), {}
    if store is not None:
        with store.read() as reading:
            said += read_verdicts(reading)
            feedback = feedback_counts(config, reading)
    agreement = count_agreement(said, config.band_names())
    return {
        "seed": seed,
        "people": list(people),
        "agreement": {band: _agreement(each) for band, each in agreement.items()},
        "agreed": _agreement(Agreement(*map(sum, zip(*agreement.values(), strict=True)))) if agreement else None,
        "feedback": feedback,
        "read": read,
        "problems": [],
        "warnings": [],
    }


def _agreement(each: Agreement) -> dict[str, Any]:
    return {**each._asdict(), "agreement": each.agreement}


def keep_verdicts(store: Store, found: VerdictFile, now: datetime) -> tuple[int, list[str]]:
    """Keep the verdicts about people of the state. Returns how many, and of which lines the person is not there."""
    rows = [each for each in found.rows if each.person is not None]
    with store.begin() as writing:
        pause_writer(writing)
        there = find_known_people(writing, {each.person for each in rows if each.person is not None})
        kept = [each for each in rows if each.person in there]
        save_verdicts(
            writing,
            [
                {
                    "person": each.person, "sample": each.sample, "at": to_ms(now), "verdict": each.verdict,
                    "note": each.note, "band": each.band,
                }
                for each in {(each.person, each.sample): each for each in kept}.values()
            ],
        )  # fmt: skip
    gone = [each for each in rows if each.person not in there]
    said = [f"line {each.line}: nobody with crmsync id {each.person} is in the state" for each in gone]
    return len(kept), said
