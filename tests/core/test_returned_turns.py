"""A turn that gave nobody an owner is given back: the same member of the pool gets the next person."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from crmsync import cycle
from crmsync.cycle import preview_run
from crmsync.errors import Unavailable
from crmsync.model import Owner, Ref
from crmsync.store import schema
from crmsync.store.forgetting import remove_records
from tests.core.test_routing_run import BARE, ROUTES, SALES, go, join, owners, turns
from tests.support.cycles import ADA, DAYS, after_pull, edit, refuse_ann
from tests.support.make import config, crm, work
from tests.support.state import rows

CID = Owner("hubspot", "hubspot-cid", "cid@acme.example", "Cid")


@pytest.fixture
def hubspot():
    made = crm("hubspot")
    made.people = [*made.people, CID]
    return made


def by_hand(hubspot, **values):
    """Let a user edit the first record between the pull and the write of the next run."""
    after_pull(hubspot, lambda: edit(hubspot, ADA, **values))


def breaks(hubspot, *, after_look=False):
    """Let the CRM be gone when the next run writes, before or after the look at the records."""
    taken = hubspot.write

    def write(changes, narrow):
        hubspot.write = taken
        if after_look:
            narrow(changes)
        raise Unavailable("hubspot", "it does not answer")
        yield

    hubspot.write = write


def given_by_hand(state, hubspot):
    by_hand(hubspot, owner="hubspot-cid")
    assert go(state, hubspot).crms["hubspot"].edited == 0  # the score is written


def given_by_hand_where_nothing_else_is_wanted(state, hubspot):
    by_hand(hubspot, owner="hubspot-cid")
    assert go(state, hubspot, write={"fields": {"score": {"hubspot": "s"}}}).crms["hubspot"].edited == 0


def deleted(state, hubspot):
    by_hand(hubspot, gone=True)
    assert go(state, hubspot).crms["hubspot"].edited == 1


def refused_and_then_given_by_hand(state, hubspot):
    hubspot.refusing[ADA] = "Budget is required"
    assert go(state, hubspot).crms["hubspot"].rejected == 1
    edit(hubspot, ADA, owner="hubspot-cid")
    hubspot.refusing.clear()


def refused_and_then_deleted(state, hubspot):
    hubspot.refusing[ADA] = "Budget is required"
    assert go(state, hubspot).crms["hubspot"].rejected == 1
    edit(hubspot, ADA, gone=True)


def given_by_hand_while_the_crm_was_gone(state, hubspot):
    breaks(hubspot)
    with suppress(Unavailable):
        go(state, hubspot)
    edit(hubspot, ADA, owner="hubspot-cid")


def given_by_hand_before_a_new_worker_goes_on(state, hubspot):
    def dies(*_):
        raise Unavailable("hubspot", "the worker died")

    with pytest.MonkeyPatch.context() as patch, suppress(Unavailable):
        patch.setattr(cycle, "_write", dies)
        go(state, hubspot)
    assert [row["state"] for row in rows(state, schema.change)] == ["planned"]
    edit(hubspot, ADA, owner="hubspot-cid")


def given_by_hand_just_before_the_worker_dies(state, hubspot):
    by_hand(hubspot, owner="hubspot-cid")
    breaks(hubspot, after_look=True)
    with suppress(Unavailable):
        go(state, hubspot)


def given_to_somebody_else_by_a_flow(state, hubspot):
    taken = hubspot.write

    def write(changes, narrow):
        yield from taken([replace(each, after={**each.after, "owner": "hubspot-cid"}) for each in narrow(changes)])

    hubspot.write = write
    assert go(state, hubspot).crms["hubspot"].partly == 1
    hubspot.write = taken


def set_by_a_user_a_moment_before(state, hubspot):
    taken = hubspot.write

    def write(changes, narrow=list):
        some = narrow(changes)
        if any(each.after.get("owner") == "hubspot-ann" for each in some):
            edit(hubspot, ADA, owner="hubspot-cid")
        yield from taken(some)

    hubspot.write = write
    assert go(state, hubspot).crms["hubspot"].partly == 1
    hubspot.write = taken


ENDS = [
    given_by_hand,
    given_by_hand_where_nothing_else_is_wanted,
    deleted,
    refused_and_then_given_by_hand,
    refused_and_then_deleted,
    given_by_hand_while_the_crm_was_gone,
    given_by_hand_before_a_new_worker_goes_on,
    given_by_hand_just_before_the_worker_dies,
    given_to_somebody_else_by_a_flow,
    set_by_a_user_a_moment_before,
]


@pytest.mark.parametrize("ends", ENDS, ids=lambda ends: ends.__name__)
def test_the_member_whose_turn_gave_them_nobody_gets_the_next_person(state, hubspot, ends):
    join(hubspot, 1)
    ends(state, hubspot)
    join(hubspot, 2)
    go(state, hubspot, at=DAYS[1])
    assert owners(hubspot)["p2"] == "hubspot-ann"
    assert [row["owner"] for row in rows(state, schema.hand_off)] == ["ann@acme.example"]
    for number, day in enumerate(DAYS[2:6], 3):
        join(hubspot, number)
        go(state, hubspot, at=day)
    assert turns(state) == {("sales", "ann"): 3, ("sales", "bob"): 2}
    assert not rows(state, schema.open_turn) or owners(hubspot)["p6"] == "hubspot-ann"


def test_a_turn_that_gave_somebody_is_not_given_back(state, hubspot):
    join(hubspot, 1)
    by_hand(hubspot, stage="sql")
    go(state, hubspot)
    assert owners(hubspot) == {"p1": "hubspot-ann"}
    # What becomes of it later is nobody's turn.
    edit(hubspot, ADA, owner="hubspot-cid")
    join(hubspot, 2)
    go(state, hubspot, at=DAYS[1])
    assert owners(hubspot)["p2"] == "hubspot-bob"
    assert turns(state) == {("sales", "ann"): 1, ("sales", "bob"): 1}


def test_whom_a_user_gives_to_the_very_member_counts_as_their_turn(state, hubspot):
    join(hubspot, 1)
    by_hand(hubspot, owner="hubspot-ann")
    go(state, hubspot)
    join(hubspot, 2)
    go(state, hubspot, at=DAYS[1])
    assert owners(hubspot) == {"p1": "hubspot-ann", "p2": "hubspot-bob"}


def test_quiet_runs_give_nothing_back_a_second_time(state, hubspot):
    for number in (1, 2, 3):
        join(hubspot, number)
    by_hand(hubspot, owner="hubspot-cid")
    go(state, hubspot)
    was = []
    for day in DAYS[1:4]:
        go(state, hubspot, at=day)
        was.append(turns(state))
    assert was == [{("sales", "ann"): 1, ("sales", "bob"): 1}] * 3
    assert rows(state, schema.open_turn) == []


def test_a_preview_gives_nothing_back(state, hubspot):
    join(hubspot, 1)
    by_hand(hubspot, owner="hubspot-cid")
    go(state, hubspot)
    settings = config(BARE, route=ROUTES, owner_pool=[SALES], tracks={"nurture": {}})
    preview_run(work(state, hubspot, now=DAYS[1], settings=settings))
    assert turns(state) == {("sales", "ann"): 1, ("sales", "bob"): 0}


def test_a_turn_of_a_weighted_pool_comes_back_to_whoever_had_it(state, hubspot):
    pool = {"name": "sales", "method": "weighted"}
    pool |= {"members": [{"email": "ann@acme.example", "weight": 2}, "bob@acme.example"]}
    join(hubspot, 1)
    by_hand(hubspot, owner="hubspot-cid")
    go(state, hubspot, pools=[pool])
    got = []
    for number, day in enumerate(DAYS[1:7], 2):
        join(hubspot, number)
        go(state, hubspot, at=day, pools=[pool])
        got.append(owners(hubspot)[f"p{number}"].removeprefix("hubspot-"))
    assert got == ["ann", "bob", "ann", "ann", "bob", "ann"]


def test_what_somebody_did_not_get_does_not_count_at_their_daily_cap(state, hubspot):
    pool = {"name": "sales", "members": [{"email": "ann@acme.example", "daily": 1}, "bob@acme.example"]}
    join(hubspot, 1)
    by_hand(hubspot, owner="hubspot-cid")
    go(state, hubspot, pools=[pool])
    for number in (2, 3):
        join(hubspot, number)
        go(state, hubspot, at=DAYS[0] + timedelta(hours=number), pools=[pool])
    assert owners(hubspot) == {"p1": "hubspot-cid", "p2": "hubspot-ann", "p3": "hubspot-bob"}


def test_the_daily_cap_counts_nobody_whom_a_route_gives_to_one_user_and_who_gave_way(state, hubspot):
    pool = {"name": "sales", "members": [{"email": "ann@acme.example", "daily": 1}, "bob@acme.example"]}
    join(hubspot, 1)
    by_hand(hubspot, owner="hubspot-cid")
    go(state, hubspot, pools=[pool], routes=[{"name": "All", "to": "ann@acme.example"}])
    join(hubspot, 2)
    go(state, hubspot, at=DAYS[0] + timedelta(hours=1), pools=[pool])
    assert owners(hubspot)["p2"] == "hubspot-ann"


def test_the_value_of_somebody_who_was_not_given_is_given_back_too(state, hubspot):
    pool = {**SALES, "method": "value_balanced", "value": "employees"}
    join(hubspot, 1, fields={"title": "VP Sales", "employees": 9000})
    by_hand(hubspot, owner="hubspot-cid")
    go(state, hubspot, pools=[pool])
    join(hubspot, 2)
    go(state, hubspot, at=DAYS[1], pools=[pool])
    assert {row["member"]: row["value"] for row in rows(state, schema.turn)} == {
        "ann@acme.example": 50_000,
        "bob@acme.example": 0,
    }


def test_whom_the_crm_refuses_as_the_owner_had_their_turn_when_it_takes_the_next_one(state, hubspot):
    """Else every person to come would be tried with them first, and wait for the same refusal."""
    refuse_ann(hubspot)
    join(hubspot, 1)
    for day in DAYS[:5]:
        go(state, hubspot, at=day)
    assert owners(hubspot) == {"p1": "hubspot-bob"}
    assert turns(state) == {("sales", "ann"): 1, ("sales", "bob"): 1}


def test_as_long_as_a_refused_person_is_tried_again_their_turn_is_not_given_to_another_person(state, hubspot):
    hubspot.refusing[ADA] = "Budget is required"
    join(hubspot, 1)
    go(state, hubspot)
    join(hubspot, 2)
    go(state, hubspot, at=DAYS[0] + timedelta(hours=1))
    hubspot.refusing.clear()
    for day in DAYS[2:4]:
        go(state, hubspot, at=day)
    assert owners(hubspot) == {"p1": "hubspot-ann", "p2": "hubspot-bob"}
    assert turns(state) == {("sales", "ann"): 1, ("sales", "bob"): 1}


def test_somebody_who_is_forgotten_before_the_write_costs_nobody_a_turn_and_leaves_no_trace(state, hubspot):
    join(hubspot, 1)
    breaks(hubspot)
    with suppress(Unavailable):
        go(state, hubspot)
    with state.begin() as writing:
        found = list(writing.execute(schema.record.select()))
        remove_records(writing, found, [Ref(row.crm, row.kind, row.ref_id) for row in found])
    assert [(row["person"], row["records"]) for row in rows(state, schema.open_turn)] == [(0, "{}")]
    del hubspot.records[ADA]
    join(hubspot, 2)
    go(state, hubspot, at=DAYS[1])
    assert owners(hubspot) == {"p2": "hubspot-ann"}
    assert turns(state)["sales", "ann"] == 1


def test_whoever_gets_a_refused_person_again_after_the_patience_had_one_turn(state, hubspot):
    hubspot.refusing[ADA] = "Budget is required"
    join(hubspot, 1)
    for day in DAYS[:8]:
        go(state, hubspot, at=day)
    assert turns(state) in ({("sales", "ann"): 1, ("sales", "bob"): 1}, {("sales", "ann"): 2, ("sales", "bob"): 1})
    hubspot.refusing.clear()
    for day in DAYS[8:11]:
        go(state, hubspot, at=day)
    assert turns(state) == {("sales", "ann"): 1, ("sales", "bob"): 1}
    assert rows(state, schema.open_turn) == []


def test_the_turn_of_somebody_whom_the_crm_leaves_with_a_late_owner_does_not_stay_open(state, hubspot):
    """Nobody is taken away twice for being late, so that the refused change is not tried again."""
    join(hubspot, 1)
    sla = {"within": "3h", "reroute": True}
    go(state, hubspot, sla=sla)
    hubspot.refusing[ADA] = "this record stays hers"
    assert go(state, hubspot, at=DAYS[0] + timedelta(hours=5), sla=sla).crms["hubspot"].rejected == 1
    for minutes in (15, 30):
        go(state, hubspot, at=DAYS[0] + timedelta(hours=5, minutes=minutes), sla=sla)
    assert owners(hubspot) == {"p1": "hubspot-ann"}
    assert rows(state, schema.open_turn) == []
    assert turns(state)["sales", "bob"] == 0
