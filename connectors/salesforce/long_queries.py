"""Queries that are too long for Salesforce to take: the lists of values in them can be halved."""

from __future__ import annotations

import re

_LITERAL = r"'(?:[^'\\]|\\.)*'"
# A text comes second, so that what looks like a list within one is passed over.
_LISTS = re.compile(rf" IN \(({_LITERAL}(?:,{_LITERAL})*)\)|{_LITERAL}", re.DOTALL)
_LITERALS = re.compile(_LITERAL, re.DOTALL)


def halve_query(soql: str) -> tuple[str, ...]:
    """Two queries whose rows together are those of this one, by its longest list; none where no list has two values.

    All lists of crmsync narrow what is asked for: none stands beside an OR.
    """
    spans = [found.span(1) for found in _LISTS.finditer(soql) if found[1]]
    if not spans:
        return ()
    start, end = max(spans, key=lambda span: span[1] - span[0])
    values = _LITERALS.findall(soql[start:end])
    middle = len(values) // 2
    halves = (values[:middle], values[middle:]) if middle else ()
    return tuple(f"{soql[:start]}{','.join(half)}{soql[end:]}" for half in halves)
