"""How the worker leaves: a signal raises a flag that everything looks at, and what does not look is cut off in time."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 6.0
"""Seconds from the signal until the process is ended whatever it does; `docker stop` kills after ten.

That is as safe as a `kill -9`, which every step of a cycle is made for.
"""


@contextmanager
def stoppable(code: int, last_words: Callable[[], object] = lambda: None) -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT raise.

    Where the process is still there `GRACE` seconds later (a log-in that never answers, a page that drips), it says its
    `last_words` and exits with `code`.
    """
    stop = threading.Event()
    told, tell = os.pipe()

    def listen() -> None:
        if os.read(told, 1):
            stop.set()
            _cut_off_later(code, last_words)

    def leave(_number: int, _frame: FrameType | None) -> None:
        # Not stop.set(): it hangs for good where the signal meets this very thread inside stop.wait() (CPython 3.11).
        os.write(tell, b"!")

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(tell)
        listener.join()
        os.close(told)


def _cut_off_later(code: int, last_words: Callable[[], object]) -> None:
    timer = threading.Timer(GRACE, cut_off, (code, last_words))
    timer.daemon = True
    timer.start()


def cut_off(code: int, last_words: Callable[[], object]) -> None:
    """End the process at once, without waiting for any thread."""
    try:
        last_words()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
