"""What lists of people and accounts print."""

from __future__ import annotations

from typing import Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from crmsync.config.account import Method
from crmsync.reporting.documents.shared import EXACTLY, Points, Value


@with_config(EXACTLY)
class ListedPerson(TypedDict):
    """Somebody of a list, and why; of disagreements which field, its values by CRM, and the CRM changed longer ago."""

    person: int | None
    name: str
    emails: list[str]
    records: list[str]
    why: str
    field: NotRequired[str]
    values: NotRequired[dict[str, Value]]
    older: NotRequired[str | None]


@with_config(EXACTLY)
class PeopleDocument(TypedDict):
    """`crmsync people`."""

    people: list[ListedPerson]
    count: int


@with_config(EXACTLY)
class AccountMember(TypedDict):
    """Somebody who counts for an account, with the roles that they fill."""

    person: int
    name: str
    emails: list[str]
    score: Points
    band: str
    active: bool
    roles: list[str]


@with_config(EXACTLY)
class ListedAccount(TypedDict):
    """An account: the active user who owns it, its score, its people (those active in the last seven days, too), how
    many of them fill each role, and the roles that nobody fills; where it was asked for by name, everybody."""

    name: str | None
    domain: str | None
    owner: str | None
    score: Points
    people: int
    active_people: int
    roles: dict[str, int]
    missing: list[str]
    members: NotRequired[list[AccountMember]]


@with_config(EXACTLY)
class AccountsDocument(TypedDict):
    """`crmsync accounts`: the highest score first; `count` are all of them, also where `--top` shows fewer."""

    accounts: list[ListedAccount]
    count: int
    method: Method


@with_config(EXACTLY)
class ForgetDocument(TypedDict):
    """`crmsync forget WHO`: how many rows were removed, by table of the state."""

    person: int | None
    records: list[str]
    removed: dict[str, int]
    kept_in_crm: Literal[True]
