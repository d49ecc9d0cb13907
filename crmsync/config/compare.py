"""The table that names another score beside ours."""

from __future__ import annotations

from pydantic import Field

from crmsync.config.deciding import PerCrm
from crmsync.config.tables import Table

COMPARED = "[compare] score"
"""What a record calls the other score among its fields; no mapping of `[fields]` is spelled like that."""


class Compare(Table):
    """Another score that a CRM holds (HubSpot's own, an older tool's): `crmsync plan` sets it beside ours.

    It is read with the other fields, and nothing rests on it.
    """

    score: PerCrm = Field(
        min_length=1, description="Where each CRM keeps the other score, a number; nothing is written there."
    )
