"""How soon scores follow what happens, as numbers."""

import random
from math import ceil

import pytest

from crmsync.evaluation.freshness import add_waits, date_events, measure_freshness, round_wait

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, 0), (0, 0), (0.2, 1), (89.4, 90), (90, 90), (90.1, 91), (99.5, 100), (101, 110), (990, 990), (3_601, 3_700)],
)
def test_seconds_are_rounded_up_to_two_digits(seconds, said):
    assert round_wait(seconds) == said


def test_of_any_length_there_are_few_different_waits():
    assert len({round_wait(each) for each in range(1_000_000)}) < 500


def test_an_event_waits_from_its_own_time_or_from_the_pull_that_did_not_bring_it():
    found = [(1, 5 * HOUR), (2, 3 * HOUR), (3, 3 * HOUR - 1)]
    assert [*date_events(found, 4 * HOUR)] == [(1, 5 * HOUR), (2, 4 * HOUR)]


def test_median_and_95_percent_are_those_of_all_people_of_all_runs():
    drawn = random.Random(4)
    waits = [drawn.randrange(99) for _ in range(333)]
    runs = [{str(each): part.count(each) for each in part} for part in (waits[:50], waits[50:])]
    ordered = sorted(waits)
    found = measure_freshness(runs)
    assert found == (333, ordered[ceil(333 * 0.5) - 1], ordered[ceil(333 * 0.95) - 1])
    assert sum(add_waits(runs).values()) == 333


def test_of_nobody_nothing_is_known():
    assert measure_freshness([]) == (0, None, None)
