"""The state: pages with their cursors, repeats that change nothing, histories that stay, one writer."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from sqlalchemy import func, make_url, select

from crmsync.errors import Cancelled, ConfigError, StateError
from crmsync.identity.duplicates import once_per_person
from crmsync.identity.matching import match_people
from crmsync.model import Change, Counter, Ref
from crmsync.store import address, journal, schema, score_inputs
from crmsync.store.activities import save_activities
from crmsync.store.address import shown_address
from crmsync.store.contacts import TOUCHES, save_contacts
from crmsync.store.cursors import StoredNotes, read_cursor, write_cursor
from crmsync.store.database import HEAD, bind_account, open_store, quick_check
from crmsync.store.feed_days import read_feed_days
from crmsync.store.people import refresh_people
from crmsync.store.records import ids_by_ref
from crmsync.store.scores import clear_dirty, pulled_counts
from crmsync.store.sql import dump_json
from tests.support.make import NOW, activity, contact
from tests.support.state import rows, save

CANARY = "canary-3f9d1c7e55"


def happen(state, *activities):
    with state.begin() as tx:
        save_activities(tx, activities)


def settle(state, most=5):
    with state.begin() as tx:
        refresh_people(tx, partial(match_people, shared_address_limit=most, shared_mailboxes=("info",)))
        clear_dirty(tx, ["hubspot", "salesforce"], {})


def dirty(state):
    return sorted(row["ref_id"] for row in rows(state, schema.record) if row["dirty"])


def columns_of(state, fields=()):
    with state.begin() as tx:
        live = select(schema.record.c.person).where(schema.LIVE).distinct().order_by(schema.record.c.person)
        people = list(tx.scalars(live))
        return score_inputs.read_columns(tx, people, list(fields), ["salesforce", "hubspot"], keep=True)


def test_a_record_that_comes_again_unchanged_is_an_echo(state):
    save(state, contact(1))
    settle(state)
    save(state, replace(contact(1), changed_at=NOW), run="r2")
    assert dirty(state) == []
    assert rows(state, schema.record)[0]["seen_run"] == "r2"


def test_a_record_that_changed_is_dirty_and_its_old_value_stays(state):
    save(state, contact(1, fields={"title": "Clerk", "employees": 10}))
    settle(state)
    save(state, contact(1, fields={"title": "VP"}))
    assert dirty(state) == ["1"]
    assert {(row["field"], row["value"]) for row in rows(state, schema.past_field)} == {
        ("title", '"Clerk"'),
        ("employees", "10"),
    }


def test_a_page_and_its_cursor_are_stored_together_or_not_at_all(state):
    def failing():
        with state.begin() as tx:
            save_contacts(tx, "r1", [contact(1)], NOW)
            write_cursor(tx, "hubspot", "contacts", "7")
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        failing()
    assert rows(state, schema.record) == []
    with state.read() as reading:
        assert read_cursor(reading, "hubspot", "contacts") is None


def test_an_activity_that_comes_again_changes_nothing(state):
    one = contact(1)
    save(state, one)
    happen(state, activity(1, one))
    settle(state)
    happen(state, activity(1, one), activity(1, one))
    assert dirty(state) == []
    assert len(rows(state, schema.activity)) == 1


def test_an_activity_that_moved_to_somebody_else_is_theirs_alone(state):
    one, other = contact(1), contact(2)
    save(state, one, other)
    happen(state, activity(1, one))
    settle(state)
    happen(state, activity(1, other))
    assert dirty(state) == ["1", "2"]
    assert len(rows(state, schema.activity)) == 1


def test_an_activity_the_crm_deleted_is_gone(state):
    one = contact(1)
    save(state, one)
    happen(state, activity(1, one))
    settle(state)
    happen(state, replace(activity(1, one), gone=True))
    assert rows(state, schema.activity) == []
    assert dirty(state) == ["1"]


def test_an_activity_before_its_contact_waits_for_it(state):
    late = contact(1)
    happen(state, activity(1, late))
    settle(state)
    assert len(columns_of(state).people) == 0
    save(state, late)
    settle(state)
    assert len(columns_of(state).at) == 1


def test_an_instant_out_of_this_world_is_left_out(state):
    one = contact(1)
    save(state, one)
    happen(state, activity(1, one, days_ago=365 * 60), activity(2, one))
    assert len(rows(state, schema.activity)) == 1


def test_the_last_instant_that_can_be_kept_comes_back_as_it_went(state):
    one, last = contact(1), datetime.fromtimestamp(2**32 - 1, UTC)
    save(state, one)
    happen(state, replace(activity(1, one), at=last), activity(2, one, kind="page_viewed"), activity(3, one))
    settle(state)
    found = columns_of(state)
    assert found.at.tolist() == [*[int((NOW - timedelta(days=1)).timestamp())] * 2, 2**32 - 1]
    assert sorted(found.facts[each].kind for each in found.fact[:2]) == ["form_submitted", "page_viewed"]
    assert found.facts[found.fact[2]].kind == "form_submitted"


def test_S0_19_an_event_in_both_crms_counts_once(state):
    one = contact(1, emails=("a@x.example",))
    other = contact(2, crm="salesforce", kind="lead", emails=("a@x.example",))
    save(state, one, other)
    happen(state, activity(1, one), activity(2, one, days_ago=5), activity(9, other))
    settle(state)
    found = columns_of(state)
    assert len(found.people) == 1
    assert len(found.at) == 2


def test_the_record_first_in_precedence_decides_a_field_and_the_other_fills_the_gaps(state):
    mail = ("a@x.example",)
    save(
        state,
        contact(1, emails=mail, fields={"title": "VP", "employees": 5}),
        contact(2, crm="salesforce", kind="lead", emails=mail, fields={"title": "Clerk"}),
    )
    settle(state)
    found = columns_of(state, ["title", "employees", "industry"])
    assert found.fields == {
        "title": ["Clerk"],
        "employees": [5],
        "industry": [None],
        "stage": [None],
        "email": ["a@x.example"],
    }


def test_a_rule_may_read_the_stage_of_the_record_first_in_precedence(state):
    mail = ("a@x.example",)
    save(
        state, contact(1, emails=mail, stage="lead"), contact(2, crm="salesforce", emails=mail, stage="mql"), contact(3)
    )
    settle(state)
    assert columns_of(state, ["stage"]).fields["stage"] == ["mql", None]


def test_a_counter_becomes_activities_as_it_grows(state):
    opened = contact(1, counters={"email_opened": Counter(12, NOW - timedelta(days=3))})
    save(state, opened)
    assert len(rows(state, schema.activity)) == 1  # when the other eleven happened nobody knows
    grown = replace(opened, counters={"email_opened": Counter(14, NOW)})
    save(state, grown)
    save(state, grown)
    assert len(rows(state, schema.activity)) == 3


def test_what_a_feed_tells_takes_the_place_of_what_was_counted(state):
    counters = {kind: Counter(9, NOW) for kind in ("page_viewed", "email_opened")}
    one, other = contact(1, counters=counters), contact(2, counters=counters)
    save(state, one, other)
    save(state, replace(one, counters={kind: Counter(11, NOW) for kind in counters}))
    assert len(rows(state, schema.activity)) == 8
    settle(state)
    happen(state, activity("e1", one, "page_viewed"), activity("e2", one, "form_submitted"))
    counted = [each["id"].split(":")[1:3] for each in rows(state, schema.activity) if each["id"].startswith("counter")]
    assert sorted(counted) == [["1", "email_opened"]] * 3 + [["2", "email_opened"], ["2", "page_viewed"]]
    assert dirty(state) == ["1"]
    assert len(columns_of(state).at) == 7
    with state.read() as reading:
        by_kind = {kind: sum(days.values()) for (_crm, kind), days in read_feed_days(reading).items()}
    assert by_kind == {"email_opened": 4, "page_viewed": 2, "form_submitted": 1}


def test_an_activity_that_is_edited_counts_once_on_its_day(state):
    one = contact(1)
    save(state, one)
    happen(state, activity("e1", one, "meeting_held", subject="Demo"))
    happen(state, activity("e1", one, "meeting_held", subject="The demo"))
    with state.read() as reading:
        assert [sum(days.values()) for days in read_feed_days(reading).values()] == [1]


def test_an_activity_that_becomes_another_kind_counts_as_that_one(state):
    one = contact(1)
    save(state, one)
    booked = activity("e1", one, "meeting_booked")
    happen(state, booked)
    happen(state, replace(booked, kind="meeting_held"))
    with state.read() as reading:
        found = {kind: sum(days.values()) for (_crm, kind), days in read_feed_days(reading).items()}
    assert found == {"meeting_booked": 1, "meeting_held": 1}


def test_a_merge_leaves_one_person_with_both_histories(state):
    old, other = contact(1, emails=("a@x.example",)), contact(2, emails=("b@x.example",))
    save(state, old, other)
    happen(state, activity(1, old), activity(2, other, days_ago=9))
    settle(state)
    save(state, contact(3, emails=("a@x.example",), aliases=("1", "2")), run="r2")
    settle(state)
    found = columns_of(state)
    assert len(found.people) == 1
    assert len(found.at) == 2
    with state.read() as reading:
        assert pulled_counts(reading, "r2") == {"hubspot": {"unchanged": 1}}
        ids = ids_by_ref(reading, [Ref("hubspot", "contact", "1"), Ref("hubspot", "contact", "3")])
    assert len(set(ids.values())) == 1


def test_people_that_part_are_two_again(state):
    one, other = contact(1, emails=("a@x.example",)), contact(2, emails=("a@x.example",))
    save(state, one, other)
    settle(state)
    assert len(columns_of(state).people) == 1
    save(state, replace(other, emails=("b@x.example",)))
    settle(state)
    assert len(columns_of(state).people) == 2


def test_notes_are_durable_and_a_mapping(state):
    notes = StoredNotes(state, "salesforce")
    notes["job"] = "750"
    notes["job"] = "751"
    assert dict(StoredNotes(state, "salesforce")) == {"job": "751"}
    assert len(StoredNotes(state, "hubspot")) == 0
    del notes["job"]
    assert "job" not in notes


def test_a_state_belongs_to_one_account(state):
    bind_account(state, "hubspot", "111")
    bind_account(state, "hubspot", "111")
    with pytest.raises(ConfigError, match="belongs to hubspot account 111, but the credentials are for account 222"):
        bind_account(state, "hubspot", "222")


def test_one_writer_at_a_time_and_the_other_is_told_who(state):
    other = open_store(state.engine.url.render_as_string(hide_password=False))
    with state.writer("crmsync run"), pytest.raises(StateError, match="in use by"), other.writer("crmsync sync"):
        pass
    with other.writer("crmsync sync"):
        pass
    other.close()


def test_a_standby_leaves_when_it_is_asked_to(state):
    other, stop = open_store(state.engine.url.render_as_string(hide_password=False)), threading.Event()
    holders = []

    def stand_by(holder):
        holders.append(holder)
        stop.set()

    with (
        state.writer("crmsync run"),
        pytest.raises(Cancelled),
        other.writer("crmsync run", stop, stand_by),
    ):
        pass
    (holder,) = holders
    assert holder == "another process" or holder.startswith("crmsync run (process ")
    other.close()


def test_the_schema_is_what_the_migrations_make(state):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with state.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, schema.metadata) == []


def test_a_state_of_a_newer_version_is_refused(state):
    with state.begin() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StateError, match="newer crmsync"):
        open_store(state.engine.url.render_as_string(hide_password=False))


def test_a_damaged_file_is_refused_and_kept(tmp_path):
    path = tmp_path / "state.db"
    path.write_bytes(b"this is not a database, it is a letter" * 100)
    with pytest.raises(StateError, match="is damaged"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"this is not")


def test_a_torn_page_is_found(tmp_path):
    made = open_store(f"sqlite:///{tmp_path}/state.db")
    save(made, *(contact(number, name="x" * 500) for number in range(300)))
    made.close()
    path = tmp_path / "state.db"
    body = bytearray(path.read_bytes())
    # Behind the pages of the tables themselves, which are read when the state is opened.
    start = len(body) * 3 // 4
    body[start : start + 4096] = b"\xff" * 4096
    path.write_bytes(body)
    torn = open_store(f"sqlite:///{path}")
    with pytest.raises(StateError, match="is damaged"):
        quick_check(torn, NOW)
    torn.close()


def test_sqlite_on_a_network_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(address, "_filesystem", lambda _folder: "nfs4")
    with pytest.raises(ConfigError, match="network file system"):
        open_store(f"sqlite:///{tmp_path}/state.db")


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite:////no/such/folder/state.db"])
def test_an_address_that_cannot_be_used_gets_a_sentence(url):
    with pytest.raises(ConfigError, match=r"\[state\] url"):
        open_store(url)


def test_a_reader_does_not_stand_in_the_writers_way(state):
    save(state, contact(1))
    with state.read() as reading:
        assert reading.scalar(select(func.count()).select_from(schema.record)) == 1
        save(state, contact(2))
        assert reading.scalar(select(func.count()).select_from(schema.record)) == 1 or state.engine.name != "sqlite"


def test_events_seen_by_several_records_count_as_often_as_in_the_one_with_most():
    person = np.array([0, 0, 0, 0, 0, 1], dtype=np.int32)
    record = np.array([0, 0, 1, 1, 1, 2], dtype=np.int32)
    at = np.array([5, 5, 5, 5, 5, 5], dtype=np.int64)
    kind = np.array([1, 1, 1, 1, 2, 1], dtype=np.int32)
    assert once_per_person(person, record, at, kind).tolist() == [True, True, False, False, True, True]


def ambiguous(state):
    return sorted(row["ref_id"] for row in rows(state, schema.record) if row["ambiguous"])


def edited(state):
    return sorted(row["ref_id"] for row in rows(state, schema.record) if row["edited"])


TWIN = contact("00Qb", "salesforce", "lead", emails=("info@x.example",))


@pytest.mark.parametrize(
    "how",
    [
        {"gone": True},
        {"emails": ("bea@x.example",)},
        {"emails": ("info@y.example",)},
        {"gone": True, "merged_into": Ref("salesforce", "lead", "00Qa")},
        {"converted_into": Ref("salesforce", "contact", "003a")},
    ],
    ids=["deleted", "corrected", "moved", "merged", "converted"],
)
def test_W28_who_was_ambiguous_is_somebody_again_when_the_twin_is_not_there_any_more(state, how):
    save(state, contact("00Qa", "salesforce", "lead", emails=("info@x.example",)), TWIN)
    settle(state)
    assert ambiguous(state) == ["00Qa", "00Qb"]
    save(state, replace(TWIN, **how))
    settle(state)
    assert ambiguous(state) == []
    assert len(columns_of(state).people) == (2 if how.keys() == {"emails"} else 1)


def test_W28_a_twin_that_a_write_met_as_gone_makes_nobody_ambiguous(state):
    save(state, contact("00Qa", "salesforce", "lead", emails=("info@x.example",)), TWIN)
    settle(state)
    with state.begin() as tx:
        journal.mark_gone(tx, [row["id"] for row in rows(state, schema.record) if row["ref_id"] == "00Qb"])
    settle(state)
    assert ambiguous(state) == []


def test_W28_two_who_share_what_was_ambiguous_are_one_when_the_third_leaves(state):
    shared = "info@x.example"
    third = contact(3, emails=(shared, "third@x.example"))
    save(state, contact(1, emails=(shared, "one@x.example")), third)
    save(state, contact(2, "salesforce", "lead", emails=(shared, "two@x.example")))
    settle(state)
    assert len(columns_of(state).people) == 3
    save(state, replace(third, emails=("third@x.example",)))
    settle(state)
    assert len(columns_of(state).people) == 2


def test_R17_a_merge_into_a_shared_mailbox_leaves_the_linked_lead_with_its_person(state):
    lead = contact("00Q1", "salesforce", "lead", emails=("info@x.example",))
    save(state, contact(1, emails=("a@x.example",)), contact(2, emails=("info@x.example",)), lead)
    settle(state)
    save(state, contact(3, emails=("info@x.example",), aliases=("1", "2"), links=(lead.ref,)), run="r2")
    settle(state)
    assert ambiguous(state) == []
    assert len(columns_of(state).people) == 1


def test_other_settings_of_identity_reach_everybody_whom_they_concern(state):
    mail = ("a@x.example",)
    save(state, contact(1, emails=mail), contact(2, emails=mail), contact(3), contact(3, "salesforce", "lead"))
    settle(state)
    assert (ambiguous(state), dirty(state)) == ([], [])
    settle(state, most=1)
    assert ambiguous(state) == ["1", "2"]
    with state.begin() as tx:
        refresh_people(tx, partial(match_people, shared_address_limit=5, shared_mailboxes=()))
    assert ambiguous(state) == []
    assert dirty(state) == ["1", "2"]


def clicks(count, **ago):
    return {"email_clicked": Counter(count, NOW - timedelta(**ago))}


def test_S01_a_merge_counts_nothing_again_whatever_the_crm_makes_of_the_counters(state):
    one, other = contact(1, counters=clicks(5, days=2)), contact(2, counters=clicks(3, days=4))
    save(state, one, other)
    assert len(rows(state, schema.activity)) == 2
    merged = contact(3, aliases=("1", "2"), counters=clicks(5, days=2))  # as the primary record had it
    save(state, merged)
    save(state, replace(merged, counters=clicks(8, days=2)))  # and later their sum
    save(state, replace(merged, counters=clicks(5, days=2)))
    assert len(rows(state, schema.activity)) == 2
    assert {row["record"] for row in rows(state, schema.counter)} == {3}
    save(state, replace(merged, counters=clicks(6, days=1)))
    save(state, replace(merged, counters=clicks(6, days=1)))
    assert len(rows(state, schema.activity)) == 3


@pytest.mark.parametrize(("count", "gained"), [(8, 0), (9, 1), (6, 1)])
def test_S01_a_click_between_the_last_pull_and_the_merge_counts_once(state, count, gained):
    save(state, contact(1, counters=clicks(5, days=2)), contact(2, counters=clicks(3, days=4)))
    save(state, contact(1, aliases=("2",), counters=clicks(count, days=2 - gained)))
    assert len(rows(state, schema.activity)) == 2 + gained


def test_S01_counters_without_a_date_that_are_summed_count_nothing_again(state):
    undated = {"email_clicked": Counter(3)}
    save(state, contact(1, counters=undated), contact(2, counters=undated))
    merged = contact(3, aliases=("1", "2"), counters={"email_clicked": Counter(6)})
    save(state, merged)
    assert len(rows(state, schema.activity)) == 2
    save(state, replace(merged, counters={"email_clicked": Counter(7)}))
    assert len(rows(state, schema.activity)) == 3


def test_R17_a_field_that_is_cleared_on_the_survivor_is_not_known(state):
    old = contact(1, emails=("a@x.example",))
    other = contact(2, emails=("b@x.example",), fields={"title": "VP"}, stage="mql")
    save(state, old, other)
    happen(state, activity(1, other))
    settle(state)
    save(state, contact(3, emails=(), aliases=("1", "2")), run="r2")
    settle(state)
    found = columns_of(state, ["title"])
    assert found.fields == {"title": [None], "stage": [None], "email": [None]}
    assert len(found.at) == 1


def test_R33_a_field_that_the_crm_shows_no_more_stays_as_it_was_until_the_record_goes(state):
    save(state, contact(1, fields={"title": "VP", "employees": 5}))
    hidden = contact(1, fields={"employees": 6}, unread=frozenset({"title", "city"}))
    save(state, hidden)
    assert [row["fields"] for row in rows(state, schema.record)] == ['{"employees":6,"title":"VP"}']
    save(state, replace(hidden, gone=True, merged_into=Ref("hubspot", "contact", "2")))
    assert [row["fields"] for row in rows(state, schema.record)] == ["{}"]


def test_a_converted_lead_gives_its_history_and_not_its_fields(state):
    lead = contact("00Q1", "salesforce", "lead", fields={"title": "VP"}, stage="Working")
    save(state, replace(lead, converted_into=Ref("salesforce", "contact", "0031")))
    save(state, contact("0031", "salesforce", "contact", emails=(), fields={"employees": 5}))
    happen(state, activity(1, lead))
    settle(state)
    found = columns_of(state, ["title", "employees"])
    assert found.fields == {"title": [None], "employees": [5], "stage": [None], "email": [None]}
    assert len(found.at) == 1


def test_S04_the_newest_record_counts_however_late_another_was_touched(state):
    mail = ("a@x.example",)
    nine, ten, lead = (
        contact(number, "hubspot", kind, emails=mail, fields={"title": str(number)}, stage=str(number))
        for number, kind in ((9, "contact"), (10, "contact"), (999, "lead"))
    )
    save(state, ten, lead, replace(nine, changed_at=NOW))
    settle(state)
    assert columns_of(state, ["title"]).fields == {"title": ["10"], "stage": ["10"], "email": ["a@x.example"]}
    save(state, replace(ten, changed_at=NOW - timedelta(days=900), fields={}, stage=None))
    settle(state)
    assert columns_of(state, ["title"]).fields["title"] == ["9"]


NASTY = "a\0b\ud800c\ud83d\ude00"
NEAT = "ab\ufffdc\U0001f600"


def test_R25_text_that_no_database_takes_is_cleaned_where_it_enters(state):
    one = contact(
        NASTY, name=NASTY, emails=(f"{NASTY}@x.example",), fields={"title": NASTY, NASTY: (NASTY,)}, stage=NASTY,
        owner=NASTY, group=NASTY, current={"reason": NASTY}, aliases=(NASTY,), unread=frozenset({NASTY}),
        links=(Ref("salesforce", "lead", NASTY),), counters={NASTY: Counter(1, NOW, {NASTY: NASTY})},
    )  # fmt: skip
    save(state, one, contact(2, name="fine"))
    happen(state, activity(NASTY, one, **{NASTY: NASTY}), activity(7, contact(2)))
    settle(state)
    (row,) = [each for each in rows(state, schema.record) if each["ref_id"] == NEAT]
    assert (row["name"], row["stage"], row["owner"], row["crm_group"]) == (NEAT,) * 4
    columns = columns_of(state, ["title"])
    assert columns.fields["title"] == [NEAT, None]
    assert {each.kind for each in columns.facts} == {NEAT, "form_submitted"}
    save(state, one)
    assert dirty(state) == []


def test_a_record_is_edited_when_somebody_changed_what_a_score_rests_on(state):
    one = contact(1, fields={"title": "VP"}, stage="lead")
    save(state, one)
    assert edited(state) == ["1"]  # a new record of somebody known may move their score anywhere
    settle(state)
    happen(state, activity(1, one))
    assert edited(state) == []
    save(state, replace(one, current={"score": 5}, stage="mql", owner="ann", name="Ann"))
    assert edited(state) == []
    save(state, replace(one, fields={"title": "Clerk"}))
    assert edited(state) == ["1"]
    save(state, replace(one, fields={"title": "Clerk"}, name="Bea"))
    assert edited(state) == ["1"]
    settle(state)
    assert edited(state) == []
    save(state, replace(one, fields={"title": "Clerk"}, emails=()))
    assert edited(state) == ["1"]


def test_a_record_is_edited_when_an_activity_is_taken_away(state):
    one, other = contact(1), contact(2)
    save(state, one, other)
    happen(state, activity(1, one), activity(2, other))
    settle(state)
    happen(state, replace(activity(1, one), gone=True), activity(3, other))
    assert edited(state) == ["1"]


def park(state, **of):
    with state.begin() as tx:
        refused = {"after": {"score": 5}, "reason": "Budget is required", "at": 0, **of}
        tx.execute(schema.record.update().values(on_hold=dump_json(refused), dirty=False))


def touched(state, minutes):
    save(state, replace(contact(1), changed_at=NOW + timedelta(minutes=minutes)), run=f"r{minutes}")
    (row,) = rows(state, schema.record)
    return not row["on_hold"] and row["dirty"]


def test_W08_a_record_that_was_refused_whole_is_tried_again_as_soon_as_it_is_touched(state):
    save(state, contact(1))
    touched(state, 1)
    park(state, whole=True)
    assert not touched(state, 1)  # it came again because pulls overlap
    assert touched(state, 2)
    park(state, whole=True)
    assert touched(state, 3)


def test_W08_the_echo_of_a_write_that_was_taken_in_part_is_no_reason_to_try_again(state):
    save(state, contact(1))
    park(state, whole=False)
    assert not touched(state, 1)
    assert not touched(state, 1)
    assert touched(state, 2)


def test_W08_what_is_touched_after_each_write_is_not_written_for_ever(state):
    save(state, contact(1))
    tries = 0
    for number in range(20):
        park(state, whole=False)
        tries += touched(state, 2 * number + 1) + touched(state, 2 * number + 2)
    assert tries == TOUCHES


def test_C10_nothing_that_was_written_to_a_deleted_record_is_kept(state):
    save(state, contact(1, name="Ada", fields={"title": "secret"}, current={"reason": "secret"}))
    secrets = dict.fromkeys(("last_written", "overrides", "on_hold"), '{"reason":"secret"}')
    with state.begin() as tx:
        tx.execute(schema.record.update().values(secrets))
        change = Change(contact(1).ref, {"reason": "secret"}, {"reason": "secret"}, "secret")
        for number in (1, 2):
            journal.add_changes(tx, f"r{number}", [(1, change)], 0)
        tx.execute(schema.change.update().where(schema.change.c.run == "r1").values(state="updated"))
    save(state, contact(1, name="Ada", gone=True, fields={"title": "secret"}, current={"reason": "secret"}), run="r3")
    settle(state)
    for table in schema.metadata.sorted_tables:
        assert "secret" not in str(rows(state, table))
        assert "Ada" not in str(rows(state, table))
    assert [row["state"] for row in rows(state, schema.change)] == ["updated", "edited"]
    save(state, contact(1, name="Ada", gone=True, fields={"title": "secret"}), run="r4")
    assert dirty(state) == []


@pytest.mark.parametrize("how", ["by the survivor", "by the loser"])
def test_C10_nothing_of_somebody_stays_with_a_record_that_was_merged_away(state, how):
    ada = contact(1, emails=("ada@x.example",), name="Ada", fields={"title": "secret"})
    survivor = contact(2, aliases=("1",) if how == "by the survivor" else ())
    save(state, ada, replace(survivor, aliases=()))
    if how == "by the loser":
        save(state, replace(ada, gone=True, merged_into=survivor.ref))
    save(state, survivor)
    settle(state)
    assert len(columns_of(state).people) == 1
    save(state, replace(survivor, gone=True))
    for table in (schema.record, schema.identity):
        assert not any(each in str(rows(state, table)) for each in ("ada@x.example", "Ada", "secret"))


@pytest.mark.parametrize("name", ["password", "passfile", "sslpassword"])
def test_C04_a_password_in_the_address_of_a_state_is_shown_nowhere(name):
    url = f"postgresql://someone:{CANARY}@127.0.0.1:1/state?host=127.0.0.1&{name}={CANARY}&connect_timeout=1"
    assert "someone" in shown_address(make_url(url))
    for wrong in (url, url.replace("://", ":/"), url.replace("postgresql:", "oracle:"), url.replace(":1/", ":x/")):
        with pytest.raises((ConfigError, StateError)) as told:
            open_store(wrong)
        assert CANARY not in str(told.value)
    assert CANARY not in shown_address(make_url(url))
