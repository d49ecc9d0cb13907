"""Every order of events for one record, two workers and one approval: which rules it takes that the CRM ends up right.

The model has a transition for each code path that matters; what it finds without a rule is replayed on the real store.
"""

import threading
from collections import deque
from dataclasses import dataclass, replace

import pytest

from crmsync.cycle import run_cycle
from crmsync.errors import LostLock
from crmsync.store.database import WriterStop, open_store
from tests.support.make import NOW, contact, crm, work
from tests.support.state import take_lock_away

EDITS, LOSSES, APPROVALS = 2, 1, 1
"""How often a person edits the record, a lock goes away unnoticed, and a plan is made to be approved later."""

OFF, IDLE, PLANNED, MARKED, SENDING, ANSWERED = "off", "idle", "planned", "marked", "sending", "answered"

RULES = frozenset(
    {
        "fence",  # Turn.fence: each transaction compares the number of the turn
        "confirm",  # WriterStop.is_set: the lock is asked for before each attempt
        "wait",  # Store._seconds_to_land: a successor waits until what was sent cannot arrive any more
        "resolve",  # apply.resolve: what was sent and never heard of again is read first
        "effect",  # approval: what is approved is written as it is right by then, not as it was seen
    }
)


@dataclass(frozen=True)
class Worker:
    """One worker: what it is at, the number of its turn, and the value that it writes."""

    at: str = OFF
    epoch: int = 0
    value: int = 0


@dataclass(frozen=True)
class World:
    """One record: what is right, what the CRM holds, what the state believes that it holds, and who is at work.

    `dirty` says that it has to be planned for, `news` that the CRM holds something that was not pulled yet.
    """

    right: int = 0
    held: int = 0
    believed: int = 0
    dirty: bool = False
    news: bool = False
    holder: str = ""
    epoch: int = 0
    a: Worker = Worker()
    b: Worker = Worker()
    approved: int | None = None
    edits: int = 0
    losses: int = 0
    approvals: int = 0

    def all_at(self, *places):
        return self.a.at in places and self.b.at in places


def steps(now, rules):
    """What may happen next: a label, and the world afterwards."""
    if now.edits < EDITS:
        yield "somebody edits", replace(now, right=now.right + 1, dirty=True, edits=now.edits + 1)
    if now.holder and now.losses < LOSSES:
        yield f"the lock of {now.holder} goes", replace(now, holder="", losses=now.losses + 1)
    if now.approvals < APPROVALS:
        yield f"{now.right} is approved", replace(now, approved=now.right, approvals=now.approvals + 1)
    for name in "ab":
        for label, worker, changes in turns(now, getattr(now, name), name, rules):
            yield f"{name} {label}", replace(now, **{name: worker}, **changes)


def turns(now, me, name, rules):  # noqa: C901  a path of the code each
    """What one worker may do next: a label, what it is at then, and what else changes."""
    is_fenced = "fence" in rules and me.epoch != now.epoch
    if me.at == OFF:
        if not now.holder and ("wait" not in rules or SENDING not in (now.a.at, now.b.at)):
            found = {"believed": now.held, "dirty": now.dirty or now.held != now.right}
            epoch = now.epoch + 1
            yield (
                "takes over",
                Worker(IDLE, epoch),
                {"holder": name, "epoch": epoch, **(found if "resolve" in rules else {})},
            )
    elif me.at == SENDING:
        yield f"sent {me.value}, which lands", replace(me, at=ANSWERED), {"held": me.value, "news": True}
    elif me.at == MARKED:
        if "confirm" in rules and now.holder != name:
            yield "sends nothing any more", Worker(), {}
        else:
            yield f"begins to send {me.value}", replace(me, at=SENDING), {}
    elif is_fenced:
        yield "finds its turn over", Worker(), {}
    elif me.at == ANSWERED:
        yield "stores the answer", Worker(IDLE, me.epoch), {"believed": me.value}
    elif me.at == PLANNED:
        yield "marks it sent", replace(me, at=MARKED), {}
    else:
        if now.approved is not None:
            value = now.right if "effect" in rules else now.approved
            yield "plans what was approved", Worker(PLANNED, me.epoch, value), {"approved": None}
        if now.dirty:
            yield "plans", Worker(PLANNED, me.epoch, now.right), {"dirty": False}
        if now.news:
            yield "pulls", me, {"news": False, **seen(now)}


def seen(now):
    """What is known of the record once it was read."""
    return {"believed": now.held, "dirty": now.dirty or now.held != now.right}


def is_wrong(_before, now):
    """At rest, with nothing left to plan or to pull, the CRM must hold what is right, and the state must know it."""
    is_at_rest = now.all_at(OFF, IDLE) and now.holder and not now.dirty and not now.news and now.approved is None
    return is_at_rest and not now.held == now.believed == now.right


def is_overwritten(before, now):
    """Whether an older value took the place of a newer one, if only until the next pull."""
    return now.held < before.held


def counter_example(rules, is_bad):
    """The shortest story with a bad end; `None` where there is none."""
    first = World()
    came, queue = {first: None}, deque([first])
    while queue:
        before = queue.popleft()
        for label, now in steps(before, rules):
            if is_bad(before, now):
                return [*told(came, before), label]
            if now not in came:
                came[now] = (before, label)
                queue.append(now)
    return None


def told(came, world):
    """How it came to this."""
    if came[world] is None:
        return []
    before, label = came[world]
    return [*told(came, before), label]


@pytest.mark.parametrize("is_bad", [is_wrong, is_overwritten])
def test_by_all_rules_together_no_order_of_events_ends_badly(is_bad):
    assert counter_example(RULES, is_bad) is None


@pytest.mark.parametrize(
    ("rule", "is_bad"),
    [
        ("fence", is_wrong),
        ("resolve", is_wrong),
        ("confirm", is_overwritten),
        ("wait", is_overwritten),
        ("effect", is_overwritten),
    ],
)
def test_without_any_one_of_the_rules_there_is_an_order_that_ends_badly(rule, is_bad):
    assert counter_example(RULES - {rule}, is_bad)


# The same stories on the real store


class Story:
    """Two workers on one state and one CRM. Worker A is interrupted once, somewhere, and worker B takes over there."""

    def __init__(self, state, url):
        self.url, self.state, self.other = url, state, open_store(url)
        self.crm = crm("hubspot")
        for number in (1, 2, 3):
            self.crm.edit(contact(number))
        self.run(self.state)
        self.interrupted = False

    def edit_all(self, **fields):
        for record in list(self.crm.records.values()):
            self.crm.edit(replace(record, fields=fields, changed_at=NOW))

    def run(self, store, stop=None):
        """One worker's whole turn."""
        before, self.crm.stop = self.crm.stop, WriterStop(threading.Event(), store)
        try:
            with store.writer("crmsync run", stop):
                return run_cycle(work(store, self.crm), approved=True)
        finally:
            self.crm.stop = before

    def take_over(self, stop=None):
        """Somebody edits everybody, A's lock goes, and B does a whole turn."""
        self.interrupted = True
        self.edit_all(title="VP Sales", employees=500)
        take_lock_away(self.url)
        self.run(self.other, stop or Landing(lambda: None))

    def interrupt_at(self, monkeypatch, point):
        monkeypatch.setattr(f"crmsync.{point[0]}.failpoint", lambda name: self.at(point[1], name))

    def at(self, wanted, name):
        if name == wanted and not self.interrupted:
            self.take_over()

    def with_what_was_written(self, record):
        """The record as it is by now, with what an older request writes into it."""
        present = self.crm.records[record.ref]
        return replace(present, current=record.current, stage=record.stage, owner=record.owner)

    def scores(self):
        return {record.current["score"] for record in self.crm.records.values()}

    def close(self):
        self.other.close()


class Landing(threading.Event):
    """A stop that does not wait: what is on its way lands meanwhile."""

    def __init__(self, land):
        super().__init__()
        self._land = land

    def wait(self, timeout=None):
        self._land()
        return False


@pytest.fixture
def story(state, state_url):
    made = Story(state, state_url)
    yield made
    made.close()


def is_settled(story):
    """Nothing is left to write, and everybody holds the score of what the second edit left."""
    result = story.run(story.other)
    return story.scores() == {35} and result.crms["hubspot"].planned == 0


@pytest.mark.parametrize(
    "point", [("pull", "page_stored"), ("cycle", "plan_stored"), ("planning.apply", "sent_stored")]
)
def test_a_worker_that_lost_its_lock_before_it_sent_sends_nothing(story, monkeypatch, point):
    story.interrupt_at(monkeypatch, point)
    story.edit_all(employees=500)
    with pytest.raises(LostLock):
        story.run(story.state)
    assert story.interrupted
    assert is_settled(story)


def test_what_was_sent_lands_while_the_successor_waits_and_is_written_over(story, monkeypatch):
    edit_now = story.crm.edit

    def land(record):
        edit_now(story.with_what_was_written(record))

    def edit(record):
        if story.interrupted:
            edit_now(record)
        else:
            story.take_over(Landing(lambda: land(record)))

    story.edit_all(employees=500)
    monkeypatch.setattr(story.crm, "edit", edit)
    with pytest.raises(LostLock):
        story.run(story.state)
    assert story.interrupted
    assert is_settled(story)


def test_what_lands_later_than_anybody_waits_is_seen_by_the_next_pull(story, monkeypatch):
    edit_now = story.crm.edit

    def edit(record):
        if story.interrupted:
            edit_now(record)
        else:
            story.take_over()
            edit_now(story.with_what_was_written(record))

    story.edit_all(employees=500)
    monkeypatch.setattr(story.crm, "edit", edit)
    with pytest.raises(LostLock):
        story.run(story.state)
    story.run(story.other)
    assert is_settled(story)
