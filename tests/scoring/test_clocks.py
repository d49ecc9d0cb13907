"""Laws of the clocks that stand while a feed is dead: what then holds, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.columns import RUNNING
from crmsync.scoring import choose_people, columns_of, explain_scores, score
from crmsync.scoring.calendar import FAR, day_of
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.engine import scores_of
from crmsync.scoring.whatif.forecast import forecast_bands
from tests.scoring.test_ahead import net
from tests.scoring.test_laws import often, same, zones
from tests.support.scoring import behavior_rule, did, model, person
from tests.support.scoring_strategies import KINDS, NOW, models, people
from tests.support.scoring_strategies import columns_of as columns_of_pairs

ALIVE = day_of(NOW, UTC) - 20
silences = st.sampled_from([RUNNING, ALIVE, ALIVE - 8])


def past_columns(people):
    """The columns of some people with what has happened by `NOW`, and when a clock stands for a kind."""
    now = int(NOW.timestamp())
    return columns_of_pairs([(fields, [each for each in acts if each[0] <= now]) for fields, acts in people])


def with_clocks(columns, data, kinds=KINDS, silences=silences):
    rows = len(columns.people)
    drawn = {kind: data.draw(st.lists(silences, min_size=rows, max_size=rows)) for kind in kinds}
    return replace(columns, clocks={kind: np.array(days, dtype=np.int32) for kind, days in drawn.items()})


@often(60)
@given(models(), people, zones, st.integers(1, 200), st.data())
def test_where_all_clocks_stand_time_alone_changes_nothing(model, people, zone, days, data):
    dated = {part.field for part in model.moving_questions()}
    timeless = [({name: fields[name] for name in fields if name not in dated}, done) for fields, done in people]
    columns = with_clocks(past_columns(timeless), data, silences=st.sampled_from([ALIVE, ALIVE - 1]))
    scores = score(model, columns, NOW, zone)
    assert same(scores, score(model, columns, NOW + timedelta(days=days), zone))
    assert (scores.due == FAR).all()


@often(60)
@given(models(), people, zones, st.data())
def test_nothing_changes_before_it_is_due(model, people, zone, data):
    columns = with_clocks(past_columns(people), data)
    scores = score(model, columns, NOW, zone, waits_for_rounded=data.draw(st.booleans()))
    for row in np.flatnonzero(scores.due < FAR).tolist():
        before = score(model, columns, datetime.fromtimestamp(int(scores.due[row]) - 1, UTC), zone)
        assert net(before, row) == net(scores, row)


@often(40)
@given(models(), people, zones)
def test_clocks_that_go_on_change_nothing(model, people, zone):
    columns = columns_of_pairs(people)
    running = {kind: np.full(len(people), RUNNING, dtype=np.int32) for kind in KINDS}
    assert same(score(model, columns, NOW, zone), score(model, replace(columns, clocks=running), NOW, zone))


@often(40)
@given(models(), people, zones, st.integers(1, 3), st.data())
def test_whose_clock_stands_is_the_same_in_any_block(model, people, zone, people_at_once, data):
    columns = with_clocks(columns_of_pairs(people), data)
    whole = score(model, columns, NOW, zone)
    assert same(whole, scores_of(ScoringContext(model, columns, NOW, zone), people_at_once))
    rows = [*range(len(people))][::-1]
    scored = choose_people(model, whole, columns, rows, NOW, zone)
    for row, lines in zip(rows, explain_scores(scored), strict=True):
        assert round(sum(line["points"] for line in lines) * 100) == whole.total[row]


def since(days_ago, *kinds):
    return {kind: np.array([day_of(NOW, UTC) - days_ago], dtype=np.int32) for kind in kinds}


def scored(of, *activities, clocks=None, now=NOW):
    columns = replace(columns_of([person(*activities)]), clocks=clocks or {})
    return choose_people(of, score(of, columns, now, UTC), columns, [0], now, UTC)


def test_only_the_kind_that_is_silent_holds():
    of = model(
        behavior=[
            behavior_rule("email_opened", 40, "open", decay={"half_life": "10d"}),
            behavior_rule("page_viewed", 40, "view", decay={"half_life": "10d"}),
        ]
    )
    both = [did("email_opened", 20), did("page_viewed", 20)]
    assert scored(of, *both).scores.total.tolist() == [2000]
    assert scored(of, *both, clocks=since(20, "email_opened")).scores.total.tolist() == [5000]


def test_what_leaves_its_window_first_is_not_hidden_by_an_older_one_that_holds():
    of = model(behavior=[behavior_rule(["email_opened", "page_viewed"], 10, "acted", window="30d")])
    acts = [did("email_opened", 40), did("page_viewed", 29)]
    some = scored(of, *acts, clocks=since(35, "email_opened")).scores
    assert some.total.tolist() == [2000]
    assert some.due[0] == int(datetime(2026, 11, 23, tzinfo=UTC).timestamp())
    then = datetime.fromtimestamp(int(some.due[0]), UTC)
    assert scored(of, *acts, clocks=since(35, "email_opened"), now=then).scores.total.tolist() == [1000]


@pytest.mark.parametrize("kind", ["email_opened", "page_viewed"])
def test_a_pattern_holds_with_any_of_its_kinds(kind):
    of = model(
        pattern=[
            {
                "name": "keen",
                "points": 40,
                "on": "email_opened",
                "within": "5d",
                "decay": {"half_life": "10d"},
                "covering": [{"on": "page_viewed"}],
            }
        ]
    )
    acts = [did("email_opened", 20), did("page_viewed", 20)]
    assert scored(of, *acts).scores.total.tolist() == [1000]
    assert scored(of, *acts, clocks=since(20, kind)).scores.total.tolist() == [4000]


def test_a_line_says_since_when_it_holds():
    of = model(
        behavior=[behavior_rule("email_opened", 40, "open", decay={"half_life": "10d"})],
        inactivity=[{"name": "silent", "points": -10, "after": "5d"}],
    )
    (lines,) = explain_scores(scored(of, did("email_opened", 30), clocks=since(20, "email_opened")))
    assert [line["why"] for line in lines] == [
        "1×, on 22 October 2026 (30 days ago)",
        "half-life 10 days; on hold since 1 November 2026 for email opened",
        "no activity since 22 October 2026 (10 days); on hold since 1 November 2026 for email opened",
    ]


def test_a_band_that_holds_is_not_foretold_to_end():
    of = model(
        behavior=[behavior_rule("email_opened", 40, "open", decay={"half_life": "10d"})],
        bands={"cold": 0, "warm": 30},
    )
    assert forecast_bands(scored(of, did("email_opened", 1)))[0] is not None
    assert forecast_bands(scored(of, did("email_opened", 1), clocks=since(1, "email_opened"))) == [None]
