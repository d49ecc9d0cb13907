"""How soon the owner of a person has to get in touch."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from crmsync.config.tables import Duration, Table


class Sla(Table):
    """Within how much of the owner's working time somebody who was handed over has to be contacted.

    `stages` are those in which it counts; without them it does in all. With `reroute`, whoever was not contacted in
    time goes to somebody else by the routes, once.
    """

    within: Duration = Field(gt=timedelta())
    stages: list[str] | None = Field(default=None, min_length=1)
    reroute: bool = False
