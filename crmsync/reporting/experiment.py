"""The document about an experiment: its arms, and what may be said of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from crmsync.config import Config
from crmsync.config.experiment import Experiment
from crmsync.config.outcome import OutcomeRules
from crmsync.counts import count_of
from crmsync.errors import ConfigError
from crmsync.evaluation.cases import Cases, judge_cases
from crmsync.evaluation.experiment import Arm, ArmComparison, compare_arms, read_arm_people
from crmsync.evaluation.line import find_line
from crmsync.evaluation.proportions import divide_counts, wilson_interval

SAID = {
    "won": "were won",
    "accepted": "were accepted",
    "opportunity": "came to an opportunity",
    "meeting": "came to a meeting",
}
"""What people of a metric did."""


def choose_experiment(config: Config, name: str | None) -> str:
    """The experiment of this name, or the only one. Raises `ConfigError` where there is none, or several."""
    names = list(config.experiment)
    if not names:
        raise ConfigError("the config has no experiment; add for example [experiment.line] with arms, start and size")
    if name is None and len(names) > 1:
        raise ConfigError(f"say which experiment: {', '.join(names)}")
    if name is not None and name not in names:
        raise ConfigError(f"there is no experiment {name!r}; the config has {', '.join(names)}")
    return name or names[0]


def experiment_document(config: Config, name: str, parts: Iterable[Cases], now: datetime) -> dict[str, Any]:
    """How an experiment of the config stands, by cases that are read some at a time; `now` is aware."""
    experiment, rules = config.experiment[name], config.outcome or OutcomeRules()
    line = find_line(config, rules.line)
    until, horizon = int(now.timestamp()), int(rules.horizon.total_seconds())
    people = [
        read_arm_people(
            name, experiment, config, cases, judge_cases(config, cases, config.zone), line, config.zone, until, horizon
        )
        for cases in parts
    ]
    found = compare_arms(experiment, people, config.zone, until)
    shares = experiment.shares()
    return {
        "experiment": name,
        "metric": experiment.metric,
        "start": experiment.start.isoformat(),
        "until": experiment.until.isoformat() if experiment.until else None,
        "wash_out_days": experiment.wash_out.total_seconds() / 86_400,
        "size": experiment.size,
        "verdict": found.verdict,
        "why": _why(experiment, found),
        "arms": [_arm(experiment, each, shares[each.name]) for each in found.arms],
        "z": found.z,
        "p": found.p,
        "before": found.before,
        "washed_out": found.washed_out,
        "open": found.open,
        "problems": [],
        "warnings": [],
    }


def _arm(experiment: Experiment, arm: Arm, share: float) -> dict[str, Any]:
    low, high = wilson_interval(arm.hits, arm.people)
    return {
        **arm._asdict(),
        "line": experiment.arms[arm.name],
        "share": share,
        "rate": divide_counts(arm.hits, arm.people),
        "low": low,
        "high": high,
        "missing": max(0, (experiment.size or 0) - arm.people),
    }


def _why(experiment: Experiment, found: ArmComparison) -> str:
    did = SAID[experiment.metric]
    if not found.measured:
        return f"Not enough data: nothing here says who {did}, so that the arms cannot be compared."
    if found.verdict == "not_enough":
        return _missing(experiment, found)
    rates = ", ".join(
        f"{100 * each.hits / each.people:.1f} % of {each.people:,} in {each.name}" for each in found.arms if each.people
    )
    said = f"{rates} {did}"
    chance = "" if found.z is None or found.p is None else f" (z {abs(found.z):.2f}, p {found.p:.4f})"
    if found.verdict == "no_difference":
        told = f"No difference that chance alone would not make: {said}{chance}."
    else:
        told = f"Arm {found.verdict} is better: {said}{chance}."
    if not experiment.has_lines:
        return told
    # A higher line hands over fewer and better people, whoever they are: the rate alone always favors it.
    whole = ", ".join(f"{each.assigned_hits:,} of {each.assigned:,} in {each.name}" for each in found.arms)
    return f"{told} A higher line always has the better rate; of everybody who came, {whole} {did}."


def _missing(experiment: Experiment, found: ArmComparison) -> str:
    if experiment.size is None:
        return f"Not enough data: the arms are compared after {experiment.until}, once all is known of everybody."
    lacking = ", ".join(
        f"{experiment.size - each.people:,} in {each.name}" for each in found.arms if each.people < experiment.size
    )
    if not lacking:
        return "Not enough data: nobody came to the metric, or everybody did."
    wanted = count_of(experiment.size, "person")
    return f"Not enough data: {lacking} are missing of {wanted} an arm. No winner before that."
