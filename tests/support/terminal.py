"""A command on a terminal of its own, as somebody who reads and types meets it."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from fcntl import ioctl

SECONDS = 50
AT = """
import sys, time_machine
from datetime import datetime
from crmsync import cli
with time_machine.travel(datetime.fromisoformat(sys.argv.pop(1)), tick=True):
    cli.main()
"""
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """What is on the screen, and the keyboard."""

    def __init__(self, process, master, slave):
        self.process, self.master, self.slave = process, master, slave
        self.text, self._at = "", 0

    def wait_for(self, words):
        """Read until these words come behind those that were waited for before."""
        end = time.monotonic() + SECONDS
        while words not in self.text[self._at :]:
            assert self._read(end), f"{words!r} never came:\n{self.text}"
        self._at = self.text.index(words, self._at) + len(words)

    def type(self, line):
        os.write(self.master, f"{line}\n".encode())

    def answer(self, words, line):
        self.wait_for(words)
        self.type(line)

    def interrupt(self, words):
        """Press Ctrl-C until these words come: one that is pressed just before the keyboard is read is lost."""
        for _press in range(20):
            os.write(self.master, b"\x03")
            end = time.monotonic() + 1
            while words not in self.text[self._at :] and self._read(end):
                pass
            if words in self.text[self._at :]:
                return
        raise AssertionError(f"{words!r} never came:\n{self.text}")

    def end(self):
        """The exit code, once all is read."""
        end = time.monotonic() + SECONDS
        while self._read(end):
            pass
        try:
            return self.process.wait(1)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it never ended:\n{self.text}") from None

    def _read(self, end):
        if not select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
            return False
        try:
            part = os.read(self.master, 65_536).decode(errors="replace")
        except OSError:  # Linux says so when the last one closes the terminal
            return False
        if self.slave is not None:  # the command has it open now, so that its end can be noticed
            os.close(self.slave)
            self.slave = None
        self.text += _STEERING.sub("", part).replace("\r\n", "\n")
        return bool(part)


@contextmanager
def _heeding_interrupts():
    """What is started is stopped by Ctrl-C, even where these tests run in the background of a shell, which are not."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def on_terminal(folder, env, *words, columns=80, term="xterm", now=None):
    """crmsync with these words, in a folder and with these variables, on a terminal of so many columns.

    `now` is what the machine's clock says at first, if not the time.
    """
    begun = ["-m", "crmsync"] if now is None else ["-c", AT, now.isoformat()]
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    # The first terminal that the leader of a session opens is the one whose Ctrl-C it gets.
    opened = ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(slave)]
    with (
        _heeding_interrupts(),
        subprocess.Popen(
            [*opened, sys.executable, *begun, *words],
            cwd=folder,
            env={**env, "TERM": term, "PYTHONUTF8": "1"},
            start_new_session=True,
        ) as process,
    ):
        screen = Terminal(process, master, slave)
        try:
            yield screen
        finally:
            process.kill()
            os.close(master)
            if screen.slave is not None:
                os.close(slave)
