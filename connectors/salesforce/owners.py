"""Users and queues: everybody a record can belong to."""

from __future__ import annotations

from connectors.salesforce.client import Org
from connectors.salesforce.errors import CRM, RequestRefused, is_id, text_of, unreadable
from crmsync.model import Owner

USERS = "SELECT Id, Name, Email, IsActive FROM User WHERE UserType = 'Standard'"
QUEUES = "SELECT QueueId, Queue.Name, Queue.Email FROM QueueSobject WHERE SobjectType = 'Lead'"


def list_owners(org: Org) -> list[Owner]:
    """Users of the full CRM, the inactive ones too, and the queues that may own leads."""
    org.ask_together([USERS, QUEUES])
    users = org.rows(USERS, standing=True)
    if not all(is_id(each.get("Id")) and isinstance(each.get("IsActive"), bool) for each in users):
        raise unreadable("users")
    people = [
        Owner(CRM, each["Id"], text_of(each.get("Email")), text_of(each.get("Name")), active=each["IsActive"])
        for each in users
    ]
    return people + _queues(org)


def _queues(org: Org) -> list[Owner]:
    try:
        queues = org.rows(QUEUES, standing=True)
    except RequestRefused:
        return []  # an org or a user without queues
    named = [(each.get("QueueId"), each.get("Queue") or {}) for each in queues]
    if not all(is_id(id_) and isinstance(queue, dict) for id_, queue in named):
        raise unreadable("queues")
    return [Owner(CRM, str(id_), text_of(q.get("Email")), text_of(q.get("Name")), kind="queue") for id_, q in named]
