"""Scoring: a pure function from columns to a ledger of points, and everything that can be said about it."""

from crmsync.lint.tiers import tier_counts
from crmsync.scoring.document import document, result, score_people
from crmsync.scoring.engine import score
from crmsync.scoring.explanation.gaps import gaps
from crmsync.scoring.explanation.lines import Entry, changes, explain
from crmsync.scoring.explanation.model_page import page, page_of
from crmsync.scoring.explanation.summary import reason, reasons
from crmsync.scoring.golden import golden
from crmsync.scoring.ledger import Line, Scores
from crmsync.scoring.people_json import columns_of
from crmsync.scoring.values import take
from crmsync.scoring.whatif.forecast import ahead
from crmsync.scoring.whatif.next_band import short
from crmsync.scoring.whatif.ranges import possible, worth_knowing

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
