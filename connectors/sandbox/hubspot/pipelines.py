"""The pipelines of a portal: the stages of its deals, of its tickets, and of the life of its contacts."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.sandbox.hubspot.catalog import deal_stage_dates, option_of
from connectors.sandbox.hubspot.deal_stages import DealPipeline, DealStage
from connectors.sandbox.hubspot.state import PortalState
from connectors.sandbox.hubspot.wire import HubspotCall, Json, iso, not_found

_SET_UP = 1_593_532_657_277
"""When the portal got its pipelines, in epoch milliseconds."""

_PIPELINES = {
    "contacts": ("contacts-lifecycle-pipeline", "Lifecycle Stage Pipeline", "lifecyclestage"),
    "tickets": ("0", "Support Pipeline", "hs_pipeline_stage"),
}


def _pipelines(state: PortalState, call: HubspotCall) -> list[Json]:
    records = state.records_of(call.params["type"])
    if records.kind.name == "deals":
        return [
            _pipeline_json(each.id, each.label, order, [_deal_stage_json(*one) for one in enumerate(each.stages)])
            for order, each in enumerate(state.deal_pipelines.values())
        ]
    if records.kind.name not in _PIPELINES:
        return []
    number, label, stages = _PIPELINES[records.kind.name]
    return [_pipeline_json(number, label, 0, [_stage_json(each) for each in records.schema.known[stages]["options"]])]


def _pipeline_json(number: str, label: str, order: int, stages: list[Json]) -> Json:
    return {
        "label": label,
        "displayOrder": order,
        "id": number,
        "stages": stages,
        "createdAt": iso(_SET_UP),
        "updatedAt": iso(_SET_UP),
        "archived": False,
    }


def _deal_stage_json(order: int, stage: DealStage) -> Json:
    metadata = {"isClosed": str(stage.closed).lower(), "probability": str(float(stage.probability))}
    return _with_times(stage.id, stage.label, order, metadata)


def _stage_json(each: Json) -> Json:
    closed = each["value"].startswith("closed")
    metadata = {"isClosed": str(closed).lower(), "state": "CLOSED" if closed else "OPEN"}
    return _with_times(each["value"], each["label"], each["displayOrder"], metadata)


def _with_times(number: str, label: str, order: int, metadata: Mapping[str, str]) -> Json:
    return {
        "label": label,
        "displayOrder": order,
        "metadata": metadata,
        "id": number,
        "createdAt": iso(_SET_UP),
        "updatedAt": iso(_SET_UP),
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
        "archived": False,
    }


def list_pipelines(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/pipelines/{type}`: the stages of contacts are the lifecycle stages."""
    return {"results": _pipelines(state, call)}


def show_pipeline(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/pipelines/{type}/{id}`."""
    for each in _pipelines(state, call):
        if each["id"] == call.params["id"]:
            return each
    raise not_found(f"Pipeline {call.params['id']} does not exist")


def list_stages(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/pipelines/{type}/{id}/stages`."""
    return {"results": show_pipeline(state, call)["stages"]}


def put_deal_pipeline(state: PortalState, pipeline: DealPipeline) -> None:
    """Add a pipeline of deals, or change the one with its id: its stages, and the properties that follow from them."""
    state.deal_pipelines[pipeline.id] = pipeline
    schema, stages = (
        state.records["deals"].schema,
        [one for each in state.deal_pipelines.values() for one in each.stages],
    )
    options = [option_of(each.id, each.label, order) for order, each in enumerate(stages)]
    schema.put(schema.known["dealstage"] | {"options": options})
    names = [option_of(each.id, each.label, order) for order, each in enumerate(state.deal_pipelines.values())]
    schema.put(schema.known["pipeline"] | {"options": names})
    for each in pipeline.stages:
        for date in deal_stage_dates(each.id):
            schema.put(date)
