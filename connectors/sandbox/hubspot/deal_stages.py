"""The stages that deals go through in a portal, and what HubSpot sets when a deal comes into one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from connectors.sandbox.hubspot.wire import iso


class DealStage(NamedTuple):
    """A stage of a pipeline of deals. A closed one with a probability of 1 is won, any other closed one lost."""

    id: str
    label: str
    probability: float
    closed: bool = False


class DealPipeline(NamedTuple):
    """A pipeline of deals; the ids of its stages are unique within the portal."""

    id: str
    label: str
    stages: tuple[DealStage, ...]


DEFAULT_PIPELINE = DealPipeline(
    "default",
    "Sales Pipeline",
    (
        DealStage("appointmentscheduled", "Appointment Scheduled", 0.2),
        DealStage("qualifiedtobuy", "Qualified To Buy", 0.4),
        DealStage("presentationscheduled", "Presentation Scheduled", 0.6),
        DealStage("decisionmakerboughtin", "Decision Maker Bought-In", 0.8),
        DealStage("contractsent", "Contract Sent", 0.9),
        DealStage("closedwon", "Closed Won", 1.0, True),
        DealStage("closedlost", "Closed Lost", 0.0, True),
    ),
)


def follow_stage(
    pipelines: Collection[DealPipeline], known: Collection[str], former: str, wanted: Mapping[str, str], at: int
) -> dict[str, str]:
    """What HubSpot sets when a deal leaves its `former` stage for the `wanted` one.

    The close date becomes that instant unless the same write has one
    (https://knowledge.hubspot.com/crm-deals/hubspots-default-deal-properties, 2022-09-19).
    """
    found = {stage.id: (each, stage) for each in pipelines for stage in each.stages}.get(wanted.get("dealstage", ""))
    if found is None or found[1].id == former:
        return {}
    pipeline, stage = found
    names = (f"hs_v2_date_entered_{stage.id}", f"hs_v2_date_exited_{former}", "hs_v2_date_entered_current_stage")
    return {
        "pipeline": pipeline.id,
        "hs_is_closed": str(stage.closed).lower(),
        "hs_is_closed_won": str(stage.closed and stage.probability == 1.0).lower(),
        "hs_deal_stage_probability": str(stage.probability),
        **({"closedate": iso(at)} if stage.closed and "closedate" not in wanted else {}),
        **{name: iso(at) for name in names if name in known},
    }
