"""Who set the stage and owner of somebody's records: asked of the CRMs now, since the state does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from threading import Event, Timer
from typing import NamedTuple

from crmsync.bootstrap import connect_one
from crmsync.config import Config
from crmsync.connector import EditLog, FieldEdit
from crmsync.counts import count_of
from crmsync.errors import Cancelled, CrmsyncError
from crmsync.model import Ref, Scalar
from crmsync.redaction import hide_secrets, secrets_of
from crmsync.store.cursors import StoredNotes
from crmsync.store.database import Store
from crmsync.store.future import LEEWAY
from crmsync.store.sql import from_ms

PATIENCE = 20.0
"""Seconds for which somebody who looks waits for a CRM."""


class Answers(NamedTuple):
    """What CRMs said of edits, and sentences about what is not known and why."""

    edits: Sequence[FieldEdit] = ()
    notes: Sequence[str] = ()


Ask = Callable[[Sequence[Ref]], Answers]


def ask_editors(config: Config, store: Store, refs: Sequence[Ref]) -> Answers:
    """Ask each CRM who set the stage and owner of these records, as far as it tells; whatever fails is a note."""
    edits: list[FieldEdit] = []
    notes: list[str] = []
    for crm in dict.fromkeys(ref.crm for ref in refs if ref.crm in config.crms):
        stop, said = Event(), f"Who changed records in {crm} is not known"
        timer = Timer(PATIENCE, stop.set)
        timer.start()
        try:
            with connect_one(config, crm, dict(StoredNotes(store, crm)), stop) as connector:
                if isinstance(connector, EditLog):
                    edits += connector.field_edits([ref for ref in refs if ref.crm == crm])
                else:
                    notes.append(f"{said}: crmsync does not read the field history there")
        except Cancelled:
            notes.append(f"{said}: it did not answer within {count_of(PATIENCE, 'second')}")
        except CrmsyncError as error:
            notes.append(f"{said}: {hide_secrets(str(error), secrets_of(config))}")
        finally:
            timer.cancel()
    return Answers(edits, notes)


def find_edits(
    edits: Iterable[FieldEdit], ref: Ref, values: Mapping[str, Scalar | None], until: int
) -> list[FieldEdit]:
    """By which edit each of these fields of a record last got its value until an instant (milliseconds)."""
    latest = from_ms(until) + timedelta(milliseconds=LEEWAY)
    found: dict[str, FieldEdit] = {}
    for each in edits:
        is_it = each.ref == ref and each.field in values and (each.value or None) == (values[each.field] or None)
        if is_it and each.at <= latest and (each.field not in found or each.at > found[each.field].at):
            found[each.field] = each
    return list(found.values())
