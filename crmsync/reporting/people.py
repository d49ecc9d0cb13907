"""Lists of people to look at: duplicates, not matched, at odds between the CRMs, excluded, waiting."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations, groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.connector import FieldMap
from crmsync.errors import ConfigError
from crmsync.identity.matching import MAIL, normal_email
from crmsync.reporting.console import count_of, show_points
from crmsync.store.database import Store
from crmsync.store.owners import owner_emails
from crmsync.store.people_lists import (
    ListedRecord,
    find_duplicates,
    find_in_several_crms,
    find_left_out,
    find_not_matched,
    find_waiting,
)

OURS = "crmsync"
"""Whose value it is that was decided and that a CRM does not have, beside those of the CRMs."""

FORGOTTEN = "forgotten"


def people_document(config: Config, store: Store | None, which: str) -> dict[str, Any]:
    """One of `LISTS`. Raises `ConfigError` where no run has been yet."""
    if store is None:
        raise ConfigError("No run yet, so there are no people to list", "crmsync plan")
    with store.read() as reading:
        people = list(LISTS[which](config, reading))
    return {"people": people, "count": len(people)}


def _row(records: Sequence[ListedRecord], why: str, **more: Any) -> dict[str, Any]:
    return {
        "person": records[0].person,
        "name": next((each.name for each in records if each.name), ""),
        "emails": sorted({address for each in records for address in each.emails}),
        "records": [str(each.ref) for each in records],
        "why": why,
        **more,
    }


def _by_person(records: Iterable[ListedRecord]) -> Iterator[list[ListedRecord]]:
    for person, theirs in groupby(records, key=lambda each: each.person):
        if person is None:
            yield from ([each] for each in theirs)
        else:
            yield list(theirs)


def _duplicates(config: Config, connection: Connection) -> Iterator[dict[str, Any]]:
    records, keys = find_duplicates(connection)
    for theirs in _by_person(records):
        by_crm = {crm: list(some) for crm, some in groupby(theirs, key=lambda each: each.ref.crm)}
        whys = [
            f"{len(some)} records in {crm}: {_matched_by(config, [keys.get(each.id, set()) for each in some])}"
            for crm, some in by_crm.items()
            if len(some) > 1
        ]
        yield _row(theirs, "; ".join(whys))


def _matched_by(config: Config, keys: Sequence[set[str]]) -> str:
    """What makes records of one CRM one person."""
    shared = {key for one, other in combinations(keys, 2) for key in one & other}
    boxes, limit = config.identity.shared_mailboxes, config.identity.shared_address_limit
    addresses = sorted(
        key.removeprefix(MAIL)
        for key in shared
        if key.startswith(MAIL)
        and key.removeprefix(MAIL).partition("@")[0] not in boxes
        and sum(key in each for each in keys) <= limit
    )
    is_linked = any(not key.startswith(MAIL) for key in shared)
    ways = [f"the address{'es' if len(addresses) > 1 else ''} {', '.join(addresses)}"] if addresses else []
    ways += ["a link in the CRM"] if is_linked else []
    return f"matched by {' and '.join(ways)}" if ways else "matched by way of their other records"


def _not_matched(config: Config, connection: Connection) -> Iterator[dict[str, Any]]:
    records, counts, keys = find_not_matched(connection)
    for each in records:
        whys = []
        for key in sorted(keys.get(each.id, ())):
            crm, many = max(counts[key].items(), key=lambda of: of[1])
            address = key.removeprefix(MAIL)
            box = ", a shared mailbox," if address.partition("@")[0] in config.identity.shared_mailboxes else ""
            whys.append(f"the address {address}{box} is on {count_of(many, 'record')} in {crm}")
        yield _row([each], "; ".join(whys)) | {"person": None}


def _disagreements(config: Config, connection: Connection) -> Iterator[dict[str, Any]]:
    emails = owner_emails(connection)
    mapped, has_stage = _mapped_fields(config)
    nobody = {normal_email(each) for each in config.write.unassigned_users}
    users = {(crm, address) for (crm, _id), address in emails.items()}
    foreign = []
    for theirs in _by_person(find_in_several_crms(connection)):
        fields: dict[str, list[FieldValue]] = {}
        for each in theirs:
            names = mapped(each.ref.crm, each.ref.kind)
            for field in names:
                fields.setdefault(field, []).append(FieldValue(each, each.current.get(field)))
            # Where there is none, nobody has said otherwise: a run only moves a stage when it is due.
            if each.stage and has_stage(each.ref.crm, each.ref.kind):
                fields.setdefault("stage", []).append(FieldValue(each, each.stage))
            is_known, address = _owner_address(each, emails, nobody)
            if is_known:
                fields.setdefault("owner", []).append(FieldValue(each, address))
        found = [row for field, held in fields.items() for row in _differences(theirs, field, held)]
        for row in _undecided(fields.get("stage", ())):
            if between := next((each for each in found if each["field"] == "stage"), None):
                # One thing is told once.
                between["why"] += f"; {OURS} holds {row['values'][OURS]}"
            else:
                found.append(row)
        for row in found:
            if stranger := _stranger(row, users):
                # Nobody can make these agree, and they would bury those that somebody can.
                foreign.append({**row, "why": f"{row['why']}; {stranger}"})
            else:
                yield row
    yield from foreign


def _stranger(row: Mapping[str, Any], users: Collection[tuple[str, str]]) -> str | None:
    """That an owner is no user of the CRM that has another one."""
    if row["field"] != "owner":
        return None
    (one, first), (other, second) = row["values"].items()
    unknown = ((address, crm) for address, crm in ((first, other), (second, one)) if address)
    return next((f"{address} is not a user in {crm}" for address, crm in unknown if (crm, address) not in users), None)


class FieldValue(NamedTuple):
    """What a record holds of a field."""

    record: ListedRecord
    value: Any


def _mapped_fields(config: Config) -> tuple[Callable[[str, str], Collection[str]], Callable[[str, str], bool]]:
    """Which score fields the config maps for a kind of record of a CRM, and whether it maps a stage."""

    @cache
    def mapped(crm: str, kind: str) -> Collection[str]:
        return FieldMap.spelled(config.field_map(crm).score_fields, kind)

    @cache
    def has_stage(crm: str, kind: str) -> bool:
        return bool(FieldMap.spelled(config.field_map(crm).stages, kind))

    return mapped, has_stage


def _owner_address(
    each: ListedRecord, emails: Mapping[tuple[str, str], str], nobody: Collection[str]
) -> tuple[bool, str | None]:
    """Whether the owner of a record can be compared, and their address; a queue is nobody, as is who counts so."""
    if not each.owner:
        return True, None
    address = emails.get((each.ref.crm, each.owner))
    return address is not None, address if address and address not in nobody else None


def _differences(theirs: Sequence[ListedRecord], field: str, held: Sequence[FieldValue]) -> Iterator[dict[str, Any]]:
    """The first two records of different CRMs that differ in a field, if there are any."""
    for one, other in combinations(held, 2):
        if one.record.ref.crm != other.record.ref.crm and one.value != other.value:
            values = {one.record.ref.crm: one.value, other.record.ref.crm: other.value}
            older = min((one.record, other.record), key=lambda each: each.changed_at).ref.crm
            is_equal = one.record.changed_at == other.record.changed_at
            said = " and ".join(f"{show_value(value)} in {crm}" for crm, value in values.items())
            more = {"field": field, "values": values, "older": None if is_equal else older}
            yield _row(theirs, f"{field} is {said}", **more)
            return


def _undecided(stages: Iterable[FieldValue]) -> Iterator[dict[str, Any]]:
    """The first record that does not have the stage that crmsync decided, if there is one."""
    for each, stage in stages:
        if each.decided and stage != each.decided:
            crm = each.ref.crm
            why = f"{OURS} holds {each.decided}, {crm} {show_value(stage)}"
            yield _row([each], why, field="stage", values={OURS: each.decided, crm: stage}, older=None)
            return


def show_value(value: Any) -> str:
    """A value for people; what a record does not have is `(empty)`."""
    return "(empty)" if value in (None, "") else show_points(value)


def _with_why(records: Iterable[ListedRecord]) -> Iterator[dict[str, Any]]:
    for theirs in _by_person(records):
        yield _row(theirs, theirs[0].why or FORGOTTEN)


LISTS: Mapping[str, Callable[[Config, Connection], Iterable[dict[str, Any]]]] = {
    "duplicates": _duplicates,
    "not_matched": _not_matched,
    "disagreements": _disagreements,
    "excluded": lambda _config, connection: _with_why(find_left_out(connection)),
    "waiting": lambda _config, connection: _with_why(find_waiting(connection)),
}
"""What may be listed, and how."""
