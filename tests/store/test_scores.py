"""Who is to be scored, what is kept of their scores and decisions, and how they are counted."""

import pytest

from crmsync.model import Ref
from crmsync.store import schema, scores
from crmsync.store.full_pull import FEW
from crmsync.store.scores import Decided, Override, StoredScore
from tests.support.state import act, rows


def put_record(state, row_id, whose=None, **over):
    given = {"id": row_id, "crm": "hubspot", "kind": "contact", "ref_id": str(row_id), "known": True, **over}
    with state.begin() as tx:
        tx.execute(schema.record.insert().values(person=whose, **given))


def put_person(state, *ids, **over):
    given = {
        "fit": 100, "behavior": 200, "total": 300, "band": "cold", "due": 7, "model": "m", "plan": "p",
        "scored_at": 1, "scored_run": "r1", "ledger": b"now", **over,
    }  # fmt: skip
    with state.begin() as tx:
        for each in ids:
            tx.execute(schema.person.insert().values(id=each, **given))


def column(state, table, name):
    return {row["id"]: row[name] for row in rows(state, table)}


def dirty(state):
    return {row_id for row_id, is_dirty in column(state, schema.record, "dirty").items() if is_dirty}


NOT_LIVE = (
    {"known": False}, {"gone": True}, {"ambiguous": True}, {"merged_into": "hubspot:contact:1"},
    {"converted_into": "salesforce:contact:1"},
)  # fmt: skip


# Who is to be scored


def test_whoever_there_is_news_of_or_who_waits_for_an_owner_is_looked_at(state):
    put_record(state, 1, 71, dirty=True)
    put_record(state, 2, 72, dirty=True, crm="salesforce")
    put_record(state, 3, 73)
    put_record(state, 4, None, dirty=True)
    put_person(state, 74, waiting="nobody is there")
    put_person(state, 75)
    assert act(state, scores.dirty_people, ["hubspot"]) == {71, 74}
    assert act(state, scores.dirty_people, ["hubspot", "salesforce"]) == {71, 72, 74}


def test_the_records_of_people_are_those_of_crms_and_their_crms_those_of_live_ones(state):
    put_record(state, 1, 71)
    put_record(state, 2, 71, crm="salesforce")
    put_record(state, 3, 72)
    put_record(state, 4, 71, kind="address")  # what they did outside the CRMs
    for row_id, over in enumerate(NOT_LIVE, 10):
        put_record(state, row_id, 72, crm="salesforce", **over)
    assert act(state, scores.contacts_of, [71]) == {1, 2}
    assert act(state, scores.contacts_of, [71, 72], "hubspot") == {1, 3}
    assert act(state, scores.crms_of, {71, 72, 73}) == {71: {"hubspot", "salesforce"}, 72: {"hubspot"}}
    assert act(state, scores.contacts_of, []) == set()


def test_an_edit_in_one_record_concerns_all_of_its_person_until_it_is_planned_for(state):
    put_record(state, 1, 71, edited=True, dirty=True)
    put_record(state, 2, 71, crm="salesforce")
    put_record(state, 3, 72, edited=True)  # it was planned for
    put_record(state, 4, 72)
    put_record(state, 5, 73, edited=True, dirty=True, crm="salesforce")
    put_record(state, 6, 73)
    put_record(state, 7, None, edited=True, dirty=True)
    put_record(state, 8, None)
    act(state, scores.spread_edits, ["hubspot"])
    edited = {row_id for row_id, is_edited in column(state, schema.record, "edited").items() if is_edited}
    assert edited == {1, 2, 3, 5, 7}
    assert act(state, scores.edited_contacts, [71, 72]) == {1, 2, 3}


def test_everybody_in_a_crm_that_was_absent_is_planned_for(state):
    put_record(state, 1, 71)
    put_record(state, 2, 71, crm="salesforce")
    for row_id, over in enumerate(NOT_LIVE, 10):
        put_record(state, row_id, 72, **over)
    act(state, scores.plan_all_again, [])
    assert dirty(state) == set()
    act(state, scores.plan_all_again, ["hubspot"])
    assert dirty(state) == {1}
    act(state, scores.make_dirty, [2])
    act(state, scores.make_dirty, [])
    assert dirty(state) == {1, 2}


@pytest.mark.parametrize(("wakes", "then"), [(None, 50), (60, 50), (50, 50), (40, 40)])
def test_who_is_due_is_woken_and_not_later_than_before(state, wakes, then):
    put_record(state, 1, 71, wake_at=wakes)
    put_record(state, 2, 72, wake_at=wakes)
    act(state, scores.wake_contacts, [], 50)
    act(state, scores.wake_contacts, [1], 50)
    assert column(state, schema.record, "wake_at") == {1: then, 2: wakes}
    assert dirty(state) == set()


def test_who_was_planned_for_is_dirty_no_more_and_who_waits_stays_as_they_are(state):
    for row_id, is_edited in ((1, True), (2, True), (3, False), (4, True)):
        put_record(state, row_id, 71, dirty=True, edited=is_edited, crm="salesforce" if row_id == 4 else "hubspot")
    put_record(state, 5, 71, wake_at=9, overrides='{"stage":1}')
    lease = {"owner": {"value": "ann", "since": 5}}
    act(state, scores.clear_dirty, ["hubspot"], {1: Override(lease, 99), 5: Override({}, None)}, [2, 3])
    assert dirty(state) == {2, 3, 4}
    assert column(state, schema.record, "edited") == {1: False, 2: True, 3: False, 4: True, 5: False}
    assert column(state, schema.record, "overrides") == {
        1: '{"owner":{"since":5,"value":"ann"}}', 2: "{}", 3: "{}", 4: "{}", 5: "{}",
    }  # fmt: skip
    assert column(state, schema.record, "wake_at") == {1: 99, 2: None, 3: None, 4: None, 5: None}


# What is kept of a score


def row(person, **over):
    return {
        "id": person, "fit": 1, "behavior": 2, "total": 3, "band": "hot", "due": 8, "model": "m2", "plan": "p2",
        "scored_at": 9, "scored_run": "r2", "ledger": b"new", "excluded": "", **over,
    }  # fmt: skip


def test_a_score_is_stored_with_the_ledger_before_it_and_one_that_stays_keeps_that(state):
    put_person(state, 71, 72, ledger_before=b"old")
    before = act(state, scores.known_scores, [71, 72, 73])
    assert before[71] == StoredScore("cold", b"now", b"old", 7, "p")
    assert before.keys() == {71, 72}
    act(state, scores.save_scores, [row(71), row(72, ledger=b"now"), row(73)], before)
    stored = {each["id"]: each for each in rows(state, schema.person)}
    assert {each: (it["ledger"], it["ledger_before"]) for each, it in stored.items()} == {
        71: (b"new", b"now"), 72: (b"now", b"old"), 73: (b"new", None),
    }  # fmt: skip
    assert {name: stored[73][name] for name in row(73)} == row(73)


def test_when_a_score_may_move_and_by_which_settings_it_was_made_is_kept_of_those_alone(state):
    put_person(state, 71, 72, 79)
    act(state, scores.set_due, {})
    act(state, scores.set_due, {71: 50})
    assert column(state, schema.person, "due") == {71: 50, 72: 7, 79: 7}
    act(state, scores.set_model, [71, 72], "m2", "p")
    act(state, scores.set_model, [72], "m2", "p2")
    assert column(state, schema.person, "model") == {71: "m2", 72: "m2", 79: "m"}
    assert column(state, schema.person, "plan") == {71: "p", 72: "p2", 79: "p"}


DECIDED = Decided(
    71, "stays", "next in turn", "nobody", 5, "waiting", "Sales", "mql", 6, "lead", '{"sql":7}', "slow", "good", 8,
    "sql", "enters", 9,
)  # fmt: skip


def test_what_was_decided_of_somebody_is_stored_of_them_alone(state):
    put_person(state, 71, 72)
    act(state, scores.save_decisions, [])
    act(state, scores.save_decisions, [DECIDED])
    stored = {each["id"]: each for each in rows(state, schema.person)}
    assert {name: stored[71][name] for name in Decided._fields[1:]} == dict(
        zip(Decided._fields[1:], DECIDED[1:], strict=True)
    )
    assert stored[72]["stage_why"] == ""
    known = act(state, scores.known_scores, [71])[71]
    for name in StoredScore._fields[6:]:
        assert getattr(known, name) == getattr(DECIDED, name)


def test_live_records_come_person_by_person_in_an_order_that_no_row_id_decides(state):
    put_record(state, 1, 72, ref_id="9")
    put_record(state, 2, 72, crm="salesforce", kind="lead", ref_id="1")
    put_record(state, 3, 72, ref_id="88")
    put_record(state, 5, 72, crm="salesforce", ref_id="2")
    put_record(
        state, 4, 71, crm_group="eu", stage="mql", owner="ann", current='{"score":5}', last_written='{"score":4}',
        overrides='{"stage":{"value":"mql","since":3}}', on_hold='{"whole":true}', attempts=2, undone='{"score":{}}',
    )  # fmt: skip
    for row_id, over in enumerate(NOT_LIVE, 10):
        put_record(state, row_id, 71, **over)
    put_record(state, 20, 99)
    first, *others = act(state, scores.live_contacts, [71, 72])
    assert first == (
        4, Ref("hubspot", "contact", "4"), 71, "eu", "mql", "ann", {"score": 5}, {"score": 4},
        {"stage": {"value": "mql", "since": 3}}, {"whole": True}, 2, {"score": {}},
    )  # fmt: skip
    assert [each.id for each in others] == [3, 1, 5, 2]
    assert (others[0].on_hold, others[0].undone, others[0].current) == ({}, {}, {})


def test_the_addresses_of_people_are_those_of_their_live_records(state):
    put_record(state, 1, 71, emails='["a@x.example","b@x.example"]')
    put_record(state, 2, 71, emails='["c@x.example"]')
    put_record(state, 3, 72, emails="[]")
    for row_id, over in enumerate(NOT_LIVE, 10):
        put_record(state, row_id, 72, emails='["d@x.example"]', **over)
    assert act(state, scores.read_addresses, [71, 72]) == {
        71: ["a@x.example", "b@x.example", "c@x.example"], 72: [],
    }  # fmt: skip


# How they are counted


def test_live_records_are_counted_and_those_that_carry_a_score(state):
    assert act(state, scores.count_scored, "hubspot") == (0, 0)
    put_record(state, 1, 71, current='{"score":1}')
    put_record(state, 2, 72)
    put_record(state, 3, 73, crm="salesforce")
    assert act(state, scores.count_scored, "hubspot") == (2, 1)
    assert act(state, scores.carries_scores) is True


def test_a_record_that_is_not_live_carries_no_score(state):
    for row_id, over in enumerate(NOT_LIVE, 10):
        put_record(state, row_id, 72, current='{"score":1}', **over)
    put_record(state, 2, 72)
    assert act(state, scores.count_scored, "hubspot") == (1, 0)
    assert act(state, scores.carries_scores) is False


def test_people_are_counted_by_where_they_are_and_those_left_out_by_why(state):
    for each in (71, 72, 73, 74, 75, 76, 77):
        put_record(state, each, each)
    put_person(state, 71, 72, destination="owned")
    put_person(state, 73, destination="waiting", waiting="nobody")
    put_person(state, 74, destination="waiting", waiting="nobody", excluded="a rival")
    put_person(state, 75, destination="owned", excluded="a rival")
    put_person(state, 76, destination="waiting", waiting="not yet")
    counted = {("owned", ""): 2, ("waiting", "nobody"): 1, ("waiting", "not yet"): 1, ("excluded", "a rival"): 2}
    assert act(state, scores.destination_counts) == counted
    assert act(state, scores.count_unassigned) == {"nobody": 1, "not yet": 1}
    with state.begin() as tx:  # somebody new, who has no score until the run that reads them
        tx.execute(schema.record.update().where(schema.record.c.id == 77).values(dirty=True))
    assert act(state, scores.destination_counts) == counted
    with state.begin() as tx:  # a person of whom no live record is left
        tx.execute(schema.record.update().where(schema.record.c.id.in_([72, 76])).values(gone=True))
    assert act(state, scores.destination_counts) == {
        ("owned", ""): 1, ("waiting", "nobody"): 1, ("excluded", "a rival"): 2,
    }  # fmt: skip
    assert act(state, scores.count_unassigned) == {"nobody": 1}


def test_who_is_new_makes_nobody_count_of_whom_no_record_is_left(state):
    put_person(state, 71, destination="owned")
    put_record(state, 1, 71, gone=True)
    put_record(state, 2, 72, dirty=True)
    assert act(state, scores.destination_counts) == {}


def test_tags_are_counted_by_band_of_people_who_are_there(state):
    for each in (71, 72, 73, 74):
        put_record(state, each, each)
    put_person(state, 71, 72, feedback="bad")
    put_person(state, 73, feedback="bad", band="hot")
    put_person(state, 74, feedback="good", excluded="a rival")
    put_person(state, 75, feedback="good")  # no record is left
    put_person(state, 76)
    assert act(state, scores.count_tags) == {"bad": {"cold": 2, "hot": 1}}
    assert act(state, scores.band_counts) == {"cold": 4, "hot": 1}


def test_what_a_full_pull_did_not_bring_is_missing_unless_it_is_deleted_already(state):
    for row_id, seen, over in (
        (1, "r1", {}), (2, "r2", {}), (3, "r0", {}), (4, "", {"kind": "lead"}), (5, "r0", {"gone": True}),
        (6, "r0", {"known": False}), (7, "r0", {"crm": "salesforce"}), (8, "r1", {"crm": "salesforce"}),
    ):  # fmt: skip
        put_record(state, row_id, None, seen_run=seen, **over)
    missing = [Ref("hubspot", "contact", "3"), Ref("hubspot", "lead", "4")]
    assert act(state, scores.find_unpulled, ["r1", "r2"], "hubspot") == (missing, 2)
    assert act(state, scores.find_unpulled, ["r9"], "salesforce") == (
        [Ref("salesforce", "contact", "7"), Ref("salesforce", "contact", "8")], 0,
    )  # fmt: skip


def test_many_of_a_kind_that_are_missing_are_doubted_and_said(state):
    many = FEW + 1
    for number in range(many):
        put_record(state, number + 1, None)
    put_record(state, 900, None, kind="lead")
    put_record(state, 901, None, gone=True)
    put_record(state, 902, None, known=False)
    put_record(state, 903, None, crm="salesforce")
    missing = [Ref("hubspot", "contact", str(number + 1)) for number in range(many)]
    told = act(state, scores.doubt_missing, "hubspot", [*missing, Ref("hubspot", "lead", "900")])
    assert told.keys() == {"contact"}
    assert told["contact"].startswith(f"hubspot: {many} of the {many} contacts were missing")
    assert act(state, scores.doubt_missing, "hubspot", missing[:FEW]) == {}


def test_deleted_records_of_which_something_is_left_are_found(state):
    for row_id, over in (
        (1, {}), (2, {"emails": '["a@x.example"]'}), (3, {"last_written": '{"score":1}'}), (4, {}), (5, {}),
    ):  # fmt: skip
        put_record(state, row_id, None, gone=True, **over)
    put_record(state, 6, None, emails='["a@x.example"]')
    put_record(state, 7, None, gone=True, emails='["a@x.example"]', crm="salesforce")
    put_record(state, 8, None, kind="address")
    with state.begin() as tx:
        tx.execute(schema.fact.insert().values(id=1, kind="email_clicked", attributes="{}"))
        tx.execute(schema.activity.insert().values(crm="hubspot", id="a", record=4, at=1, fact=1))
        for whom in ("hubspot:contact:5", "hubspot:contact:6", "hubspot:contact:3", "hubspot:contact:99"):
            tx.execute(schema.identity.insert().values(record=8, key=f"gone:{whom}"))
        for key in ("gone:salesforce:contact:7", "hubspot:contact:1"):
            tx.execute(schema.identity.insert().values(record=8, key=key))
    found = [each.id for each in act(state, scores.find_remains, "hubspot")]
    assert found == ["2", "3", "4", "5"]


def test_what_became_of_a_record_that_a_run_pulled_is_counted_once_by_the_first_reason_that_holds(state):
    put_person(state, 71, scored_run="r2")
    put_person(state, 72, excluded="a rival", scored_run="r2")
    put_person(state, 73)
    for row_id, (whose, over) in enumerate(
        [
            (71, {"forgotten": True, "gone": True}), (71, {"merged_into": "x", "gone": True}),
            (71, {"gone": True, "converted_into": "x"}), (71, {"converted_into": "x", "ambiguous": True}),
            (72, {"ambiguous": True}), (72, {}), (71, {"dirty": True}), (73, {"dirty": True}), (73, {}),
            (None, {"dirty": True}), (71, {"crm": "salesforce"}), (71, {"seen_run": "r1"}), (71, {}),
        ],
        1,
    ):  # fmt: skip
        put_record(state, row_id, whose, **{"seen_run": "r2", **over})
    assert act(state, scores.pulled_counts, "r2") == {
        "hubspot": {
            "excluded": 2, "merged": 1, "deleted": 1, "converted": 1, "not_matched": 1, "scored": 2, "held": 2,
            "unchanged": 1,
        },
        "salesforce": {"scored": 1},
    }  # fmt: skip
