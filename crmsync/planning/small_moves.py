"""Moves of a score that `[write] at_least` leaves unwritten, compared with what the CRM holds."""

from __future__ import annotations

import re
from collections.abc import Mapping

from crmsync.config.write import LeastMove
from crmsync.model import CHANNEL_FIELD, Scalar

_NUMBER = r"-?[\d,]+(?:\.\d+)?"
_HEAD = re.compile(rf"(.*?){_NUMBER} points?: ", re.DOTALL)
_POINTS_AT_END = re.compile(r" ([+-])[\d,]+(?:\.\d+)?$")
_CUT_POINTS_AT_END = re.compile(r" ([+-])[\d,.]*$")
_UNMET = re.compile(rf"\b(fit|behavior) is {_NUMBER}")
_LACKING = re.compile(rf"\b(needs|and) {_NUMBER} more points?|, {_NUMBER} more points?")


def is_small_move(
    holds: Mapping[str, Scalar],
    last_written: Mapping[str, Scalar],
    after: Mapping[str, Scalar | None],
    least: LeastMove,
) -> bool:
    """Whether a change of what a record holds is nothing but numbers that moved by less than `least`, and texts that
    repeat them.

    Where crmsync did not write last what is there, that is no move of the score, and always put right.
    """
    return bool(least and after) and all(
        holds.get(name) is not None
        and holds[name] == last_written.get(name)
        and value is not None
        and _is_small(name, holds[name], value, holds.get("score"), least)
        for name, value in after.items()
    )


def describe_small_move(least: LeastMove) -> str:
    """Why a score is not in the CRM as it is."""
    return f"moved by less than {least}: not written yet ([write] at_least)"


def _is_small(name: str, there: Scalar, wanted: Scalar, score: Scalar | None, least: LeastMove) -> bool:
    if name == "reason":
        return tells_same_reason(str(there), str(wanted))
    if name == "next":
        return _LACKING.sub(r"\1", str(there)) == _LACKING.sub(r"\1", str(wanted))
    if not (_is_number(there) and _is_number(wanted)):
        return False
    # Parts of a score are measured by the score: 1 point more of 2 for behavior is little where the score is 80.
    whole = score if _is_number(score) and _is_part(name) else there
    moved = abs(_hundredths(wanted) - _hundredths(there))
    return moved < round(100 * least.points) or moved * 100 < least.percent * abs(_hundredths(whole))


def _is_part(name: str) -> bool:
    return name in ("fit", "behavior") or name.startswith(CHANNEL_FIELD)


def _is_number(value: Scalar | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _hundredths(value: Scalar | None) -> int:
    return round(float(str(value)) * 100)


def tells_same_reason(one: str, other: str) -> bool:
    """Whether two texts of `reason` tell the same band and the same rules for and against, whatever their points.

    Where one is cut off, what is left of it must begin the other: else the other may tell what this one lacks.
    """
    (band, told, rest), (other_band, others, other_rest) = _take_reason_apart(one), _take_reason_apart(other)
    if band != other_band:
        return False
    if rest is None and other_rest is None:
        return sorted(told) == sorted(others)
    if len(told) > len(others):
        told, rest, others, other_rest = others, other_rest, told, rest
    if rest is None or told != others[: len(told)]:
        return False
    following = others[len(told)] if len(told) < len(others) else other_rest
    return following is not None and (following.startswith(rest) or rest.startswith(following))


def _take_reason_apart(text: str) -> tuple[str, list[str], str | None]:
    """The band, the rules with their signs, and what is left of one where the text was cut off."""
    head = _HEAD.match(text)
    band, told = (head[1], text[head.end() :]) if head else ("", text)
    parts = told.removesuffix("…").split(", ")
    rest = _UNMET.sub(r"\1 is", _CUT_POINTS_AT_END.sub(r" \1", parts.pop())) if told.endswith("…") else None
    return band, [_UNMET.sub(r"\1 is", _POINTS_AT_END.sub(r" \1", each)) for each in parts], rest
