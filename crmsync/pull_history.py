"""Read from the CRMs what they still know of former values of fields: how scores of the past come to be known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from crmsync.connector import FieldHistory
from crmsync.errors import ConfigError, Unavailable
from crmsync.failpoint import failpoint
from crmsync.redaction import hide_secrets, secrets_of
from crmsync.store.database import bind_account
from crmsync.store.field_history import HistoryReading, end_histories, next_records, read_progress, save_histories
from crmsync.work import Work

RECORDS_AT_ONCE = 1_000
"""Records that a CRM is asked for in one go: a page, which is stored with how far the reading is."""


@dataclass
class PulledHistory:
    """How many records of a CRM were asked for, how many former values came, and which fields have a history."""

    records: int = 0
    values: int = 0
    fields: Sequence[str] = field(default_factory=list)


@dataclass
class HistoryResult:
    """What was read, by CRM; `notes` say which CRM keeps no history, `problems` which could not be asked."""

    crms: dict[str, PulledHistory] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def pull_history(work: Work) -> HistoryResult:
    """Ask each CRM that keeps a history for the former values of the mapped fields of all live records.

    It goes on where it was cut off, and reads everything again once it was complete. Raises `ConfigError` or
    `Unavailable` where no CRM could be asked.
    """
    result = HistoryResult()
    failed: list[ConfigError | Unavailable] = []
    for crm, connector in work.crms.items():
        if not isinstance(connector, FieldHistory):
            result.notes.append(f"{crm} keeps no history of fields that crmsync could read")
            continue
        try:
            result.crms[crm] = _pull(work, crm, connector)
        except (ConfigError, Unavailable) as error:
            failed.append(error)
            said = error.problems if isinstance(error, ConfigError) else [str(error)]
            result.problems += [f"{crm}: {hide_secrets(each, secrets_of(work.config))}" for each in said]
    if failed and not result.crms:
        raise failed[0]
    return result


def _pull(work: Work, crm: str, connector: FieldHistory) -> PulledHistory:
    bind_account(work.store, crm, work.crms[crm].account())
    pulled, mapping = PulledHistory(), work.config.mapping_hash(crm)
    fields = sorted(work.config.field_map(crm).fields)
    with work.store.begin() as writing:
        reading = read_progress(writing, crm, mapping, work.now_ms)
    while True:
        with work.store.read() as looking:
            asked = next_records(looking, crm, reading.last, RECORDS_AT_ONCE)
        if not asked:
            break
        pages = list(connector.past_fields(list(asked)))
        with work.store.begin() as writing:
            reading, stored = save_histories(writing, crm, mapping, reading, asked, pages, fields)
        failpoint("page_stored")
        pulled.records += len(asked)
        pulled.values += stored
        work.progress("history", crm, len(asked))
    with work.store.begin() as writing:
        end_histories(writing, crm, mapping, reading)
    pulled.fields = _named(reading)
    return pulled


def _named(reading: HistoryReading) -> list[str]:
    return sorted({name for since in (reading.whole, reading.alone) for each in since.values() for name in each})
