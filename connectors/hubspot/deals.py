"""How a HubSpot deal becomes an Opportunity."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from connectors.hubspot.batch_read import Record
from connectors.hubspot.errors import CRM, KIND, text_of
from connectors.hubspot.history import versions_of
from connectors.hubspot.mapping import CREATED, MERGED, OWNER, changed_at, merged_ids
from connectors.hubspot.pipelines import Pipeline, PipelineStage, State
from connectors.hubspot.properties import Definition, instant_of, number_of
from crmsync.errors import ConfigError
from crmsync.model import Opportunity, Ref, StageEntry

DEALS, DEAL = "deals", "deal"
CHANGED = "hs_lastmodifieddate"
STAGE, PIPELINE, CURRENCY, CLOSE_DATE = "dealstage", "pipeline", "deal_currency_code", "closedate"
CLOSED, WON = "hs_is_closed", "hs_is_closed_won"
LOST_REASON, SOURCE, CAMPAIGN = "closed_lost_reason", "hs_analytics_source", "hs_campaign"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ENTERED = ("hs_v2_date_entered_", "hs_date_entered_")
"""How the names begin of the properties that say when a deal came into a stage, the better ones first."""

ENTERED_PRESENT = "hs_v2_date_entered_current_stage"


@dataclass(frozen=True)
class DealReading:
    """What to ask for and how to read it, given how this portal defines its properties and pipelines.

    `value` is the property that says what a deal is worth, `entered` has for each stage the properties that say when a
    deal came into it, `currency` is the portal's own.
    """

    value: str
    known: Mapping[str, Definition]
    pipelines: Mapping[str, Pipeline]
    stages: Mapping[str, PipelineStage]
    entered: Mapping[str, tuple[str, ...]]
    currency: str

    @property
    def properties(self) -> tuple[str, ...]:
        """The properties to read, as far as the portal has them."""
        wanted = (
            CHANGED, MERGED, STAGE, PIPELINE, self.value, CURRENCY, CREATED, CLOSE_DATE, OWNER, CLOSED, WON,
            LOST_REASON, SOURCE, CAMPAIGN, ENTERED_PRESENT,
        )  # fmt: skip
        dates = (name for names in self.entered.values() for name in names)
        return tuple(dict.fromkeys(each for each in (*wanted, *dates) if each in self.known))

    def label_of(self, stage: str) -> str:
        """What people read for the id of a stage; the id of one that the portal no longer has."""
        return self.stages[stage].label if stage in self.stages else stage

    def state_of(self, record: Record) -> State:
        """What the CRM says of the present stage of a deal."""
        values = record["properties"]
        stage = self.stages.get(values.get(STAGE) or "")
        if stage and stage.state:
            return stage.state
        # Of a stage that the portal no longer has, the deal itself may still say it.
        if text_of(values.get(WON)).lower() == "true":
            return "won"
        return "lost" if text_of(values.get(CLOSED)).lower() == "true" else "open"


def plan_deals(
    value: str, known: Mapping[str, Definition], pipelines: Sequence[Pipeline], currency: str
) -> DealReading:
    """Work out what to ask for. Raises `ConfigError` where the portal does not show what nothing can replace."""
    for name in dict.fromkeys((value, STAGE, CHANGED)):
        if name not in known:
            raise ConfigError(
                f"HubSpot has no deal property {name!r}, or this token cannot see it: restore it in HubSpot"
                + (", or correct [outcome]" if name == value else "")
            )
    stages = {stage.id: stage for each in pipelines for stage in each.stages}
    dates = [name for name in known if name.startswith(ENTERED)]
    entered = {stage: _entered_properties(stage, stages, dates) for stage in stages}
    return DealReading(value, known, {each.id: each for each in pipelines}, stages, entered, currency)


def _entered_properties(stage: str, stages: Collection[str], dates: Sequence[str]) -> tuple[str, ...]:
    """Those of the properties `dates` that say when a deal came into a stage.

    HubSpot spells the ids of stages in lower case and without signs, and may add a number where a name was taken.
    """
    spelled = _spell(stage)
    taken = {_spell(other) for other in stages}
    for prefix in ENTERED:
        if prefix + spelled in dates:
            return (prefix + spelled,)
        numbered = re.compile(re.escape(prefix + spelled) + r"_\d+")
        found = [each for each in dates if numbered.fullmatch(each) and each.removeprefix(prefix) not in taken]
        if found:
            return tuple(found)
    return ()


def _spell(stage: str) -> str:
    return re.sub(r"\W", "_", stage.lower())


def fingerprint_deals(value: str, pipelines: Sequence[Pipeline]) -> str:
    """Eight hex digits that change when what deals become does, so that they are read anew; no order counts."""
    meant = sorted(repr((each.id, each.label, stage)) for each in pipelines for stage in each.stages)
    return hashlib.sha256(repr((value, meant)).encode()).hexdigest()[:8]


def lacks_entry(record: Record, how: DealReading) -> bool:
    """Whether a deal is closed and its properties do not say when it came into its present stage.

    Below a paid subscription there are no such properties; and where a later one than the present stage's is there,
    that one is of an earlier time in it.
    """
    if how.state_of(record) == "open":
        return False
    entries = _entries(record, how)
    return not entries or entries[-1].stage != record["properties"].get(STAGE)


def opportunities_of(record: Record, how: DealReading) -> Iterator[Opportunity]:
    """A deal, with the ids of its contacts and companies, as an opportunity; those merged into it are gone."""
    values, changed, state = record["properties"], changed_at(record), how.state_of(record)
    entries = _entries(record, how)
    stage, pipeline = text_of(values.get(STAGE)), text_of(values.get(PIPELINE))
    amount = number_of(text_of(values.get(how.value)))
    yield Opportunity(
        ref=Ref(CRM, DEAL, record["id"]),
        changed_at=changed,
        state=state,
        created_at=instant_of(values.get(CREATED)) or instant_of(record.get("createdAt")),
        closed_at=None if state == "open" else _closed_at(record, entries, changed),
        records=tuple(Ref(CRM, KIND, each) for each in record["contacts"]),
        company=next(iter(record["companies"]), ""),
        pipeline=how.pipelines[pipeline].label if pipeline in how.pipelines else pipeline,
        stage=how.label_of(stage),
        stages=tuple(StageEntry(how.label_of(each.stage), each.at) for each in entries),
        value=None if amount is None else float(amount),
        currency=text_of(values.get(CURRENCY)) or how.currency,
        owner=text_of(values.get(OWNER)) or None,
        lost_reason=_label(values, LOST_REASON, how),
        source=_label(values, SOURCE, how),
        campaign=_label(values, CAMPAIGN, how),
    )
    for merged in merged_ids(values):
        if merged not in ("", record["id"]):
            yield gone_deal(merged, changed)


def gone_deal(deal_id: str, at: datetime) -> Opportunity:
    """A deal that is no more."""
    return Opportunity(Ref(CRM, DEAL, deal_id), at, gone=True)


def _entries(record: Record, how: DealReading) -> list[StageEntry]:
    """When a deal came into each stage (by its id), by time.

    By the history of its stage where that was read, else by the properties, which hold the latest entry of each.
    """
    present, values = record["properties"].get(STAGE), record["properties"]
    versions = [each for each in versions_of(record, STAGE) if each.at and each.value]
    if versions and versions[-1].value == present:
        moves = [next(stays) for _, stays in groupby(versions, key=lambda each: each.value)]
        return [StageEntry(each.value, EPOCH + timedelta(milliseconds=each.at)) for each in moves]
    dates = {
        stage: next((at for name in names if (at := instant_of(values.get(name)))), None)
        for stage, names in how.entered.items()
    }
    if present and (at := instant_of(values.get(ENTERED_PRESENT))):
        dates[present] = max(dates.get(present) or at, at)
    found = [StageEntry(stage, at) for stage, at in dates.items() if at]
    return sorted(found, key=lambda each: (each.at, each.stage == present))


def _closed_at(record: Record, entries: Sequence[StageEntry], changed: datetime) -> datetime:
    """When a closed deal came into its present stage. The close date is what somebody typed: the last resort."""
    values = record["properties"]
    entered = [each.at for each in entries if each.stage == values.get(STAGE)]
    return entered[-1] if entered else min(instant_of(values.get(CLOSE_DATE)) or changed, changed)


def _label(values: Mapping[str, str | None], name: str, how: DealReading) -> str:
    value = text_of(values.get(name))
    return how.known[name].label_of(value) if value and name in how.known else value
