"""The date literals of SOQL (`TODAY`, `LAST_N_DAYS:30`): which days each of them means."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta


def _month(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)


def _days(start: date, count: int) -> tuple[date, date]:
    return start, start + timedelta(days=count)


def _week(day: date) -> date:
    return day - timedelta(days=(day.weekday() + 1) % 7)  # weeks begin on Sunday in an en_US org


def _months(day: date, first: int, count: int) -> tuple[date, date]:
    return _month(day, first), _month(day, first + count)


def _quarter(day: date, quarters: int) -> tuple[date, date]:
    return _months(day, -((day.month - 1) % 3) + 3 * quarters, 3)


def _year(day: date, first: int, count: int = 1) -> tuple[date, date]:
    return date(day.year + first, 1, 1), date(day.year + first + count, 1, 1)


_DAY = timedelta(days=1)
_RANGES: dict[str, Callable[[date, int], tuple[date, date]]] = {
    "TODAY": lambda day, _: _days(day, 1),
    "YESTERDAY": lambda day, _: _days(day - _DAY, 1),
    "TOMORROW": lambda day, _: _days(day + _DAY, 1),
    "THIS_WEEK": lambda day, _: _days(_week(day), 7),
    "LAST_WEEK": lambda day, _: _days(_week(day) - 7 * _DAY, 7),
    "NEXT_WEEK": lambda day, _: _days(_week(day) + 7 * _DAY, 7),
    "THIS_MONTH": lambda day, _: _months(day, 0, 1),
    "LAST_MONTH": lambda day, _: _months(day, -1, 1),
    "NEXT_MONTH": lambda day, _: _months(day, 1, 1),
    "THIS_QUARTER": lambda day, _: _quarter(day, 0),
    "LAST_QUARTER": lambda day, _: _quarter(day, -1),
    "NEXT_QUARTER": lambda day, _: _quarter(day, 1),
    "THIS_YEAR": lambda day, _: _year(day, 0),
    "LAST_YEAR": lambda day, _: _year(day, -1),
    "NEXT_YEAR": lambda day, _: _year(day, 1),
    "LAST_90_DAYS": lambda day, _: _days(day - 90 * _DAY, 91),
    "NEXT_90_DAYS": lambda day, _: _days(day + _DAY, 90),
    "LAST_N_DAYS": lambda day, n: _days(day - n * _DAY, n + 1),
    "NEXT_N_DAYS": lambda day, n: _days(day + _DAY, n),
    "N_DAYS_AGO": lambda day, n: _days(day - n * _DAY, 1),
    "LAST_N_WEEKS": lambda day, n: _days(_week(day) - 7 * n * _DAY, 7 * n),
    "NEXT_N_WEEKS": lambda day, n: _days(_week(day) + 7 * _DAY, 7 * n),
    "LAST_N_MONTHS": lambda day, n: _months(day, -n, n),
    "NEXT_N_MONTHS": lambda day, n: _months(day, 1, n),
    "LAST_N_YEARS": lambda day, n: _year(day, -n, n),
    "NEXT_N_YEARS": lambda day, n: _year(day, 1, n),
}


def days_of(name: str, count: int, today: date) -> tuple[date, date] | None:
    """The first day a date literal means and the first it does not; `None` where there is no such literal.

    As https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_dateformats.htm
    has them, in UTC.
    """
    known = _RANGES.get(name)
    return known(today, count) if known else None
