"""Which lead score of a CRM a first config is to score like, and what was taken over of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from crmsync.bootstrap import connect_one
from crmsync.cli.command import Ending
from crmsync.config.from_lead_score import count_rules, reachable_levels, write_from_score
from crmsync.config.load import load_text
from crmsync.config.starter import Starter, write_first_config
from crmsync.connector import LeadScore, LeadScores, ScoreSummary
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.errors import ConfigError, Unavailable
from crmsync.reporting.console import make_printable, print_sentences
from crmsync.scoring.whatif.bounds import most_total

OPTION = "--from-hubspot-score"
CRM = "hubspot"

T = TypeVar("T")


def read_chosen_score(
    start: Starter, path: Path, wanted: str, not_tried: Mapping[str, str], ending: Ending
) -> LeadScore:
    """The score that is meant by its id or name. Raises `Unavailable` where it cannot be read, and `ConfigError` where
    there is none or it does not score people.
    """
    if CRM in not_tried:
        raise Unavailable(CRM, f"{OPTION} needs a connection to HubSpot, and nothing was written: {not_tried[CRM]}")
    config = load_text(write_first_config(start), path)
    with raise_stop_on_signals(1, ending.cut_off) as stop, connect_one(config, CRM, {}, stop) as connected:
        assert isinstance(connected, LeadScores)
        scores = list(_ask(connected.list_lead_scores))
        score_id = _id_of(wanted, scores)
        found = _ask(lambda: connected.read_lead_score(score_id))
        if found is None:
            raise ConfigError(_list_scores(f"HubSpot has no lead score {wanted!r}", scores))
        return found


def _ask(question: Callable[[], T]) -> T:
    """An answer. Raises `Unavailable` where a credential or the subscription does not allow it: no config is wrong."""
    try:
        return question()
    except ConfigError as error:
        raise Unavailable(CRM, f"{'; '.join(error.problems)} (nothing was written)") from error


def _id_of(wanted: str, scores: list[ScoreSummary]) -> str:
    """The id of the score with this id or name; of one that is not listed yet the id is taken as it is.

    Raises `ConfigError` where there is none, or there are several.
    """
    named = [each for each in scores if each.id == wanted] or [each for each in scores if each.name == wanted]
    if len(named) > 1:
        raise ConfigError(_list_scores(f"HubSpot has {len(named)} lead scores with the name {wanted!r}", named))
    if not named and not (wanted.isascii() and wanted.isdecimal()):
        raise ConfigError(_list_scores(f"HubSpot has no lead score {wanted!r}", scores))
    if named and not named[0].of_people:
        said = f"the lead score {named[0].name!r} scores {named[0].scores}, and crmsync scores people"
        raise ConfigError(_list_scores(said, scores))
    return named[0].id if named else wanted


def _list_scores(said: str, scores: list[ScoreSummary]) -> list[str]:
    if not scores:
        return [f"{said}: the portal has none (Marketing → Lead Scoring)"]
    listed = [f"  {each.id}   {make_printable(each.name)} (scores {each.scores})" for each in scores]
    return [f"{said}; give {OPTION} one of these ids or names:", *listed]


def write_like_score(start: Starter, path: Path, score: LeadScore) -> tuple[str, dict[str, Any]]:
    """The config that scores like it, and the part of a document about it. Raises `ConfigError` where it has no rules
    that give points.
    """
    written = load_text(write_from_score(start, score, CRM), path)
    most = most_total(written, None)[2] / 100
    if most <= 0:
        left = [f"  {each.name}: {each.reason}" for each in score.not_imported]
        raise ConfigError([f"no rule of the lead score {score.name!r} that gives points can be taken over", *left])
    return write_from_score(start, score, CRM, most), {"lead_score": describe_score(score, most)}


def describe_score(score: LeadScore, most: float) -> dict[str, Any]:
    """What was taken over of a score that gives at most so many points here, as plain values."""
    differences = [(each.rule["name"], each.difference) for each in score.rules if each.difference]
    return {
        "id": score.id,
        "name": score.name,
        "field": score.field or None,
        "rules": len(score.rules),
        "not_imported": [
            {"rule": each.name, "reason": each.reason, "remedy": each.remedy} for each in score.not_imported
        ],
        "differences": [{"rule": str(name), "said": said} for name, said in differences],
        "has_levels": bool(reachable_levels(score, most)),
        "notes": list(score.notes),
    }


def print_score(console: Console, document: Mapping[str, Any]) -> None:
    """The same in words."""
    said = make_printable(document)
    counted = count_rules(said["rules"], len(said["not_imported"]))
    print_sentences(console, f"Lead score {said['name']!r} (id {said['id']}): {counted}.")
    for each in said["not_imported"]:
        print_sentences(console, f"  Not taken over: {each['rule']}: {each['reason']}. What to do: {each['remedy']}.")
    for each in said["differences"]:
        print_sentences(console, f"  May differ: {each['rule']}: {each['said']}.")
    for each in said["notes"]:
        print_sentences(console, f"  {each}.")
    if not said["has_levels"]:
        print_sentences(
            console,
            "  No levels of the score can be used: the bands are quarters of the most it can be; choose your own.",
        )
    if said["field"]:
        print_sentences(console, f"`crmsync plan` compares its points ({said['field']}) with ours, person by person.")
