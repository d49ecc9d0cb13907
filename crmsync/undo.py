"""Undo: put back what a run wrote, where the CRMs still hold it, as a run of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

from crmsync.attempt import (
    Attempt,
    begin_attempt,
    count_outcomes,
    crms_left,
    end_attempt,
    failing_loudly,
    open_run,
    taking_part,
)
from crmsync.errors import ConfigError
from crmsync.failpoint import failpoint
from crmsync.model import Change, Scalar
from crmsync.planning.apply import apply_changes
from crmsync.planning.approval import plan_of
from crmsync.planning.reversal import CHANGED, UNREADABLE, UNSEEN, Stages, reverse_change
from crmsync.planning.tasks import close_tasks, describe_refused_tasks
from crmsync.planning.verify import read_present, resolve_unknown
from crmsync.pull import prepare_crms
from crmsync.redaction import hide_secrets, secrets_of
from crmsync.result import Result, new_run_id
from crmsync.store import journal, run_journal
from crmsync.store.changes import ListedChange, list_changes, list_written
from crmsync.store.copy import copy_state
from crmsync.store.pausing import refuse_while_paused
from crmsync.store.scores import make_dirty
from crmsync.store.sql import in_chunks
from crmsync.store.undone import UNDO, drop_request, drop_undone, hold_undone
from crmsync.work import Work

READ_AT_ONCE = 1_000
"""Records that are asked for in one go."""

ABSENT = "the config has no table for this CRM any more"
OPEN_STILL = "the CRM did not answer; the next run looks it up"


class Restoring(NamedTuple):
    """The change that puts values of a written one back."""

    ours: ListedChange
    change: Change


class LeftField(NamedTuple):
    """A field of a written change (its id in the journal) that is left as it is, and why."""

    change: int
    field: str
    reason: str


class Draft(NamedTuple):
    """What an undo would restore, and what it leaves."""

    restoring: Sequence[Restoring]
    left: Sequence[LeftField]


def find_undoable(store_row: Any, run_id: str) -> None:
    """Raise `ConfigError` where a run (its row, or `None`) cannot be undone."""
    if store_row is None:
        said = f"there is no run {run_id}; to list the last ones: crmsync status --runs 50"
        raise ConfigError(said, "crmsync status --runs 50")
    if store_row.verdict in run_journal.PLANS:
        raise ConfigError(f"{run_id} is a plan, and a plan has written nothing; give the id of a run", "crmsync status")


def undo_run(work: Work, run_id: str) -> Result:
    """Put back what a run wrote, where the CRMs still hold it; as the writer of the state.

    What was undone waits from then on instead of being written again. Raises as `run_cycle`, and `ConfigError` for a
    run that cannot be undone.
    """
    refuse_while_paused(work.store, work.now_ms)
    with work.store.read() as reading:
        find_undoable(run_journal.find_run(reading, run_id), run_id)
        # What was sent and never heard of is looked up first: a run that was killed may have written it.
        listed = list_changes(reading, run_id)
        wanted = {each.change.ref.crm for each in listed if each.taken or each.state == journal.SENT}
    work = work._replace(crms={crm: each for crm, each in work.crms.items() if crm in wanted})
    attempt = begin_attempt(work, new_run_id(work.now))
    open_run(work, attempt.result, UNDO)
    with work.store.begin() as writing:
        run_journal.rewrite_plan(writing, attempt.result.run, {"undoes": run_id, "left": []})
        drop_request(writing, run_id)
    with failing_loudly(work, attempt):
        _prepare(work, attempt)
        draft = _draft(work, attempt, run_id)
        _store(work, attempt.result.run, run_id, draft)
        failpoint("plan_stored")
        _write(work, attempt, run_id)
        left = _settle(work, attempt, draft)
        trouble = left or attempt.skipped or attempt.result.problems
        return end_attempt(work, attempt, "partial" if trouble else "ok")


def preview_undo(work: Work, run_id: str) -> tuple[Draft, list[ListedChange], dict[str, str]]:
    """What an undo of a run would restore and leave as things are now, and the changes of the run; writes nothing.

    With it comes why CRMs are skipped.
    """
    with ExitStack() as stack:
        copy = stack.enter_context(copy_state(work.store))
        crms = stack.enter_context(work.connect(work.config, copy)) if work.connect else work.crms
        trial = work._replace(store=copy, crms=crms)
        attempt = begin_attempt(trial, run_id)
        with copy.read() as reading:
            find_undoable(run_journal.find_run(reading, run_id), run_id)
            listed = list(list_changes(reading, run_id))
        prepare_crms(trial, attempt)
        crms_left(trial, attempt)
        draft = _draft(trial, attempt, run_id)
        return draft, listed, {crm: str(why) for crm, why in attempt.skipped.items()}


def _prepare(work: Work, attempt: Attempt) -> None:
    """Look at each CRM, and find out what became of what was sent before: it may be what is to be undone."""
    prepare_crms(work, attempt)
    for crm in crms_left(work, attempt):
        with taking_part(work, attempt, crm):
            attempt.result.crms[crm].resumed = resolve_unknown(work.store, work.crms[crm], work.now_ms)
    crms_left(work, attempt)


def _draft(work: Work, attempt: Attempt, run_id: str) -> Draft:
    with work.store.read() as reading:
        listed = [each for each in list_changes(reading, run_id) if each.taken]
        later = _later_values(list_written(reading, [each.record for each in listed]), listed)
    draft = Draft([], [])
    for crm in dict.fromkeys(each.change.ref.crm for each in listed):
        mine = [each for each in listed if each.change.ref.crm == crm]
        if crm in work.crms and crm not in attempt.skipped:
            with taking_part(work, attempt, crm):
                draft = _joined(draft, _draft_one(work, crm, run_id, mine, later))
        if crm not in work.crms or crm in attempt.skipped:
            why = str(attempt.skipped[crm]) if crm in attempt.skipped else ABSENT
            draft = _joined(draft, Draft([], [LeftField(each.id, name, why) for each in mine for name in each.taken]))
    return draft


def _joined(one: Draft, other: Draft) -> Draft:
    return Draft([*one.restoring, *other.restoring], [*one.left, *other.left])


def _draft_one(
    work: Work, crm: str, run_id: str, listed: Sequence[ListedChange], later: Mapping[int, Mapping[str, Any]]
) -> Draft:
    """What to restore in one CRM, by what it holds now."""
    connector, names, orders = work.crms[crm], work.config.field_map(crm), work.crms[crm].stage_order()
    only_forward = not getattr(work.config.crms.get(crm), "backward_stages", True)
    restoring, left = [], []
    for some in in_chunks(listed, READ_AT_ONCE):
        present, unseen, _ = read_present(connector, [each.change.ref for each in some])
        for each in some:
            ref, taken = each.change.ref, each.taken
            if ref not in present:
                why = UNSEEN if ref in unseen else UNREADABLE
                left += [LeftField(each.id, name, why) for name in taken]
                continue
            sides = each.change.before, each.change.after
            before, after = ({name: side.get(name) for name in taken} for side in sides)
            ours, there = Change(ref, before, after, group=each.change.group), present[ref]
            # Under an id that a merge replaced comes the survivor, which holds another one's values.
            there = there if there is not None and there.ref == ref else None
            stages = Stages(orders.get(ref.kind, ()), only_forward)
            found = reverse_change(ours, there, names, stages, later.get(each.id, {}), f"undoes run {run_id}")
            if found.change:
                restoring.append(Restoring(each, found.change))
            left += [LeftField(each.id, name, why) for name, why in found.left.items()]
    return Draft(restoring, left)


def _later_values(
    written: Iterator[ListedChange], listed: Sequence[ListedChange]
) -> dict[int, dict[str, list[tuple[Scalar | None, str]]]]:
    """For each change what later ones wrote to the same record, by field."""
    ours = {each.record: each.id for each in listed}
    found: dict[int, dict[str, list[tuple[Scalar | None, str]]]] = {}
    for each in written:
        if each.record in ours and each.id > ours[each.record]:
            fields = found.setdefault(ours[each.record], {})
            for name in each.taken:
                fields.setdefault(name, []).append((each.change.after[name], each.run))
    return found


def _store(work: Work, undo_id: str, run_id: str, draft: Draft) -> None:
    """Journal what is to be restored, and from now on let what is undone wait: also where this is cut off."""
    with work.store.begin() as writing:
        adopted = run_journal.adopted_config(writing)
        configs = sorted({work.config.decision_hash(), *(() if adopted is None else (adopted[0],))})
        undone = {each.ours.record: dict(each.change.before) for each in draft.restoring}
        hold_undone(writing, undone, run_id, configs)
        journal.add_changes(
            writing, undo_id, [(each.ours.record, each.change) for each in draft.restoring], work.now_ms
        )


def _write(work: Work, attempt: Attempt, run_id: str) -> None:
    hide = partial(hide_secrets, secrets=secrets_of(work.config))
    for crm in [each for each in work.crms if each not in attempt.skipped]:
        with taking_part(work, attempt, crm):
            apply_changes(
                work.store, work.crms[crm], attempt.result.run, work.config.write, work.now_ms, work.progress, hide,
                undoing=True,
            )  # fmt: skip
            said = close_tasks(work.store, work.crms[crm], run_id, hide)
            attempt.result.problems += describe_refused_tasks(crm, said, "closed")
    count_outcomes(work, attempt.result)


def _settle(work: Work, attempt: Attempt, draft: Draft) -> Sequence[LeftField]:
    """Write down what was left and why; what was not undone does not wait. Returns all that was left."""
    undo_id = attempt.result.run
    with work.store.read() as reading:
        ended = {each.change.ref: each for each in list_changes(reading, undo_id)}
    left = list(draft.left)
    kept: dict[int, list[str]] = {}
    for each in draft.restoring:
        end = ended.get(each.change.ref)
        is_open = end is not None and end.state in (journal.PLANNED, journal.SENT, journal.UNKNOWN)
        for name in each.change.after:
            if end is None or name not in end.taken:
                left.append(LeftField(each.ours.id, name, _why_left(attempt, end, name)))
                if not is_open:
                    kept.setdefault(each.ours.record, []).append(name)
    with work.store.begin() as writing:
        drop_undone(writing, kept)
        # The next run decides about them, and keeps what waits as a plan.
        make_dirty(writing, [each.ours.record for each in draft.restoring])
        plan = plan_of(run_journal.find_run(writing, undo_id))
        run_journal.rewrite_plan(writing, undo_id, {"undoes": plan["undoes"], "left": [list(each) for each in left]})
    return left


def _why_left(attempt: Attempt, end: ListedChange | None, name: str) -> str:
    if end is None or name not in end.change.after:
        return CHANGED
    error = attempt.skipped.get(end.change.ref.crm)
    if error is not None and end.state in (journal.PLANNED, journal.SENT):
        return str(error)
    if end.state == journal.EDITED:
        return CHANGED if end.reason.startswith("edited") else end.reason
    return end.refused.get(name) or end.reason or OPEN_STILL
