"""What a terminal can show."""

from __future__ import annotations

import os


def shows_plainly() -> bool:
    """Whether a terminal is to get no escape codes: so says NO_COLOR, and without TERM nothing is known of it."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "") in ("", "dumb", "unknown")
