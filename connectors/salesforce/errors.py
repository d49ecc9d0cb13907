"""The one place that says what an answer of Salesforce means: again later, not today, change something, or a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import requests
import urllib3
from simple_salesforce.exceptions import SalesforceError

from connectors.http import NotJson, drop_unstorable
from crmsync.errors import ConfigError, CrmsyncError, Transient, Unavailable, quote_crm

CRM = "salesforce"
T = TypeVar("T")


HIDDEN = frozenset({"INVALID_TYPE", "INVALID_FIELD", "INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY"})
"""Codes for an object or a field that the integration user may not read."""


class Expired(Exception):
    """The access token is no longer taken: log in again and repeat."""


class NotTaken(Transient):
    """Salesforce had no room for the request and did nothing: whatever it is, it can be sent once more."""


class NobodyThere(Transient):
    """At this address something answers that does not speak as Salesforce does: a gateway, or there is no such call."""


class AnswerLost(Unavailable):
    """Salesforce may or may not have done what must not be done twice."""


class RequestTooLong(ConfigError):
    """Salesforce, or something on the way to it, takes no address as long as that of this request."""

    def __init__(self) -> None:
        super().__init__(
            "Salesforce does not take a request for so many fields: it is too long, and cannot be made shorter; map "
            "fewer fields in [fields] or [[salesforce.activities]], or fields with shorter names"
        )


class RequestRefused(ConfigError):
    """Salesforce read the request and said no. `code` is its error code, such as `INVALID_FIELD`."""

    def __init__(self, code: str, said: str) -> None:
        advice = f"; {ADVICE[code]}" if code in ADVICE else ""
        self.code, self.message = code, said + advice
        super().__init__(f"Salesforce refused a request: {quote_crm(said)}{advice} ({code})")


PASSING = frozenset(
    {
        "SERVER_UNAVAILABLE",
        "REQUEST_RUNNING_TOO_LONG",
        "QUERY_TIMEOUT",
        "UNKNOWN_EXCEPTION",
        "UNABLE_TO_LOCK_ROW",
        "TXN_SECURITY_RUNTIME_EXCEPTION",
    }
)
"""Codes that mean "later" whatever the status beside them."""

TOO_LONG = frozenset({414, 431})
"""Statuses for an address that is too long; it is no shorter when it is sent again."""

NO_ADDRESS = frozenset({404, 405})
"""Statuses for an address at which nobody answers, or not to this method."""

RETRY_STATUSES = frozenset({406, 408, 420, 425, 429})
"""Statuses below 500 that Salesforce gives for passing trouble (406 and 420: seen on Bulk 2.0 endpoints)."""

CONCURRENCY_PAUSE = 15.0
"""Seconds to leave an org alone that has too many calls running at once."""

ADVICE = {
    "API_DISABLED_FOR_ORG": "this org's edition or the user's profile has no API access; give the user the "
    "permission 'API Enabled'",
    "API_CURRENTLY_DISABLED": "the API is switched off for this user; give the user the permission 'API Enabled'",
    "FUNCTIONALITY_NOT_ENABLED": "this org lacks a feature that crmsync needs",
    "INVALID_FIELD": "give the integration user's permission set 'Read' on the field, or take it out of the config",
    "INSUFFICIENT_ACCESS": "the integration user lacks a permission",
    "UNSUPPORTED_API_VERSION": "this API version is retired; raise api_version in [salesforce]",
}


def run_exchange(send: Callable[[], T]) -> T:
    """The value of one exchange. Raises `Expired`, `Transient`, `Unavailable`, `Refused` or `ConfigError`."""
    try:
        return send()
    except SalesforceError as error:
        judge_answer(int(error.status), error.content)
    except NotJson:
        raise Transient("Salesforce answered with something that is not JSON, for example during maintenance") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Transient(f"Salesforce could not be reached ({type(error).__name__})") from None


def judge_answer(status: int, content: Any) -> NoReturn:
    """Raise what an answer with a status of 300 or more means."""
    code, message = _said(content)
    if status == 401 or code == "INVALID_SESSION_ID":
        raise Expired
    if 300 <= status < 400 and not code:
        raise ConfigError(
            "Salesforce redirects to another address, and crmsync does not send its token there; "
            "set instance_url in [salesforce] to the org's My Domain address"
        )
    if code == "REQUEST_LIMIT_EXCEEDED":
        raise _limit(message)
    is_full = status in (429, 503) or code == "SERVER_UNAVAILABLE"
    if is_full or status >= 500 or status in RETRY_STATUSES or code in PASSING:
        said = f"{code or status}: {quote_crm(message)}" if message else f"with status {status}"
        raise (NotTaken if is_full else Transient)(f"Salesforce answered {said}")
    # So REST answers for a version that is retired, whatever the body.
    if status == 410:
        raise ConfigError(ADVICE["UNSUPPORTED_API_VERSION"])
    if status in TOO_LONG:
        raise RequestTooLong
    if not code:
        lacking = NobodyThere if status in NO_ADDRESS else Transient
        raise lacking(f"Salesforce answered with status {status} and not in its own words")
    raise RequestRefused(code, message)


def _said(content: Any) -> tuple[str, str]:
    """Code and message of an error body: a list of objects, one object, or text from something in between."""
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, dict):
        return "", ""
    return text_of(first.get("errorCode")) or text_of(first.get("error")), text_of(first.get("message"))[:1000]


def _limit(message: str) -> CrmsyncError:
    """The same code is used for the 24-hour quota and for too many calls at once: only the words tell them apart."""
    if "total" in message.lower():
        return Unavailable(
            CRM,
            "the org's API requests of the last 24 hours are used up",
            until="some time: the limit is for the last 24 hours and becomes free step by step",
        )
    return NotTaken(f"Salesforce is busy: {quote_crm(message)}", retry_after=CONCURRENCY_PAUSE)


def check_object(value: Any, *keys: str) -> dict[str, Any]:
    """`value` if it is an object with these keys. Raises `Transient`: half an answer is an upstream failure."""
    if not isinstance(value, dict) or any(key not in value for key in keys):
        raise odd_answer()
    return value


def odd_answer() -> Transient:
    """What to raise for an answer that is not as it should be, where the exchange can be repeated."""
    return Transient("Salesforce sent an unexpected answer")


def unreadable(what: str) -> Unavailable:
    """What to raise where an answer lacks what nobody can go on without."""
    return Unavailable(CRM, f"Salesforce sent an unexpected answer about {what}")


def object_with(*keys: str) -> Callable[[Any], dict[str, Any]]:
    """Reads an object that has these keys, none of them empty: for `Org.rest`."""

    def read(value: Any) -> dict[str, Any]:
        found = check_object(value, *keys)
        if any(found[key] is None for key in keys):
            raise odd_answer()
        return found

    return read


def id_in(value: Any) -> dict[str, Any]:
    """Reads an object with an `id`."""
    if not is_id(check_object(value, "id")["id"]):
        raise odd_answer()
    return check_object(value)


def bulk_job(value: Any) -> dict[str, Any]:
    """Reads what is said of a bulk job: its `state`, and how many rows it had where it says so."""
    found = check_object(value, "state")
    if not isinstance(found["state"], str) or not isinstance(found.get("numberRecordsProcessed"), int | None):
        raise odd_answer()
    return found


def query_page(value: Any) -> dict[str, Any]:
    """Reads a page of a query: a list of `records`, and where it goes on unless it is `done`.

    What the records are is for `pulling.readable_cells` to say: one odd record is not an odd page.
    """
    found = check_object(value, "records", "done")
    if not isinstance(found["records"], list) or not isinstance(found["done"], bool):
        raise odd_answer()
    if not found["done"] and not isinstance(found.get("nextRecordsUrl"), str):
        raise Transient("Salesforce sent an unexpected answer: more rows, but no link to them")
    if type(found.get("totalSize", 0)) is not int:
        raise odd_answer()
    return found


def record_counts(value: Any) -> dict[str, int]:
    """Reads `limits/recordCount`: how many records there are of each object, roughly."""
    listed = check_object(value, "sObjects")["sObjects"]
    if not isinstance(listed, list):
        raise odd_answer()
    found = [(check_object(each, "count")["count"], text_of(each.get("name"))) for each in listed]
    if any(type(count) is not int for count, _ in found):
        raise odd_answer()
    return {name: count for count, name in found}


def is_id(value: Any) -> bool:
    """Whether it looks like a Salesforce id."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9]{15,18}", value, re.ASCII) is not None


def text_of(value: Any) -> str:
    """A text, cleaned, or a number as text; empty where it is neither."""
    return drop_unstorable(str(value)) if isinstance(value, str | int | float) else ""
