"""Stages: who enters and leaves them, and that deciding twice decides nothing new."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.config.conditions import Condition
from crmsync.config.deciding import Stage
from crmsync.routing.lifecycle import RecordStage, StageState, decide_stage, find_recycled_track, find_stage
from tests.support.make import NOW

AT = int(NOW.timestamp() * 1000)
DAY = 86_400_000
WHEN = Condition(field="score", lt=5)
CRM_OWNED = ("customer",)


def stage(name, **more):
    return Stage(name=name, values={}, **({"exit": WHEN} if more else {}), **more)


PLAIN = [stage("lead"), stage("mql"), stage("sql")]


def decide(current, enters=(), exits=(), stages=PLAIN, state=None, now=AT):
    """Where somebody goes from a stage; what they earn and leave has its own name as the reason."""
    state = StageState(current) if state is None else state
    enters, exits = {each: f"earns {each}" for each in enters}, {each: f"loses {each}" for each in exits}
    return decide_stage(stages, CRM_OWNED, state, current, enters, exits, now)


def test_the_furthest_stage_that_is_earned_is_entered():
    move = decide("lead", enters=["lead", "mql", "sql"])
    assert (move.state, move.wanted, move.why) == (StageState("sql", AT), "sql", "enters sql: earns sql")
    assert decide("", enters=["mql"]).wanted == "mql"


def test_nobody_moves_back_because_they_earn_less():
    move = decide("sql", enters=["lead"])
    assert move.state == StageState("sql")
    assert move.leaves == ""
    assert move.why == "stays sql, which is further along than lead"


def test_who_leaves_goes_to_the_stage_before():
    move = decide("sql", exits=["sql"])
    assert move.state == StageState("mql", AT, "sql")
    assert (move.wanted, move.leaves, move.why) == ("mql", "sql", "leaves sql: loses sql; back to mql")


def test_who_leaves_the_first_stage_is_in_none():
    move = decide("lead", exits=["lead"])
    assert (move.state.stage, move.wanted) == ("", None)
    assert decide("", exits=["lead"], state=move.state).state.stage == ""


def test_a_stage_that_nobody_is_in_is_not_left():
    assert decide("lead", exits=["mql", "sql"]).state == StageState("lead")


def test_a_stage_whose_exit_holds_is_not_entered():
    assert decide("lead", enters=["mql", "sql"], exits=["sql"]).wanted == "mql"
    assert decide("sql", enters=["mql", "sql"], exits=["sql"]).state.stage == "mql"


def test_who_leaves_and_earns_a_further_stage_goes_there():
    move = decide("mql", enters=["sql"], exits=["mql"])
    assert move.state == StageState("sql", AT)
    assert move.why == "leaves mql: loses mql; enters sql: earns sql"


def test_recycle_names_the_stage_to_go_to():
    stages = [stage("lead"), stage("mql"), stage("sql", recycle="lead")]
    assert decide("sql", exits=["sql"], stages=stages).state.stage == "lead"


def test_recycle_to_a_track_goes_a_stage_back_and_sets_the_track_until_the_stage_is_entered_again():
    stages = [stage("lead"), stage("mql", recycle="nurture")]
    left = decide("mql", exits=["mql"], stages=stages).state
    assert left.stage == "lead"
    assert find_recycled_track(stages, ["nurture"], left) == "nurture"
    assert find_recycled_track(stages, ["nurture"], StageState("lead")) == ""
    entered = decide("lead", enters=["mql"], stages=stages, state=left).state
    assert find_recycled_track(stages, ["nurture"], entered) == ""


def test_who_leaves_several_stages_at_once_does_so_in_one_step_and_keeps_the_track_of_the_last():
    stages = [stage("lead"), stage("mql", recycle="late", cool_down="3d"), stage("sql", recycle="early")]
    move = decide("sql", exits=["sql", "mql"], stages=stages)
    assert move.state == StageState("lead", AT, "sql", {"mql": AT + 3 * DAY})
    assert move.leaves == "sql"
    assert move.why == "leaves sql: loses sql; leaves mql: loses mql; back to lead"
    assert find_recycled_track(stages, ["early", "late"], move.state) == "late"


def test_stages_that_recycle_to_each_other_are_left_for_good():
    stages = [stage("lead"), stage("mql", recycle="sql"), stage("sql", recycle="mql")]
    assert decide("mql", exits=["mql", "sql"], stages=stages).state.stage == "lead"


# Cool-down

COOLING = [stage("lead"), stage("mql", cool_down="30d")]
LEFT = StageState("lead", AT, "mql", {"mql": AT + 30 * DAY})


def test_a_stage_that_was_left_is_not_entered_before_its_cool_down_ends():
    assert decide("mql", exits=["mql"], stages=COOLING).state == LEFT
    waits = decide("lead", enters=["mql"], stages=COOLING, state=LEFT, now=AT + 30 * DAY - 1)
    assert waits.state == LEFT
    assert waits.why == f"mql is not entered again before {NOW + timedelta(days=30):%Y-%m-%d}"
    over = decide("lead", enters=["mql"], stages=COOLING, state=LEFT, now=AT + 30 * DAY)
    assert over.state == StageState("mql", AT + 30 * DAY)


def test_a_cool_down_begins_when_the_stage_is_left_and_no_run_prolongs_it():
    again = decide("lead", exits=["mql"], stages=COOLING, state=LEFT, now=AT + DAY)
    assert again.state.cool_downs == LEFT.cool_downs


def test_a_person_may_enter_a_stage_that_cools_down():
    chosen = [RecordStage("mql", AT + DAY)]
    current = find_stage(COOLING, CRM_OWNED, LEFT, chosen)
    assert current == "mql"
    move = decide(current, stages=COOLING, state=LEFT, now=AT + DAY)
    assert move.state.stage == "mql"


def test_whom_a_person_put_back_does_not_go_when_their_choice_is_forgotten():
    back = decide("mql", enters=["lead"], stages=COOLING, state=LEFT, now=AT + DAY)
    assert (back.state.stage, back.leaves) == ("mql", "")
    later = decide("mql", enters=["lead"], stages=COOLING, state=back.state, now=AT + 20 * DAY)
    assert (later.state.stage, later.leaves) == ("mql", "")


def test_a_cool_down_that_is_over_is_forgotten_even_where_the_crm_gives_the_stage():
    move = decide("customer", state=LEFT, now=AT + 31 * DAY)
    assert move.state.cool_downs == {}


# A record that is behind


def test_a_record_that_is_behind_goes_to_where_its_person_is():
    left = decide("sql", exits=["sql"], enters=["lead"]).state
    again = decide(left.stage, exits=["sql"], enters=["lead"], state=left)
    assert (again.wanted, again.leaves) == ("mql", "sql")


# The stage a person is in


def test_what_the_crm_itself_gives_is_not_touched():
    records = [RecordStage("lead", AT), RecordStage("customer")]
    assert find_stage(PLAIN, CRM_OWNED, StageState("mql"), records) == "customer"
    move = decide("customer", enters=["sql"], exits=["mql"])
    assert (move.wanted, move.why) == (None, "the CRM itself gives the stage customer")


@pytest.mark.parametrize(
    ("state", "records", "found"),
    [
        (StageState(), [("lead", None), ("sql", None), ("mql", None)], "sql"),
        (StageState(), [(None, None), ("of their own", None)], ""),
        (StageState("lead", 5), [("sql", None)], "lead"),
        (StageState("lead", 5), [("sql", 4)], "lead"),
        (StageState("lead", 5), [("sql", 6), ("mql", None)], "sql"),
        (StageState("sql", 5), [("lead", 6)], "lead"),
        (StageState("renamed", 5), [("mql", None)], "mql"),
        (StageState("lead"), [("mql", 1)], "mql"),
    ],
)
def test_a_users_later_choice_counts_then_what_was_decided_then_the_furthest_record(state, records, found):
    assert find_stage(PLAIN, CRM_OWNED, state, [RecordStage(*each) for each in records]) == found


# Laws

NAMES = ("lead", "mql", "sql", "opportunity")
SOME = st.sets(st.sampled_from(NAMES))
PLACES = st.sampled_from([*NAMES, "nurture", None])
STAGES = st.tuples(*(st.tuples(PLACES, st.sampled_from([None, "1d", "30d"])) for _ in NAMES)).map(
    lambda rows: [
        Stage(name=name, values={}, exit=WHEN, recycle=recycle if recycle != name else None, cool_down=cool_down)
        for name, (recycle, cool_down) in zip(NAMES, rows, strict=True)
    ]
)
STATES = st.builds(
    StageState,
    st.sampled_from(["", *NAMES]),
    st.sampled_from([None, AT - DAY]),
    st.sampled_from(["", *NAMES]),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from([AT - DAY, AT + DAY]), max_size=3),
)


@given(STAGES, STATES, st.sampled_from(["", *NAMES, "customer"]), SOME, SOME)
def test_a_second_decision_on_the_same_grounds_changes_nothing(stages, state, current, enters, exits):
    first = decide(current, enters, exits, stages, state)
    assert decide(current, enters, exits, stages, state) == first
    there = first.state.stage
    again = decide(there, enters, exits, stages, first.state)
    assert again.state == first.state
    assert decide(there, enters, exits, stages, again.state, now=AT + 1).state == again.state
    if current not in CRM_OWNED:
        assert there not in exits


@given(STAGES, STATES, st.sampled_from(["", *NAMES]), SOME, SOME)
def test_without_an_exit_nobody_goes_back_and_nothing_that_cools_down_is_entered(stages, state, current, enters, exits):
    places = {"": -1, **{name: place for place, name in enumerate(NAMES)}}
    move = decide(current, enters, exits, stages, state)
    if current not in exits:
        assert places[move.state.stage] >= places[current]
    if places[move.state.stage] > places[current] and move.state.stage in enters:
        assert state.cool_downs.get(move.state.stage, 0) <= AT or current in exits
