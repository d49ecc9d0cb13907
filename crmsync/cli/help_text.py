"""Help and errors of usage, as wide as the terminal and never cut: no word, option or address is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from crmsync.reporting.console import print_sentences, wrap_words

WIDEST, NAMES, BESIDE = 80, 22, 60
"""Columns of a line, of a name with its text beside it, and of a terminal in which texts stand beside names."""


class HelpText:
    """What typer writes help into: sections of paragraphs and lists."""

    def __init__(self, columns: int) -> None:
        self.width = min(columns, WIDEST)
        self._lines: list[str] = []
        self._indent = 0

    def getvalue(self) -> str:
        return "\n".join(self._lines) + "\n"

    @contextmanager
    def indentation(self) -> Iterator[None]:
        self._indent += 2
        yield
        self._indent -= 2

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        self.write_paragraph()
        self._lines.append(f"{name}:")
        with self.indentation():
            yield

    def write_usage(self, program: str, args: str = "") -> None:
        self._lines += wrap_words(f"Usage: {program} {args}".rstrip(), self.width, " " * 7)

    def write_paragraph(self) -> None:
        if self._lines:
            self._lines.append("")

    def write_text(self, text: str) -> None:
        for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
            if number:
                self.write_paragraph()
            self._write(" ".join(paragraph.split()), self._indent)

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None:
        beside = self._indent + 2 + min(NAMES, max((len(name) for name, _ in rows), default=0))
        for name, text in rows:
            start = f"{' ' * self._indent}{name}"
            if self.width < BESIDE or len(start) > beside - 2:
                self._write(name, self._indent)
                self._write(text, self._indent + 4 if self.width < BESIDE else beside)
                continue
            lines = wrap_words(text, self.width - beside)
            self._lines.append(f"{start:{beside}}{lines[0] if lines else ''}".rstrip())
            self._lines += [f"{'':{beside}}{line}" for line in lines[1:]]

    def _write(self, text: str, indent: int) -> None:
        self._lines += wrap_words(f"{' ' * indent}{text}", self.width, " " * indent)


def print_usage_error(console: Any, error: Any) -> None:
    """Say what was wrong in the words that were typed, and how to ask for help."""
    if error.ctx is not None:
        print_sentences(console, error.ctx.get_usage())
        print_sentences(console, f"Try '{error.ctx.command_path} {error.ctx.help_option_names[-1]}' for help.")
        console.print()
    print_sentences(console, f"Error: {error.format_message()}")
