"""A run under way: what it reports, which CRMs are skipped and why, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from crmsync.config import Config
from crmsync.errors import Cancelled, ConfigError, CrmsyncError, StateError, Transient, Unavailable, describe_outage
from crmsync.redaction import hide_secrets, secrets_of
from crmsync.result import Counts, Result, Verdict
from crmsync.store import journal, run_journal
from crmsync.store.scores import band_counts
from crmsync.work import Work


@dataclass
class Attempt:
    """A run under way: what it reports, the CRMs that are skipped and why, their calls until then, its begin.

    `ahead` is by how much the run's clock is ahead of each CRM's that has one. `news` says since when (milliseconds) a
    record, by its row, waits for what happened to it.
    """

    result: Result
    skipped: dict[str, Exception] = field(default_factory=dict)
    calls_before: dict[str, int] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)
    ahead: dict[str, timedelta] = field(default_factory=dict)
    news: dict[int, int] = field(default_factory=dict)


def begin_attempt(work: Work, run_id: str) -> Attempt:
    result = Result(run_id, crms={crm: Counts() for crm in work.crms})
    return Attempt(result, calls_before={crm: connector.calls for crm, connector in work.crms.items()})


def open_run(work: Work, result: Result, command: str) -> None:
    text = work.config.decision_text()
    with work.store.begin() as writing:
        run_journal.begin_run(writing, result.run, command, work.now_ms, hashes_of(work.config), text)


@contextmanager
def failing_loudly(work: Work, attempt: Attempt) -> Iterator[None]:
    """A run that comes to no end has failed, and its row says why."""
    try:
        yield
    except (Unavailable, ConfigError):
        count_outcomes(work, attempt.result)
        end_attempt(work, attempt, "failed")
        raise
    # Then there is nothing that it could be written into.
    except StateError:
        raise
    except BaseException as error:
        said = str(error) if isinstance(error, CrmsyncError) else ""  # others repeat values
        attempt.result.problems.append(said or type(error).__name__)
        count_outcomes(work, attempt.result)
        end_attempt(work, attempt, "failed")
        raise


@contextmanager
def taking_part(work: Work, attempt: Attempt, crm: str) -> Iterator[None]:
    """Work with one CRM: its time is counted, and when it cannot be used it is skipped for the rest of the run."""
    start = time.monotonic()
    try:
        yield
    except (Unavailable, ConfigError) as error:
        attempt.skipped[crm] = error
    # These concern the whole run and not this CRM.
    except (StateError, Cancelled, SQLAlchemyError):
        raise
    except Exception as error:  # noqa: BLE001  whatever a CRM's odd answer leads to concerns that CRM alone
        said = str(error) if isinstance(error, Transient) else f"its answer cannot be read ({type(error).__name__})"
        attempt.skipped[crm] = Unavailable(
            crm, f"{said}; if this continues, run crmsync sync --debug and report the output"
        )
        attempt.skipped[crm].__cause__ = error
    finally:
        counts = attempt.result.crms[crm]
        counts.seconds = round(counts.seconds + time.monotonic() - start, 3)


def crms_left(work: Work, attempt: Attempt) -> list[str]:
    """The CRMs that take part. Raises what befell them when there is none left."""
    alive = [crm for crm in work.crms if crm not in attempt.skipped]
    if alive or not attempt.skipped:
        return alive
    errors = attempt.skipped.items()
    down = [error for _crm, error in errors if isinstance(error, Unavailable)]
    mistakes = [
        f"{crm}: {problem}" for crm, error in errors if isinstance(error, ConfigError) for problem in error.problems
    ]
    if mistakes:
        helpful = {error.next_command for _crm, error in errors if isinstance(error, ConfigError)}
        alone = helpful.pop() if len(helpful) == 1 else ""
        raise ConfigError([*mistakes, *map(describe_outage, down)], alone or "crmsync check --online")
    first = down[0]
    first.others = down[1:]
    raise first


def end_attempt(work: Work, attempt: Attempt, verdict: Verdict) -> Result:
    result = attempt.result
    result.verdict = verdict
    result.skipped = {crm: str(error) for crm, error in sorted(attempt.skipped.items())}
    result.needs_action = sorted(crm for crm, error in attempt.skipped.items() if isinstance(error, ConfigError))
    # A quota alone says when it is free again.
    result.out_of_calls = sorted(
        crm for crm, error in attempt.skipped.items() if isinstance(error, Unavailable) and error.until
    )
    result.problems += [f"{crm}: {why}" for crm, why in result.skipped.items()]
    if result.held:
        result.problems += result.held.reasons
    secrets = secrets_of(work.config)  # a CRM may repeat in a refusal what it was sent
    result.skipped = {crm: hide_secrets(why, secrets) for crm, why in result.skipped.items()}
    result.problems = [hide_secrets(problem, secrets) for problem in result.problems]
    for crm, connector in work.crms.items():
        result.crms[crm].api_calls = connector.calls - attempt.calls_before[crm]
        used = connector.api_used
        result.crms[crm].api_used = None if used is None else round(used, 6)
        result.crms[crm].api_left = connector.api_left
    # By the time that passed, since the clock may be set during a run.
    ended = work.now_ms + int((time.monotonic() - attempt.begun) * 1000)
    with work.store.begin() as writing:
        run_journal.end_run(writing, result.run, ended, verdict, result.as_json())
    return result


def hashes_of(config: Config) -> tuple[str, str]:
    return config.model_hash(), config.decision_hash()


def count_outcomes(work: Work, result: Result) -> None:
    """Count what became of the changes of a run, and where people stand now."""
    with work.store.read() as reading:
        states = journal.state_counts(reading, result.run)
        result.bands = band_counts(reading)
    for crm, counts in result.crms.items():
        here: Mapping[str, int] = states.get(crm, {})
        counts.planned = sum(here.values())
        counts.updated = here.get(journal.UPDATED, 0)
        counts.partly = here.get(journal.PARTLY, 0)
        counts.rejected = here.get(journal.REJECTED, 0)
        counts.edited = here.get(journal.EDITED, 0)
        counts.unknown = sum(here.get(state, 0) for state in (journal.UNKNOWN, journal.SENT, journal.PLANNED))
