"""Calendar months of instants and of days."""

from __future__ import annotations

from datetime import date, tzinfo

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.cases import Group
from crmsync.scoring.calendar import local_days

EPOCH = date(1970, 1, 1).toordinal()


def group_months(at: NDArray[np.int64], zone: tzinfo) -> Group:
    """Instants by calendar month, as `2026-11`; `""` is for those that are not known."""
    months, codes = np.unique(local_days(at, zone).astype("datetime64[D]").astype("datetime64[M]"), return_inverse=True)
    labels = ["" if each == "1970-01" else each for each in months.astype(str).tolist()]
    return Group(codes.astype(np.int32), labels)


def begin_months(first: int, end: int) -> list[int]:
    """The days (since 1970) on which months begin, from that of `first` to before `end`."""
    days = np.array([first, end - 1]).astype("datetime64[D]").astype("datetime64[M]")
    begins: list[int] = (
        np.arange(days[0], days[1] + np.timedelta64(1, "M")).astype("datetime64[D]").astype(np.int64).tolist()
    )
    return begins


def write_day(day: int) -> str:
    """A day (since 1970) as ISO 8601."""
    return date.fromordinal(day + EPOCH).isoformat()
