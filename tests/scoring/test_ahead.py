"""What is not so yet: forecasts, what reaches the next band, and ranges over unknown fields."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmsync.config.rules import Behavior
from crmsync.config.write import LeastMove
from crmsync.planning.small_moves import is_small_move
from crmsync.scoring import (
    choose_people,
    columns_of,
    find_next_bands,
    forecast_bands,
    possible_ranges,
    result_of,
    score,
    take_rows,
    worth_knowing,
)
from crmsync.scoring.calendar import FAR, day_of, local_days, midnight_of
from crmsync.scoring.conditions import find_known, today_of
from crmsync.scoring.whatif import forecast, ranges, scenarios
from crmsync.scoring.whatif.bounds import most_counted, most_of
from crmsync.scoring.whatif.candidates import candidate_values
from crmsync.scoring.whatif.next_band import find_advice_due
from tests.support.rich_model import PEOPLE, RICH
from tests.support.scoring import NOW, behavior_rule, did, example, fit_rule, foreseen, model, one, person
from tests.support.scoring_strategies import ZONES, fields, models, people
from tests.support.scoring_strategies import columns_of as columns_of_pairs

BERLIN = ZoneInfo("Europe/Berlin")
quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def fading():
    return model(
        behavior=[behavior_rule("form_submitted", 60, "demo", decay={"half_life": "30d"}), behavior_rule(name="visit")],
        bands={"cold": 0, "mql": 45},
    )


def test_a_band_lasts_until_the_second_before_midnight_of_the_day_it_changes():
    of = fading()
    got = foreseen(of, did("form_submitted"), zone=BERLIN)
    change = datetime.fromisoformat(got["until"]["at"])
    assert got["until"]["said"] == "mql until 3 December 2026 without new activity, then cold"
    assert change == datetime(2026, 12, 4, tzinfo=BERLIN)
    before, after = change - timedelta(seconds=1), change + timedelta(seconds=1)
    assert one(of, did("form_submitted"), now=before, zone=BERLIN)["band"] == "mql"
    assert one(of, did("form_submitted"), now=after, zone=BERLIN)["band"] == "cold"


def test_without_decay_nothing_is_foretold():
    assert foreseen(model(behavior=[behavior_rule()], bands={"cold": 0, "mql": 5}), did("page_viewed"))["until"] is None


def test_a_penalty_that_leaves_its_window_brings_a_person_back():
    of = model(
        behavior=[behavior_rule(points=10), behavior_rule("email_unsubscribed", -10, "bye", window="30d")],
        bands={"cold": 0, "mql": 10},
    )
    got = foreseen(of, did("page_viewed"), did("email_unsubscribed"))
    assert got["until"]["said"] == "cold until 21 December 2026 without new activity, then mql"


def test_who_is_no_longer_disqualified_comes_back():
    of = model(
        behavior=[behavior_rule(points=10)],
        disqualify=[{"name": "bounced", "on": "email_bounced", "window": "30d"}],
        bands={"cold": 0, "mql": 10},
    )
    got = foreseen(of, did("page_viewed"), did("email_bounced", 10))
    assert got["disqualified"] == "bounced"
    assert got["until"]["said"] == "cold until 11 December 2026 without new activity, then mql"


@quick
@given(models(), people, st.sampled_from(ZONES))
def test_a_forecast_is_what_scoring_on_that_day_says(model, people, zone):
    columns = columns_of_pairs(
        [(fields, [each for each in done if each[0] <= int(NOW.timestamp())]) for fields, done in people]
    )
    scores = score(model, columns, NOW, zone)
    for row, foretold in enumerate(
        forecast_bands(choose_people(model, scores, columns, range(len(people)), NOW, zone))
    ):
        band = model.band_names()[scores.band[row]]
        if foretold is None:
            continue
        alone = take_rows(columns, [row])
        second = timedelta(seconds=1)
        on_the_day = score(model, alone, foretold.at, zone, [band])
        just_before = score(model, alone, foretold.at - second, zone, [band])
        assert model.band_names()[on_the_day.band[0]] == foretold.band != band
        assert model.band_names()[just_before.band[0]] == band


@quick
@given(models(), people, st.sampled_from(ZONES))
def test_a_forecast_found_by_halving_is_the_one_found_day_by_day(model, people, zone):
    columns = columns_of_pairs(people)
    scores = score(model, columns, NOW, zone)
    case = choose_people(model, scores, columns, range(len(people)), NOW, zone)
    everybody = np.arange(len(people))
    days = {at: (later, band) for at, later, band in forecast._scanned(case, everybody, forecast.HORIZON)}
    assert {at: (later, band) for at, later, band in forecast._moves(case)} == days


@quick
@given(models(), people, st.sampled_from(ZONES), st.integers(1, 400), st.booleans())
def test_nothing_changes_before_it_is_due(model, people, zone, permille, rounded):
    columns = columns_of_pairs(people)
    scores = score(model, columns, NOW, zone, waits_for_rounded=rounded)
    names = [model.band_names()[each] for each in scores.band]
    again = score(model, columns, NOW, zone, names)
    for row, due in enumerate(scores.due.tolist()):
        span = min(due - 1 - int(NOW.timestamp()), 400 * 86_400)
        later = NOW + timedelta(seconds=span * permille // 400)
        then = score(model, take_rows(columns, [row]), later, zone, [names[row]])
        assert result_of(model, then, 0) == result_of(model, again, row)
        assert net(then, 0) == net(again, row)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models(), people, st.sampled_from(ZONES), st.integers(0, 2))
def test_before_a_rounded_number_is_due_to_move_every_midnight_has_the_same_scores(model, people, zone, decimals):
    model = model.model_copy(update={"score": model.score.model_copy(update={"decimals": decimals})})
    columns = columns_of_pairs(people)
    scores = score(model, columns, NOW, zone, waits_for_rounded=True)
    assert (scores.due >= score(model, columns, NOW, zone).due).all()
    names = [model.band_names()[each] for each in scores.band]
    again, today = score(model, columns, NOW, zone, names), day_of(NOW, zone)
    for days in range(1, 70):
        now = datetime.fromtimestamp(midnight_of(today + days, zone), UTC)
        waiting = np.flatnonzero(scores.due > now.timestamp()).tolist()
        then = score(model, columns, now, zone, names)
        for row in waiting:
            assert (result_of(model, then, row), net(then, row)) == (result_of(model, again, row), net(again, row))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models(), people, st.sampled_from(ZONES), st.sampled_from([forecast.HORIZON, 9, 3]), st.booleans())
def test_until_when_a_band_lasts_is_the_same_at_every_midnight_before_it_is_due(model, people, zone, horizon, rounded):
    with pytest.MonkeyPatch.context() as patched:
        # The nearer it is, the more moves lie just behind it.
        patched.setattr(forecast, "HORIZON", horizon)
        columns = columns_of_pairs(people)
        scores = score(model, columns, NOW, zone, waits_for_rounded=rounded)
        scores = score(model, columns, NOW, zone, [model.band_names()[each] for each in scores.band],
                       waits_for_rounded=rounded)  # fmt: skip
        case, today = choose_people(model, scores, columns, range(len(people)), NOW, zone), day_of(NOW, zone)
        due, foretold = forecast.find_forecast_due(case, scores.due), forecast_bands(case)
        for days in {1, 2, 3, *(max(1, each - 1) for each in days_until(due, zone) if each < 80)}:
            now = datetime.fromtimestamp(midnight_of(today + days, zone), UTC)
            rows = np.flatnonzero(due > now.timestamp()).tolist()
            later = score(model, columns, now, zone, [model.band_names()[each] for each in scores.band])
            then = forecast_bands(choose_people(model, later, columns, rows, now, zone))
            assert then == [foretold[row] for row in rows]


@pytest.mark.parametrize(("horizon", "due"), [(2, 3), (10, 5), (11, 1), (14, 1), (15, 5)])
def test_who_leaves_a_band_just_behind_what_a_forecast_sees_is_due_before_it_comes_into_sight(
    monkeypatch, horizon, due
):
    monkeypatch.setattr(forecast, "HORIZON", horizon)
    fades = behavior_rule("form_submitted", 10, "form", decay={"half_life": "60d"})
    of, columns = model(behavior=[fades], bands={"cold": 0, "mql": 9}), columns_of([person(did("form_submitted", 0))])
    scores = score(of, columns, NOW, UTC, waits_for_rounded=True)
    case = choose_people(of, scores, columns, [0], NOW, UTC)
    assert (days_to(scores.due), days_to(forecast.find_forecast_due(case, scores.due))) == ([5], [due])


def days_until(due, zone):
    return (local_days(due, zone) - day_of(NOW, zone)).tolist()


def test_nobody_is_due_for_points_that_fade_by_less_than_is_written():
    of = model(behavior=[behavior_rule("form_submitted", 10, "form", decay={"half_life": "60d"})])
    columns = columns_of([person(did("form_submitted", 0)), person(did("form_submitted", 300))])
    assert days_to(score(of, columns, NOW, UTC).due) == [1, 3]
    # 10 points are 9.5 after 4.4 days, which are written as 10 until then; what is written as 0 stays so.
    assert days_to(score(of, columns, NOW, UTC, waits_for_rounded=True).due) == [5, None]


def days_to(due):
    return [None if each >= FAR else (each - int(NOW.timestamp())) // 86_400 + 1 for each in due.tolist()]


def net(scores, row):
    """What each rule and limit gives after its own fading and cap: what is faded to nothing may leave unseen."""
    found = {}
    for line, points in zip(scores.lines, scores.points, strict=True):
        found[line.about] = found.get(line.about, 0) + int(points[row])
    return {about: points for about, points in found.items() if points}


def test_single_rules_that_reach_the_next_band_are_named():
    of = example("starter")
    got = foreseen(of, did("page_viewed", url="/pricing"), title="VP")
    assert got["next"] == {"band": "mql", "points": 18, "said": "mql needs 18 more points: Demo requested"}
    almost = foreseen(of, did("page_viewed", 0, url="/pricing"), did("webinar_attended"), title="VP")
    assert almost["next"]["said"] == "mql needs 8 more points: Demo requested or Webinar attended"


def test_what_is_named_does_reach_the_band():
    of = example("starter")
    done = did("page_viewed", 1, url="/pricing"), did("webinar_attended")
    assert foreseen(of, *done, title="VP")["next"]["points"] == 8
    assert one(of, *done, did("form_submitted", form="demo"), title="VP")["band"] == "mql"


def test_a_rule_that_is_used_up_is_not_named():
    of = model(
        behavior=[behavior_rule(points=10, max_times=1), behavior_rule("form_submitted", 10, "form")],
        bands={"cold": 0, "mql": 20},
    )
    assert foreseen(of, did("page_viewed"))["next"]["said"] == "mql needs 10 more points: form"


def test_several_rules_together_when_one_is_not_enough():
    of = model(
        behavior=[behavior_rule(points=10, cap=10), behavior_rule("form_submitted", 15, "form", cap=15)],
        bands={"cold": 0, "mql": 25},
    )
    assert foreseen(of)["next"]["said"] == "mql needs 25 more points: form and acted"


@pytest.mark.parametrize(
    ("band", "employees", "said"),
    [
        ({"at": 50, "min_fit": 1}, None, "1 more point of fit"),
        ({"at": 90, "min_fit": 15}, 9, "30 more points and 5 more points of fit"),
        ({"at": 90, "min_fit": 10}, 9, "30 more points: acted"),
        ({"min_behavior": 100}, 9, "50 more points of behavior: acted"),
        ({"at": 100, "min_fit": 20, "min_behavior": 60}, 9,
         "40 more points, 10 more points of fit and 10 more points of behavior"),
    ],
)  # fmt: skip
def test_all_that_is_missing_to_a_band_is_named_its_minimums_too(band, employees, said):
    of = model(
        fit=[fit_rule(10, "size", field="employees", gt=5), fit_rule(80, "big", field="employees", gt=5_000)],
        behavior=[behavior_rule(points=50)],
        bands={"cold": 0, "mql": band},
    )
    assert foreseen(of, did("page_viewed"), employees=employees)["next"]["said"] == f"mql needs {said}"


def test_minimums_that_are_missing_change_the_text_of_a_small_move_by_their_numbers_alone():
    holds = {"next": "mql needs 30 more points, 5 more points of fit and 2 more points of behavior: Demo"}
    moved = {"next": "mql needs 29 more points, 4 more points of fit and 1 more point of behavior: Demo"}
    met = {"next": "mql needs 29 more points and 1 more point of behavior: Demo"}
    assert is_small_move(holds, holds, moved, LeastMove(points=2))
    assert not is_small_move(holds, holds, met, LeastMove(points=2))


def test_nobody_is_short_of_more_than_the_highest_band():
    of = model(behavior=[behavior_rule(points=50)], bands={"cold": 0, "mql": 50})
    assert foreseen(of, did("page_viewed"))["next"] is None


def ranged(of, **fields):
    columns = columns_of([person(**fields)])
    return possible_ranges(choose_people(of, score(of, columns, NOW, UTC), columns, [0], NOW, UTC))[0]


def test_an_unknown_size_leaves_a_range_and_may_change_the_band():
    of = model(
        fit=[fit_rule(40, "vip", field="vip", **{"is": True}), fit_rule(15, "size", field="employees", gt=200)],
        bands={"cold": 0, "mql": 50},
    )
    found = ranged(of, vip=True)
    assert (found.lowest, found.highest, found.bands, found.unknown) == (40, 55, ("cold", "mql"), ("employees",))
    assert ranged(of, vip=True, employees=10).highest == 40


def test_a_range_agrees_with_trying_everything():
    of = example("points-table")
    columns = columns_of([person()])
    totals = [
        one(of, title=title, employees=employees, industry=industry)["total"]
        for title, employees, industry in product(
            ("VP", "Director", "Student", "CEO"), (1, 200, 201, 10_000), ("Technology", "Mining")
        )
    ]
    (found,) = possible_ranges(choose_people(of, score(of, columns, NOW, UTC), columns, [0], NOW, UTC))
    assert (found.lowest, found.highest) == (min(totals), max(totals))


@quick
@given(models(), people, st.sampled_from(ZONES))
def test_a_range_is_what_trying_everything_gives(model, people, zone):
    columns = columns_of_pairs(people)
    scores = score(model, columns, NOW, zone)
    ranges = possible_ranges(choose_people(model, scores, columns, range(len(people)), NOW, zone))
    for row, found in enumerate(ranges):
        ways = list(product(*(candidate_values(model, name, day_of(NOW, zone)) for name in found.unknown)))
        if not 1 < len(ways) <= 400:
            continue
        copies = take_rows(columns, [row] * len(ways))
        filled = {name: [way[at] for way in ways] for at, name in enumerate(found.unknown)}
        band = model.band_names()[scores.band[row]]
        then = score(model, replace(copies, fields={**copies.fields, **filled}), NOW, zone, [band] * len(ways))
        bands = tuple(model.band_names()[each] for each in sorted(set(then.band.tolist())))
        assert (found.lowest, found.highest, found.bands) == (then.total.min() / 100, then.total.max() / 100, bands)


@quick
@given(models(), people, fields, st.sampled_from(ZONES))
def test_a_range_holds_the_score_whatever_an_unknown_value_turns_out_to_be(model, people, found_out, zone):
    columns = columns_of_pairs(people)
    scores = score(model, columns, NOW, zone)
    case = choose_people(model, scores, columns, range(len(people)), NOW, zone)
    for row, found in enumerate(possible_ranges(case)):
        if not 0 < len(found.unknown) <= 2:  # of more, not every way is tried
            continue
        alone = take_rows(columns, [row])
        known = {name: [found_out[name]] for name in found.unknown if name in found_out}
        then = replace(alone, fields={**alone.fields, **known})
        if known.keys() != {*found.unknown} or not find_known(model, then, today_of(NOW, zone), [*known]).all():
            continue
        total = int(score(model, then, NOW, zone).total[0]) / 100
        assert found.lowest <= total <= found.highest


def test_a_range_over_too_many_ways_tries_each_field_on_its_own(monkeypatch):
    of = example("points-table")
    whole = ranged(of)
    monkeypatch.setattr(ranges, "MOST_COMBINATIONS", 1)
    assert ranged(of) == whole


@quick
@given(models(), people, st.sampled_from(ZONES))
def test_many_people_are_told_what_each_is_told_alone(model, people, zone):
    columns = columns_of_pairs(people)
    scores = score(model, columns, NOW, zone)
    everybody = choose_people(model, scores, columns, range(len(people)), NOW, zone)
    alone = [choose_people(model, scores, columns, [row], NOW, zone) for row in range(len(people))]
    for what in (find_next_bands, possible_ranges, forecast_bands):
        together = what(everybody)
        assert together == [what(each)[0] for each in alone]
    scenarios.MOST_COPIES, before = 3, scenarios.MOST_COPIES
    try:
        assert together == forecast_bands(everybody)
        assert find_next_bands(everybody) == [find_next_bands(each)[0] for each in alone]
    finally:
        scenarios.MOST_COPIES = before


def test_a_meeting_that_is_still_to_come_is_not_counted_as_held():
    of = model(behavior=[behavior_rule("meeting_held", 30, "meeting", max_times=2)], bands={"cold": 0, "mql": 60})
    got = foreseen(of, did("meeting_held", -3))
    assert got["next"]["said"] == "mql needs 60 more points"
    assert got["total"] == 0


def test_who_keeps_a_band_from_before_is_told_of_the_one_above_it():
    of = model(behavior=[behavior_rule(points=45)], bands={"cold": 0, "mql": {"at": 50, "drop_below": 40}, "sql": 90})
    columns = columns_of([person(did("page_viewed"))])
    scores = score(of, columns, NOW, UTC, ["mql"])
    scored = choose_people(of, scores, columns, [0], NOW, UTC)
    (found,) = find_next_bands(scored)
    assert (found.band, found.any_of) == ("sql", ("acted",))
    assert possible_ranges(scored)[0].bands == ("mql",)


def test_a_range_knows_regular_expressions_and_lists():
    of = model(
        fit=[
            fit_rule(5, "regex", field="title", regex=r"(?i)\bsap\b"),
            fit_rule(7, "list", field="country", in_list="dach"),
            fit_rule(-3, "mail", field="email", free_mail=True),
        ],
        lists={"dach": ["Germany", "Austria"]},
    )
    found = ranged(of)
    assert (found.lowest, found.highest) == (-3, 12)


def test_the_fields_worth_knowing_come_first():
    of = model(
        fit=[fit_rule(20, "size", field="employees", gt=200), fit_rule(1, "land", field="country", **{"is": "Peru"})],
        behavior=[behavior_rule(points=40)],
        bands={"cold": 0, "mql": 50},
    )
    everybody = columns_of([person(did("page_viewed")), person(did("page_viewed"), employees=5), person()])
    found = worth_knowing(of, score(of, everybody, NOW, UTC), everybody, NOW, UTC)
    assert found == [("employees", 2, 1), ("country", 3, 0)]


def test_candidates_stand_on_both_sides_of_every_number():
    of = model(fit=[fit_rule(1, "a", field="employees", gt=200), fit_rule(2, "b", field="employees", lte=50)])
    assert candidate_values(of, "employees", 0) == [49, 50, 125, 200, 201]


def test_short_of_nothing_without_bands():
    of = model(behavior=[behavior_rule()])
    columns = columns_of([person()])
    assert find_next_bands(choose_people(of, score(of, columns, NOW, UTC), columns, [0], NOW, UTC)) == [None]


@pytest.mark.parametrize("name", RICH)
@pytest.mark.parametrize(
    ("law", "more"),
    [
        (test_a_forecast_is_what_scoring_on_that_day_says, ()),
        (test_a_forecast_found_by_halving_is_the_one_found_day_by_day, ()),
        (test_nothing_changes_before_it_is_due, (400, False)),
        (test_nothing_changes_before_it_is_due, (400, True)),
        (test_a_range_is_what_trying_everything_gives, ()),
    ],
)
def test_a_law_about_what_is_ahead_holds_for_a_model_that_uses_everything(law, more, name):
    law.hypothesis.inner_test(RICH[name], PEOPLE, ZONES[1], *more)


def test_several_people_are_told_by_a_model_that_uses_everything_what_each_is_told_alone():
    law = test_many_people_are_told_what_each_is_told_alone.hypothesis.inner_test
    law(RICH["rules and learned"], PEOPLE[4:7], ZONES[1])


@pytest.mark.parametrize(
    ("rule", "acts", "due"),
    [
        ({}, did("page_viewed", 2), None),
        ({"window": "5d"}, did("page_viewed", 2), 4),
        ({"window": "5d"}, did("page_viewed", 5), 1),
        ({"window": "5d"}, did("page_viewed", 6), None),
        ({"max_per_day": 1}, did("page_viewed", 31), 1),
        ({"max_per_week": 1}, did("page_viewed", 2), 1),
        ({"max_per_month": 1}, did("page_viewed", 2), 1),
        ({"max_per_day": 1}, did("page_viewed", 32), None),
        ({"unless": {"on": ["email_sent"], "window": "3d"}}, did("email_sent", 1), 3),
        ({"unless": {"on": ["email_sent"], "window": "3d"}}, did("email_sent", 4), None),
    ],
)
def test_what_one_more_activity_brings_may_change_when_one_leaves_its_window_or_a_day_begins(rule, acts, due):
    of, columns = model(behavior=[behavior_rule(**rule)]), columns_of([person(acts), person()])
    assert days_to(find_advice_due(of, columns, NOW, UTC)) == [due, None]


def test_what_completes_a_sequence_or_a_pattern_may_change_when_what_was_done_is_too_old_for_it():
    steps = [{"on": ["page_viewed"]}, {"on": ["form_submitted"]}]
    sequence = {"name": "s", "points": 5, "steps": steps, "within": "10d"}
    pattern = {"name": "p", "points": 5, "on": ["page_viewed"], "within": "10d", "times": 2}
    columns = columns_of([person(did("page_viewed", ago)) for ago in (4, 10, 11)] + [person(did("form_submitted", 7))])
    assert days_to(find_advice_due(model(sequence=[sequence]), columns, NOW, UTC)) == [6, 1, None, 3]
    assert days_to(find_advice_due(model(pattern=[pattern]), columns, NOW, UTC)) == [6, 1, None, None]
    without = {name: each for name, each in sequence.items() if name != "within"}
    assert days_to(find_advice_due(model(sequence=[without]), columns, NOW, UTC)) == [None] * 4


def test_candidates_for_a_date_stand_on_both_sides_of_every_day_that_decides():
    of = model(
        fit=[fit_rule(1, field="seen", before="2026-11-10"), fit_rule(2, "new", field="seen", within="3d")],
        inactivity=[{"name": "quiet", "points": -1, "after": "5d", "since": "seen", "every": "4d", "max_times": 2}],
    )
    days = ("09", "10", "11", "12", "16", "17", "18", "19", "20", "21", "22")
    assert set(candidate_values(of, "seen", day_of(NOW, UTC))) >= {f"2026-11-{day}" for day in days}


@pytest.mark.parametrize(
    ("rule", "most"),
    [
        ({}, math.inf), ({"max_times": 3}, 3), ({"window": "6d"}, math.inf), ({"max_per_day": 2}, math.inf),
        ({"window": "6d", "max_per_day": 2}, 14), ({"window": "6d", "distinct_days": True}, 7),
        ({"window": "6d", "max_per_week": 3}, 6), ({"window": "7d", "max_per_week": 3}, 9),
        ({"window": "26d", "max_per_month": 3}, 6), ({"window": "27d", "max_per_month": 3}, 9),
        ({"max_per_week": 3}, math.inf), ({"max_per_month": 3}, math.inf),
        ({"window": "6d", "max_per_day": 2, "max_times": 4}, 4),
    ],
)  # fmt: skip
def test_a_rule_counts_no_more_activities_than_its_limits_and_its_window_hold(rule, most):
    assert most_counted(Behavior(**behavior_rule(**rule))) == most


def test_what_activities_give_at_the_most_is_within_the_caps_of_rules_groups_and_channels():
    def rule(name, **more):
        return behavior_rule(name=name, points=10, max_times=3, **more)

    rules = [rule("alone"), rule("capped", cap=12), rule("taken", channel="web"), rule("web", channel="web"),
             rule("in group", group="g"), rule("too", group="g"), {**rule("bad"), "points": -50}]  # fmt: skip
    of = model(behavior=rules, channels={"web": {"cap": 45}}, groups={"g": {"cap": 25}})
    assert most_of(of, of.behavior) == (30 + 12 + 45 + 25) * 100
    free = model(behavior=rules, channels={"web": {}}, groups={"g": {}})
    assert most_of(free, free.behavior) == (30 + 12 + 60 + 60) * 100
