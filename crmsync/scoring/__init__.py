"""Scoring: a pure function from columns to a ledger of points, and everything that can be said about it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crmsync.scoring.document import person_documents, result_of, score_people
    from crmsync.scoring.engine import score, score_as_of
    from crmsync.scoring.explanation.gaps import find_gaps
    from crmsync.scoring.explanation.lines import Entry, compare_lines, explain_scores
    from crmsync.scoring.explanation.model_page import describe_model, page_of
    from crmsync.scoring.explanation.summary import summarize, summarize_many
    from crmsync.scoring.golden import failed_tests
    from crmsync.scoring.ledger import Line, Scores
    from crmsync.scoring.people_json import columns_of
    from crmsync.scoring.scored_people import ScoredPeople, choose_people
    from crmsync.scoring.tables import score_schema, score_table
    from crmsync.scoring.values import take_rows
    from crmsync.scoring.whatif.forecast import forecast_bands
    from crmsync.scoring.whatif.next_band import find_next_bands
    from crmsync.scoring.whatif.ranges import possible_ranges, worth_knowing

__all__ = [
    "Entry",
    "Line",
    "ScoredPeople",
    "Scores",
    "choose_people",
    "columns_of",
    "compare_lines",
    "describe_model",
    "explain_scores",
    "failed_tests",
    "find_gaps",
    "find_next_bands",
    "forecast_bands",
    "page_of",
    "person_documents",
    "possible_ranges",
    "result_of",
    "score",
    "score_as_of",
    "score_people",
    "score_schema",
    "score_table",
    "summarize",
    "summarize_many",
    "take_rows",
    "worth_knowing",
]

_ROOMS = {
    **dict.fromkeys(("person_documents", "result_of", "score_people"), "document"),
    **dict.fromkeys(("score", "score_as_of"), "engine"),
    "find_gaps": "explanation.gaps",
    **dict.fromkeys(("Entry", "compare_lines", "explain_scores"), "explanation.lines"),
    **dict.fromkeys(("describe_model", "page_of"), "explanation.model_page"),
    **dict.fromkeys(("summarize", "summarize_many"), "explanation.summary"),
    "failed_tests": "golden",
    **dict.fromkeys(("Line", "Scores"), "ledger"),
    "columns_of": "people_json",
    **dict.fromkeys(("ScoredPeople", "choose_people"), "scored_people"),
    **dict.fromkeys(("score_schema", "score_table"), "tables"),
    "take_rows": "values",
    "forecast_bands": "whatif.forecast",
    "find_next_bands": "whatif.next_band",
    **dict.fromkeys(("possible_ranges", "worth_knowing"), "whatif.ranges"),
}
"""In which module each of them is: it is loaded when it is asked for, since what one needs is a part of it all."""


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
