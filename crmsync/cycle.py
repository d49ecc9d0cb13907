"""One run, the only way through the house: pull → score → route → plan → apply → verify."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from crmsync import approval, route
from crmsync.apply import apply, resolve
from crmsync.config import Config, config_of
from crmsync.draft import Drafted, Setting, draft, draft_preview
from crmsync.errors import ConfigError, StateError, StateInUse, Unavailable
from crmsync.failpoint import failpoint
from crmsync.model import MissingField, Owner, Page
from crmsync.result import Counts, Result, Verdict, Waiting, Work, new_run_id
from crmsync.store import full_pull, journal, pulled, scored
from crmsync.store.copy import copied
from crmsync.store.database import Store, bind_account
from crmsync.store.owners import save_owners
from crmsync.store.pulled import IN_LIST, chunks


@dataclass
class Attempt:
    """A run under way: what it reports, the CRMs that are skipped and why, their calls until then, its begin."""

    result: Result
    skipped: dict[str, Exception] = field(default_factory=dict)
    calls_before: dict[str, int] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)


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
            first = _pull_for_the_first_time(work, first.run)
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


def _pull_for_the_first_time(work: Work, run: str) -> Result:
    with ExitStack() as stack:
        crms = stack.enter_context(work.connect(work.config, work.store)) if work.connect else work.crms
        first = work._replace(crms=crms)
        attempt = _begin(first, run)
        for crm in crms:
            with _taking_part(first, attempt, crm):
                _prepare(first, attempt, crm)
                _pull(first, attempt.result, crm, full=False)
            attempt.result.crms[crm].api_calls = crms[crm].calls - attempt.calls_before[crm]
    return attempt.result


def _keep_preview(work: Work, copy: Store, result: Result, drafted: Drafted) -> None:
    hashes = _hashes(work.config)
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


def _hashes(config: Config) -> tuple[str, str]:
    return config.model_hash(), config.decision_hash()


def _preview(trial: Work, run: str) -> tuple[Result, Drafted]:
    """Everything up to the plan, on a state that is a copy."""
    attempt = _begin(trial, run)
    _open_run(trial, attempt.result, "plan")
    setting = _pull_all(trial, attempt, full=False, resuming=False)
    with trial.store.read() as reading:
        adopted = journal.adopted_config(reading)
    edited = adopted is not None and adopted[0] != trial.config.decision_hash()
    drafted = draft_preview(trial, attempt.result, setting._replace(config_edited=edited))
    return _end(trial, attempt, "preview"), drafted


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
        hashes = _hashes(work.config)
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
    attempt = _begin(work, new_run_id(work.now))
    result = attempt.result
    _open_run(work, result, command)
    with _failing_loudly(work, attempt):
        setting = _pull_all(work, attempt, full=full, resuming=True)
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


def _pull_all(work: Work, attempt: Attempt, *, full: bool, resuming: bool) -> Setting:
    """Pull from every CRM that can be used, and ask who can own records and how stages follow each other."""
    result = attempt.result
    owners: list[Owner] = []
    orders: dict[tuple[str, str], Any] = {}
    for crm in work.crms:
        with _taking_part(work, attempt, crm):
            _prepare(work, attempt, crm)
            if resuming:
                result.crms[crm].resumed = resolve(work.store, work.crms[crm], work.now_ms)
            _pull(work, result, crm, full)
            theirs = work.crms[crm].owners()
            with work.store.begin() as writing:
                save_owners(writing, [crm], theirs)
            owners += theirs
            orders |= {(crm, kind): values for kind, values in work.crms[crm].stage_order().items()}
    alive = _alive(work, attempt)
    with work.store.read() as reading:
        unread = [crm for crm in work.crms if crm not in alive and not pulled.was_ever_read(reading, crm)]
    return Setting(alive, route.owners_of(owners, work.config.write.nobody), orders, unread=unread)


def _prepare(work: Work, attempt: Attempt, crm: str) -> None:
    """Look whose account it is, and whether the fields are there that rules read and that crmsync writes.

    A mapping that never worked is a mistake in the file, and the CRM is skipped. A field that was there until now is
    not shown any more: what was known of it holds, the rest goes on, and the run says so.
    """
    connector = work.crms[crm]
    bind_account(work.store, crm, connector.account())
    missing = [each for each in connector.missing_fields() if _is_needed(work.config, each)]
    if not missing:
        return
    with work.store.read() as reading:
        worked = pulled.read_cursor(reading, crm, _contacts_stream(work, crm)) is not None
    wrong = [each for each in missing if each.role != "field" or not worked]
    if wrong:
        raise ConfigError(_missing_sentences(crm, wrong))
    attempt.result.problems += list(
        dict.fromkeys(f"{crm}: {each.sentence}; what was known of it holds until then" for each in missing)
    )


def _missing_sentences(crm: str, missing: Sequence[MissingField]) -> list[str]:
    """What to say of missing fields; those that setup makes are told together."""
    ours = [each for each in missing if each.role != "field"]
    said = [each.sentence for each in missing if each.role == "field" or len(ours) == 1]
    if len(ours) > 1:
        names = ", ".join(dict.fromkeys(each.name for each in ours))
        kinds = " and ".join(dict.fromkeys(f"{each.kind}s" for each in ours))
        said.append(f"{crm} has no fields for what crmsync writes to {kinds}: {names}; make them with: crmsync setup")
    return list(dict.fromkeys(said))


def _is_needed(config: Config, missing: MissingField) -> bool:
    if missing.role == "field":
        return missing.name in config.used_fields()
    return missing.role == "output" or config.write.stage


def _begin(work: Work, run_id: str) -> Attempt:
    result = Result(run_id, crms={crm: Counts() for crm in work.crms})
    return Attempt(result, calls_before={crm: connector.calls for crm, connector in work.crms.items()})


def _open_run(work: Work, result: Result, command: str) -> None:
    text = work.config.decision_text()
    with work.store.begin() as writing:
        journal.begin_run(writing, result.run, command, work.now_ms, _hashes(work.config), text)


@contextmanager
def _failing_loudly(work: Work, attempt: Attempt) -> Iterator[None]:
    """A run that comes to no end has failed, and its row says why."""
    try:
        yield
    except (Unavailable, ConfigError):
        _end(work, attempt, "failed")
        raise
    except StateError:
        raise
    except BaseException as error:
        attempt.result.problems.append(str(error) or type(error).__name__)
        _end(work, attempt, "failed")
        raise


@contextmanager
def _taking_part(work: Work, attempt: Attempt, crm: str) -> Iterator[None]:
    """Work with one CRM: its time is counted, and when it cannot be used it is skipped for the rest of the run."""
    start = time.monotonic()
    try:
        yield
    except (Unavailable, ConfigError) as error:
        attempt.skipped[crm] = error
    finally:
        counts = attempt.result.crms[crm]
        counts.seconds = round(counts.seconds + time.monotonic() - start, 3)


def _alive(work: Work, attempt: Attempt) -> list[str]:
    """The CRMs that take part. Raises what befell them when there is none left."""
    alive = [crm for crm in work.crms if crm not in attempt.skipped]
    if alive or not attempt.skipped:
        return alive
    mistakes = [error for error in attempt.skipped.values() if isinstance(error, ConfigError)]
    if mistakes:
        raise ConfigError([problem for error in mistakes for problem in error.problems])
    raise next(iter(attempt.skipped.values()))


def _contacts_stream(work: Work, crm: str) -> str:
    """Mapped otherwise, everybody has to be read again: each mapping has a cursor of its own."""
    return f"contacts:{work.config.mapping_hash(crm)}"


def _pull(work: Work, result: Result, crm: str, full: bool) -> None:
    connector, counts = work.crms[crm], result.crms[crm]
    contacts = _contacts_stream(work, crm)
    with work.store.read() as reading:
        remapped = pulled.read_cursor(reading, crm, contacts) is None
    streams: list[tuple[str, str, Callable[[str | None], Iterator[Page[Any]]], Callable[..., None]]] = [
        ("contacts", contacts, connector.contacts, partial(pulled.save_contacts, now=work.now, remapped=remapped)),
        ("activities", "activities", connector.activities, pulled.save_activities),
    ]
    for what, stream, pages, save in streams:
        key = f"full:{stream}" if full else stream
        with work.store.read() as reading:
            cursor = pulled.read_cursor(reading, crm, key)
        if cursor is None:
            with work.store.begin() as writing:
                if what == "contacts":
                    pulled.drop_cursors(writing, crm, "contacts:", keep=contacts)
                else:
                    full_pull.begin_tracking(writing, crm, key)
        for page in pages(cursor):
            with work.store.begin() as writing:
                save(writing, result.run, page.items)
                if what == "activities":
                    result.problems += full_pull.compare_page(writing, crm, key, page)
                pulled.write_cursor(writing, crm, key, page.cursor)
            failpoint("page_stored")
            counts.activities += len(page.items) if what == "activities" else 0
            work.progress(what, crm, len(page.items))
        if cursor is None and what == "contacts":
            _look_for_the_missing(work, result, crm, key)
    full_pull.end_tracking(work.store, crm, key)
    if full:
        with work.store.begin() as writing:
            pulled.promote_cursors(writing, crm, [stream for _what, stream, _pages, _save in streams])


def _look_for_the_missing(work: Work, result: Result, crm: str, stream: str) -> None:
    """After a pull of everything: records that did not come are read by id, and those that are gone are buried.

    Raises `Unavailable` when nothing came at all: an empty answer is a broken feed before it is an empty CRM. Its
    cursor goes too, or the next pull would go on from there.
    """
    with work.store.read() as reading:
        missing, seen = scored.unseen(reading, result.run, crm)
    if not seen:
        with work.store.begin() as writing:
            pulled.drop_cursor(writing, crm, stream)
        known = f"where crmsync knows {len(missing):,}" if missing else "and crmsync has not seen one before"
        raise Unavailable(
            crm,
            f"it answered without a single record {known}, and nothing is changed; look at what the integration user "
            f"may see, and if {crm} is really empty, take its table out of the config",
        )
    for some in chunks(missing, 1_000):
        items = list(work.crms[crm].read(some))
        with work.store.begin() as writing:
            pulled.save_contacts(writing, result.run, items, work.now)


def _write(work: Work, attempt: Attempt) -> Result:
    result = attempt.result
    for crm in _alive(work, attempt):
        with _taking_part(work, attempt, crm):
            apply(work.store, work.crms[crm], result.run, work.config.write, work.now_ms, work.progress)
    _count_states(work, result)
    with work.store.begin() as writing:
        oldest = work.now_ms - int(work.config.state.keep.total_seconds() * 1000)
        journal.prune(writing, oldest, work.now_ms)
    untaken = any(counts.partly or counts.rejected or counts.unknown for counts in result.crms.values())
    trouble = untaken or attempt.skipped or result.problems
    return _end(work, attempt, "held" if result.held else "partial" if trouble else "ok")


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


def _end(work: Work, attempt: Attempt, verdict: Verdict) -> Result:
    result = attempt.result
    result.verdict = verdict
    result.skipped = {crm: str(error) for crm, error in sorted(attempt.skipped.items())}
    result.problems += [f"{crm}: {why}" for crm, why in result.skipped.items()]
    if result.held:
        result.problems += result.held.reasons
    for crm, connector in work.crms.items():
        result.crms[crm].api_calls = connector.calls - attempt.calls_before[crm]
    ended = work.now_ms + int((time.monotonic() - attempt.begun) * 1000)
    with work.store.begin() as writing:
        journal.end_run(writing, result.run, ended, verdict, result.as_json())
    return result
