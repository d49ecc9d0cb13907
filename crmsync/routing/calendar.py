"""When a member of a pool is there: hours, days away, public holidays, and the working time between two instants."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from crmsync.config.deciding import Member
from crmsync.config.working_hours import MINUTES_A_DAY, Absence, Span, holidays_of, parse_absence, parse_hours

LONG_ABSENCE = 5
"""Up to so many working days, an absence begins on its first day."""

HORIZON = 366
"""How many days are searched for a presence or an absence."""

DAY = timedelta(days=1)


class Reason(NamedTuple):
    """Why somebody is not there: turns missed for `away` and `holiday` are made up, those for `hours` are not."""

    kind: Literal["away", "holiday", "hours"]
    why: str


class _Times(NamedTuple):
    """What of a member decides when they are there; it can be hashed, as a member cannot."""

    hours: str | None
    zone: tzinfo
    region: str | None
    away: tuple[str, ...]
    lead: int


class _Shift(NamedTuple):
    start: datetime
    end: datetime


def absence_of(member: Member, at: datetime, zone: tzinfo, away_lead: timedelta) -> Reason | None:
    """Why a member is not there at an instant; `None` where they are.

    A day away counts before a holiday, and both before the hours: what is missed on such a day is made up.
    """
    # Nothing changes within a minute, and a run asks for many people at the same instant.
    return _absence_at(_times_of(member, zone, away_lead), int(at.timestamp()) // 60)


def was_away(member: Member, at: datetime, zone: tzinfo, away_lead: timedelta) -> bool:
    """Whether a member had a day away or a holiday within the last year, so that they may have turns to make up."""
    times = _times_of(member, zone, away_lead)
    return _was_away(times, at.astimezone(times.zone).date())


def local_day(member: Member, at: datetime, zone: tzinfo) -> date:
    """The day that it is for a member: in their own time zone, else in the one given."""
    return at.astimezone(zone_of(member, zone)).date()


def next_presence(member: Member, at: datetime, zone: tzinfo, away_lead: timedelta) -> datetime | None:
    """The first instant from `at` on at which a member is there; `None` if that is not within a year."""
    for shift in _shifts_from(_times_of(member, zone, away_lead), at):
        return max(at, shift.start)
    return None


def find_shift_starts(
    member: Member, start: datetime, end: datetime, zone: tzinfo, away_lead: timedelta
) -> Iterator[datetime]:
    """When a member begins to be there, after `start` and until `end` (a year at most): once on each day at least.

    Each day's presence begins anew, though the night before had none of their absence in it.
    """
    for shift in _shifts_from(_times_of(member, zone, away_lead), start):
        if shift.start > end:
            return
        if shift.start > start:
            yield shift.start


def add_working_time(member: Member | None, start: datetime, length: timedelta, zone: tzinfo) -> datetime:
    """The instant at which so much of a member's working time has passed, in UTC.

    Without hours it passes around the clock, but for days away and holidays; without a member, always. What a member
    who does not work for a whole year still lacks then passes around the clock.
    """
    reached, left = start.astimezone(UTC), max(length, timedelta())
    if member is None or not left:
        return reached + left
    times = _times_of(member, zone, timedelta())
    while True:
        from_here = reached
        for shift in _shifts_from(times, from_here):
            begin = max(reached, shift.start)
            if shift.end - begin >= left:
                return begin + left
            left -= shift.end - begin
            reached = shift.end
        if reached == from_here:
            return reached + HORIZON * DAY + left


def working_time_between(member: Member | None, start: datetime, end: datetime, zone: tzinfo) -> timedelta:
    """How much of a member's working time lies between two instants; none if the second is not the later one."""
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    if member is None:
        return max(last - first, timedelta())
    times = _times_of(member, zone, timedelta())
    day, passed = first.astimezone(times.zone).date(), timedelta()
    while day <= last.astimezone(times.zone).date():
        for shift in _shifts_on(times, day):
            passed += max(min(last, shift.end) - max(first, shift.start), timedelta())
        day += DAY
    return passed


def _times_of(member: Member, zone: tzinfo, away_lead: timedelta) -> _Times:
    return _Times(member.hours, zone_of(member, zone), member.holidays, tuple(member.away), away_lead.days)


def zone_of(member: Member, zone: tzinfo) -> tzinfo:
    """The time zone of a member: their own, else the one given."""
    return zone if member.timezone is None else _zone_named(member.timezone)


_zone_named = lru_cache(maxsize=1024)(ZoneInfo)  # quicker than its own cache


@lru_cache(maxsize=16_384)
def _absence_at(times: _Times, minute: int) -> Reason | None:
    at = datetime.fromtimestamp(minute * 60, UTC)
    day = at.astimezone(times.zone).date()
    if (reason := _day_off(times, day)) is not None:
        return reason
    if any(shift.start <= at < shift.end for shift in _shifts_on(times, day)):
        return None
    return Reason("hours", "outside working hours")


@lru_cache(maxsize=16_384)
def _was_away(times: _Times, day: date) -> bool:
    return any(_day_off(times, day - step * DAY) is not None for step in range(HORIZON))


@lru_cache(maxsize=65_536)
def _day_off(times: _Times, day: date) -> Reason | None:
    for absence in _absences_of(times):
        if absence.first <= day <= absence.last:
            return Reason("away", f"away until {absence.last}")
    if name := _holiday_on(times.region, day):
        return Reason("holiday", f"on holiday ({name})")
    return None


def _holiday_on(region: str | None, day: date) -> str:
    return "" if region is None else holidays_of(region).get(day, "")


@lru_cache(maxsize=1024)
def _absences_of(times: _Times) -> tuple[Absence, ...]:
    """The absences of a member, each with the working days before it on which they get nothing new any more.

    Those between which there is no working day are one: two weeks are two weeks however they are written.
    """
    joined: list[Absence] = []
    for each in sorted(map(parse_absence, times.away)):
        if joined and _count_working_days(times, joined[-1].last + DAY, each.first - DAY, 1) == 0:
            joined[-1] = Absence(joined[-1].first, max(joined[-1].last, each.last))
        else:
            joined.append(each)
    return tuple(Absence(_first_day_out(times, each), each.last) for each in joined)


def _count_working_days(times: _Times, first: date, last: date, enough: int) -> int:
    """How many working days there are from the first to the last day; counted no further than to `enough`."""
    found = 0
    while first <= last and found < enough:
        found += _is_working_day(times, first)
        first += DAY
    return found


def _first_day_out(times: _Times, absence: Absence) -> date:
    if _count_working_days(times, *absence, LONG_ABSENCE + 1) <= LONG_ABSENCE:
        return absence.first
    day, left = absence.first, times.lead
    for _ in range(HORIZON):
        if left == 0:
            break
        day -= DAY
        left -= _is_working_day(times, day)
    return day


def _is_working_day(times: _Times, day: date) -> bool:
    return day.weekday() in _working_weekdays(times.hours) and not _holiday_on(times.region, day)


@lru_cache(maxsize=1024)
def _working_weekdays(hours: str | None) -> frozenset[int]:
    """The days on which work begins: where it only goes on after midnight, the day before is the working day."""
    if hours is None:
        return frozenset(range(5))
    week = _week_of(hours)
    return frozenset(
        day
        for day, spans in enumerate(week)
        if any(span.start > 0 or span.end == MINUTES_A_DAY for span in spans)
        or (spans and not any(span.end == MINUTES_A_DAY for span in week[day - 1]))
    )


@lru_cache(maxsize=1024)
def _week_of(hours: str | None) -> tuple[tuple[Span, ...], ...]:
    """The spans of each weekday, those that touch or overlap joined."""
    if hours is None:
        return ((Span(0, MINUTES_A_DAY),),) * 7
    read = parse_hours(hours)
    week = []
    for day in range(7):
        joined: list[Span] = []
        for span in read.get(day, ()):
            if joined and span.start <= joined[-1].end:
                joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
            else:
                joined.append(span)
        week.append(tuple(joined))
    return tuple(week)


@lru_cache(maxsize=16_384)
def _shifts_on(times: _Times, day: date) -> tuple[_Shift, ...]:
    """When a member works on a day of theirs, in UTC."""
    if _day_off(times, day) is not None:
        return ()
    shifts: list[_Shift] = []
    for span in _week_of(times.hours)[day.weekday()]:
        start, end = (
            _instant(times.zone, day, span.start, is_end=False),
            _instant(times.zone, day, span.end, is_end=True),
        )
        if shifts:  # an hour that comes twice can let one span reach into the next
            start = max(start, shifts[-1].end)
        if start < end:
            shifts.append(_Shift(start, end))
    return tuple(shifts)


def _instant(zone: tzinfo, day: date, minute: int, *, is_end: bool) -> datetime:
    """The instant of a local time of day. One that comes twice begins with the first and ends with the second."""
    if minute == MINUTES_A_DAY:
        day, minute, is_end = day + DAY, 0, False  # where the next day begins
    local = datetime.combine(day, time(minute // 60, minute % 60), zone)
    instant = local.astimezone(UTC)
    # Of a time that the clock skips, the second reading is the earlier instant; it is not an end.
    return max(instant, local.replace(fold=1).astimezone(UTC)) if is_end else instant


def _shifts_from(times: _Times, at: datetime) -> Iterator[_Shift]:
    """The shifts of a year that end after an instant."""
    day = at.astimezone(times.zone).date()
    for _ in range(HORIZON + 1):
        for shift in _shifts_on(times, day):
            if shift.end > at:
                yield shift
        day += DAY
