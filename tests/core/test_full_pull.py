"""Activities that a CRM has no more and never speaks of again: a pull of everything finds them, and nothing else."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from crmsync.cycle import run_cycle
from crmsync.errors import Cancelled
from crmsync.model import Counter, Page, Ref
from crmsync.store import full_pull, schema
from crmsync.store.activities import save_activities
from crmsync.store.contacts import save_contacts
from tests.support.make import NOW, activity, contact, crm, work


def rows(state, table):
    with state.read() as reading:
        return [row._asdict() for row in reading.execute(select(table))]


def ids(state):
    return sorted(row["id"] for row in rows(state, schema.activity))


def edited(state):
    return sorted(row["ref_id"] for row in rows(state, schema.record) if row["edited"])


def settle(state):
    with state.begin() as tx:
        tx.execute(schema.record.update().values(dirty=False, edited=False))


def stored(state, *items):
    with state.begin() as tx:
        save_activities(tx, items)
    settle(state)


def begin(state, stream="full:activities"):
    with state.begin() as tx:
        full_pull.begin_tracking(tx, "hubspot", stream)


def come(state, *items, whole=(), stream="full:activities"):
    with state.begin() as tx:
        save_activities(tx, items)
        return full_pull.compare_page(tx, "hubspot", stream, Page(items, "1", frozenset(whole)))


def pulled_again(state, *items, whole=("",)):
    begin(state)
    said = come(state, *items, whole=whole)
    full_pull.end_tracking(state, "hubspot", "full:activities")
    return said


def test_R35_what_did_not_come_is_deleted_and_its_contact_was_edited(state):
    one, other = contact(1), contact(2)
    stored(state, activity(1, one), activity(2, one), activity(3, other))
    assert pulled_again(state, activity(1, one), activity(3, other)) == []
    assert ids(state) == ["form_submitted:1", "form_submitted:3"]
    assert edited(state) == ["1"]
    assert [row["ref_id"] for row in rows(state, schema.record) if row["dirty"]] == ["1"]
    assert rows(state, schema.seen_activity) == rows(state, schema.cursor) == []


def test_only_what_came_whole_is_compared(state):
    one = contact(1)
    stored(
        state, activity(1, one), activity(2, one), activity(3, one, "page_viewed"), activity(4, one, "Form_submitted")
    )
    pulled_again(state, activity(1, one), whole=["form_submitted:"])
    assert ids(state) == ["Form_submitted:4", "form_submitted:1", "page_viewed:3"]


def test_what_was_counted_stays(state):
    clicked = contact(1, counters={"email_clicked": Counter(1, NOW - timedelta(days=2))})
    with state.begin() as tx:
        save_contacts(tx, "r1", [clicked], NOW)
    pulled_again(state)
    assert ids(state) == ["counter:1:email_clicked:1"]


def test_W24_a_part_of_which_nothing_came_is_kept_and_named(state):
    one = contact(1)
    calls = [activity(number, one, "call_completed") for number in range(21)]
    stored(state, *calls, activity(1, one), activity(2, one))
    said = pulled_again(state, activity(1, one), whole=["call_completed:", "form_submitted:"])
    assert len(said) == 1
    assert said[0].startswith("hubspot: 21 of the 21 activities of call_completed were missing")
    assert len(ids(state)) == 22


def test_a_kind_of_ids_that_has_no_name_is_told_by_its_beginning(state):
    stored(state, *(replace(activity(number, contact(1)), id=f"00T{number}") for number in range(21)))
    assert "21 of the 21 activities with ids like 00T… were missing" in pulled_again(state, whole=["00T"])[0]


def test_W24_a_large_part_that_did_not_come_is_kept_until_somebody_says_that_it_is_gone(state):
    one = contact(1)
    calls = [activity(number, one, "call_completed") for number in range(100)]
    stored(state, *calls)
    assert len(pulled_again(state, *calls[:70], whole=["call_completed:"])) == 1
    assert len(ids(state)) == 100
    assert pulled_again(state, *calls[:81], whole=["call_completed:"]) == []
    assert len(ids(state)) == 81


def crm_that_lost_30_activities(state):
    hubspot, one = crm(), contact(1)
    hubspot.edit(one)
    for number in range(30):
        hubspot.happen(activity(number, one))
    run_cycle(work(state, hubspot))
    hubspot.happened.clear()
    return hubspot


def test_W24_a_backfill_that_asks_nobody_believes_it(state):
    hubspot = crm_that_lost_30_activities(state)
    later = work(state, hubspot, now=NOW + timedelta(minutes=1))
    assert run_cycle(later, "backfill", full=True, approved=True).problems == []
    assert ids(state) == []


def test_a_few_may_all_be_gone(state):
    one = contact(1)
    stored(state, *(activity(number, one, "call_completed") for number in range(20)))
    assert pulled_again(state, whole=["call_completed:"]) == []
    assert ids(state) == []


def test_the_first_pull_of_an_empty_state_notes_nothing(state):
    begin(state)
    come(state, activity(1, contact(1)), whole=[""])
    assert rows(state, schema.seen_activity) == rows(state, schema.cursor) == []


def test_another_crm_and_an_ordinary_page_delete_nothing(state):
    one, lead = contact(1), contact("00Q1", "salesforce", "lead")
    stored(state, activity(1, one), activity(2, lead))
    come(state, whole=[""])
    assert len(ids(state)) == 2
    pulled_again(state)
    assert ids(state) == ["form_submitted:2"]


def test_what_an_ordinary_run_brings_between_two_halves_of_a_full_pull_stays(state):
    one = contact(1)
    stored(state, activity(1, one), activity(2, one))
    begin(state)
    come(state, activity(1, one))
    come(state, activity(3, one), stream="activities")
    full_pull.end_tracking(state, "hubspot", "activities")
    come(state, whole=[""])
    assert ids(state) == ["form_submitted:1", "form_submitted:3"]


def test_a_full_pull_that_another_one_overtook_deletes_nothing(state):
    one = contact(1)
    stored(state, activity(1, one), activity(2, one))
    begin(state)
    come(state, activity(1, one))
    begin(state, "activities")
    come(state, activity(2, one), whole=[""])
    assert len(ids(state)) == 2
    come(state, activity(1, one), stream="activities")
    come(state, whole=[""], stream="activities")
    assert len(ids(state)) == 2


def test_S08_a_purged_activity_is_found_by_a_full_pull_that_was_cut_off_and_went_on(state):
    hubspot = crm()
    hubspot.page_size = 1
    one = contact(1)
    hubspot.edit(one)
    for number in (1, 2, 3):
        hubspot.happen(activity(number, one, days_ago=number))
    run_cycle(work(state, hubspot))
    assert len(ids(state)) == 3
    del hubspot.happened["form_submitted:2", one.ref]
    pages = hubspot.activities

    def cut(cursor):
        for page in pages(cursor):
            yield page
            raise Cancelled("stopped")

    hubspot.activities = cut
    with pytest.raises(Cancelled):
        run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=1)), "backfill", full=True)
    hubspot.activities = lambda cursor: [*pages(cursor), Page((), cursor or "9", whole=frozenset({""}))]
    run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=2)), "backfill", full=True)
    assert ids(state) == ["form_submitted:1", "form_submitted:3"]
    assert rows(state, schema.seen_activity) == []
    streams = sorted(row["stream"].partition(":")[0] for row in rows(state, schema.cursor))
    assert streams == ["activities", "contacts", "mapping", "pulled"]


def test_what_a_record_did_that_is_not_shown_stays_though_the_pull_is_cut_off_between_it_and_activities(state):
    hubspot = crm()
    hidden, other = contact(1), contact(2)
    for number, each in enumerate((hidden, other)):
        hubspot.edit(each)
        hubspot.happen(activity(number, each))
    run_cycle(work(state, hubspot))
    hubspot.records.pop(hidden.ref)
    del hubspot.happened["form_submitted:0", hidden.ref]
    unseen = replace(hidden, gone=True, erased=True, unseen=True)
    read, pages = hubspot.read, hubspot.activities
    hubspot.read = lambda refs: [unseen if each.ref == hidden.ref else each for each in read(refs)]

    def cut(_cursor):
        raise Cancelled("stopped")
        yield

    hubspot.activities = cut
    for minute in (1, 2):
        with pytest.raises(Cancelled):
            run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=minute)), "backfill", full=True)
    hubspot.activities = lambda cursor: [*pages(cursor), Page((), cursor or "9", whole=frozenset({""}))]
    run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=3)), "backfill", full=True)
    assert ids(state) == ["form_submitted:0", "form_submitted:1"]
    streams = sorted(row["stream"].partition(":")[0] for row in rows(state, schema.cursor))
    assert streams == ["activities", "contacts", "mapping", "pulled"]


def test_S08_points_for_what_was_purged_go_with_a_backfill(state):
    hubspot, one = crm(), contact(1)
    hubspot.edit(one)
    hubspot.happen(activity(1, one))
    run_cycle(work(state, hubspot))
    assert hubspot.records[one.ref].current["score"] == 30
    hubspot.happened.clear()
    run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=1)), "backfill", full=True)
    assert hubspot.records[one.ref].current["score"] == 0


def test_a_run_says_which_activities_it_kept_although_none_came(state):
    hubspot = crm_that_lost_30_activities(state)
    result = run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=1)), "backfill", full=True)
    assert any("30 of the 30 activities were missing" in each for each in result.problems)
    assert hubspot.records[Ref("hubspot", "contact", "1")].current["score"] == 30 * 30


def test_W24_many_records_that_did_not_come_are_kept_until_somebody_says_that_they_are_gone(state):
    hubspot = crm()
    for number in range(100):
        hubspot.edit(contact(number))
    run_cycle(work(state, hubspot))
    shown = dict(hubspot.records)

    def hide(many):
        hubspot.records.clear()
        hubspot.records.update(list(shown.items())[many:])

    def pulled_whole(minutes, **how):
        return run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=minutes)), "backfill", full=True, **how)

    hide(21)
    assert [each for each in pulled_whole(1).problems if "21 of the 100 contacts were missing" in each]
    assert not [each for each in rows(state, schema.record) if each["gone"] or each["emails"] == "[]"]
    hide(0)
    assert not pulled_whole(2).problems
    hide(20)
    assert not pulled_whole(3).problems
    assert sum(each["gone"] for each in rows(state, schema.record)) == 20
    hide(60)
    assert not pulled_whole(4, approved=True).problems
    assert sum(each["gone"] for each in rows(state, schema.record)) == 60


def test_an_activity_that_came_as_deleted_did_not_come(state):
    one = contact(1)
    stored(state, activity(1, one), activity(2, one))
    pulled_again(state, replace(activity(1, one), gone=True), activity(2, one))
    assert ids(state) == ["form_submitted:2"]


def test_a_sync_takes_no_part_in_a_backfill_that_was_cut_off_before(state):
    """It read nothing new, which is no empty answer, looks for nobody by id, and leaves the search to the backfill."""
    hubspot = crm()
    for number in (1, 2, 3):
        hubspot.edit(contact(number))
    for minute in range(2):
        run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=minute)))
    pages, read, asked = hubspot.contacts, hubspot.read, []

    def cut_off(_cursor):
        raise Cancelled("stopped")
        yield

    hubspot.contacts = cut_off
    with pytest.raises(Cancelled):
        run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=2)), "backfill", full=True)
    hubspot.contacts, hubspot.read = pages, lambda refs: asked.extend(refs) or read(refs)
    assert run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=3))).verdict == "ok"
    assert asked == []
    hubspot.records.pop(Ref("hubspot", "contact", "3"))
    run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=4)), "backfill", full=True)
    assert [row["ref_id"] for row in rows(state, schema.record) if row["gone"]] == ["3"]


def test_what_a_sync_read_while_a_backfill_was_cut_off_is_not_missing(state):
    """The sync reads the echo of all that was written; what the backfill had read before came all the same."""
    hubspot = crm()
    for number in (1, 2, 3):
        hubspot.edit(contact(number))
    run_cycle(work(state, hubspot))
    everything, asked, read = list(hubspot.contacts(None)), [], hubspot.read

    def cut_off(_cursor):
        yield from everything
        raise Cancelled("stopped")

    pages, hubspot.contacts = hubspot.contacts, cut_off
    with pytest.raises(Cancelled):
        run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=1)), "backfill", full=True)
    hubspot.contacts, hubspot.read = pages, lambda refs: asked.extend(refs) or read(refs)
    run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=2)))
    assert run_cycle(work(state, hubspot, now=NOW + timedelta(minutes=3)), "backfill", full=True).verdict == "ok"
    assert asked == []
