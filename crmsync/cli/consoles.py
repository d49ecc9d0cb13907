"""Where a command prints: results on stdout, everything beside them on stderr."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console

from crmsync.terminals import shows_plainly


def results_console() -> Console:
    """Where results are printed. Text of the CRMs is never read as markup."""
    return _console(sys.stdout)


def messages_console() -> Console:
    """Where everything beside the results is printed."""
    return _console(sys.stderr)


def _console(file: Any) -> Console:
    is_plain = shows_plainly()
    return Console(
        file=file,
        width=count_columns(file) if file.isatty() else UNLIMITED,
        color_system=None if is_plain else "auto",
        no_color=is_plain,
        emoji=False,
        markup=False,
        highlight=False,
    )


UNLIMITED = 100_000
"""Columns of what no terminal shows: a pipe or a file gets each sentence and each row on one line."""


def count_columns(stream: Any) -> int:
    """Columns of a terminal, or what `COLUMNS` says; 80 where nothing is known."""
    if (said := os.environ.get("COLUMNS", "")).isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
