"""The HubSpot connector: the Connector protocol over the pieces beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from math import ceil

from connectors.hubspot.activities import ActivityStream
from connectors.hubspot.backward_stages import Moves
from connectors.hubspot.batch_read import BATCH, cut_into_batches
from connectors.hubspot.bulk_import import await_earlier_import
from connectors.hubspot.check import check
from connectors.hubspot.client import Api
from connectors.hubspot.contacts import Contacts
from connectors.hubspot.described_properties import describe_properties
from connectors.hubspot.errors import CRM, KIND
from connectors.hubspot.history import list_edits, read_histories
from connectors.hubspot.lead_scores import list_lead_scores, read_lead_score
from connectors.hubspot.mapping import COUNTS, OWNER, STAGE, Reading, name_stages, plan_reading
from connectors.hubspot.memberships import read_list_members
from connectors.hubspot.missing_fields import missing_fields
from connectors.hubspot.outcomes import Outcomes
from connectors.hubspot.past_fields import read_past_fields
from connectors.hubspot.properties import to_millis
from connectors.hubspot.schema import Portal
from connectors.hubspot.settings import Settings
from connectors.hubspot.setup import create_fields
from connectors.hubspot.tasks import OwnerTasks
from connectors.hubspot.webhook_queue import Hints
from connectors.hubspot.writer import PERSONAL, Writer
from crmsync.connector import (
    Checkup,
    DescribedField,
    FieldEdit,
    FieldMap,
    LeadScore,
    ListMembers,
    MissingField,
    Narrow,
    Notes,
    PastFields,
    ReadBack,
    ScoreSummary,
    Stop,
)
from crmsync.errors import ConfigError
from crmsync.model import Activity, Change, Contact, Opportunity, Owner, Page, Receipt, Ref, Task, TaskReceipt

READ_AT_ONCE = 1_000
"""Records that are read together, so that their companies are too."""

MOST_CHANGED = 10_000
"""Changed contacts of a run that are remembered until its activities are read."""


class HubSpot:
    """One portal."""

    name = CRM

    def __init__(self, settings: Settings, names: FieldMap, notes: Notes, stop: Stop) -> None:
        self._names, self._counting = names, settings.counters
        self._api = Api(settings, notes, stop)
        self._portal = Portal(self._api)
        self._webhooks = settings.webhooks
        self._hints = Hints(FieldMap.spelled(names.score_fields, KIND).values())
        self._contacts = Contacts(self._api, self._portal, notes, self._reading, self._hints)
        self._activities = ActivityStream(self._api, self._portal, notes, names)
        self._outcomes = Outcomes(self._api, self._portal, names.opportunity_value)
        self._tasks = OwnerTasks(self._api, self._portal)
        self._moves, self._notes = Moves(self._api, notes), notes
        self._writer = Writer(self._api, self._portal, names, self._moves, notes)
        self._is_lacking = False

    @property
    def calls(self) -> int:
        """HTTP requests sent so far, retries included."""
        return self._api.calls

    @property
    def api_used(self) -> float | None:
        """How much of the day's calls is used, by whatever was last said of it."""
        return self._api.api_used

    @property
    def api_left(self) -> int | None:
        """How many of the day's calls are left, by whatever was last said of it."""
        return self._api.api_left

    def account(self) -> str:
        """The portal's id."""
        self._hints.portal = self._portal.confirm_account()
        return self._hints.portal

    def clock(self) -> datetime | None:
        """HubSpot's clock, by its latest answer."""
        return self._api.clock()

    def check(self) -> Checkup:
        """Everything an admin should know before a run."""
        return check(self._api, self._portal, self._activities, self._outcomes, self._names)

    def contacts(self, cursor: str | None) -> Iterator[Page[Contact]]:
        """Contacts changed since the cursor; all of them when there is none."""
        changed, self._activities.changed = set[str](), None
        self._activities.asked_at = to_millis(self._api.server_time)
        for page in self._contacts.since(cursor):
            if page.items or page.odd:
                # Whatever happens to a contact changes it: an activity moves its `lastmodifieddate`, too.
                self._activities.is_up_to_date = False
            if len(changed) < MOST_CHANGED:
                changed |= {each.ref.id for each in page.items}
            yield page
        if cursor is not None and len(changed) < MOST_CHANGED:
            self._activities.changed = changed
        self._activities.may_rest = True

    def activities(self, cursor: str | None) -> Iterator[Page[Activity]]:
        """Activities that are new or changed since the cursor; all of them when there is none."""
        return self._activities.since(cursor)

    def outcomes(self, cursor: str | None) -> Iterator[Page[Opportunity]]:
        """Deals that are new or changed since the cursor; all of them when there is none."""
        return self._outcomes.since(cursor)

    def owners(self) -> Sequence[Owner]:
        """Everybody records can belong to, deactivated users too."""
        return self._portal.owners()

    def list_members(self, known: Mapping[str, str]) -> Iterator[ListMembers]:
        """Who is on lists of contacts."""
        return read_list_members(self._api, known)

    def read(self, refs: Sequence[Ref]) -> Iterator[Contact]:
        """The records as they are now; an id that a merge retired brings the record that took its place."""
        await_earlier_import(self._api, self._notes)
        self._moves.finish()
        how = self._reading()
        ids = list(dict.fromkeys(ref.id for ref in refs))
        for some in cut_into_batches(ids, READ_AT_ONCE):
            yield from self._contacts.by_id(how, some)

    def write(self, changes: Sequence[Change], narrow: Narrow = list) -> Iterator[Receipt]:
        """Write, and say for each change what became of it."""
        return self._writer.write(changes, narrow)

    def estimate_writes(self, records: Mapping[str, int]) -> int:
        """A call for each batch of a hundred."""
        return sum(ceil(each / BATCH) for each in records.values())

    def read_back(self, changes: Sequence[Change]) -> Iterator[ReadBack]:
        """The records; those whose stage or owner was written with the history of both, in one call for fifty."""
        await_earlier_import(self._api, self._notes)
        self._moves.finish()
        how, left = self._reading(), {each.ref.id: each for each in changes}
        moved = {each.ref.id: each for each in changes if PERSONAL.keys() & each.after.keys()}
        asked = [prop for name, prop in PERSONAL.items() if any(name in each.after for each in moved.values())]
        for some in cut_into_batches(list(moved), READ_AT_ONCE):
            found = read_histories(self._api, asked, some, shown=how.properties)
            records = {each["id"]: each for each in found if each["id"] in left}
            for contact in self._contacts.typed(list(records.values()), how):
                record_id = contact.ref.id
                yield ReadBack(contact, self._writer.replaced(left.pop(record_id), records[record_id]))
        # Also those of which HubSpot gives no history, and what was merged or deleted since.
        yield from map(ReadBack, self.read([each.ref for each in left.values()]) if left else ())

    def field_edits(self, refs: Sequence[Ref]) -> Iterator[FieldEdit]:
        """Who set the stage and owner of these contacts, by the history of the properties."""
        users, stages = self._portal.users(), name_stages(self._names)
        for record in read_histories(self._api, [STAGE, OWNER], [ref.id for ref in refs]):
            yield from list_edits(record, {STAGE: "stage", OWNER: "owner"}, users, stages)

    def past_fields(self, refs: Sequence[Ref]) -> Iterator[PastFields]:
        """The former values of the mapped properties of these contacts; those of companies have no history here."""
        return read_past_fields(self._api, self._reading().contact, [ref.id for ref in refs])

    def create_tasks(self, tasks: Sequence[Task]) -> Iterator[TaskReceipt]:
        """Create the tasks whose keys HubSpot does not know."""
        return self._tasks.create(tasks)

    def close_tasks(self, keys: Sequence[str]) -> Iterator[TaskReceipt]:
        """Complete the open tasks with these keys."""
        return self._tasks.close(keys)

    def list_lead_scores(self) -> Sequence[ScoreSummary]:
        """HubSpot's own lead scores."""
        return list_lead_scores(self._api)

    def read_lead_score(self, score_id: str) -> LeadScore | None:
        """One of them with its rules."""
        return read_lead_score(self._api, self._portal, score_id)

    def missing_fields(self) -> Sequence[MissingField]:
        """The mapped properties that the portal does not have or does not show."""
        if self._is_lacking:
            # What was missing may be there by now.
            self._portal.forget()
        found = list(missing_fields(self._portal, self._names))
        self._is_lacking = bool(found)
        return found

    def describe_fields(self) -> Sequence[DescribedField]:
        """The properties of contacts and of their companies."""
        return list(describe_properties(self._portal))

    def stage_order(self) -> Mapping[str, Sequence[str]]:
        """The values of the lifecycle stage as this portal orders them, the admin's own among them."""
        stages = self._portal.stages()
        return {KIND: stages} if stages else {}

    def read_only_fields(self) -> Mapping[str, Collection[str]]:
        """The properties of ours and the stage, as far as the portal's definitions say that they are read-only."""
        known = self._portal.definitions("contacts")
        spelled = {**FieldMap.spelled(self._names.score_fields, KIND), "stage": STAGE}
        return {KIND: {name for name, prop in spelled.items() if prop in known and not known[prop].writable}}

    def create_fields(self) -> Sequence[str]:
        """Create the properties of ours that are missing."""
        return list(create_fields(self._api, self._portal, self._names))

    def receiving(self, wake: Callable[[], object]) -> AbstractContextManager[None]:
        """Listen for HubSpot's webhooks where the config asks for that. Raises `ConfigError` for a port in use."""
        if self._webhooks is None:
            return nullcontext()
        from connectors.hubspot.webhooks import receive  # a web server, which most commands do not need

        return receive(self._webhooks, self._hints, wake)

    def close(self) -> None:
        """Give connections back."""
        self._api.close()

    def _reading(self) -> Reading:
        wanted = {each.kind for each in COUNTS} - self._activities.working_kinds() if self._counting else set()
        return plan_reading(
            self._names, self._portal.definitions("contacts"), lambda: self._portal.definitions("companies"), wanted
        )


def connect(settings: Settings, names: FieldMap, notes: Notes, stop: Stop) -> HubSpot:
    """A connector for the portal that the credentials belong to. Raises `ConfigError` when there are none."""
    if settings.token is None and settings.refresh_token is None:
        raise ConfigError(
            "HubSpot needs a token: create a service key in HubSpot under Development → Keys → Service keys and set "
            "the environment variable CRMSYNC_HUBSPOT__TOKEN"
        )
    if settings.webhooks is not None and not settings.webhooks.secret():
        raise ConfigError(
            "HubSpot's webhooks need the client secret of the app that sends them: set the environment variable "
            "CRMSYNC_HUBSPOT__WEBHOOKS__CLIENT_SECRET, or remove [hubspot.webhooks]"
        )
    return HubSpot(settings, names, notes, stop)
