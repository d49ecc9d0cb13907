"""How a command ends: for each error the sentences, the next command to type, and the exit code."""

from __future__ import annotations

from typing import Any, NamedTuple

from crmsync.errors import (
    Cancelled,
    ConfigError,
    Paused,
    SeveralFound,
    StateError,
    Transient,
    Unavailable,
    WrongClock,
    describe_outage,
)

DONE, FAILED, WRONG, HELD, PARTLY = 0, 1, 2, 3, 4
"""Exit codes: done · failed · config or usage · held for approval or paused · done in part."""


class Outcome(NamedTuple):
    """How a command ended: `kind` is a stable word for scripts, `said` sentences for the admin.

    `excerpt` are lines of a file, shown on a screen below the first sentence.
    """

    code: int
    kind: str
    said: tuple[str, ...]
    next: str = ""
    excerpt: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints of an error."""
        return {"error": self.kind, "problems": list(self.said), **({"next": self.next} if self.next else {})}


def outcome_of(error: BaseException, *, kept: bool = False) -> Outcome:
    """What to say when a command ends with this error; `kept` is what a run had done until then."""
    match error:
        case ConfigError():
            return Outcome(WRONG, "config", error.problems, error.next_command, error.excerpt)
        case SeveralFound():
            return Outcome(FAILED, "several", (str(error), *error.meant))
        case Unavailable():
            said = tuple(describe_outage(each) for each in (error, *error.others))
            said += ("Everything that was pulled is kept.",) if kept else ()
            passing = all(each.until for each in (error, *error.others))  # then there is nothing to do but wait
            return Outcome(FAILED, "unavailable", said, "" if passing else "crmsync check --online")
        case WrongClock():
            return Outcome(FAILED, "clock", (str(error),))
        case StateError():
            return Outcome(FAILED, "state", (str(error),))
        case Paused():
            return Outcome(HELD, "paused", (f"{error}.",), "crmsync resume")
        case Cancelled():
            said = ("Stopped. Everything so far is kept, and the next run continues from there.",)
            return Outcome(FAILED, "cancelled", said)
        case Transient():
            said = (f"A CRM did not answer correctly: {error}",)
            return Outcome(FAILED, "unavailable", said, "crmsync check --online")
    sentence = (
        f"This is a bug in crmsync ({type(error).__name__}). Everything that was stored is kept. "
        "Run the same command with --debug, and report its output."
    )
    return Outcome(FAILED, "fault", (sentence,))


def code_of(verdict: str, problems: list[str]) -> int:
    """The exit code of a run that ended with this verdict, and with these problems beside it."""
    if verdict in ("ok", "preview"):
        return PARTLY if problems else DONE
    return {"partial": PARTLY, "held": HELD}.get(verdict, FAILED)
