"""What holding scores against outcomes must be able to do, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from crmsync.config import load
from crmsync.config.sla import Sla
from crmsync.evaluation.cases import NEVER
from crmsync.evaluation.proportions import divide_rates
from crmsync.reporting.documents import check_document
from crmsync.reporting.evaluate import Evaluation, evaluate_document, list_reviewed
from crmsync.reporting.print_evaluation import print_evaluation
from tests.support.judged import DAY, START, judged_of

NOW = START + 200 * DAY

MODEL = """
[[fit]]
name = "Director"
points = 20
when = { field = "title", is = "Director" }

[[fit]]
name = "Large"
points = 5
when = { field = "size", gte = 200 }

[[behavior]]
name = "Demo requested"
points = 30
on = ["form_submitted"]

[[behavior]]
name = "Email replied"
points = 10
on = ["email_replied"]

[[behavior]]
name = "Careers page viewed"
points = -15
on = ["page_viewed"]

[bands]
cold = {}
warm = 25
mql = 50

[feedback]
field = { hubspot = "crmsync_feedback" }
[feedback.tags]
"bad lead" = "disqualify"
"fine" = "keep"

[fields]
title = { hubspot = "jobtitle" }
size = { hubspot = "numberofemployees" }

[hubspot]
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "crmsync.toml"
    file.write_text(MODEL)
    return load(file)


def evaluated(config, judged, by=None, **more):
    made = Evaluation(config, judged, more.pop("now", NOW), more.pop("last", judged.came * 0), **more)
    document = evaluate_document(made, by)
    check_document("evaluate", {**document, "problems": []})
    return document


def shown(document, *, in_terminal=False):
    console = Console(width=80, markup=False, highlight=False, color_system=None, force_terminal=in_terminal)
    with console.capture() as captured:
        print_evaluation(console, document, lambda command: command)
    return captured.get()


def instants(*pairs):
    """So many instants of each (count, instant)."""
    return np.concatenate([np.full(count, at, dtype=np.int64) for count, at in pairs])


def test_S0_23_the_rate_of_a_rule_among_the_won_and_the_lost_and_its_lift(config):
    hit = [True] * 6 + [False] * 4 + [True] * 6 + [False] * 24
    judged = judged_of(config, [40] * 40, "w" * 10 + "l" * 30, hits={"Demo requested": hit})
    rule = next(each for each in evaluated(config, judged)["rules"] if each["name"] == "Demo requested")
    assert (rule["won"], rule["lost"], rule["won_rate"], rule["lost_rate"], rule["lift"]) == (6, 6, 0.6, 0.2, 3.0)
    assert (rule["low"], rule["high"]) == pytest.approx(divide_rates(6, 10, 6, 30)[1:], abs=1e-6)
    assert rule["low"] < 3.0 < rule["high"]
    assert rule["finding"] == "helps"


def test_S0_23_a_rule_is_told_by_the_way_its_points_go(config):
    lost_more, won_more = [True] * 2 + [False] * 18 + [True] * 50, [True] * 15 + [False] * 55
    judged = judged_of(
        config, [40] * 70, "w" * 20 + "l" * 50,
        hits={"Director": lost_more, "Careers page viewed": won_more, "Email replied": [True] * 70},
    )  # fmt: skip
    found = {each["name"]: each["finding"] for each in evaluated(config, judged)["rules"]}
    assert found == {
        "Director": "wrong_way",
        "Large": "not_enough",
        "Demo requested": "not_enough",
        "Email replied": "no_difference",
        "Careers page viewed": "wrong_way",
    }


def test_S0_25_who_was_tagged_a_bad_lead_is_a_false_positive_with_the_rules_that_scored_them(config):
    tags = ["bad lead", "", "bad lead"]
    judged = judged_of(
        config, [60, 60, 30], "ool", hits={"Demo requested": [1, 1, 1], "Director": [1, 1, 0]},
        groups={"feedback": tags}, disqualified=np.array([0, -1, 0], dtype=np.int16),
        band=np.array([0, 2, 0], dtype=np.int8),
    )  # fmt: skip
    document = evaluated(config, judged)
    (wrong,) = document["false_positives"]
    assert (wrong["person"], wrong["why"]) == ("p0", "feedback: bad lead")
    assert wrong["rules"] == [{"name": "Demo requested", "points": 30}, {"name": "Director", "points": 20}]
    assert "p0, 60 points (cold) [feedback: bad lead]: Demo requested +30, Director +20" in shown(document)


def test_S4_25_and_S2_17_tags_are_counted_by_band_and_held_against_the_line(config):
    tags = ["bad lead", "bad lead", "fine", "fine", ""]
    judged = judged_of(config, [60, 10, 70, 30, 50], "ooooo", groups={"feedback": tags})
    assert evaluated(config, judged)["feedback"] == {
        "tags": [
            {"tag": "bad lead", "bands": {"cold": 1, "mql": 1}},
            {"tag": "fine", "bands": {"warm": 1, "mql": 1}},
        ],
        "people": 4,
        "agreed": 2,
        "rate": 0.5,
    }


def test_S0_33_speed_to_lead_and_lift_stand_in_one_report(config):
    handed = np.full(40, START + DAY, dtype=np.int64)
    judged = judged_of(
        config, [40] * 40, "w" * 10 + "l" * 30, hits={"Demo requested": [True] * 12 + [False] * 28},
        handed_off=handed, touched=handed + 600,
    )  # fmt: skip
    said = shown(evaluated(config, judged))
    assert "Speed to lead: 10 minutes from hand-off to first touch" in said
    assert "Rules that help" in said


def test_S1_10_conversion_per_band_mql_to_sql_and_time_to_first_touch_are_present(config):
    handed = np.array([START + DAY] * 4, dtype=np.int64)
    judged = judged_of(
        config, [60, 70, 30, 10], "wlll", handed_off=handed, touched=handed + 300,
        milestones={"mql": [START, START, NEVER, NEVER], "accepted": [START, NEVER, NEVER, NEVER]},
    )  # fmt: skip
    document = evaluated(config, judged)
    assert {each["name"]: (each["people"], each["won"]) for each in document["bands"]} == {
        "cold": (1, 0), "warm": (1, 0), "mql": (2, 1),
    }  # fmt: skip
    assert document["funnel"]["all"]["accepted_rate"] == 0.5
    assert document["speed_to_lead"]["median_minutes"] == 5


def test_S2_15_the_lower_quartile_of_the_scores_at_hand_off_of_the_won_is_suggested_as_line(config):
    scores = [62, 71, 80, 88, 95, 20, 10]
    handed = np.array([START] * 5 + [NEVER, START], dtype=np.int64)  # one won without a hand-off, one lost
    document = evaluated(config, judged_of(config, scores, "wwwwwwl", handed_off=handed))
    assert document["suggested_line"] == {"score": 71, "people": 5, "as_of": "hand_off", "now": 50}
    alone = evaluated(config, judged_of(config, scores[:5], "wwwww"))["suggested_line"]
    assert (alone["score"], alone["as_of"]) == (71, "judgement")
    assert "Three of four won people had 71 points or more at hand-off (of 5)" in " ".join(shown(document).split())


def test_S2_16_won_below_the_line_are_listed_with_the_rules_and_fields_they_lacked(config):
    won_have = [False] + [True] * 9
    judged = judged_of(
        config, [10] + [60] * 9, "w" * 10,
        hits={"Demo requested": won_have, "Email replied": [True] * 10, "Director": [False] * 10},
        fields=("size", "title"), known=np.array([[False, True]] + [[True, True]] * 9),
    )  # fmt: skip
    document = evaluated(config, judged)
    (miss,) = document["misses"]
    assert (miss["person"], miss["score"], miss["band"]) == ("p0", 10, "cold")
    assert miss["rules"] == [{"name": "Email replied", "points": 10}]
    assert miss["lacked"] == ["Demo requested", "Director", "Large"]
    assert miss["unknown"] == ["size"]
    assert document["miss_count"] == 1


def test_S3_11_the_share_below_the_line(config):
    document = evaluated(config, judged_of(config, [10, 30, 49, 50, 70, 80], "olwolw"))
    assert document["below_line"] == {"people": 3, "share": 0.5}
    assert "Below the line: 3 (50.0 %)." in shown(document)


def test_S3_15_an_mql_count_never_stands_without_the_accepted_rate(config):
    mql = [START] * 3 + [NEVER]
    with_history = judged_of(config, [60] * 4, "wllo", milestones={"mql": mql, "accepted": [START] + [NEVER] * 3})
    for judged, beside in ((with_history, "1 (33.3 %)"), (judged_of(config, [60] * 4, "wllo"), "not known")):
        lines = shown(evaluated(config, judged)).splitlines()
        head = next(line for line in lines if "MQL" in line)
        assert "accepted" in head
        assert all(beside in line for line in lines if line.startswith(("2026-01", "all ")))


def test_S3_17_accepted_with_a_high_score_and_no_next_step_for_30_days(config):
    accepted = [NOW - 31 * DAY, NOW - 31 * DAY, NOW - 29 * DAY, NOW - 31 * DAY, NOW - 31 * DAY, NEVER]
    opportunity = [NEVER, NEVER, NEVER, NOW - 5 * DAY, NEVER, NEVER]
    judged = judged_of(
        config, [95, 80, 95, 95, 95, 95], "oooowo", milestones={"accepted": accepted, "opportunity": opportunity}
    )
    document = evaluated(config, judged)
    assert [each["person"] for each in document["stalled"]] == ["p0"]
    assert evaluated(config, judged_of(config, [95], "o"))["stalled"] is None
    touched = np.array([NOW - 3 * DAY] + [NEVER] * 5, dtype=np.int64)
    again = judged_of(
        config, [95] * 6, "o" * 6, touched=touched, milestones={"accepted": accepted, "opportunity": opportunity}
    )
    assert "p0" not in [each["person"] for each in evaluated(config, again)["stalled"]]


def test_S4_07_a_campaign_has_its_rate_and_a_suggestion_and_under_20_outcomes_none(config):
    # All have one score: by it, 66 of 159 would be won everywhere.
    campaigns = ["Webinar"] * 80 + ["Fair"] * 60 + ["Mailing"] * 19
    outcomes = "w" * 56 + "l" * 24 + "w" * 3 + "l" * 57 + "w" * 7 + "l" * 12
    judged = judged_of(config, [60] * 159, outcomes, groups={"campaign": campaigns})
    found = {each["name"]: each for each in evaluated(config, judged, "campaign")["groups"]}
    assert {name: each["suggestion"] for name, each in found.items()} == {
        "Webinar": "more", "Fair": "fewer", "Mailing": None,
    }  # fmt: skip
    assert found["Webinar"]["rate"] == 0.7
    assert found["Webinar"]["why"] == "56 of 80 won, 41.5 % expected by score"
    assert found["Mailing"]["why"] == "not enough data: 19 of 20 outcomes"
    assert list(found) == ["Webinar", "Fair", "Mailing"]


def test_S4_07_a_campaign_whose_score_says_it_already_needs_no_more_points(config):
    scores = [90] * 100 + [10] * 100
    outcomes = "w" * 70 + "l" * 30 + "w" * 5 + "l" * 95
    judged = judged_of(config, scores, outcomes, groups={"campaign": ["Webinar"] * 100 + ["Fair"] * 100})
    found = {each["name"]: each["suggestion"] for each in evaluated(config, judged, "campaign")["groups"]}
    assert found == {"Webinar": "keep", "Fair": "keep"}


def test_S4_09_of_50_attendees_12_became_mql(config):
    scores = [60] * 12 + [10] * 38 + [60] * 10
    campaigns = ["Event"] * 50 + ["Other"] * 10
    judged = judged_of(config, scores, "o" * 60, groups={"campaign": campaigns})
    event = evaluated(config, judged, "campaign")["groups"][0]
    assert (event["name"], event["people"], event["mql"], event["mql_rate"]) == ("Event", 50, 12, 0.24)


def test_S4_10_of_200_people_of_outbound_18_replied(config):
    judged = judged_of(config, [20] * 200, "o" * 200, hits={"Email replied": [True] * 18 + [False] * 182})
    rule = next(each for each in evaluated(config, judged)["rules"] if each["name"] == "Email replied")
    assert (rule["people"], rule["share"]) == (18, 0.09)


def test_S4_11_the_median_of_the_cycle_days_of_partners(config):
    ended = START + np.array([10, 20, 90, 5, 5]) * DAY
    judged = judged_of(
        config, [60] * 5, "wwwlw", outcome_at=ended, groups={"source": ["Partner"] * 4 + ["Web"]},
    )  # fmt: skip
    document = evaluated(config, judged, "source")
    assert {each["name"]: each["cycle_days"] for each in document["groups"]} == {"Partner": 20, "Web": 5}
    assert document["cycle"]["arrival"] == {"people": 4, "median_days": 15}
    assert document["cycle"]["hand_off"] == {"people": 0, "median_days": None}


def funnel_of_200(config, **more):
    steps = {"mql": 200, "accepted": 50, "opportunity": 20}
    milestones = {name: instants((count, START), (200 - count, NEVER)) for name, count in steps.items()}
    return judged_of(config, [60] * 200, "w" * 5 + "l" * 195, milestones=milestones, **more)


def test_S4_15_the_funnel_has_its_rates(config):
    document = evaluated(config, funnel_of_200(config))
    whole = document["funnel"]["all"]
    assert [whole[name] for name in ("mql", "accepted", "opportunity", "won")] == [200, 50, 20, 5]
    assert [whole[f"{name}_rate"] for name in ("accepted", "opportunity", "won")] == [0.25, 0.4, 0.25]
    assert document["funnel"]["mql_by"] == "history"
    assert "all 200 200 50 (25.0 %) 20 (40.0 %) 5 (25.0 %) 0" in " ".join(shown(document).split())


def test_S4_15_a_definition_that_changed_within_a_month_is_flagged(config):
    at = instants((100, START + DAY), (100, START + 60 * DAY))
    came = instants((100, START), (100, START + 40 * DAY))
    judged = funnel_of_200(config, at=at, came=came)
    changes = [(START + 30 * DAY, "mql from 40 to 50"), (START + 90 * DAY, "not reached")]
    document = evaluated(config, judged, definitions=changes)
    assert document["funnel"]["all"]["changed"] == ["mql from 40 to 50"]
    assert [row["changed"] for row in document["funnel"]["cohorts"]] == [[], []]
    assert document["warnings"] == [
        "Since 2026-01-31 a definition is another one (mql from 40 to 50): do not compare before with after."
    ]
    at_its_end = [(START + 60 * DAY, "line"), (START + 40 * DAY + 1, "too early for none")]
    rows = evaluated(config, funnel_of_200(config, at=at, came=came), definitions=at_its_end)["funnel"]
    assert (rows["all"]["changed"], rows["cohorts"][1]["changed"]) == (["line", "too early for none"], [])
    mixed = funnel_of_200(config, at=at)
    assert evaluated(config, mixed, definitions=changes)["funnel"]["cohorts"][0]["changed"] == ["mql from 40 to 50"]
    assert "2026-01*" in shown(evaluated(config, mixed, definitions=changes))


def test_S4_15_won_by_another_way_is_counted_beside(config):
    judged = judged_of(config, [60, 60, 10], "www", milestones={"mql": [START] * 2 + [0], "accepted": [START, 0, 0]})
    whole = evaluated(config, judged)["funnel"]["all"]
    assert (whole["won"], whole["won_without"], whole["opportunity"], whole["won_rate"]) == (1, 2, None, None)


def test_S4_16_the_median_of_touches_after_5_30_120_and_600_minutes_is_75(config):
    handed = np.full(6, START + DAY, dtype=np.int64)
    touched = handed + np.array([5, 30, 120, 600, 0, 0]) * 60
    touched[4:] = NEVER
    handed[5] = NEVER
    speed = evaluated(config, judged_of(config, [60] * 6, "wwllow", handed_off=handed, touched=touched))[
        "speed_to_lead"
    ]
    assert (speed["median_minutes"], speed["touched"], speed["handed_over"]) == (75, 4, 5)
    counts = {each["name"]: (each["people"], each["won"], each["open"]) for each in speed["buckets"]}
    assert counts == {
        "up to 5 minutes": (1, 1, 0),
        "5 minutes to 1 hour": (1, 1, 0),
        "1 hour to 4 hours": (1, 0, 0),
        "4 hours to 1 day": (1, 0, 0),
        "1 day to 3 days": (0, 0, 0),
        "more than 3 days": (0, 0, 0),
        "no touch known": (0, 0, 1),
    }
    assert speed["sla"] is None


def test_conversion_is_told_by_whether_the_sla_was_kept(config):
    config = config.model_copy(update={"sla": Sla(within="4h")})
    handed = np.array([START] * 4 + [NOW - 3600], dtype=np.int64)
    touched = np.array([START + 3600 * 4, START + 3600 * 4 + 60, NEVER, START + 60, NEVER], dtype=np.int64)
    judged = judged_of(config, [60] * 5, "wlloo", handed_off=handed, touched=touched)
    sla = evaluated(config, judged)["speed_to_lead"]["sla"]
    assert sla["within_hours"] == 4
    assert [(each["name"], each["people"], each["won"], each["open"]) for each in sla["outcomes"]] == [
        ("within", 1, 1, 1),
        ("breached", 2, 0, 0),
    ]


def test_S4_17_precision_recall_and_f1_at_the_line(config):
    scores, outcomes = [60] * 50 + [10] * 60, "w" * 30 + "l" * 20 + "w" * 10 + "l" * 50
    line = next(
        each for each in evaluated(config, judged_of(config, scores, outcomes))["lines"] if each["name"] == "mql"
    )
    assert (line["right"], line["wrong"], line["missed"], line["at"]) == (30, 20, 10, 50)
    assert [f"{line[name]:.3f}" for name in ("precision", "recall", "f1")] == ["0.600", "0.750", "0.667"]


def test_S4_18_auc_and_average_precision_of_ten_times_the_row(config):
    scores, outcomes = [90, 70, 60, 80, 50, 40, 30] * 10, "wwwllll" * 10
    document = evaluated(config, judged_of(config, scores, outcomes))
    assert f"{document['auc']:.4f}" == "0.8333"
    assert document["auc_low"] < document["auc"] < document["auc_high"]
    assert document["verdict"].startswith("The score ranks a won person above a lost one 83 times in 100 (95 %: ")
    assert document["precision_at"] == [{"people": 10, "precision": 1.0}, {"people": 50, "precision": 0.6}]


def test_S4_19_and_S4_20_coverage_with_reasons_and_completeness(config):
    judged = judged_of(
        config, [20] * 80, "o" * 80, hits={"Director": [True] * 70 + [False] * 10},
        fields=("band", "size", "title"), known=np.array([[False, each < 40, each < 56] for each in range(80)]),
    )  # fmt: skip
    document = evaluated(config, judged, skipped={"lines with a mistake": 20})
    assert document["coverage"] == {
        "people": 100, "scored": 80, "rate": 0.8, "reasons": {"lines with a mistake": 20}, "no_rule": 10,
    }  # fmt: skip
    known = {"overall": 0.6, "fields": {"size": 0.5, "title": 0.7}}
    assert document["completeness"] == {**known, "unknown_then": None}


def test_what_cannot_be_known_any_more_is_said(config):
    document = evaluated(config, judged_of(config, [20], "o"), unknown_then=0.25)
    assert document["completeness"]["unknown_then"] == 0.25


# Honesty


def test_open_people_are_in_no_rate(config):
    without = evaluated(config, judged_of(config, [60, 10] * 20, "wl" * 20))
    opened = evaluated(config, judged_of(config, [60, 10] * 20 + [99] * 500, "wl" * 20 + "o" * 500))
    for name in ("auc", "average_precision", "conversion", "lines", "deciles", "won", "lost", "rules"):
        if name != "rules":
            assert opened[name] == without[name], name
    assert (opened["people"], opened["open"]) == (540, 500)
    rates = [[each[name] for name in ("people", "won", "rate", "low", "high")] for each in opened["bands"]]
    assert rates == [[each[name] for name in ("people", "won", "rate", "low", "high")] for each in without["bands"]]
    assert opened["bands"][2]["open"] == 500


def test_with_three_won_there_are_rates_and_no_ranking(config):
    document = evaluated(config, judged_of(config, [60] * 3 + [10] * 40, "w" * 3 + "l" * 40))
    names = ("auc", "auc_low", "average_precision", "brier", "observed_expected", "calibration")
    assert [document[name] for name in names] == [None] * 6
    assert document["verdict"] == "Not enough data: 3 won and 40 lost; how well a score ranks needs 10 of each."
    assert document["bands"][2]["rate"] == 1.0
    assert 0 < document["bands"][2]["low"] < 1
    assert document["calibration_why"] == "the earlier half of the period has 0 won and 0 lost; each needs 10"


def test_nobody_with_an_outcome_is_evaluated_all_the_same(config):
    document = evaluated(config, judged_of(config, [60, 10], "oo"), "month")
    assert (document["won"], document["lost"], document["auc"], document["conversion"]["rate"]) == (0, 0, None, None)
    assert document["suggested_line"] is None
    assert document["groups"][0]["name"] == "2026-01"
    assert "Not enough data: 0 won and 0 lost" in shown(document)


def test_a_verdict_says_chance_and_the_wrong_way(config):
    scores = np.arange(60)
    judged = judged_of(config, scores, "wl" * 30)
    assert evaluated(config, judged)["verdict"].startswith("The score is not shown to tell the won from the lost")
    same = judged_of(config, [60] * 60, "wl" * 30)
    assert evaluated(config, same)["verdict"] == "The score does not tell the won from the lost: all have the same one."
    wrong = judged_of(config, scores, "w" * 25 + "lw" * 5 + "l" * 25)
    assert evaluated(config, wrong)["verdict"].startswith("The score points the wrong way")


def test_a_gap_that_tells_the_won_from_the_lost_by_itself_is_warned_of(config):
    outcomes = "w" * 30 + "l" * 30
    at = START + np.array([*range(10, 40), *range(100, 130)]) * DAY
    judged = judged_of(config, [60] * 60, outcomes, at=at)
    document = evaluated(config, judged, last=at - 2 * DAY)
    (warning,) = document["warnings"]
    assert warning.startswith("The won were judged 24 days after their arrival and the lost 114 (medians)")
    assert "that alone tells them apart 100 times in 100; too few can be compared" in warning
    arrival, activity = document["gaps"]
    assert (arrival["auc"], arrival["is_telling"]) == (0.0, True)
    assert (activity["auc"], activity["is_telling"], activity["auc_within"]) == (0.5, False, 0.5)
    same = judged_of(config, [60] * 60, outcomes, at=np.full(60, START + 9 * DAY))
    assert evaluated(config, same)["warnings"] == []


@pytest.mark.parametrize(("days", "is_telling"), [(15, True), (5, False)])
def test_a_small_gap_is_not_warned_of(config, days, is_telling):
    gaps = np.concatenate([np.arange(100) + days, np.arange(100)])
    judged = judged_of(config, [60] * 200, "w" * 100 + "l" * 100, at=START + gaps * DAY)
    (found,) = evaluated(config, judged)["gaps"]
    assert 0.5 < found["auc"] < 0.65
    assert found["is_telling"] == is_telling


def test_the_score_is_also_judged_among_people_who_were_judged_after_as_many_days(config):
    # A day after arrival 40 are won and 10 lost, a hundred days after it is the other way round: the score only knows
    # how old people are.
    outcomes = "w" * 40 + "l" * 10 + "w" * 10 + "l" * 40
    at, scores = START + np.repeat([1, 100], 50) * DAY, np.repeat([60, 10], 50)
    judged = judged_of(config, scores, outcomes, at=at)
    document = evaluated(config, judged)
    assert document["auc"] == 0.8
    assert document["gaps"][0]["auc_within"] == 0.5
    (warning,) = document["warnings"]
    assert warning.endswith("among people judged after about as many days the score is right 50 times.")


def test_people_who_were_judged_just_before_their_outcome_are_warned_of(config):
    outcomes, ended = "wl" * 15, np.full(30, START + 30 * DAY)
    at = np.where(np.arange(30) < 12, ended - 1, START + DAY)
    judged = judged_of(config, np.arange(30), outcomes, at=at, came=at - DAY, outcome_at=ended)
    (warning,) = evaluated(config, judged)["warnings"]
    assert warning.startswith("12 of 30 people with an outcome have no hand-off and were judged the second before it")


def test_a_score_that_is_too_good_to_be_true_is_warned_of(config):
    (warning,) = evaluated(config, judged_of(config, [60, 10] * 10, "wl" * 10))["warnings"]
    assert warning.startswith("Hardly a score is that good")


def test_groups_have_a_ranking_where_they_have_enough(config):
    sources = ["Web"] * 40 + ["Fair"] * 12
    judged = judged_of(config, [60, 10] * 26, "wl" * 26, groups={"source": sources}, at=START + np.arange(52) * DAY)
    web, fair = evaluated(config, judged, "source")["groups"]
    assert (web["name"], web["auc"], fair["name"], fair["auc"]) == ("Web", 1.0, "Fair", None)
    assert (web["people"], web["won"], web["lost"], web["open"]) == (40, 20, 20, 0)
    assert web["observed_expected"] == pytest.approx(1, abs=0.15)


def test_no_number_of_a_million_people_is_cut_at_80_columns(config):
    judged = funnel_of_200(config, groups={"campaign": ["A campaign with quite a long name, 2026 (EMEA)"] * 200})
    document = evaluated(config, judged, "campaign")

    def enlarge(value):
        if isinstance(value, dict):
            return {name: enlarge(each) for name, each in value.items()}
        if isinstance(value, list):
            return [enlarge(each) for each in value]
        is_count = isinstance(value, int) and not isinstance(value, bool) and value > 1
        return value * 5_000 if is_count else value

    said = shown(enlarge(document), in_terminal=True)
    assert "1,000,000" in said
    assert "250,000 (25.0 %)" in said
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= 80


def test_everybody_of_the_lists_is_in_the_file(config):
    judged = judged_of(config, [60] * 150 + [10] * 120, "l" * 150 + "w" * 120)
    document = evaluated(config, judged)
    assert (len(document["false_positives"]), document["false_positive_count"]) == (100, 150)
    rows = list(list_reviewed(Evaluation(config, judged, NOW, judged.came)))
    assert [each["list"] for each in rows] == ["false_positive"] * 150 + ["miss"] * 120


def test_a_model_without_bands_is_evaluated(tmp_path):
    file = tmp_path / "crmsync.toml"
    file.write_text(MODEL[: MODEL.index("[bands]")])
    config = load(file)
    document = evaluated(config, judged_of(config, [60, 10] * 20, "wl" * 20, band=np.full(40, -1, dtype=np.int8)))
    assert (document["line"], document["bands"], document["lines"], document["auc"]) == (None, [], [], 1.0)
    assert document["below_line"] == {"people": 0, "share": None}
    assert (document["misses"], document["false_positives"]) == ([], [])
    assert "times in 100" in shown(document)
