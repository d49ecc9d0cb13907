"""One run, the only way through the house: pull → score → route → plan → apply → verify."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from crmsync import approval
from crmsync.apply import apply
from crmsync.attempt import (
    Attempt,
    begin_attempt,
    crms_left,
    end_attempt,
    failing_loudly,
    hashes_of,
    open_run,
    taking_part,
)
from crmsync.config import config_of
from crmsync.draft import Drafted, Setting, draft, draft_preview
from crmsync.errors import StateInUse
from crmsync.failpoint import failpoint
from crmsync.pull import pull_all, pull_first
from crmsync.result import Result, Waiting, Work, new_run_id
from crmsync.store import journal, scored
from crmsync.store.copy import copied
from crmsync.store.database import Store
from crmsync.store.pulled import IN_LIST, chunks


def cycle(work: Work, command: str = "sync", *, full: bool = False, approved: bool = False) -> Result:
    """Run once: `full` pulls everything again, `approved` asks nobody.

    An edited config is tried on a copy of the state first. While its plan waits for approval, the last approved config
    goes on scoring. A CRM that cannot be used is skipped. Raises `Unavailable` or `ConfigError` when none can be used,
    `Cancelled` (the next run goes on where this one stopped), `StateError`.
    """
    waiting = None if approved else _try_edited_config(work)
    if waiting is None:
        return _run(work, command, full=full, approved=approved)
    with _last_approved(work) as before:
        return _run(before, command, full=full, config_plan=waiting)


def plan(work: Work) -> Result:
    """Pull and score on a copy of the state, and say what a run would change; the plan is kept to be applied.

    The state itself learns nothing from it, so that no later run can tell that somebody looked; only before the very
    first plan what is pulled is kept, since the first pull can take hours. Raises like `cycle`.
    """
    with work.store.read() as reading:
        adopted = journal.adopted_config(reading)
    with ExitStack() as stack:
        first = Result(new_run_id(work.now))
        if adopted is None and _entered(stack, work.store):
            first = pull_first(work, first.run)
        stack.close()
        copy = stack.enter_context(copied(work.store))
        crms = stack.enter_context(work.connect(work.config, copy)) if work.connect else work.crms
        trial = work._replace(store=copy, crms=crms)
        result, drafted = _preview(trial, first.run)
        for crm, counts in first.crms.items():
            result.crms[crm].activities += counts.activities
            result.crms[crm].api_calls += counts.api_calls
        if adopted and adopted[0] != work.config.decision_hash():
            result.notes.append("This plan is of an edited config: what was written last was decided by another one.")
        _keep_preview(work, copy, result, drafted)
    return result


def _entered(stack: ExitStack, store: Store) -> bool:
    """Whether this process is now the one that writes to the state, until the stack is closed."""
    try:
        stack.enter_context(store.writer("crmsync plan"))
    except StateInUse:
        return False
    return True


def _keep_preview(work: Work, copy: Store, result: Result, drafted: Drafted) -> None:
    hashes = hashes_of(work.config)
    written = {"kind": "preview", "reasons": drafted.reasons, "records": drafted.numbers, "seen": drafted.numbers}
    with work.store.begin() as writing:
        journal.keep_text(writing, hashes[1], work.config.decision_text(), work.now_ms)
        journal.add_plan(writing, result.run, journal.PREVIEW, hashes, work.now_ms, written)
    _copy_changes(work, copy, result.run, result.run)


def _copy_changes(work: Work, copy: Store, run: str, plan_id: str) -> None:
    """Take the changes that were planned on a copy over into the journal, a few at a time."""
    with copy.read() as reading:
        for rows in chunks((row for _state, _reason, row in journal.rows_of(reading, run)), IN_LIST):
            with work.store.begin() as writing:
                journal.copy_changes(writing, plan_id, rows, work.now_ms)


def _preview(trial: Work, run: str) -> tuple[Result, Drafted]:
    """Everything up to the plan, on a state that is a copy."""
    attempt = begin_attempt(trial, run)
    open_run(trial, attempt.result, "plan")
    setting = pull_all(trial, attempt, full=False, resuming=False)
    with trial.store.read() as reading:
        adopted = journal.adopted_config(reading)
    edited = adopted is not None and adopted[0] != trial.config.decision_hash()
    drafted = draft_preview(trial, attempt.result, setting._replace(config_edited=edited))
    return end_attempt(trial, attempt, "preview"), drafted


def _try_edited_config(work: Work) -> Waiting | None:
    """Plan by an edited config on a copy of the state, and let the plan wait when it is too large to be true."""
    with work.store.read() as reading:
        adopted = journal.adopted_config(reading)
        approved = approval.find_approval(reading, work.config.decision_hash()).plans
    if adopted is None or adopted[0] == work.config.decision_hash() or approved:
        return None
    with copied(work.store) as copy:
        result, drafted = _preview(work._replace(store=copy), new_run_id(work.now))
        if not drafted.reasons:
            return None
        hashes = hashes_of(work.config)
        with work.store.begin() as writing:
            journal.keep_text(writing, hashes[1], work.config.decision_text(), work.now_ms)
            waiting = approval.keep_waiting(writing, "config", hashes, drafted.numbers, drafted.reasons, work.now_ms)
        _copy_changes(work, copy, result.run, waiting.run)
    return waiting


@contextmanager
def _last_approved(work: Work) -> Iterator[Work]:
    """The same work by the config that was approved last, with connectors that read as it maps."""
    with work.store.read() as reading:
        adopted = journal.adopted_config(reading)
    config = config_of(adopted[1], work.config) if adopted else work.config
    same = all(config.mapping_hash(crm) == work.config.mapping_hash(crm) for crm in work.crms)
    if same or work.connect is None:
        yield work._replace(config=config)
    else:
        with work.connect(config, work.store) as crms:
            yield work._replace(config=config, crms=crms)


def _run(work: Work, command: str, *, full: bool, approved: bool = False, config_plan: Waiting | None = None) -> Result:
    attempt = begin_attempt(work, new_run_id(work.now))
    result = attempt.result
    open_run(work, result, command)
    with failing_loudly(work, attempt):
        setting = pull_all(work, attempt, full=full, resuming=True)
        draft(work, result, _agreed(work, setting, approved))
        if config_plan is not None:
            result.held = config_plan
        else:
            _end_waiting_config(work)
        failpoint("plan_stored")
        return _write(work, attempt)


def _agreed(work: Work, setting: Setting, approved: bool) -> Setting:
    """The setting with what was approved, and whether another config decided until now."""
    with work.store.read() as reading:
        adopted = journal.adopted_config(reading)
        agreed = approval.find_approval(reading, work.config.decision_hash())
    edited = adopted is not None and adopted[0] != work.config.decision_hash()
    return setting._replace(config_edited=edited, approval=agreed, unguarded=approved)


def _end_waiting_config(work: Work) -> None:
    with work.store.begin() as writing:
        approval.end_waiting(writing, "config")


def _write(work: Work, attempt: Attempt) -> Result:
    result = attempt.result
    for crm in crms_left(work, attempt):
        with taking_part(work, attempt, crm):
            apply(work.store, work.crms[crm], result.run, work.config.write, work.now_ms, work.progress)
    _count_states(work, result)
    with work.store.begin() as writing:
        oldest = work.now_ms - int(work.config.state.keep.total_seconds() * 1000)
        journal.prune(writing, oldest, work.now_ms)
    untaken = any(counts.partly or counts.rejected or counts.unknown for counts in result.crms.values())
    trouble = untaken or attempt.skipped or result.problems
    return end_attempt(work, attempt, "held" if result.held else "partial" if trouble else "ok")


def _count_states(work: Work, result: Result) -> None:
    with work.store.read() as reading:
        states = journal.state_counts(reading, result.run)
        result.bands = scored.band_counts(reading)
    for crm, counts in result.crms.items():
        here: Mapping[str, int] = states.get(crm, {})
        counts.planned = sum(here.values())
        counts.updated = here.get(journal.UPDATED, 0)
        counts.partly = here.get(journal.PARTLY, 0)
        counts.rejected = here.get(journal.REJECTED, 0)
        counts.edited = here.get(journal.EDITED, 0)
        counts.unknown = sum(here.get(state, 0) for state in (journal.UNKNOWN, journal.SENT, journal.PLANNED))
