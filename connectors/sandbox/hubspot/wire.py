"""The wire of the sandbox's HubSpot: what a call is, what an answer is, how times are spelled and refusals worded."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode

import orjson

from connectors.sandbox.digits import is_count

Json: TypeAlias = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_numbers = itertools.count(1)


class Reply(NamedTuple):
    """An answer: `body` is JSON, or HTML where it is text, or a file, or nothing."""

    status: int = 200
    body: Json | list[Any] | str | bytes | None = None
    headers: Mapping[str, str] = {}


class HubspotRefusal(Exception):
    """An answer that ends the call early."""

    def __init__(self, status: int, body: Json | str, headers: Mapping[str, str] | None = None) -> None:
        self.reply = Reply(status, body, headers or {})
        super().__init__(str(body))


@dataclass(slots=True)
class HubspotCall:
    """One HTTP request. `now` is the portal's time in epoch milliseconds, `version` the path's: `v3`, `2026-09`."""

    method: str
    path: str
    now: int
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    version: str = "v3"
    params: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Json:
        """The body. Raises a 400 where it is not a JSON object."""
        try:
            body = orjson.loads(self.raw or b"{}")
        except orjson.JSONDecodeError as error:
            raise bad_request(f"Invalid input JSON on line 1, column 1: {error}") from error
        if not isinstance(body, dict):
            raise bad_request("Invalid input JSON on line 1, column 1: Cannot deserialize value from Array value")
        return body

    def one(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def many(self, name: str) -> list[str]:
        """Every value of a query parameter, repeated or separated by commas."""
        return [each for value in self.query.get(name, ()) for each in value.split(",") if each]

    def flag(self, name: str) -> bool:
        """Whether a query parameter is `true`."""
        return self.one(name).lower() == "true"

    def number(self, name: str, default: int = 0) -> int:
        """A whole number among the query parameters. Raises a 400 where it is something else."""
        return whole(self.one(name) or default, name)

    def limit(self, default: int, most: int) -> int:
        """The page size. Raises a 400 where it is not between 1 and `most`."""
        return page_size(self.one("limit") or default, most)


def objects_of_body(body: Json, name: str) -> list[Json]:
    """The objects that a member of a body lists, if it is there. Raises a 400 where it is anything else."""
    return _list_of_body(body, name, dict, "objects")


def object_of_body(body: Json, name: str) -> Json:
    """The object that a member of a body is, if it is there. Raises a 400 where it is anything else."""
    found = body.get(name) or {}
    if not isinstance(found, dict):
        raise bad_request(f"Invalid input JSON on line 1, column 1: {name} must be an object")
    return found


def names_of_body(body: Json, name: str) -> list[str]:
    """The names that a member of a body lists, if it is there. Raises a 400 where it is anything else."""
    return _list_of_body(body, name, str, "names")


def _list_of_body(body: Json, name: str, kind: type, called: str) -> list[Any]:
    found = body.get(name) or []
    if not isinstance(found, list) or any(not isinstance(each, kind) for each in found):
        raise bad_request(f"Invalid input JSON on line 1, column 1: {name} must be a list of {called}")
    return found


def paging_of(call: HubspotCall, after: str) -> Json:
    """The `paging` of an answer that has more behind it: the token, and the same address with it."""
    asked = [(name, value) for name, values in call.query.items() for value in values if name != "after"]
    link = f"https://api.hubapi.com{call.path}?{urlencode([*asked, ('after', after)])}"
    return {"next": {"after": after, "link": link}}


def whole(value: object, name: str) -> int:
    """A whole number as a client sent it, number or text. Raises a 400 where it is something else."""
    text = str(value)
    if not is_count(text.removeprefix("-")):
        raise bad_request(f"Invalid value for {name}: {text}. It must be an integer.")
    return int(text)


def page_size(asked: object, most: int) -> int:
    """A page size as asked for, number or text. Raises a 400 where it is not between 1 and `most`."""
    limit = whole(asked, "limit")
    if not 1 <= limit <= most:
        raise bad_request(f"Invalid limit {limit}. Must be between 1 and {most}.")
    return limit


def correlation() -> str:
    """A new correlation id."""
    return f"5a4db0c5-0000-4000-8000-{next(_numbers):012x}"


def error(message: str, category: str = "VALIDATION_ERROR", **more: Any) -> Json:
    """The error envelope; every answer of the kind has its own correlation id."""
    body = {"status": "error", "message": message, "correlationId": correlation(), **more}
    if category:
        body["category"] = category
    return body


def bad_request(message: str, category: str = "VALIDATION_ERROR", **more: Any) -> HubspotRefusal:
    """A 400 in the error envelope."""
    return HubspotRefusal(400, error(message, category, **more))


def refuse_scopes(scopes: Sequence[str]) -> HubspotRefusal:
    """The 403 of a token that lacks a scope."""
    context = {"requiredGranularScopes": list(scopes), "links": ["https://developers.hubspot.com/scopes"]}
    return HubspotRefusal(
        403, error("One or more of the following scopes are required.", "MISSING_SCOPES", context=context)
    )


def not_found_page() -> HubspotRefusal:
    """The 404 of the web server in front of the API, which is a page for people."""
    return HubspotRefusal(404, _page(404, "Not Found"))


def not_allowed(methods: Sequence[str]) -> HubspotRefusal:
    """The 405 of a path that is there for other methods."""
    return HubspotRefusal(405, _page(405, "Method Not Allowed"), {"Allow": ", ".join(methods)})


def _page(status: int, words: str) -> str:
    return (
        '<html>\n<head>\n<meta http-equiv="Content-Type" content="text/html;charset=iso-8859-1"/>\n'
        f"<title>Error {status} {words}</title>\n</head>\n<body><h2>HTTP ERROR {status}</h2>\n<p>{words}</p>\n</body>\n"
        "</html>\n"
    )


def not_found(message: str, **context: Sequence[str]) -> HubspotRefusal:
    """The 404 of the API itself."""
    return HubspotRefusal(404, error(message, "OBJECT_NOT_FOUND", **({"context": context} if context else {})))


def milliseconds(instant: datetime) -> int:
    """Epoch milliseconds of an aware instant."""
    return (instant - EPOCH) // _MILLISECOND


@lru_cache(maxsize=4_096)
def iso(at: int) -> str:
    """`2026-11-21T08:00:00.000Z`, from epoch milliseconds."""
    return (EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds")[:-6] + "Z"


def instant(value: object) -> int | None:
    """Epoch milliseconds from what clients send for a time: a number, also in text, or ISO 8601; otherwise `None`."""
    text = str(value).strip()
    if is_count(text.removeprefix("-")):
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return milliseconds(found if found.tzinfo else found.replace(tzinfo=UTC))
