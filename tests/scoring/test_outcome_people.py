"""The people by whom statistics are tested: made by the card that they say, and read as the product reads people."""

import math
from datetime import datetime, timedelta

import pytest

from crmsync.scoring import columns_of, score
from tests.support.outcomes import CARD, LEAD, MONTH, auc_of, make_people, rules_of, true_log_odds
from tests.support.scoring import NOW, UTC, model


def decided(people):
    return [each for each in people if "outcome" in each]


def rate(people):
    return sum(each["outcome"] == "won" for each in people) / len(people)


def ended(person):
    return datetime.fromisoformat(person["outcome_at"])


def auc(people, value):
    won, lost = ([value(each) for each in people if each["outcome"] == which] for which in ("won", "lost"))
    return auc_of(won, lost)


def test_equal_arguments_make_equal_people():
    assert make_people(50, 3, card=CARD) == make_people(50, 3, card=CARD)
    assert make_people(50, 3, card=CARD) != make_people(50, 4, card=CARD)


def test_the_rate_is_the_one_that_was_asked_for():
    for wanted in (0.05, 0.3):
        assert abs(rate(decided(make_people(8_000, 1, card=CARD, base_rate=wanted, season=0))) - wanted) < 0.015


def test_the_card_orders_people_and_another_one_does_not():
    people = decided(make_people(8_000, 1, card=CARD))
    assert 0.75 < auc(people, lambda each: true_log_odds(each, CARD)) < 0.85
    assert 0.45 < auc(people, lambda each: true_log_odds(each, {"Germany": 1.0, "Email clicked": 1.0})) < 0.55


def test_each_rule_has_the_effect_that_the_card_says():
    people = decided(make_people(15_000, 2, card={"Pricing page viewed": 1.0}, base_rate=0.2, season=0))
    for name, wanted in (("Pricing page viewed", 1.0), ("Software", 0.0), ("Meeting held", 0.0)):
        with_it, without = (
            [each for each in people if bool(true_log_odds(each, {name: 1})) is is_so] for is_so in (True, False)
        )
        odds = [math.log(rate(some) / (1 - rate(some))) for some in (with_it, without)]
        assert abs(odds[0] - odds[1] - wanted) < 0.15, name


def test_outcomes_are_in_the_past_and_after_everything_that_their_people_did():
    people = make_people(3_000, 1, card=CARD, months=12)
    done = decided(people)
    assert 0.03 < 1 - len(done) / len(people) < 0.12
    assert people[: len(done)] == done
    assert NOW - 12 * MONTH <= ended(done[0]) <= ended(done[-1]) <= NOW
    for person in done:
        assert all(datetime.fromisoformat(each["at"]) <= ended(person) - LEAD for each in person["activities"])


def test_summers_are_weak_and_a_change_lowers_what_comes_after_it():
    people = decided(make_people(10_000, 1, card=CARD, base_rate=0.3, season=0.6))
    summer = rate([each for each in people if ended(each).month in (6, 7, 8)])
    assert summer + 0.1 < rate([each for each in people if ended(each).month in (12, 1, 2)])
    people = decided(make_people(10_000, 1, card=CARD, base_rate=0.3, season=0, change_at=6))
    after = [each for each in people if ended(each) >= NOW - 6 * MONTH]
    assert rate(after) + 0.08 < rate([each for each in people if ended(each) < NOW - 6 * MONTH])


def test_with_a_half_life_what_is_old_means_less():
    card = {"Demo requested": 2.5}
    people = decided(make_people(15_000, 1, card=card, base_rate=0.2, season=0, half_life_days=20))
    did = [each for each in people if true_log_odds(each, card, 20)]
    lately = [each for each in did if true_log_odds(each, card, 20) > 1.25]
    before = [each for each in did if true_log_odds(each, card, 20) < 0.3]
    assert rate(lately) > rate(before) + 0.2


def test_the_model_of_a_card_gives_each_person_its_points():
    people = decided(make_people(300, 5, card=CARD))
    made = model(bands={"cold": 0}, **rules_of(CARD, points=100))
    for person in people[:40]:
        plain = {name: person[name] for name in ("id", "fields", "activities")}
        total = score(made, columns_of([plain]), ended(person) + timedelta(seconds=1), UTC).total[0] / 100
        assert total == round(100 * true_log_odds(person, CARD))


def test_a_rule_that_is_not_there_is_an_error():
    with pytest.raises(ValueError) as caught:
        make_people(1, 1, card={"Likes cats": 1})
    assert "Likes cats: the rules are VP or C-level" in str(caught.value)
