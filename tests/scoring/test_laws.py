"""Laws of scoring that hold for every model and every person."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from crmsync.columns import Columns
from crmsync.config.machine_clicks import MachineClicks
from crmsync.scoring import choose_people, columns_of, compare_lines, explain_scores, score, summarize_many
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.engine import scores_of
from crmsync.scoring.values import take_rows
from tests.support.reference_score import reference
from tests.support.rich_model import PEOPLE, PREVIOUS, RICH
from tests.support.scoring import example
from tests.support.scoring_strategies import KINDS, NOW, ZONES, activities, attributes, instants, models, people
from tests.support.scoring_strategies import columns_of as columns_of_pairs

zones = st.sampled_from(ZONES)
bands = st.sampled_from([None, "cold", "warm", "mql"])


def often(examples):
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def same(one, other, rows=None):
    """Whether two evaluations say the same, line by line."""
    rows = slice(None) if rows is None else rows
    arrays = ("fit", "behavior", "total", "band", "grade", "segment", "disqualified", "due")
    return all((getattr(one, name)[rows] == getattr(other, name)).all() for name in arrays) and all(
        (left[rows] == right).all() for left, right in zip(one.points, other.points, strict=True)
    )


@often(120)
@given(models(), people, zones, st.data())
def test_the_slow_reference_agrees(model, people, zone, data):
    agrees_with_reference(model, people, zone, [data.draw(bands) for _ in people])


def agrees_with_reference(model, people, zone, previous):
    scores = score(model, columns_of_pairs(people), NOW, zone, previous)
    for row, expected in enumerate(reference(model, people, NOW, zone, previous)):
        got = {name: int(getattr(scores, name)[row]) for name in ("fit", "behavior", "total")}
        assert {**got, "band": model.band_names()[scores.band[row]]} == expected


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("name", RICH)
def test_the_slow_reference_agrees_about_a_model_that_uses_everything(name, zone):
    agrees_with_reference(RICH[name], PEOPLE, zone, PREVIOUS)


@often(25)
@given(models(), people, zones)
def test_lines_sum_to_the_total_and_to_the_axes(model, people, zone):
    columns = columns_of_pairs(people)
    scores = score(model, columns, NOW, zone)
    for row in range(len(people)):
        points = [(line.axis, int(each[row])) for line, each in zip(scores.lines, scores.points, strict=True)]
        assert sum(each for _, each in points) == scores.total[row]
        assert sum(each for axis, each in points if axis == "fit") == scores.fit[row]
        assert sum(each for axis, each in points if axis == "behavior") == scores.behavior[row]
        (told,) = explain_scores(choose_people(model, scores, columns, [row], NOW, zone))
        assert round(sum(line["points"] for line in told) * 100) == scores.total[row]
        if model.score.decimals == 0 and all(rule.points == int(rule.points) for rule in model.rules()):
            assert sum(line["points"] for line in told) == scores.total[row] / 100


@often(25)
@given(models(), people, zones, st.randoms(use_true_random=False))
def test_the_order_of_people_and_facts_does_not_matter(model, people, zone, shuffler: random.Random):
    columns = columns_of_pairs(people)
    scores = score(model, columns, NOW, zone)
    order = list(range(len(people)))
    shuffler.shuffle(order)
    assert same(scores, score(model, take_rows(columns, order), NOW, zone), order)
    names = list(range(len(columns.facts)))
    shuffler.shuffle(names)
    renamed = np.argsort(names).astype(np.int32)[columns.fact] if len(columns.fact) else columns.fact
    other = replace(columns, fact=renamed, facts=[columns.facts[number] for number in names])
    assert same(scores, score(model, other, NOW, zone))


@often(25)
@given(models(), people, zones, st.randoms(use_true_random=False))
def test_the_order_within_a_second_does_not_matter(model, people, zone, shuffler: random.Random):
    def shuffled(done):
        done = list(done)
        shuffler.shuffle(done)
        return sorted(done, key=lambda each: each[0])

    scores = score(model, columns_of_pairs(people), NOW, zone)
    other = columns_of_pairs([(fields, shuffled(done)) for fields, done in people])
    assert same(scores, score(model, other, NOW, zone))


@often(25)
@given(models(), people, zones)
def test_scoring_one_by_one_equals_scoring_together(model, people, zone):
    columns = columns_of_pairs(people)
    scores = score(model, columns, NOW, zone)
    for row in range(len(people)):
        assert same(scores, score(model, take_rows(columns, [row]), NOW, zone), [row])


def identical(one, other):
    """Whether two evaluations are the same to the last bit, with the types of their arrays."""
    lines = [*zip(one.points, other.points, strict=True)]
    arrays = [each.name for each in fields(one) if isinstance(getattr(one, each.name), np.ndarray)]
    pairs = lines + [(getattr(one, name), getattr(other, name)) for name in arrays]
    pairs += [(one.channels[name], other.channels[name]) for name in one.channels | other.channels]
    return (one.lines, one.warnings) == (other.lines, other.warnings) and all(
        left.dtype == right.dtype and np.array_equal(left, right) for left, right in pairs
    )


@often(50)
@given(models(), people, zones, st.integers(1, 4), st.integers(1, 4), st.data())
def test_blocks_and_threads_change_nothing(model, people, zone, people_at_once, threads, data):
    columns = columns_of_pairs(people)
    known = partial(ScoringContext, model, columns, NOW, zone, [data.draw(bands) for _ in people])
    at_once = scores_of(known(), len(people), threads=1)
    assert identical(at_once, scores_of(known(), people_at_once, threads))


def test_warnings_count_everybody_whatever_the_blocks():
    columns = columns_of([{"id": number, "fields": {"title": "x" * 70_000}} for number in range(5)])
    (warning,) = scores_of(ScoringContext(example("segments"), columns, NOW, ZONES[0]), 2).warnings
    assert warning.startswith("title: 5 people have a value that is a text of more than")


def only_good(model):
    """The same model with all points of activities positive, and nothing that takes points away."""
    kept = [
        rule.model_copy(update={"points": abs(rule.points), "cap": abs(rule.cap) if rule.cap else None, "unless": None})
        for rule in model.behavior
    ]
    once = {
        table: [rule.model_copy(update={"points": abs(rule.points)}) for rule in getattr(model, table)]
        for table in ("sequence", "pattern")
    }
    # One more click can tell that a machine made them all.
    off = MachineClicks(after_sending="0s", within="0s")
    asked = [each for each in model.disqualify if each.on is None]
    same_signs = {"inactivity": [], "machine_clicks": off, "disqualify": asked}
    return model.model_copy(update={"behavior": kept, **same_signs, **once})


@often(50)
@given(models(), people, zones, st.tuples(instants, st.sampled_from(KINDS), attributes))
def test_adding_a_good_sign_never_lowers_a_score(model, people, zone, more):
    model = only_good(model)
    assume(model.behavior or model.sequence or model.pattern)
    before = score(model, columns_of_pairs(people), NOW, zone)
    added = [(fields, sorted([*done, more], key=lambda each: each[0])) for fields, done in people]
    after = score(model, columns_of_pairs(added), NOW, zone)
    assert (after.behavior >= before.behavior).all()
    assert (after.total >= before.total).all()
    assert (after.band >= before.band).all()


@often(20)
@given(models(), activities, st.integers(1, 5))
def test_a_replayed_event_changes_nothing(model, done, times):
    def written(repeated):
        events = [
            {"id": str(number), "kind": kind, "at": datetime.fromtimestamp(at, UTC).isoformat(), "attributes": given_}
            for number, (at, kind, given_) in enumerate(done)
        ]
        return columns_of([{"id": 1, "activities": events * repeated}])

    once, often_ = (score(model, written(repeated), NOW, ZONES[0]) for repeated in (1, times))
    assert same(once, often_)


@often(20)
@given(models(), people, people, zones)
def test_changes_between_two_scores_sum_to_their_difference(model, some, others, zone):
    said = []
    for each in (some, others):
        columns = columns_of_pairs(each)
        scores = score(model, columns, NOW, zone)
        said.append((int(scores.total[0]), explain_scores(choose_people(model, scores, columns, [0], NOW, zone))[0]))
    (old, before), (new, after) = said
    assert round(sum(line["points"] for line in compare_lines(before, after)) * 100) == new - old


@often(20)
@given(models(), people, zones)
def test_a_reason_fits_its_field(model, people, zone):
    scores = score(model, columns_of_pairs(people), NOW, zone)
    for text in summarize_many(model, scores, range(len(people))):
        assert 0 < len(text) <= 255


def test_nobody_has_no_scores():
    nobody = Columns(
        people=np.zeros(0, np.int64),
        fields={},
        person=np.zeros(0, np.int32),
        at=np.zeros(0, np.int64),
        fact=np.zeros(0, np.int32),
        facts=(),
    )
    assert len(score(example("segments"), nobody, NOW, ZONES[0]).total) == 0


@pytest.mark.parametrize("name", RICH)
@pytest.mark.parametrize(
    ("law", "more"),
    [
        (test_lines_sum_to_the_total_and_to_the_axes, ()),
        (test_the_order_of_people_and_facts_does_not_matter, (random.Random(1),)),
        (test_scoring_one_by_one_equals_scoring_together, ()),
        (test_a_reason_fits_its_field, ()),
    ],
)
def test_a_law_holds_for_a_model_that_uses_everything(law, more, name):
    law.hypothesis.inner_test(RICH[name], PEOPLE, ZONES[1], *more)
