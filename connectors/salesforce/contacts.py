"""Leads and contacts as crmsync sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from connectors.http import site_host
from connectors.salesforce.client import QUERIES_PER_COMPOSITE, Org
from connectors.salesforce.delete_log import named_as_deleted
from connectors.salesforce.errors import CRM
from connectors.salesforce.first_pages import ask_first_pages
from connectors.salesforce.left_out import refused_columns
from connectors.salesforce.owners import NO_TYPES, has_types
from connectors.salesforce.paging import (
    IN_LIST,
    Row,
    after_all,
    begin_pull,
    id_lists,
    pull_pages,
    query_columns,
    readable_rows,
)
from connectors.salesforce.refused_columns import ask_readable
from connectors.salesforce.schema import OBJECTS, Schema, instant_of, readable_paths
from connectors.salesforce.settings import Settings
from connectors.salesforce.source import Source
from crmsync.connector import FieldMap, plain_name
from crmsync.errors import ConfigError
from crmsync.model import Company, Contact, Page, Ref, Scalar

BASE = {
    "lead": (
        *("IsDeleted", "MasterRecordId", "Email", "Name", "OwnerId", "Company", "IsConverted", "ConvertedContactId"),
        "CreatedDate",
    ),
    "contact": (
        *("IsDeleted", "MasterRecordId", "Email", "Name", "OwnerId", "AccountId", "Account.SystemModstamp"),
        "CreatedDate",
    ),
}
"""What is read of every record, beside what the config maps."""

ACCOUNT = ("Account.Name", "Account.Website", "Account.OwnerId")

COMPANIES = {"lead": (), "contact": (*ACCOUNT, "IsPersonAccount")}
"""What is read beside it where somebody's account decides who gets them."""

NEVER = datetime.min.replace(tzinfo=UTC)


class RecordReader:
    """Turns rows of one kind into contacts. `unread` are the mapped fields that were not there to be read last time."""

    def __init__(self, kind: str, settings: Settings, names: FieldMap) -> None:
        self.kind = kind
        self.fields = FieldMap.spelled(names.fields, kind)
        self.score_fields = FieldMap.spelled(names.score_fields, kind)
        self.choices = {name: tuple(values) for name, values in names.choices.items() if name in self.fields}
        self.companies = names.companies
        self.unread: frozenset[str] = frozenset()
        self.stage_field = settings.stage_field.get("lead" if kind == "lead" else "contact", "")
        self.written_fields = {**self.score_fields, "stage": self.stage_field, "owner": "OwnerId"}
        self.stages = {value: name for name, value in FieldMap.spelled(names.stages, kind).items()}
        self._read: Mapping[str, str] = {}

    def hidden(self, schema: Schema) -> str:
        """What to say where this user does not see how people are matched; nothing where it does."""
        object_ = OBJECTS[self.kind]
        needed = ("Email", "AccountId") if self.companies and self.kind == "contact" else ("Email",)
        path = next((each for each in needed if schema.find(object_, each) is None), "")
        said = f"the integration user cannot see {object_}.{path}; give its permission set 'Read' on it"
        return said if path else ""

    def source(self, schema: Schema) -> Source:
        """What to read: only columns that exist, that this user sees, and that every API can read.

        Raises `ConfigError` where one is hidden that nothing can be known without: it would be taken for empty.
        """
        if sentence := self.hidden(schema):
            raise ConfigError(sentence)
        base = (*BASE[self.kind], *(COMPANIES[self.kind] if self.companies else ()))
        wanted = dict.fromkeys((*base, self.stage_field, *self.fields.values(), *self.score_fields.values()))
        self._read = readable_paths(schema, OBJECTS[self.kind], filter(None, wanted))
        self.unread = frozenset(name for name, path in self.fields.items() if path not in self._read)
        columns = tuple(dict.fromkeys(self._read.values()))
        needed = {self._read.get(path) for path in (*base, self.stage_field, *self.score_fields.values())}
        # Without it a change of the account seems to be no newer than the record.
        optional = frozenset(columns) - needed | {"Account.SystemModstamp"}
        return Source(OBJECTS[self.kind], OBJECTS[self.kind], columns, optional=optional)

    def left_out(self, schema: Schema) -> list[str]:
        """What queries of these records were refused for, a sentence for each."""
        names = {path.lower(): plain_name(name) for name, path in self.fields.items()}
        return [
            f"{each}; until then the last known values are used"
            for each in refused_columns(schema, OBJECTS[self.kind], names)
        ]

    def contact(self, row: Row) -> Contact:
        """One record. `changed_at` is the later of its own time and its account's, whose fields may be mapped."""
        stage = row.get(self._read.get(self.stage_field, ""))
        return Contact(
            ref=Ref(CRM, self.kind, str(row["Id"])),
            changed_at=_changed_at(row),
            emails=tuple(str(row[path]) for path in ("Email",) if path in row),
            fields=self._named(self.fields, row),
            unread=self.unread,
            stage=None if stage is None else self.stages.get(str(stage), str(stage)),
            owner=_text(row, "OwnerId") or None,
            current=self._named(self.score_fields, row),
            name=_text(row, "Name"),
            gone=row.get("IsDeleted") is True,
            merged_into=self._other(self.kind, row, "MasterRecordId"),
            converted_into=self._other("contact", row, "ConvertedContactId")
            if row.get("IsConverted") is True
            else None,
            group=_text(row, "AccountId") or _text(row, "Company"),
            company=_company(row) if self.companies else None,
            created_at=instant_of(row.get("CreatedDate")),
        )

    def _named(self, names: Mapping[str, str], row: Row) -> dict[str, Scalar]:
        spelled = {name: self._read.get(path, "") for name, path in names.items()}
        return {name: row[path] for name, path in spelled.items() if path in row}

    @staticmethod
    def _other(kind: str, row: Row, path: str) -> Ref | None:
        return Ref(CRM, kind, str(row[path])) if path in row else None


def _company(row: Row) -> Company | None:
    # A person account is no company: it has their own name.
    if "AccountId" not in row or row.get("IsPersonAccount") is True:
        return None
    name, website, owner = (_text(row, path) for path in ACCOUNT)
    return Company(_text(row, "AccountId"), name, site_host(website), owner)


def _text(row: Row, path: str) -> str:
    return str(row.get(path, ""))


def _changed_at(row: Row) -> datetime:
    own = instant_of(row.get("SystemModstamp")) or NEVER
    accounts = row.get("Account.SystemModstamp")
    return max(own, instant_of(accounts) or NEVER) if accounts else own


def readers_of(settings: Settings, names: FieldMap) -> dict[str, RecordReader]:
    """A reader for each kind."""
    return {kind: RecordReader(kind, settings, names) for kind in OBJECTS}


def streams_of(
    all_readers: Mapping[str, RecordReader], schema: Schema
) -> list[tuple[RecordReader, Callable[[], Source]]]:
    """What a pull reads, in order: leads, contacts, and the contacts of accounts that changed.

    An account's change does not touch its contacts, so that where something of accounts is read they are read for it.
    Raises `ConfigError` where the integration user does not see leads or contacts at all.
    """
    schema.learn([*OBJECTS.values(), "Account"])
    each: list[tuple[RecordReader, Callable[[], Source]]] = []
    for kind, reader in all_readers.items():
        if not schema.pullable(OBJECTS[kind]):
            raise ConfigError(
                f"the integration user cannot read {OBJECTS[kind]} records; give its permission set 'Read' and "
                f"'View All Records' on {OBJECTS[kind]}"
            )
        each.append((reader, partial(reader.source, schema)))
    contact = all_readers["contact"]
    of_account = contact.companies or any(path.startswith("Account.") for path in contact.fields.values())
    if of_account and schema.of("Account"):
        each.append((contact, lambda: by_account(contact.source(schema))))
    return each


def by_account(source: Source) -> Source:
    """The same columns of the contacts whose account changed."""
    columns = ("SystemModstamp", *source.columns)
    return replace(source, stream="ContactByAccount", columns=columns, order=("Id",), parent=("AccountId", "Account"))


def pull_contacts(
    org: Org, schema: Schema, all_readers: Mapping[str, RecordReader], cursor: str | None
) -> Iterator[Page[Contact]]:
    """Pages of everything that changed since the cursor, the deleted, merged and converted ones too."""
    at = begin_pull(cursor, org)
    org.take_odd()
    streams = streams_of(all_readers, schema)
    ask_first_pages(org, schema, at, [make for _, make in streams])
    for reader, make in streams:
        if make().stream in at.finished:
            continue
        for rows, behind in pull_pages(org, schema, make, at):
            odd = org.take_odd()
            tell = bool(rows or odd or behind.job or at.job)  # that a job is given up, too
            at = behind
            if tell:
                yield Page([reader.contact(row) for row in rows], at.spelled(), odd=odd)
    left_out = [each for reader in all_readers.values() for each in reader.left_out(schema)]
    left_out += [] if has_types(schema) else [NO_TYPES]
    yield Page((), after_all(at).spelled(), odd=org.take_odd(), left_out=left_out)


def read_records(
    org: Org, schema: Schema, all_readers: Mapping[str, RecordReader], refs: Sequence[Ref]
) -> Iterator[Contact]:
    """The records as they are now, in no particular order.

    One that Salesforce neither shows nor names as deleted is `unseen`.
    """
    for kind, reader in all_readers.items():
        ids = list(dict.fromkeys(ref.id for ref in refs if ref.kind == kind))
        for start in range(0, len(ids), IN_LIST * QUERIES_PER_COMPOSITE):
            some = ids[start : start + IN_LIST * QUERIES_PER_COMPOSITE]
            rows, gone = current_rows(org, schema, partial(reader.source, schema), some)
            yield from map(reader.contact, rows)
            named = named_as_deleted(org, OBJECTS[kind], gone)
            for each in gone:
                yield Contact(Ref(CRM, kind, each), NEVER, gone=True, erased=True, unseen=each not in named)


def current_rows(
    org: Org, schema: Schema, make: Callable[[], Source], ids: Sequence[str]
) -> tuple[list[Row], list[str]]:
    """The rows with these ids, without the columns that cannot be read, and the ids that are gone."""
    return ask_readable(schema, make, lambda source: rows_by_id(org, schema, source, ids))


def rows_by_id(org: Org, schema: Schema, source: Source, ids: Sequence[str]) -> tuple[list[Row], list[str]]:
    """The rows with these ids, deleted ones too, and the ids that there are none for.

    An id whose row cannot be read is in neither; nor is any that did not come beside a row that hides its own.
    """
    columns = query_columns(source, schema)
    names = ", ".join(column.path for column in columns)
    queries = [f"SELECT {names} FROM {source.object} WHERE Id IN {some}" for some in id_lists(ids)]
    # Put aside, so that only what is odd of these ids is judged below.
    before = org.take_odd()
    rows = readable_rows(org, source, columns, org.many_rows(queries))
    odd = org.take_odd()
    org.note_odd([*before, *odd])
    found = {str(row["Id"]) for row in rows} | {each.ref.id for each in odd if each.ref}
    nameless = any(each.ref is None for each in odd)
    return rows, [] if nameless else [each for each in ids if each not in found]
