"""What can go wrong, named by what the caller does next."""

from __future__ import annotations

from collections.abc import Sequence


class CrmsyncError(Exception):
    """The root of them all."""


class ConfigError(CrmsyncError):
    """Somebody must change the config, a credential or a CRM setting: print every problem, exit 2, no traceback.

    `next_command` is what helps, where one does; `excerpt` are lines to show below the first problem.
    """

    def __init__(self, problems: Sequence[str] | str, next_command: str = "", excerpt: Sequence[str] = ()) -> None:
        self.next_command, self.excerpt = next_command, tuple(excerpt)
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class SeveralFound(CrmsyncError):
    """A name that is several people's: `meant` says who, each with what to type for them alone."""

    def __init__(self, message: str, meant: Sequence[str]) -> None:
        self.meant = tuple(meant)
        super().__init__(message)


class Transient(CrmsyncError):
    """The same request may succeed later: the retry repeats it, after `retry_after` seconds if the vendor says so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Unavailable(CrmsyncError):
    """This CRM sits out this cycle; the other one goes on. `until` is a hint in words ("midnight in Europe/Berlin").

    Where no CRM is left, `others` are those of the other CRMs.
    """

    def __init__(self, crm: str, message: str, until: str = "") -> None:
        self.crm, self.until = crm, until
        self.others: Sequence[Unavailable] = ()
        super().__init__(message)


def quote_crm(said: str) -> str:
    """The words of a CRM as a quotation: logs leave it out, since a CRM may repeat the values that it was sent."""
    inner = said.replace("“", '"').replace("”", '"')
    return f"“{inner}”"


def describe_outage(error: Unavailable) -> str:
    """In a sentence: which CRM could not be used, why, and until when."""
    until = f" Try again after {error.until}." if error.until else ""
    return f"{error.crm} could not be used: {error}.{until}"


class WrongClock(CrmsyncError):
    """No CRM agrees with this machine about the time: nothing may be decided by its clock."""


class StateError(CrmsyncError):
    """The state database cannot be used as it is: locked by another worker, damaged, or of another org."""


class StateOutdated(StateError):
    """The state is of an older version, and who only looks does not bring it up to date."""


class StateInUse(StateError):
    """Another process writes to this state at present: `holder` says which."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"the state is in use by {holder}, and only one process at a time may change it; stop that process first. "
            "The commands crmsync plan, status and explain work at the same time"
        )


class LostLock(StateError):
    """This process may not write to the state any more: its lock went away, or another process took over."""

    def __init__(self) -> None:
        super().__init__(
            "the lock on the state was lost, so another worker may have taken over; nothing more was sent, and the "
            "next "
            "run continues from what was stored"
        )


class Cancelled(CrmsyncError):
    """Somebody asked the worker to stop (SIGTERM): leave between pages, everything so far is kept."""


class Paused(Cancelled):
    """Somebody paused crmsync: nothing is written until the pause ends; everything so far is kept."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"{sentence}. Meanwhile nothing is written; crmsync plan works")
