"""Endpoints of the old APIs that other people's clients still read; where the portal has nothing of the kind, empty."""

from __future__ import annotations

from connectors.sandbox.hubspot.settings import pipelines
from connectors.sandbox.hubspot.state import State
from connectors.sandbox.hubspot.wire import Call, Json, Reply

_SUBSCRIPTION = 8_101


def properties_v2(state: State, call: Call) -> Reply:
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


def form_properties_v2(state: State, call: Call) -> Reply:
    """`GET /properties/v2/form/properties`: forms have none."""
    return Reply(200, [])


def pipelines_v1(state: State, call: Call) -> Json:
    """`GET /crm-pipelines/v1/pipelines/{type}`: with the old names of everything."""
    found = pipelines(state, call)["results"]
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
                        "createdAt": 0,
                        "updatedAt": 0,
                    }
                    for stage in each["stages"]
                ],
                "createdAt": 0,
                "updatedAt": 0,
            }
            for each in found
        ]
    }


def lists(state: State, call: Call) -> Json:
    """`POST /crm/v3/lists/search`."""
    return {"lists": [], "hasMore": False, "offset": 0, "total": 0}


def workflows(state: State, call: Call) -> Json:
    """`GET /automation/v3/workflows`."""
    return {"workflows": []}


def marketing_emails(state: State, call: Call) -> Json:
    """`GET /marketing-emails/v1/emails/with-statistics`."""
    return {"objects": [], "limit": 100, "offset": 0, "total": 0, "totalCount": 0}


def users(state: State, call: Call) -> Json:
    """`GET /settings/v3/users`."""
    found = sorted(each for each in state.owners.values() if not each.archived)
    return {
        "results": [
            {"id": str(each.user_id), "email": each.email, "firstName": each.first, "lastName": each.last}
            for each in found
        ]
    }


def teams(state: State, call: Call) -> Json:
    """`GET /settings/v3/users/teams`."""
    ids = [str(each.user_id) for each in sorted(state.owners.values()) if not each.archived]
    return {"results": [{"id": "178001", "name": "Sales", "userIds": ids, "secondaryUserIds": []}]}


def subscriptions(state: State, call: Call) -> Json:
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


def subscription_changes(state: State, call: Call) -> Json:
    """`GET /email/public/v1/subscriptions/timeline`: who opted out when."""
    found = [each for each in state.tracking.newest_emails(0, call.now) if each.type == "STATUSCHANGE"]
    timeline = [
        {
            "timestamp": each.at,
            "portalId": state.portal_id,
            "recipient": each.recipient,
            "normalizedEmailId": f"{each.number:036x}",
            "changes": [
                {
                    "change": "UNSUBSCRIBED",
                    "changeType": "SUBSCRIPTION_STATUS",
                    "source": "SOURCE_RECIPIENT",
                    "timestamp": each.at,
                    "portalId": state.portal_id,
                    "subscriptionId": _SUBSCRIPTION,
                }
            ],
        }
        for each in found
    ]
    return {"hasMore": False, "offset": "", "timeline": timeline}
