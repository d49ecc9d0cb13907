"""Whether an edit of the config lets more people over the line or fewer, and whether that is near a quarter's end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

from crmsync.config.learned import Learned
from crmsync.config.model import RULE_TABLES, Band, Limit
from crmsync.config.rules import Rule
from crmsync.config.settings import Config
from crmsync.config.tables import spelled_duration
from crmsync.evaluation.line import find_line
from crmsync.evaluation.proportions import divide_counts

Direction = Literal["loosens", "tightens", "either"]

INFINITE = float("inf")

MONTHS_OF_QUARTER = 3

LONGEST = timedelta(days=28)
"""How far before and after a change people are counted at most."""

_COUNTS = ("max_times", "max_per_day", "max_per_week", "max_per_month")
_CONDITIONS = ("when", "on", "where", "segments", "unless", "steps", "covering", "within", "times", "days", "since")


class Leaning(NamedTuple):
    """One edit and where it leads: more people over the line, fewer, or either, as cannot be told from the file."""

    direction: Direction
    said: str


def find_leanings(before: Config, after: Config) -> list[Leaning]:
    """What of an edit lets more people over the line or fewer, in words."""
    return [
        *_compare_all_bands(before, after),
        *_compare_rules(before, after),
        *_compare_limits("[score] {}", _score_limits(before), _score_limits(after)),
        *_compare_limits("[groups] {}", before.groups, after.groups),
        *_compare_limits("[channels] {}", before.channels, after.channels),
        *_compare_weights("", before, after),
        *_compare_adjustments(before.learned, after.learned),
        *_compare_named("disqualification", before.disqualify, after.disqualify),
        *_compare_exclusions(before, after),
        *_compare_stages(before, after),
        *_compare_wide(before, after),
    ]


def list_loosenings(leanings: Iterable[Leaning]) -> list[str]:
    """What of it lets more people over the line."""
    return [each.said for each in leanings if each.direction == "loosens"]


def _lean(grows: bool, said: str) -> Leaning:
    return Leaning("loosens" if grows else "tightens", said)


def _compare_all_bands(before: Config, after: Config) -> Iterator[Leaning]:
    yield from _compare_bands("", before.bands, after.bands, _line(after))
    was = {each.name: each for each in before.segment}
    for each in after.segment:
        old = was.get(each.name)
        bands = (old.bands or before.bands) if old is not None else before.bands
        now = each.bands or after.bands
        # Where a segment has the model's own bands, what was said of those is said of it.
        if each.bands or (old is not None and old.bands):
            yield from _compare_bands(f"{each.name}, ", bands, now, _line(after))


def _line(config: Config) -> str | None:
    line = config.outcome.line if config.outcome else None
    return find_line(config, line if line in config.band_names() else None)


def _compare_bands(
    where: str, before: Mapping[str, Band], after: Mapping[str, Band], line: str | None
) -> Iterator[Leaning]:
    """The line and the bands above it; those below let nobody through."""
    names = list(after)
    for name in names[names.index(line) :] if line in names else ():
        if name not in before:
            continue
        old, new = before[name], after[name]
        for key in ("at", "min_fit", "min_behavior"):
            yield from _compare_points(f"{where}{name}: {key}", getattr(old, key), getattr(new, key))
        stays = [each.at if each.drop_below is None else each.drop_below for each in (old, new)]
        if old.drop_below is not None or new.drop_below is not None:
            yield from _compare_points(f"{where}{name}: drop_below", *stays)


def _compare_points(what: str, old: float | None, new: float | None) -> Iterator[Leaning]:
    """A number that is asked for: a lower one lets more people through."""
    was, now = (-INFINITE if each is None else each for each in (old, new))
    if was != now:
        yield _lean(now < was, f"{what} {_show(old)} → {_show(new)}")


def _show(value: Any) -> str:
    if isinstance(value, timedelta):
        return spelled_duration(value)
    return "none" if value is None else f"{value:,.15g}" if isinstance(value, int | float) else str(value)


def _rules(config: Config) -> dict[str, tuple[str, Rule]]:
    return {each.name: (table, each) for table in RULE_TABLES for each in getattr(config, table)}


def _compare_rules(before: Config, after: Config) -> Iterator[Leaning]:
    was, now = _rules(before), _rules(after)
    for name in dict.fromkeys((*was, *now)):
        if name not in was:
            points = now[name][1].points
            yield _lean(points > 0, f"rule added: {name} ({points:+,.15g})")
        elif name not in now:
            points = was[name][1].points
            yield _lean(points < 0, f"rule removed: {name} ({points:+,.15g})")
        else:
            yield from _compare_rule(name, was[name][1], now[name][1])


def _compare_rule(name: str, old: Rule, new: Rule) -> Iterator[Leaning]:
    if old.points != new.points:
        yield _lean(new.points > old.points, f"{name}: points {_show(old.points)} → {_show(new.points)}")
    gives = new.points > 0
    caps = [getattr(each, "cap", None) for each in (old, new)]
    if caps[0] != caps[1]:
        none = INFINITE if gives else -INFINITE
        was, now = (none if each is None else each for each in caps)
        yield _lean(now > was, f"{name}: cap {_show(caps[0])} → {_show(caps[1])}")
    for key in (*_COUNTS, "window", "half_life", "linear"):
        values = [_reach(each, key) for each in (old, new)]
        if values[0] != values[1]:
            # Without a limit it counts more often, or for ever.
            more = values[0] is not None and (values[1] is None or values[1] > values[0])
            yield _lean(more == gives, f"{name}: {key} {_show(values[0])} → {_show(values[1])}")
    for key in ("after", "every", "at_least"):
        values = [getattr(each, key, None) for each in (old, new)]
        if values[0] != values[1]:
            rarer = values[1] is None or (values[0] is not None and values[1] > values[0])
            yield _lean(rarer != gives, f"{name}: {key} {_show(values[0])} → {_show(values[1])}")
    yield from _compare_sums(name, old, new)
    steps = [getattr(getattr(each, "decay", None), "steps", None) for each in (old, new)]
    if steps[0] != steps[1]:
        yield Leaning("either", f"{name}: another time decay")
    for key in _CONDITIONS:
        if getattr(old, key, None) != getattr(new, key, None):
            yield Leaning("either", f"{name}: another {key}")


def _compare_sums(name: str, old: Rule, new: Rule) -> Iterator[Leaning]:
    was, now = (getattr(each, "at_least_sum", {}) for each in (old, new))
    for attribute in dict.fromkeys((*was, *now)):
        least = [each.get(attribute) for each in (was, now)]
        if least[0] != least[1]:
            rarer = least[1] is not None and (least[0] is None or least[1] > least[0])
            said = f"{name}: at_least_sum {attribute} {_show(least[0])} → {_show(least[1])}"
            yield _lean(rarer != (new.points > 0), said)


def _reach(rule: Rule, key: str) -> Any:
    if key in ("half_life", "linear"):
        decay = getattr(rule, "decay", None)
        return None if decay is None else getattr(decay, key)
    return getattr(rule, key, None)


def _score_limits(config: Config) -> dict[str, Limit]:
    return {name: getattr(config.score, name) for name in ("fit", "behavior", "total")}


def _compare_limits(called: str, before: Mapping[str, Limit], after: Mapping[str, Limit]) -> Iterator[Leaning]:
    """Caps and floors: a higher one gives more points."""
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name, Limit()), after.get(name, Limit())
        for key, none in (("cap", INFINITE), ("floor", -INFINITE)):
            values = [getattr(each, key) for each in (old, new)]
            was, now = (none if each is None else each for each in values)
            if was != now:
                yield _lean(now > was, f"{called.format(name)}: {key} {_show(values[0])} → {_show(values[1])}")


def _compare_weights(where: str, before: Config, after: Config) -> Iterator[Leaning]:
    for key in ("fit", "behavior"):
        old, new = getattr(before.weights, key), getattr(after.weights, key)
        if old != new:
            yield _lean(new > old, f"{where}[weights] {key} {_show(old)} → {_show(new)}")


def _compare_adjustments(before: Learned, after: Learned) -> Iterator[Leaning]:
    """What is learned beside the rules; what is not in force gives nothing."""
    was, now = ({each.name: each for each in it.active} for it in (before, after))
    for name in dict.fromkeys((*was, *now)):
        old, new = (rows[name].points if name in rows else 0 for rows in (was, now))
        if old != new:
            shown = " → ".join(_show(rows[name].points if name in rows else None) for rows in (was, now))
            yield _lean(new > old, f"[learned] {name}: points {shown}")
        elif was[name].when != now[name].when:
            yield Leaning("either", f"[learned] {name}: another when")
    if was and now and before.clamp != after.clamp:
        gives = any(each.points > 0 for each in now.values())
        shown = f"{_show(before.clamp)} → {_show(after.clamp)}"
        yield _lean((after.clamp > before.clamp) == gives, f"[learned] clamp {shown}")


def _compare_named(what: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[Leaning]:
    """What keeps people out: one that goes lets them in."""
    was, now = ({each.name: each for each in rows} for rows in (before, after))
    for name in dict.fromkeys((*was, *now)):
        if name not in now:
            yield Leaning("loosens", f"{what} removed: {name}")
        elif name not in was:
            yield Leaning("tightens", f"{what} added: {name}")
        elif was[name] != now[name]:
            yield Leaning("either", f"{what} {name}: another condition")


def _compare_exclusions(before: Config, after: Config) -> Iterator[Leaning]:
    """Who is left out: by how many entries, since addresses are of people."""
    for key in ("addresses", "domains", "lists", "campaigns"):
        old, new = ({str(each) for each in getattr(it.exclude, key)} for it in (before, after))
        if gone := len(old - new):
            yield Leaning("loosens", f"[exclude] {key}: {gone:,} fewer")
        if more := len(new - old):
            yield Leaning("tightens", f"[exclude] {key}: {more:,} more")
    conditions = [it.exclude.when for it in (before, after)]
    if conditions[0] != conditions[1]:
        direction: Direction = "loosens" if conditions[1] is None else "tightens" if conditions[0] is None else "either"
        yield Leaning(direction, "[exclude] when: " + ("removed" if conditions[1] is None else "another condition"))


def _compare_stages(before: Config, after: Config) -> Iterator[Leaning]:
    """Into which stage a band leads, and on what condition somebody comes into one."""
    was, order = {each.name: each for each in before.stage}, after.band_names()
    for each in after.stage:
        old = was.get(each.name)
        if old is None:
            continue
        if old.band != each.band and old.band in order and each.band in order:
            lower = order.index(each.band or "") < order.index(old.band or "")
            yield _lean(lower, f"stage {each.name}: band {old.band} → {each.band}")
        elif old.band != each.band or old.enter != each.enter:
            yield Leaning("either", f"stage {each.name}: another condition to enter")


def _compare_wide(before: Config, after: Config) -> Iterator[Leaning]:
    """Tables that many rules read."""
    for key in ("lists", "titles", "fields", "segment", "identity", "machine_clicks"):
        if key == "segment":
            shown = [[each.model_dump(exclude={"bands"}) for each in it.segment] for it in (before, after)]
            if shown[0] == shown[1]:
                continue
        elif getattr(before, key) == getattr(after, key):
            continue
        yield Leaning("either", f"[{key}] changed" if key != "segment" else "[[segment]] changed")


def find_quarter_end(day: date, first_month: int) -> date:
    """The last day of the quarter that a day is in, where a year begins with the month `first_month` (1 to 12)."""
    left = MONTHS_OF_QUARTER - 1 - (day.month - first_month) % MONTHS_OF_QUARTER
    months = day.year * 12 + day.month - 1 + left + 1
    return date(months // 12, months % 12 + 1, 1) - timedelta(days=1)


def is_at_quarter_end(day: date, within: timedelta, first_month: int) -> bool:
    """Whether a day is among the last of its quarter: the last `within.days` of them."""
    return (find_quarter_end(day, first_month) - day).days < within.days


class LooseningEffect(NamedTuple):
    """People over the line for the first time in so many `days` before and after a change, and how many accepted.

    Accepted are those who were so within the same days, so that both sides had as much time; `None`: nobody knows.
    """

    days: int
    mql_before: int
    mql_after: int
    accepted_before: int | None
    accepted_after: int | None

    @property
    def rates(self) -> tuple[float | None, float | None]:
        """The accepted share before and after, from 0 to 1."""
        return (
            divide_counts(self.accepted_before, self.mql_before),
            divide_counts(self.accepted_after, self.mql_after),
        )

    @property
    def growth(self) -> float | None:
        """By what share there are more people; `None` where there were none before."""
        return divide_counts(self.mql_after - self.mql_before, self.mql_before)


def measure_effect(
    entered: Sequence[int], accepted: Sequence[int | None] | None, at: int, now: int
) -> LooseningEffect | None:
    """What a change `at` an instant did until `now`; all in seconds, `accepted` is `None` for who was not.

    `None` before a whole day has passed.
    """
    days = min((now - at) // 86_400, LONGEST.days)
    if days < 1:
        return None
    span = days * 86_400
    counts = []
    for start in (at - span, at):
        end = start + span
        came = [start <= each < end for each in entered]
        taken = None
        if accepted is not None:
            taken = sum(on is not None and on < end for on, is_new in zip(accepted, came, strict=True) if is_new)
        counts.append((sum(came), taken))
    (before, took_before), (after, took_after) = counts
    return LooseningEffect(int(days), before, after, took_before, took_after)
