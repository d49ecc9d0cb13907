"""What HubSpot's answers mean: refusals become our errors, and successes what the code may rely on, here alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.http import retry_after_seconds
from connectors.hubspot.endpoints import Endpoint
from connectors.hubspot.properties import instant_of
from crmsync.errors import ConfigError, CrmsyncError, Transient, Unavailable, quote_crm
from crmsync.model import Odd, Ref

CRM = "hubspot"
KIND = "contact"

LOCK_WAIT = 2.0
"""Seconds a record stays locked (https://developers.hubspot.com/docs/api-reference/error-handling, 2026-11-21)."""

LASTING = frozenset({"VALIDATION_ERROR", "OBJECT_NOT_FOUND", "CONFLICT", "OBJECT_ALREADY_EXISTS", "MISSING_SCOPES"})
"""Categories of what HubSpot would refuse again; whatever else happens to one record of a batch passes."""

BURST_WAIT = 10.0
SEARCH_WAIT = 1.0


class RequestRefused(Unavailable):
    """HubSpot understood the request and does not do it; whoever sent it may know what to do about that.

    `body` is the answer, `{}` where it was not JSON.
    """

    def __init__(self, status: int, body: Mapping[str, Any], task: str) -> None:
        self.status, self.body = status, body
        self.category = text_of(body.get("category"))
        message = text_of(body.get("message"))
        self.said = message or f"status {status}"
        words = f"{self.category} {quote_crm(self.said)}".lstrip() if message else self.said
        trace = text_of(body.get("correlationId"))
        super().__init__(
            CRM,
            f"HubSpot refused to {task}: {words}" + (f" (correlation id {trace})" if trace else ""),
        )

    @property
    def says_nothing_there(self) -> bool:
        """Whether none of the records of a batch is there. A bare 404 only says that nobody answers at that address."""
        return self.status == 404 and self.category == "OBJECT_NOT_FOUND"

    @property
    def knows_no_such_kind(self) -> bool:
        """Whether HubSpot itself, and nothing between, says that there is nothing at an address of a kind of record."""
        return self.status == 404 and bool(self.body)


class Forbidden(ConfigError):
    """The credentials may not do this: a scope or the portal's subscription is missing."""

    def __init__(self, said: str, scopes: tuple[str, ...], task: str) -> None:
        self.scopes = scopes
        what = (
            f"add the scope {' or '.join(scopes)}" if scopes else "check its scopes and the subscription of the portal"
        )
        reason = "" if scopes else f" ({said})"
        super().__init__(f"this HubSpot token is not allowed to {task}: {what} under Development → Keys{reason}")


class Unauthorized(ConfigError):
    """The token is wrong, expired or revoked."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"HubSpot does not accept the token ({said}): create a new service key in HubSpot under Development → Keys "
            "and set it as CRMSYNC_HUBSPOT__TOKEN"
        )


class Locked(Unavailable):
    """Somebody else is writing one of the records: the others may well be written meanwhile."""


class DailyLimit(Unavailable):
    """The portal's calls of today are used up."""


def classify(status: int, body: Any, headers: Mapping[str, str], now: datetime, task: str) -> CrmsyncError | None:
    """What an answer means: `None` for a success, otherwise the error to raise.

    `body` is the parsed JSON, or `None` where it was something else (an HTML page). `task` says what was to be done, as
    it stands after "to".
    """
    if 200 <= status < 300:
        unusable = body is None and status != 204
        return (
            Transient(f"HubSpot could not {task} (it answered with something that is not JSON)") if unusable else None
        )
    wait = retry_after_seconds(headers.get("Retry-After"), now)
    known: Mapping[str, Any] = body if isinstance(body, dict) else {}
    if status == 429:
        return _limited(known, wait)
    if status in (408, 425, 477) or status >= 500:
        return Transient(f"HubSpot could not {task} (status {status})", wait)
    if status == 423 or (status == 409 and known.get("category") not in ("OBJECT_ALREADY_EXISTS", "CONFLICT")):
        return Locked(CRM, "another program is writing the same records in HubSpot")
    if 300 <= status < 400:
        return Unavailable(
            CRM, f"HubSpot could not {task} (it redirects to another address, which crmsync does not follow)"
        )
    return _refused(status, known, isinstance(body, dict), task)


def _refused(status: int, body: Mapping[str, Any], is_json: bool, task: str) -> CrmsyncError:
    if status == 401:
        said = quote_crm(text_of(body.get("message"))) if text_of(body.get("message")) else "status 401"
        return Unauthorized(text_of(body.get("category")) or said)
    if status == 403 and not is_json:
        return Transient(f"HubSpot could not {task} (a proxy or firewall answered with a web page)")
    if status == 403:
        said = quote_crm(text_of(body.get("message"))) if text_of(body.get("message")) else "status 403"
        return Forbidden(said, missing_scopes(body), task)
    if status == 410:
        return ConfigError(f"HubSpot has retired this API version (to {task}): set another [hubspot] api_version")
    return RequestRefused(status, body, task)


def _limited(body: Mapping[str, Any], wait: float | None) -> CrmsyncError:
    policy, said = text_of(body.get("policyName")), text_of(body.get("message"))
    if policy == "DAILY" or "daily" in said.lower():
        return DailyLimit(CRM, "HubSpot's API calls of today are used up (all integrations share them)")
    # The name of this policy is not documented (2026-11-21), so that the words count, too.
    seconds = SEARCH_WAIT if policy == "SECONDLY" or "your secondly" in said else BURST_WAIT
    return Transient("HubSpot's rate limit was reached", seconds if wait is None else wait)


def missing_scopes(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The scopes a MISSING_SCOPES answer names, wherever it does."""
    found: list[str] = []
    for context in (object_in(place, "context") for place in [body, *objects_in(body, "errors")]):
        for key in ("requiredGranularScopes", "requiredScopes"):
            found += [text_of(scope) for scope in list_in(context, key)]
    return tuple(dict.fromkeys(filter(None, found)))


# Successes


def check_shape(answer: Any, where: Endpoint, method: str) -> tuple[dict[str, Any], list[Odd]]:
    """The answer as its endpoint's `shape` promises it, and what of it cannot be read.

    Always an object. `objects` has a list of objects under `results`, `linked` lists of associations there, `records`
    records with an id, a time stamp and properties, each of them text or nothing; and `record` is one such record, or
    an empty object where that is odd; a bare `array` comes under `results`, objects all of it. A next page and a total
    are such. Raises `Transient`: half an answer is an upstream failure, and repeating it helps.
    """
    if where.shape == "array" and isinstance(answer, list):
        answer = {"results": answer}
    if not isinstance(answer, dict):
        raise _of_another_shape(where, "no object")
    if where.shape == "object" or (where.creates and method != "GET"):
        return answer, []
    if where.shape == "record":
        records, odd = readable_records([answer], where.kind)
        return dict(records[0]) if records else {}, odd
    results = answer.get("results")
    if not isinstance(results, list):
        raise _of_another_shape(where, "no results")
    _check_paging(answer, where)
    if where.shape == "records":
        records, odd = readable_records(results, where.kind)
        return {**answer, "results": records}, odd
    if not all(isinstance(each, dict) for each in results):
        raise _of_another_shape(where, "results that are not objects")
    if where.shape == "linked" and not all(map(_is_link, results)):
        raise _of_another_shape(where, "associations without ids")
    return answer, []


def _of_another_shape(where: Endpoint, said: str) -> Transient:
    return Transient(f"HubSpot could not {where.words} (unexpected answer: {said})")


def unreadable(task: str) -> Unavailable:
    """What to raise where an answer lacks what nobody can go on without."""
    return Unavailable(CRM, f"HubSpot could not {task} (unexpected answer)")


def _check_paging(answer: Mapping[str, Any], where: Endpoint) -> None:
    paging, total = answer.get("paging"), answer.get("total")
    following = paging.get("next") if isinstance(paging, dict) else paging
    after = following.get("after") if isinstance(following, dict) else following
    if after is not None and not id_of(after) and not isinstance(after, str):
        raise _of_another_shape(where, "an invalid next page")
    if total is not None and not id_of(total):
        raise _of_another_shape(where, "a total that is not a number")


def _is_link(result: Mapping[str, Any]) -> bool:
    to = result.get("to")
    if not id_of(object_in(result, "from").get("id")) or not isinstance(to, list | None):
        return False
    return all(isinstance(each, dict) and id_of(each.get("toObjectId")) for each in to or ())


def readable_records(results: Sequence[Any], kind: str) -> tuple[list[Mapping[str, Any]], list[Odd]]:
    """Of records of a kind those that can be read, their properties as text, and why the others cannot."""
    records: list[Mapping[str, Any]] = []
    odd: list[Odd] = []
    for each in results:
        record = each if isinstance(each, dict) else {}
        record_id = id_of(record.get("id"))
        if why := _why_odd(record, record_id):
            what = f"{kind} {record_id}" if record_id else f"one of the {kind}"
            odd.append(Odd(what, why, Ref(CRM, KIND, record_id) if record_id and kind == "contacts" else None))
        else:
            records.append(_with_texts(record, record_id))
    return records, odd


def _why_odd(record: Mapping[str, Any], record_id: str) -> str:
    values = record.get("properties")
    if not record_id:
        return "without an id"
    types = set(map(type, values.values())) if isinstance(values, dict) else set()
    if not isinstance(values, dict) or types <= {NONE}:
        return "without its properties"
    are_plain = types <= {str, NONE} or all(map(_is_plain, values.values()))
    if not are_plain or not isinstance(record.get("archived"), bool | None):
        return "with values of an unexpected type"
    if values.get("hs_object_id") is not None and text_of(values["hs_object_id"]) != record_id:
        return "with the properties of another record"
    return "" if stamp_of(record) else "without a time stamp"


NONE = type(None)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _with_texts(record: Mapping[str, Any], record_id: str) -> Mapping[str, Any]:
    values = record["properties"]
    if record["id"] == record_id and set(map(type, values.values())) <= {str, NONE}:
        return record
    texts = {name: None if each is None else text_of(each) for name, each in values.items()}
    return {**record, "id": record_id, "properties": texts}


def stamp_of(record: Mapping[str, Any]) -> datetime | None:
    """When a record last changed, if HubSpot says so anywhere."""
    values = record.get("properties") or {}
    told = (
        record.get("archivedAt"), values.get("lastmodifieddate"), values.get("hs_lastmodifieddate"),
        record.get("updatedAt"), record.get("createdAt"),
    )  # fmt: skip
    return next((at for each in told if (at := instant_of(each))), None)


# Whatever stands there


def id_of(value: Any) -> str:
    """An id or another whole number as text; empty where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    said = str(value)
    return said if said.isascii() and said.isdecimal() and len(said) <= LONGEST_ID else ""


LONGEST_ID = 25


def text_of(value: Any) -> str:
    """A text, number or truth as text; empty where it is neither."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def object_in(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object of that name, an empty one where there is none."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def list_in(value: Mapping[str, Any], name: str) -> list[Any]:
    """The list of that name, an empty one where there is none."""
    found = value.get(name)
    return found if isinstance(found, list) else []


def objects_in(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects in the list of that name."""
    return [each for each in list_in(value, name) if isinstance(each, dict)]
