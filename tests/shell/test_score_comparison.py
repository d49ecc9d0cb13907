"""Which scores agree, and how those that do not are put into bars."""

from types import SimpleNamespace

import pytest

from crmsync.config.model import Band, Score
from crmsync.reporting.score_comparison import ComparedPerson, agrees, count_differences, find_band


def both(theirs, ours):
    return ComparedPerson(1, round(theirs * 100), round(ours * 100), ("cold", "cold"), {})


@pytest.mark.parametrize(
    ("theirs", "ours", "decimals", "same"),
    [
        (12, 12, 0, True),
        (12.5, 13, 0, True),
        (12.5, 12, 0, True),
        (12.01, 13, 0, True),
        (12, 13, 0, False),
        (-3, -4, 0, False),
        (12.5, 12.51, 2, False),
        (12.5, 12.5, 2, True),
        (12.44, 12.5, 1, True),
        (12.4, 12.5, 1, False),
    ],
)
def test_scores_agree_that_are_less_than_a_step_apart(theirs, ours, decimals, same):
    config = SimpleNamespace(score=Score(decimals=decimals))
    assert agrees(both(theirs, ours), config) is same


@pytest.mark.parametrize(
    ("differences", "step", "bars"),
    [
        ({}, 1, {}),
        ({-100: 2, 100: 3}, 1, {-1: 2, 1: 3}),
        ({-150: 1, -50: 1, 250: 4}, 1, {-2: 1, -1: 1, 2: 4}),
        ({-4_000: 1, -100: 1, 3_500: 2}, 10, {-40: 1, -10: 1, 30: 2}),
    ],
)
def test_a_bar_begins_at_a_multiple_of_its_width(differences, step, bars):
    found = count_differences(differences)
    assert (found["step"], {each["from"]: each["people"] for each in found["bars"]}) == (step, bars)


@pytest.mark.parametrize(
    ("points", "band"), [(-5, "cold"), (0, "cold"), (24.99, "cold"), (25, "warm"), (80, "mql"), (900, "mql")]
)
def test_the_band_of_the_other_score_is_what_its_points_alone_reach(points, band):
    bands = {"cold": Band(), "warm": Band(at=25), "picked": Band(min_fit=90), "mql": Band(at=80, drop_below=70)}
    assert find_band(SimpleNamespace(bands=bands), round(points * 100)) == band
