"""What is decided of one person and remembered of them: values in, what is to be stored out."""

import pytest

from crmsync.model import Ref, Standing
from crmsync.planning.desk import Account
from crmsync.planning.person_plan import UNDONE_OWNER
from crmsync.routing.assignment import NO_ASSIGNMENT, HandOff
from crmsync.routing.decisions import RoutingDecision
from crmsync.routing.feedback import TagOutcome, TagState
from crmsync.routing.lifecycle import StageMove, StageReason, StageState
from crmsync.routing.rebuilt_turns import TurnCounter
from crmsync.routing.tasks import Handed, Tagged
from crmsync.store.hand_offs import NewEntry
from crmsync.store.scores import Decided, StoredScore
from tests.support.deciding import DAY, HUBSPOT, MS, SALESFORCE, decide, decision, desk, held, lead, scored, written
from tests.support.make import config

KEPT = {"hubspot": "crmsync_x", "salesforce": "X__c"}


def before(**over):
    return StoredScore(**{"band": "cold", "ledger": b"", "ledger_before": None, "due": 0, "plan": "", **over})


def sales(at):
    return [each for each in at.work.config.route if each.name == "Sales"]


# Where somebody has records


def test_a_record_that_takes_no_part_is_counted_and_decided_about_as_soon_as_its_crm_is_back():
    at = desk([HUBSPOT])
    decide(at, scored(), held(), lead(), lead(id=3), lead(id=4, ref=Ref("pipedrive", "contact", "9")))
    assert written(at) == {1: {"score": 65}}
    assert at.again == {2, 3}
    assert at.rescored == {HUBSPOT: 1, SALESFORCE: 2, "pipedrive": 1}


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
    assert told._replace(owner_why="") == Decided(1, "", "", "", None, "", "", "", None, "", "{}", "")
    assert told.owner_why == "excluded: a rival"
    clear = {"exclude": {"addresses": ["a@b.example"], "clear": True}}
    clears = desk([HUBSPOT], tables=clear)
    clears.leave_out(excluded, [held(**ours), lead(**ours)])
    assert written(clears) == {1: {"score": None}}
    waits = desk(takes=lambda person, crm: (person, crm) == (1, SALESFORCE), tables=clear)
    waits.leave_out(excluded, [held(**ours), lead(**ours)])
    assert written(waits) == {2: {"score": None}}
    on_track = desk(tables=clear | {"write": {**config().write.model_dump(), "fields": {"track": KEPT}}})
    on_track.leave_out(excluded, [held(current={"track": "nurture"})])
    assert written(on_track) == {1: {"track": None}}


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
    assert (told.track, written(at), told.route) == ("t", {1: {"track": "t"}}, "")
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


def test_the_band_of_the_hand_off_is_the_one_that_the_file_names():
    at = desk(tables={"outcome": {"line": "warm"}})
    for band in ("cold", "warm", "mql"):
        decide(at, scored(decision=decision("", routes=sales(at)), band=band), held())
    assert len(at.entries) == 2


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
