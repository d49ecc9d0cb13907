"""What came of people: what counts as won, accepted and touched, and as of when their score is judged."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from crmsync.config.deciding import Spelling
from crmsync.config.tables import Duration, Table
from crmsync.config.units import _listed
from crmsync.model import TOUCHES

Names = Annotated[list[str], BeforeValidator(_listed, json_schema_input_type=str | list[str])]


class OutcomeRules(Table):
    """What came of people, out of the opportunities and deals of the CRMs. An empty table has defaults that work.

    A person is won with the first opportunity that is (`won`: stages, besides those that the CRM itself closes as
    won), lost with one that is closed otherwise (`lost`) and none open, and lost without one `horizon` after they
    were judged; until then they are open. They are accepted with an opportunity, or in a stage of `accepted`
    (stages of `[[stage]]` or of opportunities). `touched` are the types of activity by which sales touches
    somebody. A score is judged as of the hand-off, which is the entry into the band `line`; of those who never
    were, as of their first opportunity, or `judged_after` so long since they came. `value` is the field that says
    what an opportunity is worth, `pipelines` are those that count (all, if left out). `stable` are fields of which
    today's value stands for the past, too: those of which no former values are known are unknown otherwise.
    """

    won: Names = []
    lost: Names = []
    accepted: Names = []
    touched: Annotated[Names, Field(min_length=1)] = list(TOUCHES)
    horizon: Duration = Field(default=timedelta(days=180), gt=timedelta())
    judged_after: Duration = Field(default=timedelta(days=14), gt=timedelta())
    line: str | None = None
    value: dict[str, Spelling] = {}
    pipelines: Names = []
    stable: Names = []
