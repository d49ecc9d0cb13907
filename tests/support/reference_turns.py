"""Whose turn it is once more: slow and obvious, day by day and with fractions, to check the fast one against."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from math import ceil, floor
from zoneinfo import ZoneInfo

DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
DAY = timedelta(days=1)


class Someone:
    """A member as plain values: `days` and `clock` ("09:00-17:00") instead of hours, sets of dates instead of texts."""

    def __init__(self, email, zone, *, weight=1, daily=None, cap=None, days=None, clock=None, away=(), holidays=()):
        self.email, self.zone, self.weight, self.daily, self.cap = email, ZoneInfo(zone), weight, daily, cap
        self.days, self.clock, self.holidays = days, clock, set(holidays)
        self.off = set()
        for first, last in away:
            span = [first + DAY * n for n in range((last - first).days + 1)]
            if len([day for day in span if self.works_on(day)]) > 5:
                left = 2
                while left:
                    span.insert(0, span[0] - DAY)
                    left -= self.works_on(span[0])
            self.off |= set(span)

    def works_on(self, day):
        return DAYS[day.weekday()] in (self.days or DAYS[:5]) and day not in self.holidays

    def is_excused(self, at):
        day = at.astimezone(self.zone).date()
        return day in self.off or day in self.holidays

    def is_at_work(self, at):
        local = at.astimezone(self.zone)
        if self.clock is None:
            return True
        begin, end = self.clock.split("-")
        return DAYS[local.weekday()] in self.days and begin <= local.strftime("%H:%M") < end

    def was_excused(self, at):
        return any(self.is_excused(at - DAY * n) for n in range(366))


class Game:
    """A pool in which all have a standing from the beginning."""

    def __init__(self, people):
        self.people, self.last_made_up = people, None
        self.turns = {each.email: 0 for each in people}

    def ratio(self, each):
        return Fraction(self.turns[each.email], each.weight)

    def give(self, at, today, owned):
        excused = [p for p in self.people if p.is_excused(at)]
        capped = [
            p
            for p in self.people
            if (p.daily is not None and today[p.email] >= p.daily) or (p.cap is not None and owned[p.email] >= p.cap)
        ]
        there = [p for p in self.people if p not in excused and p not in capped and p.is_at_work(at)]
        if not there:
            return None
        middle = sorted(there, key=lambda p: (self.ratio(p), Fraction(1, p.weight)))[len(there) // 2]
        mark = self.ratio(middle) - Fraction(1, middle.weight)
        owed = [p for p in self.people if self.ratio(p) < mark and p.was_excused(at)]
        level = [p for p in there if p not in owed]
        others = [p for p in level if p is not self.last_made_up]
        choice = others if self.last_made_up and others else there
        best = choice[0]
        for other in choice[1:]:
            if self.ratio(other) < self.ratio(best):
                best = other
        before = min(self.ratio(p) for p in level)
        self.last_made_up = best if best in owed else None
        self.turns[best.email] += 1
        now = min(self.ratio(p) for p in level)
        for p in self.people:
            if p in there or p in excused:
                continue
            if p in owed:
                self.turns[p.email] += floor(now * p.weight) - floor(before * p.weight)
            else:
                self.turns[p.email] = max(self.turns[p.email], ceil(now * p.weight))
        return best.email
