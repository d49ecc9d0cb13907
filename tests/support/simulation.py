"""A deterministic simulation: whoever takes part is a thread that runs only while it holds the baton.

A run touches the world at two places, an attempt of an exchange with a CRM and a transaction of the state. There it
gives the baton back, and whoever drives the simulation says who goes on, who is killed and what happens meanwhile. Time
is virtual and nothing waits. `Simulation.check` says what must hold when all is at rest; each law has a name.
"""

import itertools
import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from sqlalchemy import URL, Engine, create_engine, func, make_url, select

from connectors.memory import Memory, _changed
from crmsync import result as result_module
from crmsync.config import config_of
from crmsync.connector import ReadBack
from crmsync.cycle import preview_run, run_cycle
from crmsync.daemon import scheduler
from crmsync.errors import Cancelled, ConfigError, LostLock, StateError, StateInUse, Unavailable, WrongClock
from crmsync.model import SCORE_FIELDS, Activity, Contact, Receipt, Ref
from crmsync.planning import approval
from crmsync.planning.guard import a_tenth_more
from crmsync.result import Result
from crmsync.store import copy as copy_module
from crmsync.store import database as database_module
from crmsync.store import journal, run_journal, schema
from crmsync.store.database import STANDBY_POLL, Store, WriterStop, open_store
from crmsync.store.ledgers import ENTRY
from crmsync.store.lock import Lock, PostgresLock, lock_of
from crmsync.store.sql import to_ms
from crmsync.work import Work
from tests.support.make import MODEL, NOW, config, owners

OURS = set(SCORE_FIELDS)
DIRECT = {"stage", "owner"}

GUARD = {"from_records": 2, "first_run": 3, "scores": 0.4, "bands": 0.5, "stages": 0.5, "owners": 0.5}
"""Limits that tiny worlds exceed now and then."""

FADING = MODEL.replace('window = "60d"', 'window = "60d"\ndecay = { half_life = "20d" }')
MODELS = (
    FADING,
    FADING.replace("points = 30", "points = 5"),
    FADING.replace("mql = 50", "mql = 35"),
    FADING.replace('is = "mql"', 'in = ["mql", "warm"]'),
    FADING.replace('title = { hubspot = "jobtitle"', 'title = { hubspot = "role"'),
    FADING.replace('["ann@acme.example", "bob@acme.example"]', '["bob@acme.example"]'),
)

DAY = timedelta(days=1)
RESPECT = timedelta(days=14)
FOREVER = timedelta(days=45)
"""After so long no manual override holds, no refusal waits and no activity of the simulation is in a window half."""

DONE = "ended"
WHICH = st.integers(0, 2**16)


class KilledError(BaseException):
    """Nothing catches it, as nothing catches kill -9; whoever is killed is so at every further choke point."""


class BrokenLawError(AssertionError):
    """What was promised does not hold."""

    def __init__(self, law: str, seen: object) -> None:
        super().__init__(f"{law.replace('_', ' ')}: {str(seen)[:1500]}")


def demand(holds: object, law: str, seen: object = "") -> None:
    """Raise when a law does not hold."""
    if not holds:
        raise BrokenLawError(law, seen() if callable(seen) else seen)


# Whoever takes part

_here = threading.local()


def choke(where: str) -> None:
    """Give the baton back, if this thread is an actor's."""
    actor = getattr(_here, "actor", None)
    if actor is not None:
        actor.give_back(where)


class Stop:
    """The flag that tells an actor to leave; who waits on it gives the baton back.

    A wait for what an earlier worker had sent is over when it has `landed`.
    """

    def __init__(self, landed: Callable[[], object] = lambda: None) -> None:
        self.raised, self.landed = False, landed

    def is_set(self) -> bool:
        return self.raised

    def set(self) -> None:
        self.raised = True

    def wait(self, timeout: float | None = None) -> bool:
        is_for_landing = timeout is not None and timeout > STANDBY_POLL
        if not self.raised:
            choke("waiting to take over" if is_for_landing else "standing by")
        if is_for_landing and not self.raised:
            self.landed()
        return self.raised


class Actor(threading.Thread):
    """A process: it is at a choke point, or has ended with an `outcome`."""

    def __init__(self, name: str, act: Callable[["Actor"], object], landed: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.called, self.act, self.stop = name, act, Stop(landed)
        self.leave: Stop | WriterStop = self.stop
        self.locks: list[Lock] = []
        self.at, self.killed, self.writing = "start", False, 0
        self.outcome: object = None
        self.fault: BaseException | None = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self.start()

    def run(self) -> None:
        _here.actor = self
        self._go.acquire()
        try:
            if not self.killed:
                self.outcome = self.act(self)
        except KilledError:
            pass
        except BaseException as error:  # noqa: BLE001  handed to whoever drives
            self.fault = error
        self.at = DONE
        self._back.release()

    def give_back(self, where: str) -> None:
        """Stand at a choke point until somebody says go on."""
        if self.killed:
            raise KilledError
        demand(not self.writing or where == "begin", "no_transaction_is_open_while_others_go_on", where)
        self.at = where
        self._back.release()
        self._go.acquire()
        if self.killed:
            raise KilledError

    def go_on(self) -> None:
        """Run to the next choke point."""
        self._go.release()
        self._back.acquire()
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault

    def kill(self) -> None:
        """Like kill -9: nothing of it happens any more."""
        self.killed = True
        while self.at != DONE:
            self.go_on()
        for lock in self.locks:  # the system takes them back
            lock.release()


# The CRMs


class Crm(Memory):
    """A CRM whose calls are choke points, and that can be down, refuse, lose an answer or take a request late."""

    def __init__(self, name: str, simulation: "Simulation") -> None:
        super().__init__(name, Stop(), page_size=2)
        self.people = owners(name)
        self.simulation = simulation
        self.batch = 2
        self.handled: list[Ref] = []
        self.looked: dict[tuple[str, Ref], int] = {}
        self.keeps_history = name == "hubspot"
        self.is_down = False
        self.fates: list[str] = []
        self.flying: list[list] = []
        self.refusing_fields: dict[Ref, str] = {}
        self.workflow: Callable[[Contact], Contact] | None = None
        self.replaced_by: dict[Ref, Ref] = {}

    def _call(self, what: str = "call") -> None:
        choke(f"{self.name} {what}")
        actor = getattr(_here, "actor", None)
        if actor is not None and actor.leave.is_set():
            raise Cancelled(f"stopped before a call to {self.name}")
        self.calls += 1
        if self.is_down:
            self.simulation.failures.append(self.name)
            raise Unavailable(self.name, "it does not answer")

    def read(self, refs) -> Iterator[Contact]:
        self._call("look")
        for ref in refs:
            self.looked[self.sender(), ref] = next(self.simulation.moments)
            now = self.survivor(ref) if self.name == "hubspot" else ref
            yield self.records.get(now) or Contact(ref, NOW, gone=True)

    def clock(self):
        """The CRM's own clock, which is right."""
        return self.simulation.now if self.simulation.crms_tell_the_time else None

    def survivor(self, ref: Ref) -> Ref:
        while ref in self.replaced_by:
            ref = self.replaced_by[ref]
        return ref

    def write(self, changes, narrow=list) -> Iterator[Receipt]:
        """A batch of a few is narrowed, and sent in one request."""
        for start in range(0, len(changes), self.batch):
            self.handled = [change.ref for change in changes[start : start + self.batch]]
            self.looked |= {(self.sender(), ref): next(self.simulation.moments) for ref in self.handled}
            batch = list(narrow(changes[start : start + self.batch]))
            if batch:
                self._call("write")
                yield from self._send(batch)

    def _send(self, batch) -> list[Receipt]:
        fate = self.fates.pop(0) if self.fates else "answered"
        sender, actor = self.sender(), getattr(_here, "actor", None)
        is_writer = actor is None or any(lock.is_held() for lock in actor.locks)
        demand(is_writer, "only_who_has_the_lock_writes", sender)
        self.simulation.seen[f"request {fate}"] += 1
        # Of now: whoever looks again before a late request lands cannot call it back.
        looked = {change.ref: self.looked.get((sender, change.ref), 0) for change in batch}
        if fate in ("late", "lost"):
            if fate == "late":
                self.flying.append((sender, batch, looked))
            self.simulation.failures.append(self.name)
            raise Unavailable(self.name, "no answer came in time")
        receipts = [self.take(sender, change, looked[change.ref]) for change in batch]
        if fate == "answer lost":
            self.simulation.failures.append(self.name)
            raise Unavailable(self.name, "the line broke before the answer")
        return receipts

    @staticmethod
    def sender() -> str:
        actor = getattr(_here, "actor", None)
        return actor.called if actor else ""

    def take(self, sender: str, change, looked: int, late: bool = False) -> Receipt:
        record = self.records.get(change.ref)
        if record is None or record.gone:
            moved = self.replaced_by.get(change.ref)
            if moved is not None:
                return Receipt(change.ref, ok=False, reason="it was merged", moved_to=self.survivor(change.ref))
            return Receipt(change.ref, ok=False, reason="there is no such record", gone=True)
        if change.ref in self.refusing:
            return Receipt(change.ref, ok=False, reason=self.refusing[change.ref])
        refused = {name: "not this" for name in change.after if name == self.refusing_fields.get(change.ref)}
        taken = replace(change, after={name: value for name, value in change.after.items() if name not in refused})
        if not taken.after:
            return Receipt(change.ref, ok=False, reason="not this")
        self.simulation.observe(self, sender, record, taken, looked, late=late)
        if late:
            self.simulation.touched |= {(change.ref, name) for name in DIRECT & taken.after.keys()}
        self.writes.append(taken)
        self.edit(replace(_changed(record, taken), changed_at=self.simulation.now))
        if self.workflow is not None:
            after = self.workflow(self.records[change.ref])
            if after != self.records[change.ref]:
                self.simulation.seen["workflow rewrote"] += 1
                self.simulation.forget(change.ref)
                self.edit(after)
        return Receipt(change.ref, ok=True, refused=refused)

    def read_back(self, changes):
        """HubSpot keeps a history of its values, Salesforce does not."""
        if not self.keeps_history:
            return map(ReadBack, self.read([each.ref for each in changes]))
        return super().read_back(changes)

    def land(self) -> None:
        """Whatever was sent and did not arrive yet arrives."""
        while self.flying:
            sender, batch, looked = self.flying.pop(0)
            for change in batch:
                self.simulation.seen["late landing"] += 1
                self.take(sender, change, looked[change.ref], late=True)

    def copied(self) -> Memory:
        """The same records in a CRM where nothing goes wrong."""
        made = Memory(self.name, threading.Event())
        made.people = list(self.people)
        made.records, made.happened = dict(self.records), dict(self.happened)
        made._numbers, made._last = dict(self._numbers), self._last
        return made


# The world


@dataclass
class Edit:
    """What a person gave a record, and when."""

    value: str | None
    at: datetime
    moment: int


def fresh_state(folder: Path, name: str) -> str:
    """The address of an empty state: a copy of one that was migrated once."""
    template, path = folder / "template.db", folder / f"{name}.db"
    if not template.exists():
        open_store(f"sqlite:///{template}").close()
    for old in folder.glob(f"{name}.db*"):
        old.unlink()
    shutil.copy(template, path)
    return f"sqlite:///{path}"


lasting_engines: dict[URL, Engine] = {}


def lasting_engine(address: URL, **how) -> Engine:
    """One engine for each database: it keeps the statements that it compiled, which costs more than running them."""
    if address not in lasting_engines:
        lasting_engines[address] = create_engine(address, **how)
    return lasting_engines[address]


class Folders:
    """Folders for copies of the state, used again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.free, self.numbers = folder, [], itertools.count()

    @contextmanager
    def take(self, **_how) -> Iterator[str]:
        path = self.free.pop() if self.free else self.folder / f"copy{next(self.numbers)}"
        path.mkdir(exist_ok=True)
        try:
            yield str(path)
        finally:
            for old in path.iterdir():
                old.unlink()
            self.free.append(path)


class Simulation:
    """A world of a few people in two CRMs, the processes that work on it, and what happened so far."""

    def __init__(self, folder: Path, url: str = "", page_size: int = 2) -> None:
        self.folder, self.now = folder, NOW
        self.skew = timedelta()
        self.crms_tell_the_time = True
        self.crms = {name: Crm(name, self) for name in ("hubspot", "salesforce")}
        for each in self.crms.values():
            each.page_size = page_size
        self.model = 0
        self.actors: list[Actor] = []
        self.failures: list[str] = []
        self.theirs: dict[tuple[Ref, str], Edit] = {}
        self.seen: Counter[str] = Counter()
        self.moments = itertools.count(1)
        self.touched: set[tuple[Ref, str]] = set()
        self.has_purged = False
        self.number = itertools.count(1)
        self.approved_by_itself: set[str] = set()
        self.results: list[Result] = []
        self.owner_moves: dict[tuple[str, str], object] = {}
        self._patches = ExitStack()
        self._install()
        self.url = url or fresh_state(folder, "state")
        self.watching = open_store(self.url)

    def _install(self) -> None:
        real = {name: getattr(Store, name) for name in ("begin", "read")}
        numbers = itertools.count(1)

        def choking(name: str):
            @contextmanager
            def transaction(store: Store):
                actor = getattr(_here, "actor", None)
                if actor is None or store.engine.url.database != self.database:
                    with real[name](store) as connection:
                        yield connection
                    return
                choke(name)
                self.now += timedelta(seconds=1)
                with real[name](store) as connection:
                    actor.writing += name == "begin"
                    try:
                        yield connection
                    finally:
                        actor.writing -= name == "begin"

            return transaction

        for name in real:
            self._patches.enter_context(mock.patch.object(Store, name, choking(name)))
        folders = Folders(self.folder)
        self._patches.enter_context(mock.patch.object(copy_module.tempfile, "TemporaryDirectory", folders.take))
        engines = mock.patch.object(database_module, "create_engine", lasting_engine)
        self._patches.enter_context(engines)
        self._patches.enter_context(mock.patch.object(database_module, "lock_of", self._lock_of))
        clock = SimpleNamespace(time=lambda: self.now.timestamp())
        self._patches.enter_context(mock.patch.object(database_module, "time", clock))
        token = mock.patch.object(result_module.secrets, "token_hex", side_effect=lambda _n: f"{next(numbers):04x}")
        self._patches.enter_context(token)

    def _lock_of(self, engine: Engine) -> Lock | None:
        lock, actor = lock_of(engine), getattr(_here, "actor", None)
        if lock is not None and actor is not None:
            actor.locks.append(lock)
        return lock

    def land(self) -> None:
        """Whatever was sent arrives."""
        for crm in self.crms.values():
            crm.land()

    @property
    def database(self) -> str | None:
        return make_url(self.url).database

    def close(self) -> None:
        """Nobody is left, and nothing of the double."""
        for actor in self.actors:
            with suppress(Exception):
                actor.kill()
        self.watching.close()
        self._patches.close()
        for engine in lasting_engines.values():
            engine.dispose()

    @property
    def config(self):
        """The config file as it is now."""
        return settings_of(self.model)

    def work(self, store: Store, settings=None) -> Work:
        begun = self.now

        def elapsed() -> float:
            return (self.now - begun).total_seconds()

        return Work(settings or self.config, store, self.crms, begun + self.skew, elapsed=elapsed)

    def configure(self, model: int) -> None:
        """Another config file."""
        self.model = model

    # What people and things do

    def live(self, crm: Crm) -> list[Ref]:
        """The records that anything may happen to: one of each CRM is left alone, or it would be taken for broken."""
        return [ref for ref, record in sorted(crm.records.items()) if not record.gone and ref.id != "000"]

    def add_anchors(self) -> None:
        for crm in self.crms.values():
            crm.edit(Contact(Ref(crm.name, "contact", "000"), self.now, emails=("anchor@x.example",)))

    def add_person(self, rng, number: int | None = None) -> None:
        number = number or next(self.number)
        mail = (f"{rng.choice(['ada', 'bo', 'cy', f'p{number}', f'p{number}', f'p{number}', 'info'])}@x.example",)
        where = rng.choice(["hubspot", "salesforce", "both", "both"])
        for crm in self.crms.values():
            if where in (crm.name, "both"):
                kind = "contact" if crm.name == "hubspot" else rng.choice(["lead", "contact"])
                owner = rng.choice([None, None, f"{crm.name}-bob", f"{crm.name}-eve", f"{crm.name}-queue"])
                stage = rng.choice([None, "lead", "lead", "mql"])
                record = Contact(
                    Ref(crm.name, kind, f"{number:03}"), self.now, emails=mail, stage=stage, owner=owner,
                    fields=some_fields(rng),
                )  # fmt: skip
                crm.edit(record)
                for _ in range(rng.randrange(3)):
                    self.happen(rng, crm, record)

    def happen(self, rng, crm: Crm, record: Contact) -> None:
        kind, attributes = rng.choice(
            [("form_submitted", {"form": "demo"}), ("page_viewed", {"url": "https://x.example/pricing"})]
        )
        at = self.now - timedelta(hours=rng.randrange(1, 24 * 30))
        crm.happen(Activity(record.ref, f"{kind}:{next(self.number)}", kind, at, attributes))

    def edit(self, crm: Crm, ref: Ref, **values) -> None:
        """A person edits a record."""
        record = crm.records[ref]
        for name in DIRECT & values.keys():
            self.touched.add((ref, name))
            self._expect(record, name, values[name])
        crm.edit(replace(record, changed_at=self.now, **values), by_hand=True)

    def _expect(self, record: Contact, name: str, value: str | None) -> None:
        """What a person gives a record that crmsync knows has to stay, unless it was noticed as nothing new."""
        if (getattr(record, name) or None) == (value or None):
            return
        it = schema.record.c
        with self.watching.read() as reading:
            query = select(it.known, it.gone, getattr(it, name)).where(
                it.crm == record.ref.crm, it.kind == record.ref.kind, it.ref_id == record.ref.id
            )
            stored = reading.execute(query).first()
            adopted = run_journal.adopted_config(reading)
        if adopted is None or stored is None or not stored[0] or stored[1] or (stored[2] or None) == (value or None):
            self.theirs.pop((record.ref, name), None)
        else:
            self.theirs[record.ref, name] = Edit(value, self.now, next(self.moments))

    def forget(self, ref: Ref) -> None:
        """What was expected of a record ends with it."""
        for name in DIRECT:
            self.touched.add((ref, name))
            self.theirs.pop((ref, name), None)

    def delete(self, crm: Crm, ref: Ref) -> None:
        self.forget(ref)
        crm.edit(replace(crm.records[ref], gone=True, changed_at=self.now))

    def restore(self, crm: Crm, ref: Ref) -> None:
        self.forget(ref)
        crm.edit(replace(crm.records[ref], gone=False, merged_into=None, changed_at=self.now))

    def merge(self, crm: Crm, survivor: Ref, loser: Ref) -> None:
        """Two records of one kind become one, in the way of the CRM."""
        one, other = crm.records[survivor], crm.records[loser]
        for ref in (survivor, loser):
            self.forget(ref)
        crm.replaced_by[loser] = survivor
        if crm.name == "hubspot":
            aliases = tuple(dict.fromkeys([*one.aliases, other.ref.id, *other.aliases]))
            emails = tuple(dict.fromkeys([*one.emails, *other.emails]))
            crm.records.pop(loser)
            crm._numbers.pop(loser)
            crm.edit(replace(one, aliases=aliases, emails=emails, changed_at=self.now))
        else:
            crm.edit(replace(other, gone=True, merged_into=survivor, changed_at=self.now))
            crm.edit(replace(one, changed_at=self.now))
        for key in [key for key in crm.happened if key[1] == loser]:
            activity = crm.happened.pop(key)
            crm._numbers.pop(key)
            crm.happen(replace(activity, ref=survivor))

    def observe(self, crm: Crm, sender: str, record: Contact, change, looked: int, *, late: bool) -> None:
        """A change of crmsync arrives at a record, which it `looked` at before: it must be one of those that may."""
        demand(change.after.keys() <= OURS | DIRECT, "it_writes_only_its_own_fields", change)
        demand("plan" not in sender, "a_preview_writes_nothing", change)
        gives_back = change.because == "a user set it a moment before"
        for name in DIRECT & change.after.keys():
            edit = self.theirs.get((change.ref, name))
            if edit is None or gives_back or (crm.keeps_history and not late):
                continue
            if edit.moment > looked:  # nobody could know
                self.seen["person overwritten in flight"] += 1
                self.theirs.pop((change.ref, name))
        if "stage" in change.after and not gives_back:
            before, after = change.before["stage"], change.after["stage"]
            ladder = [stage.name for stage in self.config.stage]
            forward = before is None or (before in ladder and ladder.index(after) > ladder.index(before))
            demand(forward, "stages_only_move_forward", change)
        owner = change.before.get("owner")
        if "owner" in change.after and owner and not gives_back:
            active = any(each.id == owner and each.active and each.kind == "user" for each in crm.people)
            moved = (crm.name, owner) in self.owner_moves
            demand(not active or moved, "active_owners_keep_their_people", change)

    def owner_leaves(self, crm: Crm, owner_id: str, active: bool) -> None:
        self.owner_moves[crm.name, owner_id] = self.now
        crm.people = [replace(each, active=active) if each.id == owner_id else each for each in crm.people]

    # Processes

    def _start(self, name: str, act: Callable[[Actor], object]) -> Actor:
        actor = Actor(name, act, self.land)
        self.actors.append(actor)
        return actor

    def daemon(self, name: str) -> Actor:
        """`crmsync run`, with the config of now; each time that it is idle it waits for the next tick."""
        settings = self.config

        def act(actor: Actor) -> None:
            store = open_store(self.url)
            actor.leave = WriterStop(actor.stop, store)
            try:
                while not actor.stop.is_set():
                    try:
                        with store.writer("crmsync run", actor.stop, lambda _holder: None):
                            self._serve(actor, store, settings)
                    except Cancelled:
                        break
                    except StateError as error:
                        self.seen[type(error).__name__] += 1
                        actor.stop.wait(STANDBY_POLL)
            finally:
                store.close()

        return self._start(name, act)

    def _serve(self, actor: Actor, store: Store, settings) -> None:
        with store.begin() as tx:
            run_journal.set_worker_config(tx, settings.decision_hash())
        while not actor.stop.is_set():
            if not store.may_write():
                raise LostLock
            work = self.work(store, settings)
            full = scheduler.is_full_resync_due(work)
            self._run(actor, work, "full_resync" if full else "run", full=full)
            choke("idle")

    def command(self, name: str) -> Actor:
        """A command of the command line: sync, backfill, backfill --yes, plan."""

        def act(actor: Actor) -> None:
            store = open_store(self.url)
            try:
                if name == "plan":
                    with _in_words():
                        preview_run(self.work(store))
                    return
                actor.leave = WriterStop(actor.stop, store)
                with store.writer(f"crmsync {name}", actor.stop):
                    full = name.startswith("backfill")
                    itself = name.endswith("yes")
                    self._run(actor, self.work(store), "backfill" if full else name, full=full, approved=itself)
            except (StateInUse, Cancelled) as error:
                self.seen[type(error).__name__] += 1
            except StateError as error:
                self.seen[type(error).__name__] += 1
            finally:
                store.close()

        return self._start(name, act)

    def _run(self, actor: Actor, work: Work, command: str, **how) -> Result | None:
        before, judged = len(self.failures), self._judged()
        try:
            result = run_cycle(work, command, **how)
        except (Unavailable, ConfigError, Cancelled, WrongClock) as error:
            self.seen[f"run: {type(error).__name__}"] += 1
            return None
        self.seen[f"run: {result.verdict}"] += 1
        if how.get("approved"):
            self.approved_by_itself.add(result.run)
        failed = set(self.failures[before:])
        demand(result.skipped.keys() <= failed, "one_crm_down_is_not_two_down", (result.skipped, failed))
        check_balance(result)
        self._check_limits(result, judged)
        return result

    def approve(self, which: int = 0) -> None:
        """Somebody approves a plan that can be approved, by the config of now."""
        with self.watching.begin() as tx:
            plans = [*run_journal.waiting_plans(tx), *run_journal.list_plans(tx, run_journal.PREVIEW)]
            if not plans:
                return
            with suppress(ConfigError):
                found = self._find_plan(tx, plans[which % len(plans)].id)
                if run_journal.approve_plan(tx, found.id, to_ms(self.now + self.skew), "ann"):
                    self.seen["approved"] += 1

    def _find_plan(self, tx, plan_id: str):
        return approval.find_plan(tx, self.config.decision_hash(), plan_id, to_ms(self.now + self.skew))

    def lose_lock(self, actor: Actor) -> None:
        """The lock of somebody who is paused goes away, as when a network or an operator ends it."""
        held = [lock for lock in actor.locks if lock.is_held()]
        for lock in held:
            self.seen["lock lost"] += 1
            if isinstance(lock, PostgresLock):
                session = lock._connection.scalar(select(func.pg_backend_pid()))
                with self.watching.engine.connect() as connection:
                    connection.execute(select(func.pg_terminate_backend(session)))
            else:
                Path(f"{make_url(self.url).database}.lock").unlink(missing_ok=True)

    def finish(self, actor: Actor) -> None:
        """Let somebody go on until there is nothing for them to do at present."""
        for _ in range(20_000):
            if actor.at == DONE:
                return
            actor.go_on()
            if actor.at in ("idle", "standing by"):
                return
        raise BrokenLawError("a_run_comes_to_an_end", actor.called)

    def let(self, actor: Actor, steps: int) -> None:
        """Let somebody go on for so many choke points."""
        for _ in range(steps):
            if actor.at != DONE:
                actor.go_on()

    def _kill(self, actor: Actor, later: int) -> None:
        """Somebody is killed after so many more transactions that write, looks and writes: nothing else is kept.

        Often it is just after a page came, where most can go wrong.
        """
        if later % 2:
            for _ in range(later // 6):
                self.go_to(actor, "call")
            later = later // 2 % 3 + 1
        for _ in range(500):  # a daemon whose CRMs are down comes to none of these, however often it runs
            if not later or actor.at in (DONE, "standing by"):
                break
            actor.go_on()
            later -= actor.at.endswith(("begin", "look", "write"))
        if actor.at != DONE:
            self.seen[f"kill at {actor.at}"] += 1
            actor.kill()

    def go_to(self, actor: Actor, place: str) -> None:
        """Let somebody go on until just before they read, look at or write to a CRM, or there is nothing to do."""
        for _ in range(1_000):
            if actor.at == DONE:
                return
            actor.go_on()
            if actor.at in ("idle", "standing by") or actor.at.endswith(place):
                return

    def end(self, actor: Actor) -> None:
        """Tell somebody to stop (SIGTERM), and let them."""
        actor.stop.set()
        for _ in range(2):
            self.finish(actor)
        demand(actor.at == DONE, "whoever_is_told_to_stop_leaves", actor.at)

    def running(self) -> list[Actor]:
        self.actors = [actor for actor in self.actors if actor.at != DONE]
        return self.actors

    # What may happen

    def act(self, deed: str, which: int, other: int) -> None:
        """One thing happens; `which` and `other` say to whom and how."""
        rng = random.Random(other)
        crm = self.crms["hubspot" if other % 2 == 0 else "salesforce"]
        refs = [(each, ref) for each in self.crms.values() for ref in self.live(each)]
        handled = [(each, ref) for each, ref in refs if ref in each.handled]
        refs = handled if handled and other % 3 < 2 else refs
        running = self.running()
        if deed in ADMIN:
            self._act_alone(deed, which, crm, rng)
        elif deed in PROCESS:
            if deed == "kill" and not running:
                running = [self.command("sync")]
            if running:
                self._act_on_process(deed, running[which % len(running)], other)
        elif deed in CRM:
            self._act_on_crm(deed, crm, which, rng)
        elif deed == "restore":
            gone = [ref for ref, record in sorted(crm.records.items()) if record.gone and not record.merged_into]
            if gone:
                self.seen[deed] += 1
                self.restore(crm, gone[which % len(gone)])
        elif refs:
            self.seen[deed] += 1
            self._act_on_record(deed, *refs[which % len(refs)], rng)

    def _act_alone(self, deed: str, which: int, crm: Crm, rng) -> None:
        match deed:
            case "start":
                name = PROCESSES[which % len(PROCESSES)]
                if len(self.running()) < 4 and all(each.called != name for each in self.actors):
                    self.seen[f"start {name}"] += 1
                    (self.daemon if name.startswith("daemon") else self.command)(name).go_on()
            case "run":
                self.finish(self.command(("sync", "sync", "backfill --yes", "plan")[which % 4]))
            case "approve":
                self.approve(which)
            case "edit the config":
                self.configure(which % len(MODELS))
            case "change who can own":
                self.owner_leaves(crm, f"{crm.name}-{rng.choice(['ann', 'bob'])}", rng.random() < 0.5)
            case "wait":
                self.now += timedelta(hours=(1, 5, 30, 8 * 24)[which % 4])
            case "set the clock":
                self.skew = timedelta(minutes=(0, 3, -3, 4, -4, 1200, -1200, 28_800)[which % 8])
            case "come" if sum(len(each.records) for each in self.crms.values()) < 14:
                self.add_person(rng)

    def _act_on_process(self, deed: str, actor: Actor, other: int) -> None:
        match deed:
            case "go on":
                self.let(actor, other % 60 + 1)
            case "go on to a place":
                self.go_to(actor, PLACES[other % len(PLACES)])
            case "finish":
                self.finish(actor)
            case "kill":
                self._kill(actor, other % 30)
            case "stop":
                self.end(actor)
            case "lose the lock":
                self.lose_lock(actor)

    def _act_on_crm(self, deed: str, crm: Crm, which: int, rng) -> None:
        match deed:
            case "go down" | "come up":
                crm.is_down = deed == "go down"
            case "next request":
                crm.fates.append(FATES[which % len(FATES)])
            case "land":
                crm.land()
            case "mend":
                self.skew = timedelta()
                crm.refusing, crm.refusing_fields, crm.workflow = {}, {}, None
            case "workflow":
                crm.workflow = partial(rewrite, rng.choice(["stage", "owner", "score"]))
            case "take back an activity" if crm.happened:
                key = sorted(crm.happened)[which % len(crm.happened)]
                crm.happen(replace(crm.happened[key], gone=True))

    def _act_on_record(self, deed: str, crm: Crm, ref: Ref, rng) -> None:
        match deed:
            case "edit fields" | "edit the stage" | "edit the owner" | "edit the address" | "edit our field":
                self.edit(crm, ref, **edited(deed, crm.records[ref], rng))
            case "do something":
                self.happen(rng, crm, crm.records[ref])
            case "delete":
                self.delete(crm, ref)
            case "purge":
                self.forget(ref)
                self.has_purged = True
                crm.records.pop(ref)
                crm._numbers.pop(ref)
            case "merge":
                others = [each for each in self.live(crm) if each.kind == ref.kind and each != ref]
                if others:
                    self.merge(crm, ref, rng.choice(others))
            case "refuse":
                field = rng.choice(["", "stage", "owner", "score"])
                refusing = crm.refusing_fields if field else crm.refusing
                refusing[ref] = field or "a rule says no"

    # What must hold

    def _judged(self) -> set[tuple]:
        """What interrupted runs were about to write: it goes on, and was within the limits or approved when planned."""
        runs = {row["id"]: row["verdict"] for row in self._rows(schema.run)}
        open_states = (journal.PLANNED, journal.SENT)
        return {
            (key_of(row), row["after"])
            for row in self._rows(schema.change)
            if row["state"] in open_states and runs[row["run"]] not in run_journal.PLANS
        }

    def _check_limits(self, result: Result, judged: set[tuple]) -> None:
        """What a run wrote that nobody approved is within the limits of the file, but for what was judged before."""
        if result.run in self.approved_by_itself:
            return
        with self.watching.read() as reading:
            plans = [
                *run_journal.list_plans(reading, run_journal.APPROVED),
                *run_journal.list_plans(reading, run_journal.SUPERSEDED),
            ]
            runs = {row.id: row for row in plans}
        seen: Counter[str] = Counter()
        for plan_id in (result.approved or {}).get("plans", ()):
            for crm, numbers in approval.plan_of(runs[plan_id])["seen"].items():
                seen[crm] = max(seen[crm], a_tenth_more(numbers["first"]))
        first = Counter(
            row["crm"]
            for row in self._changes(result.run)
            if row["state"] == journal.UPDATED
            and orjson.loads(row["before"]).get("score", 0) is None
            and (key_of(row), row["after"]) not in judged
        )
        for name, crm in self.crms.items():
            allowed = max(GUARD["first_run"], int(len(crm.records) * GUARD["scores"]), seen[name])
            demand(first[name] <= allowed, "large_surprises_wait", (first[name], allowed))

    def come_to_rest(self) -> None:
        """Faults are over, whoever is in the middle of something ends it, and whatever is under way arrives."""
        self.land()
        for crm in self.crms.values():
            crm.is_down, crm.fates = False, []
            crm.refusing, crm.refusing_fields, crm.workflow = {}, {}, None
        self.skew = timedelta()
        for actor in self.running():
            self.finish(actor)
        for actor in self.running():
            self.end(actor)
        for crm in self.crms.values():
            demand(not crm.flying, "whatever_is_under_way_arrives")

    def sync(self, later: timedelta = timedelta(minutes=15), **how) -> Result:
        """An undisturbed run."""
        self.now += later
        judged = self._judged()
        with self.watching.writer("crmsync sync", Stop(self.land)):
            result = run_cycle(self.work(self.watching), "backfill" if how.get("full") else "sync", **how)
        if how.get("approved"):
            self.approved_by_itself.add(result.run)
        check_balance(result)
        self._check_limits(result, judged)
        self.seen["undisturbed run"] += 1
        return result

    def check(self) -> None:
        """Come to rest and see whether what was promised holds: now, and when no override holds any more."""
        self.come_to_rest()
        for _ in range(2 * self.has_purged):  # only a full pull finds out; the first may be one that was cut off
            self.sync(full=True)
        for later in (timedelta(minutes=15), timedelta(minutes=15), timedelta()):
            result = self.sync(later)
        demand(not planned(result), "a_second_run_writes_nothing", lambda: self._changes(result.run))
        if result.held is None and not result.waiting_for_owner["count"] and not self._rows_dirty():
            scored = {crm: counts.rescored for crm, counts in result.crms.items() if counts.rescored}
            demand(not scored, "over_crms_at_rest_nothing_is_scored", scored)
        self._check_at_rest(result)
        self._check_theirs()
        self._check_overrides()
        self.now += FOREVER
        for _ in range(6):
            result = self.sync(timedelta(minutes=1))
            if result.held is None and not any(each.planned for each in result.crms.values()):
                break
            if result.held is not None:
                self.approve_waiting()
        demand(result.held is None, "an_approval_lets_in_what_was_seen", result.held)
        demand(not planned(result), "the_next_plan_is_empty", lambda: self._open())
        self._check_at_rest(result, strictly=True)
        self._check_preview()
        before = self._scores()
        result = self.sync(timedelta(), full=True)
        demand(not planned(result), "a_full_pull_finds_nothing", lambda: self._changes(result.run))
        demand(self._scores() == before, "a_full_pull_changes_no_score", lambda: (before, self._scores()))

    def approve_waiting(self) -> None:
        with self.watching.begin() as tx:
            for row in run_journal.waiting_plans(tx):
                with suppress(ConfigError):
                    found = self._find_plan(tx, row.id)
                    run_journal.approve_plan(tx, found.id, to_ms(self.now), "ann")

    def _check_at_rest(self, result: Result, *, strictly: bool = False) -> None:
        rows = self._rows(schema.change)
        runs = {row["id"]: row["verdict"] for row in self._rows(schema.run)}
        left = [
            row for row in rows if row["state"] in ("sent", "planned") and runs[row["run"]] not in run_journal.PLANS
        ]
        demand(not left, "the_journal_has_nothing_open", left)
        demand("running" not in runs.values(), "no_run_is_left_running", runs)
        for row in self._rows(schema.person):
            points = sum(points for _line, points in ENTRY.iter_unpack(row["ledger"]))
            demand(points == row["total"], "every_line_adds_up", row)
        self._check_records(result, strictly=strictly)

    def _check_records(self, result: Result, *, strictly: bool) -> None:
        """Each live record holds what a state built anew says, or stands on a list that says why not."""
        with self.watching.read() as reading:
            adopted = run_journal.adopted_config(reading)
        held_by_config = result.held is not None and result.held.kind == "config"
        settings = config_of(adopted[1], self.config) if held_by_config and adopted else self.config
        anew = open_store(fresh_state(self.folder, "anew"))
        copies = {name: crm.copied() for name, crm in self.crms.items()}
        try:
            made = run_cycle(Work(settings, anew, copies, self.now), "sync", approved=True)
            wanted, told = records_of(anew), records_of(self.watching)
            listed = set() if strictly else self._listed()
            demand(told.keys() <= wanted.keys(), "who_is_gone_is_gone", lambda: told.keys() - wanted.keys())
            for ref, should in wanted.items():
                record = self.crms[ref[0]].records[Ref(*ref)]
                known = told.get(ref)
                demand(known is not None, "every_record_is_known", ref)
                demand(known["with"] == should["with"], "who_is_who_is_the_same_anew", lambda: (ref, known, should))  # noqa: B023
                if should["score"] is None or ref in listed:
                    continue
                score = record.current.get("score")
                law = "every_record_holds_its_score_or_a_list_says_why_not"
                demand(score == should["score"], law, lambda: (ref, record, known, should))  # noqa: B023
                law = "what_is_stored_is_what_is_computed_anew"
                demand(known["total"] == should["total"], law, (ref, known, should))
                demand(known["stage"] == record.stage, "the_state_knows_the_stage", (ref, known, record))
                demand(known["owner"] == record.owner, "the_state_knows_the_owner", (ref, known, record))
            if not strictly:
                self._check_reasons(self._changes(made.run, anew), listed)
            if strictly:
                changes = lambda: self._changes(made.run, anew)  # noqa: E731
                demand(not planned(made), "a_state_built_anew_would_write_nothing", changes)
        finally:
            anew.close()

    def _check_reasons(self, changes: list[dict], listed: set[tuple[str, str, str]]) -> None:
        """What a state built anew would write has a reason not to be: a list has the record, or somebody set it."""
        overrides = {key_of(row): orjson.loads(row["overrides"]) for row in self._rows(schema.record)}
        for row in changes:
            key, after = key_of(row), orjson.loads(row["after"])
            unexplained = after.keys() - overrides[key].keys()
            demand(key in listed or not unexplained, "what_is_not_written_has_a_reason", row)

    def _listed(self) -> set[tuple[str, str, str]]:
        """The records of which a list says why they may not hold what they should."""
        runs = {row["id"]: row["verdict"] for row in self._rows(schema.run)}
        waiting = [
            row for row in self._rows(schema.change) if runs[row["run"]] in (run_journal.WAITING, run_journal.APPROVED)
        ]
        listed = {(row["crm"], row["kind"], row["ref_id"]) for row in waiting}
        held = {row["person"] for row in self._rows(schema.record) if key_of(row) in listed}
        for row in self._rows(schema.record):
            if row["on_hold"] or row["ambiguous"] or row["person"] in held:
                listed.add(key_of(row))
        return listed

    def _check_overrides(self) -> None:
        """What crmsync takes for somebody's own choice is somebody's."""
        for row in self._rows(schema.record):
            for name in orjson.loads(row["overrides"]):
                demand((Ref(*key_of(row)), name) in self.touched, "an_override_is_somebodys", row)

    def _check_theirs(self) -> None:
        for (ref, name), edit in self.theirs.items():
            record = self.crms[ref.crm].records.get(ref)
            if record is None or record.gone or self.now - edit.at >= RESPECT:
                continue
            value = getattr(record, name) or None
            demand(value == (edit.value or None), "people_win", lambda: (ref, name, edit, value))  # noqa: B023

    def _check_preview(self) -> None:
        """A preview changes nothing that a later run reads, and plans nothing."""
        tables = [table for table in schema.metadata.sorted_tables if table.name not in ("run", "change", "model")]
        before = {table.name: self._rows(table) for table in tables}
        writes = [len(crm.writes) for crm in self.crms.values()]
        result = preview_run(self.work(self.watching))
        demand(not planned(result), "a_plan_over_crms_at_rest_is_empty", lambda: self._changes(result.run))
        demand([len(crm.writes) for crm in self.crms.values()] == writes, "a_preview_writes_nothing")
        for table in tables:
            demand(self._rows(table) == before[table.name], "a_preview_changes_nothing", table.name)

    def _rows_dirty(self) -> list[dict]:
        return [row for row in self._rows(schema.record) if row["dirty"] or row["on_hold"]]

    def _rows(self, table, store: Store | None = None) -> list[dict]:
        with (store or self.watching).read() as reading:
            return [row._asdict() for row in reading.execute(select(table))]

    def _scores(self) -> dict:
        return {row["id"]: row["total"] for row in self._rows(schema.person)}

    def _changes(self, run: str, store: Store | None = None) -> list:
        return [row for row in self._rows(schema.change, store) if row["run"] == run]

    def _open(self) -> list:
        return [row for row in self._rows(schema.change) if row["state"] in ("planned", "sent", "updated")][-6:]


def edited(deed: str, record: Contact, rng) -> dict:
    """What a person gives a record."""
    match deed:
        case "edit the stage":
            return {"stage": rng.choice(["lead", "mql", "customer", None])}
        case "edit the owner":
            owner = rng.choice(["ann", "bob", "eve", "queue", None])
            return {"owner": f"{record.ref.crm}-{owner}" if owner else None}
        case "edit the address":
            return {"emails": (f"{rng.choice(['ada', 'bo', 'info', 'zed'])}@x.example",)}
        case "edit our field":
            return {"current": {**record.current, "score": rng.randrange(90)}}
    return {"fields": some_fields(rng)}


@contextmanager
def _in_words() -> Iterator[None]:
    with suppress(Unavailable, ConfigError, Cancelled, WrongClock):
        yield


@cache
def settings_of(model: int):
    return config(MODELS[model], guard=GUARD)


def some_fields(rng) -> dict:
    fields = {"title": rng.choice(["VP", "CEO", "Clerk", None]), "employees": rng.choice([5, 500, None])}
    return {name: value for name, value in fields.items() if value is not None}


def planned(result: Result) -> int:
    return sum(counts.planned for counts in result.crms.values())


def check_balance(result: Result) -> None:
    """What was pulled and what was planned is counted once."""
    for counts in result.crms.values():
        demand(counts.pulled == counts.scored + sum(counts.skipped.values()), "counts_balance", counts)
        ended = counts.updated + counts.partly + counts.rejected + counts.edited + counts.unknown
        demand(counts.planned == ended, "counts_balance", counts)


def key_of(row: dict) -> tuple[str, str, str]:
    return row["crm"], row["kind"], row["ref_id"]


def records_of(store: Store) -> dict[tuple[str, str, str], dict]:
    """Each live record with the records of the same person, what they score, and its stage and owner."""
    with store.read() as reading:
        rows = [row._asdict() for row in reading.execute(select(schema.record))]
        people = {row.id: row.total for row in reading.execute(select(schema.person))}
    live = [
        row for row in rows if row["known"] and not row["gone"] and not row["merged_into"] and not row["converted_into"]
    ]
    together: dict[int, list] = {}
    for row in live:
        if row["person"]:
            together.setdefault(row["person"], []).append(key_of(row))
    return {
        key_of(row): {
            "with": sorted(together.get(row["person"], [])),
            "total": people.get(row["person"]),
            "score": _points(people.get(row["person"])),
            "stage": row["stage"],
            "owner": row["owner"],
            "ambiguous": row["ambiguous"],
        }
        for row in live
    }


def _points(hundredths: int | None) -> int | float | None:
    if hundredths is None:
        return None
    return hundredths // 100 if hundredths % 100 == 0 else hundredths / 100


# Whoever drives

PROCESSES = ("daemon A", "daemon B", "sync", "sync", "daemon A", "daemon B", "backfill", "backfill --yes", "plan")

DEEDS = {
    # processes
    "start": 6, "go on": 8, "go on to a place": 8, "finish": 4, "run": 4, "kill": 6, "stop": 1, "lose the lock": 3,
    # people
    "come": 2, "delete": 2, "purge": 1, "restore": 2, "merge": 2, "do something": 3, "take back an activity": 1,
    "edit fields": 4, "edit the stage": 3, "edit the owner": 3, "edit the address": 2, "edit our field": 1,
    # an admin, and time
    "approve": 3, "edit the config": 1, "change who can own": 1, "wait": 3,
    "set the clock": 1,
    # CRMs
    "go down": 1, "come up": 2, "next request": 4, "land": 2, "refuse": 2, "mend": 2, "workflow": 2,
}  # fmt: skip
"""What can happen, and how often."""

PLACES = ("write", "write", "look", "call", "begin")
ADMIN = {"start", "run", "approve", "edit the config", "wait", "come", "change who can own", "set the clock"}
PROCESS = {"go on", "go on to a place", "finish", "kill", "stop", "lose the lock"}
CRM = {"go down", "come up", "next request", "land", "mend", "workflow", "take back an activity"}
FATES = ("late", "lost", "answer lost", "answered")


class World(RuleBasedStateMachine):
    """Hypothesis says what happens and who goes on; what fails shrinks, and replays by its seed."""

    folder: Path
    url = ""
    exercised: Counter[str] = Counter()

    @initialize(
        seed=WHICH,
        people=st.integers(1, 5),
        page_size=st.integers(1, 3),
        never=st.sets(st.sampled_from(sorted(DEEDS.keys() - {"start", "run", "go on"})), max_size=12),
        known=st.booleans(),
    )
    def begin(self, seed: int, people: int, page_size: int, never: set[str], known: bool) -> None:
        """A world of a few people, in which some things never happen; it is `known` to crmsync, or new."""
        rng = random.Random(seed)
        self.it, self.never = Simulation(self.folder, self.make_state(), page_size), never
        self.it.add_anchors()
        for _ in range(people):
            self.it.add_person(rng)
        if known:
            self.it.sync(approved=True)

    def make_state(self) -> str:
        """The address of an empty state; a copy of a file where this gives none."""
        return self.url

    @rule(deed=st.sampled_from([name for name, often in DEEDS.items() for _ in range(often)]), which=WHICH, other=WHICH)
    def act(self, deed: str, which: int, other: int) -> None:
        """One thing happens; what is meant by it is `which` of what there is."""
        if deed not in self.never:
            self.it.act(deed, which, other)

    def teardown(self) -> None:
        """All come to rest."""
        if not hasattr(self, "it"):
            return
        try:
            self.it.check()
        finally:
            self.it.close()
            self.exercised.update(self.it.seen)


def rewrite(what: str, record: Contact) -> Contact:
    """What a workflow makes of a record that was just written."""
    if what == "score":
        return replace(record, current={**record.current, "score": 99})
    return replace(record, **{what: {"stage": "lead", "owner": f"{record.ref.crm}-bob"}[what]})
