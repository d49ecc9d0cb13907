"""Test leads: people of the config file whose band or points are known beforehand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from crmsync.columns import Columns
from crmsync.config.mistakes import Mistake
from crmsync.config.model import ROUTING_GIVEN, Golden, Model
from crmsync.config.tables import read_duration
from crmsync.errors import ConfigError
from crmsync.scoring.document import result_of
from crmsync.scoring.engine import score
from crmsync.scoring.explanation.lines import explain_scores
from crmsync.scoring.ledger import Scores
from crmsync.scoring.people_json import columns_of_parsed, parse_person
from crmsync.scoring.scored_people import choose_people
from crmsync.scoring.wording import to_points

GOLDEN_NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
"""The instant of a test lead that does not name one: a Thursday noon."""


def failed_tests(model: Model, zone: tzinfo = UTC) -> list[Mistake]:
    """What is wrong with the test leads: a sentence for each that fails, with the rules that made its score."""
    return [
        Mistake(loc, sentence, itself=True)
        for loc, test in model.placed("test")
        for sentence in golden_failures(model, test, zone)
    ]


def golden_failures(model: Model, test: Golden, zone: tzinfo) -> list[str]:
    """What one test lead should be and is not (stage, owner and track are not scoring's to check)."""
    now = test.at or GOLDEN_NOW
    try:
        columns = _golden_columns(model, test, now)
    except ConfigError as error:
        return [f"test lead {test.name!r}: {problem}" for problem in error.problems]
    scores = score(model, columns, now, zone, [test.previous])
    got = result_of(model, scores, 0)
    (lines,) = explain_scores(choose_people(model, scores, columns, [0], now, zone))
    wanted = test.expect.model_dump(exclude_none=True, exclude={"lines", "stage", "owner", "track"})
    wrong = [
        f"{name} is {got[name]!r}, expected {_plainly(value)!r}" for name, value in wanted.items() if got[name] != value
    ]
    wrong += _pinned(scores, test)
    told = ", ".join(f"{line['rule']} {line['points']:+}" for line in lines) or "no rule matches"
    return [f"test lead {test.name!r}: {'; '.join(wrong)} (points: {told})"] if wrong else []


def score_golden(model: Model, test: Golden, zone: tzinfo) -> tuple[Scores, Columns]:
    """The score of a test lead, and the columns it rests on. Raises `ConfigError` where it is not written right."""
    now = test.at or GOLDEN_NOW
    columns = _golden_columns(model, test, now)
    return score(model, columns, now, zone, [test.previous]), columns


def _golden_columns(model: Model, test: Golden, now: datetime) -> Columns:
    return columns_of_parsed([parse_person(golden_person(test, now, model.count_fields()))])


def _plainly(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pinned(scores: Scores, test: Golden) -> Iterator[str]:
    given: dict[str, int] = {}
    for line, points in zip(scores.lines, scores.points, strict=True):
        if line.sort in ("rule", "decay", "cap"):
            given[line.about] = given.get(line.about, 0) + int(points[0])
        elif line.sort == "learned":
            given.setdefault(line.name, int(points[0]))
    for name, wanted in test.expect.lines.items():
        if name not in given:
            yield f"there is no rule {name!r}"
        elif given[name] != round(wanted * 100):
            yield f"the rule {name!r} gives {to_points(given[name])}, expected {wanted:.15g}"


def golden_person(test: Golden, now: datetime, counts: Collection[str] = ()) -> dict[str, Any]:
    """A test lead in the form of `columns_of`; `counts` are fields of the account: `account_users = 8`."""
    given = {name: value for name, value in test.given.items() if name not in ROUTING_GIVEN}
    given = {written if (written := name.replace("_", ".", 1)) in counts else name: it for name, it in given.items()}
    activities = [each for written in given.pop("activities", []) for each in _repeated(written, now)]
    return {"id": test.name, "fields": given, "activities": activities}


def _repeated(written: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    """An activity of a test lead, `times` of them a second apart."""
    rest = dict(written)
    kind, ago, times = rest.pop("kind"), rest.pop("ago", "0d"), rest.pop("times", 1)
    first = now - read_duration(ago)
    return [{"kind": kind, "at": first - timedelta(seconds=number), "attributes": rest} for number in range(times)]
