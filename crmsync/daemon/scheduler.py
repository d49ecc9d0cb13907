"""The daemon: a run at once, then on schedule, one at a time, through whatever befalls a CRM."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from crmsync import log
from crmsync.config import Config
from crmsync.config.worker import Schedule
from crmsync.connector import Receiver
from crmsync.counts import count_of
from crmsync.cycle import run_cycle
from crmsync.daemon.signals import cut_off
from crmsync.daemon.triggers import trigger_of
from crmsync.elapsed import seconds_elapsed
from crmsync.errors import Cancelled, LostLock, Paused, StateError
from crmsync.exit_codes import FAILED, Outcome, outcome_of
from crmsync.planning.approval import GOOD_FOR
from crmsync.result import Result
from crmsync.store import run_journal
from crmsync.store.database import Store
from crmsync.store.next_run import save_next_run
from crmsync.store.pausing import Pause, find_pause
from crmsync.store.sql import from_ms, to_ms
from crmsync.store.undone import drop_request, undo_requests
from crmsync.undo import undo_run
from crmsync.work import Work

DEFAULTS = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
"""Late ticks become one cycle that runs however late it is: APScheduler's own grace of one second skips it silently."""

WATCHED_EVERY = 5.0
"""Seconds between looks at whether the cycle makes progress."""

STATE_EVERY = 1.0
"""Seconds between looks at whether this process is still the one that writes, and whether somebody approved a plan."""

SOON = timedelta(seconds=2)
"""From a CRM's call to the cycle that looks: what else it says meanwhile is looked at together."""

APART = timedelta(seconds=30)
"""Between two such cycles: each costs calls of the day even where it finds nothing."""

CLOCK_EVERY = 5.0
"""Seconds between looks at whether somebody set this machine's clock."""

JUMP = timedelta(seconds=2)
"""What is less moves no run by more than that."""

ALERT_SECONDS = 30.0
"""How long a process that ends itself goes on in order to tell so."""

Tell = Callable[[Outcome | None], object]
"""Told of each run that ended, with the error where it did with one; it raises nothing."""


@dataclass
class Watch:
    """What the daemon is at: when the cycle under way began or last got on (monotonic seconds), else `None`.

    `began` is when the last cycle began, as `passed` counts.
    """

    since: float | None = None
    began: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """A cycle begins, or got on."""
        with self.lock:
            self.since = time.monotonic()

    def end(self) -> None:
        """The cycle is over."""
        with self.lock:
            self.since = None

    def stalled(self, deadline: float) -> bool:
        """Whether the cycle under way has not got on for so many seconds."""
        with self.lock:
            return self.since is not None and time.monotonic() - self.since > deadline


def tell_nobody(_failed: Outcome | None) -> None:
    """Tell nobody how a run ended."""


def run_scheduled(work_now: Callable[[], Work], watch: Watch, tell: Tell = tell_nobody) -> Result | None:
    """One cycle of the daemon. Whatever it raises is told and kept: the next tick goes on."""
    logger = log.get_logger()
    watch.begin()
    watch.began = seconds_elapsed()
    try:
        for request in undo_requests_of(work_now()):
            _undo(work_now(), request, logger)
        work = work_now()
        full = is_full_resync_due(work)
        result = run_cycle(work, "full_resync" if full else "run", full=full)
    except Paused:
        # Without the reason, in which an admin may name people.
        logger.info("run_stopped", why="writing is paused; crmsync status says why")
        tell(None)
    except (Cancelled, LostLock) as error:
        logger.info("run_stopped", why=str(error))
    except Exception as error:
        end = outcome_of(error, kept=True)
        fault = error if end.kind == "fault" else None
        logger.error("run_failed", kind=end.kind, problems=list(end.said), next=end.next, exc_info=fault)
        tell(end)
    else:
        _tell(result)
        tell(None)
        return result
    finally:
        watch.end()
    return None


def is_full_resync_due(work: Work) -> bool:
    """Whether it is time to pull everything again, or a pull of everything was cut off."""
    with work.store.read() as reading:
        last = run_journal.last_full_pull(reading, work.now_ms)
    every = int(work.config.schedule.full_resync.total_seconds() * 1000)
    return last is not None and work.now_ms - last >= every


def undo_requests_of(work: Work) -> list[str]:
    """The runs that somebody asks to undo, since a day at most: whoever waited longer has done something else."""
    with work.store.read() as reading:
        return [each.run for each in undo_requests(reading) if abs(work.now_ms - each.at) <= GOOD_FOR]


def _undo(work: Work, run_id: str, logger: Any) -> None:
    """Undo a run that somebody asks for: once, whatever comes of it, since whoever asks is told how it ended."""
    try:
        _tell(undo_run(work, run_id))
    except (Cancelled, StateError):
        raise
    except Exception as error:
        end = outcome_of(error)
        fault = error if end.kind == "fault" else None
        logger.error("run_failed", kind=end.kind, problems=list(end.said), next=end.next, exc_info=fault)
    with work.store.begin() as writing:
        drop_request(writing, run_id)


def _tell(result: Result) -> None:
    logger = log.get_logger(run=result.run)
    for crm, counts in result.crms.items():
        numbers = {name: value for name, value in vars(counts).items() if value}
        logger.info("crm_done", crm=crm, **numbers)
    for source, events in result.events.items():
        logger.info("events_done", source=source, **{name: value for name, value in vars(events).items() if value})
    level = logger.info if result.verdict == "ok" else logger.warning
    level("run_done", verdict=result.verdict, bands=result.bands, problems=result.problems)
    if result.held:
        logger.warning("plan_waits", plan=result.held.run, reasons=result.held.reasons, next="crmsync apply")


def scheduler_of(schedule: Schedule, act: Callable[[], object], now: datetime) -> BlockingScheduler:
    """A scheduler with the one job, due at `now` for the first time; not started yet."""
    quiet = logging.getLogger("apscheduler.quiet")
    quiet.setLevel(logging.ERROR)
    scheduler = BlockingScheduler(job_defaults=DEFAULTS, timezone=UTC, logger=quiet)
    scheduler.add_job(act, trigger_of(schedule), id="cycle", name="cycle", next_run_time=now)
    scheduler.add_listener(_late, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    return scheduler


def run_now(scheduler: BlockingScheduler, act: Callable[[], object]) -> Callable[[], None]:
    """What asks for a run at once, from any thread; one that is under way is waited for. `act` as for `waker`."""

    def wake() -> None:
        now = datetime.now(UTC)
        # Two: one may wait at the lock of `act` while one runs.
        scheduler.add_job(act, "date", run_date=now, id="now", name="now", max_instances=2, replace_existing=True)

    return wake


def wake_scheduler(scheduler: BlockingScheduler, act: Callable[[], object]) -> Callable[[], None]:
    """What asks for a cycle soon, from any thread and however often; one that is under way is waited for.

    `act` must run one cycle at a time by itself: one more may wait for it.
    """
    free = time.monotonic()

    def wake() -> None:
        nonlocal free
        if scheduler.get_job("soon") is None:
            wait = max(SOON, timedelta(seconds=free - time.monotonic()))
            free = time.monotonic() + (wait + APART).total_seconds()
            due = datetime.now(UTC) + wait
            scheduler.add_job(act, "date", run_date=due, id="soon", name="soon", max_instances=2, replace_existing=True)

    return wake


def clock_setting(wall: Callable[[], datetime], seconds: Callable[[], float]) -> Callable[[], timedelta]:
    """What says how far the clock on the wall was set since it last said so; `seconds` pass regardless."""
    known = wall() - timedelta(seconds=seconds())

    def setting() -> timedelta:
        nonlocal known
        now = wall() - timedelta(seconds=seconds())
        moved = now - known
        if abs(moved) < JUMP:
            return timedelta()
        known = now
        return moved

    return setting


def follow_clock(scheduler: BaseScheduler, moved: timedelta, now: datetime, ran_ago: timedelta | None) -> None:
    """Move what is due along with a clock that was `moved` to `now`: an interval is elapsed time, a cron is not.

    `ran_ago` is how long ago the last cycle began.
    """
    for job in scheduler.get_jobs():
        trigger, due = job.trigger, job.next_run_time
        if due is None:
            continue
        if not isinstance(trigger, CronTrigger) or ran_ago is None:
            longest = trigger.interval if isinstance(trigger, IntervalTrigger) else APART
            # Never farther off than an interval is long, whatever the clock was before.
            due = min(due + moved, now + longest)
        elif moved < timedelta():
            due = _next_slot(trigger, now, ran_ago)
        with suppress(JobLookupError):  # it ran meanwhile
            job.modify(next_run_time=due)


def _next_slot(trigger: BaseTrigger, now: datetime, ran_ago: timedelta) -> datetime | None:
    """The next slot of a clock that was set back, but for those that were served a moment ago.

    A moment is half of what slots are apart: none is served twice for it, and none is waited for that long ago was.
    """
    due = trigger.get_next_fire_time(None, now)
    following = due and trigger.get_next_fire_time(due, due)
    apart = following and following.astimezone(UTC) - due.astimezone(UTC)
    while following and ran_ago + (due - now) < apart / 2:
        apart = following.astimezone(UTC) - due.astimezone(UTC)
        due, following = following, trigger.get_next_fire_time(following, following)
    return due  # type: ignore[no-any-return]


def _late(event: JobEvent) -> None:
    if event.job_id != "cycle":
        return
    log.get_logger().info("scheduled_run_skipped", why="the run before it is still in progress")


def run_daemon(
    config: Config,
    work_now: Callable[[], Work],
    watch: Watch,
    stop: threading.Event,
    receivers: Sequence[Receiver] = (),
    store: Store | None = None,
    tell: Tell = tell_nobody,
) -> None:
    """Run cycles until `stop` is raised; the cycle under way then leaves between two pages.

    `receivers` listen meanwhile, and approvals are taken up as they come into the `store`. Raises `ConfigError` where a
    receiver cannot listen, and `LostLock` as soon as this process may not write to the store any more.
    """
    one_at_a_time, leave = threading.Lock(), threading.Event()

    def act() -> None:
        with one_at_a_time:
            # Asked again under the lock: whoever waited here may have been told to stop meanwhile.
            if not (stop.is_set() or leave.is_set()):
                run_scheduled(work_now, watch, tell)

    scheduler = scheduler_of(config.schedule, act, datetime.now(UTC))
    deadline = config.schedule.stall_timeout.total_seconds()
    with ExitStack() as listening:
        for each in receivers:
            listening.enter_context(each.receiving(wake_scheduler(scheduler, act)))
        leaving = threading.Thread(target=_leave, args=(scheduler, leave), name="leaving", daemon=True)
        leaving.start()
        for attend in (
            partial(_attend_state, store, run_now(scheduler, act), stop, leave),
            partial(_attend_cycle, watch, deadline, leave, tell),
            partial(_attend_clock, scheduler, watch, leave),
            partial(_attend_schedule, scheduler, store, leave),
        ):
            threading.Thread(target=attend, daemon=True).start()
        scheduler.start()
        leaving.join()
    if not stop.is_set():
        # Nobody told it to stop, so that the turn was lost.
        raise LostLock


def _attend_schedule(scheduler: BaseScheduler, store: Store | None, leave: threading.Event) -> None:
    """Note in the state when the next scheduled run begins; a state that cannot be written ends the runs themselves."""
    # Not where runs are: the scheduler waits for them when it leaves, and answers nobody meanwhile.
    noted: datetime | None = None
    while store is not None and not leave.wait(STATE_EVERY):
        job = scheduler.get_job("cycle")
        if job is not None and job.next_run_time not in (None, noted):
            with suppress(StateError), store.begin() as writing:
                save_next_run(writing, to_ms(job.next_run_time))
                noted = job.next_run_time


def _attend_state(store: Store | None, wake: Callable[[], None], stop: threading.Event, leave: threading.Event) -> None:
    """Raise `leave` when told to stop, or when this process may not write any more.

    Ask for a run as soon as somebody approves a plan or wants a run undone, each of which asks once, and as soon as a
    pause is over.
    """
    known: set[str] = set()
    paused: Pause | None = None
    while not stop.wait(STATE_EVERY) and (store is None or store.may_write()):
        asked, before = _asked(store), paused
        paused = _pause(store, paused)
        if paused != before:
            _tell_pause(paused)
        if asked - known or (before is not None and paused is None):
            wake()
        known = asked
    leave.set()


def _pause(store: Store | None, known: Pause | None) -> Pause | None:
    """The pause that holds; where the state does not say, the one that is known."""
    with suppress(StateError):
        if store is not None:
            with store.read() as reading:
                return find_pause(reading, to_ms(datetime.now(UTC)))
    return known


def _tell_pause(paused: Pause | None) -> None:
    if paused is None:
        log.get_logger().info("resumed")
    else:
        until = None if paused.until is None else from_ms(paused.until).isoformat()
        log.get_logger().info("paused", since=from_ms(paused.since).isoformat(), until=until)


def _asked(store: Store | None) -> set[str]:
    """The plans that somebody approved, and the runs to undo; where the state does not say, the run itself will."""
    with suppress(StateError):
        if store is not None:
            with store.read() as reading:
                approved = {row.id for row in run_journal.list_plans(reading, run_journal.APPROVED)}
                return approved | {f"{each.run} {each.at}" for each in undo_requests(reading)}
    return set()


def _leave(scheduler: BlockingScheduler, stop: threading.Event) -> None:
    """Once told to stop, wait for the cycle under way to leave: the state must not be closed under it."""
    stop.wait()
    scheduler.shutdown(wait=True)


def _attend_clock(scheduler: BlockingScheduler, watch: Watch, stop: threading.Event) -> None:
    """Have the scheduler follow whoever sets the clock: it keeps instants, and waits for as long as they are off."""

    def wall() -> datetime:
        return datetime.now(UTC)

    setting = clock_setting(wall, seconds_elapsed)
    while not stop.wait(CLOCK_EVERY):
        if moved := setting():
            log.get_logger().warning("clock_was_set", seconds=round(moved.total_seconds()))
            ran_ago = None if watch.began is None else timedelta(seconds=seconds_elapsed() - watch.began)
            follow_clock(scheduler, moved, wall(), ran_ago)


def _attend_cycle(watch: Watch, deadline: float, stop: threading.Event, tell: Tell) -> None:
    """End the process where a cycle does not get on, for its supervisor to start it anew."""
    while not stop.wait(min(WATCHED_EVERY, deadline / 2)):
        if watch.stalled(deadline):
            log.get_logger().error(
                "run_stalled", seconds=int(deadline), next="the process ends, so that its supervisor restarts it"
            )
            said = (
                f"a run made no progress for {count_of(int(deadline), 'second')}; crmsync run ends, to be started again"
            )
            # In a thread, since what holds the run up may hold this up as well.
            telling = threading.Thread(target=tell, args=(Outcome(FAILED, "stalled", (said,)),), daemon=True)
            telling.start()
            telling.join(ALERT_SECONDS)
            cut_off(1, lambda: None)
