"""Pull: from every CRM that can be used, page by page, each page with its cursor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from operator import attrgetter
from typing import Any

from crmsync import page_groups
from crmsync.attempt import Attempt, begin_attempt, crms_left, taking_part
from crmsync.clock_skew import judge_clocks
from crmsync.config import Config
from crmsync.connector import MissingField
from crmsync.counts import count_of
from crmsync.errors import ConfigError, Unavailable
from crmsync.evaluation.freshness import date_events
from crmsync.failpoint import failpoint
from crmsync.model import Odd, Owner, Page, Ref
from crmsync.odd_pages import naming_odd, note_left_out
from crmsync.planning.desk import Setting
from crmsync.planning.verify import resolve_unknown
from crmsync.pull_events import pull_all_events
from crmsync.pull_outcomes import pull_outcomes
from crmsync.result import Result
from crmsync.routing.owners import owners_of
from crmsync.store import full_pull, run_journal
from crmsync.store.activities import save_activities
from crmsync.store.companies import drop_unused_companies
from crmsync.store.contacts import save_contacts
from crmsync.store.cursors import (
    CONTACTS,
    drop_cursor,
    drop_cursors,
    end_full_run,
    note_full_run,
    promote_cursors,
    read_cursor,
    was_ever_read,
    was_read_so,
    write_cursor,
)
from crmsync.store.database import bind_account
from crmsync.store.erasure import drop_unused_facts
from crmsync.store.future import mend_future
from crmsync.store.mapped_fields import note_mapped_fields
from crmsync.store.memberships import drop_lists, find_unread, known_versions, save_members
from crmsync.store.odd_records import read_odd_records, update_odd_records
from crmsync.store.owners import save_owners
from crmsync.store.restoring import TO_PULL, note_pulled, restored_crms
from crmsync.store.scores import doubt_missing, find_remains, find_unpulled
from crmsync.store.sql import dump_json, in_chunks, to_ms
from crmsync.work import Work


def pull_all(work: Work, attempt: Attempt, *, full: bool, resuming: bool, trusting: bool = False) -> Setting:
    """Pull from every CRM that can be used, and ask who can own records and how stages follow each other."""
    result = attempt.result
    owners: list[Owner] = []
    orders: dict[tuple[str, str], Any] = {}
    read_only: dict[tuple[str, str], Collection[str]] = {}
    prepare_crms(work, attempt)
    with work.store.read() as reading:
        restored = restored_crms(reading)
    for crm in [each for each in work.crms if each not in attempt.skipped]:
        with taking_part(work, attempt, crm):
            # Before the pull, which would take what a lost answer wrote for a user's change.
            if resuming:
                result.crms[crm].resumed = resolve_unknown(work.store, work.crms[crm], work.now_ms)
            begun = to_ms(work.present)
            _pull(work, attempt, crm, full=full or restored.get(crm) == TO_PULL, trusting=trusting)
            theirs = work.crms[crm].owners()
            with work.store.begin() as writing:
                save_owners(writing, [crm], theirs)
                # Not in `_pull`, which a first preview does on the real state: nobody waits before the first run.
                write_cursor(writing, crm, PULLED, str(begun))
            _pull_lists(work, result, crm, full=full)
            owners += theirs
            orders |= {(crm, kind): values for kind, values in work.crms[crm].stage_order().items()}
            read_only |= {(crm, kind): names for kind, names in work.crms[crm].read_only_fields().items()}
    pull_all_events(work, attempt, keeping=resuming)
    alive = crms_left(work, attempt)
    with work.store.read() as reading:
        unread = [crm for crm in work.crms if crm not in alive and not was_ever_read(reading, crm)]
        lists = work.config.excluded_lists()
        unlisted = [crm for crm in work.crms if crm not in alive and find_unread(reading, crm, lists.get(crm, ()))]
    result.problems += [
        f"{crm}: a list of [exclude] was never read; until it is, "
        f"{'nobody' if crm in unread else 'nobody who has a record there'} is scored or written in any CRM"
        for crm in unlisted
    ]
    found = owners_of(owners, work.config.write.unassigned_users)
    return Setting(alive, found, orders, unread=unread, unlisted=unlisted, read_only=read_only)


def _pull_lists(work: Work, result: Result, crm: str, *, full: bool) -> None:
    """Read who is on the lists that `[exclude]` names, with `full` in any case.

    A list that was read before holds where it cannot be now.

    Raises `ConfigError` or `Unavailable` for one that was never read: nobody knows who is on it.
    """
    asked = work.config.field_map(crm).lists
    with work.store.read() as reading:
        known = dict.fromkeys(asked, "") if full else known_versions(reading, crm, asked)
    problems: dict[str, str] = {}
    try:
        for found in work.crms[crm].list_members(known) if asked else ():
            if found.problem:
                problems[found.asked] = found.problem
                continue
            with work.store.begin() as writing:
                save_members(writing, crm, found, work.now_ms)
    except (ConfigError, Unavailable) as error:
        with work.store.read() as reading:
            if find_unread(reading, crm, asked):
                raise
        problems[""] = str(error)
    with work.store.begin() as writing:
        drop_lists(writing, crm, asked)
        unread = find_unread(writing, crm, asked)
    if unread:
        raise ConfigError([problems.get(each, f"the list {each!r} of [exclude] could not be read") for each in unread])
    result.problems += [f"{crm}: {why}; until then the last known members are left out" for why in problems.values()]


def pull_first(work: Work, run: str) -> Result:
    with ExitStack() as stack:
        crms = stack.enter_context(work.connect(work.config, work.store)) if work.connect else work.crms
        first = work._replace(crms=crms)
        attempt = begin_attempt(first, run)
        prepare_crms(first, attempt)
        for crm in crms:
            if crm not in attempt.skipped:
                with taking_part(first, attempt, crm):
                    _pull(first, attempt, crm, full=False)
            attempt.result.crms[crm].api_calls = crms[crm].calls - attempt.calls_before[crm]
        pull_all_events(first, attempt)
    return attempt.result


def prepare_crms(work: Work, attempt: Attempt) -> None:
    """Look at each CRM and at its clock before anything is read: all that follows goes by the time.

    Raises `WrongClock` where ours is wrong; a CRM with a wrong one is skipped.
    """
    for crm in work.crms:
        with taking_part(work, attempt, crm):
            _prepare(work, attempt, crm)
    attempt.skipped = {**judge_clocks(attempt.ahead), **attempt.skipped}
    # Only by a clock that some CRM agrees with.
    if len(attempt.skipped) < len(work.crms):
        mend_future(work.store, work.now_ms)


def _prepare(work: Work, attempt: Attempt, crm: str) -> None:
    """Look whose account it is, and whether the fields are there that rules read and that crmsync writes.

    A mapping that never worked is a mistake in the file, and the CRM is skipped. A field that was there until now is
    not shown any more: what was known of it holds, the rest goes on, and the run says so.
    """
    connector = work.crms[crm]
    # Before all else: nothing may be read into the state of another account (D08).
    bind_account(work.store, crm, connector.account())
    missing = [each for each in connector.missing_fields() if _is_needed(work.config, each)]
    # After the calls above, whose answers tell the time.
    if theirs := connector.clock():
        attempt.ahead[crm] = work.present - theirs
    if not missing:
        return
    with work.store.read() as reading:
        worked = was_read_so(reading, crm, work.config.mapping_hash(crm))
    wrong = [each for each in missing if each.role not in READ or not worked]
    if wrong:
        raise ConfigError(_missing_sentences(wrong), "" if any(each.role == "field" for each in wrong) else SETUP)
    attempt.result.problems += list(
        dict.fromkeys(f"{crm}: {each.sentence}; until then the last known values are used" for each in missing)
    )


SETUP = "crmsync setup"

READ = ("field", "choice")
"""What is only read: without it the last known values hold."""


def _missing_sentences(missing: Sequence[MissingField]) -> list[str]:
    """What to say of missing fields; those that setup makes are told together."""
    ours = [each for each in missing if each.role != "field"]
    said = [each.sentence for each in missing if each.role == "field" or len(ours) == 1]
    if len(ours) > 1:
        names = ", ".join(dict.fromkeys(each.name for each in ours))
        kinds = " and ".join(dict.fromkeys(f"{each.kind}s" for each in ours))
        said.append(f"the fields that crmsync writes for {kinds} are missing: {names}; create them with: {SETUP}")
    return list(dict.fromkeys(said))


def _is_needed(config: Config, missing: MissingField) -> bool:
    if missing.role in READ:
        return missing.name in config.read_fields()
    return missing.role in ("score_field", "task") or config.write.stage


def _contacts_stream(work: Work, crm: str) -> str:
    """Mapped otherwise, everybody has to be read again: each mapping has a cursor of its own."""
    return f"{CONTACTS}{work.config.mapping_hash(crm)}"


def _pull(work: Work, attempt: Attempt, crm: str, *, full: bool, trusting: bool = False) -> None:
    """Pull one CRM; `full` from the start, `trusting` that activities which do not come are gone, however many."""
    connector, contacts, result = work.crms[crm], _contacts_stream(work, crm), attempt.result
    follows = work.config.follows_accounts()
    begun = to_ms(work.present)
    with work.store.read() as reading:
        before = int(read_cursor(reading, crm, PULLED) or begun + 1)
    # Of a first pull, which brings all that there ever was, nothing is news; nor is it after a clock that was wrong.
    news = attempt.news if before <= begun else {}
    note_news = partial(_note_news, news, before)
    save = partial(save_contacts, now=work.now, noticing=_noticed_fields(work, crm), colleagues=follows)

    def save_noting(*args: Any, **named: Any) -> None:
        # A record that differs although the CRM did not change it is read otherwise than before.
        note_news((row_id, at) for row_id, at in save(*args, **named) if at >= before)

    runs = _pull_contacts(work, result, crm, connector.contacts, contacts, save_noting, full=full, trusting=trusting)
    _pull_activities(work, result, crm, connector.activities, note_news, full=full, trusting=trusting, runs=runs)
    if runs:
        # Only now: whoever goes on where activities were cut off has to know which records came.
        with work.store.begin() as writing:
            end_full_run(writing, crm, f"full:{contacts}" if full else contacts)
    pull_outcomes(work, result, crm, full=full, trusting=trusting)
    with work.store.begin() as writing:
        is_same_mapping = (read_cursor(writing, crm, MAPPING) or contacts).partition(" ")[0] == contacts
        note_mapped_fields(writing, crm, work.config.field_map(crm).fields, work.now_ms, is_same=is_same_mapping)
        write_cursor(writing, crm, MAPPING, f"{contacts} {_stage_values(work, crm)}")
        if full:
            # Only now that both streams are read: what is cut off before goes on from its own cursors.
            promote_cursors(writing, crm, [contacts, ACTIVITIES])
            note_pulled(writing, crm, work.now_ms)
            drop_unused_facts(writing)
            drop_unused_companies(writing)


def _note_news(news: dict[int, int], pulled: int, found: Iterable[tuple[int, int]]) -> None:
    """Note since when records wait for what was found of them (row and milliseconds); `pulled` is the pull before."""
    for row_id, since in date_events(found, pulled):
        news[row_id] = min(news.get(row_id, since), since)


def _noticed_fields(work: Work, crm: str) -> Sequence[str]:
    """The fields whose change a person must have made: none before anything was ever planned, no stage read anew."""
    with work.store.read() as reading:
        if run_journal.adopted_config(reading) is None:
            return ()
        mapping = read_cursor(reading, crm, MAPPING)
    stream, _, stages = (mapping or "").partition(" ")
    same_names = mapping is None or stream == _contacts_stream(work, crm) or stages == _stage_values(work, crm)
    return ("stage", "owner") if same_names else ("owner",)


def _stage_values(work: Work, crm: str) -> str:
    """By which names the values of a stage are read."""
    return dump_json(dict(work.config.field_map(crm).stages))


MAPPING = "mapping"
"""The row among the cursors that says by which mapping the records were last read to their end, and which stages."""

PULLED = "pulled"
"""The row among the cursors that says when (milliseconds) the last pull of a run began that came to its end."""

ACTIVITIES = "activities"

Pages = Callable[[str | None], Iterator[Page[Any]]]


def _pull_contacts(
    work: Work,
    result: Result,
    crm: str,
    pages: Pages,
    stream: str,
    save: Callable[..., object],
    *,
    full: bool,
    trusting: bool,
) -> Sequence[str]:
    """Store what comes. Returns the runs of a pull of everything that came to its end with this one, if it is one."""
    # A cursor of its own, so that the ordinary one stays good if this is cut off.
    key = f"full:{stream}" if full else stream
    with work.store.read() as reading:
        cursor = read_cursor(reading, crm, key)
    with work.store.begin() as writing:
        if cursor is None:
            # At the beginning: from the first page on records are stored as this mapping reads them.
            drop_cursors(writing, crm, "contacts:", keep=stream)
        runs = note_full_run(writing, crm, key, result.run, begins=cursor is None)
    with naming_odd(result, crm) as odd:
        with work.store.read() as reading:
            unread = read_odd_records(reading, crm)
        odd += _read_by_id(work, crm, unread, partial(save, run=result.run), doubted=unread)[0]
        for page in page_groups.group_pages(crm, pages(cursor), attrgetter("ref"), page_groups.RECORDS):
            odd += page.odd
            note_left_out(result, crm, page)
            with work.store.begin() as writing:
                save(writing, run=result.run, items=page.items)
                update_odd_records(
                    writing,
                    crm,
                    add=[each.ref for each in page.odd if each.ref],
                    drop={each.ref for each in page.items},
                )
                # With its page, or a crash would skip what was not stored (R19).
                write_cursor(writing, crm, key, page.cursor)
            failpoint("page_stored")
            work.progress("contacts", crm, len(page.items))
        if runs:
            odd += _find_missing_records(work, result, crm, key, runs, trusting=trusting)
    return runs


def _pull_activities(
    work: Work,
    result: Result,
    crm: str,
    pages: Pages,
    note_news: Callable[[Iterable[tuple[int, int]]], None],
    *,
    full: bool,
    trusting: bool,
    runs: Sequence[str],
) -> None:
    key = f"full:{ACTIVITIES}" if full else ACTIVITIES
    with work.store.read() as reading:
        cursor = read_cursor(reading, crm, key)
    if cursor is None:
        with work.store.begin() as writing:
            full_pull.begin_tracking(writing, crm, key)
    with naming_odd(result, crm) as odd:
        for page in page_groups.group_pages(crm, pages(cursor), attrgetter("id"), page_groups.ACTIVITIES):
            odd += page.odd
            note_left_out(result, crm, page)
            with work.store.begin() as writing:
                note_news((row_id, at * 1_000) for row_id, at in save_activities(writing, page.items))
                result.problems += full_pull.compare_page(writing, crm, key, page, trusting=trusting, runs=runs)
                write_cursor(writing, crm, key, page.cursor)
            failpoint("page_stored")
            # Markers of what is no more, or never was an activity, come with an idle run, too.
            result.crms[crm].activities += sum(not each.gone for each in page.items)
            work.progress("activities", crm, len(page.items))
    full_pull.end_tracking(work.store, crm, key)


def _read_by_id(
    work: Work, crm: str, refs: Sequence[Ref], save: Callable[..., object], *, doubted: Collection[Ref]
) -> tuple[list[Odd], list[Ref]]:
    """Store records as they are now. Returns those of which the answer cannot be read.

    With it those of the `doubted` ones that the CRM may just not show: they stay as they are.
    """
    odd: list[Odd] = []
    unseen: list[Ref] = []
    for some in in_chunks(refs, 1_000):
        items = list(work.crms[crm].read(some))
        # A record that was asked for by an old id comes under its new one.
        came = {
            Ref(each.ref.crm, each.ref.kind, known_as) for each in items for known_as in (each.ref.id, *each.aliases)
        }
        left = [ref for ref in some if ref not in came]
        hidden = {each.ref for each in items if each.unseen}.intersection(doubted)
        unseen += sorted(hidden)
        items = [each for each in items if each.ref not in hidden]
        with work.store.begin() as writing:
            save(writing, items=items)
            update_odd_records(writing, crm, add=left, drop=came)
        odd += [Odd(f"{ref.kind} {ref.id}", "in a form that cannot be read", ref) for ref in left]
    return odd, unseen


def _find_missing_records(
    work: Work, result: Result, crm: str, stream: str, runs: Sequence[str], *, trusting: bool
) -> list[Odd]:
    """After a pull of everything, in one run or several: records that did not come are read by id.

    Those that are gone are buried; those that cannot be read are returned. What the CRM may just not show stays, and
    so do all of a kind where many did not come, unless somebody said that it is `trusting`. Raises `Unavailable` when
    nothing came at all: an empty answer is a broken feed before it is an empty CRM. Its cursor goes too, or the next
    pull would go on from there.
    """
    with work.store.read() as reading:
        missing, seen = find_unpulled(reading, runs, crm)
        deleted = find_remains(reading, crm)
        doubts = {} if trusting else doubt_missing(reading, crm, missing)
    if not seen:
        with work.store.begin() as writing:
            drop_cursor(writing, crm, stream)
        known = f"although crmsync knows {len(missing):,}" if missing else "and crmsync has never seen one"
        raise Unavailable(
            crm,
            f"it answered without any record {known}, so nothing is changed; check what the integration user may see; "
            f"if {crm} is really empty, remove its table from the config",
        )
    follows = work.config.follows_accounts()
    save = partial(save_contacts, run=runs[-1], now=work.now, colleagues=follows)
    result.problems += doubts.values()
    missing = [each for each in missing if each.kind not in doubts]
    odd, unseen = _read_by_id(work, crm, [*missing, *deleted], save, doubted=[] if trusting else missing)
    result.problems += [
        f"{crm}: {count_of(many, kind)} did not come when everything was read again, and {crm} names no deletion; what "
        "was known is kept and nothing written there; let crmsync's user read them again; to forget "
        "what was deleted for good, run: crmsync backfill --yes"
        for kind, many in Counter(each.kind for each in unseen).items()
    ]
    return odd
