"""What is wrong with a model, proven from its rules alone."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, timedelta
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from crmsync.config.conditions import DATE_KEYS, Condition
from crmsync.config.learned import Adjustment
from crmsync.config.mistakes import Loc
from crmsync.config.model import FREE_MAIL_LIST, RULE_TABLES, Model, matches_of, selections_of_rule
from crmsync.config.rules import TIERS, Behavior, Disqualify, Fit, Pattern, Rule
from crmsync.config.rules import Sequence as SequenceRule
from crmsync.config.units import to_hundredths
from crmsync.counts import count_of
from crmsync.lint.finding import Finding
from crmsync.scoring.answers import YES
from crmsync.scoring.conditions import ConditionEvaluator, Today, encode_fields
from crmsync.scoring.fact_selection import selection_key
from crmsync.scoring.tiers import tier_of
from crmsync.scoring.whatif.bounds import ANY_DAY, most_capped, most_counted, most_left, most_of, most_total
from crmsync.scoring.whatif.candidates import candidate_values

MOST_COMBINATIONS = 20_000


_OUTCOME = re.compile(
    r"(^|_)(won|lost|closed?|deal|deals|opportunity|opportunities|converted|conversion|customer|churn\w*|mrr|arr|contract"
    r"|invoice\w*|lifecycle|lifecyclestage)(_|$)"
)
_OUTCOME_STAGES = re.compile(r"customer|won|lost|closed|opportunity|evangelist")
_OURS = re.compile(r"crmsync\w*|lead_?score|score|band")


def lint_model(model: Model, known_kinds: Collection[str], today: date, mapped: Collection[str] = ()) -> list[Finding]:
    """What can be said of a model without data. The feeds produce `known_kinds`; `mapped` are the names in [fields]."""
    checks: Sequence[Iterator[Finding]] = (
        _kinds(model, known_kinds),
        _unreachable_bands(model),
        _idle_caps(model),
        _idle_decay(model),
        _never_enough(model),
        _weak_and_strong(model),
        _one_signal(model),
        _leaks(model),
        _unused(model, mapped),
        _twice_the_same(model),
        _segments(model),
        _impossible(model),
        _signs(model),
        _fitless(model),
        _adjustments(model),
        _stars(model),
        _size_and_age(model, today),
    )
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted((finding for check in checks for finding in check), key=lambda each: order[each.level])


def _points(hundreds: float) -> str:
    return f"{hundreds / 100:,.15g}"


def _kinds(model: Model, known: Collection[str]) -> Iterator[Finding]:
    used: dict[str, Loc] = {}
    for loc, rule in model.placed(*RULE_TABLES, "disqualify"):
        for on, _where in selections_of_rule(rule):
            for kind in on:
                used.setdefault(kind, (*loc, "on"))
    for loc, test in model.placed("test"):
        given = test.given.get("activities")
        for each in given if isinstance(given, list) else ():
            if isinstance(each, dict):
                used.setdefault(str(each.get("kind")), (*loc, "given"))
    for kind in sorted(used.keys() - set(known)):
        near = difflib.get_close_matches(kind, list(known), n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"the types are {', '.join(sorted(known))}"
        said = f'no activity source has the type "{kind}", so its rules never match; {hint}'
        yield Finding("error", said, used[kind])


def _unreachable_bands(model: Model) -> Iterator[Finding]:
    said = set()
    everybody: Loc = ()
    for place, segment in ((everybody, None), *model.placed("segment")):
        fit, acted, total = most_total(model, segment)
        bands = (segment.bands if segment else None) or model.bands
        where = f' for the segment "{segment.name}"' if segment else ""
        for name in list(bands)[1:]:
            band = bands[name]
            for what, needed, possible in (
                ("points", band.at, total),
                ("points of fit", band.min_fit, fit),
                ("points of behavior", band.min_behavior, acted),
            ):
                if needed is not None and to_hundredths(needed) > possible and (name, what) not in said:
                    said.add((name, what))
                    sentence = (
                        f'nobody can reach the band "{name}"{where}: it needs {needed:,.15g} {what} and the maximum is '
                        f"{_points(possible)} (fit {_points(fit)}, behavior {_points(acted)}); lower the band, or let "
                        "rules give more"
                    )
                    own = place if segment and segment.bands else ()
                    yield Finding("error", sentence, (*own, "bands", name))


def _idle_caps(model: Model) -> Iterator[Finding]:
    for rule in model.behavior:
        if rule.cap is None:
            continue
        possible = abs(to_hundredths(rule.points)) * most_counted(rule)
        if possible <= abs(to_hundredths(rule.cap)):
            sentence = (
                f'the cap {rule.cap:,.15g} of "{rule.name}" has no effect: the rule gives at most {_points(possible)}'
            )
            yield Finding("warning", sentence)
        elif abs(rule.cap) < abs(rule.points):
            worth = count_of(rule.points, "point")
            sentence = f'the cap {rule.cap:,.15g} of "{rule.name}" is below its {worth}'
            yield Finding("warning", sentence)
    for what, limits in (("group", model.groups), ("channel", model.channels)):
        for name, limit in limits.items():
            members = [
                rule for rule in model.rules() if name == (rule.group if what == "group" else rule.limits.channel)
            ]
            possible = sum(most_capped(rule) for rule in members)
            if members and limit.cap is not None and possible <= to_hundredths(limit.cap):
                sentence = (
                    f'the cap {limit.cap:,.15g} of the {what} "{name}" has no effect: '
                    f"all its rules together give at most {_points(possible)}"
                )
                yield Finding("warning", sentence)


def _idle_decay(model: Model) -> Iterator[Finding]:
    fading: tuple[Behavior | SequenceRule | Pattern, ...] = (*model.behavior, *model.sequence, *model.pattern)
    for rule in fading:
        if rule.decay is None or rule.window is None:
            continue
        first = min(rule.decay.steps) if rule.decay.steps else timedelta(days=1)
        if first > rule.window:
            window = count_of(rule.window.days, "day")
            sentence = f'"{rule.name}" has a window of {window}, which ends before its decay starts'
            yield Finding("warning", sentence)


def _never_enough(model: Model) -> Iterator[Finding]:
    for loc, rule in model.placed("behavior"):
        most = most_left(rule)
        if most < rule.at_least:
            said = f'"{rule.name}" can never match: of at_least = {rule.at_least:,} its limits leave {most:,}'
            yield Finding("error", said, (*loc, "at_least"))


def _weak_and_strong(model: Model) -> Iterator[Finding]:
    """One strong action says more than ten weak ones: ten of a weak rule must stay below one of a strong rule."""
    positive = [rule for rule in model.behavior if rule.points > 0]
    strong = [rule for rule in positive if tier_of(rule) == "high"]
    for weak in (rule for rule in positive if tier_of(rule) == "low"):
        ten = min(to_hundredths(weak.points) * min(10, most_counted(weak)), most_of(model, [weak]))
        for rule in strong:
            if ten >= to_hundredths(rule.points):
                than = "as much as" if ten == to_hundredths(rule.points) else "more than"
                sentence = (
                    f'10× "{weak.name}" ({_points(ten)}) gives {than} 1× "{rule.name}" ({rule.points:,.15g}); '
                    f'give "{weak.name}" a cap or fewer points'
                )
                yield Finding("warning", sentence)


def _one_signal(model: Model) -> Iterator[Finding]:
    positive = [rule for rule in model.rules() if rule.points > 0]
    acting = [rule for rule in positive if isinstance(rule, Behavior)]
    if positive and len(acting) == len(positive) and all(tier_of(rule) == "low" for rule in acting):
        kinds = ", ".join(sorted({kind for rule in acting for kind in rule.on}))
        remedy = 'add rules that show intent, or fit, or tier = "mid" where one of them shows more'
        yield Finding("error", f"the model uses only weak signals ({kinds}); {remedy}")
    elif len(positive) == 1:
        yield Finding("warning", f'only one rule gives points, "{positive[0].name}"; one signal is often wrong')


def _leaks(model: Model) -> Iterator[Finding]:
    everywhere: Loc = ()
    asking: list[tuple[Loc, Rule | Adjustment]] = [
        *model.placed(*RULE_TABLES),
        *((everywhere, each) for each in model.learned.active),
    ]
    for loc, rule in asking:
        for part in rule.when.parts() if rule.when else ():
            name = part.field or ""
            told = " ".join(str(wanted) for wanted in part.keys().values()).lower()
            if _OUTCOME_STAGES.search(told) if name == "stage" else _OUTCOME.search(name.lower()):
                sentence = (
                    f'"{rule.name}" uses {name!r}, which is known only after the outcome that the score should '
                    f"predict; do not use it in the model"
                )
                yield Finding("warning", sentence)
            elif _OURS.fullmatch(name.lower()):
                yield Finding(
                    "error",
                    f'"{rule.name}" uses {name!r}, which is a score; a score must not depend on itself',
                    (*loc, "when") if loc else (),
                )


def _unused(model: Model, mapped: Collection[str]) -> Iterator[Finding]:
    rules = model.rules()
    listed = {name for match in matches_of(model) for name in (match.in_list, match.domain_list) if name}
    listed |= {FREE_MAIL_LIST for match in matches_of(model) if match.free_mail is not None}
    used: Sequence[tuple[str, Collection[str], set[str | None]]] = (
        ("channel", model.channels, {rule.limits.channel for rule in rules}),
        ("group", model.groups, {rule.group for rule in rules}),
        ("list", model.lists, {*listed}),
    )
    for what, names, users in used:
        for name in names:
            if name not in users:
                yield Finding("warning", f'no rule uses the {what} "{name}"')
    for segment in model.segment:
        named = any(segment.name in rule.segments for rule in rules)
        if not (named or segment.weights or segment.bands):
            yield Finding("note", f'the segment "{segment.name}" has no weights, bands or rules of its own')
    for name in sorted(set(mapped) - model.read_fields()):
        yield Finding("note", f"no rule uses the field {name!r}")
    for axis in ("fit", "behavior"):
        weights = [model.weights, *(each.weights or model.weights for each in model.segment)]
        if all(getattr(each, axis) == 0 for each in weights) and any(model.axis(rule) == axis for rule in rules):
            yield Finding("warning", f"{axis} has the weight 0, so its rules never change the total")


def _twice_the_same(model: Model) -> Iterator[Finding]:
    def key(rule: Rule) -> str:
        asked = rule.when.model_dump_json(exclude_defaults=True) if rule.when else ""
        acted = selection_key(rule.on, rule.where) if isinstance(rule, Behavior) else ""
        return repr((asked, acted, sorted(rule.segments), rule.limits.window))

    for rules in (model.fit, model.behavior):
        for one, other in combinations(rules, 2):
            if key(one) == key(other):
                sentence = f'"{one.name}" and "{other.name}" always match together; make them one rule'
                yield Finding("warning", sentence)
    for one, other in combinations(model.behavior, 2):
        same = selection_key(one.on, one.where) == selection_key(other.on, other.where)
        if same and one.tier and other.tier and TIERS[one.tier] != TIERS[other.tier]:
            sentence = (
                f'"{one.name}" and "{other.name}" match the same activities with different tiers; choose one tier'
            )
            yield Finding("warning", sentence)
    for name, limit in model.groups.items():
        yield from _overshadowed(name, limit.cap, [rule for rule in model.rules() if rule.group == name])


def _overshadowed(name: str, cap: float | None, members: Sequence[Rule]) -> Iterator[Finding]:
    """In a group whose cap one rule fills alone, the others count for nothing beside it."""
    if cap is None:
        return
    for rule in members:
        if rule.points >= cap and len(members) > 1:
            others = ", ".join(f'"{each.name}"' for each in members if each is not rule)
            yield Finding(
                "note",
                f'"{rule.name}" alone reaches the cap of the group "{name}" ({cap:,.15g}); then {others} add nothing',
            )


def _segments(model: Model) -> Iterator[Finding]:
    if not model.segment:
        return
    answers = _tried(model, [segment.when for segment in model.segment])
    if answers is None:
        return
    yes = np.array(answers) == YES
    first = np.argmax(yes, axis=0)
    for number, segment in enumerate(model.segment):
        mine = yes[number]
        if mine.any() and not (mine & (first == number)).any():
            before = ", ".join(
                f'"{model.segment[each].name}"' for each in sorted({int(first[at]) for at in np.flatnonzero(mine)})
            )
            said = f'the segment "{segment.name}" is never used: {before} comes first and matches the same people'
            yield Finding("error", said, ("segment", number, "when"))
    for (one, left), (other, right) in combinations(enumerate(model.segment), 2):
        if (yes[one] & yes[other]).any():
            sentence = f'the segments "{left.name}" and "{right.name}" overlap; people in both count for "{left.name}"'
            yield Finding("warning", sentence)
    yield from _hidden_rules(model)


def _hidden_rules(model: Model) -> Iterator[Finding]:
    names = {segment.name for segment in model.segment}
    for rule in model.rules():
        if names and set(rule.segments) == names:
            yield Finding("note", f'"{rule.name}" names every segment, so it excludes only people without a segment')


def _tried(model: Model, conditions: Sequence[Condition]) -> list[NDArray[np.int8]] | None:
    """The answers to some questions for everything their fields can be; `None` when that is too much to try."""
    names = sorted({name for condition in conditions for name in condition.fields()})
    values = [[None, *candidate_values(model, name, ANY_DAY)] for name in names]
    if math.prod(len(each) for each in values) > MOST_COMBINATIONS:
        return None
    people = list(product(*values))
    tried = {name: [person[at] for person in people] for at, name in enumerate(names)}
    asker = ConditionEvaluator(len(people), encode_fields(model, tried, names), model, Today(ANY_DAY, UTC))
    return [asker.ask(condition) for condition in conditions]


def _impossible(model: Model) -> Iterator[Finding]:
    """Questions about numbers and yes-or-no fields that nothing can answer with yes."""
    everywhere: Loc = ()
    asking: list[tuple[Loc, Rule | Disqualify | Adjustment]] = [
        *model.placed(*RULE_TABLES, "disqualify"),
        *((everywhere, each) for each in model.learned.active),
    ]
    for loc, rule in asking:
        if rule.when is None or any(_open(part) for part in rule.when.parts()):
            continue
        answers = _tried(model, [rule.when])
        if answers is not None and not (answers[0] == YES).any():
            said = f'nobody can meet the condition of "{rule.name}"'
            yield Finding("error", said, (*loc, "when") if loc else ())


def _open(part: Condition) -> bool:
    """Whether there are more answers to a question than trying its own words shows."""
    closed = {"gt", "gte", "lt", "lte", "between", "exists", "missing", *DATE_KEYS}
    return bool(set(part.keys()) - closed) and not isinstance(part.is_, bool)


def _signs(model: Model) -> Iterator[Finding]:
    goodbye = {"email_unsubscribed", "email_bounced"}
    for rule in (*model.behavior, *model.inactivity):
        if rule.points > 0 and (not isinstance(rule, Behavior) or set(rule.on) <= goodbye):
            yield Finding(
                "warning", f'"{rule.name}" gives points for lost interest; did you mean {-rule.points:,.15g}?'
            )


def _fitless(model: Model) -> Iterator[Finding]:
    if not model.fit or not model.bands:
        return
    name, band = list(model.bands.items())[-1]
    gated = any(each.min_fit is not None for each in model.bands.values())
    acted = most_of(model, [rule for rule in model.rules() if not isinstance(rule, Fit)]) * model.weights.behavior
    if not gated and band.at is not None and acted >= to_hundredths(band.at) and name != next(iter(model.bands)):
        yield Finding("note", f'behavior alone reaches the band "{name}"; set min_fit to also require fit')


def _stars(model: Model) -> Iterator[Finding]:
    """Texts with a `*` at an end, which stands for nothing but itself."""
    keys = ("is", "in", "contains", "excludes", "starts_with", "ends_with", "has", "has_all")
    texts = {
        (key, each)
        for match in matches_of(model)
        for key, wanted in match.keys().items()
        if key in keys
        for each in (wanted if isinstance(wanted, list) else [wanted])
    }
    texts |= {("in_list", each) for match in matches_of(model) if match.in_list for each in model.lists[match.in_list]}
    for key, text in sorted(each for each in texts if isinstance(each[1], str)):
        bare = text.strip().strip("*").strip()
        if bare and text.strip() != bare and (text.strip().startswith("*") or text.strip().endswith("*")):
            begins, ends = text.strip().endswith("*"), text.strip().startswith("*")
            instead = "contains" if begins and ends else "starts_with" if begins else "ends_with"
            yield Finding("warning", f'{key} "{text}": a * stands for itself; write {instead} = "{bare}"')


def _adjustments(model: Model) -> Iterator[Finding]:
    """Adjustments without an effect."""
    learned = model.learned
    if learned.adjustment and learned.mode == "rules":
        names = ", ".join(f'"{each.name}"' for each in learned.adjustment)
        yield Finding("note", f'[learned] mode is "rules", so that these adjustments are ignored: {names}')
    elif learned.active and to_hundredths(learned.clamp) < model.score.unit:
        sentence = f"[learned] clamp = {learned.clamp:,.15g} is less than one step of the score; nothing is adjusted"
        yield Finding("warning", sentence)


def _size_and_age(model: Model, today: date) -> Iterator[Finding]:
    if len(model.rules()) > model.review.most_rules:
        rules, most = count_of(len(model.rules()), "rule"), model.review.most_rules
        sentence = f"the model has {rules}, more than {most:,} ([review] most_rules); it is hard to explain"
        yield Finding("warning", sentence)
    if model.review.on is not None and today - model.review.on > model.review.every:
        ago = count_of((today - model.review.on).days, "day")
        sentence = f"the model was last reviewed on {model.review.on}, {ago} ago; review it and change [review] on"
        yield Finding("warning", sentence)
    for key, said in (("on", "model was last reviewed"), ("rules_on", "rules were last checked")):
        day = getattr(model.review, key)
        if day is not None and day > today + timedelta(days=1):
            yield Finding("warning", f"the {said} on {day}, which is still to come; correct [review] {key}")
    if model.rules() and not model.test:
        yield Finding("note", "there are no test leads; add a [[test]] to show what the rules should do")
