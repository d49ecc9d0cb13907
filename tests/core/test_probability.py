"""The calibrated probability as a score field."""

import pytest
from pydantic import ValidationError

from crmsync.config.learned import Calibration
from tests.support.cycles import ADA, DAYS, NEVER_FADES, hot, run
from tests.support.make import config

MAPPED = 'probability = { hubspot = "crmsync_probability", salesforce = "Crmsync_Probability__c" }\n'
LEARNED = "\n[learned]\ncalibration = { intercept = -3, slope = 0.04 }\n"


def with_probability(slope=0.04):
    return f"{NEVER_FADES}\n{MAPPED}{LEARNED.replace('0.04', str(slope))}"


def test_the_probability_is_written_in_whole_per_cent_and_not_again(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], model=with_probability())
    current = hubspot.records[ADA].current
    assert current["probability"] == Calibration(intercept=-3, slope=0.04).percent_of(current["score"])
    assert 0 < current["probability"] < 100
    written = len(hubspot.writes)
    run(state, hubspot, at=DAYS[0], model=with_probability())
    assert len(hubspot.writes) == written


def test_another_calibration_is_written_with_the_same_score(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], model=with_probability())
    before = hubspot.records[ADA].current
    run(state, hubspot, at=DAYS[0], model=with_probability(0.06))
    after = hubspot.records[ADA].current
    assert after["score"] == before["score"]
    assert after["probability"] > before["probability"]


def test_a_probability_without_a_calibration_is_an_error_that_says_where_it_comes_from():
    with pytest.raises(ValidationError, match="crmsync learn --write FILE"):
        config(f"{NEVER_FADES}\n{MAPPED}")


def test_per_cent_of_a_score():
    line = Calibration(intercept=0, slope=0.05)
    assert [line.percent_of(points) for points in (-1000, 0, 20, 1000)] == [0, 50, 73, 100]
