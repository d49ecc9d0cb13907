"""Where a record went that can no longer be written to: merged, converted, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.salesforce.client import Org
from connectors.salesforce.contacts import rows_by_id
from connectors.salesforce.errors import CRM
from connectors.salesforce.paging import Row
from connectors.salesforce.schema import OBJECTS, Schema
from connectors.salesforce.source import Source
from crmsync.model import Ref

HOPS = 5
"""How far a chain of merges is followed."""

COLUMNS = ("IsDeleted", "MasterRecordId", "IsConverted", "ConvertedContactId")


def find_moved_records(
    org: Org, schema: Schema, kind: str, ids: Sequence[str]
) -> tuple[dict[str, Ref | None], frozenset[str]]:
    """For each id where its record is now, or `None` if it is deleted; records that stayed are left out.

    With it the ids of which Salesforce shows nothing: records that it has no more, or that are not shared.
    """
    # Contacts cannot be converted, and lack these fields.
    columns = tuple(each for each in COLUMNS if schema.resolve(OBJECTS[kind], each))
    source = Source(OBJECTS[kind], OBJECTS[kind], columns, order=("Id",))
    known: dict[str, Row] = {}
    asked, unread, unseen = set(ids), set[str](), set[str]()
    for _ in range(HOPS):
        rows, gone = rows_by_id(org, schema, source, sorted(asked))
        unseen |= set(gone).intersection(ids)
        known |= {str(row["Id"]): row for row in rows}
        unread |= asked - known.keys() - set(gone)
        asked = {str(row["MasterRecordId"]) for row in known.values() if "MasterRecordId" in row} - set(known)
        if not asked:
            break
    if unread:  # where it went may hang on what cannot be read: whoever asked looks again later
        ids = [each for each in ids if each in known and "MasterRecordId" not in known[each]]
    ends = {each: _end(each, kind, known) for each in ids if each not in unseen}
    return {each: end for each, end in ends.items() if end != Ref(CRM, kind, each)}, frozenset(unseen)


def _end(id_: str, kind: str, known: Mapping[str, Row]) -> Ref | None:
    """Where a chain of merges and a conversion lead to; `None` for a record that is gone for good."""
    row = known.get(id_)
    for _ in range(HOPS):
        if row is None or "MasterRecordId" not in row:
            break
        id_ = str(row["MasterRecordId"])
        row = known.get(id_)
    if row is None or row.get("IsDeleted") is True:
        return None
    if row.get("IsConverted") is True and "ConvertedContactId" in row:
        return Ref(CRM, "contact", str(row["ConvertedContactId"]))
    return Ref(CRM, kind, id_)
