"""What HubSpot ships with: its types of object, and the properties, options and stages of each."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from connectors.sandbox.as_written import NUMBER_OPTIONS
from connectors.sandbox.hubspot.deal_stages import DEFAULT_PIPELINE
from connectors.sandbox.hubspot.wire import Json


class ObjectType(NamedTuple):
    """What a client may call a type of object, and the properties HubSpot keeps its times in."""

    name: str
    singular: str
    type_id: str
    modified: str
    created: str
    shown: tuple[str, ...]
    scope: str


def _type(name: str, singular: str, type_id: str, shown: str, scope: str = "contacts") -> ObjectType:
    contact = name == "contacts"
    modified = "lastmodifieddate" if contact else "hs_lastmodifieddate"
    created = "createdate" if name in ("contacts", "companies", "deals") else "hs_createdate"
    return ObjectType(name, singular, type_id, modified, created, tuple(shown.split()), scope)


TYPES = {
    each.name: each
    for each in (
        _type("contacts", "contact", "0-1", "email firstname lastname"),
        _type("companies", "company", "0-2", "domain name", "companies"),
        _type("deals", "deal", "0-3", "amount closedate dealname dealstage pipeline", "deals"),
        _type("notes", "note", "0-46", ""),
        _type("meetings", "meeting", "0-47", ""),
        _type("calls", "call", "0-48", ""),
        _type("emails", "email", "0-49", ""),
        _type("tasks", "task", "0-27", ""),
        _type("communications", "communication", "0-18", ""),
        _type("postal_mail", "postal_mail", "0-116", ""),
        _type("tickets", "ticket", "0-5", "content hs_pipeline hs_pipeline_stage subject", "tickets"),
        _type("leads", "lead", "0-136", "hs_lead_name", "leads"),
        _type("line_items", "line_item", "0-8", "name", "line_items"),
        _type("products", "product", "0-7", "name", "products"),
        _type("quotes", "quote", "0-14", "hs_title", "quotes"),
        _type("feedback_submissions", "feedback_submission", "0-19", "", "feedback_submissions"),
        _type("goal_targets", "goal_target", "0-74", "hs_goal_name", "goals"),
        _type("deal_splits", "deal_split", "0-72", "", "deals"),
    )
}
_NAMES = {alias.lower(): each for each in TYPES.values() for alias in (each.name, each.singular, each.type_id)}


ENGAGEMENTS = frozenset({"calls", "communications", "emails", "meetings", "notes", "postal_mail", "tasks"})
"""The types of object that are activities."""


def object_type(name: str) -> ObjectType | None:
    """The type a client means by `contacts`, `contact`, `CONTACT` or `0-1`."""
    return _NAMES.get(name.lower())


STAGES = (
    ("subscriber", "Subscriber"),
    ("lead", "Lead"),
    ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"),
    ("opportunity", "Opportunity"),
    ("customer", "Customer"),
    ("evangelist", "Evangelist"),
    ("other", "Other"),
)
TICKET_STAGES = (("1", "New"), ("2", "Waiting on contact"), ("3", "Waiting on us"), ("4", "Closed"))
_OPTIONS: dict[str, Iterable[tuple[str, str]]] = {
    "lifecyclestage": STAGES,
    "dealstage": [(each.id, each.label) for each in DEFAULT_PIPELINE.stages],
    "hs_pipeline_stage": TICKET_STAGES,
    "pipeline": [(DEFAULT_PIPELINE.id, DEFAULT_PIPELINE.label)],
    "deal_currency_code": [("EUR", "EUR"), ("USD", "USD"), ("GBP", "GBP")],
    "hs_pipeline": [("contacts-lifecycle-pipeline", "Lifecycle Stage Pipeline")],
    "hs_lead_status": [
        (each, each.replace("_", " ").capitalize())
        for each in [
            "NEW",
            "OPEN",
            "IN_PROGRESS",
            "OPEN_DEAL",
            "UNQUALIFIED",
            "ATTEMPTED_TO_CONTACT",
            "CONNECTED",
            "BAD_TIMING",
        ]
    ],
    "hs_analytics_source": [
        (each, each.replace("_", " ").title())
        for each in [
            "ORGANIC_SEARCH",
            "PAID_SEARCH",
            "EMAIL_MARKETING",
            "SOCIAL_MEDIA",
            "REFERRALS",
            "DIRECT_TRAFFIC",
            "OFFLINE",
        ]
    ],
    "hs_email_hard_bounce_reason_enum": [
        (each, each.replace("_", " ").capitalize())
        for each in ["UNKNOWN_USER", "SPAM", "POLICY", "MAILBOX_FULL", "OTHER"]
    ],
    "hs_email_direction": [(each, each) for each in ["EMAIL", "INCOMING_EMAIL", "FORWARDED_EMAIL"]],
    "hs_email_status": [(each, each) for each in ["BOUNCED", "FAILED", "SCHEDULED", "SENDING", "SENT"]],
    "numemployees": [(each, each) for each in NUMBER_OPTIONS],
    "hs_marketable_status": [("true", "Marketing contact"), ("false", "Non-marketing contact")],
    "hs_call_direction": [("INBOUND", "Inbound"), ("OUTBOUND", "Outbound")],
    "hs_call_status": [(each, each) for each in ["BUSY", "CANCELED", "COMPLETED", "FAILED", "NO_ANSWER", "QUEUED"]],
    "hs_meeting_outcome": [(each, each) for each in ["SCHEDULED", "COMPLETED", "RESCHEDULED", "NO_SHOW", "CANCELED"]],
    "hs_task_status": [(each, each) for each in ["NOT_STARTED", "IN_PROGRESS", "WAITING", "COMPLETED", "DEFERRED"]],
    "hs_task_type": [(each, each) for each in ["TODO", "CALL", "EMAIL"]],
    "hs_communication_channel_type": [(each, each) for each in ["SMS", "WHATS_APP", "LINKEDIN_MESSAGE"]],
}

# One property a line: name, type, field type; then `ro` where only HubSpot sets the value.
_EVERYWHERE = """
hs_object_id number number ro
hs_object_source string text ro
hs_object_source_id string text ro
hs_object_source_label string text ro
hs_merged_object_ids enumeration checkbox ro
hubspot_owner_id enumeration select
hubspot_team_id enumeration select
hubspot_owner_assigneddate datetime date ro
hs_all_owner_ids enumeration checkbox ro
hs_created_by_user_id number number ro
"""
_TIMES = {
    "contacts": "createdate datetime date ro\nlastmodifieddate datetime date ro",
    "companies": "createdate datetime date ro\nhs_lastmodifieddate datetime date ro",
    "deals": "createdate datetime date ro\nhs_lastmodifieddate datetime date ro",
}
_ENGAGEMENT = """
hs_createdate datetime date ro
hs_lastmodifieddate datetime date ro
hs_timestamp datetime date
hs_activity_type enumeration select
hs_attachment_ids string text
"""
_OWN = {
    "contacts": """
email string text
hs_additional_emails enumeration checkbox ro
firstname string text
lastname string text
salutation string text
jobtitle string text
company string text
phone string phonenumber
mobilephone string phonenumber
address string text
city string text
state string text
zip string text
country string text
website string text
industry string text
message string textarea
hs_language enumeration select
annualrevenue string text
numemployees enumeration select
company_size string text
work_email string text
associatedcompanyid number number
lifecyclestage enumeration radio
hs_pipeline enumeration select
hs_lead_status enumeration radio
hs_is_unworked bool calculation_equation ro
hs_is_contact bool calculation_equation ro
hs_email_domain string text ro
hs_full_name_or_email string calculation_equation ro
hs_all_contact_vids enumeration checkbox ro
hs_calculated_merged_vids enumeration checkbox ro
hubspotscore number calculation_score ro
hs_predictivecontactscore_v2 number number ro
hs_predictivescoringtier enumeration radio ro
hs_marketable_status enumeration booleancheckbox ro
hs_analytics_source enumeration select
hs_analytics_num_page_views number number ro
hs_analytics_num_visits number number ro
hs_analytics_num_event_completions number number ro
hs_analytics_first_timestamp datetime date ro
hs_analytics_last_timestamp datetime date ro
hs_analytics_last_visit_timestamp datetime date ro
hs_analytics_last_url string text ro
num_conversion_events number number ro
num_unique_conversion_events number number ro
first_conversion_date datetime date ro
first_conversion_event_name string text ro
recent_conversion_date datetime date ro
recent_conversion_event_name string text ro
hs_calculated_form_submissions enumeration checkbox ro
hs_email_delivered number number ro
hs_email_open number number ro
hs_email_click number number ro
hs_email_bounce number number ro
hs_email_replied number number ro
hs_email_optout bool booleancheckbox ro
hs_email_bad_address bool booleancheckbox ro
hs_email_quarantined bool booleancheckbox ro
hs_email_hard_bounce_reason_enum enumeration select ro
hs_email_first_send_date datetime date ro
hs_email_last_send_date datetime date ro
hs_email_first_open_date datetime date ro
hs_email_last_open_date datetime date ro
hs_email_first_click_date datetime date ro
hs_email_last_click_date datetime date ro
hs_email_last_reply_date datetime date ro
hs_email_last_email_name string text ro
hs_email_sends_since_last_engagement number number ro
hs_sales_email_last_opened datetime date ro
hs_sales_email_last_clicked datetime date ro
hs_sales_email_last_replied datetime date ro
hs_sequences_is_enrolled bool booleancheckbox ro
notes_last_contacted datetime date ro
notes_last_updated datetime date ro
notes_next_activity_date datetime date ro
num_notes number number ro
num_contacted_notes number number ro
num_associated_deals number number ro
hs_last_sales_activity_timestamp datetime date ro
hs_time_to_first_engagement number number ro
engagements_last_meeting_booked datetime date ro
hs_latest_meeting_activity datetime date ro
salesforceleadid string text
salesforcecontactid string text
salesforceaccountid string text
salesforcelastsynctime datetime date ro
""",
    "companies": """
name string text
domain string text
website string text
industry enumeration select
numberofemployees number number
annualrevenue number number
country string text
city string text
state string text
phone string phonenumber
description string textarea
lifecyclestage enumeration radio
hs_lead_status enumeration radio
num_associated_contacts number number ro
hs_is_target_account bool booleancheckbox
""",
    "deals": """
dealname string text
amount number number
closedate datetime date
dealstage enumeration radio
pipeline enumeration select
hs_is_closed bool calculation_equation ro
hs_is_closed_won bool calculation_equation ro
hs_deal_stage_probability number number ro
hs_v2_date_entered_current_stage datetime date ro
deal_currency_code enumeration select
closed_lost_reason string textarea
hs_analytics_source enumeration select ro
hs_campaign string text
num_associated_contacts number number ro
""",
    "emails": """
hs_email_direction enumeration select
hs_email_status enumeration select
hs_email_subject string text
hs_email_text string textarea
hs_email_html string html
hs_email_from_email string text ro
hs_email_to_email string text ro
hs_email_headers string textarea
hs_email_message_id string text
hs_incoming_email_is_out_of_office bool booleancheckbox
hs_email_open_count number number ro
hs_email_click_count number number ro
hs_email_reply_count number number ro
""",
    "calls": """
hs_call_title string text
hs_call_body string html
hs_call_direction enumeration select
hs_call_disposition string text
hs_call_duration number number
hs_call_status enumeration select
hs_call_from_number string text
hs_call_to_number string text
""",
    "meetings": """
hs_meeting_title string text
hs_meeting_body string html
hs_internal_meeting_notes string textarea
hs_meeting_start_time datetime date
hs_meeting_end_time datetime date
hs_meeting_outcome enumeration select
hs_meeting_location string text
hs_meeting_external_url string text
""",
    "tickets": """
subject string text
content string textarea
hs_pipeline enumeration select
hs_pipeline_stage enumeration radio
""",
    "leads": "hs_lead_name string text",
    "line_items": "name string text",
    "products": "name string text",
    "quotes": "hs_title string text",
    "goal_targets": "hs_goal_name string text",
    "notes": "hs_note_body string html",
    "tasks": """
hs_task_subject string text
hs_task_body string html
hs_task_status enumeration select
hs_task_type enumeration select
hs_task_priority enumeration select
hs_task_completion_date datetime date ro
""",
    "communications": """
hs_communication_body string html
hs_communication_channel_type enumeration select
hs_communication_logged_from enumeration select
""",
}
_GROUPS = {each: f"{TYPES[each].singular}information" for each in ("contacts", "companies", "deals")}
OPEN_ENUMERATIONS = frozenset({"hubspot_team_id", "hs_language", "hs_activity_type"})
"""Enumerations whose options are in another place, or too many to keep here."""


def option_of(value: str, label: str, order: int = -1) -> Json:
    """One option of an enumeration."""
    return {"label": label, "value": value, "displayOrder": order, "hidden": False}


def options_of(name: str) -> list[Json]:
    """The options HubSpot ships for a property."""
    return [option_of(value, label, order) for order, (value, label) in enumerate(_OPTIONS.get(name, ()))]


def _definition(line: str, group: str, order: int) -> Json:
    name, kind, field_type, *flags = line.split()
    read_only = "ro" in flags
    return {
        "updatedAt": "2024-09-12T14:22:56.844Z",
        "createdAt": "2020-06-30T15:57:37.277Z",
        "name": name,
        "label": name.removeprefix("hs_").replace("_", " ").title(),
        "type": kind,
        "fieldType": field_type,
        "description": "",
        "groupName": group,
        "options": options_of(name),
        "displayOrder": order,
        "calculated": field_type.startswith("calculation"),
        "externalOptions": name == "hubspot_owner_id",
        "hasUniqueValue": False,
        "hidden": False,
        "hubspotDefined": True,
        "modificationMetadata": {"archivable": True, "readOnlyDefinition": True, "readOnlyValue": read_only},
        "formField": not read_only,
        "dataSensitivity": "non_sensitive",
        **({"referencedObjectType": "OWNER"} if name == "hubspot_owner_id" else {}),
    }


def group_of(type_name: str) -> str:
    """The group that HubSpot's own properties of a type are in."""
    return _GROUPS.get(type_name, "engagementinformation")


@cache
def list_definitions(type_name: str) -> dict[str, Json]:
    """The properties HubSpot ships for a type of object, by name; made once, so do not change them."""
    text = "\n".join((_EVERYWHERE, _TIMES.get(type_name, _ENGAGEMENT), _OWN.get(type_name, "")))
    lines = [line for line in text.splitlines() if line]
    found = [_definition(line, group_of(type_name), order) for order, line in enumerate(lines)]
    return {each["name"]: each for each in [*found, *_stage_dates(type_name)]}


def stage_date(stage: str) -> Json:
    """The property that says when a contact became a `stage`."""
    return _definition(f"hs_lifecyclestage_{stage}_date datetime date ro", group_of("contacts"), -1)


def deal_stage_dates(stage: str) -> list[Json]:
    """The properties that say when a deal came into a stage and left it."""
    return [
        _definition(f"hs_v2_date_{moved}_{stage} datetime date ro", group_of("deals"), -1)
        for moved in ("entered", "exited")
    ]


def _stage_dates(type_name: str) -> list[Json]:
    if type_name == "deals":
        return [date for stage in DEFAULT_PIPELINE.stages for date in deal_stage_dates(stage.id)]
    return [stage_date(stage) for stage, _ in STAGES] if type_name == "contacts" else []
