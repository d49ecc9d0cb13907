"""What scoring says of people, as documents, and whether it says of golden leads what it should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from pydantic import TypeAdapter

from crmsync.columns import Columns
from crmsync.config.model import Golden, Model
from crmsync.config.tables import Duration
from crmsync.errors import ConfigError
from crmsync.scoring.engine import score
from crmsync.scoring.explain import explain_many
from crmsync.scoring.gaps import gaps_many, warnings_many
from crmsync.scoring.lasting import ahead
from crmsync.scoring.ledger import Scores
from crmsync.scoring.missing import short_many
from crmsync.scoring.ranges import possible_many
from crmsync.scoring.reasons import reasons
from crmsync.scoring.words import plain
from crmsync.scoring.written import Written, all_written, columns_of, columns_written

GOLDEN_NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
"""The instant of a golden lead that does not name one: a Thursday noon."""

_DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)


def score_people(
    model: Model, people: Sequence[Mapping[str, Any]], now: datetime, zone: tzinfo
) -> Iterator[dict[str, Any]]:
    """A document for each person, in their order, with the keys of an explanation but nothing that a CRM would know.

    People are written as `written` reads them. Raises `ConfigError` with every mistake.
    """
    yield from score_written(model, all_written(people, model.band_names()), now, zone)


def score_written(model: Model, people: Sequence[Written], now: datetime, zone: tzinfo) -> Iterator[dict[str, Any]]:
    """What `score_people` says of people who are read already."""
    columns = columns_written(people)
    scores = score(model, columns, now, zone, [person.previous for person in people])
    for person, said in zip(people, documents(model, scores, columns, range(len(people)), now, zone), strict=True):
        yield {"person": person.id, "refs": [], **said, "stage": person.fields.get("stage"), "owner": None}


def document(model: Model, scores: Scores, columns: Columns, row: int, now: datetime, zone: tzinfo) -> dict[str, Any]:
    """Everything scoring says of one person, as plain values for JSON."""
    return next(documents(model, scores, columns, [row], now, zone))


def documents(
    model: Model, scores: Scores, columns: Columns, rows: Sequence[int], now: datetime, zone: tzinfo
) -> Iterator[dict[str, Any]]:
    """What `document` says, for each of some people."""
    asked = (model, scores, columns, rows, now, zone)
    odd = warnings_many(model, columns, rows)
    said = (explain_many(*asked), gaps_many(model, columns, rows), odd, reasons(model, scores, rows))
    foreseen = (ahead(*asked), short_many(*asked), possible_many(*asked))
    for row, lines, gaps, warnings, reason, until, missing, range_ in zip(rows, *said, *foreseen, strict=True):
        yield {
            **result(model, scores, row),
            "lines": lines,
            "gaps": gaps,
            "warnings": warnings,
            "reason": reason,
            "until": until and {"at": until.at.isoformat(), "band": until.band, "said": until.said},
            "next": missing and {"band": missing.band, "points": missing.points, "said": missing.said},
            "range": {"lowest": range_.lowest, "highest": range_.highest, "bands": list(range_.bands)},
        }


def result(model: Model, scores: Scores, row: int) -> dict[str, Any]:
    """The results of one person by name: points, band, grade, grid, segment …; `None` where there is none."""
    grade = _named(list(model.grades), scores.grade[row])
    level = _named(list(model.grid), scores.level[row])
    return {
        "fit": plain(int(scores.fit[row])),
        "behavior": plain(int(scores.behavior[row])),
        "total": plain(int(scores.total[row])),
        "band": _named(model.band_names(), scores.band[row]),
        "grade": grade,
        "grid": f"{grade}{level}" if grade and level else None,
        "segment": _named([each.name for each in model.segment], scores.segment[row]),
        "disqualified": _named([each.name for each in model.disqualify], scores.disqualified[row]),
        "qualified": [False, None, True][scores.qualified[row]] if model.qualification else None,
        "channels": {name: plain(int(points[row])) for name, points in scores.channels.items()},
    }


def _named(names: Sequence[str], number: int) -> str | None:
    return names[number] if number >= 0 else None


def golden(model: Model, zone: tzinfo = UTC) -> list[str]:
    """What is wrong with the golden leads: a sentence for each that fails, with the rules that made its score."""
    return [sentence for test in model.test for sentence in golden_failures(model, test, zone)]


def golden_failures(model: Model, test: Golden, zone: tzinfo) -> list[str]:
    """What one golden lead should be and is not (the stage and the owner are not scoring's to check)."""
    now = test.at or GOLDEN_NOW
    try:
        columns = columns_of([golden_person(test, now)])
    except ConfigError as error:
        return [f"test {test.name!r}: {problem}" for problem in error.problems]
    scores = score(model, columns, now, zone, [test.previous])
    got = result(model, scores, 0)
    (lines,) = explain_many(model, scores, columns, [0], now, zone)
    wanted = test.expect.model_dump(exclude_none=True, exclude={"lines", "stage", "owner"})
    wrong = [
        f"{name} is {got[name]!r}, expected {_plainly(value)!r}" for name, value in wanted.items() if got[name] != value
    ]
    wrong += _pinned(scores, test)
    told = ", ".join(f"{line['rule']} {line['points']:+}" for line in lines) or "no rule gave points"
    return [f"test {test.name!r}: {'; '.join(wrong)} (the rules: {told})"] if wrong else []


def golden_band(model: Model, test: Golden, zone: tzinfo) -> str:
    """The band that a golden lead comes to. Raises `ConfigError` where it is not written right."""
    now = test.at or GOLDEN_NOW
    columns = columns_of([golden_person(test, now)])
    scores = score(model, columns, now, zone, [test.previous])
    return model.band_names()[int(scores.band[0])]


def _plainly(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pinned(scores: Scores, test: Golden) -> Iterator[str]:
    given: dict[str, int] = {}
    for line, points in zip(scores.lines, scores.points, strict=True):
        if line.sort in ("rule", "decay", "cap"):
            given[line.about] = given.get(line.about, 0) + int(points[0])
    for name, wanted in test.expect.lines.items():
        if name not in given:
            yield f"there is no rule {name!r}"
        elif given[name] != round(wanted * 100):
            yield f"the rule {name!r} gives {plain(given[name])}, expected {wanted:.15g}"


def golden_person(test: Golden, now: datetime) -> dict[str, Any]:
    """A golden lead in the form of `columns_of`."""
    given = dict(test.given)
    activities = [each for written in given.pop("activities", []) for each in _repeated(written, now)]
    return {"id": test.name, "fields": given, "activities": activities}


def _repeated(written: Any, now: datetime) -> list[dict[str, Any]]:
    """An activity of a golden lead, `times` of them a second apart."""
    if not isinstance(written, Mapping):
        return [{}]
    rest = dict(written)
    kind, ago, times = rest.pop("kind", None), rest.pop("ago", "0d"), rest.pop("times", 1)
    try:
        first = now - _DURATION.validate_python(ago)
    except ValueError:
        return [{}]
    return [
        {"kind": kind, "at": first - timedelta(seconds=number), "attributes": rest} if kind else {}
        for number in range(times)
    ]
