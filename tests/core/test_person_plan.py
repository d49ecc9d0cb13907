"""What is decided of one person, record by record: values in, what is to be journaled and stored out."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from crmsync.connector import FieldMap
from crmsync.model import Change, Protection, Ref, Standing
from crmsync.planning.changes import Ladder
from crmsync.planning.desk import Account, Setting
from crmsync.planning.person_plan import UNDONE_OWNER, PlanBuilder
from crmsync.planning.scored_people import Scored
from crmsync.routing.assignment import NO_ASSIGNMENT, HandOff
from crmsync.routing.decisions import RoutingDecision
from crmsync.routing.feedback import TagOutcome, TagState
from crmsync.routing.lifecycle import StageMove, StageReason, StageState
from crmsync.routing.owners import owners_of
from crmsync.routing.rebuilt_turns import TurnCounter
from crmsync.routing.tasks import Handed, Tagged
from crmsync.store import schema
from crmsync.store.hand_offs import NewEntry
from crmsync.store.overrides import OwnerOverride, StageOverride
from crmsync.store.scores import Override, StoredScore
from crmsync.store.sql import to_ms
from crmsync.work import Work
from tests.core.test_plan import held
from tests.support.make import MODEL, NOW, config, owners
from tests.support.state import rows

HUBSPOT, SALESFORCE = BOTH = ("hubspot", "salesforce")
MS, DAY = to_ms(NOW), 86_400_000
MAPPED = MODEL + 'stage_reason = { hubspot = "why" }\nstage_since = { hubspot = "since" }\n'
KEPT = {"hubspot": "crmsync_x", "salesforce": "X__c"}


def desk(crms=BOTH, takes=lambda _person, _crm: True, judged=None, model=MODEL, tables=None, **setting):
    """A plan in the making; CRMs besides `crms` are skipped in this run."""
    everybody = owners_of([*owners(HUBSPOT), *owners(SALESFORCE)], ())
    given = Setting(crms, everybody, {(HUBSPOT, "contact"): ("lead", "marketingqualifiedlead")}, **setting)
    work = Work(config(model, **(tables or {})), None, dict.fromkeys(BOTH), NOW)
    return PlanBuilder(work, given, "run", takes, judged or {})


def lead(**over):
    return held(**{"id": 2, "ref": Ref(SALESFORCE, "lead", "00Q1"), **over})


def decision(stage="lead", wanted=None, why="stays", routes=(), tag=None, leaves="", track=""):
    move = StageMove(StageState(stage), wanted, why, leaves)
    return RoutingDecision(move, track, routes, tag or TagOutcome())


def scored(**over):
    given = {
        "person": 1, "total": 6500, "band": "mql", "email": "ada@x.example", "score_fields": {"score": 65},
        "because": "65 points", "edited": (), "is_new": False, "before": None, "decision": decision(), **over,
    }  # fmt: skip
    return Scored(**given)


def before(**over):
    return StoredScore(**{"band": "cold", "ledger": b"", "ledger_before": None, "due": 0, "plan": "", **over})


def decide(at, person, *records, given=NO_ASSIGNMENT):
    """What is stored of a person when they are decided about."""
    at.decide_all(person, records, given)
    return at.decided[-1]


def written(at):
    """The values to write, by row id."""
    return {row: dict(change.after) for row, change in at.changes}


def sales(at):
    return [each for each in at.work.config.route if each.name == "Sales"]


# Where somebody has records


def test_a_record_that_takes_no_part_is_counted_and_decided_about_as_soon_as_its_crm_is_back():
    at = desk([HUBSPOT])
    decide(at, scored(), held(), lead(), lead(id=3, ref=Ref("pipedrive", "contact", "9")))
    assert written(at) == {1: {"score": 65}}
    assert at.again == {2}
    assert at.rescored == {HUBSPOT: 1, SALESFORCE: 1, "pipedrive": 1}


def test_whose_score_waits_in_one_crm_is_written_in_the_other():
    asked = []

    def takes(person, crm):
        asked.append((person, crm))
        return crm == SALESFORCE

    at = desk(takes=takes)
    decide(at, scored(), held(), lead())
    assert (written(at), at.again, asked) == ({2: {"score": 65}}, set(), [(1, HUBSPOT), (1, SALESFORCE)])


def test_of_whom_the_file_leaves_out_nothing_is_written_but_what_clear_takes_away():
    ours = {"current": {"score": 65}}
    excluded = scored(excluded="a rival", decision=None, score_fields={"score": None})
    at = desk()
    at.leave_out(excluded, [held(**ours), lead(**ours)])
    assert at.changes == []
    (told,) = at.decided
    assert (told.stage_why, told.owner_why, told.waiting, told.destination) == ("", "excluded: a rival", "", "")
    clears = desk([HUBSPOT], tables={"exclude": {"addresses": ["a@b.example"], "clear": True}})
    clears.leave_out(excluded, [held(**ours), lead(**ours)])
    assert written(clears) == {1: {"score": None}}
    waits = desk(takes=lambda *_: False, tables={"exclude": {"addresses": ["a@b.example"], "clear": True}})
    waits.leave_out(excluded, [held(**ours)])
    assert waits.changes == []


# What is said of it


def test_a_reason_is_told_once_where_it_is_that_of_every_record_and_else_record_by_record():
    gives = {1: "next in turn", 2: "next in turn"}
    one = decide(desk(), scored(), held(), lead(), given=NO_ASSIGNMENT._replace(why=gives))
    assert (one.owner_why, one.stage_why) == ("next in turn", "stays")
    gives = {1: "next in turn", 2: "same owner as before"}
    moves = scored(decision=decision("mql", "mql", "enters mql"))
    two = decide(desk(), moves, held(stage="mql"), lead(stage="lead"), given=NO_ASSIGNMENT._replace(why=gives))
    assert two.owner_why == "hubspot:contact:1: next in turn; salesforce:lead:00Q1: same owner as before"
    assert two.stage_why == "hubspot:contact:1: already mql; salesforce:lead:00Q1: moves forward to mql"


def test_who_waits_for_an_owner_is_told_why_and_since_when():
    waits = NO_ASSIGNMENT._replace(waiting={1: "no member is active"})
    new = decide(desk(), scored(), held(), given=waits)
    assert (new.owner_why, new.waiting) == ("none yet, because no member is active", "no member is active")
    assert (new.waiting_since, new.destination) == (MS, "waiting")
    again = decide(desk(), scored(before=before(waiting="nobody", waiting_since=7)), held(), given=waits)
    assert again.waiting_since == 7
    came_back = decide(desk(), scored(before=before(waiting_since=7)), held(), given=waits)
    assert came_back.waiting_since == MS
    assert decide(desk(), scored(before=before(waiting="nobody", waiting_since=7)), held()).waiting_since is None


def undone(name, value):
    return {"undone": {name: {"value": value, "run": "r1", "configs": []}}}


def test_whose_owner_was_undone_waits_for_them_unless_somebody_else_has_the_person():
    gives = NO_ASSIGNMENT._replace(owner_of={1: "hubspot-ann"}, why={1: "next in turn"})
    at = desk()
    alone = decide(at, scored(), held(**undone("owner", "hubspot-ann")), given=gives)
    assert (alone.owner_why, alone.waiting) == (f"none yet, because {UNDONE_OWNER}", UNDONE_OWNER)
    assert at.undone[0][0] == 1
    assert at.undone_owners == {1}
    owned = decide(desk(), scored(), held(owner="hubspot-bob", **undone("owner", "hubspot-ann")), given=gives)
    assert (owned.owner_why, owned.waiting) == (f"the owner stays: {UNDONE_OWNER}", "")
    at = desk()
    score = decide(at, scored(), held(**undone("score", 65)), given=gives)
    assert (score.owner_why, at.undone_owners) == ("next in turn", set())


@pytest.mark.parametrize(
    ("routes", "records", "why"),
    [
        ([{"name": "Sales", "to": "sales"}], [held()], "[[route]] Sales leads to sales"),
        ([{"name": "Sales", "to": "sales"}], [held(owner="hubspot-eve")],
         "the owner stays; [[route]] Sales leads to sales"),
        ([{"name": "Sales", "to": "sales"}], [held(owner="hubspot-ann"), lead(owner="salesforce-bob")],
         "the owner is active"),
        ([{"name": "Sales", "to": "sales"}], [held(owner="hubspot-ann"), lead()],
         "the owner stays; [[route]] Sales leads to sales"),
        ([], [held()], "the file has no [[route]]"),
        ([], [held(owner="hubspot-eve")], "the owner stays; the file has no [[route]]"),
        ([{"name": "Sales", "to": "sales"}],
         [held(owner="hubspot-ann", overrides={"owner": {"value": "hubspot-ann", "since": MS}})],
         "protected: changed by a user"),
        ([{"name": "Sales", "to": "sales"}],
         [held(owner="hubspot-ann", overrides={"owner": {"value": "hubspot-ann", "since": MS - 14 * DAY}})],
         "the owner is active"),
    ],
)  # fmt: skip
def test_why_nobody_gets_the_person_is_said(routes, records, why):
    at = desk(tables={"route": routes})
    assert decide(at, scored(decision=decision(routes=at.work.config.route)), *records).owner_why == why


def test_who_is_not_routed_is_told_why():
    assert decide(desk(), scored(), held()).owner_why == "not routed: stays"
    assert decide(desk(), scored(), held(owner="hubspot-eve")).owner_why == "the owner stays; not routed: stays"
    write = {**config().write.model_dump(), "owner": False}
    assert decide(desk(tables={"write": write}), scored(), held()).owner_why == "[write] owner is false"


# Where somebody goes


@pytest.mark.parametrize(
    ("records", "goes"),
    [
        ([held()], ("nurture", "nurture")),
        ([held(owner="hubspot-ann")], ("owned", "mine")),
        ([held(owner="hubspot-eve")], ("nurture", "nurture")),
    ],
)
def test_a_route_to_a_track_leads_whom_nobody_owns(records, goes):
    at = desk()
    nurture = [each for each in at.work.config.route if each.to == "nurture"]
    told = decide(at, scored(decision=decision(routes=nurture, track="mine")), *records)
    assert (told.destination, told.track, told.route) == (*goes, "Everybody else")


def test_who_gets_an_owner_now_is_owned_and_on_no_track_of_a_route():
    at = desk()
    nurture = [each for each in at.work.config.route if each.to == "nurture"]
    gives = NO_ASSIGNMENT._replace(owner_of={1: "hubspot-ann"}, routes={1: "Sales"})
    told = decide(at, scored(decision=decision(routes=nurture, track="mine")), held(), given=gives)
    assert (told.destination, told.track, told.route) == ("owned", "mine", "Sales")


def test_the_track_of_a_given_route_counts_before_all_and_is_written_where_it_is_mapped():
    write = {**config().write.model_dump(), "fields": {"track": KEPT}}
    at = desk(tables={"write": write})
    told = decide(at, scored(decision=decision(track="mine")), held(), given=NO_ASSIGNMENT._replace(tracks={1: "t"}))
    assert (told.track, written(at)) == ("t", {1: {"track": "t"}})
    at = desk(tables={"write": write})
    assert decide(at, scored(), held()).track == ""
    assert at.changes == []  # "" is no value: the field is empty already


@pytest.mark.parametrize(
    ("to", "pools", "owner", "routes", "goes"),
    [
        ("queue:Inbound", [], "salesforce-queue", {1: "Queue"}, "owned"),
        ("queue: inbound ", [], "salesforce-queue", {1: "Queue"}, "owned"),
        ("queue:Inbound", [], "salesforce-queue", {}, "nurture"),  # no route has decided
        ("queue:Inbound", [], None, {1: "Queue"}, "nurture"),
        ("queue:Other", [], "salesforce-queue", {1: "Queue"}, "nurture"),
        ("sales", ["queue:Inbound"], "salesforce-queue", {1: "Queue"}, "owned"),
        ("sales", ["ann@acme.example"], "salesforce-queue", {1: "Queue"}, "nurture"),
        ("sales", [None], "salesforce-queue", {1: "Queue"}, "nurture"),
    ],
)
def test_a_lead_in_a_queue_that_a_route_or_a_pool_leads_to_is_where_it_should_be(to, pools, owner, routes, goes):
    pool = {"name": "sales", "members": ["ann@acme.example"]}
    made = [{**pool, "fallback": each} if each else pool for each in pools or [None]]
    at = desk(tables={"route": [{"name": "Queue", "to": to}], "owner_pool": made})
    person = scored(decision=decision(routes=at.work.config.route))
    assert (
        decide(at, person, held(), lead(owner=owner), given=NO_ASSIGNMENT._replace(routes=routes)).destination == goes
    )


def test_whom_a_tag_keeps_back_is_disqualified_or_nurtured_and_whom_the_crm_took_further_is_its_own():
    recycled = TagOutcome(TagState("later"), "recycle", MS + 1, "later")
    bad = TagOutcome(TagState("bad"), "disqualify", None, "bad")
    assert decide(desk(), scored(decision=decision(tag=recycled)), held()).destination == "nurture"
    assert decide(desk(), scored(decision=decision(tag=bad)), held()).destination == "disqualified"
    at = desk()
    assert decide(at, scored(), held()).destination == "crm_owned"
    assert at.not_routed == {1}
    assert decide(desk(tables={"route": []}), scored(), held()).destination == "nurture"


# What is remembered


def test_a_hand_off_is_kept_with_score_stage_model_and_why():
    at = desk()
    gives = NO_ASSIGNMENT._replace(hand_offs={1: HandOff("ann@acme.example", "Sales", "sales", "next in turn")})
    decide(at, scored(decision=decision("mql", "mql", "enters", sales(at))), held(), given=gives)
    assert at.hand_offs == [{
        "person": 1, "run": "run", "at": MS, "owner": "ann@acme.example", "route": "Sales", "pool": "sales",
        "why": "next in turn", "rerouted": False, "stage": "mql", "band": "mql", "total": 6500,
        "model": at.work.config.model_hash(),
    }]  # fmt: skip
    assert at.handed == [Handed(1, "ann@acme.example", "65 points", "next in turn")]
    assert at.entries == [NewEntry(1, "mql", "ann@acme.example")]
    assert at.not_routed == set()


def test_what_is_decided_of_somebody_is_stored_as_it_was_decided():
    at = desk()
    state = StageState("mql", 5, "lead", {"sql": 9})
    tag = TagOutcome(TagState("good", 3, "lead"), "keep")
    made = RoutingDecision(StageMove(state, None, "stays"), "mine", sales(at), tag)
    told = decide(at, scored(decision=made, entry=StageReason("mql", "enters", 4)), held(owner="hubspot-ann"))
    assert told == (
        1, "stays", "the owner is active", "", None, "owned", "Sales", "mql", 5, "lead", '{"sql":9}', "mine",
        "good", 3, "lead", "enters", 4,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "wanted", "last", "band", "enters"),
    [
        ("mql", "mql", None, "cold", True),
        ("mql", None, None, "cold", False),  # at first sight nobody knows when a user gave it
        ("mql", None, {"stage": "lead"}, "cold", True),
        ("mql", None, {"stage": "mql"}, "cold", False),
        ("", None, {"stage": "mql"}, "cold", False),
        ("lead", None, {"stage": "lead"}, "mql", True),  # up into the band of the hand-off
        ("lead", None, {"stage": "lead", "band": "mql"}, "mql", False),
        ("lead", None, {"stage": "lead", "band": "warm"}, "warm", False),
        ("", None, None, "mql", True),
    ],
)
def test_an_entry_into_a_stage_or_the_band_of_the_hand_off_is_kept_once(stage, wanted, last, band, enters):
    at = desk()
    person = scored(decision=decision(stage, wanted, "", sales(at)), band=band, before=last and before(**last))
    decide(at, person, held(owner="hubspot-bob"))
    assert at.entries == ([NewEntry(1, stage, "bob@acme.example")] if enters else [])


def test_who_is_not_in_play_or_left_out_enters_no_band_and_who_has_no_owner_enters_with_none():
    at = desk()
    decide(at, scored(decision=decision("")), held())
    at.leave_out(scored(decision=None, excluded="a rival"), [held()])
    assert at.entries == []
    decide(at, scored(decision=decision("mql", "mql")), held())
    assert at.entries == [NewEntry(1, "mql", "")]


def test_a_tag_that_asks_for_a_task_is_noted_once_and_where_somebody_can_do_it():
    asks = TagOutcome(TagState("call", MS), "task")
    for tag, owner, noted in [
        (asks, "hubspot-ann", [Tagged(1, "ann@acme.example", "call", "65 points")]),
        (asks, None, []),
        (asks._replace(action="keep"), "hubspot-ann", []),
        (asks._replace(state=TagState("call", MS - 1)), "hubspot-ann", []),
    ]:
        at = desk()
        decide(at, scored(decision=decision(tag=tag)), held(owner=owner))
        assert at.tagged == noted


def test_turns_are_counted_by_owner_and_worth_and_not_of_who_came_by_the_account():
    pool = {"name": "sales", "members": ["ann@acme.example", "bob@acme.example"]}
    routes = [
        {"name": "A", "to": "account_owner"},
        {"name": "C", "to": "colleague_owner"},
        {"name": "S", "to": "sales"},
    ]
    at = desk(tables={"owner_pool": [pool], "route": routes})
    person = scored(decision=decision(routes=at.work.config.route), worth={"sales": 300})
    at.count_turn(person, [held(owner="hubspot-ann")])  # turns are not counted again
    at.turns = TurnCounter(at.work.config.owner_pool)
    at.count_turn(person, [held(owner="hubspot-ann")])
    at.count_turn(person, [held()])
    at.count_turn(person._replace(decision=None), [held(owner="hubspot-ann")])
    for account in (Account(owners=["ann@acme.example"]), Account(colleague_records={"ann@acme.example": 2})):
        at.count_turn(person._replace(account=account), [held(owner="hubspot-ann")])
    assert at.turns.counts == {"sales": {"ann@acme.example": Standing(1, 300)}}


# What is written


def test_a_record_gets_what_is_right_for_it_and_the_plan_knows_whom_it_decided_about():
    at = desk()
    at.decided_refs = set()
    gives = NO_ASSIGNMENT._replace(owner_of={1: "hubspot-ann"})
    decide(
        at, scored(decision=decision("mql", "mql", "enters mql")), held(stage="lead"), lead(stage="lead"), given=gives
    )
    assert written(at) == {
        1: {"score": 65, "stage": "mql", "owner": "hubspot-ann"},
        2: {"score": 65, "stage": "mql"},
    }
    assert {change.because for _row, change in at.changes} == {"65 points"}
    assert at.decided_refs == {held().ref, lead().ref}


@pytest.mark.parametrize(("name", "value"), [("stage", "mql"), ("owner", "hubspot-ann")])
def test_what_the_file_says_not_to_write_is_not_written(name, value):
    at = desk(tables={"write": {**config().write.model_dump(), name: False}})
    gives = NO_ASSIGNMENT._replace(owner_of={1: "hubspot-ann"})
    decide(at, scored(decision=decision("mql", "mql")), held(stage="lead"), given=gives)
    both = {"score": 65, "stage": "mql", "owner": "hubspot-ann"}
    assert written(at) == {1: {each: wanted for each, wanted in both.items() if each != name}}
    assert both[name] == value


def test_who_leaves_a_stage_goes_back_where_the_crm_takes_that_and_by_the_order_that_it_has():
    leaves = scored(decision=decision("lead", "lead", "left mql", leaves="mql"))
    at = desk()
    assert decide(at, leaves, held(stage="mql")).stage_why == "left mql"
    assert written(at)[1]["stage"] == "lead"
    at = desk(tables={"hubspot": {"backward_stages": False}})
    assert "moves stages only forward" in decide(at, leaves, held(stage="mql")).stage_why
    assert "stage" not in written(at)[1]
    earns = scored(decision=decision("mql", "mql"))
    at = desk()
    decide(at, earns, held(stage="subscriber"))  # neither the file nor the CRM has it
    assert at.protected[HUBSPOT] == {"stage_not_in_config": 1}
    assert [(row, each.why) for row, each in at.protections] == [(1, "stage_not_in_config")]
    at.setting.orders[HUBSPOT, "contact"] = ("subscriber", "marketingqualifiedlead")
    decide(at, earns, held(stage="subscriber"))
    assert written(at)[1]["stage"] == "mql"


def test_a_move_by_too_little_is_counted_once_a_person_and_not_written():
    write = {**config().write.model_dump(), "at_least": 5}
    at = desk(tables={"write": write})
    near = {"current": {"score": 63}, "last_written": {"score": 63}}
    decide(at, scored(), held(**near), held(id=3, ref=Ref(HUBSPOT, "contact", "3"), **near), lead())
    assert (at.small_moves, written(at)) == ({HUBSPOT: {1}, SALESFORCE: set()}, {2: {"score": 65}})


def test_a_record_is_looked_at_again_when_a_users_choice_or_a_cool_down_ends_whichever_is_first():
    lease = {"stage": {"value": "lead", "since": MS - DAY}}
    at = desk()
    decide(at, scored(), held(stage="lead", overrides=lease), lead())
    assert at.overrides == {1: Override(lease, MS + 13 * DAY)}
    over = {"stage": {"value": "lead", "since": MS - 14 * DAY}}
    decide(at, scored(), held(stage="lead", overrides=over), lead())
    assert at.overrides == {1: Override({}, None)}
    cools = decision()
    cools = cools._replace(move=cools.move._replace(state=StageState("lead", cool_downs={"mql": MS + 2})))
    decide(at, scored(decision=cools), held(stage="lead", overrides=lease), lead())
    assert at.overrides == {1: Override(lease, MS + 2), 2: Override({}, MS + 2)}


def test_what_others_keep_changing_back_is_given_up_after_as_many_times_as_the_file_says():
    again = {"last_written": {"score": 65}, "current": {"score": 1}, "attempts": 1}
    at = desk()
    decide(at, scored(), held(**again))
    assert (at.given_up, written(at)) == ([], {1: {"score": 65}})
    at = desk(tables={"truth": {"flips": 2}})
    decide(at, scored(), held(**again))
    assert [(row, change.after) for row, change in at.given_up] == [(1, {"score": 65})]
    assert (written(at), at.protected[HUBSPOT]) == ({}, {"changed_back_by_others": 1})


def test_a_score_that_may_lack_half_of_what_is_known_waits_and_a_first_one_does_not():
    at = desk(unread=[SALESFORCE])
    decide(at, scored(), held(current={"score": 1, "band": "cold"}), held(id=3, ref=Ref(HUBSPOT, "contact", "3")))
    assert written(at) == {3: {"score": 65}}
    assert at.again == {1}
    assert at.protections == [(1, Protection("salesforce_was_never_read", "score", 1, 65))]
    assert at.protected == {HUBSPOT: {"salesforce_was_never_read": 1}, SALESFORCE: {}}


def test_a_record_with_several_fields_that_stay_for_one_reason_counts_once():
    chosen = {name: {"value": "x", "since": MS} for name in ("stage", "owner")}
    at = desk(unread=[SALESFORCE])
    two = scored(score_fields={"score": 65, "fit": 30})
    decide(
        at, two, held(current={"score": 1}), held(id=3, stage="lead", owner="x", overrides=chosen, current={"score": 1})
    )
    assert at.protected[HUBSPOT] == {"salesforce_was_never_read": 2}
    assert [row for row, _each in at.protections] == [1, 1, 3, 3]


@pytest.mark.parametrize(
    ("over", "setting", "is_odd"),
    [
        ({}, {}, False),
        ({"edited": {1}}, {}, True),
        ({"edited": {2}}, {}, False),
        ({"is_new": True}, {}, True),
        ({}, {"edited": [HUBSPOT]}, True),
        ({}, {"edited": [SALESFORCE]}, False),
    ],
)
def test_a_score_is_odd_where_somebody_edited_the_record_or_the_file_or_nobody_scored_them_yet(over, setting, is_odd):
    at = desk(**setting)
    decide(at, scored(**over), held(current={"score": 1}))
    assert at.tallies[HUBSPOT].odd == ({1} if is_odd else set())
    assert at.tallies[HUBSPOT].people["scores"] == ([1] if is_odd else [])
    assert at.tallies[SALESFORCE].people["records"] == []


@pytest.mark.parametrize(("judged", "counted"), [({}, [1]), ({1: '{"score":65}'}, []), ({1: '{"score":64}'}, [1])])
def test_what_an_interrupted_run_was_about_to_write_is_nothing_new(judged, counted):
    at = desk(judged=judged)
    decide(at, scored(), held())
    assert (at.tallies[HUBSPOT].people["records"], at.tallies[HUBSPOT].people["first"]) == ([1], counted)


def test_who_gets_a_stage_is_scored_again_where_a_rule_reads_the_stage():
    moves = scored(decision=decision("mql", "mql"))
    reads = MODEL.replace('field = "employees", gt = 200', 'field = "stage", is = "mql"')
    for model, wanted, again in [(MODEL, moves, set()), (reads, moves, {1}), (reads, scored(), set())]:
        at = desk(model=model)
        decide(at, wanted, held(stage="lead"))
        assert at.again == again


# What users took back


def test_the_owner_whom_a_user_took_the_person_from_is_noted():
    def noted(written_owner, value):
        at = desk()
        record = held(
            person=7, last_written={"owner": written_owner}, overrides={"owner": {"value": value, "since": 5}}
        )
        decide(at, scored(), record)
        return at.owner_overrides

    ann = [OwnerOverride(7, "ann@acme.example", 5)]
    assert (
        noted("hubspot-ann", "hubspot-bob") == noted("hubspot-ann", None) == noted("hubspot-ann", "hubspot-eve") == ann
    )
    assert noted("hubspot-ann", "hubspot-ann") == []
    assert noted("hubspot-eve", "hubspot-bob") == []  # she had left: somebody had to take over
    at = desk()
    decide(
        at,
        scored(),
        held(last_written={"owner": "hubspot-ann"}),
        held(overrides={"owner": {"value": None, "since": 5}}),
    )
    assert at.owner_overrides == []


def test_the_stage_from_which_a_user_moved_a_record_back_is_noted():
    at = desk()
    back = {"last_written": {"stage": "mql"}, "overrides": {"stage": {"value": "lead", "since": 5}}}
    decide(at, scored(), held(**back), lead(last_written={"stage": "mql"}))
    assert at.stage_overrides == [StageOverride(1, "mql", 5)]


# What score fields say of a stage


def told_of(at, *records, entry=StageReason("mql", "enters mql", MS - 10 * DAY), **over):
    decide(at, scored(decision=decision("mql", **over), entry=entry, score_fields={}), *records)
    return [written(at).get(each.id) for each in records]


def test_since_when_a_stage_is_there_is_told_by_the_day_of_the_zone_of_the_file():
    there = held(stage="mql")
    assert told_of(desk(model=MAPPED), there) == [{"stage_reason": "enters mql", "stage_since": "2026-11-11"}]
    late = {"tables": {"schedule": {"timezone": "Pacific/Kiritimati"}}}  # where it is the next day already
    assert told_of(desk(model=MAPPED, **late), there)[0]["stage_since"] == "2026-11-12"
    unknown = StageReason("mql", "it was the stage when crmsync began")
    assert told_of(desk(model=MAPPED), there, entry=unknown) == [
        {"stage_reason": "it was the stage when crmsync began"}
    ]
    comes = held(stage="lead")
    assert told_of(desk(model=MAPPED), comes, wanted="mql")[0]["stage_since"] == "2026-11-21"
    assert told_of(desk(model=MAPPED), held(stage="lead", current={"stage_since": "x"})) == [{"stage_since": None}]


def test_a_stage_that_a_user_chose_for_one_record_says_so_with_the_day_on_which_it_was_noticed():
    chosen = held(stage="lead", overrides={"stage": {"value": "lead", "since": MS - 3 * DAY}})
    assert told_of(desk(model=MAPPED), chosen) == [{"stage_reason": "set by a user", "stage_since": "2026-11-18"}]


@pytest.mark.parametrize("field", ["stage_reason", "stage_since"])
def test_one_of_the_two_fields_may_be_mapped_alone(field):
    model = MODEL + f'{field} = {{ hubspot = "it" }}\n'
    values = {"stage_reason": "enters mql", "stage_since": "2026-11-11"}
    assert told_of(desk(model=model), held(stage="mql")) == [{field: values[field]}]
    assert told_of(desk(), held(stage="mql")) == [None]


# The CRM that leads


def truth(**leads):
    return {"tables": {"truth": leads}}


def test_the_furthest_stage_of_the_crm_that_leads_is_carried_and_an_earned_one_goes_ahead_of_it():
    theirs = lead(stage="lead"), lead(id=3, ref=Ref(SALESFORCE, "contact", "003"), stage="mql"), lead(id=4, stage="?")
    at = desk(**truth(stage=SALESFORCE))
    assert "hubspot:contact:1: mql, as in salesforce" in decide(at, scored(), held(stage="lead"), *theirs).stage_why
    assert {row: after.get("stage") for row, after in written(at).items()} == {1: "mql", 2: None, 3: None, 4: None}
    earns = scored(decision=decision("mql", "mql"))
    for chosen, stage in [({}, "mql"), ({"stage": {"value": "lead", "since": MS}}, "lead")]:
        at = desk(**truth(stage=SALESFORCE))
        decide(at, earns, held(), lead(stage="lead", overrides=chosen))
        assert written(at)[1]["stage"] == stage
    same = desk(**truth(stage=SALESFORCE))
    assert "mql, as in salesforce" in decide(same, earns, held(stage="lead"), lead(stage="mql")).stage_why
    none = desk(**truth(stage=SALESFORCE))
    decide(none, earns, held(stage="lead"), lead(stage="?"))
    assert written(none)[1]["stage"] == "mql"


def test_a_stage_goes_back_with_the_crm_that_leads_and_not_with_the_other():
    behind = held(stage="mql"), lead(stage="lead")
    for leads, goes in [(SALESFORCE, {1: "lead", 2: None}), (HUBSPOT, {1: None, 2: "mql"})]:
        at = desk(**truth(stage=leads))
        decide(at, scored(), *behind)
        assert {row: after.get("stage") for row, after in written(at).items()} == goes


def test_the_owner_in_the_crm_that_leads_is_carried_the_one_of_this_run_too():
    at = desk(**truth(owner=SALESFORCE))
    decide(at, scored(), held(owner="hubspot-ann"), lead(owner="salesforce-eve"), lead(id=3, owner="salesforce-bob"))
    assert {row: after.get("owner") for row, after in written(at).items()} == {1: "hubspot-bob", 2: None, 3: None}
    at = desk(**truth(owner=SALESFORCE))
    decide(at, scored(), held(), lead(), given=NO_ASSIGNMENT._replace(owner_of={2: "salesforce-bob"}))
    assert written(at)[1]["owner"] == "hubspot-bob"
    for theirs in ("salesforce-eve", "005X", None):  # who left, whom HubSpot does not have, nobody
        at = desk(**truth(owner=SALESFORCE))
        decide(at, scored(), held(owner="hubspot-ann"), lead(owner=theirs))
        assert "owner" not in written(at)[1]
    at = desk(**truth(owner=SALESFORCE))
    gives = NO_ASSIGNMENT._replace(owner_of={1: "hubspot-ann"})
    decide(at, scored(), held(owner="hubspot-bob"), lead(owner="salesforce-bob"), given=gives)
    assert written(at)[1]["owner"] == "hubspot-ann"  # it differs from what is there, which is as it leads


# The journal


def test_what_was_decided_is_journaled_once(state):
    at = desk(unread=[SALESFORCE])
    decide(at, scored(), held(), lead(current={"score": 1}))
    for _ in range(2):
        with state.begin() as tx:
            at.journal_changes(tx)
    (change,) = rows(state, schema.change)
    assert (change["run"], change["record"], change["after"], change["at"]) == ("run", 1, '{"score":65}', MS)
    (stays,) = rows(state, schema.protected)
    assert (stays["run"], stays["record"], stays["field"]) == ("run", 2, "score")
