"""Scoring: a pure function from columns to a ledger of points, and everything that can be said about it."""

from crmsync.lint.tiers import tier_counts
from crmsync.scoring.document import person_document, result_of, score_people
from crmsync.scoring.engine import score
from crmsync.scoring.explanation.gaps import find_gaps
from crmsync.scoring.explanation.lines import Entry, compare_lines, explain_score
from crmsync.scoring.explanation.model_page import describe_model, page_of
from crmsync.scoring.explanation.summary import summarize, summarize_many
from crmsync.scoring.golden import failed_tests
from crmsync.scoring.ledger import Line, Scores
from crmsync.scoring.people_json import columns_of
from crmsync.scoring.values import take_rows
from crmsync.scoring.whatif.forecast import forecast_bands
from crmsync.scoring.whatif.next_band import find_next_band
from crmsync.scoring.whatif.ranges import possible_range, worth_knowing

__all__ = [
    "Entry",
    "Line",
    "Scores",
    "columns_of",
    "compare_lines",
    "describe_model",
    "explain_score",
    "failed_tests",
    "find_gaps",
    "find_next_band",
    "forecast_bands",
    "page_of",
    "person_document",
    "possible_range",
    "result_of",
    "score",
    "score_people",
    "summarize",
    "summarize_many",
    "take_rows",
    "tier_counts",
    "worth_knowing",
]
