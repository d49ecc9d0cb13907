"""What is stored of activities as they are pulled, and of those that a counter stands for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from crmsync.model import Counter
from crmsync.store import schema
from crmsync.store.activities import move_activities, save_activities
from crmsync.store.feed_days import read_feed_days
from crmsync.store.forgetting import forget_records
from tests.store.test_store import dirty, edited, settle
from tests.support.make import NOW, activity, contact
from tests.support.state import rows, save

TODAY = int(NOW.timestamp()) // 86_400


def at(days_ago):
    return int((NOW - timedelta(days=days_ago)).timestamp())


def told(state):
    """What is stored of each activity, by its id: whose, of what kind, with what, when, and by whom."""
    records = {row["id"]: row["ref_id"] for row in rows(state, schema.record)}
    facts = {row["id"]: (row["kind"], row["attributes"]) for row in rows(state, schema.fact)}
    owners = {row["id"]: (row["crm"], row["owner"]) for row in rows(state, schema.activity_owner)}
    return {
        (row["crm"], row["id"], records[row["record"]]): (*facts[row["fact"]], row["at"], owners.get(row["owner"]))
        for row in rows(state, schema.activity)
    }


def days(state):
    with state.read() as reading:
        return {key: dict(found) for key, found in read_feed_days(reading).items()}


def keep(state, *items):
    with state.begin() as tx:
        return save_activities(tx, items)


def row_ids(state):
    return {row["ref_id"]: row["id"] for row in rows(state, schema.record)}


def test_an_activity_is_stored_as_the_crm_says_it_and_told_as_news_once(state):
    one, other = contact(1), contact("00Q1", "salesforce", "lead")
    save(state, one, other)
    first = replace(activity(1, one, "call_completed", 2, subject="Demo"), owner="ann")
    second = activity(1, other, "page_viewed", 3, url="/")
    ids = row_ids(state)
    assert sorted(keep(state, first, second)) == sorted([(ids["1"], at(2)), (ids["00Q1"], at(3))])
    assert told(state) == {
        ("hubspot", "call_completed:1", "1"): ("call_completed", '{"subject":"Demo"}', at(2), ("hubspot", "ann")),
        ("salesforce", "page_viewed:1", "00Q1"): ("page_viewed", '{"url":"/"}', at(3), None),
    }
    assert keep(state, first, second) == []
    assert len(rows(state, schema.fact)) == 2


def test_what_comes_twice_on_a_page_counts_as_it_came_last(state):
    one = contact(1)
    keep(state, activity(1, one, days_ago=5), activity(1, one, days_ago=2))
    assert [each[2] for each in told(state).values()] == [at(2)]


def test_who_made_an_activity_moves_no_score_and_is_no_news(state):
    one = contact(1)
    save(state, one)
    call = activity(1, one, "call_completed")
    keep(state, call)
    settle(state)
    for owner in ("ann", "bob", None):
        assert keep(state, replace(call, owner=owner)) == []
        assert [each[3] for each in told(state).values()] == [("hubspot", owner) if owner else None]
    assert dirty(state) == []
    assert days(state) == {("hubspot", "call_completed"): {TODAY - 1: 1}}


def test_facts_and_owners_are_stored_once_each(state):
    one, other = contact(1), contact(1, "salesforce", "lead")
    for number in range(2):
        keep(state, *(replace(activity(number, each, url="/"), owner="ann") for each in (one, other)))
        keep(state, replace(activity(number, one, "page_viewed", url="/"), owner="bob"))
    owners = [(row["crm"], row["owner"]) for row in rows(state, schema.activity_owner)]
    assert sorted(owners) == [("hubspot", "ann"), ("hubspot", "bob"), ("salesforce", "ann")]
    assert sorted(row["kind"] for row in rows(state, schema.fact)) == ["form_submitted", "page_viewed"]


def test_an_activity_that_moves_in_time_is_news_and_counts_on_its_new_day(state):
    one, other = contact(1), contact(2)
    save(state, one, other)
    keep(state, activity(1, one, days_ago=5), activity(2, other, days_ago=5))
    settle(state)
    moved = activity(1, one, days_ago=2)
    assert keep(state, moved, activity(2, other, days_ago=5)) == [(row_ids(state)["1"], at(2))]
    assert dirty(state) == ["1"]
    assert days(state) == {("hubspot", "form_submitted"): {TODAY - 5: 2, TODAY - 2: 1}}
    assert edited(state) == []


def test_what_is_taken_away_makes_its_record_edited_and_leaves_the_others(state):
    one, other = contact(1), contact(2)
    save(state, one, other)
    call = activity(1, one)
    keep(state, call, activity(2, one), activity(1, other, "page_viewed"), replace(call, ref=other.ref))
    settle(state)
    keep(state, replace(call, gone=True))
    assert sorted(told(state)) == [("hubspot", "form_submitted:2", "1"), ("hubspot", "page_viewed:1", "2")]
    assert (dirty(state), edited(state)) == (["1", "2"], ["1", "2"])


def test_an_id_is_that_of_one_crm(state):
    one, other = contact(1), contact(1, "salesforce", "lead")
    keep(state, activity(1, one), activity(1, other))
    keep(state, replace(activity(1, one), gone=True))
    assert [crm for crm, _id, _ref in told(state)] == ["salesforce"]


@pytest.mark.parametrize(
    ("when", "kept"), [(-1, False), (0, True), (0.9, True), (2**32 - 1, True), (2**32 - 0.5, True), (2**32, False)]
)
def test_an_instant_is_kept_between_1970_and_2106(state, when, kept):
    keep(state, replace(activity(1, contact(1)), at=datetime.fromtimestamp(when, UTC)))
    assert [each[2] for each in told(state).values()] == ([int(when)] if kept else [])


def test_a_record_that_was_not_pulled_yet_gets_a_row_that_waits_for_it(state):
    keep(state, activity(1, contact("00Q1", "salesforce", "lead")))
    (row,) = rows(state, schema.record)
    assert [row[name] for name in ("crm", "kind", "ref_id", "known", "seen_run", "dirty")] == [
        "salesforce", "lead", "00Q1", False, "", True,
    ]  # fmt: skip


def test_what_somebody_forgotten_did_is_not_stored_and_no_more_what_was_stored_for_the_same_id(state):
    one, other = contact(1), contact(2)
    save(state, one, other)
    keep(state, activity(1, one))
    with state.begin() as tx:
        forget_records(tx, [row_ids(state)["2"]])
    assert keep(state, activity(1, other), activity(2, other), activity(3, one)) == [(row_ids(state)["1"], at(1))]
    assert [each for _crm, each, _ref in told(state)] == ["form_submitted:3"]


# By address


def test_what_somebody_did_stays_theirs_when_somebody_else_has_their_address(state):
    ada, heir, late = contact(1), contact(2), contact(3)
    save(state, ada, heir, late)
    mail = replace(activity(1, ada, "email_clicked"), by_address=True)
    keep(state, mail)
    theirs = [("hubspot", "email_clicked:1", "1")]
    assert keep(state, replace(mail, at=NOW)) == [(row_ids(state)["1"], at(0))]  # their own may be corrected
    assert keep(state, replace(mail, ref=heir.ref), replace(activity(2, heir, "email_clicked"), by_address=True)) != []
    assert sorted(told(state)) == [*theirs, ("hubspot", "email_clicked:2", "2")]
    keep(state, replace(mail, ref=heir.ref, by_address=False))  # the CRM itself says whose it is
    assert ("hubspot", "email_clicked:1", "2") in told(state)
    save(state, contact(2, gone=True))
    keep(state, replace(mail, ref=late.ref))  # nobody is there any more whose it could stay
    assert [ref for _crm, each, ref in told(state) if each == "email_clicked:1"] == ["3"]


# Counters


def opened(count, days_ago=1, kind="email_opened", **attributes):
    return {kind: Counter(count, NOW - timedelta(days=days_ago), attributes)}


def numbers(state):
    """The activities that stand for counters: by record, kind and number the day."""
    found = {tuple(each.split(":")[1:]): it[2] for (_crm, each, _ref), it in told(state).items()}
    return {key: (at(0) - when) // 86_400 for key, when in found.items()}


def test_what_a_counter_gains_is_so_many_activities_with_its_date_and_what_it_says(state):
    save(state, contact(1, counters=opened(3, 9)))
    assert numbers(state) == {("1", "email_opened", "3"): 9}
    save(state, contact(1, counters=opened(5, 2, subject="Hi")), contact(2, counters=opened(1)))
    assert numbers(state) == {
        ("1", "email_opened", "3"): 9, ("1", "email_opened", "4"): 2, ("1", "email_opened", "5"): 2,
        ("2", "email_opened", "1"): 1,
    }  # fmt: skip
    assert [it[1] for (_crm, each, _ref), it in told(state).items() if each.endswith(":5")] == ['{"subject":"Hi"}']
    save(state, contact(1, counters=opened(4, 1)))  # it fell: nothing happened
    save(state, contact(1, counters=opened(5, 1)))
    assert len(numbers(state)) == 4
    assert {row["count"] for row in rows(state, schema.counter)} == {5, 1}


def test_a_counter_at_nothing_is_no_activity_and_one_without_a_date_is_as_old_as_its_record(state):
    save(state, contact(1, counters={"email_opened": Counter(0), "email_clicked": Counter(2)}))
    assert numbers(state) == {("1", "email_clicked", "2"): 1}
    save(state, contact(1, counters={"email_opened": Counter(1, NOW)}))
    assert ("1", "email_opened", "1") in numbers(state)


def test_counters_of_merged_records_begin_above_their_sum(state):
    save(state, contact(1, counters=opened(3) | opened(2, kind="email_clicked")), contact(2, counters=opened(4)))
    save(state, contact(2, aliases=("1",)))
    survivor = row_ids(state)["2"]
    assert {(row["record"], row["kind"], row["count"]) for row in rows(state, schema.counter)} == {
        (survivor, "email_opened", 7), (survivor, "email_clicked", 2),
    }  # fmt: skip


@pytest.mark.parametrize(("seconds", "gained"), [(-1, 0), (0, 0), (0.9, 0), (1, 1)])
def test_on_the_survivor_of_a_merge_only_what_is_later_than_the_last_counted_is_one_event(state, seconds, gained):
    save(state, contact(1, counters=opened(3)), contact(2, counters=opened(4, 5)))
    then = NOW - timedelta(days=1) + timedelta(seconds=seconds)
    save(state, contact(2, aliases=("1",), counters={"email_opened": Counter(4, then)}))
    assert len(told(state)) == 2 + gained


def test_events_on_the_survivor_of_a_merge_count_beside_earlier_ones_however_the_crm_numbers_them(state):
    save(state, contact(1, counters=opened(3, 9)), contact(2, counters=opened(4, 9)))
    for days_ago, count in ((8, 8), (7, 4), (6, 5), (5, 8)):  # first their sum, then the larger one
        save(state, contact(2, aliases=("1",), counters=opened(count, days_ago)))
    gained = sorted(it[2] for it in told(state).values())
    assert gained == sorted(at(days_ago) for days_ago in (9, 9, 8, 7, 6, 5, 5, 5))


def test_each_kind_on_each_survivor_of_a_merge_goes_by_its_own_last_event(state):
    for number, days_ago in ((1, 9), (2, 2)):
        counters = opened(1, days_ago) | opened(1, 3, kind="email_clicked")
        save(state, contact(number, counters=counters), contact(f"{number}9"))
    then = opened(2, 5) | opened(2, 5, kind="email_clicked")
    save(state, *(contact(number, aliases=(f"{number}9",), counters=then) for number in (1, 2)))
    assert sorted((ref, it[0], it[2]) for (_crm, _id, ref), it in told(state).items()) == [
        ("1", "email_clicked", at(3)), ("1", "email_opened", at(9)), ("1", "email_opened", at(5)),
        ("2", "email_clicked", at(3)), ("2", "email_opened", at(2)),
    ]  # fmt: skip


def test_what_a_feed_tells_is_counted_no_more_on_that_record_and_day(state):
    save(state, contact(1, counters=opened(3) | opened(2, kind="email")), contact(2, counters=opened(3)))
    settle(state)
    keep(state, activity("e1", contact(1), "email_opened", days_ago=4))
    kept = sorted((each, ref) for _crm, each, ref in told(state))
    assert kept == [("counter:1:email:2", "1"), ("counter:2:email_opened:3", "2"), ("email_opened:e1", "1")]
    assert {(row["record"], row["kind"]) for row in rows(state, schema.counter)} == {
        (row_ids(state)["1"], "email"), (row_ids(state)["2"], "email_opened"),
    }  # fmt: skip
    assert days(state)["hubspot", "email_opened"] == {TODAY - 1: 1, TODAY - 4: 1}
    assert dirty(state) == ["1"]


def test_activities_that_both_records_of_a_merge_carry_are_there_once(state):
    one, other = contact(1), contact(2)
    save(state, one, other)
    call = activity(1, one)
    keep(state, call, replace(call, ref=other.ref), activity(2, one), activity(3, other))
    ids = row_ids(state)
    with state.begin() as tx:
        assert move_activities(tx, ids["1"], ids["2"]) == 1
    assert sorted(told(state)) == [("hubspot", f"form_submitted:{number}", "2") for number in (1, 2, 3)]
