"""Users and queues: everybody a record can belong to."""

from __future__ import annotations

from connectors.salesforce.answers import CRM, Refused
from connectors.salesforce.org import Org
from crmsync.model import Owner


def owners(org: Org) -> list[Owner]:
    """Users of the full CRM, the inactive ones too, and the queues that may own leads."""
    users = org.rows("SELECT Id, Name, Email, IsActive FROM User WHERE UserType = 'Standard'")
    people = [
        Owner(CRM, each["Id"], each.get("Email") or "", each.get("Name") or "", active=bool(each.get("IsActive")))
        for each in users
    ]
    return people + _queues(org)


def _queues(org: Org) -> list[Owner]:
    try:
        queues = org.rows("SELECT QueueId, Queue.Name, Queue.Email FROM QueueSobject WHERE SobjectType = 'Lead'")
    except Refused:
        return []  # an org or a user without queues
    named = [(each["QueueId"], each.get("Queue") or {}) for each in queues]
    return [Owner(CRM, id_, q.get("Email") or "", q.get("Name") or "", kind="queue") for id_, q in named]
