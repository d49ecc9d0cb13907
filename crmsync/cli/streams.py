"""Standard streams that no reader can break: one that went away, that is closed, full, or knows few characters."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from typing import Any

PLAIN = str.maketrans({"→": "->", "−": "-", "–": "-", "…": "...", "█": "#", "×": "x", "÷": "/", "’": "'", "━": "-"})
"""Signs that crmsync itself prints, for a terminal that has only ASCII."""


class _Stream(io.FileIO):
    """A file descriptor to which writing never fails: what nobody can read is dropped, and the work goes on."""

    is_lost = is_unread = False

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            self.is_unread = isinstance(error, BrokenPipeError)
            self.is_lost = not self.is_unread
            if self.is_lost and self.fileno() == 1:
                sys.stderr.write(f"The output cannot be written: {error.strerror}.\n")
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            return len(data)


def prepare_streams() -> None:
    """Replace the standard streams; what was closed reads and writes nothing."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, so that no file of ours becomes the output.
            os.open(os.devnull, os.O_RDWR)

    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  it is open until the end
    sys.stdout, sys.stderr = _prepared(1, sys.stdout), _prepared(2, sys.stderr)


def is_unread() -> bool:
    """Whether nobody reads the output any more, as after `| head`."""
    return (stream := _output()) is not None and stream.is_unread


def is_output_lost() -> bool:
    """Whether something that was to be printed could not be written. Flushes what waits."""
    for each in (sys.stdout, sys.stderr):
        each.flush()
    return (stream := _output()) is not None and stream.is_lost


def _output() -> _Stream | None:
    raw = getattr(sys.stdout.buffer, "raw", None)
    return raw if isinstance(raw, _Stream) else None


def _prepared(number: int, old: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(_Stream(number, "w", closefd=False)),
        encoding=old.encoding if old else "utf-8",
        errors="plain",
        line_buffering=not old or old.line_buffering or old.write_through,
    )


def _spell_plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands for characters that the output does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    said = error.object[error.start : error.end].translate(PLAIN)
    plain = (unicodedata.normalize("NFKD", each).encode("ascii", "ignore").decode() or "?" for each in said)
    return "".join(plain), error.end


codecs.register_error("plain", _spell_plainly)
