"""How much intent activities show: low, mid or high."""

from __future__ import annotations

from crmsync.config.model import Model
from crmsync.config.rules import TIERS, Behavior

TIER_NAMES = ("high", "mid", "low")

TIER_OF_KIND = {
    **dict.fromkeys(("form_submitted", "email_replied", "meeting_booked", "meeting_held", "call_completed"), "high"),
    **dict.fromkeys(("content_downloaded", "webinar_registered", "webinar_attended"), "mid"),
    **dict.fromkeys(("event_registered", "event_attended", "campaign_responded"), "mid"),
    **dict.fromkeys(("page_viewed", "email_opened", "email_clicked"), "low"),
    # What others do to somebody, and what shows lost interest, shows no intent.
    **dict.fromkeys(("email_sent", "email_auto_replied", "email_bounced", "email_unsubscribed"), "low"),
    **dict.fromkeys(("call_attempted", "task_completed", "note_logged"), "low"),
}
"""The tier of each kind of the default feeds, unless a rule names another one."""

_STRONG_WORDS = ("demo", "contact", "trial", "pricing", "price", "quote", "sales")


def tier_of_kind(model: Model, kind: str) -> str:
    """The tier of a kind of activity: every kind has exactly one.

    The first rule decides that names a `tier` and takes all activities of the kind; then what the kind is known for. Of
    a kind of the config's own it is the highest that a rule about it shows, and low where none does.
    """
    about = [rule for rule in model.behavior if kind in rule.on]
    for rule in about:
        if rule.tier is not None and not rule.where:
            return TIERS[rule.tier]
    if kind in TIER_OF_KIND:
        return TIER_OF_KIND[kind]
    shown = {tier_of(rule) for rule in about}
    return next((tier for tier in TIER_NAMES if tier in shown), "low")


def tier_of(rule: Behavior) -> str | None:
    """The tier of a rule: the one it names, what its words speak for, or the highest that its kinds are known for.

    `None` where one of these is a kind of the config's own.
    """
    if rule.tier is not None:
        return TIERS[rule.tier]
    words = " ".join(str(wanted) for match in rule.where.values() for wanted in match.keys().values()).lower()
    if any(word in words for word in _STRONG_WORDS):
        return "high"
    if not TIER_OF_KIND.keys() >= set(rule.on):
        return None
    return min((TIER_OF_KIND[kind] for kind in rule.on), key=TIER_NAMES.index)
