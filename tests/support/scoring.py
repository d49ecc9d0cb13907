"""What the scoring tests share: a model from a few lines, one person, and what became of them."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from crmsync.config import load
from crmsync.config.model import Model
from crmsync.scoring import choose_people, columns_of, person_documents, score, score_people

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "examples"


def model(text="", **tables):
    """A model from TOML and from tables as Python values."""
    return Model(**{**tomllib.loads(text), **tables})


@cache
def example(name):
    return load(EXAMPLES / f"{name}.toml")


def did(kind, ago=0, times=1, **attributes):
    """An activity (or several, a second apart) so many days ago."""
    start = NOW - timedelta(days=ago)
    return [
        {"kind": kind, "at": (start - timedelta(seconds=number)).isoformat(), "attributes": attributes}
        for number in range(times)
    ]


def person(*activities, previous=None, **fields):
    return {
        "id": "one",
        "fields": fields,
        "activities": [each for some in activities for each in some],
        "previous": previous,
    }


def one(of, *activities, now=NOW, zone=UTC, previous=None, **fields):
    """The document of one person."""
    return next(score_people(of, [person(*activities, previous=previous, **fields)], now, zone))


def foreseen(of, *activities, now=NOW, zone=UTC, **fields):
    """The document of one person with what lies ahead."""
    columns = columns_of([person(*activities, **fields)])
    return next(person_documents(choose_people(of, score(of, columns, now, zone), columns, [0], now, zone)))


def total(of, *activities, now=NOW, zone=UTC, **fields):
    """The written total of one person, without its explanation (which takes longer)."""
    columns = columns_of([person(*activities, **fields)])
    return int(score(of, columns, now, zone).total[0]) / 100


def points(document):
    return {line["rule"]: line["points"] for line in document["lines"]}


def fit_rule(points=10, name="fit", **when):
    return {"name": name, "points": points, "when": when}


def behavior_rule(on="page_viewed", points=10, name="acted", **more):
    return {"name": name, "points": points, "on": on, **more}
