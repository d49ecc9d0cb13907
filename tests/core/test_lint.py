"""The linter: what it proves from the rules alone, and what it sees once there are people."""

from __future__ import annotations

import re
from datetime import UTC, date, timedelta
from pathlib import Path

import pytest

from crmsync.config import load
from crmsync.config.settings import kinds_of
from crmsync.doctor import diagnose
from crmsync.lint import lint_model, lint_with_data
from crmsync.model import KINDS
from crmsync.scoring import columns_of, failed_tests, score
from tests.support.make import config
from tests.support.scoring import EXAMPLES, NOW, behavior_rule, did, example, fit_rule, model, person

TODAY = date(2026, 11, 21)


def said(of, level=None, mapped=()):
    return [each.sentence for each in lint_model(of, KINDS, TODAY, mapped) if level in (None, each.level)]


def found(pattern, of, level=None, mapped=()):
    return [each for each in said(of, level, mapped) if re.search(pattern, each)]


@pytest.mark.parametrize(
    "path", [*sorted(EXAMPLES.glob("*.toml")), Path("config.example.toml")], ids=lambda each: each.name
)
def test_the_examples_pass(path):
    of = load(path if path.is_absolute() else EXAMPLES.parent / path)
    assert failed_tests(of) == []
    assert [each.sentence for each in lint_model(of, kinds_of(of), TODAY) if each.level == "error"] == []
    assert diagnose(of, NOW, None)["ok"]


def test_the_shipped_config_has_no_weak_signals_that_beat_a_strong_one():
    assert not found("10×", load(EXAMPLES.parent / "config.example.toml"))


def test_the_starter_has_nothing_to_think_about():
    assert said(example("starter"), mapped=example("starter").fields) == []


def worked_example(line):
    """The points of a guide's example, each activity once: 70 at the most."""
    return model(
        fit=[
            fit_rule(15, "director", field="title", seniority="director"),
            fit_rule(10, "size", field="employees", gt=200),
        ],
        behavior=[
            behavior_rule("page_viewed", 20, "pricing", max_times=1),
            behavior_rule("form_submitted", 25, "demo", max_times=1),
        ],
        bands={"cold": 0, "mql": line},
    )


def test_a_band_above_everything_possible_is_unreachable():
    (sentence,) = said(worked_example(75), "error")
    assert sentence == (
        'nobody can reach the band "mql": it needs 75 points and the maximum is 70 (fit 25, behavior 45); lower '
        "the band, or let rules give more"
    )
    assert said(worked_example(70), "error") == []


def test_the_most_of_two_channels_is_what_both_give_together():
    rules = [behavior_rule(name=name, max_times=2, channel=name) for name in ("mail", "web")]
    tables = {"channels": {"mail": {"cap": 15}, "web": {}}, "behavior": rules}
    assert found("nobody can reach", model(bands={"cold": 0, "mql": 36}, **tables))
    assert not found("nobody can reach", model(bands={"cold": 0, "mql": 35}, **tables))


def test_of_more_combinations_than_can_be_tried_every_rule_that_gives_points_is_added_up():
    rules = [fit_rule(10, f"r{each}", field=f"f{each}", **{"is": True}) | {"group": "g"} for each in range(13)]
    rules += [fit_rule(-10, "lost", field="lost", **{"is": True}) | {"group": "g"}]
    assert found("nobody can reach", model(groups={"g": {}}, fit=rules, bands={"cold": 0, "mql": 131}))
    assert not found("nobody can reach", model(groups={"g": {}}, fit=rules, bands={"cold": 0, "mql": 130}))


def test_points_that_exclude_each_other_are_not_added_up():
    of = model(
        fit=[
            fit_rule(30, "small", field="employees", lt=50),
            fit_rule(40, "large", field="employees", gt=1000),
            fit_rule(5, "peru", field="country", **{"is": "Peru"}),
        ],
        bands={"cold": 0, "mql": 50},
    )
    assert found(r"the maximum is 45 ", of, "error")


def test_gates_are_reached_or_not_too():
    of = model(
        fit=[fit_rule(10, field="employees", gt=5)],
        behavior=[behavior_rule(cap=30)],
        bands={"cold": 0, "mql": {"at": 20, "min_fit": 15}, "sql": {"min_behavior": 31}},
    )
    assert found("15 points of fit", of, "error")
    assert found("31 points of behavior", of, "error")


def test_weights_and_limits_count_for_what_is_possible():
    of = worked_example(60).model_copy(update={"weights": model(weights={"fit": 0.5}).weights})
    assert found("the maximum is 57.5", of, "error")
    limited = worked_example(60).model_copy(update={"score": model(score={"behavior": {"cap": 20}}).score})
    assert found("the maximum is 45 ", limited, "error")


def test_a_segment_with_bands_of_its_own_is_judged_by_its_own_rules():
    of = model(
        fit=[fit_rule(30, field="employees", gt=5)],
        behavior=[behavior_rule(points=30, max_times=1, segments=["event"])],
        segment=[{"name": "event", "when": {"field": "source", "is": "Event"}}],
        bands={"cold": 0, "mql": 50},
    )
    assert found("nobody can reach the band .*: it needs 50", of, "error")


def test_unlimited_rules_reach_every_band():
    assert (
        said(
            model(behavior=[behavior_rule(), behavior_rule("call_completed", name="b")], bands={"a": 0, "b": 99_999}),
            "error",
        )
        == []
    )


@pytest.mark.parametrize(
    ("rule", "binds"),
    [
        ({"cap": 30, "max_times": 3}, False),
        ({"cap": 29, "max_times": 3}, True),
        ({"cap": 30}, True),
        ({"cap": 80, "max_per_day": 1, "window": "7d"}, False),
        ({"cap": 79, "max_per_day": 1, "window": "7d"}, True),
    ],
)
def test_a_cap_that_can_never_bind(rule, binds):
    assert bool(found("has no effect", model(behavior=[behavior_rule(**rule)]))) is not binds


def test_a_cap_of_a_channel_that_can_never_bind():
    of = model(channels={"mail": {"cap": 25}}, behavior=[behavior_rule(max_times=2, channel="mail")])
    assert found('the cap 25 of the channel "mail" has no effect: all its rules together give at most 20', of)


def test_a_decay_that_never_begins():
    of = model(behavior=[behavior_rule(window="10d", decay={"steps": {"15d": 50}})])
    assert found("a window of 10 days, which ends before its decay starts", of)


@pytest.mark.parametrize(("least", "never"), [(8, False), (9, True)])
def test_a_rule_whose_window_holds_too_few_activities_can_never_match(least, never):
    of = model(behavior=[behavior_rule(at_least=least, max_times=1, max_per_day=1, window="7d")])
    assert bool(found(f"at_least = {least} its limits leave 8", of, "error")) is never


def test_ten_weak_signals_must_not_beat_a_strong_one():
    weak, strong = behavior_rule("email_opened", 2, "open"), behavior_rule("form_submitted", 15, "demo", tier="high")
    assert found(r'10× "open" \(20\) gives more than 1× "demo" \(15\)', model(behavior=[weak, strong]))
    assert not found("10×", model(behavior=[{**weak, "cap": 10}, strong]))
    assert not found("10×", model(behavior=[weak, {**strong, "points": 21}]))


def test_weak_signals_only():
    assert found("only weak signals", model(behavior=[behavior_rule("email_opened")]), "error")
    assert not found(
        "only weak signals", model(behavior=[behavior_rule("email_opened")], fit=[fit_rule(field="a", gt=1)])
    )
    assert found("only one rule gives points", model(behavior=[behavior_rule("form_submitted")]))


def test_a_rule_shows_the_intent_of_its_types_of_activity_unless_it_says_another():
    weak, strong = behavior_rule("email_clicked", 2, "click"), behavior_rule("email_replied", 15, "reply")
    assert found(r'10× "click" \(20\) gives more than 1× "reply" \(15\)', model(behavior=[weak, strong]))
    assert not found("10×", model(behavior=[{**weak, "tier": "mid"}, strong]))
    assert not found("10×", model(behavior=[{**weak, "on": ["email_clicked", "content_downloaded"]}, strong]))
    assert not found("10×", model(behavior=[{**weak, "on": ["email_clicked", "logged_in"]}, strong]))
    both = model(behavior=[behavior_rule("email_opened", 2, "open"), weak])
    assert found(r"only weak signals \(email_clicked, email_opened\)", both, "error")


@pytest.mark.parametrize(("key", "said"), [("on", "model was last reviewed"), ("rules_on", "rules were last checked")])
def test_a_review_in_the_future_is_a_slip(key, said):
    of = model(fit=[fit_rule(field="a", gt=1)], review={key: TODAY + timedelta(days=2)})
    assert found(rf"the {said} on 2026-11-23, which is still to come", of, "warning")
    # Somewhere it is tomorrow already.
    tomorrow = model(fit=[fit_rule(field="a", gt=1)], review={key: TODAY + timedelta(days=1)})
    assert not found("still to come", tomorrow)


@pytest.mark.parametrize("name", ["closed_won", "deal_amount", "is_converted", "lifecyclestage", "opportunity_count"])
def test_a_rule_that_reads_the_outcome(name):
    assert found("known only after the outcome", model(fit=[fit_rule(field=name, exists=True)]), "warning")


def test_a_rule_that_reads_the_stage_of_an_outcome():
    assert found("known only after", model(fit=[fit_rule(field="stage", **{"is": "customer"})]))
    assert not found("known only after", model(fit=[fit_rule(field="stage", **{"is": "mql"})]))
    assert not found("known only after", model(fit=[fit_rule(field="wonderful", exists=True)]))


def test_a_rule_that_reads_a_score():
    assert found("depend on itself", model(fit=[fit_rule(field="crmsync_score", gt=5)]), "error")


def test_kinds_no_feed_produces_even_in_golden_leads():
    of = model(
        behavior=[behavior_rule("webinar_atended")],
        test=[{"name": "t", "given": {"activities": [{"kind": "page_seen"}]}, "expect": {"total": 0}}],
    )
    assert found('"webinar_atended".*did you mean "webinar_attended"', of, "error")
    assert found('"page_seen"', of, "error")


def test_names_nobody_uses():
    of = model(
        channels={"mail": {}}, groups={"g": {}}, lists={"rivals": ["a.example"]}, fit=[fit_rule(field="a", gt=1)]
    )
    assert len(found("no rule uses the", of)) == 3
    assert found("no rule uses the field 'country'", of, "note", ["a", "country"])


def test_rules_that_always_count_together():
    twice = [fit_rule(1, "one", field="a", gt=5), fit_rule(2, "other", field="a", gt=5)]
    assert found('"one" and "other" always match together', model(fit=twice))
    apart = [fit_rule(1, "one", field="a", gt=5), fit_rule(2, "other", field="a", gt=6)]
    assert not found("always match together", model(fit=apart))


def test_one_activity_in_two_tiers():
    rules = [behavior_rule(points=each, name=str(each), tier=tier) for each, tier in ((1, "low"), (9, "high"))]
    assert found("with different tiers", model(behavior=rules))


def test_a_rule_in_the_shadow_of_another():
    of = model(
        groups={"g": {"cap": 10}},
        behavior=[behavior_rule(points=10, group="g"), behavior_rule("email_opened", 2, "open", group="g")],
    )
    assert found('"acted" alone reaches the cap of the group "g"', of, "note")


def segments(*whens):
    return [{"name": f"s{number}", "when": when} for number, when in enumerate(whens)]


def test_segments_that_overlap_and_segments_nobody_reaches():
    over = segments({"field": "employees", "gt": 100}, {"field": "employees", "gt": 1000})
    assert found('"s1" is never used: "s0" comes first and matches', model(segment=over), "error")
    partly = segments({"field": "employees", "gt": 100}, {"field": "country", "is": "Peru"})
    assert found('"s0" and "s1" overlap; people in both count for "s0"', model(segment=partly), "warning")
    apart = segments({"field": "employees", "gt": 100}, {"field": "employees", "lte": 100})
    assert not found("overlap|never used", model(segment=apart))


def test_a_condition_nobody_can_meet():
    never = {"all": [{"field": "employees", "gt": 200}, {"field": "employees", "lt": 100}]}
    assert found("nobody can meet the condition", model(fit=[{"name": "a", "points": 1, "when": never}]), "error")
    seldom = {"all": [{"field": "employees", "gt": 200}, {"field": "employees", "lt": 202}]}
    assert not found("nobody can meet", model(fit=[{"name": "a", "points": 1, "when": seldom}]))


def test_signs_that_look_turned_around():
    assert found("gives points for lost interest", model(behavior=[behavior_rule("email_unsubscribed", 10)]))
    assert found("did you mean -10", model(inactivity=[{"name": "s", "points": 10, "after": "30d"}]))


def test_a_band_that_activity_alone_reaches():
    of = model(fit=[fit_rule(field="a", gt=1)], behavior=[behavior_rule()], bands={"cold": 0, "mql": 50})
    assert found("behavior alone reaches", of, "note")


def test_a_model_without_golden_leads():
    assert found("no test leads", model(behavior=[behavior_rule()]), "note")


# With data ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def with_data(of, people):
    columns = columns_of(people)
    return [
        each.sentence for each in lint_with_data(of, score(of, columns, NOW, UTC), columns, KINDS, int(NOW.timestamp()))
    ]


def test_rules_that_never_fire_and_rules_that_are_twins():
    of = model(
        fit=[
            fit_rule(1, "vp", field="title", contains="vp"),
            fit_rule(2, "sales", field="department", **{"is": "sales"}),
            fit_rule(3, "peru", field="country", **{"is": "Peru"}),
            fit_rule(4, "known", field="title", exists=True),
        ]
    )
    people = [
        person(title="VP" if number % 3 else "x", department="sales" if number % 3 else "hr") for number in range(60)
    ]
    sentences = with_data(of, people)
    assert '"peru" gives no points to any of 60 people' in sentences
    assert '"known" gives points to everybody, so it does not help to compare people' in sentences
    assert any('"vp" and "sales" match the same people' in each for each in sentences)


def test_a_handful_of_people_says_nothing():
    of = model(fit=[fit_rule(field="country", **{"is": "Peru"})])
    assert with_data(of, [person(country="Chile")] * 5) == []


def test_kinds_in_the_feed_that_are_unknown_or_unread():
    of = model(behavior=[behavior_rule()])
    sentences = with_data(
        of, [person(did("page_viewed"), did("webinar_attended", times=2), did("tiktok_seen", times=3))]
    )
    assert '3 activities of the type "tiktok_seen" exist, but no activity source has this type' in sentences
    assert '2 activities of the type "webinar_attended" exist, but no rule uses them' in sentences


def test_a_rule_that_went_silent():
    of = model(behavior=[behavior_rule(where={"url": {"contains": "pricing"}})])
    quiet = [person(did("page_viewed", 15, url="/pricing"), did("page_viewed", 1, url="/preise"))]
    assert '"acted" has found no activity for 15 days' in with_data(of, quiet)
    assert with_data(of, [person(did("page_viewed", 14, url="/pricing"))]) == []


def test_dates_nobody_can_have():
    of = model(fit=[fit_rule(field="created", within="30d", older_than="60d")])
    assert found('nobody can meet the condition of "fit"', of, "error")
    assert not found("nobody can meet", model(fit=[fit_rule(field="created", within="90d", older_than="60d")]))


@pytest.mark.parametrize(
    ("when", "instead"),
    [
        ({"is": "VP*"}, 'is "VP*": a * stands for itself; write starts_with = "VP"'),
        ({"contains": "*sales*"}, 'contains "*sales*": a * stands for itself; write contains = "sales"'),
        ({"in": ["a", "*son"]}, 'in "*son": a * stands for itself; write ends_with = "son"'),
        ({"in_list": "x"}, 'in_list "Acme*": a * stands for itself; write starts_with = "Acme"'),
    ],
)
def test_v10_a_star_stands_for_itself(when, instead):
    assert instead in said(model(fit=[fit_rule(field="title", **when)], lists={"x": ["Acme*"]}), "warning")


def test_v10_no_star_is_missed_in_domains_and_attributes():
    assert not found("stands for itself", model(fit=[fit_rule(field="email", domain="*.rival.example")]))
    of = model(behavior=[behavior_rule(where={"url": {"contains": "/pricing*"}})])
    assert found(re.escape('contains "/pricing*"'), of, "warning")


def test_an_attribute_that_no_source_gives_is_named(tmp_path):
    rules = [
        {"name": "long", "points": 5, "on": "page_viewed", "at_least_sum": {"seconds": 120}},
        {"name": "pricing", "points": 5, "on": ["page_viewed", "form_submitted"], "where": {"form": "Demo"}},
        {"name": "met", "points": 5, "on": "meeting_held", "where": {"room": "1"}},
        {"name": "tried", "points": 5, "on": "call_attempted", "where": {"outcome": "Busy"}},
    ]
    url = f"sqlite:///{tmp_path}/state.db"
    said = diagnose(config(hubspot={}, behavior=rules, state={"url": url}), NOW, None)["warnings"]
    named = [each for each in said if "asks for the attribute" in each]
    assert named == [
        '"long" asks for the attribute "seconds", which no source gives page_viewed; the attributes are url; '
        "name it in the attributes of the source",
        '"met" asks for the attribute "room", which no source gives meeting_held; the attributes are outcome, subject; '
        "name it in the attributes of the source",
    ]
