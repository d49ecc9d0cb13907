"""What `crmsync drift` and `crmsync experiment` print."""

from __future__ import annotations

from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.shared import EXACTLY


@with_config(EXACTLY)
class DriftMonth(TypedDict):
    """A month (`2026-11`) of people by when they were judged; rates from 0 to 1, intervals of 95 %.

    `expected` of them were to be won by their score and the season, as the people before that month say; it, `z`
    (below 0 for fewer) and `p` are null as long as too few came before. `slope` is the calibration slope, `psi` says
    how far the mix of bands is from that of all months before. `complete` is false where part of the month is still
    too young. `bands` has people by band.
    """

    month: str
    complete: bool
    people: int
    won: int
    rate: float
    low: float
    high: float
    expected: float | None
    observed_expected: float | None
    z: float | None
    p: float | None
    slope: float | None
    slope_low: float | None
    slope_high: float | None
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    psi: float | None
    bands: dict[str, int]


@with_config(EXACTLY)
class DriftAlert(TypedDict):
    """Something that is not as it was, since a day. `fired` is the first day on which it could be told.

    `observed` and `expected` are rates (of `conversion`, `range` and `fit_rule`), the PSI and its limit (of `mix`), or
    activities in the last 14 days (of `silent_rule`). `z` is how many standard errors they lie apart, without a sign;
    it and `p` are null where none belong to it.
    """

    since: str
    fired: str | None
    what: Literal["conversion", "range", "mix", "silent_rule", "fit_rule"]
    name: str | None
    observed: float
    expected: float
    z: float | None
    p: float | None
    said: str


@with_config(EXACTLY)
class DriftRange(TypedDict):
    """A band lately, and before: with two years of people, before is the same months of earlier years."""

    name: str
    since: str
    people: int
    won: int
    rate: float | None
    low: float
    high: float
    people_before: int
    won_before: int
    rate_before: float | None
    z: float | None
    p: float | None


@with_config(EXACTLY)
class DriftFitRule(TypedDict):
    """For how many of the won a fit rule holds, in the last 90 days (`won`, `hits`) and before."""

    name: str
    won: int
    hits: int
    won_before: int
    hits_before: int
    z: float | None
    p: float | None


@with_config(EXACTLY)
class SilentRuleDocument(TypedDict):
    """A rule that nothing matched in the last 14 days: `last` did, and `before` in the 90 days before those.

    `expected` is how many that makes in 14 days, `p` how often chance alone brings none.
    """

    name: str
    last: str
    before: int
    expected: float
    p: float


@with_config(EXACTLY)
class IdleRuleDocument(TypedDict):
    """A rule that held for nobody in 90 days, or that holds for the same people as `other`."""

    name: str
    other: str | None
    correlation: float | None


@with_config(EXACTLY)
class DriftSource(TypedDict):
    """A source: people seen, scored, who reached the line, and of these handed over; null is not known.

    `gap` is how many were not scored, or reached the line and were not handed over.
    """

    name: str
    seen: int
    scored: int
    reached: int | None
    routed: int | None
    gap: int


@with_config(EXACTLY)
class DriftWeek(TypedDict):
    """A week by its Monday."""

    week: str
    people: int
    won: int
    rate: float


@with_config(EXACTLY)
class DriftDocument(TypedDict):
    """`crmsync drift`: `people` are those whose outcome is looked at, `immature` those who are too young for it.

    `wait_days`: so long after somebody was judged their outcome is read, whoever they are. `season` is `known` where
    the people go back two years.
    """

    verdict: Literal["steady", "drift", "not_enough"]
    why: str
    people: int
    won: int
    immature: int
    wait_days: float
    season: Literal["known", "unknown"]
    line: str | None
    months: list[DriftMonth]
    alerts: list[DriftAlert]
    ranges: list[DriftRange]
    silent_rules: list[SilentRuleDocument]
    rules_to_review: list[IdleRuleDocument]
    fit_rules: list[DriftFitRule]
    sources: list[DriftSource]
    weeks: list[DriftWeek]
    problems: list[str]
    warnings: list[str]


@with_config(EXACTLY)
class ExperimentArm(TypedDict):
    """An arm: its share of the people, its line in points (null where it is no line), and how it did.

    `people` are those who are counted, `hits` those of them who came to the metric, `rate` with its interval of 95 %
    from `low` to `high`; with lines, who reached the line of their arm is counted. `assigned` and `assigned_hits` are
    everybody of the arm who would be counted without. `missing` is how many more people the arm needs.
    """

    name: str
    line: float | None
    share: float
    assigned: int
    assigned_hits: int
    people: int
    hits: int
    rate: float | None
    low: float
    high: float
    missing: int


@with_config(EXACTLY)
class ExperimentDocument(TypedDict):
    """`crmsync experiment`: `verdict` is `not_enough`, `no_difference`, or the name of the better arm.

    `z` and `p` are null until the experiment is due; they are those of the second arm against the first, of more than
    two those of the best against the first, `p` times the number of pairs. `before` people are in no arm, `washed_out`
    came in the wash-out, of `open` ones the metric is not known yet: none of them is counted.
    """

    experiment: str
    metric: str
    start: str
    until: str | None
    wash_out_days: float
    size: int | None
    verdict: str
    why: str
    arms: list[ExperimentArm]
    z: float | None
    p: float | None
    before: int
    washed_out: int
    open: int
    problems: list[str]
    warnings: list[str]
