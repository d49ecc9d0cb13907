"""Which records Salesforce says it deleted, also where the recycle bin no longer has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from connectors.salesforce.client import Org
from connectors.salesforce.errors import text_of
from crmsync.errors import ConfigError, Unavailable

REACH = timedelta(days=14, hours=23)
"""How far back is asked: the log has fifteen days (resources-getdeleted in the REST guide, 2026-11-21)."""


def named_as_deleted(org: Org, object_: str, ids: Sequence[str]) -> frozenset[str]:
    """Those of the ids that the log names. Of the others nothing is known: it has an end, and may be emptied early."""
    if not ids:
        return frozenset()
    end = org.now()
    span = urlencode({"start": (end - REACH).isoformat(), "end": end.isoformat()})
    try:
        named: frozenset[str] = org.spare("GET", f"sobjects/{object_}/deleted/?{span}", read=_named)
    # Whatever it says: without the log the records only wait, and what concerns all of Salesforce stops the next call.
    except (ConfigError, Unavailable):
        return frozenset()
    return frozenset(each for each in ids if each[:15] in named)


def _named(answer: Any) -> frozenset[str]:
    """Ids come with 15 characters or with 18; the first 15 are the same."""
    records = answer.get("deletedRecords") if isinstance(answer, dict) else None
    listed = records if isinstance(records, list) else []
    return frozenset(text_of(each.get("id"))[:15] for each in listed if isinstance(each, dict))
