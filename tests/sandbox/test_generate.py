"""The sandbox's people: always the same by their seed, and as untidy as real ones."""

import time
from collections import Counter
from datetime import timedelta

import pytest

from connectors.sandbox.generate import make_world
from crmsync.model import KINDS


def test_the_same_seed_makes_the_same_world(now):
    assert make_world(150, 7, now) == make_world(150, 7, now)
    assert make_world(150, 7, now) != make_world(150, 8, now)


def test_a_world_of_two_thousand_takes_less_than_a_second(now):
    began = time.process_time()
    assert len(make_world(2_000, 1, now).humans) == 2_000
    assert time.process_time() - began < 1


@pytest.mark.parametrize("people", [10, 60, 400])
def test_every_kind_of_activity_happens(people, now):
    assert {each.kind for human in make_world(people, 1, now).humans for each in human.happenings} == set(KINDS) - {
        "call_attempted",
    }


def test_people_are_spread_over_both_crms_as_promised(now):
    humans = make_world(2_000, 1, now).humans
    spread = Counter((human.in_hubspot > 0, bool(human.in_salesforce)) for human in humans)
    assert 0.45 < spread[True, True] / 2_000 < 0.55
    assert 0.2 < spread[True, False] / 2_000 < 0.3
    assert 0.2 < spread[False, True] / 2_000 < 0.3
    assert spread[False, False] == 0


def test_records_are_as_untidy_as_real_ones(now):
    made = make_world(2_000, 1, now)
    humans = made.humans
    in_salesforce = [human for human in humans if human.in_salesforce]
    shared = Counter(human.email for human in humans if human.email)
    assert 0.06 < sum("converted" in human.in_salesforce for human in humans) / len(in_salesforce) < 0.1
    assert 0.07 < sum(human.email is None for human in humans) / 2_000 < 0.13
    assert 0.07 < sum(human.title is None for human in humans) / 2_000 < 0.13
    assert 0.07 < sum(firm.employees is None for firm in made.firms) / len(made.firms) < 0.13
    assert 0.09 < sum("invented" in (human.email or "") for human in humans) / 2_000 < 0.15
    assert [address for address, count in shared.items() if count > 1 and not address.startswith("info@")] == []
    assert max(shared.values()) == 3
    assert any(human.in_hubspot == 2 for human in humans)
    assert any(len(human.in_salesforce) == 2 and "converted" not in human.in_salesforce for human in humans)
    assert 0.4 < sum(human.owner is None for human in humans) / 2_000 < 0.5
    assert [rep.active for rep in made.reps].count(False) == 1


def test_most_people_do_little_and_few_are_hot(now):
    counts = sorted(len(human.happenings) for human in make_world(2_000, 1, now).humans)
    assert counts[1_000] <= 6
    assert counts[-40] >= 25
    assert any(human.title == "Competitive Analyst" for human in make_world(60, 1, now).humans)


def test_nothing_but_a_meeting_is_in_the_future_and_nothing_is_older_than_ninety_days(now):
    happenings = [each for human in make_world(2_000, 1, now).humans for each in human.happenings]
    coming = [each for each in happenings if each.at > now]
    assert {each.kind for each in coming} == {"meeting_booked"}
    assert len(coming) < 100
    assert min(each.at for each in happenings) > now - timedelta(days=91)


def test_a_crm_records_only_people_it_knows(now):
    for human in make_world(2_000, 1, now).humans:
        known = {crm for crm, has in (("hubspot", human.in_hubspot), ("salesforce", human.in_salesforce)) if has}
        assert all(each.seen_by and each.seen_by <= known for each in human.happenings)


def test_addresses_belong_to_nobody(now):
    for human in make_world(2_000, 1, now).humans:
        assert not human.email or human.email.endswith(".example") or ".invented" in human.email
