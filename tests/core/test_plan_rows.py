"""What waits for a yes, on rows of the state: which plan is meant, how much of it may be written, what became old."""

from types import SimpleNamespace

import pytest

from crmsync.errors import ConfigError
from crmsync.model import Change, Ref
from crmsync.planning import approval
from crmsync.store import journal, run_journal, schema
from crmsync.store.future import LEEWAY
from tests.store.test_companies import settled
from tests.support.make import contact
from tests.support.state import rows

NOW = 100 * approval.GOOD_FOR
SEEN = {"hubspot": {"records": 20, "scores": 20, "bands": 0}, "salesforce": {"records": 5, "scores": 5, "bands": 0}}


def add_plan(tx, plan_id, verdict=run_journal.WAITING, config="c", at=NOW, **plan):
    given = {"kind": "data", "reasons": ["too many"], "records": SEEN, "seen": SEEN, "used": [], "runs": [], **plan}
    run_journal.add_plan(tx, plan_id, verdict, ("model", config), at, given)


def add_run(tx, run_id, at=NOW, verdict="ok"):
    run_journal.begin_run(tx, run_id, "sync", at, ("model", "c"), "")
    run_journal.end_run(tx, run_id, at, verdict, {})


def approve(tx, plan_id, at=NOW):
    assert run_journal.approve_plan(tx, plan_id, at, "ann")


def add_changes(tx, run_id, *changes, state=journal.PLANNED):
    """Changes of HubSpot's records (row ids), from and to values."""
    made = [(row, Change(Ref(crm, "contact", str(row)), before, after)) for row, crm, before, after in changes]
    journal.add_changes(tx, run_id, made, NOW, state)


def stored(state, plan_id):
    (row,) = [each for each in rows(state, schema.run) if each["id"] == plan_id]
    return row["verdict"], approval.plan_of(SimpleNamespace(plan=row["plan"]))


# Which plan is meant


def found(state, plan_id=None, now=NOW, config="c"):
    with state.read() as reading:
        row = approval.find_plan(reading, config, plan_id, now)
    return row and row.id


def test_without_an_id_the_plan_that_waits_is_meant_before_a_preview_and_the_newest_before_others(state):
    with state.begin() as tx:
        add_run(tx, "run", NOW - 10)
        add_plan(tx, "looked", run_journal.PREVIEW, at=NOW - 5)
        add_plan(tx, "looked-later", run_journal.PREVIEW, at=NOW - 4)
    assert found(state) == "looked-later"
    with state.begin() as tx:
        add_plan(tx, "waits", at=NOW - 20)
        add_plan(tx, "waits-later", at=NOW - 15)
    assert found(state) == "waits-later"


@pytest.mark.parametrize(
    ("ran_at", "meant"),
    [
        (NOW - 6, "looked"),
        (NOW - 5, None),  # at the same instant: it may have come after
        (NOW - 4, None),
        (NOW + LEEWAY, None),
        (NOW + LEEWAY + 1, "looked"),  # a clock was wrong: it says nothing
    ],
)
def test_a_preview_that_a_run_may_have_overtaken_is_not_meant(state, ran_at, meant):
    with state.begin() as tx:
        add_plan(tx, "looked", run_journal.PREVIEW, at=NOW - 5)
        add_run(tx, "run", ran_at)
    assert found(state) == meant


def test_with_no_run_at_all_a_preview_is_meant_and_an_empty_one_or_one_of_another_config_is_not(state):
    with state.begin() as tx:
        add_plan(tx, "empty", run_journal.PREVIEW, at=NOW - 1, records={})
        add_plan(tx, "another", run_journal.PREVIEW, at=NOW - 2, config="d")
    assert found(state) is None
    with state.begin() as tx:
        add_plan(tx, "looked", run_journal.PREVIEW, at=NOW - 3)
    assert found(state) == "looked"


def test_who_names_what_cannot_be_approved_is_told_why_and_what_to_type(state):
    with state.begin() as tx:
        add_run(tx, "run")
        add_plan(tx, "old", run_journal.SUPERSEDED)
        add_plan(tx, "another", config="d")
        for verdict in run_journal.APPROVABLE:
            add_plan(tx, f"a {verdict}", verdict)
    said = {
        "ghost": ("there is no plan ghost", "crmsync status"),
        "latest": ("there is no plan latest; name the plan that you saw, by its id", "crmsync status"),
        "old": ("old cannot be approved: it is out of date or already applied", "crmsync plan"),
        "run": ("run cannot be approved: it is a run and not a plan", "crmsync plan"),
        "another": ("plan another was made with another config", "crmsync plan"),
    }
    for plan_id, (sentence, command) in said.items():
        with pytest.raises(ConfigError) as raised:
            found(state, plan_id)
        assert (str(raised.value), raised.value.next_command) == (sentence, command)
    for verdict in run_journal.APPROVABLE:
        assert found(state, f"a {verdict}") == f"a {verdict}"


def test_what_was_undone_waits_under_the_config_that_was_approved_last_too(state):
    with state.begin() as tx:
        run_journal.keep_text(tx, "last", "its file", 1)
        run_journal.adopt_config(tx, "last", ["hubspot"], ["hubspot"], 0)
        add_plan(tx, "undone", kind="undo", config="last")
    assert found(state, config="edited") == "undone"


# What is written down of a plan


def test_a_plan_of_which_nothing_was_written_down_says_nothing():
    nothing = {"kind": "", "reasons": [], "records": {}, "seen": {}, "used": [], "runs": []}
    assert approval.plan_of(SimpleNamespace(plan="{}")) == nothing


def test_the_plans_that_wait_are_told_with_why_and_how_much_newest_first(state):
    with state.begin() as tx:
        add_plan(tx, "one", at=NOW - 1, kind="config", reasons=["edited"])
        add_plan(tx, "two", reasons=["a", "b"], records={"hubspot": {"records": 1}})
        add_plan(tx, "done", run_journal.SUPERSEDED)
        told = [(each.run, each.kind, each.reasons, each.records) for each in approval.plans_waiting(tx)]
    assert told == [
        ("two", "data", ["a", "b"], {"hubspot": {"records": 1}}),
        ("one", "config", ["edited"], SEEN),
    ]


def test_plans_of_one_kind_stop_waiting_and_others_go_on(state):
    with state.begin() as tx:
        for plan_id, kind in (("a", "data"), ("b", "config"), ("c", "data")):
            add_plan(tx, plan_id, kind=kind)
        approval.end_waiting(tx, "data")
        assert [each.run for each in approval.plans_waiting(tx)] == ["b"]


# How much may be written


def test_a_tenth_more_than_was_seen_may_be_written_less_what_was(state):
    settled(state, *(contact(number) for number in range(1, 4)))
    with state.begin() as tx:
        add_run(tx, "wrote")
        add_plan(tx, "p", runs=["wrote"], used=["salesforce"])
        add_changes(tx, "p", (3, "hubspot", {"score": 1}, {"score": 2}))
        add_changes(
            tx,
            "wrote",
            (1, "hubspot", {"score": 1}, {"score": 2}),
            (2, "hubspot", {"score": 1}, {"score": 2}),
            (3, "salesforce", {"score": 1}, {"score": 2}),
            state=journal.UPDATED,
        )
        add_changes(tx, "wrote", (3, "hubspot", {"score": 1}, {"score": 2}), state=journal.REJECTED)
        approve(tx, "p")
        given = approval.find_approval(tx, "c", NOW)
    # 20 and a tenth are 22; two were written. Salesforce has used its part up.
    assert given.numbers == {"hubspot": {"records": 20, "scores": 20, "bands": 0}}
    assert given.plans == ["p"]
    assert given.people == {3}


def test_of_two_approved_plans_the_larger_number_counts_and_none_is_below_nothing(state):
    settled(state, contact(1))
    with state.begin() as tx:
        add_run(tx, "wrote")
        add_plan(tx, "large", at=NOW - 1, seen={"hubspot": {"records": 30, "scores": 0}})
        add_plan(tx, "small", seen={"hubspot": {"records": 10, "scores": 10}})
        add_plan(tx, "spent", at=NOW - 2, seen={"salesforce": {"scores": 0}}, runs=["wrote"])
        add_changes(tx, "wrote", (1, "salesforce", {"score": 1}, {"score": 2}), state=journal.UPDATED)
        for each in ("large", "small", "spent"):
            approve(tx, each)
        given = approval.find_approval(tx, "c", NOW)
    assert given.numbers == {"hubspot": {"records": 33, "scores": 11}, "salesforce": {"scores": 0}}
    assert given.plans == ["small", "large", "spent"]


def test_an_approval_of_another_config_or_of_two_days_ago_or_none_allows_nothing(state):
    with state.begin() as tx:
        assert approval.find_approval(tx, "c", NOW) == ([], {}, frozenset())
        add_plan(tx, "another", config="d")
        add_plan(tx, "old")
        approve(tx, "another")
        approve(tx, "old", NOW - approval.GOOD_FOR - 1)
        assert approval.find_approval(tx, "c", NOW) == ([], {}, frozenset())


def test_a_run_says_how_what_it_writes_compares_with_what_was_seen(state):
    with state.begin() as tx:
        add_plan(tx, "p", runs=["before"])
        add_plan(tx, "q")
        add_changes(tx, "p", *((row, "hubspot", {}, {"score": row}) for row in range(1, 7)))
        add_changes(tx, "q", (7, "hubspot", {}, {"score": 7}))
        add_run(tx, "run")
        # 1 to 3 and 7 as they were seen, 4 and 5 with other values, 6 no longer; 8 to 12 nobody saw.
        add_changes(tx, "run", *((row, "hubspot", {}, {"score": row}) for row in (1, 2, 3, 7)))
        add_changes(tx, "run", *((row, "hubspot", {}, {"score": 50}) for row in (4, 5, 8, 9, 10, 11, 12)))
        told = approval.take_up(tx, approval.Approval(["p", "q"]), "run")
    assert told == {"plans": ["p", "q"], "as_seen": 4, "other_values": 2, "no_longer": 1, "new": 5}
    verdict, plan = stored(state, "p")
    assert (verdict, plan["runs"], plan["kind"], plan["seen"]) == ("waiting", ["before", "run"], "data", SEEN)
    assert stored(state, "q")[1]["runs"] == ["run"]


def test_an_approval_is_used_up_crm_by_crm_and_void_after_a_day(state):
    with state.begin() as tx:
        for plan_id, at in (("both", NOW), ("rest", NOW), ("other", NOW), ("late", NOW - approval.GOOD_FOR - 1)):
            add_plan(tx, plan_id, used=["salesforce"] if plan_id == "rest" else [])
            approve(tx, plan_id, at)
        approval.use_up(tx, ["both", "rest", "late"], ["hubspot"], NOW)
    said = {plan_id: stored(state, plan_id) for plan_id in ("both", "rest", "other", "late")}
    assert {plan_id: verdict for plan_id, (verdict, _) in said.items()} == {
        "both": "approved", "rest": "superseded", "other": "approved", "late": "superseded",
    }  # fmt: skip
    assert said["both"][1]["used"] == ["hubspot"]
    assert (said["both"][1]["seen"], said["both"][1]["kind"]) == (SEEN, "data")
    assert said["other"][1]["used"] == []
    with state.begin() as tx:
        approval.use_up(tx, ["both"], ["salesforce", "hubspot"], NOW)
    assert stored(state, "both")[0] == "superseded"


# Whom a plan is about


def test_whose_score_would_change_in_a_crm_that_takes_no_part_goes_on_waiting(state):
    settled(state, *(contact(number, crm) for number, crm in enumerate(("hubspot", "hubspot", "salesforce"), 1)))
    with state.begin() as tx:
        add_plan(tx, "data")
        add_plan(tx, "config", kind="config")
        add_changes(tx, "data", (1, "hubspot", {"score": 5}, {"score": 9}), (2, "hubspot", {}, {"score": 9}))
        add_changes(tx, "data", (3, "salesforce", {"score": 5}, {"score": 9}))
        waiting = {
            absent: approval.people_left_waiting(tx, absent)
            for absent in ((), ("hubspot",), ("salesforce",), ("hubspot", "salesforce"))
        }
    assert waiting == {
        (): frozenset(), ("hubspot",): {1}, ("salesforce",): {3}, ("hubspot", "salesforce"): {1, 3},
    }  # fmt: skip


def test_the_people_with_odd_data_are_those_of_such_plans_that_wait_or_were_approved(state):
    settled(state, *(contact(number) for number in range(1, 6)))
    with state.begin() as tx:
        assert approval.people_with_odd_data(tx) == frozenset()
        verdicts = (run_journal.WAITING, run_journal.APPROVED, run_journal.PREVIEW, run_journal.SUPERSEDED)
        for row, verdict in enumerate(verdicts, 1):
            add_plan(tx, verdict, verdict)
            add_changes(tx, verdict, (row, "hubspot", {"score": 1}, {"score": 2}))
        add_plan(tx, "config", kind="config")
        add_changes(tx, "config", (5, "hubspot", {"score": 1}, {"score": 2}))
        assert approval.people_with_odd_data(tx) == {1, 2}
