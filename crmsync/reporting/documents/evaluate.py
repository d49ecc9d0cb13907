"""What holding scores against outcomes prints. Rates are fractions, points are points, unknown is null."""

from __future__ import annotations

from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.reporting.documents.shared import EXACTLY, Points

Share = float | None


@with_config(EXACTLY)
class ConversionDocument(TypedDict):
    """`people` with a known outcome, `won` of them, and `open` ones besides, who are in no rate; `low` to `high` is
    the 95 % interval of the rate (Wilson)."""

    name: str
    people: int
    open: int
    won: int
    rate: Share
    low: Share
    high: Share


@with_config(EXACTLY)
class DecileDocument(TypedDict):
    """A tenth of the people with an outcome by score, 1 the highest, from `first` to `last` points."""

    decile: int
    first: Points
    last: Points
    people: int
    won: int
    rate: Share
    low: Share
    high: Share


@with_config(EXACTLY)
class PrecisionRecallDocument(TypedDict):
    """What handing over from a band on does: won above it, lost above it, won below it; `at` is where it begins."""

    name: str
    at: Points | None
    right: int
    wrong: int
    missed: int
    precision: Share
    recall: Share
    f1: Share


@with_config(EXACTLY)
class PrecisionDocument(TypedDict):
    """The share of won among so many with the highest scores."""

    people: int
    precision: float


@with_config(EXACTLY)
class CalibrationDocument(TypedDict):
    """The later half of the period begins with `tried_from` and has `tried` people: `observed` are its won, `expected`
    those that the `fitted` people of the earlier half promise. `brier_base`: Brier score of the earlier half's rate."""

    fitted: int
    tried: int
    tried_from: str
    observed: int
    expected: float
    brier_base: float


@with_config(EXACTLY)
class FunnelRowDocument(TypedDict):
    """People of a month (or all); each step counts those who took the known ones before it. `mql_won_rate` is won ÷
    (won and lost) of the MQLs, `won_without` were won by another way, `changed` are definitions that changed in it."""

    name: str
    people: int
    mql: int
    accepted: int | None
    opportunity: int | None
    won: int
    open: int
    won_without: int
    accepted_rate: Share
    opportunity_rate: Share
    won_rate: Share
    mql_won_rate: Share
    changed: list[str]


@with_config(EXACTLY)
class FunnelDocument(TypedDict):
    """`mql_by` is `history` (they entered the stage) or `score` (over the line as judged); `days` are medians."""

    mql_by: Literal["history", "score"]
    all: FunnelRowDocument
    cohorts: list[FunnelRowDocument]
    days: dict[str, float | None]


@with_config(EXACTLY)
class RuleLiftDocument(TypedDict):
    """`people`, `won` and `lost` whom a rule gave points; `lift` is `won_rate` ÷ `lost_rate`, with its interval."""

    name: str
    people: int
    share: Share
    points: Points | None
    won: int
    lost: int
    won_rate: Share
    lost_rate: Share
    lift: float | None
    low: float | None
    high: float | None
    finding: Literal["helps", "no_difference", "wrong_way", "not_enough"]


@with_config(EXACTLY)
class GivenPoints(TypedDict):
    """A rule and what it gave."""

    name: str
    points: Points


@with_config(EXACTLY)
class ReviewedPerson(TypedDict):
    """Somebody to look at: with the rules that gave points; `lacked` and `unknown` are rules that gave none though
    many of the won have them, and fields that are not known."""

    person: str
    score: Points
    band: str | None
    why: str
    source: str
    campaign: str
    rep: str
    judged_at: str
    outcome_at: str | None
    rules: list[GivenPoints]
    lacked: list[str]
    unknown: list[str]


@with_config(EXACTLY)
class GroupDocument(TypedDict):
    """A group: `rate` is won ÷ (won and lost), `expected_rate` what people of the same scores come to;
    `observed_expected` is of the later half. `suggestion` is about the group's points; null says why."""

    name: str
    people: int
    won: int
    lost: int
    open: int
    rate: Share
    low: Share
    high: Share
    auc: Share
    observed_expected: float | None
    expected_rate: Share
    mql: int
    mql_rate: Share
    accepted: int | None
    accepted_rate: Share
    cycle_days: float | None
    suggestion: Literal["more", "fewer", "keep"] | None
    why: str


@with_config(EXACTLY)
class CoverageDocument(TypedDict):
    """Of `people` so many were `scored`, the others not for `reasons`; `no_rule` have a score without any rule."""

    people: int
    scored: int
    rate: Share
    reasons: dict[str, int]
    no_rule: int


@with_config(EXACTLY)
class CompletenessDocument(TypedDict):
    """The share of people of whom a field is known; `unknown_then` of values that nobody can know any more as of the
    instant of judgement."""

    overall: Share
    fields: dict[str, float]
    unknown_then: Share


@with_config(EXACTLY)
class SlaConversion(TypedDict):
    """Conversion of those contacted `within` the limit of `[sla]` and not, by the clock and not by working hours."""

    within_hours: float
    outcomes: list[ConversionDocument]


@with_config(EXACTLY)
class SpeedDocument(TypedDict):
    """Minutes from hand-off to first touch, by the clock, and conversion by them."""

    handed_over: int
    touched: int
    median_minutes: float | None
    buckets: list[ConversionDocument]
    sla: SlaConversion | None


@with_config(EXACTLY)
class CycleDocument(TypedDict):
    """Days from arrival, or from hand-off, to won: the median, and of how many."""

    people: int
    median_days: float | None


@with_config(EXACTLY)
class GapDocument(TypedDict):
    """Days between something and the judgement, the AUC that this gap alone would have, and the score's AUC among
    people with about the same gap."""

    since: Literal["arrival", "last activity"]
    won_days: float
    lost_days: float
    auc: float
    is_telling: bool
    auc_within: Share


@with_config(EXACTLY)
class TagDocument(TypedDict):
    """People with a tag of users, by band."""

    tag: str
    bands: dict[str, int]


@with_config(EXACTLY)
class TagsDocument(TypedDict):
    """Tags by band; of `people` with a tag of the config, `agreed` are on the side of the line that it says."""

    tags: list[TagDocument]
    people: int
    agreed: int
    rate: Share


@with_config(EXACTLY)
class SuggestedLineDocument(TypedDict):
    """The lower quartile of the scores at hand-off (or as judged) of the `people` who were won; `now` is where the
    line is."""

    score: Points
    people: int
    as_of: Literal["hand_off", "judgement"]
    now: Points | None


@with_config(EXACTLY)
class BelowLineDocument(TypedDict):
    """All people below the line, and their share."""

    people: int
    share: Share


@with_config(EXACTLY)
class Rated(TypedDict):
    """A rate with its 95 % interval."""

    rate: Share
    low: Share
    high: Share


@with_config(EXACTLY)
class EvaluateDocument(TypedDict):
    """`crmsync evaluate`. `brier` and `observed_expected` are of the later half of the period by the instant of
    judgement, with a curve fitted on the earlier half. Lists of people have the first 100; `--csv` has all."""

    verdict: str
    people: int
    won: int
    lost: int
    open: int
    judged_from: str
    judged_to: str
    model: str
    line: str | None
    conversion: Rated
    auc: Share
    auc_low: Share
    auc_high: Share
    average_precision: Share
    precision_at: list[PrecisionDocument]
    brier: float | None
    observed_expected: float | None
    calibration: CalibrationDocument | None
    calibration_why: str | None
    bands: list[ConversionDocument]
    deciles: list[DecileDocument]
    lines: list[PrecisionRecallDocument]
    below_line: BelowLineDocument
    suggested_line: SuggestedLineDocument | None
    funnel: FunnelDocument
    rules: list[RuleLiftDocument]
    false_positives: list[ReviewedPerson]
    false_positive_count: int
    misses: list[ReviewedPerson]
    miss_count: int
    stalled: list[ReviewedPerson] | None
    stalled_count: int | None
    coverage: CoverageDocument
    completeness: CompletenessDocument
    speed_to_lead: SpeedDocument
    cycle: dict[str, CycleDocument]
    by: Literal["segment", "source", "campaign", "month", "rep"] | None
    groups: list[GroupDocument]
    feedback: TagsDocument | None
    gaps: list[GapDocument]
    warnings: list[str]
    problems: list[str]


@with_config(EXACTLY)
class SectionDocument(TypedDict):
    """A section of the report: what it means in one sentence, what it cannot say, and its table."""

    id: str
    title: str
    sentence: str
    note: str
    has_chart: bool
    headings: list[str]
    rows: list[list[str]]


@with_config(EXACTLY)
class ReportDocument(TypedDict):
    """`crmsync report`: what stands in the file; `html` is where it was written."""

    title: str
    made: str
    model: str
    warnings: list[str]
    sections: list[SectionDocument]
    problems: list[str]
    html: str | None
