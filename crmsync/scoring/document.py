"""What scoring says of people, as documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from crmsync.columns import Columns
from crmsync.config.model import Model
from crmsync.scoring.engine import score
from crmsync.scoring.explanation.gaps import find_gaps, find_warnings
from crmsync.scoring.explanation.lines import explain_scores
from crmsync.scoring.explanation.summary import summarize_many
from crmsync.scoring.ledger import Scores
from crmsync.scoring.people_json import ParsedPerson, columns_of_parsed, parse_people
from crmsync.scoring.scored_people import ScoredPeople, choose_people
from crmsync.scoring.whatif.forecast import forecast_bands
from crmsync.scoring.whatif.next_band import find_next_bands
from crmsync.scoring.whatif.ranges import possible_ranges
from crmsync.scoring.wording import to_points


def score_people(
    model: Model, people: Sequence[Mapping[str, Any]], now: datetime, zone: tzinfo
) -> Iterator[dict[str, Any]]:
    """A document for each person, in their order, with the keys of an explanation but nothing that a CRM would know.

    People are written as `parse_person` reads them. Raises `ConfigError` with every mistake.
    """
    yield from score_parsed(model, parse_people(people, model.band_names()), now, zone)


def score_parsed(model: Model, people: Sequence[ParsedPerson], now: datetime, zone: tzinfo) -> Iterator[dict[str, Any]]:
    """What `score_people` says of people who are read already."""
    previous = [person.previous for person in people]
    return score_columns(model, columns_of_parsed(people), [person.id for person in people], previous, now, zone)


def score_columns(
    model: Model, columns: Columns, ids: Sequence[Any], previous: Sequence[str | None], now: datetime, zone: tzinfo
) -> Iterator[dict[str, Any]]:
    """What `score_people` says of people who are in columns already, and are called by these ids."""
    scores = score(model, columns, now, zone, previous)
    scored = choose_people(model, scores, columns, range(len(ids)), now, zone)
    stages = columns.fields.get("stage") or [None] * len(ids)
    for person, stage, said in zip(ids, stages, person_documents(scored), strict=True):
        yield {"person": person, "refs": [], **said, "stage": stage, "owner": None}


def person_documents(scored: ScoredPeople) -> Iterator[dict[str, Any]]:
    """Everything scoring says of each, as plain values for JSON."""
    model, scores, rows = scored.model, scored.scores, scored.rows.tolist()
    said = (explain_scores(scored), find_gaps(scored), find_warnings(scored), summarize_many(model, scores, rows))
    foreseen = (forecast_bands(scored), find_next_bands(scored), possible_ranges(scored))
    for row, lines, gaps, warnings, reason, until, missing, range_ in zip(rows, *said, *foreseen, strict=True):
        yield {
            **result_of(model, scores, row),
            "lines": lines,
            "gaps": gaps,
            "warnings": warnings,
            "reason": reason,
            "until": until and {"at": until.at.isoformat(), "band": until.band, "said": until.said},
            "next": missing and {"band": missing.band, "points": missing.points, "said": missing.said},
            "range": {"lowest": range_.lowest, "highest": range_.highest, "bands": list(range_.bands)},
        }


def result_of(model: Model, scores: Scores, row: int) -> dict[str, Any]:
    """The results of one person by name: points, band, grade, grid, segment …; `None` where there is none."""
    grade = _named(list(model.grades), scores.grade[row])
    level = _named(list(model.grid), scores.level[row])
    return {
        "fit": to_points(int(scores.fit[row])),
        "behavior": to_points(int(scores.behavior[row])),
        "total": to_points(int(scores.total[row])),
        "band": _named(model.band_names(), scores.band[row]),
        "grade": grade,
        "grid": f"{grade}{level}" if grade and level else None,
        "segment": _named([each.name for each in model.segment], scores.segment[row]),
        "disqualified": _named([each.name for each in model.disqualify], scores.disqualified[row]),
        "qualified": [False, None, True][scores.qualified[row]] if model.qualification else None,
        "channels": {name: to_points(int(points[row])) for name, points in scores.channels.items()},
    }


def _named(names: Sequence[str], number: int) -> str | None:
    return names[number] if number >= 0 else None
