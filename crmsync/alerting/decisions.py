"""What of all that is wrong is news: its beginning, its end, and once a day that it lasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from crmsync.alerting.conditions import CONTESTED, AlertCondition

AGAIN = 86_400_000
"""Milliseconds after which a condition that lasts is told once more."""

CALM = 3_600_000
"""Milliseconds that a condition must be over for its return to be news, or must last then."""


class Remembered(NamedTuple):
    """A condition as it was told; instants in milliseconds.

    `told` is when somebody was last told that it began or lasts; `ended` when it was over; `quiet` since when it is
    back without anybody having been told.
    """

    key: str
    title: str
    began: int
    told: int
    ended: int | None = None
    quiet: int | None = None


class AlertLine(NamedTuple):
    """A line of a message."""

    kind: Literal["began", "still", "ended"]
    key: str
    text: str


def decide_alerts(
    conditions: Sequence[AlertCondition], remembered: Mapping[str, Remembered], now: int
) -> tuple[list[AlertLine], dict[str, Remembered]]:
    """The lines that are to be told, and what is to be remembered by key.

    What ends and comes back within an hour is not told again before it has lasted an hour, or a day after it was told.
    Of what another tool changes back the end is told once it has been over for a day: until then it has not ended.
    """
    lines: list[AlertLine] = []
    memory: dict[str, Remembered] = {}
    for each in conditions:
        if each.key not in memory:
            line, memory[each.key] = _judge_condition(each, remembered.get(each.key), now)
            lines += [line] if line else []
    for key, before in remembered.items():
        if key in memory:
            continue
        if key.startswith(CONTESTED):
            ended = now if before.ended is None else before.ended
            if _is_past(ended, now, AGAIN):
                lines.append(AlertLine("ended", key, _describe_end(before, ended)))
            else:
                memory[key] = before._replace(ended=ended)
        elif before.ended is None:
            memory[key] = before._replace(ended=now, quiet=None)
            if before.quiet is None:
                lines.append(AlertLine("ended", key, _describe_end(before, now)))
        elif not _is_past(before.ended, now, CALM):
            memory[key] = before
    return lines, memory


def _judge_condition(found: AlertCondition, before: Remembered | None, now: int) -> tuple[AlertLine | None, Remembered]:
    if before is not None and found.key.startswith(CONTESTED):
        before = before._replace(ended=None)
    if before is None or (before.ended is not None and _is_past(before.ended, now, CALM)):
        return _begin(found, now, now)
    is_due = _is_past(before.told, now, AGAIN)
    if before.ended is not None:
        back = Remembered(found.key, found.title, now, before.told, quiet=now)
        return _begin(found, now, now) if is_due else (None, back)
    if before.quiet is not None and _is_past(before.quiet, now, CALM):
        return _begin(found, before.quiet, now)
    kept = before._replace(title=found.title)
    if not is_due:
        return None, kept
    text = f"Still, since {_minute(before.began)}: {_describe(found)}"
    return AlertLine("still", found.key, text), kept._replace(told=now, quiet=None)


def _begin(found: AlertCondition, began: int, now: int) -> tuple[AlertLine, Remembered]:
    since = "" if began == now else f", since {_minute(began)}"
    line = AlertLine("began", found.key, f"New{since}: {_describe(found)}")
    return line, Remembered(found.key, found.title, began, now)


def _describe(found: AlertCondition) -> str:
    said = f"{found.title}."
    said += f" {found.sentence}" if found.sentence else ""
    return said + (f" Next: {found.next}" if found.next else "")


def _describe_end(before: Remembered, now: int) -> str:
    return f"Over at {_minute(now)}, began {_minute(before.began)}: {before.title}."


def _minute(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _is_past(at: int, now: int, milliseconds: int) -> bool:
    """Whether so much time lies between two instants; a clock that was set back must not silence anything."""
    return abs(now - at) >= milliseconds
