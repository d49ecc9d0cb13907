"""The endpoints of what people did: event occurrences, forms and their submissions, legacy e-mail events."""

from __future__ import annotations

import base64
from itertools import islice
from typing import get_args

from connectors.sandbox.hubspot.catalog import object_type
from connectors.sandbox.hubspot.state import PortalState
from connectors.sandbox.hubspot.tracking import EmailEvent, Form, FormType, Occurrence, Submission, Timeline, make_guid
from connectors.sandbox.hubspot.wire import (
    HubspotCall,
    HubspotRefusal,
    Json,
    bad_request,
    error,
    instant,
    iso,
    not_found,
    paging_of,
    whole,
)

_EVER = 1 << 60
_BUILT_IN = ("e_visited_page", "e_submitted_form", "e_clicked_link")


def _checked_tier(state: PortalState) -> None:
    if state.switches.tier != "enterprise":
        message = "This portal's subscription does not include event occurrences. They need an Enterprise subscription."
        raise HubspotRefusal(403, error(message, "TIER_RESTRICTED"))


def list_occurrences(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/event-occurrences`: of one type, of one contact, or both; oldest first unless asked otherwise."""
    _checked_tier(state)
    limit = call.limit(20, 1_000)
    span = (_bound(call, "occurredAfter", -_EVER), _bound(call, "occurredBefore", _EVER))
    descending = call.one("sort").upper() in ("-OCCURREDAT", "DESCENDING", "DESC")
    walk = _narrowed(state, call).walk(span, _last_seen(call), descending)
    wanted = call.one("eventType")
    found = list(islice((each for each in walk if wanted in ("", each.event_type)), limit + 1))
    answer: Json = {"results": [_occurrence_json(each) for each in found[:limit]]}
    if len(found) > limit:
        last = found[limit - 1]
        answer["paging"] = paging_of(call, base64.b64encode(f"{last.at}|{last.number}".encode()).decode())
    return answer


def _bound(call: HubspotCall, name: str, default: int) -> int:
    text = call.one(name)
    at = instant(text) if text else default
    if at is None:
        raise bad_request(f"Invalid value for {name}: {text}")
    return at


def _narrowed(state: PortalState, call: HubspotCall) -> Timeline:
    """The occurrences of one contact, or else of one type."""
    kind = call.one("objectType")
    if kind and object_type(kind) is None:
        raise bad_request(f"Unable to infer object type from: {kind}", "")
    if number := call.one("objectId"):
        return state.tracking.by_contact.get(state.contacts.survivor(whole(number, "objectId")), Timeline())
    if email := call.one("objectProperty.email"):
        record = state.contacts.by_unique("email", email)
        return state.tracking.by_contact.get(record.id, Timeline()) if record else Timeline()
    if event_type := call.one("eventType"):
        return state.tracking.by_type.get(event_type, Timeline())
    raise bad_request("Either an eventType or an objectType and objectId are required.")


def _last_seen(call: HubspotCall) -> tuple[int, int] | None:
    """The occurrence that an `after` token says was the last one of the page before."""
    token = call.one("after")
    try:
        at, number = map(int, base64.b64decode(token).split(b"|")) if token else (0, 0)
    except ValueError as problem:
        raise bad_request(f"Invalid value for after: {token}") from problem
    return (at, number) if token else None


def _occurrence_json(each: Occurrence) -> Json:
    return {
        "objectType": "CONTACT",
        "objectId": str(each.contact),
        "eventType": each.event_type,
        "occurredAt": iso(each.at),
        "id": f"leviathan-{each.number:08x}-{each.at}",
        "properties": each.properties(),
    }


def event_types(state: PortalState, call: HubspotCall) -> Json:
    """`GET …/event-occurrences/event-types`: every type there is, usable or not."""
    _checked_tier(state)
    return {"eventTypes": sorted({*_BUILT_IN, *state.tracking.by_type})}


def list_forms(state: PortalState, call: HubspotCall) -> Json:
    """`GET /marketing/…/forms`: those of the types asked for, and only HubSpot's own unless asked."""
    wanted, known = call.many("formTypes") or ["hubspot"], get_args(FormType)
    if unknown := [each for each in wanted if each not in (*known, "all")]:
        raise bad_request(f"Invalid value for formTypes: {', '.join(unknown)}")
    found = sorted(each for each in state.tracking.forms.values() if "all" in wanted or each.type in wanted)
    start, limit = _offset(call), call.limit(20, 500)
    answer: Json = {"results": [_form_json(each) for each in found[start : start + limit]]}
    if start + limit < len(found):
        answer["paging"] = paging_of(call, _token_of(start + limit))
    return answer


def _offset(call: HubspotCall, name: str = "after") -> int:
    token = call.one(name)
    try:
        return int(base64.b64decode(token)) if token else 0
    except ValueError as problem:
        raise bad_request(f"Invalid value for {name}: {token}") from problem


def _token_of(offset: int) -> str:
    return base64.b64encode(str(offset).encode()).decode()


def _form_json(form: Form) -> Json:
    return {
        "id": form.id,
        "name": form.name,
        "createdAt": iso(form.created),
        "updatedAt": iso(form.created),
        "archived": False,
        "fieldGroups": [{"groupType": "default_group", "richTextType": "text", "fields": []}],
        "configuration": {"language": "en", "cloneable": True, "editable": True, "archivable": True},
        "displayOptions": {"renderRawHtml": False, "theme": "default_style", "submitButtonText": "Submit"},
        "legalConsentOptions": {"type": "none"},
        "formType": form.type,
    }


def show_form(state: PortalState, call: HubspotCall) -> Json:
    """`GET /marketing/…/forms/{id}`."""
    found = state.tracking.forms.get(call.params["id"])
    if found is None:
        raise not_found(f"Form {call.params['id']} does not exist")
    return _form_json(found)


def list_submissions(state: PortalState, call: HubspotCall) -> Json:
    """`GET /form-integrations/v1/submissions/forms/{guid}`: newest first, at most 50 a page."""
    guid = call.params["id"]
    if guid not in state.tracking.forms:
        raise not_found(f"No form found with guid {guid}")
    if state.tracking.forms[guid].type == "blog_comment":
        # https://github.com/estuary/connectors/issues/4942 (2026-11-27)
        raise bad_request(f"The form {guid} does not keep submissions")
    found = sorted(state.tracking.submissions.get(guid, ()), reverse=True)
    start, limit = _offset(call), call.limit(20, 50)
    answer: Json = {"results": [_submission_json(each) for each in found[start : start + limit]]}
    if start + limit < len(found):
        answer["paging"] = paging_of(call, _token_of(start + limit))
    return answer


def _submission_json(each: Submission) -> Json:
    values = [{"name": name, "value": value, "objectTypeId": "0-1"} for name, value in each.values]
    return {"conversionId": make_guid(each.number), "submittedAt": each.at, "values": values, "pageUrl": each.page}


def email_events(state: PortalState, call: HubspotCall) -> Json:
    """`GET /email/public/v1/events`: newest first, by offset."""
    low, high = _bound(call, "startTimestamp", -_EVER), _bound(call, "endTimestamp", _EVER)
    recipient, event, campaign = call.one("recipient").lower(), call.one("eventType"), call.one("campaignId")
    walk = (
        each
        for each in state.tracking.newest_emails(low, high)
        if recipient in ("", each.recipient) and event in ("", each.type) and campaign in ("", str(each.campaign))
    )
    start, limit = _offset(call, "offset"), call.limit(100, 1_000)
    found = list(islice(walk, start, start + limit + 1))
    events = [_email_event_json(state, each) for each in found[:limit]]
    more = len(found) > limit
    return {"hasMore": more, "offset": _token_of(start + limit) if more else "", "events": events}


def _email_event_json(state: PortalState, each: EmailEvent) -> Json:
    number, sent_at = each.sent or (each.number, each.at)
    return {
        "id": make_guid(each.number),
        "created": each.at,
        "type": each.type,
        "recipient": each.recipient,
        "emailCampaignId": each.campaign,
        "appId": 113,
        "appName": "Batch",
        "portalId": state.portal_id,
        "sentBy": {"id": make_guid(number), "created": sent_at},
        **({"url": each.url} if each.url else {}),
        **({"filteredEvent": each.filtered} if each.type in ("OPEN", "CLICK") else {}),
    }


def list_campaigns(state: PortalState, call: HubspotCall) -> Json:
    """`GET /email/public/v1/campaigns`."""
    found = [{"id": number, "appId": 113, "appName": "Batch"} for number in state.tracking.campaigns.values()]
    return {"hasMore": False, "offset": "", "campaigns": found}


def show_campaign(state: PortalState, call: HubspotCall) -> Json:
    """`GET /email/public/v1/campaigns/{id}`: the name and the subject of a marketing e-mail."""
    for name, number in state.tracking.campaigns.items():
        if str(number) == call.params["id"]:
            return {
                "id": number,
                "appId": 113,
                "appName": "Batch",
                "name": name,
                "subject": name,
                "type": "BATCH_EMAIL",
            }
    raise not_found(f"Campaign {call.params['id']} does not exist")
