"""What the linter says."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """Something about a model: an `error` must be corrected, a `warning` thought about, a `note` may be meant so."""

    level: Literal["error", "warning", "note"]
    sentence: str
