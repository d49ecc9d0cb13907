"""Which Salesforce rows become activities of which kind: the default feeds."""

from __future__ import annotations

from crmsync.config.tables import Feed

SOURCES = ("Task", "Event", "EmailMessage", "CampaignMember")
"""The objects that activities are read from."""

_CALL = {"subject": "Subject", "outcome": "CallDisposition", "seconds": "CallDurationInSeconds"}
_MAIL = {"subject": "Subject"}
_MEETING = {"subject": "Subject", "type": "Type"}
_CAMPAIGN = {"campaign": "Campaign.Name", "type": "Campaign.Type", "status": "Status"}
_WEBINARS: list[str] = ["Webinar", "Online Event"]
_EVENTS: list[str] = ["Event", "Conference", "Trade Show", "Seminar", "Seminar / Conference", "Workshop"]
_ATTENDED: list[str] = ["Attended", "Attended On-demand", "Attended On Demand", "Attended Live", "Visited Booth"]
# Whoever attended, or did not show up, had registered before.
_REGISTERED: list[str] = ["Registered", "Accepted", "RSVP Yes", "No Show", "No-Show", *_ATTENDED]
_DOWNLOADED: list[str] = ["Downloaded", "Downloaded Content"]
_SUBMITTED: list[str] = ["Filled-Out Form", "Filled Out Form", "Submitted Form", "Submitted"]

DEFAULT_FEEDS = (
    Feed(source="Task", kind="call_completed", where={"TaskSubtype": "Call", "IsClosed": True}, attributes=_CALL),
    Feed(
        source="Task",
        kind="call_completed",
        where={"TaskSubtype": "!Call", "Type": "Call", "IsClosed": True},
        attributes=_CALL,
    ),
    Feed(source="Task", kind="email_sent", where={"TaskSubtype": ["Email", "ListEmail"]}, attributes=_MAIL),
    Feed(
        source="Task",
        # Without what the feeds above tell: a task counts once.
        kind="task_completed",
        where={"TaskSubtype": ["!Call", "!Email", "!ListEmail"], "Type": "!Call", "IsClosed": True},
        attributes={"subject": "Subject", "type": "Type"},
    ),
    Feed(source="Event", kind="meeting_booked", attributes=_MEETING),
    Feed(source="Event", kind="meeting_held", attributes=_MEETING),
    Feed(source="EmailMessage", kind="email_sent", where={"Incoming": False}, attributes=_MAIL),
    Feed(source="EmailMessage", kind="email_opened", where={"Incoming": False, "IsOpened": True}, attributes=_MAIL),
    Feed(source="EmailMessage", kind="email_bounced", where={"Incoming": False, "IsBounced": True}, attributes=_MAIL),
    Feed(source="EmailMessage", kind="email_replied", where={"Incoming": True}, attributes=_MAIL),
    Feed(
        source="CampaignMember",
        kind="webinar_registered",
        where={"Campaign.Type": _WEBINARS, "Status": _REGISTERED},
        attributes=_CAMPAIGN,
    ),
    Feed(
        source="CampaignMember",
        kind="webinar_attended",
        where={"Campaign.Type": _WEBINARS, "Status": _ATTENDED},
        attributes=_CAMPAIGN,
    ),
    Feed(
        source="CampaignMember",
        kind="event_registered",
        where={"Campaign.Type": _EVENTS, "Status": _REGISTERED},
        attributes=_CAMPAIGN,
    ),
    Feed(
        source="CampaignMember",
        kind="event_attended",
        where={"Campaign.Type": _EVENTS, "Status": _ATTENDED},
        attributes=_CAMPAIGN,
    ),
    Feed(
        source="CampaignMember",
        kind="content_downloaded",
        where={"Status": _DOWNLOADED},
        attributes={**_CAMPAIGN, "asset": "Campaign.Name"},
    ),
    Feed(
        source="CampaignMember",
        kind="form_submitted",
        where={"Status": _SUBMITTED},
        attributes={**_CAMPAIGN, "form": "Campaign.Name"},
    ),
    Feed(
        source="CampaignMember",
        # The same for what the feeds above tell of members.
        kind="campaign_responded",
        where={
            "HasResponded": True,
            "Campaign.Type": [f"!{each}" for each in (*_WEBINARS, *_EVENTS)],
            "Status": [f"!{each}" for each in (*_DOWNLOADED, *_SUBMITTED)],
        },
        attributes=_CAMPAIGN,
    ),
)
"""What the config's `[[salesforce.activities]]` replaces. A value that starts with `!` means: anything but this."""
