"""What a portal says of itself: its properties, stages, owners and which account it is."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.hubspot.call_outcomes import read_call_outcomes
from connectors.hubspot.client import Api, Query
from connectors.hubspot.endpoints import Endpoint
from connectors.hubspot.errors import CRM, Forbidden, RequestRefused, id_of, object_in, text_of, unreadable
from connectors.hubspot.pipelines import Pipeline, read_pipelines
from connectors.hubspot.properties import Definition, definition_of
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Owner

FRESH = 300.0
"""Seconds for which definitions and owners are believed."""


class Portal:
    """The portal's definitions, asked for once in a while."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._kept: dict[str, tuple[float, Any]] = {}
        self._is_new = False
        self._currency = ""

    def definitions(self, kind: str) -> Mapping[str, Definition]:
        """The properties of `contacts` or `companies` by name."""
        found: Mapping[str, Definition] = self._fresh(f"properties of {kind}", lambda: self._definitions(kind))
        return found

    def owners(self) -> tuple[Owner, ...]:
        """Everybody, deactivated users included."""
        found: tuple[Owner, ...] = self._fresh("owners", lambda: tuple(self._owners()))
        return found

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
        found: Mapping[str, str] = self._fresh("call outcomes", lambda: read_call_outcomes(self._api))
        return found

    def currency(self) -> str:
        """The portal's own currency; `""` where it does not say."""
        self.account()
        return self._currency

    def forget(self) -> None:
        """Ask again from here on. Which portal it is does not change."""
        self._kept = {name: kept for name, kept in self._kept.items() if name == "account"}
        self._is_new = True

    def forget_once(self) -> None:
        """The same for a pull, unless what is known was asked for since the last one: then it is of this run."""
        if not self._is_new:
            self.forget()
        self._is_new = False

    def account(self) -> str:
        """The portal's id; learns its time zone on the way."""
        return str(self._fresh("account", self._account))

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

    def _fresh(self, name: str, ask: Any) -> Any:
        kept = self._kept.get(name)
        if kept is None or time.monotonic() - kept[0] > FRESH:
            kept = self._kept[name] = (time.monotonic(), ask())
        return kept[1]

    def _definitions(self, kind: str) -> dict[str, Definition]:
        answer = self._api.get(self._api.place("properties", kind=kind))
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
        if after in seen:
            raise Unavailable(CRM, f"HubSpot returns the same page again and again (to {where.words})")
        seen.add(after)


def next_page(answer: Mapping[str, Any]) -> str:
    """The token of the next page, `""` after the last one."""
    return text_of(object_in(object_in(answer, "paging"), "next").get("after"))
