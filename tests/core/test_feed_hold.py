"""A dead feed holds decay and inactivity for its kind, for whoever depends on it, and goes on by itself."""

import random
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from rich.console import Console

from crmsync.columns import RUNNING
from crmsync.config import config_of
from crmsync.config.difference import compare_configs
from crmsync.cycle import preview_run, run_cycle
from crmsync.dead_feeds import DeadFeed, find_holds
from crmsync.planning.people_columns import read_holds, read_people_columns
from crmsync.reporting.person import explain_person, hottest_people
from crmsync.reporting.print_person import print_explanation
from crmsync.reporting.print_run import print_run
from crmsync.reporting.print_status import print_status
from crmsync.reporting.route import route_document
from crmsync.reporting.status import status_document
from tests.support.cycles import balanced, held, totals
from tests.support.make import MODEL, NOW, activity, apply_plan, config, contact, crm, store, work

FADING = (
    MODEL
    + """
[[behavior]]
name = "Email opened"
points = 40
on = "email_opened"
max_times = 1
decay = { half_life = "10d" }

[[behavior]]
name = "Call completed"
points = 40
on = "call_completed"
max_times = 1
decay = { half_life = "10d" }

[[inactivity]]
name = "No activity for 30 days"
points = -10
after = "30d"
"""
)
ALL_MAY = {"bands": 1.0, "scores": 1.0, "stages": 1.0, "owners": 1.0}


def settings(**tables):
    return config(
        FADING,
        **{"hubspot": {}, "salesforce": {"instance_url": "https://acme.my.salesforce.com"}, "guard": ALL_MAY, **tables},
    )


def two_crms():
    """Ada and Bo in HubSpot, whose e-mails are opened each day until yesterday; Cy in Salesforce, called yesterday."""
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    ada, bo = contact(1, emails=("ada@x.example",)), contact(2, emails=("bo@x.example",))
    cy = contact("0032", crm="salesforce", kind="contact", emails=("cy@x.example",))
    for where, each in ((hubspot, ada), (hubspot, bo), (salesforce, cy)):
        where.edit(each)
    for number in range(30):
        hubspot.happen(activity(number, ada, kind="email_opened", days_ago=number + 1, mail="a"))
    hubspot.happen(activity(100, bo, kind="email_opened", days_ago=5, mail="b"))
    salesforce.happen(activity(1, cy, kind="call_completed", days_ago=1, result="x"))
    return hubspot, salesforce


def sync(state, *crms, days, of=None):
    return balanced(run_cycle(work(state, *crms, now=NOW + timedelta(days=days), settings=of or settings())))


def scores_in(of):
    return {name: float(score) for name, (score, _stage, _owner) in held(of).items() if score is not None}


def opened(number, of, day):
    return activity(number, of, kind="email_opened", days_ago=-day, mail="c")


def test_while_a_feed_is_dead_its_points_stand_where_they_stood(state):
    hubspot, salesforce = two_crms()
    sync(state, hubspot, salesforce, days=0)
    assert scores_in(hubspot) == {"1": 37, "2": 28}
    # Not dead for three times its longest pause: everything goes on.
    sync(state, hubspot, salesforce, days=2)
    assert scores_in(hubspot)["1"] == 32
    # Dead: as they were on the last day of the feed, and there they stay.
    for days in (3, 10, 60, 400):
        sync(state, hubspot, salesforce, days=days)
        assert scores_in(hubspot) == {"1": 40, "2": 30}


def test_who_does_not_depend_on_the_feed_goes_on(state):
    hubspot, salesforce = two_crms()
    sync(state, hubspot, salesforce, days=0)
    sync(state, hubspot, salesforce, days=9)
    assert scores_in(salesforce) == {"0032": 20}
    sync(state, hubspot, salesforce, days=60)
    assert scores_in(salesforce) == {"0032": -9}
    assert scores_in(hubspot) == {"1": 40, "2": 30}


def test_a_feed_that_delivers_again_brings_the_held_decay_in_one_run(state, tmp_path_factory):
    hubspot, salesforce = two_crms()
    for days in (0, 9, 40):
        sync(state, hubspot, salesforce, days=days)
    assert scores_in(hubspot) == {"1": 40, "2": 30}
    cy = contact(3, emails=("cy@y.example",))
    hubspot.edit(cy)
    hubspot.happen(opened(500, cy, 41))
    done = sync(state, hubspot, salesforce, days=41)
    assert not done.holds
    assert scores_in(hubspot) == {"1": -8, "2": -8, "3": 40}
    # As if nothing had ever been on hold.
    with closing(store(tmp_path_factory.mktemp("other"))) as other:
        sync(other, hubspot, salesforce, days=41)
        assert sorted(totals(other).values()) == sorted(totals(state).values())


@pytest.mark.parametrize("limit", [0.2, 1.0])
def test_what_follows_at_once_is_held_by_the_guard_as_usual(state, limit):
    hubspot, salesforce = two_crms()
    of = settings(guard={**ALL_MAY, "bands": limit, "from_records": 1})
    for days in (0, 9, 40):
        sync(state, hubspot, salesforce, days=days)
    hubspot.happen(opened(500, contact(2), 41))
    done = sync(state, hubspot, salesforce, days=41, of=of)
    assert (done.held is None) == (limit == 1.0)
    assert scores_in(hubspot)["1"] == (-8 if limit == 1.0 else 40)
    if done.held:
        apply_plan(work(state, hubspot, salesforce, now=NOW + timedelta(days=41), settings=of), done.held.run)
        assert scores_in(hubspot)["1"] == -8


def test_another_process_and_another_state_hold_alike(state, tmp_path_factory):
    hubspot, salesforce = two_crms()
    for days in (0, 1, 2, 9, 13):
        sync(state, hubspot, salesforce, days=days)
    with closing(store(tmp_path_factory.mktemp("other"))) as other:
        sync(other, hubspot, salesforce, days=13)
        assert sorted(totals(other).values()) == sorted(totals(state).values())
        with state.read() as one, other.read() as two:
            late = NOW + timedelta(days=13)
            assert read_holds(one, settings(), late) == read_holds(two, settings(), late)


def test_a_preview_is_what_the_run_writes_and_everything_says_so(state):
    hubspot, salesforce = two_crms()
    sync(state, hubspot, salesforce, days=0)
    late = NOW + timedelta(days=9)
    seen = preview_run(work(state, hubspot, salesforce, now=late, settings=settings()))
    before = scores_in(hubspot)
    said = explain_person(settings(), state, "ada@x.example", late)
    assert said["total"] == 40
    done = sync(state, hubspot, salesforce, days=9)
    assert seen.crms["hubspot"].planned == done.crms["hubspot"].planned == 2
    assert before == {"1": 37, "2": 28}
    (hold,) = done.holds
    assert seen.holds == status_document(settings(), state, late)["holds"] == said["holds"] == [hold]
    assert hold == {
        "crm": "hubspot",
        "kind": "email_opened",
        "since": "2026-11-20",
        "silent_days": 10,
        "longest_pause_days": 1,
        "said": "Decay and inactivity are on hold for hubspot email_opened since 20 November 2026, because none came "
        "for 10 days (longest pause before: 1 day). Both go on as soon as one comes. If none is expected any more, "
        'write email_opened = "0d" into [feeds]',
    }
    assert said["written"]["model"] == settings().model_hash()
    assert explain_person(settings(), state, "cy@x.example", late)["holds"] == []
    with state.read() as reading:
        assert {each["total"] for each in hottest_people(settings(), reading, late, 3)} == {40, 30, 20}
    assert route_document(settings(), state, "ada@x.example", late)["to"] == "nurture"


def test_an_idle_run_scores_nobody_while_a_hold_lasts(state):
    hubspot, salesforce = two_crms()
    for days in (0, 9):
        sync(state, hubspot, salesforce, days=days)
    assert sync(state, hubspot, salesforce, days=9).crms["hubspot"].rescored == 0
    assert sync(state, hubspot, salesforce, days=12).crms["hubspot"].rescored == 0


def test_the_file_ends_a_hold(state):
    hubspot, salesforce = two_crms()
    for days in (0, 9):
        sync(state, hubspot, salesforce, days=days)
    never = settings(feeds={"email_opened": "0d"})
    assert never.decision_hash() != settings().decision_hash()
    assert [(each.table, each.name) for each in compare_configs(settings(), never)] == [("[feeds]", "email_opened")]
    assert config_of(settings().decision_text(), never).feeds == {}
    done = sync(state, hubspot, salesforce, days=9, of=never)
    assert done.holds == []
    assert scores_in(hubspot) == {"1": 20, "2": 15}


def test_a_feed_that_no_rule_times_holds_nothing():
    days = {("hubspot", "email_opened"): {20_000 - each: 1 for each in range(30)}}
    late = NOW.fromtimestamp(20_009 * 86_400, NOW.tzinfo)
    assert [each.kind for each in find_holds(days, settings(), late)] == ["email_opened"]
    untimed = MODEL.replace('on = "page_viewed"', 'on = "email_opened"')
    assert find_holds(days, config(untimed, hubspot={}), late) == []
    # Nobody's record is in a CRM that the file does not have.
    assert find_holds(days, config(FADING, salesforce={"instance_url": "https://acme.my.salesforce.com"}), late) == []


def test_of_two_dead_feeds_of_one_kind_the_first_stops_the_clock(state):
    hubspot, salesforce = two_crms()
    twin = contact("0033", crm="salesforce", kind="contact", emails=("ada@x.example",))
    salesforce.edit(twin)
    sync(state, hubspot, salesforce, days=0)
    holds = [DeadFeed("hubspot", "email_opened", 9, 1, 20_000), DeadFeed("salesforce", "email_opened", 9, 1, 20_005)]
    with state.read() as reading:
        columns = read_people_columns(reading, settings(), [1, 2, 3], holds, now=NOW)
        alone = read_people_columns(reading, settings(), [1, 2, 3], holds[1:], now=NOW)
    first, second = (each.last for each in holds)
    assert columns.clocks["email_opened"].tolist() == [first, first, second]
    assert alone.clocks["email_opened"].tolist() == [second, RUNNING, second]
    assert np.array_equal(replace(columns, clocks={}).people, [1, 2, 3])


def test_run_status_and_explanation_say_it_in_words(state, capsys):
    hubspot, salesforce = two_crms()
    sync(state, hubspot, salesforce, days=0)
    done, late = sync(state, hubspot, salesforce, days=9), NOW + timedelta(days=9)
    console = Console(width=300, markup=False)
    sentence = "Decay and inactivity are on hold for hubspot email_opened since 20 November 2026"
    print_run(console, done.as_json())
    assert sentence in capsys.readouterr().out
    print_status(console, status_document(settings(), state, late))
    assert sentence in capsys.readouterr().out
    print_explanation(console, explain_person(settings(), state, "bo@x.example", late))
    said = capsys.readouterr().out
    assert sentence in said
    assert "half-life 10 days; on hold since 20 November 2026 for email opened" in said
    print_explanation(console, explain_person(settings(), state, "cy@x.example", late))
    assert "on hold" not in capsys.readouterr().out


@pytest.mark.parametrize("seed", range(2))
def test_runs_on_any_days_come_to_what_a_new_state_comes_to(seed, tmp_path_factory):
    rng, day, holds = random.Random(seed), 0, 0
    hubspot, salesforce = two_crms()
    people = [(hubspot, contact(1)), (hubspot, contact(2)), (salesforce, contact("0032", "salesforce", "contact"))]
    with closing(store(tmp_path_factory.mktemp("one"))) as state:
        for number in range(7):
            day += rng.choice([2, 4, 9])
            for where, of in rng.sample(people, rng.choice([0, 0, 0, 1]) if number > 2 else 0):
                kind = rng.choice(["email_opened", "email_opened", "call_completed"])
                where.happen(activity(1_000 + number, of, kind=kind, days_ago=-day, mail="d"))
            holds += len(sync(state, hubspot, salesforce, days=day).holds)
            with closing(store(tmp_path_factory.mktemp("other"))) as other:
                sync(other, hubspot, salesforce, days=day)
                assert sorted(totals(other).values()) == sorted(totals(state).values())
    assert holds
