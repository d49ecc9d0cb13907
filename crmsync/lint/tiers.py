"""How much intent activities show: low, mid or high."""

from __future__ import annotations

from crmsync.config.rules import TIERS, Behavior

_STRONG_WORDS = ("demo", "contact", "trial", "pricing", "price", "quote", "sales")
_WEAK_WORDS = ("blog", "news", "career")


def tier_of(rule: Behavior) -> str | None:
    """The tier of a rule: the one it names, or what its kind and words speak for; `None` when neither does."""
    if rule.tier is not None:
        return TIERS[rule.tier]
    words = " ".join(str(wanted) for match in rule.where.values() for wanted in match.keys().values()).lower()
    if any(kind.startswith("meeting") for kind in rule.on) or any(word in words for word in _STRONG_WORDS):
        return "high"
    weak = {"email_opened"} | ({"page_viewed"} if any(word in words for word in _WEAK_WORDS) else set())
    return "low" if set(rule.on) <= weak else None
