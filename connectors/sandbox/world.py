"""Believable people and what they did, before either CRM has a record of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache


@dataclass(frozen=True)
class Firm:
    """A company; `number` is unique within a world, `owner` the number of the rep who has it."""

    number: int
    name: str
    domain: str
    industry: str
    employees: int | None
    country: str
    revenue: int | None
    owner: int | None = None


@dataclass(frozen=True)
class Happening:
    """Something a human did at an aware UTC instant; `kind` is one of `crmsync.model.KINDS`.

    Attributes by kind: page_viewed `url`, `seconds`; form_submitted `form`, `url`; content_downloaded `asset`;
    e-mail kinds `subject`, `campaign`; meetings `subject`, `outcome`; call_completed `subject`, `outcome`, `seconds`;
    webinar and event kinds `campaign`. `seen_by` names the CRMs that record it.
    """

    kind: str
    at: datetime
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    seen_by: frozenset[str] = frozenset({"hubspot"})


@dataclass(frozen=True)
class Deal:
    """What sales made of a person: one opportunity in Salesforce and one deal in HubSpot, wherever they are known.

    `stages` are names of `DEAL_STAGES` with the instant of each entry (aware UTC, ascending); the last one is the
    present one. `number` is unique within a world. `contacts` are the numbers of the humans it is about, the one that
    sales spoke to first. `lost_reason` and `expected` (the date that the rep expects) are what people type.
    """

    number: int
    name: str
    contacts: tuple[int, ...]
    firm: int | None
    owner: int
    amount: int | None
    stages: tuple[tuple[str, datetime], ...]
    expected: date
    source: str
    campaign: str = ""
    lost_reason: str = ""
    seen_by: frozenset[str] = frozenset({"hubspot", "salesforce"})


DEAL_STAGES = ("Qualification", "Proposal", "Negotiation", "Closed Won", "Closed Lost")
"""The stages of a deal; the last two close it."""


@dataclass(frozen=True)
class Human:
    """One person of the world and the records the CRMs keep of them.

    `in_hubspot` is how many HubSpot contacts they have (2 is a duplicate); `in_salesforce` the kinds of their
    Salesforce records in order of creation: `lead`, `contact`, or `converted` (a lead that became the contact
    after it).
    `email` is `None` where the CRMs do not know it; `title` and the firm's numbers may be missing too.
    `native_link` says that the HubSpot record carries the Salesforce record's id (the native sync ran once).
    """

    number: int
    first: str
    last: str
    email: str | None
    title: str | None
    firm: Firm | None
    country: str | None
    in_hubspot: int
    in_salesforce: tuple[str, ...]
    created_at: datetime
    owner: int | None
    happenings: tuple[Happening, ...] = ()
    native_link: bool = False


@dataclass(frozen=True)
class Rep:
    """Somebody in sales: user of Salesforce and owner in HubSpot, known by the e-mail address in both."""

    number: int
    first: str
    last: str
    email: str
    active: bool = True


@dataclass(frozen=True)
class World:
    """Everybody there is, as of an instant. With a seed CRMs hold their values as people type them, else as here."""

    now: datetime
    reps: tuple[Rep, ...]
    firms: tuple[Firm, ...]
    humans: tuple[Human, ...]
    deals: tuple[Deal, ...] = ()
    seed: int | None = None


def message_id(human: Human, mail: Happening) -> str:
    """The Message-ID of an e-mail (RFC 5322), the same in each CRM that logs it."""
    return f"<{mail.at.timestamp():.3f}.{human.number}@mail.ourproduct.example>"


_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def salesforce_id(prefix: str, number: int) -> str:
    """The 18-character Salesforce id with this three-character prefix: both CRMs of a world must agree on it.

    A lead or contact that is record `k` of human `n` has the number `n * 4 + k`; accounts have their firm's number and
    users their rep's.
    """
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return with_checksum(prefix + digits.rjust(12, "0"))


def with_checksum(short: str) -> str:
    """A 15-character id with the three characters that tell its upper-case letters apart from its lower-case ones."""
    return short + _checked(short[:5]) + _checked(short[5:10]) + _checked(short[10:])


@lru_cache(maxsize=65_536)
def _checked(chunk: str) -> str:
    return _CHECKSUM[sum(char.isupper() << bit for bit, char in enumerate(chunk))]
