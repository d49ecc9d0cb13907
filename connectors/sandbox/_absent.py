"""Stands in for a CRM of the sandbox that is still being written."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Absent:
    def __init__(self, clock: Any, *, rate_limits: bool = False) -> None:
        self.actions: dict[str, Any] = {"echo": lambda body: body}
        self.applied = 0

    def load(self, world: Any) -> None:
        pass

    def routes(self) -> list[Route]:
        return [Route("/{path:path}", self._any, methods=["GET", "POST", "PATCH"])]

    async def _any(self, request: Request) -> Response:
        await request.body()
        self.applied += 1
        return JSONResponse({"results": ["x" * 10] * 20, "applied": self.applied})

    def snapshot(self) -> dict[str, Any]:
        return {"applied": self.applied}
