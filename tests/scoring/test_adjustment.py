"""S4-14: rules + clamp(adjustment, ±10), never more than one band away from what the rules alone give."""

from __future__ import annotations

from datetime import UTC, date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crmsync.config.model import Model
from crmsync.lint import lint_model
from crmsync.model import KINDS
from crmsync.scoring import columns_of, describe_model, failed_tests, find_gaps, possible_ranges, score, summarize_many
from crmsync.scoring.bands import band_of
from crmsync.scoring.scored_people import choose_people
from crmsync.scoring.whatif.bounds import most_total
from tests.support.scoring import NOW, behavior_rule, did, fit_rule, foreseen, model, one, person, points, total
from tests.support.scoring_strategies import ZONES, models, people
from tests.support.scoring_strategies import columns_of as columns_of_pairs

BANDS = {"cold": 0, "warm": 40, "mql": 80, "sql": 120}
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def adjusted(*adjustments, bands=BANDS, fit=60, mode="hybrid", **more):
    """A model that gives everybody with a title some points of fit, and adjusts them."""
    clamp = {"clamp": more.pop("clamp")} if "clamp" in more else {}
    return model(
        fit=[fit_rule(fit, "Titled", field="title", exists=True)],
        bands=bands,
        learned={"mode": mode, "adjustment": [*adjustments], **clamp},
        **more,
    )


def learned(number, name="Large", **when):
    return {"name": name, "points": number, "when": when or {"field": "employees", "gte": 200}}


def line_of(document):
    return next((line for line in document["lines"] if line["rule"] == "Learned adjustment"), None)


@pytest.mark.parametrize(
    ("given_points", "expected"), [(4, 64), (10, 70), (14, 70), (-4, 56), (-10, 50), (-25, 50), (7.5, 68)]
)
def test_s4_14_the_score_is_that_of_the_rules_and_an_adjustment_of_at_most_ten(given_points, expected):
    assert total(adjusted(learned(given_points)), title="VP", employees=500) == expected


def test_s4_14_all_adjustments_together_are_clamped():
    of = adjusted(learned(8), learned(7, "VP", field="title", **{"is": "VP"}), learned(-3, "Odd", field="odd", lt=5))
    assert total(of, title="VP", employees=500) == 70
    assert total(of, title="VP", employees=500, odd=1) == 70
    assert total(of, title="VP", employees=5, odd=1) == 64
    assert total(of, title="Student", odd=1) == 57


def test_s4_14_a_smaller_clamp():
    assert total(adjusted(learned(8), clamp=2.5, score={"decimals": 1}), title="VP", employees=500) == 62.5
    assert total(adjusted(learned(8), clamp=2.5), title="VP", employees=500) == 62
    assert total(adjusted(learned(8), clamp=0), title="VP", employees=500) == 60


def test_s4_14_by_default_adjustments_are_ignored():
    of = adjusted(learned(8), mode="rules")
    assert total(of, title="VP", employees=500) == 60
    assert "employees" not in of.used_fields()
    assert line_of(one(of, title="VP", employees=500)) is None
    assert Model().learned.mode == "rules"


@pytest.mark.parametrize(
    ("fit", "given_points", "expected", "band"),
    [
        (48, 10, 54, "b"),  # c would begin at 55
        (48, 4, 52, "b"),
        (52, 10, 59, "c"),  # d would begin at 60
        (62, -10, 55, "c"),  # 52 would be b
        (57, -10, 50, "b"),  # 47 would be a
        (67, 10, 77, "d"),
    ],
)
def test_s4_14_never_more_than_one_band(fit, given_points, expected, band):
    of = adjusted(learned(given_points), fit=fit, bands={"a": 0, "b": 50, "c": 55, "d": 60})
    document = one(of, title="VP", employees=500)
    assert (document["total"], document["band"]) == (expected, band)


def test_s4_14_the_bands_of_the_segment_are_those_that_count():
    segment = {"name": "big", "when": {"field": "employees", "gte": 200}, "bands": {"a": 0, "b": 62, "c": 64}}
    of = adjusted(learned(10), bands={"a": 0, "b": 10, "c": 100}, segment=[segment])
    assert total(of, title="VP", employees=500) == 63


def test_s4_14_within_whole_units_where_two_bands_lie_between_two_points():
    of = adjusted(learned(10), bands={"a": 0, "b": 62.2, "c": 62.7})
    document = one(of, title="VP", employees=500)
    assert (document["total"], document["band"]) == (62, "a")


def test_s4_14_the_limit_of_the_total_still_holds():
    assert total(adjusted(learned(10), score={"total": {"cap": 65}}), title="VP", employees=500) == 65
    assert total(adjusted(learned(-10), score={"total": {"floor": 55}}), title="VP", employees=500) == 55


def test_s4_14_the_line_says_what_it_is_made_of_and_what_was_cut():
    of = adjusted(learned(4), learned(-1, "VP", field="title", **{"is": "VP"}))
    document = one(of, title="VP", employees=500)
    assert line_of(document) == {"rule": "Learned adjustment", "points": 3, "why": "Large +4, VP -1"}
    assert points(document) == {"Titled": 60, "Learned adjustment": 3}

    document = one(adjusted(learned(14)), title="VP", employees=500)
    assert line_of(document)["why"] == "Large +14; +14 cut to +10, the most of [learned] clamp"

    of = adjusted(learned(14), fit=48, bands={"a": 0, "b": 50, "c": 55})
    document = one(of, title="VP", employees=500)
    assert line_of(document)["points"] == 6
    assert line_of(document)["why"].endswith("clamp; +10 cut to +6, since it moves nobody by more than one band")

    document = one(adjusted(learned(5), score={"total": {"cap": 62}}), title="VP", employees=500)
    assert line_of(document)["why"] == "Large +5; +5 cut to +2 by the limit of total"


def test_s4_14_an_adjustment_that_was_cut_away_is_told_with_no_points():
    of = adjusted(learned(5), bands={"a": 0, "b": 60.5, "c": 60.7})
    document = one(of, title="VP", employees=500)
    assert (document["total"], line_of(document)["points"]) == (60, 0)


def test_s4_14_the_summary_names_it():
    of = adjusted(learned(5))
    scores = score(of, columns_of([person(title="VP", employees=500)]), NOW, UTC)
    assert summarize_many(of, scores, [0]) == ["warm, 65 points: Titled +60, Learned adjustment +5"]


def test_s4_14_who_lacks_what_an_adjustment_asks_is_told():
    of = adjusted(learned(5))
    columns = columns_of([person(title="VP")])
    scored = choose_people(of, score(of, columns, NOW, UTC), columns, [0], NOW, UTC)
    assert find_gaps(scored) == [["employees is not known: Large"]]
    (found,) = possible_ranges(scored)
    assert (found.lowest, found.highest, found.unknown) == (60, 65, ("employees",))


def test_s4_14_a_test_lead_may_pin_it():
    lead = {"name": "lead", "given": {"title": "VP", "employees": 500}}
    for number, mistakes in ((5, 0), (4, 1)):
        expect = {"total": 65, "lines": {"Learned adjustment": number}}
        assert len(failed_tests(adjusted(learned(5), test=[{**lead, "expect": expect}]))) == mistakes


def test_s4_14_the_page_names_them():
    of = adjusted(learned(5), learned(-2, "VP", field="title", **{"is": "VP"}), clamp=7.5)
    said = {line.name: (line.sort, line.points, line.says) for line in describe_model(of)["limits"]}
    assert said["adjustment"] == (
        "learned",
        None,
        "added to total at the end: the adjustments together, at most 7.5 points up or down, cut so that they move "
        "nobody by more than one band",
    )
    assert said["Large"] == ("learned", 5, "employees is 200 or more")
    assert said["VP"] == ("learned", -2, "title is VP")
    assert "adjustment" not in {line.name for line in describe_model(adjusted(learned(5), mode="rules"))["limits"]}


@pytest.mark.parametrize(
    ("bands", "done", "said"),
    [
        # 45 + 10 is 55: five more are what mql lacks
        ({"cold": 0, "warm": 40, "mql": 60}, 45, "mql needs 5 more points"),
        # 45 is cold: it has to be warm without the adjustment before mql can be reached
        ({"cold": 0, "warm": 52, "mql": 55}, 45, "mql needs 7 more points"),
    ],
)
def test_s4_14_what_is_missing_is_told_in_points_of_rules(bands, done, said):
    of = adjusted(learned(10), fit=done, bands=bands, behavior=[behavior_rule(points=1, max_times=1)])
    assert foreseen(of, title="VP", employees=500)["next"]["said"].startswith(said)


def test_s4_14_what_is_missing_where_points_are_taken():
    bands = {"cold": 0, "warm": 40, "mql": 60, "sql": 65}
    of = adjusted(learned(-10), fit=55, bands=bands, behavior=[behavior_rule(points=1, max_times=1)])
    # 65 points are sql, and an adjustment moves nobody from there below mql.
    assert foreseen(of, title="VP", employees=500)["next"]["said"].startswith("mql needs 10 more points")
    more = adjusted(learned(-10), fit=55, bands={**bands, "sql": 100}, behavior=[behavior_rule(points=1)])
    assert foreseen(more, title="VP", employees=500)["next"]["said"].startswith("mql needs 15 more points")


def test_s4_14_a_forecast_knows_it():
    fading = behavior_rule("form_submitted", 60, "demo", decay={"half_life": "30d"})
    of = model(
        behavior=[fading],
        bands={"cold": 0, "mql": 45},
        learned={"mode": "hybrid", "adjustment": [learned(10)]},
    )
    got = foreseen(of, did("form_submitted"), employees=500)
    # 35 points are left after 23 days.
    assert got["until"]["said"] == "mql until 14 December 2026 without new activity, then cold"


def test_s4_14_the_most_that_a_model_gives():
    assert most_total(adjusted(learned(4)), None)[2] == 64_00
    assert most_total(adjusted(learned(14)), None)[2] == 70_00
    assert most_total(adjusted(learned(-14)), None)[2] == 60_00
    of = adjusted(learned(10), fit=48, bands={"a": 0, "b": 50, "c": 55})
    assert most_total(of, None)[2] == 54_00


@pytest.mark.parametrize(
    "learned_table",
    [
        {"clamp": -1},
        {"mode": "model"},
        {"adjustment": [learned(0)]},
        {"adjustment": [learned(1), learned(2)]},
        {"adjustment": [{"name": "no question", "points": 1}]},
        {"mode": "hybrid", "adjustment": [learned(1, field="email", in_list="nowhere")]},
    ],
)
def test_s4_14_what_an_adjustment_cannot_be(learned_table):
    with pytest.raises(ValidationError):
        Model(bands=BANDS, learned=learned_table)


def without(of):
    return of.model_copy(update={"learned": of.learned.model_copy(update={"mode": "rules"})})


def own_bands(of, scores):
    """The band of each by the points alone, without memory."""
    none = np.full(1, -1, dtype=np.int8)
    found = []
    for row, segment in enumerate(scores.segment.tolist()):
        bands = (of.segment[segment].bands if segment >= 0 else None) or of.bands
        args = (each[row : row + 1] for each in (scores.total, scores.fit, scores.behavior))
        found.append(int(band_of(bands, *args, none)[0][0]))
    return np.array(found)


@quick
@given(models(), people, st.sampled_from(ZONES))
def test_s4_14_law_within_the_clamp_and_one_band(of, people, zone):
    columns = columns_of_pairs(people)
    alone, together = (score(each, columns, NOW, zone) for each in (without(of), of))
    moved = together.total - alone.total
    assert (np.abs(moved) <= round(of.learned.clamp * 100)).all()
    assert (np.abs(own_bands(of, together) - own_bands(of, alone)) <= 1).all()
    assert (alone.fit == together.fit).all()
    assert (moved % 10 ** (2 - of.score.decimals) == 0).all()


@quick
@given(models(), st.lists(st.integers(-60, 150), min_size=2, max_size=8))
def test_s4_14_law_more_points_of_rules_never_lower_the_total(of, given_points):
    if not of.learned.active:
        return
    rules = {table: [] for table in ("behavior", "inactivity", "sequence", "pattern")}
    totals = [
        total(of.model_copy(update={**rules, "fit": one_rule(each)}), title="VP, IT Security", employees=500)
        for each in sorted(set(given_points) - {0})
    ]
    assert all(before <= after for before, after in pairwise(totals))


def one_rule(number):
    return model(fit=[fit_rule(number, "only", field="title", exists=True)]).fit


def sentences(of):
    found = lint_model(of, set(KINDS), date(2026, 11, 21), ())
    return {(each.level, each.sentence) for each in found}


def test_s4_14_the_linter_knows_how_high_adjustments_lead():
    bands = {"cold": 0, "mql": 65}
    assert not [said for _, said in sentences(adjusted(learned(5), bands=bands)) if "nobody can reach" in said]
    (said,) = [said for _, said in sentences(adjusted(learned(4), bands=bands)) if "nobody can reach" in said]
    assert "needs 65 points and the maximum is 64" in said
    ignored = adjusted(learned(5), bands=bands, mode="rules")
    assert "maximum is 60" in " ".join(said for _, said in sentences(ignored))


def test_s4_14_the_linter_names_adjustments_without_an_effect():
    said = '[learned] mode is "rules", so that these adjustments are ignored: "Large"'
    assert ("note", said) in sentences(adjusted(learned(5), mode="rules"))
    said = "[learned] clamp = 0.5 is less than one step of the score; nothing is adjusted"
    assert ("warning", said) in sentences(adjusted(learned(5), clamp=0.5))
    never = adjusted(learned(5, all=[{"field": "employees", "gt": 9}, {"field": "employees", "lt": 3}]))
    assert ("error", 'nobody can meet the condition of "Large"') in sentences(never)
    leaks = adjusted(learned(5, field="deal_stage", **{"is": "won"}))
    assert any('"Large"' in said and "outcome" in said for _, said in sentences(leaks))


@quick
@given(models(), people, st.sampled_from(ZONES))
def test_s4_14_law_nobody_has_more_than_a_model_can_give(of, people, zone):
    columns = columns_of_pairs(people)
    alone, together = (score(each, columns, NOW, zone) for each in (without(of), of))
    for number in (-1, 0):
        segment, mine = of.segment[number] if number >= 0 else None, alone.segment == number
        least, most = (most_total(each, segment)[2] for each in (without(of), of))
        assert (together.total[mine & (alone.total <= least)] <= most).all()
