"""One call and its answer, free of any web framework, so that composite requests can make calls of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import orjson

from connectors.sandbox.salesforce.values import SalesforceRefusal


@dataclass(frozen=True)
class SalesforceCall:
    """One REST call: `path` is what follows `/services/data/v66.0/`, header names are lower-case."""

    method: str
    path: str
    version: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def base(self) -> str:
        return f"/services/data/v{self.version}"

    def json(self) -> Any:
        """The body, parsed. Raises `Refusal` (JSON_PARSER_ERROR)."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise SalesforceRefusal(
                "JSON_PARSER_ERROR", f"{error.msg} at [line:{error.lineno}, column:{error.colno}]"
            ) from None

    def record(self) -> dict[str, Any]:
        """The body, if it is one JSON object. Raises `Refusal` (JSON_PARSER_ERROR)."""
        body = self.json()
        if not isinstance(body, dict):
            raise SalesforceRefusal(
                "JSON_PARSER_ERROR", "Cannot deserialize instance of an object at [line:1, column:1]"
            )
        return body

    def within(
        self, method: str, path: str, params: Mapping[str, str], body: Any, headers: Mapping[str, str]
    ) -> SalesforceCall:
        """A call made inside this one."""
        headers = {**self.headers, **{name.lower(): value for name, value in headers.items()}}
        text = orjson.dumps(body) if body is not None else b""
        return replace(self, method=method, path=path, params=params, headers=headers, body=text)


@dataclass(frozen=True)
class Answer:
    """What is sent back: JSON unless `body` is bytes or nothing at all."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    type: str = "application/json;charset=UTF-8"

    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)


Handle: TypeAlias = Callable[..., Answer]
"""Takes the state, the call and the parts of its path."""


def refuse(error: SalesforceRefusal) -> Answer:
    """A refused call, as REST tells it: a list of one."""
    told: dict[str, Any] = {"message": error.message, "errorCode": error.code}
    if error.fields:
        told["fields"] = list(error.fields)
    return Answer(error.status, [told])


def resource_not_found(message: str = "The requested resource does not exist") -> SalesforceRefusal:
    return SalesforceRefusal("NOT_FOUND", message, status=404)


def row_error(error: SalesforceRefusal) -> dict[str, Any]:
    """A refused record, as Collections and composites tell it."""
    return {"statusCode": error.code, "message": error.message, "fields": list(error.fields)}
