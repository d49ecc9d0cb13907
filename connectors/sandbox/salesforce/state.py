"""What the org is at this moment: its records, fields and permissions, and the switches that make it misbehave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from connectors.sandbox.salesforce.schema import SandboxField, sobjects
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.salesforce.values import stamp
from connectors.sandbox.soql import WhereCondition
from connectors.sandbox.world import salesforce_id

ORG_ID = salesforce_id("00D", 1)
INTEGRATION_USER = salesforce_id("005", 900_001)
ADMIN_USER = salesforce_id("005", 900_002)
LEAD_QUEUE = salesforce_id("00G", 1)
LEAD_RULE = salesforce_id("01Q", 1)
STANDARD_PROFILE = salesforce_id("00e", 1)
ADMIN_PROFILE = salesforce_id("00e", 2)
API_PROFILE = salesforce_id("00e", 3)
API_PERMISSIONS = salesforce_id("0PS", 1)

OLDEST, NEWEST = 31, 68


def release(version: int) -> str:
    """The release that brought an API version: three a year, 58 was Summer '23."""
    since = version - 58
    return f"{('Summer', 'Winter', 'Spring')[since % 3]} '{23 + (since + 2) // 3}"


@dataclass
class OrgSwitches:
    """How this org behaves where real orgs differ, and what goes wrong in it."""

    assignment_rule: bool = True
    """Whether a lead assignment rule is active: any REST write to a lead then moves it to the queue."""
    bulk_assigns: bool = False
    """Whether the rule also runs on Bulk 2.0 updates that name no rule."""
    edit_converted: bool = False
    """Whether converted leads may be edited."""
    strict_inactive_owners: bool = False
    """Whether records of inactive owners refuse every edit."""
    unknown_field: str = "request"
    """Whether an unknown field spoils the whole Collections `request`, or its `row`."""
    failed_rows_have_ids: bool = False
    """Whether a refused row of a Collections answer names its id."""
    session_calls: int = 0
    """A session ends after so many calls; 0 is never."""
    locator_pages: int = 0
    """A query locator is lost after so many pages; 0 is never."""
    bulk_polls: int = 1
    """How many polls see a bulk job in progress before it is complete."""
    bulk_page: int = 100_000
    """Records in one page of a Bulk 2.0 query's results, unless the client says how many."""
    bulk_fails_after: int = -1
    """An ingest job fails after so many rows and leaves the others unprocessed; -1 is never."""
    rotate_refresh_tokens: bool = False
    """Whether a refresh token is good for one use only."""
    concurrent_errors: int = 0
    """So many of the next calls are refused for too many concurrent requests."""
    lock_share: float = 0.0
    """The share of rows that are locked the first `lock_times` times they are written."""
    lock_times: int = 1
    metadata_forbidden: bool = False
    """Whether the integration user may not create fields."""
    activity_keys: bool = False
    """Whether tasks and events may have custom fields that are external ids or unique."""
    max_usage: int = 5_000_000
    """API requests per 24 hours."""
    page_size: int = 2000


@dataclass(frozen=True)
class ValidationRule:
    """A validation rule: records for which `when` holds are refused."""

    when: WhereCondition
    text: str
    message: str
    field: str | None


@dataclass(frozen=True)
class DuplicateRule:
    """Records that share this field's value with another are duplicates; `block` cannot be waived."""

    field: str
    block: bool


@dataclass
class OrgState:
    """Everything in the org. Names of objects and fields are found whatever their case."""

    clock: Callable[[], datetime]
    switches: OrgSwitches = field(default_factory=OrgSwitches)
    tables: dict[str, ObjectTable] = field(default_factory=dict)
    prefixes: dict[str, ObjectTable] = field(default_factory=dict)
    hidden: set[tuple[str, str]] = field(default_factory=set)
    readonly: set[tuple[str, str]] = field(default_factory=set)
    unqueried: set[tuple[str, str]] = field(default_factory=set)
    rules: dict[str, list[ValidationRule]] = field(default_factory=dict)
    duplicate_rules: dict[str, list[DuplicateRule]] = field(default_factory=dict)
    locked: dict[str, int] = field(default_factory=dict)
    lock_tries: dict[str, int] = field(default_factory=dict)
    tracked: set[tuple[str, str]] = field(default_factory=set)
    usage: int = 0
    changed_at: datetime | None = None
    _visible: dict[str, dict[str, SandboxField]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, sobject in sobjects().items():
            self.tables[name] = self.prefixes[sobject.prefix] = ObjectTable(sobject)
        self.forget()

    # --- finding -----------------------------------------------------------------------------------------------------

    def table(self, name: str) -> ObjectTable | None:
        """The records of an object by its name, if the org has it."""
        return self.tables.get(name.lower())

    def of(self, name: str) -> ObjectTable:
        """The records of an object that is there for sure."""
        return self.tables[name.lower()]

    def locate(self, id_: str | None) -> tuple[ObjectTable, int] | None:
        """Where a record is, by its 18-character id."""
        if id_ is None:
            return None
        table = self.prefixes.get(id_[:3])
        row = table.rows.get(id_) if table else None
        return (table, row) if table is not None and row is not None else None

    def children(self, name: str) -> list[tuple[str, str, str]]:
        """(object, field, relationship name) of what hangs on an object."""
        return [
            (table.sobject.name, each.name, table.sobject.plural.replace(" ", ""))
            for table in self.tables.values()
            for each in table.sobject.fields.values()
            if name in each.targets and not each.name.endswith("ById") and each.name not in _UNRELATED
        ]

    def today(self) -> date:
        return self.clock().date()

    def now(self) -> str:
        """This second, as timestamps are kept."""
        return stamp(self.clock())

    # --- who may see what --------------------------------------------------------------------------------------------

    def visible(self, name: str) -> dict[str, SandboxField]:
        """The fields of an object the integration user may read, by lower-case name; some only to read."""
        key = name.lower()
        if key not in self._visible:
            fields = self.tables[key].sobject.fields
            granted = self._granted(self.tables[key].sobject.name)
            shown = {each: self._shown(name, fields[each], granted) for each in fields}
            self._visible[key] = {each: seen for each, seen in shown.items() if seen is not None}
        return self._visible[key]

    def queryable(self, name: str) -> dict[str, SandboxField]:
        """Those of them that a query may name."""
        seen = self.visible(name)
        if not self.unqueried:
            return seen
        return {each: found for each, found in seen.items() if (name.lower(), each) not in self.unqueried}

    def _shown(self, name: str, each: SandboxField, granted: dict[str, bool]) -> SandboxField | None:
        place = (name.lower(), each.name.lower())
        if place in self.hidden or (each.custom and place[1] not in granted):
            return None
        if place in self.readonly or (each.custom and not granted[place[1]]):
            return replace(each, updateable=False, createable=False)
        return each

    def _granted(self, name: str) -> dict[str, bool]:
        """The custom fields permission sets grant, and whether for editing."""
        assigned = self.of("PermissionSetAssignment")
        rows = [row for row in assigned.where("AssigneeId", [INTEGRATION_USER]) if not assigned.get(row, "IsDeleted")]
        sets = {assigned.get(row, "PermissionSetId") for row in rows}
        table, granted = self.of("FieldPermissions"), dict[str, bool]()
        for row in table.where("ParentId", sets):
            if (
                table.get(row, "SobjectType") == name
                and table.get(row, "PermissionsRead")
                and not table.get(row, "IsDeleted")
            ):
                key = table.get(row, "Field").split(".", 1)[1].lower()
                granted[key] = granted.get(key, False) or table.get(row, "PermissionsEdit")
        return granted

    def forget(self) -> None:
        """Fields or permissions have changed; no two changes share a second, which is all that a header can tell."""
        self._visible.clear()
        second = self.clock().replace(microsecond=0)
        self.changed_at = max(second, self.changed_at + timedelta(seconds=1)) if self.changed_at else second

    # --- small facts -------------------------------------------------------------------------------------------------

    def value(self, id_: str | None, name: str) -> Any:
        """A field of a record anywhere; `None` where there is no such record."""
        found = self.locate(id_)
        return found[0].get(found[1], name) if found else None


_UNRELATED = frozenset({"MasterRecordId", "LeadOrContactId", "LeadOrContactOwnerId"})
