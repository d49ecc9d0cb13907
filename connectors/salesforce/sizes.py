"""How many records there are of each object, by Salesforce's own rough count."""

from __future__ import annotations

import time
from collections.abc import Iterable

from connectors.salesforce.client import Org
from connectors.salesforce.errors import RequestRefused, record_counts

KEPT_FOR = 3600.0
"""Seconds for which a count is good enough to choose between REST and Bulk."""


def learn_sizes(org: Org, objects: Iterable[str]) -> None:
    """Count the records of several objects in one call; where it is refused none of them has a count."""
    names = [name for name in dict.fromkeys(objects) if not _is_known(org, name)]
    if not names:
        return
    try:
        counts: dict[str, int] = org.spare("GET", f"limits/recordCount?sObjects={','.join(names)}", read=record_counts)
    except RequestRefused:
        counts = {}
    now = time.monotonic()
    org.sizes |= {name: (counts.get(name), now) for name in names}


def size_of(org: Org, object_: str) -> int | None:
    """How many records there are; `None` where Salesforce does not say so."""
    learn_sizes(org, [object_])
    return org.sizes[object_][0]


def _is_known(org: Org, name: str) -> bool:
    return name in org.sizes and time.monotonic() - org.sizes[name][1] < KEPT_FOR
