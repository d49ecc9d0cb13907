"""Where each HubSpot endpoint is in each version of the API: the only place that knows."""

from __future__ import annotations

from typing import Literal, NamedTuple

DATED = {
    "list": "/crm/objects/{version}/{kind}",
    "record": "/crm/objects/{version}/{kind}/{id}",
    "search": "/crm/objects/{version}/{kind}/search",
    "batch_read": "/crm/objects/{version}/{kind}/batch/read",
    "batch_update": "/crm/objects/{version}/{kind}/batch/update",
    "batch_create": "/crm/objects/{version}/{kind}/batch/create",
    "associations": "/crm/associations/{version}/{kind}/{to}/batch/read",
    "properties": "/crm/properties/{version}/{kind}",
    "property": "/crm/properties/{version}/{kind}/{property}",
    "groups": "/crm/properties/{version}/{kind}/groups",
    "pipelines": "/crm/pipelines/{version}/{kind}",
    "owners": "/crm/owners/{version}",
    "account": "/account-info/{version}/details",
    "usage": "/account-info/{version}/api-usage/daily/private-apps",
    "property_limits": "/crm/limits/{version}/custom-properties",
    "events": "/events/event-occurrences/{version}",
    "event_types": "/events/event-occurrences/{version}/event-types",
    "exports": "/crm/exports/{version}/export/async",
    "export_status": "/crm/exports/{version}/export/async/tasks/{id}/status",
    "imports": "/crm/imports/{version}",
    "import": "/crm/imports/{version}/{id}",
    "import_errors": "/crm/imports/{version}/{id}/errors",
    "lists": "/crm/lists/{version}/search",
    "members": "/crm/lists/{version}/{id}/memberships",
    "token": "/oauth/{version}/token",
}

LEGACY = {
    "list": "/crm/v3/objects/{kind}",
    "record": "/crm/v3/objects/{kind}/{id}",
    "search": "/crm/v3/objects/{kind}/search",
    "batch_read": "/crm/v3/objects/{kind}/batch/read",
    "batch_update": "/crm/v3/objects/{kind}/batch/update",
    "batch_create": "/crm/v3/objects/{kind}/batch/create",
    # v4, because v3 has no second page for them (HubSpot/hubspot-api-python#135, #187).
    "associations": "/crm/v4/associations/{kind}/{to}/batch/read",
    "properties": "/crm/v3/properties/{kind}",
    "property": "/crm/v3/properties/{kind}/{property}",
    "groups": "/crm/v3/properties/{kind}/groups",
    "pipelines": "/crm/v3/pipelines/{kind}",
    "owners": "/crm/v3/owners",
    "account": "/account-info/v3/details",
    "usage": "/account-info/v3/api-usage/daily/private-apps",
    "property_limits": "/crm/v3/limits/custom-properties",
    "events": "/events/v3/events",
    "event_types": "/events/v3/events/event-types",
    "exports": "/crm/v3/exports/export/async",
    "export_status": "/crm/v3/exports/export/async/tasks/{id}/status",
    "imports": "/crm/v3/imports",
    "import": "/crm/v3/imports/{id}",
    "import_errors": "/crm/v3/imports/{id}/errors",
    "lists": "/crm/v3/lists/search",
    "members": "/crm/v3/lists/{id}/memberships",
    "token": "/oauth/v1/token",
}

WITHOUT_SUCCESSOR = {
    # They lose support in September 2027: https://developers.hubspot.com/changelog/
    # legacy-apis-and-legacy-apps-whats-going-unsupported-and-when (2026-11-21)
    "forms": "/marketing/v3/forms",
    "submissions": "/form-integrations/v1/submissions/forms/{id}",
    "email_events": "/email/public/v1/events",
    "call_outcomes": "/calling/v1/dispositions",
}

BETAS = ("2026-09-beta", "2027-03-beta")
"""The versions of lead scoring, which has no other one yet; either may be gone one day (2026-11-28)."""

BETA = {
    "lead_scores": "/marketing/lead-scoring/{beta}/scores",
    "lead_score": "/marketing/lead-scoring/{beta}/scores/{id}",
}


WORDS = {
    "list": "read {kind}",
    "record": "read {kind}",
    "search": "search {kind}",
    "batch_read": "read {kind}",
    "batch_update": "write {kind}",
    "batch_create": "create {kind}",
    "associations": "read which {to} belong to {kind}",
    "properties": "use the properties of {kind}",
    "property": "use the properties of {kind}",
    "groups": "use the property groups of {kind}",
    "pipelines": "read the pipelines of {kind}",
    "owners": "read owners",
    "account": "read the account's details",
    "usage": "read how many calls were used",
    "property_limits": "read how many properties there may be",
    "events": "read events",
    "event_types": "read the types of events",
    "exports": "export contacts",
    "export_status": "export contacts",
    "imports": "import scores",
    "import": "import scores",
    "import_errors": "import scores",
    "lists": "find lists",
    "members": "read who is on a list",
    "token": "renew the token",
    "forms": "read forms",
    "submissions": "read sent forms",
    "email_events": "read marketing e-mail events",
    "lead_scores": "read lead scores",
    "lead_score": "read lead scores",
    "call_outcomes": "read the outcomes of calls",
}
"""What each endpoint is for, as a message says it after "to"."""


Shape = Literal["array", "object", "objects", "record", "records", "linked"]

SHAPES: dict[str, Shape] = {
    **dict.fromkeys(("list", "search", "batch_read"), "records"),
    "record": "record",
    "call_outcomes": "array",
    "associations": "linked",
    **dict.fromkeys(("properties", "pipelines", "groups", "owners", "imports", "import_errors", "usage"), "objects"),
    **dict.fromkeys(("events", "forms", "submissions", "members", "lead_scores"), "objects"),
}
"""What each endpoint answers where that is more than an object; see `answers.shaped`."""

CREATING = ("properties", "groups", "imports")
"""The endpoints that answer a POST with the one object that it made."""


class Endpoint(NamedTuple):
    """Where an endpoint is, what it is for, what it answers, and of which kind of record."""

    path: str
    words: str
    shape: Shape = "object"
    kind: str = ""
    creates: bool = False


def endpoint_of(version: str, name: str, **parts: str) -> Endpoint:
    """An endpoint, for example `place("2026-09", "search", kind="contacts")`."""
    table = LEGACY if version == "v3" else DATED
    template = WITHOUT_SUCCESSOR.get(name) or BETA.get(name) or table[name]
    return Endpoint(
        template.format(version=version, **parts),
        WORDS[name].format(**parts),
        SHAPES.get(name, "object"),
        parts.get("kind", ""),
        name in CREATING,
    )
