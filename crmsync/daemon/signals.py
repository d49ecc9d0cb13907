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

LAST_WORDS = 1.0
"""Seconds for the last words: whoever should read them may not be reading."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def raise_stop_on_signals(code: int, last_words: Callable[[], object] = lambda: None) -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT raise.

    Where the process is still there `GRACE` seconds later (a log-in that never answers, a database that waits for
    somebody's lock), it says its `last_words` and exits with `code`.
    """
    stop = threading.Event()
    told, tell = os.pipe()
    # Python takes no wakeup descriptor that blocks.
    os.set_blocking(tell, False)

    def listen() -> None:
        while numbers := os.read(told, 64):
            if not stop.is_set() and any(number in _SIGNALS for number in numbers):
                stop.set()
                _cut_off_later(code, last_words)

    # Written to by the interpreter's own handler, at once: one in Python waits for as long as the main thread is in C.
    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    before = {number: signal.signal(number, _go_on) for number in _SIGNALS}
    told_before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(told_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(tell)
        listener.join()
        os.close(told)


def _go_on(_number: int, _frame: FrameType | None) -> None:
    """Nothing: the pipe is told, and an exception here could be raised anywhere."""


@contextmanager
def allow_interrupt() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt` at once, for as long as somebody is asked something."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _cut_off_later(code: int, last_words: Callable[[], object]) -> None:
    timer = threading.Timer(GRACE, cut_off, (code, last_words))
    timer.daemon = True
    timer.start()


def cut_off(code: int, last_words: Callable[[], object]) -> None:
    """End the process at once, without waiting for any thread."""

    def speak() -> None:
        last_words()
        sys.stdout.flush()
        sys.stderr.flush()

    speaking = threading.Thread(target=speak, name="last words", daemon=True)
    try:
        speaking.start()
        speaking.join(LAST_WORDS)
    finally:
        os._exit(code)
