"""Pull opportunities: a stream beside contacts and activities, without which the rest of a CRM goes on."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from crmsync.errors import Cancelled, ConfigError, CrmsyncError, LostLock, StateError
from crmsync.failpoint import failpoint
from crmsync.odd_pages import naming_odd, note_left_out, refuse_odd_page
from crmsync.result import Result
from crmsync.store.cursors import drop_cursor, drop_cursors, promote_cursors, read_cursor, write_cursor
from crmsync.store.opportunities import begin_full_outcomes, end_full_outcomes, save_opportunities
from crmsync.work import Work

OUTCOMES = "outcomes"
"""The row among the cursors that says up to where opportunities were read."""

WHOLE = "whole:outcomes"
"""The one that says by which stream everything is being read since its beginning."""


def pull_outcomes(work: Work, result: Result, crm: str, *, full: bool, trusting: bool = False) -> None:
    """Read the opportunities of a CRM, where the config has `[outcome]`; with `full` from the start.

    Where they cannot be read, those that are known stay, and a problem of the run says why: contacts and activities do
    not depend on them.
    """
    if work.config.outcome is None:
        return
    try:
        _pull(work, result, crm, full=full, trusting=trusting)
    # These concern the whole run and not this stream.
    except (StateError, LostLock, Cancelled, SQLAlchemyError):
        raise
    except ConfigError as error:
        result.problems += [f"{crm}: {each}; {AS_KNOWN}" for each in error.problems]
    except Exception as error:  # noqa: BLE001  whatever an odd answer leads to concerns opportunities alone
        said = str(error) if isinstance(error, CrmsyncError) else f"the answer cannot be read ({type(error).__name__})"
        result.problems.append(f"{crm}: opportunities: {said}; {AS_KNOWN}")


AS_KNOWN = "until then the last known opportunities are used"


def _pull(work: Work, result: Result, crm: str, *, full: bool, trusting: bool) -> None:
    value = work.config.field_map(crm).opportunity_value
    # With another field for what they are worth all have to be read again.
    stream = f"{OUTCOMES}:{value}" if value else OUTCOMES
    key = f"full:{stream}" if full else stream
    with work.store.read() as reading:
        cursor = read_cursor(reading, crm, key)
    if cursor is None:
        with work.store.begin() as writing:
            drop_cursors(writing, crm, OUTCOMES, keep=stream)
            begin_full_outcomes(writing, crm)
            write_cursor(writing, crm, WHOLE, key)
    with naming_odd(result, crm) as odd:
        for page in work.crms[crm].outcomes(cursor):
            refuse_odd_page(crm, page)
            odd += page.odd
            note_left_out(result, crm, page)
            with work.store.begin() as writing:
                save_opportunities(writing, page.items)
                write_cursor(writing, crm, key, page.cursor)
            failpoint("page_stored")
            result.crms[crm].opportunities += len(page.items)
            work.progress("opportunities", crm, len(page.items))
    with work.store.read() as reading:
        ends = read_cursor(reading, crm, WHOLE) == key
    if ends or full:
        with work.store.begin() as writing:
            if ends:
                result.problems += end_full_outcomes(writing, crm, trusting=trusting)
                drop_cursor(writing, crm, WHOLE)
            if full:
                promote_cursors(writing, crm, [stream])
