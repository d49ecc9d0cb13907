"""What a run writes to the records of one person, and what it leaves: values in, changes out."""

import pytest

from crmsync.model import Protection, Ref
from crmsync.routing.assignment import NO_ASSIGNMENT
from crmsync.routing.lifecycle import StageReason, StageState
from crmsync.store import schema
from crmsync.store.overrides import OwnerOverride, StageOverride
from crmsync.store.scores import Override
from tests.support.deciding import DAY, HUBSPOT, MS, SALESFORCE, decide, decision, desk, held, lead, scored, written
from tests.support.make import MODEL, config
from tests.support.state import rows

MAPPED = MODEL + 'stage_reason = { hubspot = "why" }\nstage_since = { hubspot = "since" }\n'


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


ENTERED = StageReason("mql", "enters mql", MS - 10 * DAY)


def told_of(at, *records, entry=ENTERED, **over):
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


def test_the_furthest_stage_is_so_by_the_order_of_the_file():
    stages = [{"name": name, "values": {HUBSPOT: name, SALESFORCE: name}} for name in ("new", "known", "lead")]
    at = desk(tables={"stage": stages, "truth": {"stage": SALESFORCE}})
    decide(
        at, scored(), held(), *(lead(id=place, stage=name) for place, name in enumerate(("known", "new", "lead"), 2))
    )
    assert written(at)[1]["stage"] == "lead"


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
