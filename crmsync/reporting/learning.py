"""What `crmsync learn` found, as its document: the verdict, the rules, the test and the patch of the config."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from crmsync.config import Config
from crmsync.config.learned import Adjustment, Calibration
from crmsync.config.model import RULE_TABLES, Band
from crmsync.config.patch import ConfigPatch, NewRule, NumberEdit, TableEdit, edit_config, show_edited
from crmsync.config.rules import Fit
from crmsync.counts import count_of
from crmsync.errors import ConfigError
from crmsync.evaluation.cases import Cases, JudgedCases, join_judged, judge_cases
from crmsync.evaluation.learning.backtest import BackTest, Verdict, judge_back_test, run_back_test
from crmsync.evaluation.learning.candidates import write_question
from crmsync.evaluation.learning.half_lives import HalfLife, estimate_half_lives
from crmsync.evaluation.learning.leaks import Leak
from crmsync.evaluation.learning.learn import (
    MOST_PEOPLE,
    LearnedCard,
    LearnedRule,
    Periods,
    count_additions,
    explain_shortage,
    learn_card,
    make_hybrid,
    split_periods,
)
from crmsync.evaluation.learning.people import LearningPeople, gather_people, list_rule_points, measure_doses
from crmsync.evaluation.learning.selection import thin_out
from crmsync.evaluation.learning.thresholds import BandLimits, Target, suggest_thresholds
from crmsync.evaluation.line import find_line
from crmsync.evaluation.logistic import Curve
from crmsync.evaluation.metrics import measure_auc, tally_scores
from crmsync.evaluation.proportions import Rate, measure_rate

OpenCases = Callable[[], AbstractContextManager[Iterator[Cases]]]
"""Opens the cases anew; they are read twice, by today's card and by the learned one."""

LIMITED = 0.1
"""The share of people at a limit of the score above which it is told."""


class Learning(NamedTuple):
    """The document, and the text of the whole config with what was learned (empty without a learned card, or where it
    cannot be edited line by line, which is in the notes).
    """

    document: dict[str, Any]
    text: str
    config: Config | None


def learn_from_cases(
    config: Config,
    text: str,
    opened: OpenCases,
    target: Target,
    changed: Mapping[str, float] | None = None,
    hybrid: bool = False,
) -> Learning:
    """Learn a card and test it. `text` is that of the config file.

    With `hybrid` today's points and bands stay, and only the questions that are new adjust the total.

    Raises `ConfigError` where the cases cannot be read.
    """
    with opened() as cases:
        people = gather_people(config, cases, config.zone)
    if people is None:
        why = "Nobody's outcome is known: no person was read; learning needs 50 won and 50 lost people"
        return Learning({**_counts(None), **_nothing("not_enough", f"{why}.")}, "", None)
    periods = split_periods(people)
    if why := explain_shortage(people, periods):
        found = {**_counts(people.judged), **_nothing("not_enough", f"Not enough data: {why}.")}
        return Learning({**found, "auc_now": _auc_of(people.judged, periods.all)}, "", None)
    card = learn_card(config, people, periods, changed or {})
    learned = _judge_all(card.config, opened)
    card = card._replace(rules=count_additions(card, learned, periods))
    if hybrid:
        card = make_hybrid(config, card)
        learned = _judge_all(card.config, opened)
    return _report(config, text, people, periods, card, learned, target)


def _judge_all(config: Config, opened: OpenCases) -> JudgedCases:
    with opened() as cases:
        return join_judged([judge_cases(config, each, config.zone) for each in cases])


def _report(
    config: Config,
    text: str,
    people: LearningPeople,
    periods: Periods,
    card: LearnedCard,
    learned: JudgedCases,
    target: Target,
) -> Learning:
    test = run_back_test(people.judged, learned, periods)
    verdict = judge_back_test(test)
    line = target.line or find_line(config, config.outcome.line if config.outcome else None)
    limits = suggest_thresholds(config, people.judged, learned, periods, target._replace(line=line))
    thresholds = [] if card.config.learned.active else limits
    half_lives = list(_half_lives(config, people, periods))
    calibration = _round_calibration(test)
    patch = _patch_of(config, card, thresholds, calibration)
    edited, refusal = _edit(text, patch)
    bands = {**config.bands, **{each.band: each.new for each in thresholds}}
    with_calibration = card.config.learned.model_copy(update={"calibration": calibration})
    made = card.config.model_copy(update={"bands": bands, "learned": with_calibration})
    document = {
        **_counts(people.judged),
        "verdict": verdict.verdict,
        "why": verdict.why,
        "patch": show_edited(edited, patch) if edited else "",
        "written": None,
        "auc_now": test.ranking.now.value,
        "auc_learned": test.ranking.learned.value,
        "later_period": _later_period(people.judged, periods, test),
        "rules": [_rule_document(each) for each in card.rules],
        "leaks": [_leak_document(each) for each in card.leaks],
        "thresholds": [_threshold_document(each) for each in thresholds],
        "half_lives": [_half_life_document(each) for each in half_lives],
        "calibration": calibration.model_dump(),
        "forecast": _forecast(learned, calibration),
        "notes": [*refusal, *_notes(config, learned, verdict)],
    }
    return Learning(document, edited, made)


def _edit(text: str, patch: ConfigPatch) -> tuple[str, Sequence[str]]:
    """The edited text, or else why there is none."""
    try:
        return edit_config(text, patch), ()
    except ConfigError as error:
        return "", error.problems


def _counts(judged: JudgedCases | None) -> dict[str, int]:
    if judged is None:
        return dict.fromkeys(("people", "won", "lost", "open", "disqualified"), 0)
    won, closed = int(judged.won.sum()), int(judged.closed.sum())
    return {
        "people": len(judged),
        "won": won,
        "lost": closed - won,
        "open": len(judged) - closed,
        "disqualified": int((judged.disqualified >= 0).sum()),
    }


def _nothing(verdict: str, why: str) -> dict[str, Any]:
    lists: dict[str, Any] = {name: [] for name in ("rules", "leaks", "thresholds", "half_lives", "notes")}
    nulls = dict.fromkeys(("written", "auc_now", "auc_learned", "later_period", "calibration", "forecast"))
    return {"verdict": verdict, "why": why, "patch": "", **nulls, **lists}


def _auc_of(judged: JudgedCases, rows: Any) -> float | None:
    return measure_auc(tally_scores(judged.total[rows], judged.won[rows]))


def _half_lives(config: Config, people: LearningPeople, periods: Periods) -> Iterator[HalfLife]:
    rows = periods.early[thin_out(len(periods.early), MOST_PEOPLE)]
    doses = measure_doses(config, people.judged.only(rows))
    fading = {name: each[rows] for name, each in people.fading.items()}
    return estimate_half_lives(config, doses, fading, list_rule_points(config), people.judged.won[rows])


def _patch_of(
    config: Config, card: LearnedCard, thresholds: Sequence[BandLimits], calibration: Calibration
) -> ConfigPatch:
    """What changes in the text of the config."""
    told = {each.name: each for each in card.rules}
    edits = []
    for table in RULE_TABLES:
        for place, rule in enumerate(getattr(config, table)):
            new = getattr(card.config, table)[place]
            if new.points != rule.points:
                said = f"was {rule.points:g}; {_said(told[rule.name])}"
                edits.append(NumberEdit((table, place, "points"), new.points, said))
                if rule.limits.cap is not None:
                    edits.append(NumberEdit((table, place, "cap"), new.cap, f"was {rule.limits.cap:g}"))
    for each in thresholds:
        edits += _band_edits(each)
    added: list[tuple[str, Fit | Adjustment]] = [("fit", rule) for rule in card.config.fit[len(config.fit) :]]
    added += [("learned.adjustment", each) for each in card.config.learned.active]
    rules = [
        NewRule(
            table,
            {"name": rule.name, "points": rule.points, "when": write_question(rule.when)},
            f"new; {_said(told[rule.name])}",
        )
        for table, rule in added
    ]
    numbers = calibration.model_dump()
    keys: dict[str, Any] = {}
    if card.config.learned.active and config.learned.mode != "hybrid":
        keys["mode"] = "hybrid"
    if config.learned.calibration is None:
        keys["calibration"] = numbers
    else:
        edits += [NumberEdit(("learned", "calibration", key), value, "") for key, value in numbers.items()]
    removed = ["learned.adjustment"] if config.learned.adjustment else []
    return ConfigPatch(edits, rules, [TableEdit("learned", keys)] if keys else [], removed)


def _round_calibration(test: BackTest) -> Calibration:
    """The calibration with as many digits as people may read."""
    return Calibration(intercept=round(test.calibration.intercept, 4), slope=round(test.calibration.slope, 6))


def _said(rule: LearnedRule) -> str:
    rate, low, high = measure_rate(rule.won, rule.people)
    if rate is None or low is None or high is None:
        return "nobody got it"
    interval = f"{low:.0%} to {high:.0%}".replace("%", " %")
    return f"{count_of(rule.people, 'person')}, {rate:.0%}".replace("%", " %") + f" won ({interval})"


def _band_edits(threshold: BandLimits) -> Iterator[NumberEdit]:
    said = f"{threshold.people_now:,} → {count_of(threshold.people, 'person')}"
    for key in Band.model_fields:
        before, after = getattr(threshold.now, key), getattr(threshold.new, key)
        if before != after:
            was = f"was {before:g}; {said}"
            yield NumberEdit(("bands", threshold.band, key), after, was if key == "at" else "")


def _later_period(judged: JudgedCases, periods: Periods, test: BackTest) -> dict[str, Any]:
    at = judged.at[periods.late]
    since, until = (datetime.fromtimestamp(int(each), UTC).isoformat() for each in (at.min(), at.max()))
    return {
        "from": since,
        "until": until,
        "people": test.people,
        "won": test.won,
        "lost": test.people - test.won,
        "auc_now": test.ranking.now._asdict(),
        "auc_learned": test.ranking.learned._asdict(),
        "gain": test.ranking.gain._asdict(),
        "brier_now": test.brier_now,
        "brier_learned": test.brier_learned,
        "observed_expected": test.observed_expected._asdict(),
    }


def _rule_document(rule: LearnedRule) -> dict[str, Any]:
    rate, low, high = measure_rate(rule.won, rule.people)
    return {
        "name": rule.name,
        "points_now": rule.points_now,
        "points": rule.points,
        "low": round(rule.low, 1),
        "high": round(rule.high, 1),
        "people": rule.people,
        "won": rule.won,
        "rate": rate,
        "rate_low": low,
        "rate_high": high,
        "note": rule.note,
    }


def _leak_document(leak: Leak) -> dict[str, Any]:
    return {
        "kind": leak.kind,
        "name": leak.name,
        "field": leak.field,
        "people": leak.people,
        "won": leak.won,
        "why": leak.said,
    }


def _threshold_document(each: BandLimits) -> dict[str, Any]:
    return {
        "band": each.band,
        **{
            name: getattr(band, key)
            for key in ("at", "min_fit", "min_behavior")
            for name, band in ((f"{key}_now", each.now), (key, each.new))
        },
        "people_now": each.people_now,
        "people": each.people,
        "by": each.by,
        "per_week": each.per_week,
        "precision": _precision(each.precision),
        "note": each.note,
    }


def _precision(found: Rate) -> dict[str, float | None] | None:
    return None if found.rate is None else {"value": found.rate, "low": found.low, "high": found.high}


def _half_life_document(each: HalfLife) -> dict[str, Any]:
    found = each._asdict()
    return {**{key: found[key] for key in found if key != "now"}, "days_now": each.now}


def _forecast(learned: JudgedCases, calibration: Calibration) -> float:
    """How many of the open people will be won by the calibrated probabilities."""
    some = ~learned.closed & (learned.disqualified < 0)
    line = Curve(calibration.intercept, calibration.slope)
    return float(line.chances(learned.total[some].astype(np.float64) / 100).sum())


def _notes(config: Config, learned: JudgedCases, verdict: Verdict) -> Iterator[str]:
    """Sentences about what the patch does not reach."""
    for axis in ("fit", "behavior", "total"):
        limit, points = getattr(config.score, axis), getattr(learned, axis)
        for key in ("cap", "floor"):
            at = getattr(limit, key)
            share = 0.0 if at is None else float((points == round(at * 100)).mean())
            if share >= LIMITED:
                yield f"[score] {axis} {key} = {at:g} holds {share:.0%} of people at one number; they are not ranked"
    if any(each.bands for each in config.segment):
        yield "bands of segments stay as they are; set them yourself"
    if config.grades or config.grid:
        yield "[grades] and [grid] stay as they are; set them yourself"
    if config.test:
        yield "test leads expect today's points; correct them, crmsync check names each"
