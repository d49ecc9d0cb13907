"""What became of turns: one that gave nobody an owner is given back, so that the same member gets the next person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sqlalchemy import Connection

from crmsync.store import hand_offs, journal
from crmsync.store.hand_offs import OpenTurn, OwnedRecord, OwnerWrite

TurnEnd = Literal["used", "unused", "open"]


def give_back_turns(tx: Connection, promised: Mapping[int, str], now: int) -> None:
    """Give back the turns of earlier runs by which no record got the owner.

    `promised` are the owners that an interrupted run had chosen (the CRM's id by record), `now` is in milliseconds.
    Whoever plans does so, by what the journal and the CRMs say: whatever a run that died had still to do, a turn is
    neither lost nor given back twice.
    """
    turns = hand_offs.read_open_turns(tx)
    if not turns:
        return
    row_ids = sorted({row_id for each in turns for row_id in each.records})
    records = hand_offs.owned_records_by_id(tx, row_ids)
    writes = hand_offs.owner_writes(tx, row_ids, min(each.at for each in turns))
    kept = {**journal.refused_owners(tx, row_ids, now), **promised}
    # Whoever got the same person again, after the patience with a refusal, had one turn.
    last = {(row_id, owner): each.id for each in turns for row_id, (owner, _before) in each.records.items()}
    latest = set(last.values())
    ends = {each.id: find_turn_end(each, records, writes, kept) if each.id in latest else "unused" for each in turns}
    ended = [each for each in turns if ends[each.id] != "open"]
    hand_offs.end_turns(tx, ended, [each for each in ended if ends[each.id] == "unused"])


def find_turn_end(
    turn: OpenTurn,
    records: Mapping[int, OwnedRecord],
    writes: Mapping[int, Sequence[OwnerWrite]],
    kept: Mapping[int, str],
) -> TurnEnd:
    """What became of a turn: one record with the owner makes it a used one.

    It is open while a record is still to get that owner, by what is sent, by what is `kept` of an earlier run, or since
    the CRM refused it and it is tried again. Where the CRM then takes another owner of ours, it was that member whom it
    refuses, and the turn is used: given back, it would have the next person wait for the same refusal.
    """
    ends: set[TurnEnd] = set()
    for row_id, (owner, before) in turn.records.items():
        since = [each for each in writes.get(row_id, ()) if each.at >= turn.at]
        ends.add(_end_of_record(owner, before, records.get(row_id), since, is_kept=kept.get(row_id) == owner))
    return "used" if "used" in ends else "open" if "open" in ends else "unused"


def _end_of_record(
    owner: str, before: str, record: OwnedRecord | None, writes: Sequence[OwnerWrite], *, is_kept: bool
) -> TurnEnd:
    tries = [place for place, each in enumerate(writes) if each.owner == owner]
    if (record is not None and record.owner == owner) or any(writes[each].is_taken for each in tries):
        return "used"
    if any(writes[each].is_open for each in tries):
        return "open"
    is_refused = bool(tries) and writes[tries[-1]].is_refused
    if is_refused and any(each.is_taken and each.owner for each in writes[tries[-1] :]):
        return "used"
    if record is None or not record.is_live or record.owner != before:
        return "unused"
    return "open" if record.is_waiting and (is_kept or is_refused) else "unused"
