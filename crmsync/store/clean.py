"""Text as every database takes it: without NUL, and without half a character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import orjson

T = TypeVar("T")


def clean_items(items: Sequence[T]) -> Sequence[T]:
    """The items with every text in them cleaned; the same items where there is nothing to clean, which costs little."""
    try:
        # Serialising finds both at once, at the speed of C: a NUL is spelled so, and half a pair raises.
        if b"\\u0000" not in orjson.dumps(items, default=_plain):
            return items
    except orjson.JSONEncodeError:  # half of a surrogate pair is no UTF-8
        pass
    return [_clean(each) for each in items]


def clean_text(text: str) -> str:
    """Without NUL, which PostgreSQL refuses, and with U+FFFD for half of a surrogate pair, which is no UTF-8."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _plain(value: Any) -> Any:
    # Mostly a ref; whether something is a mapping takes far longer to ask.
    return list(value) if isinstance(value, tuple | frozenset) else dict(value)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _clean(getattr(value, each.name)) for each in fields(value)})
    if isinstance(value, Mapping):
        return {clean_text(name): _clean(each) for name, each in value.items()}
    if hasattr(value, "_make"):
        return value._make(map(_clean, value))
    if isinstance(value, tuple | frozenset):
        return type(value)(map(_clean, value))
    return value
