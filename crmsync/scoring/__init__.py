"""Scoring: a pure function from columns to a ledger of points, and everything that can be said about it."""

from crmsync.scoring.engine import score
from crmsync.scoring.explain import Entry, changes, explain
from crmsync.scoring.gaps import gaps
from crmsync.scoring.lasting import ahead
from crmsync.scoring.ledger import Line, Scores
from crmsync.scoring.missing import short
from crmsync.scoring.page import page, page_of
from crmsync.scoring.people import document, golden, result, score_people
from crmsync.scoring.ranges import possible, worth_knowing
from crmsync.scoring.reasons import reason, reasons
from crmsync.scoring.tiers import tier_counts
from crmsync.scoring.values import take
from crmsync.scoring.written import columns_of

__all__ = [
    "Entry",
    "Line",
    "Scores",
    "ahead",
    "changes",
    "columns_of",
    "document",
    "explain",
    "gaps",
    "golden",
    "page",
    "page_of",
    "possible",
    "reason",
    "reasons",
    "result",
    "score",
    "score_people",
    "short",
    "take",
    "tier_counts",
    "worth_knowing",
]
