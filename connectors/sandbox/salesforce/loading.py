"""Records on their way from a world into the org's tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.sandbox.salesforce.state import ADMIN_USER, OrgState
from connectors.sandbox.salesforce.values import stamp
from connectors.sandbox.salesforce.writes import RESPONDED
from connectors.sandbox.world import World, salesforce_id

FOUNDED = datetime.fromisoformat("2024-03-04T08:00:00+00:00")
_CHUNK = 10_000


def audit_fields(at: str, changed: str | None = None, by: str = ADMIN_USER) -> dict[str, Any]:
    """Who made a record and who edited it last, with the wire texts of the instants."""
    changed = changed or at
    return {
        "CreatedDate": at,
        "CreatedById": by,
        "LastModifiedDate": changed,
        "LastModifiedById": by,
        "SystemModstamp": changed,
    }


@dataclass
class Loading:
    """Records on their way into the tables, and the numbers their ids come from."""

    state: OrgState
    world: World
    waiting: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    numbers: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    campaigns: dict[str, str] = field(default_factory=dict)
    stamps: dict[datetime, str] = field(default_factory=dict)
    reps: dict[int, str] = field(default_factory=dict)
    converted_into: dict[int, str] = field(default_factory=dict)

    def id(self, name: str) -> str:
        self.numbers[name] += 1
        return salesforce_id(self.state.of(name).sobject.prefix, self.numbers[name])

    def add(self, name: str, record: dict[str, Any]) -> dict[str, Any]:
        self.waiting[name].append(record)
        return record

    def stamped(self, at: datetime) -> str:
        """The wire text of an instant, the same object each time: a million tasks need it three times."""
        if at not in self.stamps:
            self.stamps[at] = stamp(at)
        return self.stamps[at]

    def settle(self) -> None:
        """Move what is complete into the tables, in chunks."""
        for name, records in self.waiting.items():
            if len(records) >= _CHUNK:
                self.flush(name)

    def flush(self, name: str) -> None:
        table = self.state.of(name)
        records, self.waiting[name] = self.waiting[name], []
        table.extend(records, after=self.numbers[name])

    def owner(self, rep: int | None) -> str:
        return ADMIN_USER if rep is None else self.reps[rep]


def campaign_id(loading: Loading, name: str, kind: str) -> str:
    """The campaign with this name, made where there is none yet."""
    if name not in loading.campaigns:
        id_ = loading.campaigns[name] = loading.id("Campaign")
        campaign = {
            "Id": id_,
            "Name": name[:80],
            "Type": kind,
            "Status": "In Progress",
            "IsActive": True,
            "OwnerId": ADMIN_USER,
        }
        loading.add("Campaign", campaign | audit_fields(stamp(FOUNDED)))
        for order, status in enumerate(("Sent", *sorted(RESPONDED)), 1):
            loading.add("CampaignMemberStatus", {
                "Id": loading.id("CampaignMemberStatus"), "CampaignId": id_, "Label": status, "SortOrder": order,
                "IsDefault": order == 1, "HasResponded": status in RESPONDED, **audit_fields(stamp(FOUNDED)),
            })  # fmt: skip
    return loading.campaigns[name]
