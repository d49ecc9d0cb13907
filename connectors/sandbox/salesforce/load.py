"""A world's people as the records a Salesforce org keeps of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectors.sandbox.as_written import (
    roll,
    write_address,
    write_call_outcome,
    write_company,
    write_count,
    write_country,
    write_name,
    write_phone,
    write_title,
    write_website,
)
from connectors.sandbox.salesforce.loading import FOUNDED, Loading, audit_fields, campaign_id
from connectors.sandbox.salesforce.opportunity_load import load_deals
from connectors.sandbox.salesforce.state import (
    ADMIN_PROFILE,
    ADMIN_USER,
    API_PERMISSIONS,
    API_PROFILE,
    INTEGRATION_USER,
    LEAD_QUEUE,
    LEAD_RULE,
    ORG_ID,
    STANDARD_PROFILE,
    OrgState,
)
from connectors.sandbox.salesforce.values import stamp
from connectors.sandbox.world import Firm, Happening, Human, Rep, World, message_id, salesforce_id

DRAFTS = 12
"""After one in so many e-mails that were sent lies a draft."""


def _user(id_: str, first: str, last: str, email: str, active: bool, profile: str) -> dict[str, Any]:
    return {
        "Id": id_,
        "Username": email,
        "FirstName": first,
        "LastName": last,
        "Name": f"{first} {last}",
        "Email": email,
        "Alias": (first[:1] + last)[:8].lower(),
        "IsActive": active,
        "TimeZoneSidKey": "GMT",
        "LocaleSidKey": "en_US",
        "LanguageLocaleKey": "en_US",
        "ProfileId": profile,
        "UserType": "Standard",
        **audit_fields(stamp(FOUNDED)),
    }


def _statuses(state: OrgState, name: str, values: tuple[str, ...], **flags: tuple[str, ...]) -> None:
    base = {"LeadStatus": 100, "TaskStatus": 200, "OpportunityStage": 300}[name]
    records = [
        {
            "Id": salesforce_id("01J", base + order),
            "MasterLabel": value,
            "ApiName": value,
            "SortOrder": order,
            **{flag: value in members for flag, members in flags.items()},
            **audit_fields(stamp(FOUNDED)),
        }
        for order, value in enumerate(values, 1)
    ]
    state.of(name).extend(records)


def _furniture() -> dict[str, list[dict[str, Any]]]:
    organization = {
        "Name": "Sandbox Org",
        "Country": "US",
        "DefaultLocaleSidKey": "en_US",
        "TimeZoneSidKey": "GMT",
        "LanguageLocaleKey": "en_US",
        "OrganizationType": "Enterprise Edition",
        "InstanceName": "SBX1",
        "IsSandbox": True,
        "FiscalYearStartMonth": 1,
    }
    permissions = {"PermissionsApiEnabled": True, "PermissionsViewAllData": True, "PermissionsViewSetup": True}
    return {
        "Organization": [{"Id": ORG_ID} | organization],
        "Profile": [
            {"Id": STANDARD_PROFILE, "Name": "Standard User", "UserType": "Standard"},
            {"Id": ADMIN_PROFILE, "Name": "System Administrator", "UserType": "Standard"},
            {"Id": API_PROFILE, "Name": "Minimum Access - API Only Integrations", "UserType": "Standard"},
        ],
        "User": [
            _user(INTEGRATION_USER, "crmsync", "Integration", "crmsync@sandbox.example", True, API_PROFILE),
            _user(ADMIN_USER, "Org", "Admin", "admin@sandbox.example", True, ADMIN_PROFILE),
        ],
        "Group": [
            {
                "Id": LEAD_QUEUE,
                "Name": "Inbound Leads",
                "DeveloperName": "Inbound_Leads",
                "Type": "Queue",
                "OwnerId": ORG_ID,
            }
        ],
        "QueueSobject": [{"Id": salesforce_id("03g", 1), "QueueId": LEAD_QUEUE, "SobjectType": "Lead"}],
        "AssignmentRule": [{"Id": LEAD_RULE, "Name": "Inbound leads", "SobjectType": "Lead", "Active": True}],
        "PermissionSet": [
            {"Id": API_PERMISSIONS, "Name": "Integration_Access", "Label": "Integration Access", "IsCustom": True}
            | permissions
        ],
        "PermissionSetAssignment": [
            {
                "Id": salesforce_id("0Pa", 1),
                "PermissionSetId": API_PERMISSIONS,
                "AssigneeId": INTEGRATION_USER,
                "IsActive": True,
            }
        ],
    }


def furnish_org(state: OrgState) -> None:
    """Put in what every org has before anybody works in it: users, a queue, an assignment rule, picklists."""
    audit = audit_fields(stamp(FOUNDED))
    for name, records in _furniture().items():
        state.of(name).extend([audit | record for record in records], after=len(records))
    lead, task = state.of("Lead").sobject.fields, state.of("Task").sobject.fields
    stages = state.of("Opportunity").sobject.fields["stagename"].values
    first = lead["status"].values[:1], task["status"].values[:1]
    _statuses(state, "LeadStatus", lead["status"].values, IsDefault=first[0], IsConverted=("Closed - Converted",))
    _statuses(state, "TaskStatus", task["status"].values, IsDefault=first[1], IsClosed=("Completed",))
    _statuses(state, "OpportunityStage", stages, IsActive=stages, IsClosed=stages[-2:], IsWon=stages[-2:-1])


def load_org(state: OrgState, world: World) -> None:
    """Fill a furnished org with a world."""
    loading = Loading(state, world)
    for rep in world.reps:
        loading.reps[rep.number] = loading.add("User", _rep(rep))["Id"]
    for firm in world.firms:
        loading.add("Account", _account(loading, firm))
    deals = [deal for deal in world.deals if "salesforce" in deal.seen_by]
    for deal in deals:
        for number in deal.contacts[:1]:
            loading.converted_into.setdefault(number, salesforce_id("006", deal.number))
    for human in world.humans:
        if human.in_salesforce:
            _human(loading, human)
            loading.settle()
    load_deals(loading, deals)
    for name in list(loading.waiting):
        loading.flush(name)
    for name in ("Lead", "Contact"):
        state.of(name).next_number = 4 * (max((human.number for human in world.humans), default=0) + 1)
    state.of("Opportunity").next_number = max((deal.number for deal in deals), default=0) + 1
    state.of("Account").next_number = max((firm.number for firm in world.firms), default=0) + 1
    state.of("User").next_number = max((rep.number for rep in world.reps), default=0) + 1


def _rep(rep: Rep) -> dict[str, Any]:
    return _user(salesforce_id("005", rep.number), rep.first, rep.last, rep.email, rep.active, STANDARD_PROFILE)


def _rolled(loading: Loading, what: Firm | Human, field: str) -> int:
    return roll(loading.world.seed, f"salesforce {type(what).__name__}", what.number, field)


def _money(revenue: int | None, rolled: int) -> float | None:
    written = write_count(revenue, rolled)
    return None if written is None else float(written)


def _account(loading: Loading, firm: Firm) -> dict[str, Any]:
    return {
        "Id": salesforce_id("001", firm.number),
        "Name": firm.name,
        "Website": write_website(firm.domain, _rolled(loading, firm, "website")),
        "Industry": firm.industry,
        "NumberOfEmployees": write_count(firm.employees, _rolled(loading, firm, "employees")),
        "AnnualRevenue": _money(firm.revenue, _rolled(loading, firm, "revenue")),
        "BillingCountry": write_country(firm.country, _rolled(loading, firm, "country")),
        "Type": "Prospect",
        "OwnerId": loading.owner(firm.owner),
        **audit_fields(stamp(FOUNDED)),
    }


def _human(loading: Loading, human: Human) -> None:
    records = [_record(loading, human, at) for at in range(len(human.in_salesforce))]
    who = records[-1]
    happened = [each for each in human.happenings if "salesforce" in each.seen_by]
    emails: dict[Any, dict[str, Any]] = {}
    members: dict[str, dict[str, Any]] = {}
    for happening in sorted(happened, key=lambda each: each.at):
        if make := _MAKERS.get(happening.kind):
            make(_Moment(loading, human, who, happening, emails, members))
    for kind, record in zip(human.in_salesforce, records, strict=True):
        loading.add("Contact" if kind == "contact" else "Lead", record)


def _record(loading: Loading, human: Human, at: int) -> dict[str, Any]:
    kind = human.in_salesforce[at]
    created = human.created_at + timedelta(days=at)
    made = stamp(min(created, loading.world.now))
    # Salesforce takes blanks from both ends of a text.
    first = write_name(human.first, _rolled(loading, human, "first")).strip()
    last = write_name(human.last, _rolled(loading, human, "last")).strip()
    record = {
        "Id": salesforce_id("003" if kind == "contact" else "00Q", human.number * 4 + at),
        "FirstName": first,
        "LastName": last,
        "Name": f"{first} {last}".strip(),
        "Title": write_title(human.title, human.country, _rolled(loading, human, "title")).strip() or None,
        "Email": human.email,
        "Phone": write_phone(human.country, _rolled(loading, human, "phone")) or None,
        "LeadSource": ("Web", "Partner Referral", "Purchased List", "Other")[human.number % 4],
        **audit_fields(made, by=loading.owner(human.owner)),
    }
    if kind == "contact":
        return record | _contact(loading, human)
    return record | _lead(loading, human, at, kind == "converted")


def _contact(loading: Loading, human: Human) -> dict[str, Any]:
    account = salesforce_id("001", human.firm.number) if human.firm else None
    country = write_country(human.country, _rolled(loading, human, "country"))
    return {"AccountId": account, "MailingCountry": country or None, "OwnerId": loading.owner(human.owner)}


def _lead(loading: Loading, human: Human, at: int, converted: bool) -> dict[str, Any]:
    firm = human.firm
    company = write_company(firm.name if firm else None, _rolled(loading, human, "company"))
    lead = {
        "Company": company or "[not provided]",
        "Industry": firm.industry if firm else None,
        "NumberOfEmployees": write_count(firm.employees, _rolled(loading, human, "employees")) if firm else None,
        "AnnualRevenue": _money(firm.revenue, _rolled(loading, human, "revenue")) if firm else None,
        "Website": write_website(firm.domain, _rolled(loading, human, "website")) if firm else None,
        "Country": write_country(human.country, _rolled(loading, human, "country")) or None,
        "Status": "Open - Not Contacted" if human.owner is None else "Working - Contacted",
        "OwnerId": LEAD_QUEUE if human.owner is None else loading.owner(human.owner),
        "IsUnreadByOwner": human.owner is None,
    }
    if converted:
        day = (human.created_at + timedelta(days=at + 1)).date()
        lead |= {
            "Status": "Closed - Converted",
            "IsConverted": True,
            "ConvertedDate": day.isoformat(),
            "ConvertedContactId": salesforce_id("003", human.number * 4 + at + 1),
            "ConvertedAccountId": salesforce_id("001", firm.number) if firm else None,
            "ConvertedOpportunityId": loading.converted_into.get(human.number),
        }
    return lead


@dataclass(frozen=True)
class _Moment:
    """One thing that happened, whose record it belongs to, and what of theirs is there already."""

    loading: Loading
    human: Human
    who: dict[str, Any]
    happening: Happening
    emails: dict[Any, dict[str, Any]]
    members: dict[str, dict[str, Any]]

    @property
    def at(self) -> str:
        return self.loading.stamped(self.happening.at)

    @property
    def day(self) -> str:
        return sys.intern(self.at[:10])

    @property
    def logged(self) -> str:
        return self.loading.stamped(min(self.happening.at, self.loading.world.now))

    @property
    def owner(self) -> str:
        return self.loading.owner(self.human.owner)

    def rolled(self, field: str) -> int:
        return roll(self.loading.world.seed, "salesforce", self.human.number, self.at, field)

    @property
    def recipient(self) -> str:
        """Their address as mail programs write it."""
        name = f"{self.human.first} {self.human.last}".strip()
        return write_address(self.human.email, name, self.rolled("recipient")).strip()

    def text(self, name: str, default: str) -> str:
        return str(self.happening.attributes.get(name, default))


def _seen(moment: _Moment) -> None:
    """An activity in the past moves its person's LastActivityDate and SystemModstamp."""
    if moment.happening.at <= moment.loading.world.now:
        day = moment.day
        if (moment.who.get("LastActivityDate") or "") < day:
            moment.who["LastActivityDate"] = day
            moment.who["SystemModstamp"] = max(moment.who["SystemModstamp"], moment.at)


def _task(moment: _Moment, subtype: str, subject: str, **more: Any) -> dict[str, Any]:
    _seen(moment)
    task = {
        "Id": moment.loading.id("Task"),
        "WhoId": moment.who["Id"],
        "AccountId": moment.who.get("AccountId"),
        "OwnerId": moment.owner,
        "Subject": subject,
        "Status": "Completed",
        "IsClosed": True,
        "Priority": "Normal",
        "TaskSubtype": subtype,
        "ActivityDate": moment.day,
        "CompletedDateTime": moment.at,
        **audit_fields(moment.logged, by=moment.owner),
        **more,
    }
    return moment.loading.add("Task", task)


def _call(moment: _Moment) -> None:
    seconds = moment.happening.attributes.get("seconds", 0)
    outcome = write_call_outcome(moment.text("outcome", ""), moment.rolled("outcome"))
    _task(
        moment, "Call", moment.text("subject", "Call"), Type="Call", CallType="Outbound",
        CallDurationInSeconds=int(seconds), CallDisposition=outcome or None,
    )  # fmt: skip


def _note(moment: _Moment) -> None:
    _task(moment, "Task", moment.text("subject", "Note"), Type="Other")


def _todo(moment: _Moment) -> None:
    _task(moment, "Task", moment.text("subject", "Follow up"))


def _letter(moment: _Moment, **more: Any) -> dict[str, Any]:
    subject = moment.text("subject", "Your question")
    task = _task(moment, "Email", f"Email: {subject}", Type="Email")
    return _message(moment, subject, ActivityId=task["Id"], **more)


def _message(moment: _Moment, subject: str, **more: Any) -> dict[str, Any]:
    rep = f"rep{moment.human.owner}@sandbox.example" if moment.human.owner is not None else "admin@sandbox.example"
    letter = {
        "Id": moment.loading.id("EmailMessage"),
        "ActivityId": None,
        "RelatedToId": None,
        "Subject": subject,
        "FromAddress": rep,
        "ToAddress": moment.recipient or None,
        "Status": "3",
        "MessageDate": moment.at,
        "MessageIdentifier": moment.text("message_id", message_id(moment.human, moment.happening)),
        "IsTracked": True,
        **audit_fields(moment.logged, by=moment.owner),
        **more,
    }
    relation = {
        "Id": moment.loading.id("EmailMessageRelation"),
        "EmailMessageId": letter["Id"],
        "RelationId": moment.who["Id"],
        "RelationType": "FromAddress" if letter.get("Incoming") else "ToAddress",
        "RelationAddress": moment.human.email,
        "RelationObjectType": "Contact" if moment.who["Id"].startswith("003") else "Lead",
        **audit_fields(moment.logged, by=moment.owner),
    }
    moment.loading.add("EmailMessageRelation", relation)
    moment.loading.add("EmailMessage", letter)
    return letter


def _sent(moment: _Moment) -> dict[str, Any]:
    letter = _letter(moment)
    moment.emails[moment.happening.attributes.get("subject")] = letter
    if moment.rolled("draft") % DRAFTS == 0:
        # What somebody began to write after it, and did not send.
        _message(moment, f"Re: {letter['Subject']}", Status="5", MessageIdentifier=None, IsTracked=False)
    return letter


def _earlier(moment: _Moment) -> dict[str, Any]:
    """The e-mail that was opened, bounced or answered."""
    return moment.emails.get(moment.happening.attributes.get("subject")) or _sent(moment)


def _opened(moment: _Moment) -> None:
    letter = _earlier(moment)
    letter["IsOpened"] = True
    letter.setdefault("FirstOpenedDate", moment.at)
    letter["LastOpenedDate"] = letter["SystemModstamp"] = moment.at


def _bounced(moment: _Moment) -> None:
    letter = _earlier(moment)
    letter["IsBounced"], letter["SystemModstamp"] = True, moment.at
    moment.who["EmailBouncedDate"], moment.who["EmailBouncedReason"] = moment.at, "550 mailbox unavailable"
    moment.who["SystemModstamp"] = max(moment.who["SystemModstamp"], moment.at)
    if moment.who["Id"].startswith("003"):
        moment.who["IsEmailBounced"] = True


def _replied(moment: _Moment) -> None:
    _received(moment, ReplyToEmailMessageId=_earlier(moment)["Id"])


def _received(moment: _Moment, **more: Any) -> None:
    _letter(
        moment, Incoming=True, FromAddress=moment.human.email, ToAddress="admin@sandbox.example", Status="2",
        IsTracked=False, **more,
    )  # fmt: skip


def _unsubscribed(moment: _Moment) -> None:
    moment.who["HasOptedOutOfEmail"] = True
    moment.who["SystemModstamp"] = max(moment.who["SystemModstamp"], moment.at)


def _meeting(moment: _Moment) -> None:
    _seen(moment)
    end = moment.happening.at + timedelta(minutes=30)
    event = {
        "Id": moment.loading.id("Event"),
        "WhoId": moment.who["Id"],
        "AccountId": moment.who.get("AccountId"),
        "OwnerId": moment.owner,
        "Subject": moment.text("subject", "Meeting"),
        "ActivityDate": moment.day,
        "ActivityDateTime": moment.at,
        "StartDateTime": moment.at,
        "EndDateTime": stamp(end),
        "DurationInMinutes": 30,
        "EventSubtype": "Event",
        "ShowAs": "Busy",
        **audit_fields(moment.logged, by=moment.owner),
    }
    moment.loading.add("Event", event)


def _membership(kind: str, status: str) -> Callable[[_Moment], None]:
    def join(moment: _Moment) -> None:
        campaign = campaign_id(moment.loading, moment.text("campaign", kind), kind)
        member = moment.members.get(campaign)
        if member is None:
            member = moment.members[campaign] = moment.loading.add("CampaignMember", _member(moment, campaign))
        member |= {"Status": status, "HasResponded": True, "SystemModstamp": moment.at, "LastModifiedDate": moment.at}
        member.setdefault("FirstRespondedDate", moment.day)

    return join


def _member(moment: _Moment, campaign: str) -> dict[str, Any]:
    contact = moment.who["Id"].startswith("003")
    return {
        "Id": moment.loading.id("CampaignMember"),
        "CampaignId": campaign,
        "ContactId" if contact else "LeadId": moment.who["Id"],
        "LeadOrContactId": moment.who["Id"],
        "AccountId": moment.who.get("AccountId"),
        "Type": "Contact" if contact else "Lead",
        "FirstName": moment.who["FirstName"],
        "LastName": moment.who["LastName"],
        "Name": moment.who["Name"],
        "Title": moment.who["Title"],
        "Email": moment.human.email,
        **audit_fields(moment.logged),
    }


_MAKERS: dict[str, Callable[[_Moment], object]] = {
    "call_completed": _call,
    "note_logged": _note,
    "task_completed": _todo,
    "email_sent": _sent,
    "email_opened": _opened,
    "email_replied": _replied,
    "email_auto_replied": _received,
    "email_bounced": _bounced,
    "email_unsubscribed": _unsubscribed,
    "meeting_booked": _meeting,
    "meeting_held": _meeting,
    "webinar_registered": _membership("Webinar", "Registered"),
    "webinar_attended": _membership("Webinar", "Attended"),
    "event_registered": _membership("Trade Show", "Registered"),
    "event_attended": _membership("Trade Show", "Attended"),
    "campaign_responded": _membership("Email", "Responded"),
}
