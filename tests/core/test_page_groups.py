"""Pages of a pull are stored several at once, and nothing is lost or mixed by it."""

from datetime import UTC, datetime
from operator import attrgetter

import pytest

from crmsync import page_groups
from crmsync.errors import Unavailable
from crmsync.model import Activity, Odd, Page, Ref
from crmsync.page_groups import group_pages

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def act(number, contact="1"):
    return Activity(Ref("hubspot", "contact", contact), f"event:{number}", "page_viewed", NOON)


def group(pages, most=1_000):
    return list(group_pages("hubspot", pages, attrgetter("id"), most))


def test_pages_become_one_with_the_cursor_of_the_last():
    pages = [Page([act(1)], "a", frozenset({"calls:"})), Page([], "b"), Page([act(2)], "c", frozenset({"notes:"}))]
    (one,) = group(pages)

    assert one.items == [act(1), act(2)]
    assert one.cursor == "c"
    assert one.whole == {"calls:", "notes:"}


def test_what_a_page_says_of_an_item_replaces_what_the_one_before_said():
    first, second = Page([act(1, "1"), act(1, "2")], "a"), Page([act(1, "1")], "b")

    assert group([first, second]) == [first, second]


def test_no_group_is_larger_than_the_limit_unless_one_page_is():
    sizes = [2, 1, 1, 5, 1]
    numbers = iter(range(100))
    groups = group([Page([act(next(numbers)) for _ in range(size)], str(size)) for size in sizes], most=3)

    assert [len(each.items) for each in groups] == [3, 1, 5, 1]


def test_what_a_slow_crm_answered_is_not_kept_waiting(monkeypatch):
    now = iter(range(0, 1_000, 4))
    monkeypatch.setattr(page_groups.time, "monotonic", lambda: next(now))

    assert len(group([Page([act(number)], str(number)) for number in range(6)])) > 1


def test_what_came_before_an_error_is_stored():
    def cut_off():
        yield Page([act(1)], "a")
        yield Page([act(2)], "b")
        raise Unavailable("hubspot", "it does not answer")

    came = []
    with pytest.raises(Unavailable):
        came.extend(group_pages("hubspot", cut_off(), attrgetter("id"), 1_000))
    assert [(each.items, each.cursor) for each in came] == [([act(1), act(2)], "b")]


def test_a_page_that_is_no_answer_leaves_the_cursor_before_it():
    odd = [Odd(f"contact {number}", "in a form that cannot be read", None) for number in range(20)]
    came = []
    with pytest.raises(Unavailable, match="arrived in a form that cannot be read"):
        came.extend(group_pages("hubspot", [Page([act(1)], "a"), Page([], "b", odd=odd)], attrgetter("id"), 1_000))
    assert [each.cursor for each in came] == ["a"]
