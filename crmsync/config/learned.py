"""What was learned from outcomes besides points: how likely a score is to be won."""

from __future__ import annotations

import math

from pydantic import Field

from crmsync.config.tables import Table


class Calibration(Table):
    """Log-odds of being won: `intercept` + `slope` · score."""

    intercept: float = Field(ge=-100, le=100)
    slope: float = Field(ge=-100, le=100)

    def percent_of(self, points: float) -> int:
        """The probability of being won at a score, in whole per cent."""
        return round(50 * (1 + math.tanh((self.intercept + self.slope * points) / 2)))


class Learned(Table):
    """What `crmsync learn` has written; `[write.fields] probability` needs the `calibration`."""

    calibration: Calibration | None = None
