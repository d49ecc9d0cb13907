"""A world's deals as the opportunities a Salesforce org keeps of them."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.sandbox.salesforce.loading import Loading, audit_fields, campaign_id
from connectors.sandbox.salesforce.schema import SandboxField
from connectors.sandbox.salesforce.state import API_PERMISSIONS
from connectors.sandbox.world import Deal, Human, salesforce_id

STAGES = {"Proposal": "Proposal/Price Quote", "Negotiation": "Negotiation/Review"}
"""What the org calls stages of a deal, where that is something else."""

LOST_REASON = SandboxField(
    "Loss_Reason__c", "string", 255, label="Loss Reason", updateable=True, createable=True, nillable=True, custom=True
)
"""The field that admins make for why a deal was lost: Salesforce has none."""


def load_deals(loading: Loading, deals: Sequence[Deal]) -> None:
    """Add the opportunities of `deals`, their contact roles and the history of their stages."""
    if any(deal.lost_reason for deal in deals):
        _add_lost_reason(loading)
    humans = {human.number: human for human in loading.world.humans}
    for deal in deals:
        _opportunity(loading, deal)
        contacts = [contact for number in deal.contacts if (contact := _contact_of(humans.get(number)))]
        for order, contact in enumerate(contacts):
            _contact_role(loading, deal, contact, is_primary=order == 0)
        for stage, at in deal.stages:
            _stage(loading, deal, stage, loading.stamped(at))
        loading.settle()


def _add_lost_reason(loading: Loading) -> None:
    table = loading.state.of("Opportunity")
    table.sobject.add(LOST_REASON)
    permission = {
        "Id": loading.id("FieldPermissions"),
        "ParentId": API_PERMISSIONS,
        "SobjectType": "Opportunity",
        "Field": f"Opportunity.{LOST_REASON.name}",
        "PermissionsRead": True,
        "PermissionsEdit": False,
    }
    loading.add("FieldPermissions", permission | audit_fields(loading.stamped(loading.world.now)))


def _contact_of(human: Human | None) -> str | None:
    """The id of their contact; a lead cannot have a role."""
    kinds = human.in_salesforce if human else ()
    found = [at for at, kind in enumerate(kinds) if kind == "contact"]
    return salesforce_id("003", human.number * 4 + found[-1]) if human and found else None


def _opportunity(loading: Loading, deal: Deal) -> None:
    (first, made), (last, entered) = deal.stages[0], deal.stages[-1]
    is_won, is_lost = last == "Closed Won", last == "Closed Lost"
    record = {
        "Id": salesforce_id("006", deal.number),
        "Name": deal.name[:120],
        "AccountId": None if deal.firm is None else salesforce_id("001", deal.firm),
        "OwnerId": loading.owner(deal.owner),
        "StageName": STAGES.get(last, last),
        "IsClosed": is_won or is_lost,
        "IsWon": is_won,
        "Amount": None if deal.amount is None else float(deal.amount),
        "CloseDate": deal.expected.isoformat(),
        "LeadSource": deal.source[:255] or None,
        "CampaignId": campaign_id(loading, deal.campaign, "Other") if deal.campaign else None,
        "LastStageChangeDate": None if last == first else loading.stamped(entered),
        **audit_fields(loading.stamped(made), loading.stamped(entered), by=loading.owner(deal.owner)),
    }
    if deal.lost_reason:
        record[LOST_REASON.name] = deal.lost_reason[:255]
    loading.add("Opportunity", record)


def _contact_role(loading: Loading, deal: Deal, contact: str, is_primary: bool) -> None:
    role = {
        "Id": loading.id("OpportunityContactRole"),
        "OpportunityId": salesforce_id("006", deal.number),
        "ContactId": contact,
        "Role": "Decision Maker" if is_primary else "Influencer",
        "IsPrimary": is_primary,
    }
    made = loading.stamped(deal.stages[0][1])
    loading.add("OpportunityContactRole", role | audit_fields(made, by=loading.owner(deal.owner)))


def _stage(loading: Loading, deal: Deal, stage: str, at: str) -> None:
    entry = {
        "Id": loading.id("OpportunityHistory"),
        "OpportunityId": salesforce_id("006", deal.number),
        "StageName": STAGES.get(stage, stage),
        "Amount": None if deal.amount is None else float(deal.amount),
        "CloseDate": deal.expected.isoformat(),
        "CreatedDate": at,
        "CreatedById": loading.owner(deal.owner),
        "SystemModstamp": at,
    }
    loading.add("OpportunityHistory", entry)
