"""What the journal of changes remembers of a record: what is ours, what is on hold, what a user decided."""

import orjson
import pytest

from crmsync.model import Change
from crmsync.store import journal, schema
from crmsync.store.edits import MOVED, OURS
from crmsync.store.journal import JournalRow
from tests.support.make import contact
from tests.support.state import act, records, rows, save

ADA = contact(1).ref
DAY = 86_400_000


@pytest.fixture
def ada(state):
    """The row id of a record that the CRM holds as a lead of Ann's."""
    save(state, contact(1, stage="lead", owner="ann", current={"score": 1, "band": "cold"}))
    with state.begin() as tx:
        tx.execute(schema.record.update().values(dirty=False))
    return rows(state, schema.record)[0]["id"]


def change(row_id, **after):
    return JournalRow(0, row_id, Change(ADA, dict.fromkeys(after), after))


def stored(state):
    """The record, with what is JSON in it as values."""
    (row,) = rows(state, schema.record)
    texts = ("current", "last_written", "overrides", "on_hold")
    return row | {name: orjson.loads(row[name] or "{}") for name in texts}


def rows_of(tx, run_id):
    return [row.id for _state, _reason, row in journal.rows_of(tx, run_id)]


def past(state):
    return sorted((row["field"], orjson.loads(row["value"]), row["until"]) for row in rows(state, schema.past_field))


def test_what_a_crm_took_is_what_the_record_holds_and_what_it_held_is_past(state, ada):
    act(state, journal.record_written, [change(ada, stage="mql", owner="ann", score=7, band="mql", fit=None)], 5)
    row = stored(state)
    assert (row["stage"], row["owner"], row["band"], row["current"]) == (
        "mql",
        "ann",
        "mql",
        {"band": "mql", "score": 7},
    )
    assert row["last_written"] == {"stage": "mql", "owner": "ann", "score": 7, "band": "mql"}
    assert not row["dirty"]
    assert past(state) == [(f"{MOVED}stage", "lead", 5)]


def test_what_several_records_held_before_the_crm_took_ours_is_past_of_each(state, ada):
    save(state, contact(2, stage="lead", owner="eve"))
    act(state, journal.record_written, [change(row_id, stage="mql", owner="bob") for row_id in (ada, ada + 1)], 5)
    assert [(row["stage"], row["owner"]) for row in records(state)] == [("mql", "bob")] * 2
    told = [(row["record"], row["field"], row["value"]) for row in rows(state, schema.past_field)]
    assert sorted(told) == [
        (ada, f"{MOVED}owner", '"ann"'), (ada, f"{MOVED}stage", '"lead"'),
        (ada + 1, f"{MOVED}owner", '"eve"'), (ada + 1, f"{MOVED}stage", '"lead"'),
    ]  # fmt: skip


def test_only_what_is_written_the_same_again_counts_as_one_more_attempt(state, ada):
    tried = []
    for score in (7, 7, 7, 8):
        act(state, journal.record_written, [change(ada, score=score)], 5)
        tried.append(stored(state)["attempts"])
    assert tried == [0, 1, 2, 0]


def test_what_was_refused_whole_is_planned_for_again_as_soon_as_the_crm_takes_anything(state, ada):
    act(state, journal.park_change, change(ada, score=7, fit=3), "Budget is required", 5, whole=True)
    assert stored(state)["on_hold"] == {
        "after": {"score": 7, "fit": 3}, "reason": "Budget is required", "at": 5, "whole": True,
    }  # fmt: skip
    act(state, journal.record_written, [change(ada, score=8)], 6)
    assert (stored(state)["on_hold"], stored(state)["dirty"]) == ({}, True)


def test_of_what_was_refused_in_part_that_stays_on_hold_which_the_crm_did_not_take_since(state, ada):
    act(state, journal.park_change, change(ada, stage="mql", fit=3), "not this", 5, whole=False)
    act(state, journal.record_written, [change(ada, score=8, fit=4)], 6)
    row = stored(state)
    assert (row["on_hold"]["after"], row["on_hold"]["at"], row["dirty"]) == ({"stage": "mql"}, 5, False)
    act(state, journal.record_written, [change(ada, stage="mql")], 7)
    assert stored(state)["on_hold"] == {}


def test_refusals_of_parts_add_up_and_the_patience_with_the_first_one_goes_on(state, ada):
    act(state, journal.park_change, change(ada, stage="mql", fit=3), "not this", 5, whole=False)
    act(state, journal.park_change, change(ada, owner="bob"), "nor that", 6, whole=False)
    act(state, journal.park_change, change(ada, fit=4), "not this", 7, whole=False)
    on_hold = stored(state)["on_hold"]
    assert on_hold["after"] == {"stage": "mql", "owner": "bob", "fit": 4}
    assert (on_hold["at"], on_hold["whole"]) == (5, False)
    assert on_hold["reason"].split("; ").count("nor that") == 1
    act(state, journal.park_change, change(ada, score=9), "locked", 8, whole=True)
    assert stored(state)["on_hold"] == {"after": {"score": 9}, "reason": "locked", "at": 8, "whole": True}


@pytest.mark.parametrize(
    ("before", "after", "tried_again"),
    [(99, None, False), (100, None, True), (0, 100, False), (0, 99, True)],
)
def test_what_is_on_hold_is_tried_again_by_its_date(state, ada, before, after, tried_again):
    act(state, journal.park_change, change(ada, score=9), "locked", 100, whole=True)
    act(state, journal.retry_later, [ada])
    act(state, journal.unpark_changes, before, after)
    row = stored(state)
    assert (row["on_hold"] == {}, row["attempts"] == 0) == (tried_again, tried_again)


def test_patience_with_a_refusal_ends_after_a_day(state, ada):
    act(state, journal.park_changes, [(ada, change(ada, score=9).change)], "locked", 100)
    act(state, journal.wake_up, DAY + 99, {})
    assert (stored(state)["on_hold"]["reason"], stored(state)["dirty"]) == ("locked", False)
    act(state, journal.wake_up, DAY + 100, {})
    assert (stored(state)["on_hold"], stored(state)["dirty"]) == ({}, True)


def test_what_is_on_hold_waits_while_all_of_it_is_read_only_and_no_longer(state, ada):
    act(state, journal.park_changes, [(ada, change(ada, score=9, stage="mql").change)], "locked", 100)
    act(state, journal.wake_up, 2 * DAY, {("hubspot", "contact"): {"score", "stage"}})
    assert (stored(state)["on_hold"]["at"], stored(state)["dirty"]) == (100, False)
    act(state, journal.wake_up, 200, {("salesforce", "contact"): {"score"}})
    assert (stored(state)["on_hold"], stored(state)["dirty"]) == ({}, True)


def test_what_a_user_set_where_ours_was_is_a_manual_override_from_then_on(state, ada):
    act(state, journal.record_written, [change(ada, stage="mql", score=7)], 5)
    act(state, journal.respect_override, ada, {"stage": "sql"}, 9)
    row = stored(state)
    assert (row["stage"], row["owner"], row["dirty"]) == ("sql", "ann", True)
    assert row["last_written"] == {"score": 7}
    assert row["overrides"] == {"stage": {"value": "sql", "since": 9}}
    assert (f"{OURS}stage", "mql", 9) in past(state)


def test_a_run_of_many_is_counted_by_crm_state_and_kind(state, ada):
    changes = [(ada, Change(ADA, {"score": 1}, {"score": number})) for number in (2, 3)]
    act(state, journal.add_changes, "r1", changes, 5)
    first, second = [row["id"] for row in rows(state, schema.change)]
    act(state, journal.mark_changes, [first], journal.UPDATED, 6)
    assert act(state, journal.state_counts, "r1") == {"hubspot": {"updated": 1, "planned": 1}}
    assert act(state, journal.count_kinds, "r1") == [("hubspot", "contact", 2)]
    assert [row.id for row in act(state, journal.open_rows, "hubspot", journal.PLANNED, ["r1"], 5)] == [second]
    assert act(state, journal.runs_with_sent, "hubspot") == []
    act(state, journal.mark_changes, [second], journal.SENT, 6)
    assert act(state, journal.runs_with_sent, "hubspot") == ["r1"]
    assert act(state, journal.stored_changes, [first, second, 99]) == {first, second}


REFUSED = journal.REJECTED


@pytest.mark.parametrize(
    ("ended", "attempts", "now", "refused"),
    [
        ([(REFUSED, "ann", 10)], 1, DAY * 9, {"ann"}),  # it is tried again
        ([(REFUSED, "ann", 10)], 0, DAY + 9, {"ann"}),
        ([(REFUSED, "ann", 10)], 0, DAY + 10, set()),  # the patience is over
        ([(REFUSED, "ann", 10), (REFUSED, "ann", DAY)], 0, DAY + 10, set()),  # with the first one in a row
        ([(REFUSED, "ann", 10), (REFUSED, "bob", DAY)], 0, DAY + 10, {"bob"}),
        ([(REFUSED, "ann", 10), (REFUSED, "bob", 11), (REFUSED, "ann", DAY)], 0, DAY + 10, {"ann"}),
        ([(REFUSED, "ann", 10), (REFUSED, "ann", 11)], 1, DAY * 9, set()),
        ([(REFUSED, "ann", 10), (REFUSED, "ann", 11)], 2, DAY * 9, {"ann"}),
        ([(REFUSED, "ann", 10), (journal.UPDATED, "ann", 11)], 0, 12, set()),  # the CRM took it
        ([(REFUSED, "ann", 10), (journal.PLANNED, "bob", 11)], 0, 12, {"ann"}),  # nobody was asked yet
        ([(REFUSED, None, 10)], 9, 12, set()),
    ],
)
def test_whom_a_crm_refused_as_owner_is_asked_for_again_as_long_as_the_patience_lasts(
    state, ada, ended, attempts, now, refused
):
    for how, owner, at in ended:
        wanted = {"score": 1} | ({"owner": owner} if owner else {})
        act(state, journal.add_changes, "r1", [(ada, change(ada, **wanted).change)], at, how)
    with state.begin() as tx:
        tx.execute(schema.record.update().values(attempts=attempts))
    assert set(act(state, journal.refused_owners, [ada], now).values()) == refused


def test_what_an_interrupted_run_planned_and_no_crm_took_is_taken_back(state, ada):
    with state.begin() as tx:
        for run_id, command, verdict in (
            ("r1", "sync", "running"),
            ("u1", "undo", "running"),
            ("p1", "plan", "waiting"),
        ):
            tx.execute(schema.run.insert().values(
                id=run_id, command=command, started=1, model="m", config="c", verdict=verdict,
            ))  # fmt: skip
        for run_id, after in (("r1", {"score": 2, "owner": "ann"}), ("u1", {"score": 1}), ("p1", {"score": 3})):
            journal.add_changes(tx, run_id, [(ada, change(ada, **after).change)], 5)
        journal.add_changes(tx, "r1", [(ada, change(ada, fit=1).change)], 5, journal.UPDATED)
        journal.add_changes(tx, "r1", [(ada, change(ada, fit=2).change)], 5, journal.SENT)
        journal.mark_changes(tx, [rows_of(tx, "u1")[0]], journal.PLANNED, 6, "it may have arrived")
    assert act(state, journal.take_unsent, ["salesforce"]) == ({}, {})
    owners, values = act(state, journal.take_unsent, ["hubspot"])
    assert (owners, {row: orjson.loads(text) for row, text in values.items()}) == (
        {ada: "ann"},
        {ada: {"score": 2, "owner": "ann"}},
    )
    left = {(row["run"], row["state"]) for row in rows(state, schema.change)}
    assert left == {("u1", "unknown"), ("p1", "planned"), ("r1", "updated"), ("r1", "sent")}
    assert stored(state)["dirty"]


# What a record remembers


def test_what_was_parked_until_the_next_run_is_tried_then_and_a_second_refusal_counts(state, ada):
    act(state, journal.park_change, change(ada, score=9), "busy", 100, whole=True, again=True)
    assert stored(state)["on_hold"]["again"] is True
    act(state, journal.unpark_changes, 0)
    row = stored(state)
    assert (row["on_hold"], row["attempts"], row["dirty"]) == ({}, 1, True)
    assert act(state, journal.count_attempts, ada) == 1
    act(state, journal.park_change, change(ada, score=9), "busy", 100, whole=True, again=True)
    act(state, journal.unpark_changes, 100)  # patience with it is over: that begins again
    assert act(state, journal.count_attempts, ada) == 0
    assert act(state, journal.count_attempts, ada + 1) == 0


def test_a_record_wakes_when_its_time_has_come_and_no_other_does(state, ada):
    for wake_at, now, wakes in ((50, 49, False), (50, 50, True), (None, 50, False)):
        with state.begin() as tx:
            tx.execute(schema.record.update().values(wake_at=wake_at, dirty=False))
        act(state, journal.wake_up, now, {})
        assert (stored(state)["dirty"], stored(state)["wake_at"]) == (wakes, None if wakes else wake_at)


def test_what_is_tried_again_later_counts_each_time_and_for_that_record_alone(state, ada):
    save(state, contact(2))
    with state.begin() as tx:
        tx.execute(schema.record.update().values(dirty=False))
    for _ in range(2):
        act(state, journal.retry_later, [ada])
    assert {row["id"]: (row["attempts"], row["dirty"]) for row in rows(state, schema.record)} == {
        ada: (2, True), ada + 1: (0, False),
    }  # fmt: skip


def test_an_override_of_one_record_leaves_others_and_what_was_known_before(state, ada):
    save(state, contact(2, stage="lead"))
    with state.begin() as tx:
        tx.execute(schema.record.update().values(dirty=False))
    act(state, journal.respect_override, ada, {"owner": "bob"}, 8)
    act(state, journal.respect_override, ada, {"stage": None}, 9)
    first, second = records(state)
    assert orjson.loads(first["overrides"]) == {
        "owner": {"value": "bob", "since": 8}, "stage": {"value": None, "since": 9},
    }  # fmt: skip
    assert (first["stage"], first["owner"], first["dirty"]) == (None, "bob", True)
    assert (second["stage"], second["overrides"], second["dirty"]) == ("lead", "{}", False)
    assert past(state) == [(f"{OURS}owner", "ann", 8), (f"{OURS}stage", "lead", 9)]


@pytest.mark.parametrize(("moved", "name"), [(False, ""), (True, "Ada")])
def test_a_record_that_is_gone_keeps_nothing_personal_unless_it_moved_into_another_one(state, moved, name):
    save(state, contact(1, name="Ada"), contact(2, name="Bea"))
    first = records(state)[0]["id"]
    with state.begin() as tx:
        tx.execute(schema.record.update().values(dirty=False))
    act(state, journal.mark_gone, [first], moved=moved)
    gone, other = records(state)
    assert (gone["gone"], gone["name"], gone["dirty"]) == (True, name, True)
    assert (other["gone"], other["name"], other["dirty"]) == (False, "Bea", False)


def test_what_a_crm_took_is_remembered_of_that_record_and_what_was_emptied_is_nothing(state, ada):
    save(state, contact(2, stage="lead"))
    act(state, journal.record_written, [change(99, score=7), change(ada, score=7)], 5)
    act(state, journal.record_written, [change(ada, score=None, stage=None)], 6)
    first, second = records(state)
    assert (first["stage"], first["owner"], first["last_written"], first["current"]) == (
        None, "ann", "{}", '{"band":"cold"}',
    )  # fmt: skip
    assert (second["stage"], second["last_written"], second["current"]) == ("lead", "{}", "{}")


@pytest.mark.parametrize("how", ["written", "overridden"])
def test_what_scoring_reads_of_somebody_is_read_again_after_their_stage_moved_and_not_their_owner(state, ada, how):
    def move(**values):
        if how == "written":
            act(state, journal.record_written, [change(ada, **values)], 5)
        else:
            act(state, journal.respect_override, ada, values, 5)

    with state.begin() as tx:
        tx.execute(schema.record.update().values(person=71))
        for person in (71, 72):
            tx.execute(schema.score_input.insert().values(person=person, made_for="", known="", events=b""))
    move(owner="bob")
    assert len(rows(state, schema.score_input)) == 2
    move(stage="mql")
    assert [row["person"] for row in rows(state, schema.score_input)] == [72]
