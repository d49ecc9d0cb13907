"""Users and queues: everybody a record can belong to."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from connectors.salesforce.client import Org
from connectors.salesforce.errors import CRM, RequestRefused, is_id, text_of, unreadable
from connectors.salesforce.schema import NotDescribed, Schema
from crmsync.model import Owner

USER, TYPE = "User", "UserType"
ALL_USERS = f"SELECT Id, Name, Email, IsActive FROM {USER}"
USERS = f"{ALL_USERS} WHERE {TYPE} = 'Standard'"
QUEUES = "SELECT QueueId, Queue.Name, Queue.Email FROM QueueSobject WHERE SobjectType = 'Lead'"


NO_TYPES = (
    f"the integration user cannot see {USER}.{TYPE}, so everybody in {USER} counts as a standard user who can own "
    "records, those of portals and integrations, too; give its permission set 'Read' on it"
)


def has_types(schema: Schema) -> bool:
    """Whether users can be told apart by their type, as far as is known: nothing is asked for it."""
    if TYPE in schema.refused(USER):
        return False
    with schema.believed(), suppress(NotDescribed):
        return not schema.of(USER) or schema.find(USER, TYPE) is not None
    return True


def list_owners(org: Org, schema: Schema) -> list[Owner]:
    """Users of the full CRM, the inactive ones too, and the queues that may own leads."""
    users = _list_users(org, schema)
    if not all(is_id(each.get("Id")) and isinstance(each.get("IsActive"), bool) for each in users):
        raise unreadable("users")
    people = [
        Owner(CRM, each["Id"], text_of(each.get("Email")), text_of(each.get("Name")), active=each["IsActive"])
        for each in users
    ]
    return people + _queues(org)


def _list_users(org: Org, schema: Schema) -> list[dict[str, Any]]:
    if has_types(schema):
        org.ask_together([USERS, QUEUES])
        try:
            return org.rows(USERS, standing=True)
        except RequestRefused as error:
            if error.code != "INVALID_FIELD":
                raise
            schema.refuse(USER, TYPE)
    org.ask_together([ALL_USERS, QUEUES])
    return org.rows(ALL_USERS, standing=True)


def _queues(org: Org) -> list[Owner]:
    try:
        queues = org.rows(QUEUES, standing=True)
    except RequestRefused:
        return []  # an org or a user without queues
    named = [(each.get("QueueId"), each.get("Queue") or {}) for each in queues]
    if not all(is_id(id_) and isinstance(queue, dict) for id_, queue in named):
        raise unreadable("queues")
    return [Owner(CRM, str(id_), text_of(q.get("Email")), text_of(q.get("Name")), kind="queue") for id_, q in named]
