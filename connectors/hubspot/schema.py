"""What a portal says of itself: its properties, stages, owners and which account it is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.http import refuse_repeat
from connectors.hubspot.call_outcomes import read_call_outcomes
from connectors.hubspot.client import Api, Query
from connectors.hubspot.endpoints import Endpoint
from connectors.hubspot.errors import CRM, Forbidden, RequestRefused, id_of, object_in, text_of, unreadable
from connectors.hubspot.pipelines import Pipeline, read_pipelines
from connectors.hubspot.properties import Definition, definition_of
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Owner

KEPT = timedelta(minutes=55)
"""For how long a process believes definitions and owners, by HubSpot's clock: runs that are a quarter of an hour apart
ask for them once an hour.
"""

FRESH = timedelta(minutes=5)
"""For how long it does before it writes, and where something speaks against them."""


class Portal:
    """The portal's definitions, asked for once in a while."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._kept: dict[str, tuple[datetime, Any]] = {}
        self._currency = ""

    def definitions(self, kind: str) -> Mapping[str, Definition]:
        """The properties of `contacts` or `companies` by name; none where the portal has no companies at all."""
        found: Mapping[str, Definition] = self._fresh(f"properties of {kind}", lambda: self._definitions(kind))
        return found

    def owners(self) -> tuple[Owner, ...]:
        """Everybody, deactivated users included."""
        found: tuple[Owner, ...] = self._fresh("owners", lambda: tuple(self._owners()))
        return found

    def confirm_owners(self, ids: Collection[str | None]) -> None:
        """Doubt the owners that are known if records belong to somebody who is not among them."""
        kept = self._kept.get("owners")
        if kept and not {each for each in ids if each} <= {each.id for each in kept[1]}:
            self.doubt("owners")

    def stages(self) -> tuple[str, ...]:
        """The values of the lifecycle stage from the first to the last, as this portal orders them."""
        found: tuple[str, ...] = self._fresh("stages", self._stages)
        return found

    def pipelines(self, kind: str) -> tuple[Pipeline, ...]:
        """The pipelines of `deals`."""
        found: tuple[Pipeline, ...] = self._fresh(f"pipelines of {kind}", lambda: read_pipelines(self._api, kind))
        return found

    def call_outcomes(self) -> Mapping[str, str]:
        """The label of each outcome of a call, by its id."""
        found: Mapping[str, str] = self._fresh("call outcomes", lambda: read_call_outcomes(self._api), FRESH)
        return found

    def currency(self) -> str:
        """The portal's own currency; `""` where it does not say."""
        self.account()
        return self._currency

    def forget(self) -> None:
        """Ask again from here on. Which portal it is does not change."""
        self._kept = {name: kept for name, kept in self._kept.items() if name == "account"}

    def doubt(self, beginning: str = "") -> None:
        """Ask again from here on for what was not asked for a moment ago."""
        for name, (at, _) in list(self._kept.items()):
            if name != "account" and name.startswith(beginning) and not self._is_of_last(at, FRESH):
                self._kept.pop(name, None)

    def lacks(self, kind: str, asked: Sequence[str], records: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a record came without a property that was asked for, which HubSpot does where there is none.

        Then the definitions are doubted: an empty property comes as `null`, and what is not there (any longer) must not
        count as empty (R33).
        """
        wanted = set(asked)
        if all(wanted <= each.keys() for each in records):
            return False
        self.doubt(f"properties of {kind}")
        return True

    def account(self) -> str:
        """The portal's id; learns its time zone on the way."""
        return str(self._fresh("account", self._account))

    def confirm_account(self) -> str:
        """The same, asked for in any case: whoever begins a run learns the time and the rest of the day's calls."""
        self._kept.pop("account", None)
        return self.account()

    def _account(self) -> str:
        try:
            details = self._api.get(self._api.place("account"))
        except (Forbidden, RequestRefused):
            return self._account_of_a_record()
        try:
            # HubSpot counts the calls of a day from midnight there.
            self._api.zone = ZoneInfo(text_of(details.get("timeZone")) or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._api.zone = ZoneInfo("UTC")
        self._currency = text_of(details.get("companyCurrency"))
        if portal := id_of(details.get("portalId")):
            return portal
        raise unreadable("read the account's details")

    def _account_of_a_record(self) -> str:
        """The portal's id out of a record's address, for credentials that may not read the account's details."""
        answer = self._api.get(self._api.place("list", kind="contacts"), [("limit", "1")])
        for record in answer["results"]:
            if found := re.search(r"/contacts/(\d+)/", text_of(record.get("url"))):
                return found[1]
        raise ConfigError("HubSpot does not say which portal this token belongs to: add an account scope to the token")

    def _fresh(self, name: str, ask: Any, most: timedelta = KEPT) -> Any:
        kept = self._kept.get(name)
        if kept is None or not self._is_of_last(kept[0], most):
            found = ask()
            kept = self._kept[name] = (self._api.server_time, found)
        return kept[1]

    def _is_of_last(self, at: datetime, most: timedelta) -> bool:
        return abs(self._api.server_time - at) <= most

    def _definitions(self, kind: str) -> dict[str, Definition]:
        try:
            answer = self._api.get(self._api.place("properties", kind=kind))
        except RequestRefused as error:
            # Some portals have none.
            if kind != "companies" or not error.knows_no_such_kind:
                raise
            return {}
        found = [definition_of(each) for each in answer["results"] if not each.get("archived")]
        if None in found:
            raise unreadable(f"use the properties of {kind}")
        return {each.name: each for each in found if each}

    def _stages(self) -> tuple[str, ...]:
        stage = self.definitions("contacts").get("lifecyclestage")
        return stage.options if stage else ()

    def _owners(self) -> Iterator[Owner]:
        return (_owner(each, archived) for archived, each in self._list_owners())

    def _list_owners(self) -> Iterator[tuple[bool, Mapping[str, Any]]]:
        # Deactivated users are among the archived owners only.
        for archived in (False, True):
            query = [("limit", "100"), ("archived", "true" if archived else "false")]
            for each in list_all(self._api, self._api.place("owners"), query):
                yield archived, each

    def users(self) -> dict[str, str]:
        """The address of each user who is or was an owner, by the id of the user, which is not that of the owner."""
        return {
            str(user): text_of(each.get("email"))
            for _archived, each in self._list_owners()
            if (user := each.get("userId") or each.get("userIdIncludingInactive"))
        }


def _owner(answer: Mapping[str, Any], archived: bool) -> Owner:
    owner_id, is_archived = id_of(answer.get("id")), answer.get("archived")
    if not owner_id or not isinstance(is_archived, bool | None):
        raise unreadable("read owners")
    names = (text_of(answer.get(part)) for part in ("firstName", "lastName"))
    return Owner(
        crm=CRM,
        id=owner_id,
        email=text_of(answer.get("email")),
        name=" ".join(name for name in names if name),
        active=not (archived or is_archived),
        kind="queue" if answer.get("type") == "QUEUE" else "user",
    )


def list_all(api: Api, where: Endpoint, query: Query) -> Iterator[Mapping[str, Any]]:
    """Every result of a listing, page after page. Raises `Unavailable` when HubSpot serves a page twice."""
    after, seen = "", set[str]()
    while True:
        answer = api.get(where, [*query, *([("after", after)] if after else [])])
        yield from answer["results"]
        after = next_page(answer)
        if not after:
            return
        told = f"HubSpot returns the same page again and again (to {where.words})"
        refuse_repeat(seen, after, Unavailable(CRM, told))


def next_page(answer: Mapping[str, Any]) -> str:
    """The token of the next page, `""` after the last one."""
    return text_of(object_in(object_in(answer, "paging"), "next").get("after"))
