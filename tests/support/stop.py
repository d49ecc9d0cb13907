"""The stop flag of tests: nobody waits for real."""

import threading


class Hurried(threading.Event):
    """A stop flag with which no wait takes any time; `waited` remembers how long each should have been."""

    def __init__(self):
        super().__init__()
        self.waited = []

    def wait(self, timeout=None):
        self.waited.append(timeout)
        return self.is_set()


class Interrupted(Hurried):
    """A stop flag that is raised during the first wait, or the first one of that many seconds."""

    def __init__(self, seconds=None):
        super().__init__()
        self.seconds = seconds

    def wait(self, timeout=None):
        if self.seconds is None or timeout == self.seconds:
            self.set()
        return super().wait(timeout)
