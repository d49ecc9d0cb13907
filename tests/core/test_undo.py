"""Undo puts back what a run wrote and nothing that a person touched, and what was undone waits."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from crmsync.cycle import preview_run
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Ref
from crmsync.reporting.person import explain_person
from crmsync.reporting.status import status_document
from crmsync.reporting.undone import undo_document
from crmsync.store import journal, schema
from crmsync.undo import undo_run
from tests.support.cycles import ADA, DAYS, NEVER_FADES, edit, held, hot, run, two_crms
from tests.support.make import activity, apply_plan, config, contact, work
from tests.support.state import rows

BEFORE, AFTER = (None, "lead", None), (65, "mql", "hubspot-ann")
MINUTE = timedelta(minutes=1)


def undo(state, run_id, *crms, at=DAYS[1], settings=None):
    """Undo a run; the document of it."""
    made = work(state, *crms, now=at, settings=settings or config(NEVER_FADES))
    return undo_document(state, undo_run(made, run_id).run)


def fields(found):
    return sorted(each["field"] for each in found)


def reasons(document):
    return {each["field"]: each["reason"] for each in document["left"]}


ALL = ["band", "behavior", "fit", "owner", "reason", "score", "stage"]


# Compare and set


def test_everything_that_a_run_wrote_is_put_back_and_the_second_time_there_is_nothing(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    assert held(hubspot)["1"] == AFTER
    done = undo(state, ran.run, hubspot)
    assert held(hubspot)["1"] == BEFORE
    assert hubspot.records[ADA].current == {}
    assert (fields(done["restored"]), done["left"], done["verdict"]) == (ALL, [], "ok")
    by_field = {each["field"]: each for each in done["restored"]}
    assert (by_field["owner"]["before"], by_field["owner"]["after"]) == ("ann@acme.example", None)
    assert (by_field["stage"]["before"], by_field["stage"]["after"]) == ("mql", "lead")
    assert by_field["score"]["outcome"] == "updated"
    written = len(hubspot.writes)
    again = undo(state, ran.run, hubspot, at=DAYS[1] + MINUTE)
    assert (again["restored"], again["left"], again["verdict"]) == ([], [], "ok")
    assert len(hubspot.writes) == written


def test_what_somebody_changed_since_is_left_with_the_reason(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, stage="sql", current={**hubspot.records[ADA].current, "band": "warm"})
    done = undo(state, ran.run, hubspot)
    assert held(hubspot)["1"] == (None, "sql", None)
    assert reasons(done) == dict.fromkeys(("stage", "band"), "changed since by somebody")
    assert fields(done["restored"]) == ["behavior", "fit", "owner", "reason", "score"]
    assert done["verdict"] == "partial"
    assert (done["left"][0]["outcome"], done["left"][0]["name"]) == ("left", "ada@x.example")
    run(state, hubspot, at=DAYS[1] + MINUTE)
    assert held(hubspot)["1"][1] == "sql"


@pytest.mark.parametrize("theirs", [{"stage": "sql"}, {"owner": "hubspot-bob"}, {"current": {"score": 1}}])
def test_who_edits_between_the_look_and_the_write_wins(state, theirs):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    taken = hubspot.write

    def write(changes, narrow=list):
        edit(hubspot, ADA, **theirs)
        return taken(changes, narrow)

    hubspot.write = write
    done = undo(state, ran.run, hubspot)
    (name,) = ["score" if name == "current" else name for name in theirs]
    assert reasons(done)[name] == "changed since by somebody"
    assert getattr(hubspot.records[ADA], next(iter(theirs))) == next(iter(theirs.values()))


def test_what_a_later_run_wrote_is_left_and_named(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    hubspot.happen(activity("more", hubspot.records[ADA], kind="page_viewed", url="https://x.example/pricing"))
    later = run(state, hubspot, at=DAYS[1])
    done = undo(state, ran.run, hubspot, at=DAYS[2])
    assert reasons(done)["score"] == f"a later run wrote it: {later.run}"
    assert held(hubspot)["1"] == (80, "lead", None)


def test_a_record_that_is_gone_is_left(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, gone=True)
    done = undo(state, ran.run, hubspot)
    assert set(reasons(done).values()) == {"the record is gone: it was deleted, merged or converted"}
    assert (done["restored"], fields(done["left"])) == ([], ALL)


def test_only_what_the_crm_had_taken_is_undone(state):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow=list):
        for receipt in taken(changes, narrow):
            yield replace(receipt, refused={"band": "not an option"})

    hubspot.write = write
    ran = run(state, hubspot, at=DAYS[0])
    hubspot.write = taken
    edit(hubspot, ADA, current={**hubspot.records[ADA].current, "band": "theirs"})
    done = undo(state, ran.run, hubspot)
    assert "band" not in fields(done["restored"])
    assert done["left"] == []
    assert hubspot.records[ADA].current == {"band": "theirs"}


def test_what_the_crm_does_not_take_back_is_left_with_its_words_and_not_put_on_hold(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    taken = hubspot.write

    def write(changes, narrow=list):
        for receipt in taken(changes, narrow):
            yield replace(receipt, refused={"stage": "stages only move forward"})

    hubspot.write = write
    done = undo(state, ran.run, hubspot)
    assert reasons(done) == {"stage": "stages only move forward"}
    (record,) = rows(state, schema.record)
    assert record["on_hold"] == ""
    assert "stage" not in record["undone"]


def test_people_in_both_crms_and_a_crm_that_is_down(state):
    hubspot, salesforce = two_crms()
    ran = run(state, hubspot, salesforce, at=DAYS[0])
    was = held(hubspot)
    salesforce.stop = threading.Event()

    def down():
        raise Unavailable("salesforce", "it does not answer")

    kept, salesforce.account = salesforce.account, down
    done = undo(state, ran.run, hubspot, salesforce)
    assert held(hubspot) != was
    assert {each["record"].split(":")[0] for each in done["restored"]} == {"hubspot"}
    assert set(reasons(done).values()) == {"it does not answer"}
    salesforce.account = kept
    rest = undo(state, ran.run, hubspot, salesforce, at=DAYS[1] + MINUTE)
    assert {each["record"].split(":")[0] for each in rest["restored"]} == {"salesforce"}
    assert rest["left"] == []


def test_a_stage_that_the_config_has_no_more_is_not_written(state):
    hubspot = hot()
    hubspot.order = {"contact": ("a", "b")}
    ran = run(state, hubspot, at=DAYS[0])
    settings = config(NEVER_FADES.replace('name = "lead"', 'name = "newcomer"'))
    done = undo(state, ran.run, hubspot, settings=settings)
    assert reasons(done) == {"stage": "the config has no stage lead any more"}


@pytest.mark.parametrize("what", ["ghost", "plan"])
def test_what_is_no_run_cannot_be_undone(state, what):
    hubspot = hot()
    plan = preview_run(work(state, hubspot, now=DAYS[0], settings=config(NEVER_FADES)))
    with pytest.raises(ConfigError, match="there is no run ghost" if what == "ghost" else "a plan has written nothing"):
        undo(state, "ghost" if what == "ghost" else plan.run, hubspot)


# What was undone waits


def test_the_next_runs_do_not_write_it_again_and_a_plan_waits(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot)
    written = len(hubspot.writes)
    plans = set()
    for day in DAYS[2:20]:
        after = run(state, hubspot, at=day)
        assert (after.verdict, after.crms["hubspot"].planned) == ("held", 0)
        assert after.held.kind == "undo"
        assert f"run {ran.run} was undone" in after.held.reasons[0]
        assert after.waiting_for_owner["count"] == 1
        plans.add(after.held.run)
    assert (held(hubspot)["1"], len(hubspot.writes), len(plans)) == (BEFORE, written, 1)
    with state.read() as reading:
        waiting = list(journal.rows_of(reading, plans.pop()))
    ((_state, _why, row),) = waiting
    assert sorted(row.change.after) == ALL
    assert row.change.after["owner"] == "hubspot-ann"
    assert len(rows(state, schema.hand_off)) == 1
    assert [(each["member"], each["turns"]) for each in rows(state, schema.turn) if each["turns"]] == [
        ("ann@acme.example", 1)
    ]


def test_an_explanation_says_of_a_score_that_was_undone_that_it_waits(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot)
    told = [
        explain_person(settings, state, "ada@x.example", DAYS[1])["records"][0]["delivery"]
        for settings in (config(NEVER_FADES), config(NEVER_FADES.replace("cap = 45", "cap = 46")))
    ]
    run(state, hubspot, at=DAYS[1] + MINUTE)
    told.append(explain_person(config(NEVER_FADES), state, "ada@x.example", DAYS[1])["records"][0]["delivery"])
    assert told == ["undone", "differs", "held"]


def test_approving_writes_it_and_gives_no_second_turn(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot)
    waits = run(state, hubspot, at=DAYS[2]).held
    done = apply_plan(work(state, hubspot, now=DAYS[3], settings=config(NEVER_FADES)), waits.run)
    assert (done.verdict, done.crms["hubspot"].updated, done.held) == ("ok", 1, None)
    assert held(hubspot)["1"] == AFTER
    assert len(rows(state, schema.hand_off)) == 1
    quiet = run(state, hubspot, at=DAYS[4])
    assert (quiet.verdict, quiet.crms["hubspot"].planned) == ("ok", 0)


def test_another_config_writes_what_is_right_by_it(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot)
    assert run(state, hubspot, at=DAYS[2]).verdict == "held"
    # The edit changes nobody's score: what was undone is written again all the same.
    edited = NEVER_FADES.replace("gt = 200", "gt = 201")
    after = run(state, hubspot, at=DAYS[3], model=edited)
    assert (after.verdict, after.held) == ("ok", None)
    assert held(hubspot)["1"][:2] == AFTER[:2]
    assert held(hubspot)["1"][2] is not None
    assert {row["undone"] for row in rows(state, schema.record)} == {""}


STICKY = NEVER_FADES.replace("mql = 50", "mql = { at = 70, drop_below = 40 }")
LOW = NEVER_FADES.replace("mql = 50", "mql = { at = 60, drop_below = 40 }")


@pytest.mark.parametrize("ran_between", [False, True])
def test_a_band_that_was_undone_is_not_held_on_to_once_the_config_is_put_right(state, ran_between):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], model=STICKY)
    assert held(hubspot)["1"] == (65, "lead", None)
    before = dict(hubspot.records[ADA].current)
    lowered = run(state, hubspot, at=DAYS[1], model=LOW)
    assert held(hubspot)["1"] == (65, "mql", "hubspot-ann")
    undo(state, lowered.run, hubspot, at=DAYS[2], settings=config(LOW))
    if ran_between:
        assert run(state, hubspot, at=DAYS[2] + MINUTE, model=LOW).verdict == "held"
    after = run(state, hubspot, at=DAYS[3], model=STICKY)
    assert (after.verdict, after.bands) == ("ok", {"warm": 1})
    assert held(hubspot)["1"] == (65, "lead", None)
    assert hubspot.records[ADA].current == before


def test_who_has_an_owner_does_not_wait_for_the_one_that_was_undone(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce, at=DAYS[0])
    edit(salesforce, Ref("salesforce", "lead", "00Q1"), owner="salesforce-bob")
    carried = run(state, hubspot, salesforce, at=DAYS[1], truth={"owner": "salesforce"})
    assert held(hubspot)["1"][2] == "hubspot-bob"
    leading = config(NEVER_FADES, truth={"owner": "salesforce"})
    undo(state, carried.run, hubspot, salesforce, at=DAYS[1] + MINUTE, settings=leading)
    after = run(state, hubspot, salesforce, at=DAYS[2], truth={"owner": "salesforce"})
    assert (held(hubspot)["1"][2], after.waiting_for_owner["count"]) == ("hubspot-ann", 0)
    said = explain_person(leading, state, "ada@x.example", DAYS[2])["owner_why"]
    assert said == "the owner stays: their owner was undone, and the same one is held for approval"


def test_another_score_is_written_and_the_same_stage_and_owner_go_on_waiting(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot)
    run(state, hubspot, at=DAYS[2])
    hubspot.happen(activity("more", hubspot.records[ADA], kind="page_viewed", url="https://x.example/pricing"))
    after = run(state, hubspot, at=DAYS[3])
    assert held(hubspot)["1"] == (80, "lead", None)
    current = hubspot.records[ADA].current
    assert (current["fit"], current["behavior"], current["band"]) == (35, 45, "mql")
    assert after.held.kind == "undo"
    with state.read() as reading:
        ((_state, _why, row),) = journal.rows_of(reading, after.held.run)
    assert sorted(row.change.after) == ["owner", "stage"]


def test_nobody_elses_turn_is_blocked_and_the_others_go_on(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot)
    bo = contact(2, fields={"title": "VP Sales", "employees": 500})
    hubspot.edit(bo)
    hubspot.happen(activity(2, bo))
    run(state, hubspot, at=DAYS[2])
    assert held(hubspot) == {"1": BEFORE, "2": (65, "mql", "hubspot-bob")}


def test_a_user_who_sets_it_themselves_ends_the_waiting_of_that(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot)
    waits = run(state, hubspot, at=DAYS[2]).held
    edit(hubspot, ADA, stage="mql", owner="hubspot-ann", current={**hubspot.records[ADA].current, "score": 65})
    after = run(state, hubspot, at=DAYS[3])
    with state.read() as reading:
        found = [row.change.after for _state, _why, row in journal.rows_of(reading, after.held.run)]
    assert all(not {"stage", "owner"} & set(each) for each in found)
    assert waits.run == after.held.run


def test_a_preview_does_not_plan_it_and_says_so(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot)
    seen = preview_run(work(state, hubspot, now=DAYS[2], settings=config(NEVER_FADES)))
    assert seen.crms["hubspot"].planned == 0
    assert any(f"run {ran.run} was undone" in note for note in seen.notes)
    assert run(state, hubspot, at=DAYS[3]).held.kind == "undo"


def test_the_restored_values_are_no_users_choice(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot)
    run(state, hubspot, at=DAYS[2])
    (record,) = rows(state, schema.record)
    assert record["overrides"] == "{}"
    assert '"stage":"lead"' in record["last_written"]
    assert not [row for row in rows(state, schema.past_field) if row["field"].startswith("written:")]


def test_an_undo_can_be_undone_and_then_nothing_waits(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    first = undo(state, ran.run, hubspot)
    second = undo(state, first["run"], hubspot, at=DAYS[2])
    assert held(hubspot)["1"] == AFTER
    assert (fields(second["restored"]), second["left"]) == (ALL, [])
    quiet = run(state, hubspot, at=DAYS[3])
    assert (quiet.verdict, quiet.crms["hubspot"].planned, quiet.held) == ("ok", 0, None)


def test_who_deletes_the_record_ends_the_waiting(state):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot)
    assert run(state, hubspot, at=DAYS[2]).held
    edit(hubspot, ADA, gone=True)
    after = run(state, hubspot, at=DAYS[3])
    assert (after.held, after.verdict) == (None, "ok")


def test_an_undo_is_no_run_that_keeps_a_crm_up_to_date_and_its_plan_may_wait(state):
    hubspot = hot()
    settings = config(NEVER_FADES, hubspot={})
    ran = run(state, hubspot, at=DAYS[0])
    undo(state, ran.run, hubspot, at=DAYS[0] + MINUTE)
    found = status_document(settings, state, DAYS[0] + timedelta(hours=5))
    assert found["runs"][0]["command"] == "undo"
    assert not found["crms"]["hubspot"]["healthy"]
    run(state, hubspot, at=DAYS[1])
    run(state, hubspot, at=DAYS[4])
    found = status_document(settings, state, DAYS[4] + MINUTE)
    assert (found["healthy"], found["waiting"][0]["kind"]) == (True, "undo")


# Cut off


class Killed(BaseException):
    """The process is gone."""


def test_cut_off_between_two_writes_it_is_resumed_and_the_next_run_writes_nothing_again(state):
    hubspot = hot()
    for number in (2, 3):
        made = contact(number, fields={"title": "VP Sales", "employees": 500}, stage="lead")
        hubspot.edit(made)
        hubspot.happen(activity(number, made))
    ran = run(state, hubspot, at=DAYS[0])
    taken = hubspot.write

    def write(changes, narrow=list):
        for number, receipt in enumerate(taken(changes, narrow)):
            yield receipt
            if number == 1:
                raise Killed

    hubspot.write = write
    with pytest.raises(Killed):
        undo(state, ran.run, hubspot)
    hubspot.write = taken
    between = run(state, hubspot, at=DAYS[2])
    stages = [stage for _score, stage, _owner in held(hubspot).values()]
    assert sorted(stages) == ["lead", "lead", "mql"]
    assert (between.verdict, between.crms["hubspot"].updated) == ("held", 0)
    done = undo(state, ran.run, hubspot, at=DAYS[3])
    assert {each["record"] for each in done["restored"]} <= {f"hubspot:contact:{number}" for number in (1, 2, 3)}
    assert (len({each["record"] for each in done["restored"]}), done["left"]) == (1, [])
    assert set(held(hubspot).values()) == {BEFORE}
    assert run(state, hubspot, at=DAYS[4]).crms["hubspot"].planned == 0
    assert set(held(hubspot).values()) == {BEFORE}


@pytest.mark.parametrize("at", [0, 1], ids=["before an answer was read", "between two answers"])
def test_a_run_that_was_killed_can_be_undone_before_another_one_goes_on_with_it(state, at):
    hubspot = hot()
    hubspot.edit(contact(2, fields={"title": "VP Sales", "employees": 500}, stage="lead"))
    before = held(hubspot)
    taken = hubspot.write

    def write(changes, narrow=list):
        for number, receipt in enumerate(taken(changes, narrow)):
            if number == at:
                raise Killed
            yield receipt

    hubspot.write = write
    with pytest.raises(Killed):
        run(state, hubspot, at=DAYS[0])
    hubspot.write = taken
    assert held(hubspot) != before
    (killed,) = [row["id"] for row in rows(state, schema.run)]
    undo(state, killed, hubspot)
    assert held(hubspot) == before


def test_an_undo_that_was_cut_off_makes_no_promise_of_an_owner(state):
    hubspot = hot()
    edit(hubspot, ADA, owner="hubspot-eve")
    ran = run(state, hubspot, at=DAYS[0])
    assert held(hubspot)["1"][2] == "hubspot-ann"

    def dead(_changes, _narrow=list):
        raise Killed

    taken, hubspot.write = hubspot.write, dead
    with pytest.raises(Killed):
        undo(state, ran.run, hubspot)
    hubspot.write = taken
    run(state, hubspot, at=DAYS[2])
    assert held(hubspot)["1"][2] == "hubspot-ann"
