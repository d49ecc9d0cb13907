"""The Salesforce connector: the verbs of `crmsync.connector.Connector`, for leads and contacts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from math import ceil
from typing import TypeVar

from connectors.salesforce import activities, bulk, contacts, outcomes, owners, setup
from connectors.salesforce.check import check
from connectors.salesforce.client import Org
from connectors.salesforce.described_fields import describe_fields
from connectors.salesforce.errors import CRM, HIDDEN, RequestRefused, is_id, unreadable
from connectors.salesforce.first_pages import expected_queries
from connectors.salesforce.memberships import read_campaign_members
from connectors.salesforce.missing_fields import missing_fields
from connectors.salesforce.paging import instant_literal
from connectors.salesforce.past_fields import pull_past_fields
from connectors.salesforce.schema import OBJECTS, NotDescribed, Schema
from connectors.salesforce.settings import Settings
from connectors.salesforce.source import Source
from connectors.salesforce.tasks import LoggedTasks
from connectors.salesforce.writer import COLLECTION, Writer
from crmsync.connector import (
    Checkup,
    DescribedField,
    FieldMap,
    ListMembers,
    MissingField,
    Narrow,
    Notes,
    PastFields,
    ReadBack,
    Stop,
)
from crmsync.errors import ConfigError
from crmsync.model import Activity, Change, Contact, Opportunity, Owner, Page, Receipt, Ref, Task, TaskReceipt

T = TypeVar("T")

ORG_ID = "00D"
"""What the id of every org begins with."""


class SalesforceConnector:
    """One org. See `crmsync.connector.Connector` for what each method promises."""

    name = CRM

    def __init__(self, settings: Settings, names: FieldMap, notes: Notes, stop: Stop) -> None:
        self._names, self._notes = names, notes
        self._org = Org(settings, stop)
        self._schema = Schema(self._org)
        self._readers = contacts.readers_of(settings, names)
        self._tasks = LoggedTasks(self._org, self._schema)
        self._account = ""
        self._ends: dict[str, str] = {}

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, retries and log-ins included."""
        return self._org.calls

    @property
    def api_used(self) -> float | None:
        """How much of the calls of 24 hours is used, by the latest answer."""
        return self._org.api_used

    @property
    def api_left(self) -> int | None:
        """How many of the calls of 24 hours are left, by the latest answer."""
        return self._org.api_left

    def account(self) -> str:
        """The org's 18-character id."""
        if not self._account:
            try:
                rows = self._org.rows("SELECT Id FROM Organization LIMIT 1")
            except RequestRefused as error:
                if error.code not in HIDDEN:
                    raise
                # Not first, because a log-in may name nobody, and the state goes by what was asked here before.
                rows = [{"Id": each} for each in self._org.identity().split("/") if each.startswith(ORG_ID)]
            if not rows or not is_id(rows[0].get("Id")):
                raise unreadable("the org's id")
            self._account = str(rows[0]["Id"])
        return self._account

    def clock(self) -> datetime | None:
        """Salesforce's clock, by its latest answer."""
        return self._org.told_time()

    def check(self) -> Checkup:
        """Log-in, fields, stages, sharing, activities and limits."""
        return check(self._org, self._schema, self._readers, self._names, self.account)

    def contacts(self, cursor: str | None) -> Iterator[Page[Contact]]:
        """Leads and contacts, and the contacts of accounts that changed."""
        return self._noting("contacts", contacts.pull_contacts(self._org, self._schema, self._readers, cursor))

    def activities(self, cursor: str | None) -> Iterator[Page[Activity]]:
        """What `[[salesforce.activities]]` makes of tasks, events, e-mails and campaign members."""
        feeds, ours, shared = self._org.settings.activities, self._names.tasks, self._names.shared_ids
        pages = activities.pull_activities(self._org, self._schema, feeds, cursor, no_own_tasks=ours, shared_ids=shared)
        return self._noting("activities", pages)

    def outcomes(self, cursor: str | None) -> Iterator[Page[Opportunity]]:
        """Opportunities, and those whose contact roles changed."""
        return self._noting("outcomes", outcomes.pull_opportunities(self._org, self._schema, self._names, cursor))

    def past_fields(self, refs: Sequence[Ref]) -> Iterator[PastFields]:
        """What the field history of leads and contacts has, for fields for which an admin switched it on."""
        return pull_past_fields(self._org, self._schema, self._readers, refs)

    def owners(self) -> Sequence[Owner]:
        """Users, and the queues of leads."""
        return owners.list_owners(self._org, self._schema)

    def list_members(self, known: Mapping[str, str]) -> Iterator[ListMembers]:
        """Who is in campaigns."""
        return read_campaign_members(self._org, known)

    def read(self, refs: Sequence[Ref]) -> Iterator[Contact]:
        """The records as the database has them now."""
        bulk.await_earlier_jobs(self._org, self._notes)
        return contacts.read_records(self._org, self._schema, self._readers, refs)

    def write(self, changes: Sequence[Change], narrow: Narrow = list) -> Iterator[Receipt]:
        """Update by id."""
        writer = Writer(self._org, self._schema, self._readers, self.owners, self._notes, narrow)
        bulk.await_earlier_jobs(self._org, self._notes)
        return writer.write(changes)

    def estimate_writes(self, records: Mapping[str, int]) -> int:
        """A call for each collection of two hundred of a kind; a bulk job takes fewer."""
        return sum(ceil(each / COLLECTION) for each in records.values())

    def read_back(self, changes: Sequence[Change]) -> Iterator[ReadBack]:
        """The records alone: Salesforce keeps a history only of fields for which an admin has it tracked."""
        return map(ReadBack, self.read([each.ref for each in changes]))

    def create_tasks(self, tasks: Sequence[Task]) -> Iterator[TaskReceipt]:
        """Create the tasks whose keys no task in Salesforce has."""
        return self._tasks.create(tasks)

    def close_tasks(self, keys: Sequence[str]) -> Iterator[TaskReceipt]:
        """Give the open tasks with these keys a closed status."""
        return self._tasks.close(keys)

    def missing_fields(self) -> Sequence[MissingField]:
        """Mapped fields, score fields and stages that are not there or not shown, as of now."""
        tasks = self._names.tasks
        more = [*(["Task"] if tasks else []), *(outcomes.DESCRIBED if self._names.outcomes else [])]
        self._schema.confirm([*OBJECTS.values(), "Account", owners.USER, *more], self._expected_queries())
        return missing_fields(self._schema, self._readers, tasks=tasks)

    def _noting(self, pull: str, pages: Iterator[Page[T]]) -> Iterator[Page[T]]:
        """The same pages; the last cursor is where the next pull will begin."""
        for page in pages:
            self._ends[pull] = page.cursor
            yield page

    def _expected_queries(self) -> list[str]:
        """What a run that begins now will ask first, by what the last one asked; nothing of it in the first run.

        Where the run begins at other cursors or meets other fields, it asks something else, and that by itself.
        """
        if not self._ends:
            return []
        schema, feeds, names = self._schema, self._org.settings.activities, self._names
        asked = {"no_own_tasks": names.tasks, "shared_ids": names.shared_ids}
        # Of an object that is out of sight whoever reads it speaks.
        with schema.believed(), suppress(ConfigError, NotDescribed):
            makes: dict[str, list[Callable[[], Source]]] = {
                "contacts": [make for _, make in contacts.streams_of(self._readers, schema)],
                "activities": [make for _, make in activities.activity_sources(schema, feeds, **asked).values()],
                "outcomes": outcomes.outcome_sources(schema, self._names) if "outcomes" in self._ends else [],
            }
            until = instant_literal(self._org.now())
            queries = [
                each for pull, at in self._ends.items() for each in expected_queries(at, until, makes[pull], schema)
            ]
            self._org.ahead.expect(self._ends.values(), until)
            return [*queries, *self._org.ahead.take_standing()]
        return []

    def describe_fields(self) -> Sequence[DescribedField]:
        """The fields of leads and contacts, and those of accounts on the way from a contact."""
        return list(describe_fields(self._schema))

    def stage_order(self) -> Mapping[str, Sequence[str]]:
        """The active values of each stage field in the order of its picklist."""
        self._schema.learn(OBJECTS.values())
        found = {
            kind: self._schema.of(OBJECTS[kind]).get(reader.stage_field.lower())
            for kind, reader in self._readers.items()
        }
        return {
            kind: field.options for kind, field in found.items() if field and field.options and field.type == "picklist"
        }

    def read_only_fields(self) -> Mapping[str, Collection[str]]:
        """The fields of ours, the stage and the owner, as far as describe says that they cannot be updated."""
        self._schema.learn(OBJECTS.values())
        return {
            kind: {
                name
                for name, api in reader.written_fields.items()
                if (known := self._schema.of(OBJECTS[kind]).get(api.lower())) is not None and not known.writable
            }
            for kind, reader in self._readers.items()
        }

    def create_fields(self) -> Sequence[str]:
        """Create and show the fields of ours."""
        return list(setup.create_fields(self._org, self._schema, self._readers, self._names))

    def close(self) -> None:
        """Close the connections."""
        self._org.close()
