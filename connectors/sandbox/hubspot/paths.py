"""Every path the sandbox's HubSpot answers, in all versions, and the handler behind each: one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from connectors.sandbox.digits import is_count
from connectors.sandbox.hubspot import (
    admin,
    associations,
    auth,
    events,
    jobs,
    lead_scores,
    legacy,
    lists,
    objects,
    pipelines,
    search,
    writes,
)
from connectors.sandbox.hubspot.catalog import object_type
from connectors.sandbox.hubspot.state import PortalState
from connectors.sandbox.hubspot.wire import HubspotCall, not_allowed

Handler = Callable[[PortalState, HubspotCall], Any]

DATED = ("2025-09", "2026-03", "2026-09", "2026-09-beta")

BETAS = ("2026-09-beta", "2027-03-beta")
"""The versions of what has no other one yet."""

# The version moves through the path when an API becomes date-versioned (HubSpot's 2026-03 migration guide).
ROOTS = {
    "objects": ("/crm/v3/objects", "/crm/objects/{date}"),
    "linked objects": ("/crm/v4/objects", "/crm/objects/{date}"),
    "linked objects v3": ("/crm/v3/objects",),
    "associations": ("/crm/v4/associations", "/crm/associations/{date}"),
    "associations v3": ("/crm/v3/associations",),
    "properties": ("/crm/v3/properties", "/crm/properties/{date}"),
    "pipelines": ("/crm/v3/pipelines", "/crm/pipelines/{date}"),
    "owners": ("/crm/v3/owners", "/crm/owners/{date}"),
    "schemas": ("/crm/v3/schemas", "/crm/schemas/{date}", "/crm-object-schemas/v3/schemas"),
    "limits": ("/crm/v3/limits", "/crm/limits/{date}"),
    "account": ("/account-info/v3", "/account-info/{date}"),
    "occurrences": ("/events/v3/events", "/events/event-occurrences/{date}"),
    "forms": ("/marketing/v3/forms", "/marketing/forms/{date}"),
    "submissions": ("/form-integrations/v1/submissions/forms",),
    "email": ("/email/public/v1",),
    "oauth": ("/oauth/v1", "/oauth/{date}"),
    "old properties": ("/properties/v2",),
    "old pipelines": ("/crm-pipelines/v1/pipelines",),
    "lists": ("/crm/v3/lists", "/crm/lists/{date}"),
    "workflows": ("/automation/v3/workflows",),
    "calling": ("/calling/v1",),
    "marketing emails": ("/marketing-emails/v1/emails",),
    "users": ("/settings/v3/users",),
    "engagements": ("/engagements/v1/engagements",),
    "exports": ("/crm/v3/exports", "/crm/exports/{date}"),
    "downloads": ("/hubfs-exports",),
    "imports": ("/crm/v3/imports", "/crm/imports/{date}"),
    "lead scores": tuple(f"/marketing/lead-scoring/{each}/scores" for each in BETAS),
}

OPEN = frozenset({"oauth", "downloads"})
"""The families of paths that need no token."""

# family, method, what follows the root, handler
_TABLE: tuple[tuple[str, str, str, Handler], ...] = (
    ("objects", "GET", "/{type}", objects.list_objects),
    ("objects", "POST", "/{type}", writes.create_object),
    ("objects", "GET", "/{type}/{id}", objects.read_object),
    ("objects", "PATCH", "/{type}/{id}", writes.update_object),
    ("objects", "DELETE", "/{type}/{id}", writes.archive_object),
    ("objects", "POST", "/{type}/batch/read", objects.batch_read),
    ("objects", "POST", "/{type}/batch/update", writes.batch_update),
    ("objects", "POST", "/{type}/batch/create", writes.batch_create),
    ("objects", "POST", "/{type}/batch/upsert", writes.batch_upsert),
    ("objects", "POST", "/{type}/batch/archive", writes.batch_archive),
    ("objects", "POST", "/{type}/search", search.search_objects),
    ("objects", "POST", "/{type}/merge", writes.merge_objects),
    ("objects", "POST", "/{type}/gdpr-delete", writes.gdpr_delete),
    ("linked objects", "GET", "/{type}/{id}/associations/{to}", associations.one_page),
    ("linked objects", "PUT", "/{type}/{id}/associations/{to}/{other}", associations.put_link),
    ("linked objects", "PUT", "/{type}/{id}/associations/default/{to}/{other}", associations.put_default),
    ("linked objects", "DELETE", "/{type}/{id}/associations/{to}/{other}", associations.delete_link),
    ("linked objects v3", "GET", "/{type}/{id}/associations/{to}", associations.one_page_v3),
    ("linked objects v3", "PUT", "/{type}/{id}/associations/{to}/{other}/{label}", associations.put_link),
    ("associations", "POST", "/{type}/{to}/batch/read", associations.batch_read_links),
    ("associations", "POST", "/{type}/{to}/batch/create", associations.batch_create_links),
    ("associations", "POST", "/{type}/{to}/batch/associate/default", associations.batch_create_links),
    ("associations", "POST", "/{type}/{to}/batch/archive", associations.batch_archive_links),
    ("associations", "GET", "/{type}/{to}/labels", associations.list_labels),
    ("associations v3", "POST", "/{type}/{to}/batch/read", associations.batch_read_v3),
    ("associations v3", "POST", "/{type}/{to}/batch/create", associations.batch_create_links),
    ("associations v3", "POST", "/{type}/{to}/batch/archive", associations.batch_archive_links),
    ("properties", "GET", "/{type}", admin.list_properties),
    ("properties", "POST", "/{type}", admin.create_property),
    ("properties", "POST", "/{type}/batch/create", admin.create_properties),
    ("properties", "POST", "/{type}/batch/read", admin.read_properties),
    ("properties", "POST", "/{type}/batch/archive", admin.archive_properties),
    ("properties", "GET", "/{type}/groups", admin.list_groups),
    ("properties", "POST", "/{type}/groups", admin.create_group),
    ("properties", "GET", "/{type}/groups/{name}", admin.show_group),
    ("properties", "PATCH", "/{type}/groups/{name}", admin.update_group),
    ("properties", "DELETE", "/{type}/groups/{name}", admin.archive_group),
    ("properties", "GET", "/{type}/{name}", admin.property_),
    ("properties", "PATCH", "/{type}/{name}", admin.update_property),
    ("properties", "DELETE", "/{type}/{name}", admin.archive_property),
    ("pipelines", "GET", "/{type}", pipelines.list_pipelines),
    ("pipelines", "GET", "/{type}/{id}", pipelines.show_pipeline),
    ("pipelines", "GET", "/{type}/{id}/stages", pipelines.list_stages),
    ("owners", "GET", "", admin.list_portal_owners),
    ("owners", "GET", "/{id}", admin.show_owner),
    ("schemas", "GET", "", admin.list_schemas),
    ("limits", "GET", "/custom-properties", admin.custom_limits),
    ("account", "GET", "/details", admin.show_account),
    ("account", "GET", "/api-usage/daily/private-apps", admin.show_usage),
    ("occurrences", "GET", "", events.list_occurrences),
    ("occurrences", "GET", "/event-types", events.event_types),
    ("forms", "GET", "", events.list_forms),
    ("forms", "GET", "/{id}", events.show_form),
    ("submissions", "GET", "/{id}", events.list_submissions),
    ("email", "GET", "/events", events.email_events),
    ("email", "GET", "/campaigns", events.list_campaigns),
    ("email", "GET", "/campaigns/{id}", events.show_campaign),
    ("email", "GET", "/subscriptions", legacy.list_subscriptions),
    ("email", "GET", "/subscriptions/timeline", legacy.subscription_changes),
    ("old properties", "GET", "/form/properties", legacy.form_properties_v2),
    ("old properties", "GET", "/{type}/properties", legacy.properties_v2),
    ("old pipelines", "GET", "/{type}", legacy.pipelines_v1),
    ("lists", "POST", "/search", lists.search_lists),
    ("lists", "GET", "/{id}", lists.show_list),
    ("lists", "GET", "/{id}/memberships", lists.list_memberships),
    ("lead scores", "GET", "", lead_scores.list_scores),
    ("lead scores", "GET", "/{id}", lead_scores.show_score),
    ("workflows", "GET", "", legacy.list_workflows),
    ("calling", "GET", "/dispositions", legacy.call_dispositions),
    ("marketing emails", "GET", "/with-statistics", legacy.marketing_emails),
    ("engagements", "GET", "/paged", legacy.list_engagements),
    ("engagements", "GET", "/recent/modified", legacy.list_engagements),
    ("users", "GET", "", legacy.list_users),
    ("users", "GET", "/teams", legacy.list_teams),
    ("exports", "POST", "/export/async", jobs.start_export),
    ("exports", "GET", "/export/async/tasks/{id}/status", jobs.export_status),
    ("downloads", "GET", "/{id}", jobs.download_file),
    ("imports", "POST", "", jobs.start_import),
    ("imports", "GET", "", jobs.list_imports),
    ("imports", "GET", "/{id}", jobs.import_status),
    ("imports", "GET", "/{id}/errors", jobs.import_errors),
    ("imports", "POST", "/{id}/cancel", jobs.cancel_import),
    ("oauth", "POST", "/token", auth.give_token),
    ("oauth", "GET", "/access-tokens/{id}", auth.token_details),
)
# The pre-GA specification of 2026-09 has no endpoint for one record's associations.
_WITHOUT_ONE_PAGE = ("2026-09", "2026-09-beta")


class SandboxEndpoint(NamedTuple):
    """A handler as one version of a path reaches it."""

    handler: Handler
    family: str
    version: str
    names: tuple[str, ...]


class Node:
    """What may follow a part of a path."""

    def __init__(self) -> None:
        self.next: dict[str, Node] = {}
        self.any: Node | None = None
        self.endpoints: dict[str, SandboxEndpoint] = {}


def _expanded(family: str) -> Iterator[tuple[str, str]]:
    """The roots of a family of paths, each with its version."""
    for root in ROOTS[family]:
        if "{date}" in root:
            yield from ((root.replace("{date}", date), date) for date in DATED)
        else:
            parts = root.split("/")
            yield root, next((part for part in parts if part in BETAS or (part[:1] == "v" and is_count(part[1:]))), "")


@cache
def path_tree() -> Node:
    """Every path, as a tree of its parts; made once."""
    top = Node()
    for family, method, rest, handler in _TABLE:
        for root, version in _expanded(family):
            if handler is associations.one_page and version in _WITHOUT_ONE_PAGE:
                continue
            _plant(top, root + rest, method, handler, family, version)
    return top


def _plant(node: Node, path: str, method: str, handler: Handler, family: str, version: str) -> None:
    names = []
    for part in path.strip("/").split("/"):
        if part.startswith("{"):
            names.append(part[1:-1])
            node.any = node.any or Node()
            node = node.any
        else:
            node = node.next.setdefault(part, Node())
    node.endpoints[method] = SandboxEndpoint(handler, family, version, tuple(names))


def find_handler(top: Node, method: str, path: str) -> tuple[SandboxEndpoint, dict[str, str]] | None:
    """The endpoint of a path and the values in it; `None` where there is none. Raises the 405 of another method."""
    node: Node | None = top
    values = []
    for part in path.strip("/").split("/"):
        assert node is not None
        following = node.next.get(part)
        if following is None:
            following = node.any
            values.append(part)
        if following is None:
            return None
        node = following
    assert node is not None
    if node.endpoints and method not in node.endpoints:
        raise not_allowed(sorted(node.endpoints))
    endpoint = node.endpoints.get(method)
    return (endpoint, dict(zip(endpoint.names, values, strict=True))) if endpoint else None


_READS = ("/batch/read", "/search")
_FAMILY_SCOPES = {
    "owners": ("crm.objects.owners.read",),
    "forms": ("forms",),
    "submissions": ("forms",),
    "email": ("content",),
    "exports": ("crm.export",),
    "imports": ("crm.import",),
    "lists": ("crm.lists.read",),
    "lead scores": ("mh-lead-scoring-view", "mh-lead-scoring-edit"),
}


def scopes_of(endpoint: SandboxEndpoint, call: HubspotCall) -> tuple[str, ...]:
    """The scopes of which a call needs one; empty where any token will do."""
    kind = object_type(call.params.get("type", ""))
    if kind is None or endpoint.family == "pipelines":
        return _FAMILY_SCOPES.get(endpoint.family, ())
    writes = call.method != "GET" and not call.path.endswith(_READS)
    if endpoint.family == "properties":
        if writes:
            return (f"crm.schemas.{kind.scope}.write",)
        return (f"crm.schemas.{kind.scope}.read", f"crm.objects.{kind.scope}.read")
    content = ("sales-email-read",) if kind.name == "emails" and not writes else ()
    return (f"crm.objects.{kind.scope}.{'write' if writes else 'read'}", *content)
