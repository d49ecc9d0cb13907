"""One run, the only way through the house: pull → score → route → plan → apply → verify."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from crmsync.attempt import (
    Attempt,
    begin_attempt,
    count_outcomes,
    crms_left,
    end_attempt,
    failing_loudly,
    hashes_of,
    open_run,
    taking_part,
)
from crmsync.config import config_of
from crmsync.errors import Cancelled, StateInUse
from crmsync.evaluation.freshness import round_wait
from crmsync.failpoint import failpoint
from crmsync.planning import approval
from crmsync.planning.apply import apply_changes
from crmsync.planning.builder import BuiltPlan, build_plan, build_preview, describe_other_plan
from crmsync.planning.deadlines import read_breaches
from crmsync.planning.tasks import create_tasks, describe_refused_tasks
from crmsync.pull import pull_all, pull_first
from crmsync.redaction import hide_secrets, secrets_of
from crmsync.result import Result, WaitingPlan, new_run_id
from crmsync.routing.sla import describe_breaches
from crmsync.store import journal, run_journal
from crmsync.store.copy import copy_state
from crmsync.store.database import Store, wipe_log
from crmsync.store.news import news_of_people, updated_people
from crmsync.store.owners import owner_names
from crmsync.store.pausing import refuse_while_paused
from crmsync.store.protections import copy_protections, list_protections
from crmsync.store.sql import IN_LIST, in_chunks, to_ms
from crmsync.store.tasks import count_tasks
from crmsync.work import Work


def run_cycle(work: Work, command: str = "sync", *, full: bool = False, approved: bool = False) -> Result:
    """Run once: `full` pulls everything again, `approved` asks nobody.

    An edited config is tried on a copy of the state first. While its plan waits for approval, the last approved config
    goes on scoring. A CRM that cannot be used is skipped. Raises `Unavailable` or `ConfigError` when none can be used,
    `Cancelled` (the next run goes on where this one stopped), of which `Paused` is one, `StateError`.
    """
    refuse_while_paused(work.store, work.now_ms)
    try:
        return _run_config(work, command, full=full, approved=approved)
    except Cancelled:
        # Connectors only know that they were to leave.
        refuse_while_paused(work.store, to_ms(work.present))
        raise


def _run_config(work: Work, command: str, *, full: bool, approved: bool) -> Result:
    waiting, calls = (None, {}) if approved else _try_edited_config(work)
    if waiting is None:
        return _run(work, command, full=full, approved=approved, calls=calls)
    with _last_approved(work) as before:
        return _run(before, command, full=full, config_plan=waiting, calls=calls)


Look = Callable[[Work, Result, BuiltPlan], None]
"""Looks at a plan that was made on a copy of the state, for as long as there is the copy."""


def preview_run(work: Work, look: Look | None = None) -> Result:
    """Pull and score on a copy of the state, and say what a run would change; the plan is kept to be applied.

    `look` is shown the copy before it goes. The state itself learns nothing from it, so that no later run can tell that
    somebody looked; only before the very first plan what is pulled is kept, since the first pull can take hours. Raises
    like `cycle`.
    """
    with work.store.read() as reading:
        adopted = run_journal.adopted_config(reading)
    first = Result(new_run_id(work.now))
    with ExitStack() as stack:
        if adopted is None and _entered(stack, work.store):
            first = pull_first(work, first.run)
    with _on_copy(work) as trial:
        result, drafted = _preview(trial, first.run)
        for crm, counts in first.crms.items():
            result.crms[crm].activities += counts.activities
            result.crms[crm].opportunities += counts.opportunities
            result.crms[crm].api_calls += counts.api_calls
        for source, events in first.events.items():
            result.events[source].add(events)
        # What a line lacks is said by the pull that meets it, and by no other.
        result.problems += [each for each in first.problems if each not in result.problems]
        if adopted and adopted[0] != work.config.decision_hash():
            result.notes.append("This plan was made with an edited config. The last run used another one.")
        _keep_preview(work, trial.store, result, drafted)
        if look is not None:
            look(trial, result, drafted)
    return result


@contextmanager
def _on_copy(work: Work) -> Iterator[Work]:
    """The same work on a private copy of the state, which is gone afterwards."""
    with ExitStack() as stack:
        copy = stack.enter_context(copy_state(work.store))
        crms = stack.enter_context(work.connect(work.config, copy)) if work.connect else work.crms
        yield work._replace(store=copy, crms=crms)


def _entered(stack: ExitStack, store: Store) -> bool:
    """Whether this process is now the one that writes to the state, until the stack is closed."""
    try:
        stack.enter_context(store.writer("crmsync plan"))
    except StateInUse:
        return False
    return True


def _keep_preview(work: Work, copy: Store, result: Result, drafted: BuiltPlan) -> None:
    hashes = hashes_of(work.config)
    # The first preview of all is made before the state knows who the owners are.
    with copy.read() as reading:
        owners = {f"{crm}:{owner_id}": name for (crm, owner_id), name in owner_names(reading).items()}
    written = {"kind": "preview", "reasons": drafted.reasons, "records": drafted.numbers, "seen": drafted.numbers}
    written["owners"] = owners
    with work.store.begin() as writing:
        run_journal.keep_text(writing, hashes[1], work.config.decision_text(), work.now_ms)
        run_journal.add_plan(writing, result.run, run_journal.PREVIEW, hashes, work.now_ms, written)
    _copy_changes(work, copy, result.run, result.run)


def _copy_changes(work: Work, copy: Store, run: str, plan_id: str) -> None:
    """Take the changes that were planned on a copy over into the journal, a few at a time."""
    with copy.read() as reading:
        for rows in in_chunks((row for _state, _reason, row in journal.rows_of(reading, run)), IN_LIST):
            with work.store.begin() as writing:
                journal.copy_changes(writing, plan_id, rows, work.now_ms)
        for some in in_chunks(list_protections(reading, run), IN_LIST):
            with work.store.begin() as writing:
                copy_protections(writing, plan_id, some)


def _preview(trial: Work, run: str, *, without_odd_data: bool = False) -> tuple[Result, BuiltPlan]:
    """Everything up to the plan, on a state that is a copy."""
    attempt = begin_attempt(trial, run)
    open_run(trial, attempt.result, "plan")
    setting = pull_all(trial, attempt, full=False, resuming=False)
    setting = setting._replace(edited=_edited_crms(trial, setting.crms))
    drafted = build_preview(trial, attempt.result, setting, without_odd_data=without_odd_data)
    return end_attempt(trial, attempt, "preview"), drafted


def _edited_crms(work: Work, crms: Sequence[str]) -> list[str]:
    """The CRMs whose records were last planned for with another config."""
    with work.store.read() as reading:
        adopted, by_crm = run_journal.adopted_config(reading), run_journal.adopted_configs(reading)
    if adopted is None:
        return []
    return [crm for crm in crms if by_crm.get(crm, adopted[0]) != work.config.decision_hash()]


def _try_edited_config(work: Work) -> tuple[WaitingPlan | None, dict[str, int]]:
    """Plan by an edited config on a copy of the state, and let the plan wait when it is too large to be true.

    Returns the plan, and how many calls that cost each CRM.
    """
    with work.store.read() as reading:
        adopted = run_journal.adopted_config(reading)
        approved = approval.find_approval(reading, work.config.decision_hash(), work.now_ms).plans
        mine = [row for row in run_journal.waiting_plans(reading) if row.config == work.config.decision_hash()]
    # Other limits may judge the same plan otherwise.
    limits = work.config.guard.model_dump_json()
    waits = next((row for row in mine if approval.plan_of(row).get("limits") == limits), None)
    if adopted is None or adopted[0] == work.config.decision_hash() or approved:
        return None, {}
    if waits is not None and abs(work.now_ms - waits.ended) < REREAD_EVERY and _reads_otherwise(work, adopted[1]):
        return approval.waiting_of(waits), {}
    with _on_copy(work) as trial:
        result, drafted = _preview(trial, new_run_id(work.now), without_odd_data=True)
        calls = {crm: counts.api_calls for crm, counts in result.crms.items()}
        if not drafted.reasons:
            return None, calls
        hashes = hashes_of(work.config)
        with work.store.begin() as writing:
            run_journal.keep_text(writing, hashes[1], work.config.decision_text(), work.now_ms)
            waiting = approval.keep_waiting(
                writing, "config", hashes, drafted.numbers, drafted.reasons, work.now_ms, limits=limits
            )
        if waiting is not None:
            _copy_changes(work, trial.store, result.run, waiting.run)
    return waiting, calls


REREAD_EVERY = 86_400_000
"""Milliseconds after which a plan that waits is made again where that means to read every record of a CRM again."""


def _reads_otherwise(work: Work, adopted_text: str) -> bool:
    before = config_of(adopted_text, work.config)
    return any(before.mapping_hash(crm) != work.config.mapping_hash(crm) for crm in work.crms)


@contextmanager
def _last_approved(work: Work) -> Iterator[Work]:
    """The same work by the config that was approved last, with connectors that read as it maps."""
    with work.store.read() as reading:
        adopted = run_journal.adopted_config(reading)
    config = config_of(adopted[1], work.config) if adopted else work.config
    same = all(config.mapping_hash(crm) == work.config.mapping_hash(crm) for crm in work.crms)
    if same or work.connect is None:
        yield work._replace(config=config)
    else:
        with work.connect(config, work.store) as crms:
            yield work._replace(config=config, crms=crms)


def _run(
    work: Work,
    command: str,
    *,
    full: bool,
    approved: bool = False,
    config_plan: WaitingPlan | None = None,
    calls: Mapping[str, int],
) -> Result:
    attempt = begin_attempt(work, new_run_id(work.now))
    result = attempt.result
    # The calls of the trial on a copy are this run's, too.
    attempt.calls_before.update({crm: before - calls.get(crm, 0) for crm, before in attempt.calls_before.items()})
    open_run(work, result, command)
    with failing_loudly(work, attempt):
        setting = pull_all(work, attempt, full=full, resuming=True, trusting=approved)
        setting = setting._replace(edited=_edited_crms(work, setting.crms), unguarded=approved)
        with work.store.read() as reading:
            # Only after the pull, which takes a while: somebody may have approved meanwhile.
            agreed = approval.find_approval(reading, work.config.decision_hash(), work.now_ms)
        build_plan(work, result, setting._replace(approval=agreed))
        _report_waiting(work, result, config_plan)
        failpoint("plan_stored")
        return _write(work, attempt, agreed.plans)


def _report_waiting(work: Work, result: Result, config_plan: WaitingPlan | None) -> None:
    """What waits after this run: the edited config's plan first; where odd data wait as well, a note says so."""
    if config_plan is None:
        with work.store.begin() as writing:
            approval.end_waiting(writing, "config")
        return
    if result.held is not None:
        result.notes.append(describe_other_plan(result.held))
    result.held = config_plan


def _note_breaches(work: Work, result: Result) -> None:
    """Say how many people their owners did not contact in time."""
    if work.config.sla is not None:
        with work.store.read() as reading:
            late = read_breaches(reading, work.config, work.now)
        result.notes += filter(None, [describe_breaches(work.config.sla, late)])


def _create_tasks(work: Work, attempt: Attempt, hide: Callable[[str], str]) -> None:
    """Make the tasks for owners, after the CRMs have taken the owners; say which a CRM did not take."""
    if work.config.tasks is None:
        return
    for crm in crms_left(work, attempt):
        with taking_part(work, attempt, crm):
            said = create_tasks(work.store, work.crms[crm], work.config, work.now_ms, hide)
            attempt.result.problems += describe_refused_tasks(crm, said, "created")
    with work.store.read() as reading:
        attempt.result.tasks = count_tasks(reading, attempt.result.run)


def _count_waits(work: Work, attempt: Attempt, confirmed: Mapping[str, int]) -> dict[str, int]:
    """How many people waited how many seconds from their news until the last of their updates was `confirmed`.

    That is an instant (milliseconds) by CRM: when all of the run's updates were, so that it flatters nobody.
    """
    with work.store.read() as reading:
        news = news_of_people(reading, attempt.news)
        ends: dict[int, int] = {}
        for crm, at in confirmed.items():
            ends |= {
                each: max(at, ends.get(each, at)) for each in updated_people(reading, attempt.result.run, crm, news)
            }
    counts = Counter(round_wait((ends[each] - news[each]) / 1_000) for each in ends)
    return {str(seconds): people for seconds, people in sorted(counts.items())}


def _write(work: Work, attempt: Attempt, approved: Sequence[str]) -> Result:
    result = attempt.result
    hide = partial(hide_secrets, secrets=secrets_of(work.config))
    confirmed: dict[str, int] = {}
    for crm in crms_left(work, attempt):
        with taking_part(work, attempt, crm):
            apply_changes(work.store, work.crms[crm], result.run, work.config.write, work.now_ms, work.progress, hide)
            confirmed[crm] = to_ms(work.present)
    result.freshness = _count_waits(work, attempt, confirmed)
    _create_tasks(work, attempt, hide)
    count_outcomes(work, result)
    with work.store.begin() as writing:
        approval.use_up(writing, approved, [crm for crm in work.crms if crm not in attempt.skipped], work.now_ms)
        if attempt.ahead:  # what is forgotten goes by a clock that a CRM agrees with
            oldest = work.now_ms - int(work.config.state.keep.total_seconds() * 1000)
            run_journal.prune_runs(writing, oldest, work.now_ms)
    _note_breaches(work, result)
    # After everything else, which may have erased somebody.
    wipe_log(work.store)
    untaken = any(counts.partly or counts.rejected or counts.unknown for counts in result.crms.values())
    trouble = untaken or attempt.skipped or result.problems
    return end_attempt(work, attempt, "held" if result.held else "partial" if trouble else "ok")
