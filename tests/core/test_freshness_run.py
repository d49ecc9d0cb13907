"""What a run counts of how soon scores follow what happens in the CRMs."""

from dataclasses import replace
from datetime import timedelta

import pytest

from crmsync.cycle import preview_run, run_cycle
from crmsync.model import Activity
from crmsync.reporting.print_status import describe_freshness
from crmsync.reporting.standing import freshness_document
from crmsync.reporting.status import status_document
from tests.support.cycles import ADA, NEVER_FADES, edit, run, two_crms
from tests.support.make import NOW, config, contact, work

LATER = NOW + timedelta(minutes=15)


def happen(of, at, number=50, ref=ADA):
    of.happen(Activity(ref, f"page_viewed:{number}", "page_viewed", at, {"url": "https://x.example/pricing"}))


def run_in(state, seconds, *crms, at=LATER, **tables):
    """A run that begins at an instant and needs so many seconds."""
    given = work(state, *crms, now=at, settings=config(NEVER_FADES, **tables))
    ticks = iter((0.0, 0.0))
    return run_cycle(given._replace(elapsed=lambda: next(ticks, seconds)))


@pytest.fixture
def crms(state):
    """HubSpot and Salesforce after a first run, which itself counts nobody."""
    made = two_crms()
    assert run(state, *made, at=NOW).freshness == {}
    return made


def test_an_activity_counts_from_its_own_time_until_the_last_crm_confirmed(state, crms):
    happen(crms[0], LATER - timedelta(seconds=40))
    result = run_in(state, 7.0, *crms)
    assert {name: counts.updated for name, counts in result.crms.items()} == {"hubspot": 1, "salesforce": 1}
    assert result.freshness == {"47": 1}


def test_an_edit_counts_from_when_the_crm_changed_the_record(state, crms):
    edit(crms[0], ADA, fields={"title": "Clerk", "employees": 500}, changed_at=LATER - timedelta(seconds=30))
    assert run(state, *crms, at=LATER).freshness == {"30": 1}


def test_a_record_that_is_only_read_otherwise_than_before_counts_nobody(state, crms):
    edit(crms[0], ADA, fields={"title": "Clerk", "employees": 500})
    result = run(state, *crms, at=LATER)
    assert result.crms["hubspot"].updated == 1
    assert result.freshness == {}


def test_before_the_first_run_nobody_waits_although_a_preview_pulled(state):
    made = two_crms()
    preview_run(work(state, *made, now=NOW, settings=config(NEVER_FADES)))
    happen(made[0], NOW + timedelta(hours=1))
    result = run(state, *made, at=NOW + timedelta(days=2))
    assert result.crms["hubspot"].updated
    assert result.freshness == {}


def test_of_several_events_the_one_that_waited_longest_counts(state, crms):
    for number in (1, 2, 3):
        happen(crms[0], LATER - timedelta(seconds=20 * number), number)
    assert run(state, *crms, at=LATER).freshness == {"60": 1}


def test_what_the_crm_heard_of_late_counts_from_the_pull_before(state, crms):
    happen(crms[0], NOW - timedelta(minutes=50))
    assert run(state, *crms, at=LATER).freshness == {"900": 1}


def test_history_that_is_delivered_later_counts_nobody(state, crms):
    happen(crms[0], NOW - timedelta(days=3))
    result = run(state, *crms, at=LATER)
    assert result.crms["hubspot"].updated == 1
    assert result.freshness == {}


def test_a_score_that_did_not_move_and_one_that_only_the_model_moved_count_nobody(state, crms):
    crms[0].happen(Activity(ADA, "note:1", "note_logged", LATER - timedelta(seconds=5), {}))
    assert run(state, *crms, at=LATER).freshness == {}
    dearer = NEVER_FADES.replace("points = 15", "points = 16")
    moved = run(state, *crms, at=LATER + timedelta(minutes=15), model=dearer, guard={"scores": 1.0, "bands": 1.0})
    assert moved.crms["hubspot"].updated
    assert moved.freshness == {}


def test_what_the_last_run_wrote_is_no_news_when_it_is_read_back(state, crms):
    happen(crms[0], LATER - timedelta(seconds=40))
    run(state, *crms, at=LATER)
    assert run(state, *crms, at=LATER + timedelta(minutes=15)).freshness == {}


def test_after_an_outage_an_event_counts_from_its_own_time(state, crms):
    refusing = crms[0].activities
    crms[0].activities = lambda cursor: (_ for _ in ()).throw(OSError("down"))
    happen(crms[0], LATER - timedelta(seconds=40))
    assert run(state, *crms, at=LATER).freshness == {}
    crms[0].activities = refusing
    assert run(state, *crms, at=LATER + timedelta(minutes=15)).freshness == {"940": 1}


def test_a_clock_that_was_ahead_counts_nobody(state, crms):
    happen(crms[0], NOW - timedelta(minutes=30))
    assert run(state, *crms, at=NOW - timedelta(minutes=20)).freshness == {}


def test_the_status_sums_up_the_runs_of_the_last_day(state, crms):
    for number in range(1, 4):
        at = NOW + timedelta(minutes=15 * number)
        happen(crms[0], at - timedelta(seconds=20 * number), number)
        assert run(state, *crms, at=at).freshness == {str(20 * number): 1}
    tables = {"hubspot": {}, "salesforce": {"instance_url": "https://acme.my.salesforce.com"}}
    settings, soon = config(NEVER_FADES, **tables), NOW + timedelta(hours=1)
    said = status_document(settings, state, soon)["freshness"]
    assert said == {"people": 3, "median_seconds": 40, "p95_seconds": 60, "goal_seconds": None, "met": None}
    assert describe_freshness(said) == (
        "From an event in the CRM to the score there, 3 people in the last day: half within 40 seconds, "
        "95 % within 60 seconds."
    )
    assert status_document(settings, state, soon + timedelta(days=1))["freshness"]["people"] == 0


@pytest.mark.parametrize(("seconds", "met"), [(85, True), (95, False)])
def test_with_webhooks_the_status_says_whether_the_goal_is_met(state, crms, seconds, met):
    happen(crms[0], LATER - timedelta(seconds=seconds))
    run(state, *crms, at=LATER)
    with state.read() as reading:
        said = freshness_document(
            config(NEVER_FADES, hubspot={"webhooks": {"public_url": "https://leads.acme.example/hubspot"}}),
            reading,
            LATER + timedelta(hours=1),
        )
    assert (said["goal_seconds"], said["met"]) == (90, met)
    verdict = "met" if met else "not met"
    assert describe_freshness(said).endswith(f"with webhooks the goal is 95 % within 90 seconds: {verdict}.")


def test_where_nobody_had_news_the_status_says_nothing(state):
    with state.read() as reading:
        assert describe_freshness(freshness_document(config(), reading, NOW)) == ""


def test_somebody_new_counts_from_when_the_crm_made_the_record(state, crms):
    new = contact(9, changed_at=LATER - timedelta(seconds=10), fields={"title": "VP Sales", "employees": 500})
    crms[0].edit(replace(new, emails=("new@y.example",)))
    assert run(state, *crms, at=LATER).freshness == {"10": 1}
