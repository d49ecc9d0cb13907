"""Endpoints of the old APIs that other people's clients still read; where the portal has nothing of the kind, empty."""

from __future__ import annotations

from itertools import islice

from connectors.sandbox.hubspot.activity_effects import CALL_OUTCOMES
from connectors.sandbox.hubspot.catalog import TYPES
from connectors.sandbox.hubspot.pipelines import list_pipelines
from connectors.sandbox.hubspot.records import StoredRecord
from connectors.sandbox.hubspot.state import PortalState
from connectors.sandbox.hubspot.tracking import EmailEvent, make_guid
from connectors.sandbox.hubspot.wire import HubspotCall, Json, Reply, instant, page_size

_SUBSCRIPTION = 8_101
_KINDS = {"calls": "CALL", "emails": "EMAIL", "meetings": "MEETING", "notes": "NOTE", "tasks": "TASK"}


def properties_v2(state: PortalState, call: HubspotCall) -> Reply:
    """`GET /properties/v2/{type}/properties`: a bare list."""
    schema = state.records_of(call.params["type"]).schema
    return Reply(200, [_property_v2(each) for each in schema.known.values()])


def _property_v2(each: Json) -> Json:
    names = ("name", "label", "description", "groupName", "type", "fieldType", "hidden", "displayOrder", "options")
    return {name: each[name] for name in names} | {
        "calculated": each["calculated"],
        "readOnlyValue": each["modificationMetadata"]["readOnlyValue"],
        "hubspotDefined": bool(each.get("hubspotDefined")),
        "deleted": False,
    }


def form_properties_v2(state: PortalState, call: HubspotCall) -> Reply:
    """`GET /properties/v2/form/properties`: what is known of a form."""
    names = ("guid", "name", "formType", "createdAt", "updatedAt")
    return Reply(200, [{"name": name, "label": name, "type": "string", "fieldType": "text"} for name in names])


def pipelines_v1(state: PortalState, call: HubspotCall) -> Json:
    """`GET /crm-pipelines/v1/pipelines/{type}`: with the old names of everything."""
    found = list_pipelines(state, call)["results"]
    return {
        "results": [
            {
                "pipelineId": each["id"],
                "objectType": call.params["type"].upper(),
                "label": each["label"],
                "displayOrder": each["displayOrder"],
                "active": True,
                "default": True,
                "stages": [
                    {
                        "stageId": stage["id"],
                        "label": stage["label"],
                        "displayOrder": stage["displayOrder"],
                        "metadata": stage["metadata"],
                        "active": True,
                        "createdAt": instant(stage["createdAt"]),
                        "updatedAt": instant(stage["updatedAt"]),
                    }
                    for stage in each["stages"]
                ],
                "createdAt": instant(each["createdAt"]),
                "updatedAt": instant(each["updatedAt"]),
            }
            for each in found
        ]
    }


def list_workflows(state: PortalState, call: HubspotCall) -> Json:
    """`GET /automation/v3/workflows`."""
    return {"workflows": []}


def call_dispositions(state: PortalState, call: HubspotCall) -> Reply:
    """`GET /calling/v1/dispositions`: a bare list."""
    outcomes = {**CALL_OUTCOMES, **state.switches.call_outcomes}
    return Reply(200, [{"id": guid, "label": label, "deleted": False} for guid, label in outcomes.items()])


def marketing_emails(state: PortalState, call: HubspotCall) -> Json:
    """`GET /marketing-emails/v1/emails/with-statistics`."""
    return {"objects": [], "limit": 100, "offset": 0, "total": 0, "totalCount": 0}


def list_users(state: PortalState, call: HubspotCall) -> Json:
    """`GET /settings/v3/users`."""
    found = sorted(each for each in state.owners.values() if not each.archived)
    return {
        "results": [
            {"id": str(each.user_id), "email": each.email, "firstName": each.first, "lastName": each.last}
            for each in found
        ]
    }


def list_teams(state: PortalState, call: HubspotCall) -> Json:
    """`GET /settings/v3/users/teams`."""
    ids = [str(each.user_id) for each in sorted(state.owners.values()) if not each.archived]
    return {"results": [{"id": "178001", "name": "Sales", "userIds": ids, "secondaryUserIds": []}]}


def list_subscriptions(state: PortalState, call: HubspotCall) -> Json:
    """`GET /email/public/v1/subscriptions`: the kinds of marketing e-mail one can opt out of."""
    definition = {
        "id": _SUBSCRIPTION,
        "portalId": state.portal_id,
        "name": "Marketing Information",
        "description": "Offers and news",
        "active": True,
        "internal": False,
        "category": "Marketing",
        "channel": "Email",
        "order": 0,
        "internalName": "MARKETING_INFORMATION",
        "businessUnitId": 0,
    }
    return {"subscriptionDefinitions": [definition]}


def subscription_changes(state: PortalState, call: HubspotCall) -> Json:
    """`GET /email/public/v1/subscriptions/timeline`: who opted out from one time (epoch ms) to another."""
    low, high = call.number("startTimestamp"), call.number("endTimestamp", call.now)
    walk = (each for each in state.tracking.newest_emails(low, high) if each.type == "STATUSCHANGE")
    start, limit = call.number("offset"), call.limit(100, 1_000)
    found = list(islice(walk, start, start + limit + 1))
    more = len(found) > limit
    timeline = [_opting_out(state, each) for each in found[:limit]]
    return {"hasMore": more, "offset": str(start + limit) if more else "", "timeline": timeline}


def _opting_out(state: PortalState, each: EmailEvent) -> Json:
    change = {
        "change": "UNSUBSCRIBED",
        "changeType": "SUBSCRIPTION_STATUS",
        "source": "SOURCE_RECIPIENT",
        "timestamp": each.at,
        "portalId": state.portal_id,
        "subscriptionId": _SUBSCRIPTION,
    }
    return {
        "timestamp": each.at,
        "portalId": state.portal_id,
        "recipient": each.recipient,
        "normalizedEmailId": make_guid(each.number),
        "changes": [change],
    }


def list_engagements(state: PortalState, call: HubspotCall) -> Json:
    """`GET /engagements/v1/engagements/paged`: every activity, by offset; the recent ones, latest first."""
    count = page_size(call.one("count") or call.one("limit") or 100, 250)
    found = [(kind, record) for kind in _KINDS for record in _live(state, kind)]
    if call.path.endswith("/recent/modified"):
        since = call.number("since")
        found = [each for each in found if each[1].updated >= since]
        found.sort(key=lambda each: -each[1].updated)
    start = call.number("offset")
    results = [_engagement(state, kind, record) for kind, record in found[start : start + count]]
    return {"results": results, "hasMore": start + count < len(found), "offset": start + count, "total": len(found)}


def _live(state: PortalState, kind: str) -> list[StoredRecord]:
    records = state.records[kind]
    return [records.by_id[number] for number in records.live]


def _engagement(state: PortalState, kind: str, record: StoredRecord) -> Json:
    properties = record.properties
    linked = {name: list(state.links.of((kind, name), record.id)) for name in ("contacts", "companies", "deals")}
    prefix = f"hs_{TYPES[kind].singular}_"
    return {
        "engagement": {
            "id": record.id,
            "portalId": state.portal_id,
            "active": True,
            "createdAt": record.created,
            "lastUpdated": record.updated,
            "type": _KINDS[kind],
            "timestamp": instant(properties.get("hs_timestamp", "")) or record.created,
            "ownerId": int(properties.get("hubspot_owner_id") or 0) or None,
        },
        "associations": {
            "contactIds": linked["contacts"],
            "companyIds": linked["companies"],
            "dealIds": linked["deals"],
            "ownerIds": [],
            "workflowIds": [],
            "ticketIds": [],
        },
        "attachments": [],
        "metadata": {name: value for name, value in properties.items() if name.startswith(prefix)},
    }
