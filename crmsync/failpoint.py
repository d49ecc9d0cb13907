"""Places where a test may kill the worker, to prove that nothing is lost there; inert unless asked for."""

from __future__ import annotations

import os
import signal

NAMES = ("page_stored", "plan_stored", "sent_stored", "batch_written", "before_verify")


def failpoint(name: str) -> None:
    """Kill this process like a power cut when `CRMSYNC_FAILPOINT` is `name`, or `name:3` at the third passing."""
    asked, _, nth = os.environ.get("CRMSYNC_FAILPOINT", "").partition(":")
    if asked != name:
        return
    left = int(nth or 1) - 1
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    os.environ["CRMSYNC_FAILPOINT"] = f"{name}:{left}"
