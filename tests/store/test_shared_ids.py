"""One e-mail that two CRMs log with its Message-ID is one, however far apart they date it."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.cycle import run_cycle
from crmsync.identity.logged_twice import Logged, find_chains, pair_logs
from crmsync.identity.matching import match_people
from crmsync.model import Page
from crmsync.reporting.person import explain_person
from crmsync.store import schema
from crmsync.store.activities import save_activities
from crmsync.store.forgetting import forget_records
from crmsync.store.full_pull import begin_tracking, compare_page
from crmsync.store.people import refresh_people
from crmsync.store.score_inputs import read_columns
from tests.store.test_second_logs import HUBSPOT, MAIL, ORDER, SALESFORCE, FieldReading, counted, logged
from tests.support.make import NOW, config, contact, crm, work
from tests.support.state import rows, save


def mail(number, of, id_=None, seconds=0, kind="email_sent", **about):
    return replace(logged(number, of, kind=kind, seconds=seconds, **about), shared_id=id_)


def now_counted(state, *activities, within=60):
    """The same as `counted` after some more came."""
    with state.begin() as tx:
        save_activities(tx, activities)
        refresh_people(tx, partial(match_people, shared_address_limit=5, shared_mailboxes=("info",)))
        found = read_columns(tx, [1], [], ORDER, reading=FieldReading(same_activity=within))
    start = int((NOW - timedelta(days=2)).timestamp())
    return (found.at - start).tolist()


HOURS = 5 * 3_600


@pytest.mark.parametrize(
    ("activities", "seconds"),
    [
        # one id is one e-mail, whenever and about whatever
        ([mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, "a", HOURS)], [0]),
        ([mail(1, HUBSPOT, "a", HOURS), mail(2, SALESFORCE, "a")], [0]),
        ([mail(1, HUBSPOT, "a", subject="Demo"), mail(2, SALESFORCE, "a", 9, subject="Renewal")], [0]),
        # two ids are two e-mails
        ([mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, "b", 5)], [0, 5]),
        ([mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, "b")], [0, 0]),
        ([mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, "b"), mail(3, HUBSPOT, "b", 7)], [0, 0]),
        ([mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, "a"), mail(3, HUBSPOT, "b"), mail(4, SALESFORCE, "b", 9)], [0, 0]),
        # without an id time decides
        ([mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, None, 5)], [0]),
        ([mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, None)], [0]),
        ([mail(1, HUBSPOT, None), mail(2, SALESFORCE, "a", 61)], [0, 61]),
        ([mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, None, 5), mail(3, SALESFORCE, "b", 6)], [0, 6]),
        # two e-mails seconds apart, which the other CRM dates later and in another order
        ([mail(1, HUBSPOT, "a"), mail(2, HUBSPOT, "b", 4), mail(3, SALESFORCE, "b", 50), mail(4, SALESFORCE, "a", 55)],
         [0, 4]),
        ([mail(1, HUBSPOT, "a"), mail(2, HUBSPOT, "b", 4), mail(3, SALESFORCE, "b", 99), mail(4, SALESFORCE, "a", 400)],
         [0, 4]),
        # one CRM that tells of two has seen two, and kinds stay apart
        ([mail(1, HUBSPOT, "a"), mail(2, HUBSPOT, "a", 5)], [0, 5]),
        ([mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, "a", HOURS, kind="email_replied")], [0, HOURS]),
        ([mail(1, HUBSPOT, "a", kind="page_viewed"), mail(2, SALESFORCE, "a", HOURS, kind="page_viewed")], [0, HOURS]),
    ],
)  # fmt: skip
def test_a_message_id_says_which_e_mails_are_one(state, activities, seconds):
    assert counted(state, *activities) == seconds


def test_the_one_with_its_id_comes_before_another_about_the_very_same():
    alike, own = Logged(0, 0, "demo", "a"), Logged(1, 0, "prices and a demo", "b", shared=7)
    assert pair_logs([alike, own, Logged(2, 1, "demo", "c", shared=7)], 60) == [(1, 2)]


def test_message_ids_count_for_nothing_where_it_is_switched_off(state):
    both = [mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, "a", 5)]
    assert counted(state, *both, within=0) == [0, 5]


def test_an_id_that_comes_later_joins_and_one_that_goes_parts(state):
    first, second = mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, None, HOURS)
    assert counted(state, first, second) == [0, HOURS]
    with state.begin() as tx:
        tx.execute(schema.record.update().values(dirty=False))
    assert now_counted(state, replace(second, shared_id="a")) == [0]
    assert sum(row["dirty"] for row in rows(state, schema.record)) == 1
    assert now_counted(state, second) == [0, HOURS]
    assert now_counted(state, replace(second, shared_id="b"), replace(first, shared_id="b")) == [0]
    assert len(rows(state, schema.shared_id)) == 2


def test_where_the_one_that_counts_is_deleted_the_other_counts_again(state):
    first = mail(1, HUBSPOT, "a")
    assert counted(state, first, mail(2, SALESFORCE, "a", HOURS)) == [0]
    assert now_counted(state, replace(first, gone=True)) == [HOURS]
    assert [row["activity"] for row in rows(state, schema.shared_id)] == ["email_sent:2"]


def test_ids_go_with_activities_to_the_record_that_a_merge_leaves(state):
    loser = contact(3, emails=MAIL)
    save(state, loser)
    assert counted(state, mail(1, loser, "a"), mail(2, SALESFORCE, "a", HOURS)) == [0]
    save(state, replace(HUBSPOT, aliases=("3",)))
    assert now_counted(state) == [0]
    ids = {row["ref_id"]: row["id"] for row in rows(state, schema.record)}
    assert sorted((row["record"], row["activity"]) for row in rows(state, schema.shared_id)) == sorted(
        [(ids["1"], "email_sent:1"), (ids["2"], "email_sent:2")]
    )


def test_what_a_pull_of_everything_does_not_bring_leaves_no_id(state):
    counted(state, mail(1, HUBSPOT, "a"), mail(2, HUBSPOT, "b"))
    with state.begin() as tx:
        begin_tracking(tx, "hubspot", "full")
        compare_page(tx, "hubspot", "full", Page([mail(2, HUBSPOT, "b")], "", frozenset({""})))
    assert [row["activity"] for row in rows(state, schema.shared_id)] == ["email_sent:2"]


def test_nothing_stays_of_the_ids_of_somebody_forgotten_or_erased(state):
    counted(state, mail(1, HUBSPOT, "a"), mail(2, SALESFORCE, "a"))
    assert len(rows(state, schema.shared_id)) == 2
    save(state, replace(SALESFORCE, gone=True, erased=True))
    (left,) = rows(state, schema.shared_id)
    with state.begin() as tx:
        assert forget_records(tx, [left["record"]])["shared_id"] == 1
    assert rows(state, schema.shared_id) == []
    now_counted(state, mail(1, HUBSPOT, "a"))
    assert rows(state, schema.shared_id) == []


def test_only_what_may_be_logged_twice_is_kept_and_only_as_a_hash(state):
    counted(state, mail(1, HUBSPOT, "a@mail.example"), mail(2, HUBSPOT, "b", kind="email_opened"), mail(3, HUBSPOT))
    (row,) = rows(state, schema.shared_id)
    assert row["activity"] == "email_sent:1"
    assert isinstance(row["hash"], int)
    assert row["hash"] != 0


def test_an_explanation_says_what_two_crms_log_with_one_message_id(state):
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    hubspot.edit(HUBSPOT)
    salesforce.edit(SALESFORCE)
    hubspot.happen(mail(1, HUBSPOT, "a"))
    salesforce.happen(mail(2, SALESFORCE, "a", HOURS))
    judged = config(behavior=[{"name": "mailed", "points": 20, "on": "email_sent"}])
    run_cycle(work(state, hubspot, salesforce, settings=judged))
    told = explain_person(judged, state, MAIL[0], NOW)
    assert told["total"] == 20
    assert [each["said"] for each in told["logged_twice"]] == [
        "1 email sent counts once: two CRMs log it 5.0 hours apart, with one Message-ID"
    ]


logs = st.lists(
    st.builds(
        Logged, st.integers(0, 12), st.integers(0, 2), st.sampled_from(["", "demo"]), st.just("{}"), st.integers(0, 3)
    ),
    max_size=9,
)


def left(logs):
    """What counts of some logs of one person and kind."""
    at, crm, shared = (np.array([getattr(each, name) for each in logs], dtype=np.int64) for name in FIELDS)
    one = np.zeros(len(logs), dtype=np.int32)
    gone = set()
    for chain in find_chains(one, crm, at, one, shared, 2):
        places = chain.tolist()
        gone |= {places[second] for _, second in pair_logs([logs[place] for place in places], 2)}
    return sorted(each for place, each in enumerate(logs) if place not in gone)


FIELDS = ("at", "crm", "shared")


@given(logs, st.randoms(use_true_random=False), st.integers(0, 12))
def test_neither_their_order_nor_what_comes_later_changes_what_counts(some, shuffler, then):
    other = [*some]
    shuffler.shuffle(other)
    assert left(some) == left(other)
    assert [each for each in left(some) if each.at <= then] == left([each for each in some if each.at <= then])


@given(logs)
def test_chains_keep_together_whatever_may_be_one(some):
    gone = {second for _, second in pair_logs(some, 2)}
    assert left(some) == sorted(each for place, each in enumerate(some) if place not in gone)
