"""What a cycle works with and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from crmsync.apply import Progress
from crmsync.config import Config
from crmsync.model import Connector
from crmsync.store.database import Store
from crmsync.store.pulled import to_ms

Verdict = Literal["ok", "partial", "failed", "unsafe", "dry"]


@dataclass
class Counts:
    """What happened in one CRM: `pulled = scored + Σ skipped`; `planned` is the sum of the four that follow it.

    `rescored` are all records scored, also those that were not pulled (time passed, the model changed); `resumed` are
    changes of an earlier, cut-off run that were finished first; `left_alone` says why a difference was not planned.
    """

    pulled: int = 0
    activities: int = 0
    scored: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    planned: int = 0
    kept: int = 0
    failed: int = 0
    changed_meanwhile: int = 0
    unresolved: int = 0
    api_calls: int = 0
    seconds: float = 0.0
    rescored: int = 0
    resumed: int = 0
    left_alone: dict[str, int] = field(default_factory=dict)


@dataclass
class Result:
    """How a run ended. `problems` are sentences: why a CRM sat out, why a plan is unsafe.

    `guard` says of a dry run why the plan would be held back if it were not one.
    """

    run: str
    verdict: Verdict = "ok"
    crms: dict[str, Counts] = field(default_factory=dict)
    bands: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    guard: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        return asdict(self)


class Work(NamedTuple):
    """What a cycle works with: the config, the state, the CRMs by name, and the instant it takes for now (aware)."""

    config: Config
    store: Store
    crms: Mapping[str, Connector]
    now: datetime
    progress: Progress = lambda _what, _crm, _more: None

    @property
    def now_ms(self) -> int:
        """The instant in milliseconds."""
        return to_ms(self.now)
