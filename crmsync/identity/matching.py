"""Who is who: which contacts are one person, decided by the CRMs' own links and by e-mail address."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from crmsync.model import Contact

MAIL = "mail:"
"""How the marks begin that are e-mail addresses."""


class Identified(NamedTuple):
    """What of a contact decides who it is: its row id, its CRM, and its marks.

    A record that another one replaced (a merge, a conversion) is `replaced`: the links of the CRM say who it is, and
    its addresses nothing, for they may be somebody else's by now. What `follows` is no record: it goes with the person
    of its marks, and joins nobody.
    """

    id: int
    crm: str
    marks: frozenset[str]
    replaced: bool = False
    follows: bool = False

    @property
    def counted(self) -> frozenset[str]:
        """The marks that say who it is."""
        return frozenset(mark for mark in self.marks if not mark.startswith(MAIL)) if self.replaced else self.marks


def normal_email(address: str) -> str:
    """The address as it is compared: NFC, no outer spaces, lower case; nothing else (a+b@ and ab@ are two people)."""
    return unicodedata.normalize("NFC", address).strip().lower()


def identity_keys(contact: Contact) -> set[str]:
    """Everything that two contacts of one person have in common: addresses, and records that the CRM itself links.

    A deleted record has none: nothing it says counts any more, but for who it became by a merge or a conversion.
    """
    became = [ref for ref in (contact.merged_into, contact.converted_into) if ref is not None]
    records = {f"record:{ref}" for ref in (contact.ref, *contact.links, *became)}
    records |= {f"record:{contact.ref.crm}:{contact.ref.kind}:{old}" for old in contact.aliases}
    if contact.gone:
        return records if became else set()
    return records | {f"{MAIL}{normal_email(address)}" for address in contact.emails if "@" in address}


def ambiguous_mails(
    contacts: Sequence[Identified], shared_address_limit: int, shared_mailboxes: Iterable[str]
) -> set[str]:
    """The address marks that cannot say who somebody is (see `config.Identity`)."""
    shared = set(shared_mailboxes)
    # By CRM: an address that is in both CRMs is what makes one person of two records.
    counts = Counter((mark, each.crm) for each in contacts for mark in each.counted if mark.startswith(MAIL))
    return {
        mark
        for (mark, _crm), count in counts.items()
        if count > (1 if mark[len(MAIL) :].partition("@")[0] in shared else shared_address_limit)
    }


def match_people(
    contacts: Sequence[Identified], shared_address_limit: int, shared_mailboxes: Iterable[str]
) -> tuple[dict[int, int], set[int]]:
    """Each contact's person (the lowest row id of those joined), and the contacts that cannot be told apart.

    A contact whose addresses are all ambiguous is not given a person, and neither is what follows nobody.
    """
    doubtful = ambiguous_mails(contacts, shared_address_limit, shared_mailboxes)
    unclear = {
        each.id
        for each in contacts
        if doubtful and (mails := {mark for mark in each.counted if mark.startswith(MAIL)}) and mails <= doubtful
    }
    parents = {each.id: each.id for each in contacts if not each.follows}
    first: dict[str, int] = {}
    # Sorted, so that the order in which records come decides nothing (S04).
    for each in sorted(contacts):
        for mark in sorted(each.counted - doubtful) if not each.follows else ():
            _join(parents, first.setdefault(mark, each.id), each.id)
    people = {row_id: _root(parents, row_id) for row_id in parents if row_id not in unclear}
    for each in contacts:
        leader = next((first[mark] for mark in sorted(each.marks - doubtful) if mark in first), None)
        if each.follows and leader in people:
            people[each.id] = people[leader]
    return people, unclear


def _root(parents: dict[int, int], row_id: int) -> int:
    while parents[row_id] != row_id:
        parents[row_id] = parents[parents[row_id]]
        row_id = parents[row_id]
    return row_id


def _join(parents: dict[int, int], one: int, other: int) -> None:
    one, other = _root(parents, one), _root(parents, other)
    parents[max(one, other)] = min(one, other)
