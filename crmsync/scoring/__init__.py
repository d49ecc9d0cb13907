"""Scoring: a pure function from columns to a ledger of points, and everything that can be said about it."""

from crmsync.scoring.engine import score
from crmsync.scoring.ledger import Line, Scores

__all__ = ["Line", "Scores", "score"]
