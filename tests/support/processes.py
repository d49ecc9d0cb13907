"""`crmsync …` as a process of its own, and what it says."""

import signal
import threading
import time

QUICK = """
from apscheduler.triggers.interval import IntervalTrigger
from connectors import http
from crmsync import cli
from crmsync.daemon import scheduler, signals
signals.GRACE = 1.0
http.PATIENCE = 0.2
scheduler.trigger_of = lambda _settings: IntervalTrigger(seconds=1)
cli.main()
"""


def until(true, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not happen in time")


def read_until(process, word):
    """The line of stderr with this word."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if word in line:
            return line
    raise AssertionError(f"{word} never came: {lines}")


def left(process, number=signal.SIGTERM):
    """Seconds from the signal to the end, and the exit code."""
    before = time.monotonic()
    process.send_signal(number)
    code = process.wait(20)
    return time.monotonic() - before, code
