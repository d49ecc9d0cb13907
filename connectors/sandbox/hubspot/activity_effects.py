"""What HubSpot keeps of something a contact did: the record, event or submission, and its own counts on the contact."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from connectors.sandbox.hubspot.records import StoredRecord
from connectors.sandbox.hubspot.state import PORTAL_ID, PortalState
from connectors.sandbox.hubspot.tracking import VISITED, About, FormType
from connectors.sandbox.hubspot.wire import instant, iso

Values = dict[str, str]

DISPOSITIONS = {
    # The ids are those every portal has for these outcomes of a call.
    "CONNECTED": "f240bbac-87c9-4f6e-bf70-924b57d47db7",
    "LEFT_VOICEMAIL": "b2cf5968-551e-4856-9783-52b3da59a7d0",
    "NO_ANSWER": "73a0d17f-1163-4015-bdd5-ec830791da20",
    "BUSY": "9d9162e7-6cf3-4944-bf63-4dff82258764",
    "WRONG_NUMBER": "17b47fee-58de-441e-a44c-c6300d46f273",
    "LEFT_LIVE_MESSAGE": "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",
}
CALL_OUTCOMES = {guid: name.replace("_", " ").capitalize() for name, guid in DISPOSITIONS.items()}
"""The label of each outcome by its id."""
_SENDING = {
    "email_sent": ("DELIVERED", "delivered", "send"),
    "email_opened": ("OPEN", "open", "open"),
    "email_clicked": ("CLICK", "click", "click"),
}


def record_activity(
    state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int
) -> Values:
    """Keep a happening of a contact, and return the contact's properties that follow from it.

    `at` is when it happened and `known_at` when HubSpot came to know, both in epoch milliseconds.
    """
    keep = _KEEPERS.get(kind)
    if keep is None:
        return _custom_event(state, contact, kind, at, about)
    return keep(state, contact, kind, at, about, known_at)


def _counted(contact: StoredRecord, name: str) -> str:
    return str(int(contact.properties.get(name, "0")) + 1)


def _later(contact: StoredRecord, name: str, at: int) -> Values:
    """A last-time property, unless it is later already."""
    text = iso(at)
    return {name: text} if text > contact.properties.get(name, "") else {}


def _earlier(contact: StoredRecord, name: str, at: int) -> Values:
    """A first-time property, unless it is earlier already."""
    text, kept = iso(at), contact.properties.get(name)
    return {name: text} if kept is None or text < kept else {}


def _custom_event(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About) -> Values:
    """Webinars, events, downloads and whatever else is a custom event of the portal."""
    state.tracking.occurred(f"pe{PORTAL_ID}_{kind}", contact.id, at, about)
    return {"hs_analytics_num_event_completions": _counted(contact, "hs_analytics_num_event_completions")}


def _page(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    state.tracking.occurred(VISITED, contact.id, at, about)
    last = _later(contact, "hs_analytics_last_timestamp", at)
    visit = _visited(contact, at) if last else {}
    return {
        "hs_analytics_num_page_views": _counted(contact, "hs_analytics_num_page_views"),
        **_earlier(contact, "hs_analytics_first_timestamp", at),
        **visit,
        **last,
        **({"hs_analytics_last_url": str(about.get("url", ""))} if last else {}),
    }


def _visited(contact: StoredRecord, at: int) -> Values:
    """A page half an hour after the last one begins a new visit."""
    previous = instant(contact.properties.get("hs_analytics_last_timestamp", ""))
    if previous is not None and at - previous < 1_800_000:
        return {}
    visits = _counted(contact, "hs_analytics_num_visits")
    return {"hs_analytics_num_visits": visits, "hs_analytics_last_visit_timestamp": iso(at)}


def _form(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    name = str(about.get("form", "Form"))
    form = state.tracking.form(name, at, _form_type(str(about.get("form_type", "")), name))
    names = ("email", "firstname", "lastname", "company")
    values = {name: contact.properties[name] for name in names if name in contact.properties}
    page = str(about.get("url", ""))
    state.tracking.submitted(form, at, values, page)
    earlier = contact.properties.get("hs_calculated_form_submissions", "")
    title = f"{page.rpartition('/')[2].replace('-', ' ').title() or 'Home'}: {form.name}"
    last = _later(contact, "recent_conversion_date", at)
    first = _earlier(contact, "first_conversion_date", at)
    forms = {each.partition("::")[0] for each in earlier.split(";") if each} | {form.id}
    return {
        "num_conversion_events": _counted(contact, "num_conversion_events"),
        "num_unique_conversion_events": str(len(forms)),
        "hs_calculated_form_submissions": f"{earlier};{form.id}::{at}".strip(";"),
        **last,
        **first,
        **({"recent_conversion_event_name": title} if last else {}),
        **({"first_conversion_event_name": title} if first else {}),
    }


def _form_type(said: str, name: str) -> FormType:
    """The type a form was said to have; otherwise downloads are asked for in a pop-up."""
    return next(
        (each for each in get_args(FormType) if each == said), "flow" if name.startswith("Download") else "hubspot"
    )


def _mail(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    """An e-mail that was sent, opened or clicked: a salesperson's where it has no campaign, else marketing's."""
    if not about.get("campaign"):
        return _sales_mail(state, contact, kind, at, about, known_at)
    event, counter, word = _SENDING[kind]
    recipient, name = contact.properties.get("email", ""), _mail_name(about)
    if kind == "email_sent":
        state.tracking.emailed("SENT", recipient, at, name)
    state.tracking.emailed(event, recipient, at, name, bool(about.get("filtered")), str(about.get("url") or ""))
    last = _later(contact, f"hs_email_last_{word}_date", at)
    return {
        f"hs_email_{counter}": _counted(contact, f"hs_email_{counter}"),
        **last,
        **_earlier(contact, f"hs_email_first_{word}_date", at),
        **({"hs_email_last_email_name": name} if last and kind == "email_sent" else {}),
        **_unanswered(contact, kind),
    }


def _unanswered(contact: StoredRecord, kind: str) -> Values:
    name = "hs_email_sends_since_last_engagement"
    return {name: _counted(contact, name) if kind == "email_sent" else "0"}


def _mail_name(about: About) -> str:
    return f"{about['campaign']}: {about.get('subject', '')}"


def _sales_mail(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    if kind == "email_sent":
        values = _email_values(contact, "EMAIL", at, about)
        _engagement(state, contact, "emails", values, known_at)
        return _contacted(contact, at)
    counter = "hs_email_open_count" if kind == "email_opened" else "hs_email_click_count"
    word = "opened" if kind == "email_opened" else "clicked"
    for number in reversed(state.links.of(("contacts", "emails"), contact.id)):
        email = state.records["emails"].by_id[number]
        if email.properties.get("hs_email_subject") == str(about.get("subject", "")):
            email.properties[counter] = _counted(email, counter)
            state.records["emails"].stamp(email, max(known_at, email.updated))
            break
    return _later(contact, f"hs_sales_email_last_{word}", at)


def _email_values(contact: StoredRecord, direction: str, at: int, about: About) -> Values:
    rep, person = "sales@ourproduct.example", contact.properties.get("email", "")
    sender, recipient = (rep, person) if direction == "EMAIL" else (person, rep)
    return {
        "hs_email_direction": direction,
        "hs_email_status": "SENT",
        "hs_email_subject": str(about.get("subject", "")),
        "hs_email_from_email": sender,
        "hs_email_to_email": recipient,
        "hs_timestamp": iso(at),
        **({"hs_email_message_id": str(about["message_id"])} if "message_id" in about else {}),
    }


def _contacted(contact: StoredRecord, at: int) -> Values:
    return {
        "num_contacted_notes": _counted(contact, "num_contacted_notes"),
        **_noted(contact, at),
        **_later(contact, "notes_last_contacted", at),
    }


def _noted(contact: StoredRecord, at: int) -> Values:
    return {"num_notes": _counted(contact, "num_notes"), **_later(contact, "notes_last_updated", at)}


def _reply(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    _engagement(state, contact, "emails", _email_values(contact, "INCOMING_EMAIL", at, about), known_at)
    return {
        "hs_email_replied": _counted(contact, "hs_email_replied"),
        **_later(contact, "hs_sales_email_last_replied", at),
        **_later(contact, "hs_email_last_reply_date", at),
        **_contacted(contact, at),
    }


def _automatic_reply(
    state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int
) -> Values:
    """An incoming e-mail that no person wrote: it counts as none, and HubSpot does not notice all of them."""
    noticed = {"hs_incoming_email_is_out_of_office": "true"} if at // 1_000 % 2 else {}
    values = _email_values(contact, "INCOMING_EMAIL", at, about) | noticed
    _engagement(state, contact, "emails", values, known_at)
    return _noted(contact, at)


def _bounce(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    state.tracking.emailed(
        "BOUNCE", contact.properties.get("email", ""), at, f"{about.get('campaign', '')}: {about.get('subject', '')}"
    )
    return {
        "hs_email_bounce": _counted(contact, "hs_email_bounce"),
        "hs_email_hard_bounce_reason_enum": "UNKNOWN_USER",
        "hs_email_bad_address": "true",
        "hs_email_quarantined": "true",
    }


def _unsubscribe(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    name = f"{about.get('campaign', '')}: {about.get('subject', '')}"
    state.tracking.emailed("STATUSCHANGE", contact.properties.get("email", ""), at, name)
    return {"hs_email_optout": "true"}


def _meeting(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    outcome = str(about.get("outcome", "COMPLETED" if kind == "meeting_held" else "SCHEDULED"))
    values = {
        "hs_meeting_title": str(about.get("subject", "")),
        "hs_meeting_outcome": outcome,
        "hs_meeting_start_time": iso(at),
        "hs_meeting_end_time": iso(at + 1_800_000),
        "hs_timestamp": iso(at),
    }
    _engagement(state, contact, "meetings", values, known_at)
    booked = _later(contact, "engagements_last_meeting_booked", at)
    return {**booked, **_later(contact, "hs_latest_meeting_activity", at), **_noted(contact, min(at, known_at))}


def _call(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    outcome = str(about.get("outcome", "CONNECTED"))
    values = {
        "hs_call_title": str(about.get("subject", "")),
        "hs_call_direction": "OUTBOUND",
        "hs_call_disposition": DISPOSITIONS.get(outcome, ""),
        "hs_call_duration": str(int(about.get("seconds", 0)) * 1_000),
        "hs_call_status": str(about.get("status", "COMPLETED")),
        "hs_timestamp": iso(at),
    }
    _engagement(state, contact, "calls", values, known_at)
    return _contacted(contact, at)


def _task(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    values = {
        "hs_task_subject": str(about.get("subject", "")),
        "hs_task_status": "COMPLETED",
        "hs_task_type": "TODO",
        "hs_task_completion_date": iso(at),
        "hs_timestamp": iso(at),
    }
    _engagement(state, contact, "tasks", values, known_at)
    return _noted(contact, at)


def _note(state: PortalState, contact: StoredRecord, kind: str, at: int, about: About, known_at: int) -> Values:
    body = str(about.get("subject") or about.get("body") or "")
    _engagement(state, contact, "notes", {"hs_note_body": body, "hs_timestamp": iso(at)}, known_at)
    return _noted(contact, at)


def _engagement(
    state: PortalState, contact: StoredRecord, type_name: str, values: Values, known_at: int
) -> StoredRecord:
    """An activity on the contact's timeline."""
    owner = contact.properties.get("hubspot_owner_id", "")
    made = state.make(type_name, {**values, "hubspot_owner_id": owner}, known_at, "CRM_UI")
    state.links.add((type_name, "contacts"), made.id, contact.id)
    return made


Keeper = Callable[[PortalState, StoredRecord, str, int, About, int], Values]

_KEEPERS: dict[str, Keeper] = {
    "page_viewed": _page,
    "form_submitted": _form,
    "email_sent": _mail,
    "email_opened": _mail,
    "email_clicked": _mail,
    "email_replied": _reply,
    "email_auto_replied": _automatic_reply,
    "email_bounced": _bounce,
    "email_unsubscribed": _unsubscribe,
    "meeting_booked": _meeting,
    "meeting_held": _meeting,
    "call_completed": _call,
    "task_completed": _task,
    "note_logged": _note,
}
