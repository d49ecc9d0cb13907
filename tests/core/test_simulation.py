"""The simulation: whoever takes part goes on in any order, and at rest what was promised holds."""

import os
import random
from collections import Counter
from contextlib import contextmanager

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy.exc import IntegrityError

from crmsync.model import Ref
from crmsync.store.turn import WriterTurn
from tests.support.make import activity, contact
from tests.support.simulation import DEEDS, DONE, BrokenLawError, Simulation, World

SEED = int(os.environ.get("SEED") or 1)
STORIES, STEPS = 16, 100
"""In each half; a story has nineteen runs or so, those at its end included. They are the same ones each time."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("half", [1, 2])
def test_whatever_happens_what_was_promised_holds_at_rest(tmp_path, half):
    machine = type(f"Half{half}", (World,), {"folder": tmp_path, "exercised": Counter()})
    how = settings(
        max_examples=STORIES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # to cut a story down takes minutes: make soak does
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(hypothesis.seed(SEED * 2 + half)(machine), settings=how)
    assert machine.exercised["undisturbed run"] > STORIES


EVE = Ref("hubspot", "contact", "001")


@pytest.fixture
def world(tmp_path):
    """Eve and a few quiet people are in HubSpot, and crmsync knows them."""
    made = Simulation(tmp_path)
    made.add_anchors()
    hubspot = made.crms["hubspot"]
    for number in range(1, 8):
        hubspot.edit(contact(f"{number:03}", emails=(f"p{number}@x.example",), fields={"title": "VP"}, stage="lead"))
    made.sync(approved=True)
    yield made
    made.close()


def heat(world):
    """Eve is to become mql, with an owner."""
    hubspot = world.crms["hubspot"]
    world.edit(hubspot, EVE, fields={"title": "VP", "employees": 500})
    hubspot.happen(activity(1, hubspot.records[EVE]))
    return hubspot


def test_a_story_ends_the_same_each_time(tmp_path):
    ends = []
    for time in range(2):
        (tmp_path / str(time)).mkdir()
        world, rng = Simulation(tmp_path / str(time)), random.Random(7)
        world.add_anchors()
        for _ in range(4):
            world.add_person(rng)
        for _ in range(60):
            world.act(rng.choice(sorted(DEEDS)), rng.randrange(2**16), rng.randrange(2**16))
        world.come_to_rest()
        ends.append(([crm.records for crm in world.crms.values()], [crm.writes for crm in world.crms.values()]))
        world.close()
    assert ends[0] == ends[1]


def test_whoever_is_killed_leaves_the_lock_and_nothing_else_happens_of_them(world):
    hubspot = heat(world)
    killed = world.command("sync")
    world.go_to(killed, "write")
    assert killed.at == "hubspot write"
    writes = len(hubspot.writes)
    killed.kill()
    assert (killed.at, len(hubspot.writes)) == (DONE, writes)
    world.finish(world.command("sync"))
    assert hubspot.records[EVE].stage == "mql"
    world.check()


def test_what_a_killed_run_planned_goes_on_beside_as_many_who_are_new(world):
    hubspot = world.crms["hubspot"]
    come(hubspot, 11, 12, 13)
    killed = world.command("sync")
    world.go_to(killed, "write")
    killed.kill()
    come(hubspot, 14, 15, 16)
    world.finish(world.command("sync"))
    assert all("score" in hubspot.records[ref].current for ref in world.live(hubspot))
    world.check()


def come(crm, *numbers):
    for number in numbers:
        crm.edit(contact(f"{number:03}", emails=(f"p{number}@x.example",), fields={"title": "VP"}, stage="lead"))


def pause_and_take_over(world):
    """A daemon is paused before it writes, loses its lock, and another run does newer work; the one that is paused."""
    hubspot = heat(world)
    paused = world.daemon("daemon A")
    world.go_to(paused, "write")
    world.lose_lock(paused)
    world.edit(hubspot, EVE, fields={"title": "Clerk"})
    world.finish(world.command("sync"))
    return paused


def test_a_paused_worker_whose_lock_was_taken_over_writes_nothing_any_more(world):
    paused = pause_and_take_over(world)
    writes = len(world.crms["hubspot"].writes)
    world.finish(paused)
    assert len(world.crms["hubspot"].writes) == writes
    assert world.seen["LostLock"] == 1
    world.check()


def test_a_person_who_is_faster_wins_over_a_write_under_way(world):
    hubspot = heat(world)
    running = world.command("sync")
    world.go_to(running, "write")
    world.edit(hubspot, EVE, owner="hubspot-bob")
    world.finish(running)
    world.check()
    assert hubspot.records[EVE].owner == "hubspot-bob"


def sent_and_not_heard_of(world):
    heat(world).fates.append("answer lost")
    world.finish(world.command("sync"))


def edited_while_it_is_looked_at(world):
    hubspot = heat(world)
    hubspot.keeps_history = False
    running = world.command("sync")
    world.go_to(running, "look")
    world.edit(hubspot, EVE, stage="customer")
    world.finish(running)


def taken_over(world):
    world.finish(pause_and_take_over(world))


def many_come(world):
    for number in range(100, 115):
        world.add_person(random.Random(number), number)
    world.finish(world.command("sync"))


def edited_and_edited_back(world):
    hubspot = heat(world)
    running = world.command("sync")
    world.go_to(running, "look")
    world.edit(hubspot, EVE, stage=None)
    world.go_to(running, "call")
    world.edit(hubspot, EVE, stage="lead")
    world.finish(running)


def changed_by_a_user(world):
    hubspot = heat(world)
    world.finish(world.command("sync"))
    world.edit(hubspot, EVE, stage="lead")


def test_a_request_that_lands_after_another_look_knows_no_more_than_when_it_was_sent(world):
    hubspot = heat(world)
    hubspot.fates.append("late")
    daemon = world.daemon("daemon A")
    world.go_to(daemon, "write")
    world.edit(hubspot, EVE, stage="customer")
    before = len(hubspot.writes)
    while len(hubspot.writes) == before:
        daemon.go_on()
    assert hubspot.flying
    world.check()


def refused(world):
    hubspot = world.crms["hubspot"]
    hubspot.refusing[EVE] = "a rule says no"
    world.edit(hubspot, EVE, fields={"title": "VP", "employees": 500})
    for _ in range(2):
        world.finish(world.command("sync"))


def killed_in_a_backfill(world):
    backfill = world.command("backfill")
    world.let(backfill, 40)
    backfill.kill()
    world.finish(world.command("sync"))


def looked_at(world):
    heat(world)
    world.finish(world.command("plan"))
    world.edit(world.crms["hubspot"], EVE, fields={"title": "Clerk"})
    world.finish(world.command("sync"))


@contextmanager
def the_state_itself(store):
    yield store


APPLY = "crmsync.planning.apply"
BREAKS = [
    (sent_and_not_heard_of, "crmsync.pull.resolve_unknown", lambda *_: 0, "the journal has nothing open"),
    (
        edited_while_it_is_looked_at,
        "crmsync.planning.apply.without_human_edits",
        lambda change, _present: change,
        "people win",
    ),
    (edited_and_edited_back, f"{APPLY}.make_dirty", lambda *_: None, "."),
    (changed_by_a_user, "crmsync.planning.changes.noticed_at", lambda _lease: 0, "people win"),
    (
        refused,
        "crmsync.store.journal.unpark_changes",
        lambda *_, **_named: None,
        "the next plan|a state built anew|every record",
    ),
    (many_come, "crmsync.planning.builder.guard_violations", lambda *_: (), "large surprises wait"),
    (looked_at, "crmsync.cycle.copy_state", the_state_itself, "."),
    (taken_over, "crmsync.store.turn.WriterTurn.fence", lambda *_: None, "."),
]
"""A story, what of the product is broken, and the law that does not hold then."""


def play(world, story):
    story(world)
    world.check()


@pytest.mark.parametrize(("story", "name", "broken", "law"), BREAKS, ids=[row[1] for row in BREAKS])
def test_a_broken_product_is_noticed(world, monkeypatch, story, name, broken, law):
    monkeypatch.setattr(name, broken)
    if story is taken_over:
        monkeypatch.setattr(WriterTurn, "lasts", lambda _turn: True)
    with pytest.raises((BrokenLawError, IntegrityError), match=law):
        play(world, story)


@pytest.mark.parametrize("story", [*(row[0] for row in BREAKS), killed_in_a_backfill])
def test_the_same_story_is_no_matter_to_the_product_as_it_is(world, story):
    play(world, story)
