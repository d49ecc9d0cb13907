"""Opportunities: how they stand, the stages they went through, and the leads and contacts they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Literal

from connectors.salesforce.activities import person_ref
from connectors.salesforce.client import Org
from connectors.salesforce.contacts import NEVER, current_rows
from connectors.salesforce.errors import CRM, HIDDEN, RequestRefused
from connectors.salesforce.first_pages import ask_first_pages
from connectors.salesforce.left_out import refused_columns
from connectors.salesforce.lookups import Lookup, is_readable, read_lookups
from connectors.salesforce.paging import (
    Cursor,
    Row,
    after_all,
    after_stream,
    begin_pull,
    pull_pages,
)
from connectors.salesforce.schema import KINDS, Schema, instant_of, readable_paths
from connectors.salesforce.source import Source
from crmsync.connector import FieldMap
from crmsync.errors import ConfigError
from crmsync.model import Odd, Opportunity, Page, Ref, StageEntry

OBJECT = "Opportunity"

NEEDED = ("StageName", "IsClosed", "IsWon", "CreatedDate")
"""What every opportunity has, and without which nothing can be said of it."""

COLUMNS = (
    *NEEDED,
    *("IsDeleted", "AccountId", "ContactId", "OwnerId", "CloseDate", "LastStageChangeDate", "CurrencyIsoCode"),
    *("LeadSource", "Campaign.Name", "RecordType.Name"),
)
"""What is read of every opportunity as far as this user sees it, beside its value and why it was lost."""

AMOUNT = "Amount"

LOST_REASONS = ("Loss_Reason__c", "Lost_Reason__c", "Closed_Lost_Reason__c", "LossReason")
"""Salesforce has no field of its own for why a deal was lost; the first of these that an org has is read."""

ROLES = Lookup("OpportunityContactRole", "OpportunityId", ("ContactId", "IsPrimary"), ("ContactId",))
HISTORY = Lookup(
    "OpportunityHistory", "OpportunityId", ("Id", "StageName", "CreatedDate"), needed=("StageName", "CreatedDate")
)
LEADS = Lookup("Lead", "ConvertedOpportunityId", ("Id",))
LOOKUPS = (ROLES, HISTORY, LEADS)

CHANGED_ROLES = Source(ROLES.object, ROLES.object, (ROLES.key,))
"""The roles that came, changed or went: none of that moves the stamp of their opportunity."""

DESCRIBED = (OBJECT, *(each.object for each in LOOKUPS), "Campaign", "RecordType")

UNREADABLE = (
    "the integration user cannot read Opportunity records; give its permission set 'Read' and 'View All Records' on "
    "Opportunity, or remove [outcome] from the config"
)


def pull_opportunities(org: Org, schema: Schema, names: FieldMap, cursor: str | None) -> Iterator[Page[Opportunity]]:
    """Pages of everything that changed since the cursor, deleted ones too, each as it is now.

    Raises `ConfigError` where the integration user may not read opportunities.
    """
    at = begin_pull(cursor, org)
    org.take_odd()
    try:
        yield from _pages(org, schema, names, at)
    except RequestRefused as error:
        if error.code not in HIDDEN:
            raise
        schema.forget()
        raise ConfigError(f"{UNREADABLE} ({error.code})") from error


def hidden_sentence(schema: Schema) -> str:
    """What keeps opportunities from being read; nothing where they can be."""
    if not schema.pullable(OBJECT):
        return UNREADABLE
    hidden = next((path for path in NEEDED if schema.resolve(OBJECT, path) is None), "")
    return f"the integration user cannot see {OBJECT}.{hidden}; give its permission set 'Read' on it" if hidden else ""


def value_path(names: FieldMap) -> str:
    """The field that says what an opportunity is worth."""
    return names.opportunity_value or AMOUNT


def opportunity_source(schema: Schema, names: FieldMap) -> Source:
    """What to read of opportunities; what becomes visible later causes a full read."""
    paths = readable_paths(schema, OBJECT, (*COLUMNS, value_path(names), *LOST_REASONS))
    columns = tuple(dict.fromkeys(paths.values()))
    mark = " ".join(each.object for each in LOOKUPS if is_readable(schema, each))
    return Source(OBJECT, OBJECT, columns, mark=mark, optional=frozenset(columns) - {*NEEDED, "IsDeleted"})


def outcome_sources(schema: Schema, names: FieldMap) -> list[Callable[[], Source]]:
    """What a pull reads, in order, as far as this user sees it."""
    makes: list[Callable[[], Source]] = [partial(opportunity_source, schema, names)]
    return [*makes, lambda: CHANGED_ROLES] if schema.pullable(ROLES.object) else makes


def _pages(org: Org, schema: Schema, names: FieldMap, at: Cursor) -> Iterator[Page[Opportunity]]:
    schema.learn(DESCRIBED)
    if sentence := hidden_sentence(schema):
        raise ConfigError(sentence)
    make = partial(opportunity_source, schema, names)
    ask_first_pages(org, schema, at, outcome_sources(schema, names))
    seen: set[str] = set()
    if OBJECT not in at.finished:
        for rows, behind in pull_pages(org, schema, make, at):
            found = read_opportunities(org, schema, names, rows)
            odd = org.take_odd()
            tell = bool(rows or odd or behind.job or at.job)  # that a job is given up, too
            at = behind
            # All roles were read with their opportunities where everything was.
            seen |= set() if at.whole else {str(row["Id"]) for row in rows}
            if tell:
                yield Page(found, at.spelled(), odd=odd)
    if schema.pullable(ROLES.object) and at.whole and ROLES.object not in at.done:
        at = after_stream(at, CHANGED_ROLES)
    elif schema.pullable(ROLES.object) and ROLES.object not in at.finished:
        for rows, behind in pull_pages(org, schema, lambda: CHANGED_ROLES, at):
            found = _of_roles(org, schema, names, [row for row in rows if row.get(ROLES.key) not in seen])
            odd = org.take_odd()
            tell = bool(found or odd or behind.job or at.job)
            at = behind
            if tell:
                yield Page(found, at.spelled(), odd=odd)
    yield Page((), after_all(at).spelled(), odd=org.take_odd(), left_out=refused_columns(schema, OBJECT))


def _of_roles(org: Org, schema: Schema, names: FieldMap, roles: Sequence[Row]) -> list[Opportunity]:
    """The opportunities of roles that changed, each as changed as its role."""
    stamps = {str(row[ROLES.key]): instant_of(row["SystemModstamp"]) or NEVER for row in roles if ROLES.key in row}
    rows, _gone = current_rows(org, schema, partial(opportunity_source, schema, names), list(stamps))
    found = read_opportunities(org, schema, names, rows)
    return [replace(each, changed_at=max(each.changed_at, stamps[each.ref.id])) for each in found]


def read_opportunities(org: Org, schema: Schema, names: FieldMap, rows: Sequence[Row]) -> list[Opportunity]:
    """The opportunities of a page, with their stages and people; the org remembers those that cannot be read."""
    found = [_gone(row) for row in rows if row.get("IsDeleted") is True]
    alive = [row for row in rows if row.get("IsDeleted") is not True]
    lacking = {str(row["Id"]): path for row in alive for path in NEEDED if path not in row}
    org.note_odd([Odd(f"{OBJECT} {id_}", f"without a {path}", _ref(id_)) for id_, path in lacking.items()])
    alive = [row for row in alive if str(row["Id"]) not in lacking]
    roles, history, leads = _look_up(org, schema, [str(row["Id"]) for row in alive])
    read = _Reader(schema, names)
    return found + [
        read.opportunity(row, roles.get(id_, ()), history.get(id_, ()), leads.get(id_, ()))
        for row in alive
        if (id_ := str(row["Id"]))
    ]


def _ref(id_: str) -> Ref:
    return Ref(CRM, KINDS[OBJECT], id_)


def _gone(row: Row) -> Opportunity:
    return Opportunity(_ref(str(row["Id"])), instant_of(row["SystemModstamp"]) or NEVER, gone=True)


def _look_up(org: Org, schema: Schema, ids: Sequence[str]) -> list[dict[str, list[Row]]]:
    """For each lookup its rows by opportunity, without what went out of sight since the last describe."""
    try:
        found = read_lookups(org, schema, LOOKUPS, ids)
    except RequestRefused as error:
        if error.code not in HIDDEN:
            raise
        schema.forget()
        found = read_lookups(org, schema, LOOKUPS, ids)
    grouped: list[dict[str, list[Row]]] = [{} for _ in LOOKUPS]
    for by_id, lookup, rows in zip(grouped, LOOKUPS, found, strict=True):
        for row in rows:
            by_id.setdefault(str(row[lookup.key]), []).append(row)
    return grouped


class _Reader:
    """Turns rows into opportunities, with the texts that people read in the place of values."""

    def __init__(self, schema: Schema, names: FieldMap) -> None:
        self._schema = schema
        self._value = schema.find(OBJECT, value_path(names))
        self._reason = next((each for path in LOST_REASONS if (each := schema.find(OBJECT, path))), None)

    def opportunity(self, row: Row, roles: Sequence[Row], history: Sequence[Row], leads: Sequence[Row]) -> Opportunity:
        stages = self._stages(history)
        state = opportunity_state(row)
        stage = self._text(row, "StageName")
        value = row.get(self._value[0]) if self._value else None
        return Opportunity(
            ref=_ref(str(row["Id"])),
            changed_at=instant_of(row["SystemModstamp"]) or NEVER,
            state=state,
            created_at=instant_of(row["CreatedDate"]),
            closed_at=None if state == "open" else closing_instant(row, stage, stages),
            records=_records(row, roles, leads),
            company=str(row.get("AccountId", "")),
            pipeline=str(row.get("RecordType.Name", "")),
            stage=stage,
            stages=stages,
            value=float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None,
            currency=str(row.get("CurrencyIsoCode", "")),
            owner=str(row.get("OwnerId", "")) or None,
            lost_reason=self._text(row, self._reason[0]) if self._reason else "",
            source=self._text(row, "LeadSource"),
            campaign=str(row.get("Campaign.Name", "")),
        )

    def _text(self, row: Row, path: str) -> str:
        value = row.get(path, "")
        return "; ".join(self._label(path, each) for each in (value if isinstance(value, tuple) else (str(value),)))

    def _label(self, path: str, value: str) -> str:
        known = self._schema.resolve(OBJECT, path)
        return known.labels.get(value, value) if known else value

    def _stages(self, history: Sequence[Row]) -> tuple[StageEntry, ...]:
        """The entries into stages by time; each amount and each date that was edited has a row of its own, too."""
        told = sorted(history, key=lambda row: (str(row["CreatedDate"]), str(row["Id"])))
        entries: list[StageEntry] = []
        for row in told:
            stage, at = self._label("StageName", str(row["StageName"])), instant_of(row["CreatedDate"])
            if at and (not entries or entries[-1].stage != stage):
                entries.append(StageEntry(stage, at))
        return tuple(entries)


def opportunity_state(row: Row) -> Literal["open", "won", "lost"]:
    """What Salesforce says of its present stage."""
    if row.get("IsClosed") is not True:
        return "open"
    return "won" if row.get("IsWon") is True else "lost"


def closing_instant(row: Row, stage: str, stages: Sequence[StageEntry]) -> datetime | None:
    """When a closed one came into its stage: by its history, else by `LastStageChangeDate`.

    Where there is neither, `CloseDate`, which somebody typed, if it lies between its creation and its last edit; else
    its creation. The last edit itself may be years later than the end.
    """
    entered = next((each.at for each in reversed(stages) if each.stage == stage), None)
    if known := entered or instant_of(row.get("LastStageChangeDate")) or (stages[-1].at if stages else None):
        return known
    created, typed, edited = (instant_of(row.get(path)) for path in ("CreatedDate", "CloseDate", "SystemModstamp"))
    return typed if created and typed and edited and created <= typed <= edited else created


def _records(row: Row, roles: Sequence[Row], leads: Sequence[Row]) -> tuple[Ref, ...]:
    """Contact roles, the primary one first; the contact it was made for; the leads that were converted into it."""
    ordered = sorted(roles, key=lambda role: (role.get("IsPrimary") is not True, str(role["ContactId"])))
    ids = [role["ContactId"] for role in ordered] + [row.get("ContactId")] + sorted(str(lead["Id"]) for lead in leads)
    return tuple(dict.fromkeys(ref for ref in map(person_ref, ids) if ref))
