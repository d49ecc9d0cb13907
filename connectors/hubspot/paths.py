"""Where each HubSpot endpoint is in each version of the API: the only place that knows."""

from __future__ import annotations

DATED = {
    "list": "/crm/objects/{version}/{kind}",
    "record": "/crm/objects/{version}/{kind}/{id}",
    "search": "/crm/objects/{version}/{kind}/search",
    "batch_read": "/crm/objects/{version}/{kind}/batch/read",
    "batch_update": "/crm/objects/{version}/{kind}/batch/update",
    "associations": "/crm/associations/{version}/{kind}/{to}/batch/read",
    "properties": "/crm/properties/{version}/{kind}",
    "groups": "/crm/properties/{version}/{kind}/groups",
    "owners": "/crm/owners/{version}",
    "account": "/account-info/{version}/details",
    "usage": "/account-info/{version}/api-usage/daily/private-apps",
    "property_limits": "/crm/limits/{version}/custom-properties",
    "events": "/events/event-occurrences/{version}",
    "event_types": "/events/event-occurrences/{version}/event-types",
    "exports": "/crm/exports/{version}/export/async",
    "export_status": "/crm/exports/{version}/export/async/tasks/{id}/status",
    "token": "/oauth/{version}/token",
}

LEGACY = {
    "list": "/crm/v3/objects/{kind}",
    "record": "/crm/v3/objects/{kind}/{id}",
    "search": "/crm/v3/objects/{kind}/search",
    "batch_read": "/crm/v3/objects/{kind}/batch/read",
    "batch_update": "/crm/v3/objects/{kind}/batch/update",
    "associations": "/crm/v4/associations/{kind}/{to}/batch/read",
    "properties": "/crm/v3/properties/{kind}",
    "groups": "/crm/v3/properties/{kind}/groups",
    "owners": "/crm/v3/owners",
    "account": "/account-info/v3/details",
    "usage": "/account-info/v3/api-usage/daily/private-apps",
    "property_limits": "/crm/v3/limits/custom-properties",
    "events": "/events/v3/events",
    "event_types": "/events/v3/events/event-types",
    "exports": "/crm/v3/exports/export/async",
    "export_status": "/crm/v3/exports/export/async/tasks/{id}/status",
    "token": "/oauth/v1/token",
}

WITHOUT_SUCCESSOR = {
    # They lose support in September 2027: https://developers.hubspot.com/changelog/
    # legacy-apis-and-legacy-apps-whats-going-unsupported-and-when (2026-11-21)
    "forms": "/marketing/v3/forms",
    "submissions": "/form-integrations/v1/submissions/forms/{id}",
    "email_events": "/email/public/v1/events",
}


def path(version: str, name: str, **parts: str) -> str:
    """The path of an endpoint, for example `path("2026-09", "search", kind="contacts")`."""
    table = LEGACY if version == "v3" else DATED
    return (WITHOUT_SUCCESSOR.get(name) or table[name]).format(version=version, **parts)
