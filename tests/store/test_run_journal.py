"""What the journal of runs remembers: how runs ended, which plans wait, which config was planned for, and how long."""

import orjson
import pytest

from crmsync.model import Protection
from crmsync.store import journal, run_journal, schema
from crmsync.store.protections import add_protections
from tests.store.test_journal_rows import add
from tests.store.test_opportunities import keep_entry
from tests.support.state import act, rows

DAY = 86_400_000


def begin(state, run_id, at=1, command="sync", verdict=None, config="c"):
    act(state, run_journal.begin_run, run_id, command, at, ("m", config), f"text of {config}")
    if verdict:
        act(state, run_journal.end_run, run_id, at + 1, verdict, {"ended": run_id})


def plan(state, plan_id, verdict="waiting", at=1, **told):
    act(state, run_journal.add_plan, plan_id, verdict, ("m", "c"), at, told)


def runs(state):
    return {row["id"]: row for row in rows(state, schema.run)}


def verdicts(state):
    return {run_id: row["verdict"] for run_id, row in runs(state).items()}


def test_a_run_is_written_down_as_it_begins_and_as_it_ends(state):
    begin(state, "r1", 5, "backfill")
    row = runs(state)["r1"]
    assert [row[name] for name in ("command", "started", "ended", "model", "config", "verdict")] == [
        "backfill", 5, None, "m", "c", "running",
    ]  # fmt: skip
    act(state, run_journal.end_run, "r1", 9, "partial", {"problems": ["one"]})
    row = runs(state)["r1"]
    assert (row["ended"], row["verdict"], orjson.loads(row["result"])) == (9, "partial", {"problems": ["one"]})
    assert [(each["hash"], each["text"], each["first_used"]) for each in rows(state, schema.model)] == [
        ("c", "text of c", 5)
    ]
    assert act(state, run_journal.find_run, "r1").verdict == "partial"
    assert act(state, run_journal.find_run, "r2") is None


def test_whatever_still_runs_when_another_run_begins_was_cut_off(state):
    begin(state, "r1", 5)
    begin(state, "r2", 6, verdict="ok")
    begin(state, "r3", 7)
    one, two, three = (runs(state)[each] for each in ("r1", "r2", "r3"))
    assert (one["verdict"], one["ended"], orjson.loads(one["result"])) == (
        "failed", 6, {"problems": ["it was interrupted"]},
    )  # fmt: skip
    assert (two["verdict"], two["ended"], three["verdict"], three["ended"]) == ("ok", 7, "running", None)


def test_the_text_of_a_config_is_kept_as_it_first_was(state):
    for text, now in (("a", 1), ("b", 2)):
        act(state, run_journal.keep_text, "c", text, now)
    act(state, run_journal.keep_text, "d", "d", 3)
    assert [(each["hash"], each["text"], each["first_used"]) for each in rows(state, schema.model)] == [
        ("c", "a", 1), ("d", "d", 3),
    ]  # fmt: skip


def test_the_latest_runs_come_newest_first_and_plans_are_none(state):
    for run_id, at in (("r1", 1), ("r4", 3), ("r2", 2), ("r3", 3)):
        begin(state, run_id, at, verdict="ok")
    for verdict in run_journal.PLANS:
        plan(state, f"p-{verdict}", verdict, at=9)
    ids = [row.id for row in act(state, run_journal.recent_runs, 3)]
    assert ids == ["r4", "r3", "r2"]
    assert [row.id for row in act(state, run_journal.recent_runs, 9, 2)] == ["r2", "r1"]


# Plans


def test_a_plan_is_written_down_and_rewritten(state):
    plan(state, "p1", at=4, kind="data")
    plan(state, "p2")
    row = runs(state)["p1"]
    assert [row[name] for name in ("command", "verdict", "started", "ended", "model", "config", "plan", "result")] == [
        "plan", "waiting", 4, 4, "m", "c", '{"kind":"data"}', '{"kind":"data"}',
    ]  # fmt: skip
    act(state, run_journal.rewrite_plan, "p1", {"kind": "config"})
    assert {each: (row["plan"], row["result"]) for each, row in runs(state).items()} == {
        "p1": ('{"kind":"config"}', '{"kind":"config"}'), "p2": ("{}", "{}"),
    }  # fmt: skip


def test_the_owners_of_a_plan_are_called_as_they_were_when_it_was_made(state):
    plan(state, "p1", owners={"hubspot:7": "Ann", "salesforce:005:x": "Bob"})
    plan(state, "p2")
    told = {("hubspot", "7"): "Ann", ("salesforce", "005:x"): "Bob"}
    assert [act(state, run_journal.plan_owners, each) for each in ("p1", "p2", "p3")] == [told, {}, {}]


def test_plans_of_one_state_come_newest_first(state):
    for plan_id, verdict, at in (("z", "waiting", 1), ("c", "waiting", 2), ("b", "waiting", 2), ("d", "preview", 3)):
        plan(state, plan_id, verdict, at)
    assert [row.id for row in act(state, run_journal.waiting_plans)] == ["c", "b", "z"]
    assert [row.id for row in act(state, run_journal.list_plans, "preview")] == ["d"]


@pytest.mark.parametrize(
    ("verdict", "can"),
    [("preview", True), ("waiting", True), ("approved", True), ("superseded", False), ("running", False)],
)
def test_a_plan_is_approved_by_somebody_at_an_instant_unless_its_cause_has_gone(state, verdict, can):
    plan(state, "p1", verdict)
    plan(state, "p2")
    assert act(state, run_journal.approve_plan, "p1", 7, "ann") is can
    row = runs(state)["p1"]
    assert (row["verdict"], row["approved_at"], row["approved_by"]) == (
        ("approved", 7, "ann") if can else (verdict, None, "")
    )
    assert verdicts(state)["p2"] == "waiting"


def test_a_plan_that_waits_no_longer_keeps_its_row_and_none_of_its_changes(state):
    for each in ("p1", "p2"):
        plan(state, each)
        add(state, each, (1, "hubspot", {"score": 2}))
        act(state, add_protections, each, [(1, Protection("on_hold", "score", 1, 2))])
    act(state, run_journal.supersede_plans, ["p1"])
    assert verdicts(state) == {"p1": "superseded", "p2": "waiting"}
    for table in (schema.change, schema.protected):
        assert [row["run"] for row in rows(state, table)] == ["p2"]


# What is forgotten


def test_runs_are_kept_for_their_time_and_longer_while_something_of_them_is_open(state):
    for run_id, at in (("old", 10), ("new", 20), ("open", 10)):
        begin(state, run_id, at, verdict="ok")
        add(state, run_id, (1, "hubspot", {}), how=journal.PLANNED if run_id == "open" else journal.UPDATED)
        act(state, add_protections, run_id, [(1, Protection("on_hold", "score", 1, 2))])
    for verdict in run_journal.PLANS:
        plan(state, verdict, verdict, at=10)
        add(state, verdict, (1, "hubspot", {}))
    with state.begin() as tx:
        for until in (19, 20):
            tx.execute(schema.past_field.insert().values(record=1, field="title", until=until, value="1"))
    keep_entry(state, 71, at=19)
    keep_entry(state, 72, at=20)
    act(state, run_journal.prune_runs, 20, 30)
    assert [row["person"] for row in rows(state, schema.stage_entry)] == [72]
    assert {*runs(state)} == {"new", "open", "waiting", "approved"}
    assert {row["run"] for row in rows(state, schema.change)} == {"new", "open", "waiting", "approved"}
    assert {row["run"] for row in rows(state, schema.protected)} == {"new", "open"}
    assert [row["until"] for row in rows(state, schema.past_field)] == [20]


def test_nothing_is_lost_where_there_are_more_than_one_statement_takes(state, monkeypatch):
    monkeypatch.setattr(run_journal, "IN_LIST", 1)
    for run_id in ("r1", "r2", "r3"):
        begin(state, run_id, 10 if run_id != "r3" else 20, verdict="ok")
        add(state, run_id, (1, "hubspot", {}), how=journal.UPDATED)
        plan(state, f"plan of {run_id}")
    act(state, run_journal.supersede_plans, ["plan of r1", "plan of r2"])
    assert verdicts(state) == {
        "r1": "ok", "r2": "ok", "r3": "ok", "plan of r1": "superseded", "plan of r2": "superseded",
        "plan of r3": "waiting",
    }  # fmt: skip
    act(state, run_journal.prune_runs, 15, 30)
    assert {*runs(state)} == {"r3", "plan of r3"}
    assert {row["run"] for row in rows(state, schema.change)} == {"r3"}


def test_the_changes_of_a_preview_go_after_a_month_and_what_became_of_it_stays(state):
    now = 50 * DAY
    for plan_id, verdict, at in (
        ("old", "preview", 20 * DAY - 1), ("young", "preview", 20 * DAY), ("waits", "waiting", 20 * DAY - 1),
    ):  # fmt: skip
        plan(state, plan_id, verdict, at)
        add(state, plan_id, (1, "hubspot", {}))
    act(state, run_journal.prune_runs, 0, now)
    assert verdicts(state) == {"old": "superseded", "young": "preview", "waits": "waiting"}
    assert {row["run"] for row in rows(state, schema.change)} == {"young", "waits"}


# What was planned for


def adopt(state, config, crms, configured=("hubspot", "salesforce"), now=5):
    act(state, run_journal.keep_text, config, f"text of {config}", now)
    act(state, run_journal.adopt_config, config, crms, configured, now)


def test_the_config_that_was_planned_for_last_is_known_with_its_text_and_for_each_crm(state):
    assert act(state, run_journal.adopted_config) is None
    assert act(state, run_journal.adopted_configs) == {}
    adopt(state, "a", ["hubspot", "salesforce"])
    adopt(state, "b", ["salesforce"], now=6)
    adopt(state, "b", ["salesforce"], now=7)
    theirs = {("0", "config"), ("0", "config:salesforce"), ("", "configuration")}
    with state.begin() as tx:  # notes of others, which say nothing of that
        for crm, name in theirs:
            tx.execute(schema.note.insert().values(crm=crm, name=name, value="a"))
    assert act(state, run_journal.adopted_config) == ("b", "text of b")
    assert act(state, run_journal.adopted_configs) == {"hubspot": "a", "salesforce": "b"}
    assert [(row["hash"], row["at"]) for row in rows(state, schema.model_version)] == [("a", 5), ("b", 6)]
    adopt(state, "c", ["hubspot"], configured=["hubspot"])
    assert act(state, run_journal.adopted_configs) == {"hubspot": "c"}
    assert {(row["crm"], row["name"]) for row in rows(state, schema.note) if row["value"] == "a"} == theirs


def test_the_daemon_at_work_says_by_which_config(state):
    assert act(state, run_journal.worker_config) == ""
    act(state, run_journal.set_worker_config, "c")
    assert act(state, run_journal.worker_config) == "c"


def test_everything_was_last_pulled_by_the_latest_full_run_that_ended_well_else_by_the_first_run(state):
    assert act(state, run_journal.last_full_pull, 99) is None
    begin(state, "first", 10, verdict="failed")
    begin(state, "later", 20, verdict="ok")
    assert act(state, run_journal.last_full_pull, 99) == 10
    assert act(state, run_journal.last_full_pull, 9) is None
    for at, command, verdict in (
        (30, "backfill", "ok"), (40, "full_resync", "partial"), (50, "backfill", "held"),
        (60, "backfill", "failed"), (70, "sync", "ok"), (80, "backfill", "ok"),
    ):  # fmt: skip
        begin(state, f"r{at}", at, command, verdict)
    answers = {now: act(state, run_journal.last_full_pull, now) for now in (29, 30, 49, 59, 79, 80)}
    assert answers == {29: 10, 30: 30, 49: 40, 59: 50, 79: 50, 80: 80}
