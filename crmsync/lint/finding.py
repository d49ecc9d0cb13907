"""What the linter says."""

from __future__ import annotations

from typing import Literal, NamedTuple

from crmsync.config.mistakes import Loc


class Finding(NamedTuple):
    """Something about a model: an `error` must be corrected, a `warning` thought about, a `note` may be meant so.

    `loc` is the place in the file, where there is one.
    """

    level: Literal["error", "warning", "note"]
    sentence: str
    loc: Loc = ()
