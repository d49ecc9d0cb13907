"""The rows of the journal of changes: what a run wants of each record, and what became of it."""

from crmsync.model import Change, Protection, Ref
from crmsync.store import journal, run_journal, schema
from crmsync.store.forgetting import forget_records
from crmsync.store.journal import JournalRow
from crmsync.store.protections import add_protections
from tests.support.make import contact
from tests.support.state import act, records, rows, save

ADA = contact(1).ref


def add(state, run_id, *changes, how=journal.PLANNED, at=5):
    """Journal changes of records (row ids) of HubSpot or of another CRM, and return their ids."""
    made = [
        (row_id, Change(Ref(crm, "contact", str(row_id)), {"score": 1}, after, "because", "eu"))
        for row_id, crm, after in changes
    ]
    known = {row["id"] for row in rows(state, schema.change)}
    act(state, journal.add_changes, run_id, made, at, how)
    return sorted({row["id"] for row in rows(state, schema.change)} - known)


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
    assert [journaled(state, name)[other] for name in ("state", "at", "reason")] == ["sent", 9, ""]
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
