"""The types of activities that users and integrations log, so that two CRMs may both have one."""

LOGGED = frozenset(
    {
        "meeting_booked",
        "meeting_held",
        "call_completed",
        "call_attempted",
        "email_sent",
        "email_replied",
        "email_auto_replied",
        "email_bounced",
    }
)
"""The kinds of which a second one within seconds is a second log: nobody meets, calls or writes so often."""
