"""One meeting, call or e-mail that two CRMs log some seconds apart counts once."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.cycle import run_cycle
from crmsync.identity.logged_twice import Logged, is_same_subject, pair_logs
from crmsync.identity.matching import match_people
from crmsync.reporting.person import explain_person
from crmsync.store import score_inputs
from crmsync.store.activities import save_activities
from crmsync.store.field_values import FieldReading
from crmsync.store.people import refresh_people
from tests.support.make import NOW, activity, config, contact, crm, work
from tests.support.state import save

ORDER = ["salesforce", "hubspot"]
MAIL = ("a@x.example",)
HUBSPOT = contact(1, emails=MAIL)
SALESFORCE = contact(2, crm="salesforce", kind="lead", emails=MAIL)


def logged(number, of, kind="meeting_held", seconds=0, **attributes):
    at = NOW - timedelta(days=2) + timedelta(seconds=seconds)
    return replace(activity(number, of, kind=kind), at=at, attributes=attributes)


def counted(state, *activities, within=60):
    """How many seconds after the first of them each activity lies that counts."""
    save(state, HUBSPOT, SALESFORCE)
    with state.begin() as tx:
        save_activities(tx, activities)
        refresh_people(tx, partial(match_people, shared_address_limit=5, shared_mailboxes=("info",)))
        found = score_inputs.read_columns(tx, [1], [], ORDER, reading=FieldReading(same_activity=within))
    start = int((NOW - timedelta(days=2)).timestamp())
    return (found.at - start).tolist()


@pytest.mark.parametrize(
    ("activities", "seconds"),
    [
        ([logged(1, HUBSPOT), logged(2, SALESFORCE, seconds=40)], [0]),
        ([logged(1, HUBSPOT, seconds=7), logged(2, SALESFORCE)], [0]),
        ([logged(1, HUBSPOT), logged(2, SALESFORCE, seconds=60)], [0]),
        ([logged(1, HUBSPOT), logged(2, SALESFORCE, seconds=61)], [0, 61]),
        # one CRM that tells of two has seen two
        ([logged(1, HUBSPOT), logged(2, HUBSPOT, seconds=40)], [0, 40]),
        ([logged(1, HUBSPOT), logged(2, HUBSPOT, seconds=30), logged(3, SALESFORCE, seconds=31)], [0, 30]),
        ([logged(1, HUBSPOT), logged(2, SALESFORCE), logged(3, HUBSPOT, seconds=10)], [0, 10]),
        ([logged(1, HUBSPOT), logged(2, SALESFORCE, kind="call_completed", seconds=5)], [0, 5]),
        ([logged(1, HUBSPOT, subject="Demo"), logged(2, SALESFORCE, seconds=5, subject="Meeting: demo")], [0]),
        ([logged(1, HUBSPOT, subject="Demo"), logged(2, SALESFORCE, seconds=5, subject="Renewal")], [0, 5]),
        ([logged(1, HUBSPOT, subject="Demo"), logged(2, SALESFORCE, seconds=5)], [0]),
        # of what people may do twice in a minute both count
        ([logged(1, HUBSPOT, kind="page_viewed"), logged(2, SALESFORCE, kind="page_viewed", seconds=5)], [0, 5]),
    ],
)  # fmt: skip
def test_S0_19_what_two_crms_log_some_seconds_apart_counts_once(state, activities, seconds):
    assert counted(state, *activities) == seconds


def test_it_can_be_switched_off(state):
    assert counted(state, logged(1, HUBSPOT), logged(2, SALESFORCE, seconds=5), within=0) == [0, 5]


def test_what_goes_away_in_one_crm_counts_by_the_other(state):
    first = logged(1, HUBSPOT)
    assert counted(state, first, logged(2, SALESFORCE, seconds=5)) == [0]
    with state.begin() as tx:
        save_activities(tx, [replace(first, gone=True)])
        found = score_inputs.read_columns(tx, [1], [], ORDER, reading=FieldReading(same_activity=60))
    assert len(found.at) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("", "Demo", True), ("Demo", "demo ", True), ("Re: Your demo", "Email: Your demo", True),
        ("[HubSpot] Email: Demo", "Demo", True), ("Demo with Acme", "Demo", True), ("Demo", "Renewal", False),
        ("Fwd: Re: Demo", "Call: [CRM] logged : demo", True), ("Demo \n  call", "demo call", True),
        ("Straße", "STRASSE", True), ("Re: demo", "Re: renewal", False), ("Democall", "Demo call", False),
    ],
)  # fmt: skip
def test_subjects_of_one_activity(one, other, same):
    assert is_same_subject(one, other) is is_same_subject(other, one) is same


logs = st.lists(
    st.builds(Logged, st.integers(0, 12), st.integers(0, 2), st.sampled_from(["", "demo", "renewal"]), st.just("{}")),
    max_size=9,
)


@settings(max_examples=200, deadline=None)
@given(logs, st.randoms(use_true_random=False))
def test_the_order_in_which_logs_come_changes_nothing(some, shuffler):
    def left(logs):
        gone = {second for _, second in pair_logs(logs, 3)}
        return sorted(each for place, each in enumerate(logs) if place not in gone)

    other = [*some]
    shuffler.shuffle(other)
    assert left(some) == left(other)


@settings(max_examples=200, deadline=None)
@given(logs, st.integers(0, 12))
def test_nothing_later_changes_what_counts(some, then):
    def left(logs):
        gone = {second for _, second in pair_logs(logs, 3)}
        return sorted(each for place, each in enumerate(logs) if place not in gone and each.at <= then)

    assert left(some) == left([each for each in some if each.at <= then])


def test_an_explanation_says_what_counts_once(state):
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    hubspot.edit(HUBSPOT)
    salesforce.edit(SALESFORCE)
    hubspot.happen(logged(1, HUBSPOT))
    salesforce.happen(logged(2, SALESFORCE, seconds=40))
    rules = [{"name": "met", "points": 20, "on": "meeting_held"}]
    judged = config(behavior=rules)
    run_cycle(work(state, hubspot, salesforce, settings=judged))
    told = explain_person(judged, state, "a@x.example", NOW)
    assert told["total"] == 20
    assert [each["said"] for each in told["logged_twice"]] == [
        "1 meeting held counts once: two CRMs log it 40 seconds apart"
    ]
    both = config(behavior=rules, identity={"same_activity": "0s"})
    run_cycle(work(state, hubspot, salesforce, settings=both))
    told = explain_person(both, state, "a@x.example", NOW)
    assert (told["total"], told["logged_twice"]) == (40, [])
