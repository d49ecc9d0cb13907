"""Opens and clicks that no person made count nowhere, and the explanation says so."""

from datetime import timedelta

import pytest

from crmsync.config import config_class
from tests.support.scoring import NOW, model, one, total

RULES = [
    {"name": "opened", "points": 1, "on": "email_opened"},
    {"name": "clicked", "points": 5, "on": "email_clicked"},
]


def at(kind, seconds, **attributes):
    """One activity so many seconds after noon of yesterday."""
    when = NOW - timedelta(days=1) + timedelta(seconds=seconds)
    return [{"kind": kind, "at": when.isoformat(), "attributes": attributes}]


def links(count, gap=0, start=100, **attributes):
    return [each for n in range(count) for each in at("email_clicked", start + n * gap, url=f"/{n}", **attributes)]


def behavior(*activities, **tables):
    return total(model(behavior=RULES, **tables), *activities)


@pytest.mark.parametrize(("after", "points"), [(0, 1), (1, 0), (5, 0), (6, 1), (3_600, 1)])
def test_an_open_within_seconds_of_the_sending_is_a_machines(after, points):
    assert behavior(at("email_sent", 0), at("email_opened", after)) == points


def test_an_open_before_any_sending_is_a_persons():
    assert behavior(at("email_opened", 0), at("email_sent", 2)) == 1


def test_a_click_within_seconds_of_the_sending_is_a_machines():
    assert behavior(at("email_sent", 0), at("email_clicked", 3, url="/a")) == 0


@pytest.mark.parametrize(
    ("clicks", "points"),
    [
        (links(4), 0), (links(3, gap=1), 0), (links(6, gap=1), 0),
        (links(2), 10), (links(3, gap=2), 15), (links(4, gap=60), 20),
        # One link again and again is somebody who is in a hurry; and without links nobody can tell.
        ([each for n in range(3) for each in at("email_clicked", n, url="/a")], 15),
        ([each for n in range(3) for each in at("email_clicked", n)], 15),
    ],
)  # fmt: skip
def test_clicks_of_many_links_at_once_are_a_machines(clicks, points):
    assert behavior(clicks) == points


def test_what_a_person_clicked_later_counts():
    assert behavior(links(4), at("email_clicked", 7_200, url="/0")) == 5


def test_the_explanation_says_what_does_not_count_and_why():
    told = one(model(behavior=RULES), at("email_sent", 0), at("email_opened", 3), links(4), at("email_opened", 600))
    assert told["lines"][-1] == {
        "rule": "Machine clicks",
        "points": 0,
        "why": "4 clicks not counted: link scanner; 1 open not counted: within 5 seconds of sending",
    }
    assert told["total"] == 1


def test_what_no_rule_would_count_is_not_told():
    told = one(model(behavior=[{"name": "viewed", "points": 1, "on": "page_viewed"}]), links(4))
    assert told["lines"] == []


@pytest.mark.parametrize(
    ("table", "points"),
    [
        ({"within": "0s"}, 20 + 0), ({"after_sending": "0s"}, 0 + 1), ({"within": "0s", "after_sending": "0s"}, 21),
        ({"links": 5}, 20), ({"within": "10s", "links": 2}, 0),
    ],
)  # fmt: skip
def test_the_config_decides(table, points):
    acts = (at("email_sent", 0), at("email_opened", 3), links(4))
    assert behavior(*acts, machine_clicks=table) == points


def test_a_machine_does_not_end_an_inactivity_and_is_no_step():
    of = model(
        inactivity=[{"name": "silent", "points": -10, "after": "30d"}],
        sequence=[{"name": "steps", "points": 7, "steps": [{"on": "email_clicked"}, {"on": "page_viewed"}]}],
    )
    page = {"kind": "page_viewed", "at": NOW.isoformat(), "attributes": {}}
    old = {**page, "at": (NOW - timedelta(days=40)).isoformat()}
    assert total(of, [old], links(4)) == -10
    assert total(of, links(4), [page]) == 0
    assert total(of, links(1), [page]) == 7


def test_the_crm_may_say_how_soon_after_the_sending_it_was():
    assert behavior(at("email_opened", 0, seconds_after_sending=2)) == 0
    assert behavior(at("email_opened", 0, seconds_after_sending="30")) == 1


def test_nothing_after_an_instant_tells_of_a_machine_then():
    of, clicks = model(behavior=RULES), links(3, gap=1)
    then = NOW - timedelta(days=1) + timedelta(seconds=101)
    assert total(of, clicks, now=then) == 10
    assert total(of, clicks) == 0


def test_it_is_part_of_the_model():
    one, other = (config_class()(machine_clicks={"links": links}).model_hash() for links in (3, 4))
    assert one != other


@pytest.mark.parametrize("value", [True, "true", "True"])
def test_a_rule_asks_an_attribute_for_yes_or_no_however_the_crm_writes_it(value):
    asks = model(behavior=[{"name": "o", "points": 5, "on": "email_opened", "where": {"machine": False}}])
    assert total(asks, at("email_opened", 0, machine=value)) == 0
    assert total(asks, at("email_opened", 0, machine=type(value)("" if value is True else "false"))) == 5
    text = model(behavior=[{"name": "o", "points": 5, "on": "email_opened", "where": {"machine": "true"}}])
    assert total(text, at("email_opened", 0, machine=value)) == 5
