"""One cycle, the only way through the house: pull → score → route → plan → apply."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from crmsync.apply import apply, resolve
from crmsync.draft import draft
from crmsync.errors import ConfigError, Unavailable, UnsafePlan
from crmsync.failpoint import failpoint
from crmsync.model import Owner, Page
from crmsync.result import Counts, Result, Verdict, Work
from crmsync.store import journal, pulled, scored
from crmsync.store.database import bind_account
from crmsync.store.pulled import chunks


@dataclass
class Attempt:
    """A run under way: what it reports, the CRMs that sit out and why, the calls each had made before, its begin."""

    result: Result
    sat_out: dict[str, Exception] = field(default_factory=dict)
    calls_before: dict[str, int] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)


def cycle(
    work: Work, command: str = "sync", *, dry: bool = False, full: bool = False, approved: bool = False
) -> Result:
    """Run one cycle. `full` pulls everything again, `dry` stops before anything is written, `approved` skips the guard.

    A CRM that cannot be used sits out. Raises `Unavailable` or `ConfigError` when none can, `UnsafePlan` (the plan is
    kept for review), `Cancelled` (the next cycle goes on where this one stopped), `StateError`.
    """
    attempt = _begin(work, new_run_id(work.now))
    result = attempt.result
    _open_run(work, result, command)
    with _failing_loudly(work, attempt):
        for crm in work.crms:
            with _taking_part(work, attempt, crm):
                bind_account(work.store, crm, work.crms[crm].account())
                if not dry:
                    _resume(work, result, crm)
                _pull(work, result, crm, full)
        owners = _owners(work, attempt)
        reasons = draft(work, result, _alive(work, attempt), owners, going_on=not dry, approved=approved)
        failpoint("plan_stored")
        if dry:
            result.guard = reasons
            return _end(work, attempt, "dry")
        if reasons:
            result.problems += reasons
            _end(work, attempt, "unsafe")
            with work.store.begin() as writing:
                journal.supersede(writing, result.run)
            raise UnsafePlan(result.run, reasons)
        return _write(work, attempt)


def apply_run(work: Work, run_id: str) -> Result:
    """Apply a plan that was kept for review. Raises `ConfigError` when there is no such plan, else like `cycle`."""
    with work.store.read() as reading:
        found = journal.find_run(reading, run_id)
    if found is None:
        raise ConfigError(f"there is no run {run_id}; list the runs with: crmsync status")
    if found.verdict not in ("dry", "unsafe"):
        raise ConfigError(
            f"run {run_id} is not waiting for review (it ended {found.verdict}); plan anew with: crmsync plan"
        )
    attempt = _begin(work, run_id)
    with work.store.begin() as writing:
        journal.approve(writing, run_id)
    with _failing_loudly(work, attempt):
        for crm in work.crms:
            with _taking_part(work, attempt, crm):
                bind_account(work.store, crm, work.crms[crm].account())
        return _write(work, attempt)


def new_run_id(now: datetime) -> str:
    """A name that sorts by time and that nobody else has: `20261121-204500-1f3a`."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _begin(work: Work, run_id: str) -> Attempt:
    result = Result(run_id, crms={crm: Counts() for crm in work.crms})
    return Attempt(result, calls_before={crm: connector.calls for crm, connector in work.crms.items()})


def _open_run(work: Work, result: Result, command: str) -> None:
    text = work.config.model_dump_json(exclude=set(work.config.crms))
    with work.store.begin() as writing:
        journal.begin_run(writing, result.run, command, work.now_ms, work.config.model_hash(), text)


@contextmanager
def _failing_loudly(work: Work, attempt: Attempt) -> Iterator[None]:
    """A run that no CRM is left for has failed, and its row says why."""
    try:
        yield
    except (Unavailable, ConfigError):
        _end(work, attempt, "failed")
        raise


@contextmanager
def _taking_part(work: Work, attempt: Attempt, crm: str) -> Iterator[None]:
    """Work with one CRM: its time is counted, and when it cannot be used it sits out the rest of the run."""
    start = time.monotonic()
    try:
        yield
    except (Unavailable, ConfigError) as error:
        attempt.sat_out[crm] = error
    finally:
        counts = attempt.result.crms[crm]
        counts.seconds = round(counts.seconds + time.monotonic() - start, 3)


def _alive(work: Work, attempt: Attempt) -> list[str]:
    """The CRMs that take part. Raises what befell them when there is none left."""
    alive = [crm for crm in work.crms if crm not in attempt.sat_out]
    if alive or not attempt.sat_out:
        return alive
    mistakes = [error for error in attempt.sat_out.values() if isinstance(error, ConfigError)]
    if mistakes:
        raise ConfigError([problem for error in mistakes for problem in error.problems])
    raise next(iter(attempt.sat_out.values()))


def _resume(work: Work, result: Result, crm: str) -> None:
    """Finish what an earlier run left in the journal, before anything new is decided."""
    resolve(work.store, work.crms[crm], work.now_ms)
    with work.store.read() as reading:
        runs = journal.runs_to_finish(reading, crm)
        left = journal.count_open(reading, crm, runs)
    if left:
        apply(work.store, work.crms[crm], runs, work.config.write, work.now_ms, work.progress)
        with work.store.read() as reading:
            result.crms[crm].resumed = left - journal.count_open(reading, crm, runs)


def _pull(work: Work, result: Result, crm: str, full: bool) -> None:
    connector, counts = work.crms[crm], result.crms[crm]
    contacts = f"contacts:{work.config.mapping_hash(crm)}"  # mapped otherwise, everybody has to be read anew
    streams: list[tuple[str, str, Callable[[str | None], Iterator[Page[Any]]], Callable[..., None]]] = [
        ("contacts", contacts, connector.contacts, partial(pulled.save_contacts, now=work.now)),
        ("activities", "activities", connector.activities, pulled.save_activities),
    ]
    for what, stream, pages, save in streams:
        key = f"full:{stream}" if full else stream
        with work.store.read() as reading:
            cursor = pulled.read_cursor(reading, crm, key)
        if cursor is None and what == "contacts":
            with work.store.begin() as writing:
                pulled.drop_cursors(writing, crm, "contacts:", keep=contacts)
        for page in pages(cursor):
            with work.store.begin() as writing:
                save(writing, result.run, page.items)
                pulled.write_cursor(writing, crm, key, page.cursor)
            failpoint("page_stored")
            counts.activities += len(page.items) if what == "activities" else 0
            work.progress(what, crm, len(page.items))
        if cursor is None and what == "contacts":
            _look_for_the_missing(work, result, crm)
    if full:
        with work.store.begin() as writing:
            pulled.promote_cursors(writing, crm, [stream for _what, stream, _pages, _save in streams])


def _look_for_the_missing(work: Work, result: Result, crm: str) -> None:
    """After a pull of everything: records that did not come are read by id, and those that are gone are buried.

    Raises `Unavailable` when nothing came at all: an empty answer is a broken feed before it is an empty CRM.
    """
    with work.store.read() as reading:
        missing, seen = scored.unseen(reading, result.run, crm)
    if missing and not seen:
        raise Unavailable(
            crm,
            f"it answered without a single record where crmsync knows {len(missing):,}, and nothing is changed; "
            "look at what the integration user may see",
        )
    for some in chunks(missing, 1_000):
        items = list(work.crms[crm].read(some))
        with work.store.begin() as writing:
            pulled.save_contacts(writing, result.run, items, work.now)


def _owners(work: Work, attempt: Attempt) -> list[Owner]:
    owners: list[Owner] = []
    for crm in _alive(work, attempt):
        with _taking_part(work, attempt, crm):
            owners += work.crms[crm].owners()
    return owners


def _write(work: Work, attempt: Attempt) -> Result:
    result = attempt.result
    for crm in _alive(work, attempt):
        with _taking_part(work, attempt, crm):
            apply(work.store, work.crms[crm], [result.run], work.config.write, work.now_ms, work.progress)
    _count_states(work, result)
    with work.store.begin() as writing:
        journal.prune(writing, work.now_ms - int(work.config.state.keep.total_seconds() * 1000))
    trouble = attempt.sat_out or any(counts.failed or counts.unresolved for counts in result.crms.values())
    return _end(work, attempt, "partial" if trouble else "ok")


def _count_states(work: Work, result: Result) -> None:
    with work.store.read() as reading:
        states = journal.state_counts(reading, result.run)
        result.bands = scored.band_counts(reading)
    for crm, counts in result.crms.items():
        here = states.get(crm, {})
        counts.planned = sum(here.values())
        counts.kept = here.get(journal.KEPT, 0)
        counts.failed = here.get(journal.FAILED, 0)
        counts.changed_meanwhile = here.get(journal.SKIPPED, 0)
        counts.unresolved = here.get(journal.SENT, 0) + here.get(journal.PLANNED, 0)


def _end(work: Work, attempt: Attempt, verdict: Verdict) -> Result:
    result = attempt.result
    result.verdict = verdict
    result.problems += [f"{crm}: {error}" for crm, error in sorted(attempt.sat_out.items())]
    for crm, connector in work.crms.items():
        result.crms[crm].api_calls = connector.calls - attempt.calls_before[crm]
    ended = work.now_ms + int((time.monotonic() - attempt.begun) * 1000)
    with work.store.begin() as writing:
        journal.end_run(writing, result.run, ended, verdict, result.as_json())
    return result
