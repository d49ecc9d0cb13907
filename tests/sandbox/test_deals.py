"""The deals of the sandbox's people: believable, and decided by a truth that a good score finds."""

from collections import Counter, defaultdict
from datetime import UTC, timedelta
from functools import cache
from inspect import signature
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from unittest.mock import create_autospec

import pytest
from typer.testing import CliRunner

from connectors.sandbox import server
from connectors.sandbox.deals import (
    ACCEPTED_SINCE,
    CHANGE_AGE,
    CHANGED_SOURCE,
    SOURCES,
    deal_crms,
    hidden_probability,
    lead_source_of,
)
from connectors.sandbox.generate import make_world
from connectors.sandbox.server import Sandbox
from connectors.sandbox.world import DEAL_STAGES
from crmsync.cli import app
from crmsync.config import load
from crmsync.scoring import columns_of, score
from tests.conftest import NOW
from tests.support.outcomes import auc_of

WON, LOST = DEAL_STAGES[3:]


@cache
def world(history=False):
    return make_world(6_000, 1, NOW, history)


def state(deal):
    return {WON: "won", LOST: "lost"}.get(deal.stages[-1][0], "open")


def begun(deal):
    return deal.stages[0][1]


def win_rate(deals):
    return mean(state(deal) == "won" for deal in deals if state(deal) != "open")


def winners(of):
    return {number for deal in of.deals if state(deal) == "won" for number in deal.contacts}


def split(of, value):
    """The values of the people who won, and those of all others."""
    won = winners(of)
    return tuple([value(human) for human in of.humans if (human.number in won) is is_so] for is_so in (True, False))


def test_the_same_seed_makes_the_same_deals():
    assert make_world(400, 7, NOW).deals == make_world(400, 7, NOW).deals
    assert make_world(400, 7, NOW).deals != make_world(400, 8, NOW).deals


def test_the_smallest_worlds_have_deals_without_harm():
    for people in (1, 2, 10, 60):
        assert len(make_world(people, 1, NOW).deals) <= people + 1


def test_people_are_who_they_were_without_deals(monkeypatch):
    made = make_world(300, 1, NOW)
    monkeypatch.setattr("connectors.sandbox.generate.make_deals", lambda *_: ())
    assert make_world(300, 1, NOW).humans == made.humans
    assert made.deals


def test_about_a_fifth_ever_had_a_deal_and_few_won():
    had = {number for deal in world().deals for number in deal.contacts}
    assert 0.15 < len(had) / len(world().humans) < 0.25
    assert 0.03 < len(winners(world())) / len(world().humans) < 0.08
    assert 0.25 < win_rate(world().deals) < 0.42


def test_everything_that_a_deal_names_is_there():
    humans = {human.number: human for human in world().humans}
    firms = {firm.number for firm in world().firms}
    reps = {rep.number for rep in world().reps}
    assert [deal.number for deal in world().deals] == [*range(1, len(world().deals) + 1)]
    for deal in world().deals:
        people = [humans[number] for number in deal.contacts]
        assert deal.owner in reps
        assert deal.firm in firms or deal.firm is None
        assert len(set(deal.contacts)) == len(deal.contacts) <= 4
        assert deal.seen_by
        assert deal.name.strip() == deal.name != ""
        assert deal.source in SOURCES
        for human in people:
            assert deal_crms(human) & deal.seen_by
            assert human.created_at < begun(deal)
            assert (human.firm.number if human.firm else None) == deal.firm
        if people:
            assert deal.seen_by <= deal_crms(people[0])
            assert deal.source == lead_source_of(people[0])
        assert deal.contacts or deal.firm


def test_salesforce_has_no_deal_of_a_lead_that_was_not_converted():
    only_leads = [human for human in world().humans if not human.in_hubspot and set(human.in_salesforce) == {"lead"}]
    assert only_leads
    assert not {human.number for human in only_leads} & {number for deal in world().deals for number in deal.contacts}
    assert {hidden_probability(human) for human in only_leads} == {0}


def test_the_source_is_the_lead_source_of_the_person(sandbox):
    by_name = defaultdict(set)
    for human in sandbox.world.humans:
        by_name[f"{human.first} {human.last}".lower()].add(lead_source_of(human))
    tables = [sandbox.org.state.of(name) for name in ("Lead", "Contact")]
    records = [table.record(row) for table in tables for row in range(len(table))]
    assert len(records) > 20
    for record in records:
        assert record["LeadSource"] in by_name[" ".join(record["Name"].lower().split())]


def test_stages_follow_each_other_within_two_years():
    for deal in world().deals:
        instants = [at for _, at in deal.stages]
        assert all(before < after for before, after in pairwise(instants))
        assert NOW - timedelta(days=731) < instants[0] <= instants[-1] <= NOW
        assert {at.utcoffset() for at in instants} == {timedelta(0)}
        names = [stage for stage, _ in deal.stages]
        assert set(names) <= set(DEAL_STAGES)
        assert WON not in names[:-1]
        reopened = LOST in names[:-1]
        assert not reopened or names[names.index(LOST) + 1] == "Negotiation"
        assert bool(deal.lost_reason) <= (names[-1] == LOST)


def test_deals_take_weeks_or_months():
    taken = [(deal.stages[-1][1] - begun(deal)).days for deal in world().deals if state(deal) == "won"]
    assert 35 < median(taken) < 90
    assert sum(days < 14 for days in taken) / len(taken) < 0.05


def test_the_young_are_mostly_open_and_few_are_forgotten():
    young = [state(deal) for deal in world().deals if begun(deal) > NOW - timedelta(days=60)]
    old = [state(deal) for deal in world().deals if begun(deal) < NOW - timedelta(days=300)]
    assert young.count("open") / len(young) > 0.7
    assert 0.005 < old.count("open") / len(old) < 0.06


def test_deals_are_as_untidy_as_real_ones():
    deals = world().deals
    share = {
        "without amount": mean(deal.amount is None for deal in deals),
        "without contact": mean(not deal.contacts for deal in deals),
        "with several": mean(len(deal.contacts) > 1 for deal in deals),
        "of a campaign": mean(deal.campaign != "" for deal in deals),
    }
    assert 0.06 < share["without amount"] < 0.14
    assert 0.01 < share["without contact"] < 0.06
    assert 0.08 < share["with several"] < 0.3
    assert 0.05 < share["of a campaign"] < 0.4
    assert 5 < sum([stage for stage, _ in deal.stages].count(LOST) == 1 and state(deal) == "won" for deal in deals) < 90
    reasons = Counter(deal.lost_reason for deal in deals if state(deal) == "lost")
    assert len(reasons) > 20
    assert 0.03 < reasons[""] / reasons.total() < 0.15
    assert {deal.seen_by for deal in deals} == {
        frozenset({"hubspot"}), frozenset({"salesforce"}), frozenset({"hubspot", "salesforce"})
    }  # fmt: skip


def test_large_firms_pay_more():
    sizes = {firm.number: firm.employees or 0 for firm in world().firms}
    paid = [(sizes.get(deal.firm, 0), deal.amount) for deal in world().deals if deal.amount]
    assert median(amount for size, amount in paid if size > 1_000) > 3 * median(
        amount for size, amount in paid if 0 < size <= 50
    )


def test_summers_are_weak_and_quarters_end_strong():
    full = [begun(deal).month for deal in world().deals if NOW - timedelta(days=725) < begun(deal)]
    months = Counter(full)
    assert mean(months[month] for month in (7, 8)) < 0.6 * mean(months[month] for month in (3, 6, 9))
    booked = [deal.stages[-1][1] for deal in world().deals if state(deal) == "won"]
    last_week = mean(at.month % 3 == 0 and at.day > 23 for at in booked)
    assert last_week > 0.2  # of 365 days, 29 are such


def test_the_change_lowers_what_sales_takes_up_and_what_one_source_wins():
    changed = NOW - CHANGE_AGE
    before = [deal for deal in world().deals if begun(deal) < changed]
    after = [deal for deal in world().deals if begun(deal) >= changed]
    by_source = {source: [deal for deal in before if deal.source == source] for source in SOURCES}
    assert max(SOURCES, key=lambda source: win_rate(by_source[source])) == CHANGED_SOURCE
    # Late losses come before late wins, so that the others seem to win less, too.
    fell = {
        is_changed: win_rate([deal for deal in before if (deal.source == CHANGED_SOURCE) is is_changed])
        - win_rate([deal for deal in after if (deal.source == CHANGED_SOURCE) is is_changed])
        for is_changed in (True, False)
    }
    assert fell[True] > fell[False] + 0.08
    assert 0.3 < taken_up_in_time(0, 120) / taken_up_in_time(-210, -90) < ACCEPTED_SINCE + 0.25


def taken_up_in_time(since, until):
    """The share of people, created in these days after the change, who had a deal within 90 days."""
    days = 90
    first = {}
    for deal in world().deals:
        for number in deal.contacts[:1]:
            first.setdefault(number, begun(deal))
    created = [human for human in world().humans if since <= (human.created_at - NOW + CHANGE_AGE).days < until]
    return mean(
        human.number in first and first[human.number] < human.created_at + timedelta(days=days) for human in created
    )


def test_the_truth_predicts_who_wins():
    assert auc_of(*split(world(), hidden_probability)) > 0.8
    assert 0.45 < auc_of(*split(world(), lambda human: len(human.last))) < 0.55


def test_the_truth_is_a_probability_and_as_high_as_what_happens():
    ordered = sorted(world().humans, key=hidden_probability)
    assert 0 <= hidden_probability(ordered[0]) <= hidden_probability(ordered[-1]) <= 1
    won = winners(world())
    tenth = len(ordered) // 10
    tenths = (ordered[at * tenth : (at + 1) * tenth] for at in (0, 4, 7, 9))
    rates = [mean(human.number in won for human in some) for some in tenths]
    assert rates == sorted(rates)
    assert rates[-1] > 5 * rates[1]


@pytest.mark.parametrize("history", [False, True])
def test_the_card_of_the_example_predicts_who_wins(history):
    people = [human for human in world(history).humans if human.number <= 4_000]
    config = load(Path("config.example.toml"))
    totals = score(config, columns_of([as_person(human) for human in people]), NOW, UTC).total
    by_number = dict(zip((human.number for human in people), totals, strict=True))
    won = winners(world())
    found = auc_of(
        *([total for number, total in by_number.items() if (number in won) is is_so] for is_so in (True, False))
    )
    assert 0.73 < found < 0.83


def as_person(human):
    facts = {"title": human.title, "email": human.email}
    if human.firm:
        facts |= {"employees": human.firm.employees, "industry": human.firm.industry}
    return {
        "id": human.number,
        "fields": {name: value for name, value in facts.items() if value is not None},
        "activities": [
            {"kind": each.kind, "at": each.at, "attributes": dict(each.attributes)}
            for each in human.happenings
            if each.at <= NOW
        ],
    }


def test_history_adds_what_was_before_and_changes_nothing_else():
    plain, more = world(), world(history=True)
    assert more.deals == plain.deals
    oldest = NOW - timedelta(days=90)
    for before, after in zip(plain.humans, more.humans, strict=True):
        count = len(after.happenings) - len(before.happenings)
        added, kept = after.happenings[:count], after.happenings[count:]
        assert kept == before.happenings
        assert all(before.created_at <= each.at <= oldest for each in added)
        assert hidden_probability(after) == hidden_probability(before)
    assert sum(len(human.happenings) for human in more.humans) > 1.5 * sum(
        len(human.happenings) for human in plain.humans
    )


def test_with_history_what_people_did_before_their_deal_tells_its_winners():
    of = world(history=True)
    begins = {}
    for deal in of.deals:
        for number in deal.contacts:
            begins.setdefault(number, begun(deal))
    old = [human for human in of.humans if human.number in begins and begins[human.number] < NOW - timedelta(days=90)]
    intent = ("meeting_held", "form_submitted", "webinar_attended")
    counts = {
        human.number: sum(each.at < begins[human.number] and each.kind in intent for each in human.happenings)
        for human in old
    }
    won = winners(of)
    assert (
        auc_of(
            [count for number, count in counts.items() if number in won],
            [count for number, count in counts.items() if number not in won],
        )
        > 0.55
    )


def test_the_sandbox_starts_with_history():
    made = Sandbox(people=60, seed=1, now=NOW, history=True)
    tasks = made.org.state.of("Task")
    assert min(tasks.get(row, "ActivityDate") for row in range(len(tasks))) < "2026-08-01"


@pytest.mark.parametrize("words", [[], ["--history"]])
def test_the_command_passes_history_on(words, monkeypatch):
    calls = []
    monkeypatch.setattr(
        server, "run_sandbox", create_autospec(server.run_sandbox, side_effect=lambda *a: calls.append(a))
    )
    assert CliRunner().invoke(app, ["sandbox", *words]).exit_code == 0
    assert signature(server.run_sandbox).bind(*calls[0]).arguments["history"] is bool(words)
