"""The document of an evaluation: what the scores were worth, held against what came of people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crmsync.config import Config
from crmsync.counts import count_of
from crmsync.evaluation.calibration import CalibrationResult, calibrate_score
from crmsync.evaluation.cases import NEVER, JudgedCases
from crmsync.evaluation.completeness import list_rule_fields, measure_completeness, measure_coverage
from crmsync.evaluation.conversion import (
    GROUP_NAMES,
    compare_groups,
    find_line_points,
    is_above,
    measure_bands,
    measure_deciles,
    measure_thresholds,
)
from crmsync.evaluation.feedback import measure_feedback
from crmsync.evaluation.funnel import Definition, find_mqls, measure_funnel, measure_steps
from crmsync.evaluation.line import find_line
from crmsync.evaluation.metrics import (
    ENOUGH,
    Tally,
    measure_auc,
    measure_auc_interval,
    measure_average_precision,
    measure_precision_at,
    tally_scores,
)
from crmsync.evaluation.proportions import divide_counts, measure_rate
from crmsync.evaluation.review_lists import (
    find_false_positives,
    find_misses,
    find_stalled,
    find_typical,
    list_given,
    list_lacked,
    suggest_line,
)
from crmsync.evaluation.rules_lift import RuleLift, measure_rules
from crmsync.evaluation.speed import measure_cycle, measure_sla, measure_speed_to_lead
from crmsync.evaluation.timing import Gap, measure_gaps

LISTED = 100
"""So many people of a list stand in the document."""

LACKED = 5
"""So many rules are named that somebody lacks."""


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated: the people, as of now (seconds), and what is known besides.

    `last` (n,): each one's last activity before they were judged, or `NEVER`. `skipped`: people without a score, by
    reason. `definitions`: when a definition of a stage changed, and what. `unknown_then`: the share of values that
    nobody can know any more as of then.
    """

    config: Config
    judged: JudgedCases
    now: int
    last: NDArray[np.int64]
    skipped: Mapping[str, int] = field(default_factory=dict)
    definitions: Sequence[Definition] = ()
    unknown_then: float | None = None

    @property
    def line(self) -> str | None:
        """The band in which people are handed over."""
        return find_line(self.config, self.config.outcome.line if self.config.outcome else None)


def evaluate_document(of: Evaluation, by: str | None = None) -> dict[str, Any]:
    """The whole document (`EvaluateDocument`); `by` compares groups."""
    judged, line = of.judged, of.line
    closed, won = judged.closed, judged.won
    total, theirs = judged.total[closed], won[closed]
    tally = tally_scores(total, theirs)
    above = is_above(judged, line)
    mql = find_mqls(judged, above)
    calibration = calibrate_score(total, theirs, judged.at[closed])
    known = None if isinstance(calibration, str) else calibration
    everybody, cohorts = measure_funnel(judged, above, of.definitions, of.config.zone)
    rules = measure_rules(judged)
    gaps = measure_gaps(judged, of.last)
    lost = int(closed.sum()) - int(won.sum())
    document = {
        "verdict": "",
        "people": len(judged),
        "won": int(won.sum()),
        "lost": lost,
        "open": int((~closed).sum()),
        "judged_from": _instant(int(judged.at.min())),
        "judged_to": _instant(int(judged.at.max())),
        "model": of.config.model_hash(),
        "line": line,
        "conversion": measure_rate(int(won.sum()), int(closed.sum()))._asdict(),
        **_ranking(tally),
        "brier": known and known.brier,
        "observed_expected": known and known.ratio,
        "calibration": known
        and {
            "fitted": known.fitted,
            "tried": known.tried,
            "tried_from": _instant(known.middle),
            "observed": known.observed,
            "expected": known.expected,
            "brier_base": known.brier_base,
        },
        "calibration_why": calibration if isinstance(calibration, str) else None,
        "bands": [each._asdict() for each in measure_bands(judged)],
        "deciles": [each._asdict() for each in measure_deciles(tally)],
        "lines": [
            {"name": name, "at": judged.model.bands[name].at, **each._asdict()}
            for name, each in measure_thresholds(judged)
        ],
        "below_line": _below_line(above, line),
        "suggested_line": _suggested_line(of),
        "funnel": {
            "mql_by": "history" if "mql" in judged.milestones else "score",
            "all": everybody._asdict(),
            "cohorts": [each._asdict() for each in cohorts],
            "days": measure_steps(judged),
        },
        "rules": [each._asdict() for each in rules],
        **_people_lists(of, above, rules),
        "coverage": measure_coverage(judged, of.skipped)._asdict(),
        "completeness": {**measure_completeness(judged)._asdict(), "unknown_then": of.unknown_then},
        "speed_to_lead": _speed(of),
        "cycle": {
            name: measure_cycle(start, judged.outcome_at, won)._asdict()
            for name, start in (("arrival", judged.came), ("hand_off", judged.handed_off))
        },
        "by": by,
        "groups": [] if by is None else _groups(of, by, mql, calibration),
        "feedback": _feedback(of),
        "gaps": [each._asdict() for each in gaps],
    }
    document["verdict"] = describe_verdict(document)
    document["warnings"] = [*_warn_of_hindsight(of, document), *_warn_of_gaps(gaps), *_warn_of_definitions(of)]
    rounded: dict[str, Any] = _round(document)
    return rounded


def _groups(
    of: Evaluation, by: str, mql: NDArray[np.bool_], calibration: CalibrationResult | str
) -> list[dict[str, Any]]:
    return [each._asdict() for each in compare_groups(of.judged, by, mql, calibration, of.config.zone)]


def group_documents(of: Evaluation) -> dict[str, list[dict[str, Any]]]:
    """People compared in every way (`GroupDocument`s by the name of the way)."""
    judged = of.judged
    mql = find_mqls(judged, is_above(judged, of.line))
    calibration = calibrate_score(judged.total[judged.closed], judged.won[judged.closed], judged.at[judged.closed])
    compared: dict[str, list[dict[str, Any]]] = _round({by: _groups(of, by, mql, calibration) for by in GROUP_NAMES})
    return compared


def _ranking(tally: Tally) -> dict[str, Any]:
    """The measures of ranking, all null where too few were won or lost."""
    is_enough = min(tally.won.sum(), tally.lost.sum()) >= ENOUGH
    low, high = (measure_auc_interval(tally) if is_enough else None) or (None, None)
    precisions = ((count, measure_precision_at(tally, count)) for count in (10, 50, 100, 500, 1_000, 5_000, 10_000))
    return {
        "auc": measure_auc(tally) if is_enough else None,
        "auc_low": low,
        "auc_high": high,
        "average_precision": measure_average_precision(tally) if is_enough else None,
        "precision_at": [{"people": count, "precision": each} for count, each in precisions if each is not None],
    }


def describe_verdict(document: Mapping[str, Any]) -> str:
    """What the evaluation comes to, in one sentence."""
    auc, low, high = document["auc"], document["auc_low"], document["auc_high"]
    if auc is None:
        few = " and ".join(f"{document[each]:,} {each}" for each in ("won", "lost"))
        return f"Not enough data: {few}; how well a score ranks needs {ENOUGH} of each."
    if auc == 0.5 and low is None:
        return "The score does not tell the won from the lost: all have the same one."
    often = f"{100 * auc:.0f} times in 100"
    if low is not None:
        often += f" (95 %: {100 * low:.0f} to {100 * high:.0f})"
        if low <= 0.5 <= high:
            return f"The score is not shown to tell the won from the lost: it ranks a won person higher {often}."
    if auc < 0.5:
        return f"The score points the wrong way: it ranks a won person above a lost one only {often}."
    return f"The score ranks a won person above a lost one {often}."


def _below_line(above: NDArray[np.bool_], line: str | None) -> dict[str, Any]:
    people = int((~above).sum()) if line is not None else 0
    return {"people": people, "share": divide_counts(people, len(above)) if line is not None else None}


def _suggested_line(of: Evaluation) -> dict[str, Any] | None:
    found = suggest_line(of.judged)
    now = None if of.line is None else of.config.bands[of.line].at
    return None if found is None else {**found._asdict(), "now": now}


def _speed(of: Evaluation) -> dict[str, Any]:
    found, sla = measure_speed_to_lead(of.judged), of.config.sla
    outcomes = [] if sla is None else measure_sla(of.judged, sla.within, of.now)
    return {
        **found._asdict(),
        "buckets": [each._asdict() for each in found.buckets],
        "sla": sla
        and {"within_hours": sla.within.total_seconds() / 3600, "outcomes": [each._asdict() for each in outcomes]},
    }


def _feedback(of: Evaluation) -> dict[str, Any] | None:
    needed = find_line_points(of.judged, of.line)
    tags = of.config.feedback.tags if of.config.feedback else {}
    good = [tag for tag, action in tags.items() if action in ("keep", "task")]
    bad = [tag for tag, action in tags.items() if action == "disqualify"]
    over = is_above(of.judged, of.line) if needed is None else of.judged.total >= needed
    found = measure_feedback(of.judged, over, good, bad)
    if found is None:
        return None
    rate = divide_counts(found.agreed, found.people)
    return {**found._asdict(), "tags": [each._asdict() for each in found.tags], "rate": rate}


def _people_lists(of: Evaluation, above: NDArray[np.bool_], rules: Sequence[RuleLift]) -> dict[str, Any]:
    lists = _find_rows(of, above)
    read = _PersonReader(of, rules)
    shown = {name: None if rows is None else [read.person(name, row) for row in rows[:LISTED]] for name, rows in lists}
    counts = {name: None if rows is None else len(rows) for name, rows in lists}
    return {
        "false_positives": shown["false_positive"],
        "false_positive_count": counts["false_positive"],
        "misses": shown["miss"],
        "miss_count": counts["miss"],
        "stalled": shown["stalled"],
        "stalled_count": counts["stalled"],
    }


def _find_rows(of: Evaluation, above: NDArray[np.bool_]) -> list[tuple[str, list[int] | None]]:
    stalled = find_stalled(of.judged, of.now)
    return [
        ("false_positive", find_false_positives(of.judged, above, of.line).tolist()),
        ("miss", find_misses(of.judged, above).tolist() if of.line is not None else []),
        ("stalled", None if stalled is None else stalled.tolist()),
    ]


def list_reviewed(of: Evaluation) -> Iterator[dict[str, Any]]:
    """Everybody of all lists, with `list`: `false_positive`, `miss` or `stalled`."""
    read = _PersonReader(of, measure_rules(of.judged))
    for name, rows in _find_rows(of, is_above(of.judged, of.line)):
        yield from ({"list": name, **read.person(name, row)} for row in rows or ())


class _PersonReader:
    """Reads single people out of the columns."""

    def __init__(self, of: Evaluation, rules: Sequence[RuleLift]) -> None:
        self.judged, self.bands = of.judged, of.judged.model.band_names()
        self.typical = find_typical(of.judged, np.array([each.won_rate or 0.0 for each in rules]))
        asked = list_rule_fields(of.judged)
        self.asked = [(place, name) for place, name in enumerate(of.judged.fields) if name in asked]

    def person(self, which: str, row: int) -> dict[str, Any]:
        """Somebody of a list."""
        judged = self.judged
        groups = {name: codes_labels.labels[codes_labels.codes[row]] for name, codes_labels in judged.groups.items()}
        tag = int(judged.disqualified[row])
        ended = int(judged.outcome_at[row])
        unknown = [name for place, name in self.asked if not judged.known[row, place]]
        return {
            "person": judged.names[row],
            "score": judged.total[row].item() / 100,
            "band": self.bands[judged.band[row]] if self.bands else None,
            "why": judged.model.disqualify[tag].name if tag >= 0 else WHY[which],
            **{name: groups.get(name, "") for name in ("source", "campaign", "rep")},
            "judged_at": _instant(int(judged.at[row])),
            "outcome_at": None if ended == NEVER else _instant(ended),
            "rules": [{"name": name, "points": points} for name, points in list_given(judged, row)],
            "lacked": list_lacked(judged, row, self.typical, LACKED) if which == "miss" else [],
            "unknown": unknown if which == "miss" else [],
        }


WHY = {
    "false_positive": "above the line and lost",
    "miss": "below the line and won",
    "stalled": "accepted, and no next step for 30 days",
}
"""Why somebody is on a list."""


TOO_GOOD = 0.97
"""Above this AUC something that the outcome brought is likelier than a score that good."""


def _warn_of_hindsight(of: Evaluation, document: Mapping[str, Any]) -> Iterator[str]:
    judged, closed = of.judged, int(of.judged.closed.sum())
    is_late = (judged.handed_off == NEVER) & (judged.outcome_at - judged.at == 1)
    late = int((judged.closed & is_late).sum())
    if late:
        yield (
            f"{late:,} of {closed:,} people with an outcome have no hand-off and were judged the second before it: "
            "what they did while sales worked on them counts, so the score looks better than it was. Give "
            "handed_off_at."
        )
    if document["auc"] is not None and document["auc"] > TOO_GOOD:
        yield (
            "Hardly a score is that good: look for a rule that reads what only an outcome brings, such as a contract "
            "or a customer's stage."
        )


def _warn_of_gaps(gaps: Sequence[Gap]) -> Iterator[str]:
    for each in gaps:
        if not each.is_telling:
            continue
        within = "too few can be compared who were judged after about as many days"
        if each.auc_within is not None:
            within = (
                f"among people judged after about as many days the score is right {100 * each.auc_within:.0f} times"
            )
        yield (
            f"The won were judged {count_of(round(each.won_days), 'day')} after their {each.since} and the lost "
            f"{each.lost_days:,.0f} (medians): that alone tells them apart {_often(each.auc)} times in 100; {within}."
        )


def _often(auc: float) -> str:
    return f"{100 * max(auc, 1 - auc):.0f}"


def _warn_of_definitions(of: Evaluation) -> Iterator[str]:
    first, last = int(of.judged.at.min()), int(of.judged.at.max())
    for at, what in of.definitions:
        if first < at <= last:
            yield f"Since {_instant(at)[:10]} a definition is another one ({what}): do not compare before with after."


def _instant(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _round(value: Any) -> Any:
    """Six decimals are plenty, and the same on every machine."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: _round(each) for name, each in value.items()}
    return [_round(each) for each in value] if isinstance(value, list) else value
