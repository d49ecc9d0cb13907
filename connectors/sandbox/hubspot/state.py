"""Everything one HubSpot portal holds, and the rules by which a contact changes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from connectors.sandbox.digits import is_count
from connectors.sandbox.hubspot.catalog import ENGAGEMENTS, TYPES, object_type
from connectors.sandbox.hubspot.deal_stages import DEFAULT_PIPELINE, DealPipeline, follow_stage
from connectors.sandbox.hubspot.links import Links, LinkType, Pair
from connectors.sandbox.hubspot.records import RecordTable, Seen, StoredRecord, write_properties
from connectors.sandbox.hubspot.schema import Problem
from connectors.sandbox.hubspot.tracking import Tracking
from connectors.sandbox.hubspot.wire import HubspotRefusal, Json, bad_request, error, iso

TOKEN = "sandbox-token"
REFRESH = "sandbox-refresh"
PORTAL_ID = 48_000_001
_APP_ID = 19_000_001
_BIN_LIFE = 90 * 86_400_000
CLIENT = "INTEGRATION"
"""What HubSpot calls the source of a value that came through the API."""
# Calls in 10 seconds for each key, and in a day for all keys of the account (usage guidelines, 2026).
_LIMITS = {
    "free": (100, 250_000),
    "starter": (100, 250_000),
    "professional": (190, 625_000),
    "enterprise": (190, 1_000_000),
}
_FIRST_IDS = {name: 100_000_000_000 * (order + 1) + 17 for order, name in enumerate(TYPES)}
_LOW_FIRST_ID = 51
"""Old portals still have contacts with short ids; the ids of this one grow from two digits to twelve."""


Tier = Literal["free", "starter", "professional", "enterprise"]


@dataclass
class PortalSwitches:
    """How this portal behaves where portals differ, where nobody could verify it, and where things go wrong.

    `scopes` is `None` for a token that has all. `partial_failures` says whether the 2026-09 batch endpoints answer 207
    (`multi_status`) or 200 (`ok`). `traced_updates` makes a validation failure spare the other inputs of a batch update
    whose inputs all carry an `objectWriteTraceId`. `unique_conflicts` is how a value that another record has is refused
    in a unique property of the admin's: as an invalid value (400) or as a conflict (409), as an address always is.
    `merged_pair` is what becomes of two inputs that are one record now. `required` are the admin's conditional rules of
    2026-09: `{"property", "equals", "requires"}`. `retry_after` is sent with a 429: seconds, or a date as HTTP writes
    it. `index_lag` is in seconds. `retired` are versions of the API that answer 404 (`v3`, `2026-03`). `lost_writes` of
    each batch update are neither done nor told of, under a 200. `workflows` set properties after a client set one:
    `{"when": property, "set": {property: value}}`. `job_polls` is how often an export or import is not done yet.
    `list_moves` is whether a list says when somebody last joined and left it. `deal_links` is whether a deal counts as
    modified when it is associated with a contact or company. `versions` is how many values of a property are kept.
    `failed_reads` are ids with how many batch reads of a record, or of what is associated with it, fail for it alone.
    """

    tier: Tier = "enterprise"
    scopes: list[str] | None = None
    partial_failures: Literal["multi_status", "ok"] = "multi_status"
    traced_updates: bool = False
    merged_pair: Literal["refused", "accepted"] = "refused"
    backward_stages: Literal["ignored", "accepted"] = "ignored"
    unknown_owner: Literal["refused", "accepted"] = "refused"
    unique_conflicts: Literal["invalid", "conflict"] = "invalid"
    unknown_id: Literal["html", "json"] = "html"
    id_order: Literal["number", "text"] = "number"
    retired: list[str] = field(default_factory=list)
    lost_writes: int = 0
    workflows: list[dict[str, Any]] = field(default_factory=list)
    index_lag: float = 0.0
    association_page: int = 500
    required: list[dict[str, str]] = field(default_factory=list)
    rotate_refresh_tokens: bool = True
    legacy_oauth: Literal["answers", "gone"] = "answers"
    time_zone: str = "Europe/Berlin"
    rate_limits: bool = False
    burst: int = 190
    searches: int = 5
    search_body: int = 3_000
    daily: int = 1_000_000
    daily_used: int = 0
    retry_after: int | str | None = None
    job_polls: int = 2
    export_times: Literal["iso", "milliseconds"] = "iso"
    empty_cells: Literal["ignored", "clear"] = "ignored"
    list_moves: Literal["told", "untold"] = "told"
    deal_links: Literal["silent", "modify"] = "silent"
    versions: int = 45
    call_outcomes: dict[str, str] = field(default_factory=dict)
    failed_reads: dict[str, int] = field(default_factory=dict)


@dataclass
class Gate:
    """The tokens that are out, and the calls of late. Times are epoch milliseconds."""

    expires: dict[str, int | None] = field(default_factory=lambda: {TOKEN: None})
    refresh: set[str] = field(default_factory=lambda: {REFRESH})
    calls: deque[int] = field(default_factory=deque)
    searches: deque[int] = field(default_factory=deque)
    resets_at: int = 0
    issued: int = 0


def switches_of(tier: Tier, rate_limits: bool) -> PortalSwitches:
    """The switches of a portal with this subscription (free, starter, professional or enterprise)."""
    burst, daily = _LIMITS[tier]
    return PortalSwitches(tier=tier, rate_limits=rate_limits, burst=burst, daily=daily)


class PortalOwner(NamedTuple):
    """Somebody records can belong to."""

    id: int
    user_id: int
    email: str
    first: str
    last: str
    created: int
    archived: bool = False


@dataclass
class ExportJob:
    """An export that somebody asked for; `content` is empty until it is made."""

    id: str
    wanted: Json
    asked_at: int
    polls_left: int
    content: bytes = b""


@dataclass
class MemberList:
    """A list: `members` has for each record when it joined; times are epoch milliseconds, 0 for never."""

    id: str
    name: str
    type: str
    created: int
    status: str = "COMPLETE"
    members: dict[int, int] = field(default_factory=dict)
    added_at: int = 0
    removed_at: int = 0


class BadCell(NamedTuple):
    """What an import did not take."""

    line: int
    code: str
    value: str
    message: str


@dataclass
class Import:
    """An import that somebody asked for; its rows are written when it is done."""

    id: str
    wanted: Json
    rows: list[dict[str, str]]
    asked_at: int
    polls_left: int
    state: str = "STARTED"
    counters: Counter[str] = field(default_factory=Counter)
    errors: list[BadCell] = field(default_factory=list)


class PortalState:
    """One portal."""

    def __init__(self, switches: PortalSwitches) -> None:
        self.switches = switches
        self.gate = Gate()
        self.portal_id = PORTAL_ID
        self.records = {name: RecordTable(each, _FIRST_IDS[name]) for name, each in TYPES.items()}
        self.contacts.next_id = _LOW_FIRST_ID
        self.links = Links()
        self.tracking = Tracking()
        self.owners: dict[int, PortalOwner] = {}
        self.locked: dict[int, int] = {}
        self.exports: dict[str, ExportJob] = {}
        self.downloads: dict[str, tuple[str, int]] = {}
        self.links_given = 0
        self.imports: dict[str, Import] = {}
        self.lists: dict[str, MemberList] = {}
        self.lead_scores: dict[int, Json] = {}
        self.deal_pipelines: dict[str, DealPipeline] = {DEFAULT_PIPELINE.id: DEFAULT_PIPELINE}

    @property
    def contacts(self) -> RecordTable:
        """The contacts."""
        return self.records["contacts"]

    def make(
        self, type_name: str, values: Mapping[str, str], at: int, source: str, updated: int | None = None
    ) -> StoredRecord:
        """Make a record with everything HubSpot adds by itself."""
        records = self.records[type_name]
        properties = {name: value for name, value in values.items() if value}
        properties.setdefault("hs_object_source", source)
        properties.setdefault("hs_object_source_label", source)
        if source == CLIENT:
            properties.setdefault("hs_object_source_id", str(_APP_ID))
        if type_name == "contacts":
            _complete(properties, records.next_id, at)
        if type_name == "deals":
            properties = self._follow_stage("", properties, at) | properties
        record = records.add(properties, at, updated or at, source)
        if type_name == "contacts" and record.id < 1_000:
            _spread_ids(records)
        return record

    def change(
        self,
        type_name: str,
        record: StoredRecord,
        values: Mapping[str, str],
        at: int,
        source: str = "CRM_UI",
        source_id: str = "",
    ) -> bool:
        """Set properties as a person or a client does, and what follows from them; says whether anything changed."""
        records = self.records[type_name]
        self.remember(record, at)
        wanted = self._settled(type_name, record, values)
        if wanted.keys() & records.unique.keys():
            records.unindex(record)
        values_set = wanted | self._consequences(type_name, record, wanted, at)
        changed = write_properties(record, values_set, at, source, source_id or str(self.portal_id))
        if wanted.keys() & records.unique.keys():
            records.index(record)
        if changed:
            records.stamp(record, at)
        if source == CLIENT:
            self._run_workflows(type_name, record, values, at)
        return changed

    def _run_workflows(self, type_name: str, record: StoredRecord, values: Mapping[str, str], at: int) -> None:
        """What the portal's own automation does when a client set something."""
        for each in self.switches.workflows:
            if each["when"] in values:
                self.change(type_name, record, each["set"], at, "AUTOMATION_PLATFORM")

    def purge(self, records: RecordTable, at: int) -> None:
        """Remove what has been in the recycle bin for 90 days."""
        for record in [records.by_id[number] for number in records.archived]:
            if record.archived_at is not None and at - record.archived_at >= _BIN_LIFE:
                self.links.forget(records.kind.name, record.id)
                records.forget(record)

    def link(self, pair: Pair, one: int, other: int, at: int, main: bool = False) -> None:
        """Link two records as a person or a client does: an activity or a new main company modifies the contact."""
        if main and pair[1] == "companies":
            self.links.demote(pair, one)
        self.links.add(pair, one, other, main)
        if "deals" in pair:
            self._count_deals(pair, one, other, at)
        if "contacts" not in pair:
            return
        contact = self.contacts.by_id[one if pair[0] == "contacts" else other]
        if set(pair) & ENGAGEMENTS:
            self.touch(contact, {"notes_last_updated": iso(at)}, at)
        elif main and pair[1] == "companies":
            self.touch(contact, {"associatedcompanyid": str(other)}, at)

    def _count_deals(self, pair: Pair, one: int, other: int, at: int) -> None:
        """What an association with a deal changes: the deals of a contact, and perhaps the deal."""
        numbers = dict(zip(pair, (one, other), strict=True))
        if contact := numbers.get("contacts"):
            deals = len(self.links.of(("contacts", "deals"), contact))
            self.touch(self.contacts.by_id[contact], {"num_associated_deals": str(deals)}, at)
        if self.switches.deal_links == "modify":
            records = self.records["deals"]
            self.remember(records.by_id[numbers["deals"]], at)
            records.stamp(records.by_id[numbers["deals"]], at)

    def linked(self, pair: Pair, number: int) -> list[tuple[int, tuple[LinkType, ...]]]:
        """What a record is linked with, archived records left out."""
        others = self.records[pair[1]].by_id
        return [each for each in self.links.of(pair, number).items() if others[each[0]].archived_at is None]

    def remember(self, record: StoredRecord, at: int) -> None:
        """Keep what the search index shows of a record until it has caught up with the change that is coming."""
        lag = int(self.switches.index_lag * 1000)
        if not lag:
            record.before = None
        elif record.before is None or record.updated <= at - lag:
            record.before = Seen(dict(record.properties), record.updated)

    def _settled(self, type_name: str, record: StoredRecord, values: Mapping[str, str]) -> dict[str, str]:
        """The values without those that HubSpot takes and silently ignores."""
        wanted = dict(values)
        stage = wanted.get("lifecyclestage")
        if stage and self.switches.backward_stages == "ignored":
            order = self.stage_order(type_name)
            if order.get(stage, 0) < order.get(record.properties.get("lifecyclestage", ""), -1):
                del wanted["lifecyclestage"]
        return wanted

    def stage_order(self, type_name: str) -> dict[str, int]:
        """Each lifecycle stage of the portal and its place."""
        options = self.records[type_name].schema.known["lifecyclestage"]["options"]
        return {each["value"]: each["displayOrder"] for each in options}

    def _consequences(self, type_name: str, record: StoredRecord, wanted: Mapping[str, str], at: int) -> dict[str, str]:
        if type_name == "deals":
            return self._follow_stage(record.properties.get("dealstage", ""), wanted, at)
        if type_name != "contacts":
            return {}
        found: dict[str, str] = {}
        former = record.properties.get("lifecyclestage", "")
        if (stage := wanted.get("lifecyclestage", former)) != former:
            found |= self._stage_stamps(former, stage, at)
        owner = record.properties.get("hubspot_owner_id", "")
        if (new := wanted.get("hubspot_owner_id", owner)) != owner:
            found |= {"hubspot_owner_assigneddate": iso(at) if new else "", "hs_all_owner_ids": new}
        if "email" in wanted:
            found["hs_email_domain"] = wanted["email"].rpartition("@")[2]
        return found

    def _follow_stage(self, former: str, wanted: Mapping[str, str], at: int) -> dict[str, str]:
        return follow_stage(self.deal_pipelines.values(), self.records["deals"].schema.known, former, wanted, at)

    def _stage_stamps(self, former: str, stage: str, at: int) -> dict[str, str]:
        """The became-a-stage dates: setting one stamps it, clearing one wipes it."""
        name = f"hs_lifecyclestage_{stage or former}_date"
        return {name: iso(at) if stage else ""} if name in self.contacts.schema.known else {}

    def touch(self, record: StoredRecord, values: Mapping[str, str], at: int) -> None:
        """Set what HubSpot itself counts on a contact; activity moves `lastmodifieddate` whatever the values."""
        self.remember(record, at)
        write_properties(record, values, at, "ANALYTICS", "")
        self.contacts.stamp(record, at)

    def checked_owner(self, values: Mapping[str, str]) -> list[Problem]:
        """What is wrong with the owner among the values."""
        owner = values.get("hubspot_owner_id", "")
        if not owner or self.switches.unknown_owner != "refused":
            return []
        known = self.owners.get(int(owner)) if is_count(owner) else None
        if known and not known.archived:
            return []
        return [Problem("hubspot_owner_id", "INVALID_OWNER_ID", f"Owner {owner} does not exist or is not active")]

    def checked_unlocked(self, record: StoredRecord) -> None:
        """Raise the 423 of a record that somebody else is writing."""
        left = self.locked.get(record.id, 0)
        if left:
            self.locked[record.id] = left - 1
            raise HubspotRefusal(423, error(f"Object {record.id} is locked by another request. Retry later.", "LOCKED"))

    def records_of(self, name: str) -> RecordTable:
        """The records a client means by the name of an object type. Raises the 400 of a name nobody knows."""
        kind = object_type(name)
        if kind is None:
            raise bad_request(f"Unable to infer object type from: {name}", "")
        return self.records[kind.name]


def _complete(properties: dict[str, str], number: int, at: int) -> None:
    """Add to a new contact what HubSpot works out by itself."""
    properties["hs_all_contact_vids"] = str(number)
    properties["hs_is_contact"] = "true"
    properties["hs_is_unworked"] = "true"
    properties["hs_pipeline"] = "contacts-lifecycle-pipeline"
    stage = properties.setdefault("lifecyclestage", "lead")
    properties.setdefault(f"hs_lifecyclestage_{stage}_date", iso(at))
    if email := properties.get("email"):
        properties["hs_email_domain"] = email.rpartition("@")[2]
    if "hubspot_owner_id" in properties:
        properties["hubspot_owner_assigneddate"] = iso(at)
        properties["hs_all_owner_ids"] = properties["hubspot_owner_id"]


def _spread_ids(records: RecordTable) -> None:
    """Let the next id be of another length soon, as in a portal that is as old as HubSpot."""
    records.next_id = records.next_id - records.next_id % 50 + 51 if records.next_id < 900 else _FIRST_IDS["contacts"]


def snapshot_of(records: RecordTable) -> Json:
    """The live records by id, with what clients and people can set, and no times: equal for equal end states."""
    known = records.schema.known
    settable = {name for name, each in known.items() if not each["modificationMetadata"]["readOnlyValue"]}
    return {
        str(number): {
            name: value for name, value in sorted(records.by_id[number].properties.items()) if name in settable
        }
        for number in records.live
    }
