"""Who was forgotten: kept as keyed hashes alone, by which a record is known again when its CRM delivers it."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select

from crmsync.identity.matching import MAIL, identity_keys, normal_email
from crmsync.model import Contact, Ref
from crmsync.store.records import rows_by_ref
from crmsync.store.schema import note, tombstone
from crmsync.store.sql import IN_LIST, in_chunks, upsert

SECRET = {"crm": "", "name": "tombstone_key"}
"""The note that holds the key of the hashes (hex); there is none before somebody was forgotten."""


def save_tombstones(connection: Connection, keys: Iterable[str]) -> int:
    """Remember what somebody was known by (identity keys), so that nobody can read it. Returns how many these are."""
    secret = _secret(connection)
    if secret is None:
        secret = secrets.token_bytes(32)
        upsert(connection, note, [{**SECRET, "value": secret.hex()}])
    hashes = sorted({_hashed(secret, key) for key in keys})
    upsert(connection, tombstone, [{"hash": each} for each in hashes])
    return len(hashes)


def find_forgotten(connection: Connection, contacts: Collection[Contact]) -> set[Ref]:
    """Of records as they are pulled those that somebody forgotten had, or that carry an address of theirs.

    What the CRM itself says is the same human counts as well: what they were merged or converted into, or linked to.
    """
    return find_buried(connection, ((each.ref, identity_keys(each) | {ref_key(each.ref)}) for each in contacts))


def forgotten_refs(connection: Connection, refs: Collection[Ref]) -> set[Ref]:
    """Of these records those that are of somebody forgotten."""
    found = find_buried(connection, ((ref, {ref_key(ref)}) for ref in refs))
    if _secret(connection) is None:
        return found
    return found | {ref for ref, row in rows_by_ref(connection, refs).items() if row["forgotten"]}


def find_remembered(connection: Connection, addresses: Mapping[Ref, Collection[str]]) -> set[Ref]:
    """Of stored records, each with its e-mail addresses, those that are of somebody forgotten."""
    mails = {ref: {f"{MAIL}{normal_email(each)}" for each in theirs} for ref, theirs in addresses.items()}
    return find_buried(connection, ((ref, {ref_key(ref), *theirs}) for ref, theirs in mails.items()))


def ref_key(ref: Ref) -> str:
    """The identity key that is the record itself."""
    return f"record:{ref}"


def find_buried(connection: Connection, keys: Iterable[tuple[Ref, Collection[str]]]) -> set[Ref]:
    """Of these refs, each with its identity keys, those of which one key is of somebody forgotten.

    Where nobody ever was, no key need be made: they are asked for only then.
    """
    secret = _secret(connection)
    if secret is None:
        return set()
    refs: dict[str, set[Ref]] = {}
    for ref, theirs in keys:
        for key in theirs:
            refs.setdefault(_hashed(secret, key), set()).add(ref)
    found: set[Ref] = set()
    for some in in_chunks(refs, IN_LIST):
        for hashed in connection.scalars(select(tombstone.c.hash).where(tombstone.c.hash.in_(some))):
            found |= refs[hashed]
    return found


def _secret(connection: Connection) -> bytes | None:
    held: Any = connection.scalar(
        select(note.c.value).where(note.c.crm == SECRET["crm"], note.c.name == SECRET["name"])
    )
    return None if held is None else bytes.fromhex(held)


def _hashed(secret: bytes, key: str) -> str:
    return hmac.digest(secret, key.encode(), "sha256").hex()
