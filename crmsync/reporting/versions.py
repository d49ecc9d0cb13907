"""Versions of the model: what changed, who made and approved it, why, and what came of a loosening."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.difference import compare_configs
from crmsync.config.load import config_of
from crmsync.counts import count_of, format_date
from crmsync.errors import ConfigError
from crmsync.evaluation.line import find_line, stages_from_line
from crmsync.evaluation.loosening import (
    LONGEST,
    Leaning,
    LooseningEffect,
    find_leanings,
    find_quarter_end,
    is_at_quarter_end,
    list_loosenings,
    measure_effect,
)
from crmsync.reporting.numbers import describe_accepted
from crmsync.store.sql import from_ms, to_ms
from crmsync.store.versions import ModelVersion, list_model_versions, read_line_entries

Typed = Callable[[str], str]

EPOCH = date(1970, 1, 1)

LOOKED_AT = 20
"""Versions among which the status looks for loosenings, and for those without a reason."""

NAMED_FOR = timedelta(days=92)
"""How long the status asks for the reason of a version."""


class VersionEdit(NamedTuple):
    """A version and what it changed: `leanings` and `said` are `None` where the one before cannot be read any more."""

    version: ModelVersion
    before: ModelVersion | None
    config: Config | None
    said: Sequence[str] | None
    leanings: Sequence[Leaning] | None


class Loosening(NamedTuple):
    """A version that lets more people over the line and was adopted near the end of a quarter, and what came of it."""

    version: ModelVersion
    day: date
    quarter_end: date
    line: str | None
    changes: Sequence[str]
    effect: LooseningEffect | None


def read_version_edits(config: Config, reading: Connection) -> Iterator[VersionEdit]:
    """The versions, newest first, with what each changed; the first of all changed nothing."""
    versions = list_model_versions(reading)
    for version, before in zip(versions, [*versions[1:], None], strict=False):
        yield _compare_versions(config, version, before)


def _compare_versions(config: Config, version: ModelVersion, before: ModelVersion | None) -> VersionEdit:
    now, was = _parse(version.text, config), None if before is None else _parse(before.text, config)
    if now is None or was is None:
        return VersionEdit(version, before, now, None, None)
    said = [f"{each.table} {each.said}" for each in compare_configs(was, now)]
    return VersionEdit(version, before, now, said, find_leanings(was, now))


def _parse(text: str, config: Config) -> Config | None:
    """The config of a version; `None` where this version of crmsync does not take it any longer."""
    if not text:
        return None
    try:
        return config_of(text, config)
    except ConfigError:
        return None


def models_document(config: Config, reading: Connection, noted: str | None = None) -> dict[str, Any]:
    """What `crmsync models` prints: the versions, newest first; `noted` is the hash of one that was just noted."""
    models = [_model(each) for each in read_version_edits(config, reading)]
    return {"models": models, "count": len(models), "noted": noted}


def find_definitions(config: Config, reading: Connection) -> list[tuple[int, str]]:
    """When the line or what it takes to reach it was another one from then on (seconds), and what changed."""
    return [
        (edit.version.at // 1_000, "; ".join(each.said for each in edit.leanings))
        for edit in read_version_edits(config, reading)
        if edit.leanings
    ]


def _model(edit: VersionEdit) -> dict[str, Any]:
    leanings = edit.leanings
    return {
        **_version(edit.version),
        "first": edit.before is None,
        "changes": None if edit.said is None else list(edit.said),
        "loosens": None if leanings is None else list_loosenings(leanings),
        "tightens": None if leanings is None else [each.said for each in leanings if each.direction == "tightens"],
    }


def _version(version: ModelVersion) -> dict[str, Any]:
    return {
        "hash": version.hash,
        "at": from_ms(version.at).isoformat(),
        "author": version.author,
        "approver": version.approver,
        "reason": version.reason,
        "commit": version.commit_id,
    }


def find_loosenings(config: Config, reading: Connection, now: datetime) -> list[Loosening]:
    """Versions that loosened near the end of a quarter, until four weeks after that end, newest first."""
    review, found = config.review, []
    first_month = int(review.fiscal_year)
    versions = list_model_versions(reading, LOOKED_AT + 1)
    for version, before in pairwise(versions):
        day = from_ms(version.at).astimezone(config.zone).date()
        end = find_quarter_end(day, first_month)
        if now.astimezone(config.zone).date() > end + LONGEST:
            break  # those before are older still
        if not is_at_quarter_end(day, review.quarter_end, first_month):
            continue
        edit = _compare_versions(config, version, before)
        if changes := list_loosenings(edit.leanings or ()):
            line = find_line(edit.config, _line_name(config, edit.config)) if edit.config is not None else None
            effect = _read_effect(config, edit.config, line, reading, version.at, now)
            found.append(Loosening(version, day, end, line, changes, effect))
    return found


def _line_name(config: Config, of: Config) -> str | None:
    line = config.outcome.line if config.outcome else None
    return line if line in of.band_names() else None


def _read_effect(
    config: Config, of: Config | None, line: str | None, reading: Connection, at: int, now: datetime
) -> LooseningEffect | None:
    """How many came over the line before and after, and how many of them were accepted where `[outcome]` says what is.

    `None` where nobody knows.
    """
    if of is None or line is None:
        return None
    names = of.band_names()
    span = int(LONGEST.total_seconds() * 1000)
    accepting, pipelines = (config.outcome.accepted, config.outcome.pipelines) if config.outcome else ([], [])
    bands = names[names.index(line) :]
    stages = stages_from_line(of)
    entries = read_line_entries(reading, bands, stages, at - span, to_ms(now), accepting, pipelines)
    entered = [came // 1000 for came, _taken in entries]
    accepted = [None if taken is None else taken // 1000 for _came, taken in entries]
    known = accepted if config.outcome is not None else None
    return measure_effect(entered, known, at // 1000, int(now.timestamp()))


ACCEPTED_WITHIN = timedelta(days=91)
"""Of whom status and plans say how many sales has accepted: who came over the line in these days."""


def accepted_document(config: Config, reading: Connection, now: datetime) -> dict[str, Any] | None:
    """How many came over the line lately and were accepted: beside each count of them, in words too.

    `None` without `[outcome]`, which says what accepted means, or without bands.
    """
    line = find_line(config, config.outcome.line) if config.outcome else None
    if config.outcome is None or line is None:
        return None
    names = config.band_names()
    bands, stages = names[names.index(line) :], stages_from_line(config)
    since, rules = to_ms(now - ACCEPTED_WITHIN), config.outcome
    entries = read_line_entries(reading, bands, stages, since, to_ms(now), rules.accepted, rules.pipelines)
    accepted = sum(taken is not None for _came, taken in entries)
    return {
        "line": line,
        "days": ACCEPTED_WITHIN.days,
        "people": len(entries),
        "accepted": accepted,
        "said": f"Over the line ({line}) in the last {ACCEPTED_WITHIN.days} days: "
        f"{describe_accepted(len(entries), accepted)}.",
    }


def governance_document(config: Config, reading: Connection, now: datetime, typed: Typed) -> dict[str, Any]:
    """The version in use, those without a reason, and those that loosened near the end of a quarter."""
    edits = list_model_versions(reading, LOOKED_AT)
    since = to_ms(now - NAMED_FOR)
    # The first of all changed nothing that needs a reason.
    later = edits[:-1]
    return {
        "current": _version(edits[0]) if edits else None,
        "without_reason": [
            {"hash": each.hash, "at": from_ms(each.at).isoformat(), "next": reason_command(each.hash, typed)}
            for each in later
            if not each.reason and each.at >= since
        ],
        "loosened": [loosening_document(each) for each in find_loosenings(config, reading, now)],
    }


def reason_command(config_hash: str, typed: Typed) -> str:
    """The command that notes why a version was made."""
    return f'{typed(f"crmsync models note {config_hash}")} --reason "why"'


def loosening_document(each: Loosening) -> dict[str, Any]:
    """A loosening with its numbers; what nobody knows is `None`."""
    effect = each.effect
    before, after = effect.rates if effect else (None, None)
    return {
        **_version(each.version),
        "changes": list(each.changes),
        "quarter_end": each.quarter_end.isoformat(),
        "line_band": each.line,
        "days": effect.days if effect else None,
        "mql_before": effect.mql_before if effect else None,
        "mql_after": effect.mql_after if effect else None,
        "accepted_before": before,
        "accepted_after": after,
        "said": describe_loosening(each),
    }


def describe_loosening(each: Loosening) -> str:
    """A loosening in a sentence: what, when, by whom, how near the end of the quarter, and what came of it."""
    left = (each.quarter_end - each.day).days
    when = "on the last day" if left == 0 else f"{count_of(left, 'day')} before the end"
    by = f" by {each.version.author}" if each.version.author else ""
    changes = "; ".join(each.changes)
    said = f"{changes} on {format_date((each.day - EPOCH).days)}{by}, {when} of the quarter."
    return f"{said} {describe_effect(each.effect, each.line)}"


def describe_effect(effect: LooseningEffect | None, line: str | None) -> str:
    """People over the line before and after a change, never without how many were accepted."""
    if effect is None:
        return "What it does is known after a day."
    before = describe_accepted(effect.mql_before, effect.accepted_before)
    after = describe_accepted(effect.mql_after, effect.accepted_after)
    growth = "" if effect.growth is None else f", {effect.growth * 100:+.0f} %"
    return f"New in {line} or above in the {count_of(effect.days, 'day')} before and after: {before} → {after}{growth}."


def describe_version(each: Mapping[str, Any]) -> str:
    """Who made and approved a version, in words."""
    parts = [f"by {each['author']}" if each["author"] else "author not known"]
    parts += [f"approved by {each['approver']}"] if each["approver"] else []
    parts += [f"commit {each['commit']}"] if each["commit"] else []
    return ", ".join(parts)
