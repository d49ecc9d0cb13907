"""Commands on a terminal of their own, 80 columns wide, and what somebody who types them reads."""

import os
import pty
import re
import select
import sys
import time
from contextlib import suppress

START = """
import sys, time_machine
from datetime import datetime
from crmsync import cli
with time_machine.travel(datetime.fromisoformat(sys.argv.pop(1)), tick=True):
    cli.main()
"""


def type_command(folder, words, answers, variables, now):
    """What a terminal shows of `crmsync …` in a folder, and its exit code, with each of some answers typed when the
    command has nothing more to say; the machine's clock is at `now`.
    """
    there, ours = pty.fork()
    if not there:
        os.chdir(folder)
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
        os.environ.clear()
        os.environ.update({**kept, **variables, "TERM": "dumb", "COLUMNS": "80", "LANG": "C.UTF-8"})
        os.execv(sys.executable, [sys.executable, "-c", START, now.isoformat(), *words])
    shown, waiting = "", list(answers)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(OSError):  # the terminal is gone with the process
            if select.select([ours], [], [], 0.1)[0]:
                if not (read := os.read(ours, 65536)):
                    break
                shown += read.decode(errors="replace")
                continue
            if waiting and re.search(r"[:?\]] ?$", shown):
                os.write(ours, f"{waiting.pop(0)}\n".encode())
            continue
        break
    _, status = os.waitpid(there, 0)
    os.close(ours)
    assert not waiting, f"nobody asked for {waiting}: {shown}"
    return shown.replace("\r\n", "\n"), os.waitstatus_to_exitcode(status)
