"""What the journal of changes remembers of a record: what is ours, what is on hold, what a user decided."""

import orjson
import pytest

from crmsync.model import Change, Protection, Ref
from crmsync.store import journal, run_journal, schema
from crmsync.store.edits import MOVED, OURS
from crmsync.store.forgetting import forget_records
from crmsync.store.journal import JournalRow
from crmsync.store.protections import add_protections
from tests.support.make import contact
from tests.support.state import rows, save

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


def act(state, does, *given, **named):
    with state.begin() as tx:
        return does(tx, *given, **named)


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
    act(state, journal.wake_up, DAY + 99)
    assert (stored(state)["on_hold"]["reason"], stored(state)["dirty"]) == ("locked", False)
    act(state, journal.wake_up, DAY + 100)
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
        journal.mark_changes(tx, [rows_of(tx, "u1")[0]], journal.PLANNED, 6, "it may have arrived")
    assert act(state, journal.take_unsent, ["salesforce"]) == ({}, {})
    owners, values = act(state, journal.take_unsent, ["hubspot"])
    assert (owners, {row: orjson.loads(text) for row, text in values.items()}) == (
        {ada: "ann"},
        {ada: {"score": 2, "owner": "ann"}},
    )
    left = {(row["run"], row["state"]) for row in rows(state, schema.change)}
    assert left == {("u1", "unknown"), ("p1", "planned"), ("r1", "updated")}
    assert stored(state)["dirty"]


# Changes as rows


def add(state, run_id, *changes, how=journal.PLANNED, at=5):
    """Journal changes of records (row ids) of HubSpot or of another CRM, and return their ids."""
    made = [
        (row_id, Change(Ref(crm, "contact", str(row_id)), {"score": 1}, after, "because", "eu"))
        for row_id, crm, after in changes
    ]
    known = {row["id"] for row in rows(state, schema.change)}
    act(state, journal.add_changes, run_id, made, at, how)
    return sorted({row["id"] for row in rows(state, schema.change)} - known)


def records(state):
    return sorted(rows(state, schema.record), key=lambda row: row["id"])


def journaled(state, name):
    return {row["id"]: row[name] for row in sorted(rows(state, schema.change), key=lambda row: row["id"])}


def test_a_change_is_journaled_with_all_that_it_says_and_comes_back_as_it_was(state):
    moves = Change(Ref("hubspot", "contact", "7"), {"score": 1}, {"score": 2, "band": "hot"}, "the reason", "eu")
    plain = Change(Ref("salesforce", "lead", "8"), {"reason": "old"}, {"reason": "new"}, "new")
    act(state, journal.add_changes, "r1", [(3, moves), (4, plain)], 9)
    first, second = sorted(rows(state, schema.change), key=lambda row: row["id"])
    kept = ("run", "record", "crm", "kind", "ref_id", "crm_group", "because", "state", "at", "is_move")
    assert [first[name] for name in kept] == [
        "r1", 3, "hubspot", "contact", "7", "eu", "the reason", "planned", 9, True,
    ]  # fmt: skip
    assert (second["because"], second["is_move"]) == ("", False)  # its reason is kept once, where it is written
    with state.read() as reading:
        assert list(journal.rows_of(reading, "r1")) == [
            ("planned", "", JournalRow(first["id"], 3, moves)),
            ("planned", "", JournalRow(second["id"], 4, plain)),
        ]


def test_some_changes_of_a_run_come_by_crm_and_state_and_all_in_the_order_of_the_plan(state):
    first, second, third = add(state, "r1", (1, "salesforce", {}), (2, "hubspot", {}), (3, "hubspot", {}))
    add(state, "r2", (4, "hubspot", {}))
    act(state, journal.mark_changes, [second], journal.UPDATED, 6, "why")
    with state.read() as reading:
        assert [row.id for _state, _reason, row in journal.rows_of(reading, "r1")] == [first, second, third]
        some = [(how, why, row.id) for how, why, row in journal.rows_of(reading, "r1", 2)]
        assert some == [("planned", "", third), ("updated", "why", second)]


def test_open_changes_come_by_crm_state_and_run_in_the_order_of_the_plan_and_so_many(state):
    ids = add(state, "r1", *[(number, "hubspot", {}) for number in range(4)], (5, "salesforce", {}))
    other, sent = add(state, "r2", (6, "hubspot", {})), add(state, "r1", (7, "hubspot", {}), how=journal.SENT)

    def opened(*given):
        return [row.id for row in act(state, journal.open_rows, *given)]

    assert opened("hubspot", journal.PLANNED, ["r1"], 3) == ids[:3]
    assert opened("hubspot", journal.PLANNED, ["r1", "r2"], None) == [*ids[:4], *other]
    assert opened("hubspot", journal.SENT, ["r1"], None) == sent
    assert opened("salesforce", journal.PLANNED, ["r1"], None) == ids[4:]
    assert act(state, journal.runs_with_sent, "hubspot") == ["r1"]
    assert act(state, journal.runs_with_sent, "salesforce") == []


def test_what_a_change_became_is_written_to_it_alone(state):
    one, other = add(state, "r1", (1, "hubspot", {"score": 2, "fit": 3}), (2, "hubspot", {"score": 2}))
    row = JournalRow(one, 1, Change(ADA, {"fit": 0}, {"fit": 4}))
    act(state, journal.amend_change, row)
    assert (journaled(state, "before"), journaled(state, "after")) == (
        {one: '{"fit":0}', other: '{"score":1}'},
        {one: '{"fit":4}', other: '{"score":2}'},
    )
    act(state, journal.end_change, row, journal.PARTLY, 8, "some of it", {"fit": "not a number"})
    assert journaled(state, "state") == {one: "partly", other: "planned"}
    assert journaled(state, "at") == {one: 8, other: 5}
    assert journaled(state, "reason") == {one: "some of it", other: ""}
    assert journaled(state, "refused")[one] == '{"fit":"not a number"}'
    act(state, journal.mark_changes, [other], journal.SENT, 9)
    assert (journaled(state, "state")[other], journaled(state, "at")[other]) == ("sent", 9)
    act(state, journal.move_changes, [other], "r2")
    assert journaled(state, "run") == {one: "r1", other: "r2"}
    act(state, journal.drop_changes, [other])
    assert list(journaled(state, "run")) == [one]


def test_what_runs_wanted_and_what_they_wrote_are_told(state):
    add(state, "r1", (1, "hubspot", {"score": 2}), how=journal.UPDATED)
    add(state, "r1", (2, "hubspot", {"score": 3}), how=journal.PARTLY)
    add(state, "r1", (3, "hubspot", {"score": 4}), how=journal.REJECTED)
    add(state, "r1", (4, "salesforce", {"score": 5}), how=journal.UPDATED)
    add(state, "r2", (5, "hubspot", {"score": 6}), how=journal.UPDATED)
    with state.read() as reading:
        values = {(ref.crm, ref.kind, ref.id): text for ref, text in journal.values_of(reading, ["r1"])}
        assert values == {
            ("hubspot", "contact", "1"): '{"score":2}',
            ("hubspot", "contact", "2"): '{"score":3}',
            ("hubspot", "contact", "3"): '{"score":4}',
            ("salesforce", "contact", "4"): '{"score":5}',
        }
        wrote = [(each.ref.id, each.after) for each in journal.written_changes(reading, ["r1"], "hubspot")]
        assert sorted(wrote) == [("1", {"score": 2}), ("2", {"score": 3})]
        assert journal.state_counts(reading, "r1") == {
            "hubspot": {"updated": 1, "partly": 1, "rejected": 1}, "salesforce": {"updated": 1},
        }  # fmt: skip


def test_changes_are_counted_by_crm_and_kind(state):
    refs = [("hubspot", "contact"), ("salesforce", "lead"), ("salesforce", "contact"), ("salesforce", "lead")]
    made = [(1, Change(Ref(crm, kind, "1"), {}, {})) for crm, kind in refs]
    act(state, journal.add_changes, "r1", made, 5)
    add(state, "r2", (1, "hubspot", {}))
    assert sorted(act(state, journal.count_kinds, "r1")) == [
        ("hubspot", "contact", 1), ("salesforce", "contact", 1), ("salesforce", "lead", 2),
    ]  # fmt: skip


def test_nothing_is_lost_where_there_are_more_than_one_statement_takes(state, monkeypatch):
    monkeypatch.setattr(journal, "IN_LIST", 1)
    save(state, *(contact(number, stage="lead") for number in (1, 2)))
    ids = add(state, "r1", (1, "hubspot", {"score": 2}), (2, "hubspot", {"score": 2}))
    assert act(state, journal.stored_changes, [*ids, 99]) == {*ids}
    written = [JournalRow(0, row_id, Change(ADA, {}, {"score": 2})) for row_id in (1, 2)]
    act(state, journal.record_written, written, 5)
    assert [row["last_written"] for row in records(state)] == ['{"score":2}'] * 2
    act(state, journal.mark_changes, ids, journal.REJECTED, 6)
    assert {*journaled(state, "state").values()} == {"rejected"}
    with state.read() as reading:
        assert len([*journal.values_of(reading, ["r1", "r2"])]) == 2
        assert journal.refused_owners(reading, [1, 2], 7) == {}


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


def test_whom_changes_concern_is_known_by_the_record_whatever_row_the_plan_names(state):
    save(state, contact(1), contact(2), contact(1, "salesforce"))
    ids = {(row["crm"], row["ref_id"]): row["id"] for row in rows(state, schema.record)}
    with state.begin() as tx:
        for key, person in ((("hubspot", "1"), 70), (("salesforce", "1"), 71)):
            tx.execute(schema.record.update().where(schema.record.c.id == ids[key]).values(person=person))
    refs = (("contact", "1"), ("contact", "2"), ("lead", "1"), ("contact", "9"))
    made = [(0, Change(Ref("hubspot", kind, number), {}, {})) for kind, number in refs]
    act(state, journal.add_changes, "p1", made, 5)
    add(state, "p2", (1, "salesforce", {}))
    with state.read() as reading:
        waiting = [(person, str(each.ref)) for _id, person, each in journal.waiting_rows(reading, ["p1"])]
        assert sorted(waiting) == [
            (0, "hubspot:contact:2"), (0, "hubspot:contact:9"), (0, "hubspot:lead:1"), (70, "hubspot:contact:1"),
        ]  # fmt: skip
        assert {row_id for row_id, _person, _change in journal.waiting_rows(reading, ["p1"])} < {
            *journaled(state, "run")
        }
        assert journal.people_of(reading, ["p1"]) == {70}
        assert journal.people_of(reading, ["p1", "p2"]) == {70, 71}


def test_a_plan_from_a_copy_of_the_state_finds_its_records_here_and_leaves_out_who_was_forgotten_since(state):
    save(state, contact(1), contact(2))
    ids = {row["ref_id"]: row["id"] for row in rows(state, schema.record)}
    with state.begin() as tx:
        forget_records(tx, [ids["2"]])
    made = [JournalRow(0, 99, Change(contact(number).ref, {}, {"score": number})) for number in (1, 2, 3)]
    act(state, journal.copy_changes, "p1", made, 7)
    kept = [(row["record"], row["ref_id"], row["after"], row["at"]) for row in rows(state, schema.change)]
    assert kept == [(ids["1"], "1", '{"score":1}', 7), (0, "3", '{"score":3}', 7)]


def test_a_plan_that_is_brought_up_to_date_keeps_its_id_and_the_changes_that_still_hold(state):
    for plan in ("p1", "p2"):
        act(state, run_journal.add_plan, plan, "waiting", ("m", "c"), 3, {"kind": "data"})
        act(state, add_protections, plan, [(1, Protection("on_hold", "score", 1, 2))])
    stale, holds = add(state, "p1", (1, "hubspot", {}), (2, "hubspot", {}))
    (other,) = add(state, "p2", (1, "hubspot", {}))
    act(state, journal.refresh_plan, "p1", 8, {"kind": "config"}, [holds])
    assert [*journaled(state, "run")] == [holds, other]
    assert stale not in journaled(state, "run")
    assert [row["run"] for row in rows(state, schema.protected)] == ["p2"]
    plans = {row["id"]: (row["ended"], row["plan"]) for row in rows(state, schema.run)}
    assert plans == {"p1": (8, '{"kind":"config"}'), "p2": (3, '{"kind":"data"}')}


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
        act(state, journal.wake_up, now)
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
    act(state, journal.record_written, [change(ada, score=7), change(99, score=7)], 5)
    act(state, journal.record_written, [change(ada, score=None, stage=None)], 6)
    first, second = records(state)
    assert (first["stage"], first["owner"], first["last_written"], first["current"]) == (
        None, "ann", "{}", '{"band":"cold"}',
    )  # fmt: skip
    assert (second["stage"], second["last_written"], second["current"]) == ("lead", "{}", "{}")
