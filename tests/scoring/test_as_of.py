"""Scores as of an instant of each person's own: the same as if each were scored alone, and blind to what came after."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmsync.columns import Columns
from crmsync.scoring import score, score_as_of
from crmsync.scoring.values import take_rows
from tests.support.rich_model import PEOPLE, RICH
from tests.support.scoring_strategies import NOW, ZONES, models, people
from tests.support.scoring_strategies import columns_of as columns_of_pairs

zones = st.sampled_from(ZONES)
NAMES = ("fit", "behavior", "total", "band", "grade", "level", "segment", "disqualified", "qualified")
often = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def instants_of(data, people):
    seconds = st.integers(0, 400 * 86_400).map(lambda ago: int(NOW.timestamp()) - ago)
    return np.array([data.draw(seconds) for _ in people], dtype=np.int64)


@often
@given(models(), people, zones, st.data())
def test_everybody_at_once_is_scored_as_each_alone(model, people, zone, data):
    together_and_alone_agree(model, people, zone, instants_of(data, people))


@pytest.mark.parametrize("name", RICH)
def test_everybody_at_once_is_scored_by_a_model_that_uses_everything_as_each_alone(name):
    at = int(NOW.timestamp()) - np.arange(len(PEOPLE)) * 86_400 * 5
    together_and_alone_agree(RICH[name], PEOPLE, ZONES[1], at)


def together_and_alone_agree(model, people, zone, at):
    columns = columns_of_pairs(people)
    together = score_as_of(model, columns, at, zone)
    for row in range(len(people)):
        alone = score(model, take_rows(columns, [row]), datetime.fromtimestamp(int(at[row]), UTC), zone)
        assert {name: getattr(together, name)[row] for name in NAMES} == {
            name: getattr(alone, name)[0] for name in NAMES
        }
        assert [int(each[row]) for each in together.points] == [int(each[0]) for each in alone.points]


@often
@given(models(), people, zones, st.data())
def test_nothing_after_an_instant_changes_the_score_at_it(model, people, zone, data):
    columns, at = columns_of_pairs(people), instants_of(data, people)
    before = columns.at <= at[columns.person]
    known = Columns(
        columns.people,
        columns.fields,
        columns.person[before],
        columns.at[before],
        columns.fact[before],
        columns.facts,
    )
    whole, cut = (score_as_of(model, each, at, zone) for each in (columns, known))
    for name in NAMES:
        assert (getattr(whole, name) == getattr(cut, name)).all()
    assert all((one == other).all() for one, other in zip(whole.points, cut.points, strict=True))


@given(models())
@settings(max_examples=3, deadline=None)
def test_nobody_has_no_scores(model):
    assert len(score_as_of(model, columns_of_pairs([]), np.zeros(0, dtype=np.int64), UTC).total) == 0
