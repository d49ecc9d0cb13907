"""What was learned from outcomes beside the rules: adjustments of the total, and how likely a score is to be won."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from crmsync.config.conditions import Condition
from crmsync.config.rules import RuleName, RulePoints
from crmsync.config.tables import Table
from crmsync.config.units import Points


class Calibration(Table):
    """Log-odds of being won: `intercept` + `slope` · score."""

    intercept: float = Field(ge=-100, le=100)
    slope: float = Field(ge=-100, le=100)

    def percent_of(self, points: float) -> int:
        """The probability of being won at a score, in whole per cent."""
        return round(50 * (1 + math.tanh((self.intercept + self.slope * points) / 2)))


class Adjustment(Table):
    """Learned points for everybody for whom a question is answered yes."""

    name: RuleName
    points: RulePoints
    when: Condition


class Learned(Table):
    """What `crmsync learn` has written; `[write.fields] probability` needs the `calibration`.

    With the mode "hybrid" the adjustments move the total: all together by at most `clamp` up or down, and nobody by
    more than one band. With "rules" they are ignored.
    """

    mode: Literal["rules", "hybrid"] = "rules"
    clamp: Annotated[Points, Field(ge=0)] = 10.0
    adjustment: list[Adjustment] = []
    calibration: Calibration | None = None

    @property
    def active(self) -> list[Adjustment]:
        """The adjustments that count."""
        return self.adjustment if self.mode == "hybrid" else []
