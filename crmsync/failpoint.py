"""Places where a test may kill or pause the worker, to prove that nothing is lost there; inert unless asked for."""

from __future__ import annotations

import os
import signal

NAMES = (
    "request",  # before each attempt of a request to a CRM
    "commit",  # before each transaction is committed
    "committed",
    "page_stored",
    "plan_stored",
    "sent_stored",
    "batch_written",
    "before_verify",
)


def failpoint(name: str) -> None:
    """Kill this process like a power cut where `CRMSYNC_FAILPOINT` is `name`.

    `name:3` does so at the third passing, and `name:3:pause` stops the process there until it is told to go on.
    """
    asked, _, rest = os.environ.get("CRMSYNC_FAILPOINT", "").partition(":")
    if asked != name:
        return
    nth, _, how = rest.partition(":")
    left = int(nth or 1) - 1
    os.environ["CRMSYNC_FAILPOINT"] = f"{name}:{left}:{how}" if left > 0 else ""
    if left <= 0:
        os.kill(os.getpid(), signal.SIGSTOP if how == "pause" else signal.SIGKILL)
