"""Records that a pull of everything did not bring, and odd ones, are read by id: to be gone, or to be kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial

from crmsync.counts import count_of
from crmsync.errors import Unavailable
from crmsync.model import Odd, Ref
from crmsync.result import Result
from crmsync.store.contacts import save_contacts
from crmsync.store.cursors import drop_cursor
from crmsync.store.odd_records import update_odd_records
from crmsync.store.scores import doubt_missing, find_remains, find_unpulled
from crmsync.store.sql import in_chunks
from crmsync.work import Work


def find_missing_records(
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
    odd, unseen = read_by_id(work, crm, [*missing, *deleted], save, doubted=[] if trusting else missing)
    result.problems += [
        f"{crm}: {count_of(many, kind)} did not come when everything was read again, and {crm} names no deletion; what "
        "was known is kept and nothing written there; let crmsync's user read them again; to forget "
        "what was deleted for good, run: crmsync backfill --yes"
        for kind, many in Counter(each.kind for each in unseen).items()
    ]
    return odd


def read_by_id(
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
