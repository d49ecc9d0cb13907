"""A part of the report for a meeting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Section(NamedTuple):
    """A part of the report: `sentence` says in one sentence what it means, `note` what it cannot say.

    `chart` is SVG, or empty; a heading of the table that starts with ">" is of numbers.
    """

    id: str
    title: str
    sentence: str
    chart: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
