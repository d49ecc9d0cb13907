"""People with known outcomes, made by a card that is known: what statistics are held against.

    make_people(count, seed, *, card: Mapping[str, float], base_rate=0.1, months=24, season=0.3, change_at=None,
                change=-0.7, half_life_days=None, now=NOW) -> list[dict]

Each person is a line of `crmsync score --input` with `outcome` and `outcome_at` beside: `id`, `fields` (`industry`,
`employees`, `title`, `country`, `source`; some are missing), `activities`, `outcome` ("won" or "lost") and `outcome_at`
(ISO, aware). They are ordered by the instant of their outcome, the youngest last; whose outcome would lie after `now`
has neither key.

How the truth is made:

- `card` maps names of `RULES` to log-odds; a rule that the card leaves out happens to people and means nothing.
- The intercept is such that the mean probability of all people is `base_rate`, before season and change.
- Outcomes spread evenly over `months` months up to `now`, and `LEAD` (30 days) beyond for the youngest. Activities lie
  between `LEAD` and `LEAD + REACH` (180 days) before the outcome: whoever scores people at any instant of the last 30
  days sees all of them, and no card sees the future.
- A behavior counts once, however old it is. With `half_life_days` it counts `0.5 ** (age / half_life_days)` of its
  log-odds, `age` being days from its latest activity to `LEAD` before the outcome.
- `season` is the amplitude, in log-odds, of a year with its best in January and its worst in July.
- `change_at` is a number of months before `now`: `change` is added to the log-odds of every outcome from then on.

`true_log_odds(person, card, half_life_days)` is what the card says of a person, without intercept, season and change:
the best order there is. `rules_of(card)` are the tables of a model with this card. `auc_of(won, lost)` counts pairs.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tests.support.scoring import NOW

LEAD = timedelta(days=30)
REACH = timedelta(days=180)
MONTH = timedelta(days=30.4375)


class FitRule(NamedTuple):
    """What of the fields makes the rule hold, and the same as a condition of the config."""

    field: str
    holds: Callable[[Any], bool]
    when: Mapping[str, Any]


class BehaviorRule(NamedTuple):
    """The activity, the condition that tells it from others of its kind, and how many people have done it."""

    kind: str
    attributes: Mapping[str, str]
    where: Mapping[str, Any]
    share: float


TITLES: dict[str, tuple[str, ...]] = {
    "vp or above": ("CEO", "Chief Technology Officer", "VP Sales", "SVP, Global Operations"),
    "director or manager": ("Director of Engineering", "Director, Demand Generation", "IT Manager", "Product Manager"),
    "staff": ("Software Developer", "Data Analyst", "Buyer", "Customer Success Specialist"),
    "student": ("Student", "Marketing Intern"),
}
INDUSTRIES = {"Software": 30, "Manufacturing": 20, "Healthcare": 15, "Retail": 15, "Education": 10, "Energy": 10}
COUNTRIES = {"United States": 45, "Germany": 25, "United Kingdom": 20, "France": 10}
SOURCES = {"Web": 45, "Partner Referral": 15, "Purchased List": 20, "Other": 20}
SIZES = ((1, 49, 40), (50, 199, 25), (200, 999, 20), (1_000, 20_000, 15))

RULES: dict[str, FitRule | BehaviorRule] = {
    "VP or C-level": FitRule(
        "title", TITLES["vp or above"].__contains__, {"field": "title", "seniority_at_least": "vp"}
    ),
    "Director or manager": FitRule(
        "title",
        TITLES["director or manager"].__contains__,
        {"field": "title", "seniority": ["director", "manager"]},
    ),
    "Student or intern": FitRule("title", TITLES["student"].__contains__, {"field": "title", "seniority": ["student"]}),
    "200 employees or more": FitRule("employees", lambda size: size >= 200, {"field": "employees", "gte": 200}),
    "Software": FitRule("industry", "Software".__eq__, {"field": "industry", "is": "Software"}),
    "Healthcare": FitRule("industry", "Healthcare".__eq__, {"field": "industry", "is": "Healthcare"}),
    "Germany": FitRule("country", "Germany".__eq__, {"field": "country", "is": "Germany"}),
    "Partner referral": FitRule("source", "Partner Referral".__eq__, {"field": "source", "is": "Partner Referral"}),
    "Purchased list": FitRule("source", "Purchased List".__eq__, {"field": "source", "is": "Purchased List"}),
    "Demo requested": BehaviorRule("form_submitted", {"form": "Request a demo"}, {"form": {"contains": "demo"}}, 0.12),
    "Meeting held": BehaviorRule("meeting_held", {"subject": "Discovery meeting"}, {}, 0.1),
    "Pricing page viewed": BehaviorRule(
        "page_viewed", {"url": "https://www.ourproduct.example/pricing"}, {"url": {"contains": "/pricing"}}, 0.25
    ),
    "Webinar attended": BehaviorRule("webinar_attended", {"campaign": "Webinar: Scoring that sales trusts"}, {}, 0.15),
    "Email replied": BehaviorRule("email_replied", {"subject": "Next steps?"}, {}, 0.08),
    "Content downloaded": BehaviorRule("content_downloaded", {"asset": "The RevOps Playbook"}, {}, 0.3),
    "Email clicked": BehaviorRule("email_clicked", {"subject": "Product update"}, {}, 0.4),
    "Careers page viewed": BehaviorRule(
        "page_viewed", {"url": "https://www.ourproduct.example/careers"}, {"url": {"contains": "/careers"}}, 0.05
    ),
}
"""Everything that may have an effect; a card names the rules that have."""

CARD = {
    "VP or C-level": 0.9,
    "Director or manager": 0.4,
    "Student or intern": -1.5,
    "200 employees or more": 0.7,
    "Software": 0.5,
    "Partner referral": 0.6,
    "Purchased list": -0.6,
    "Demo requested": 1.6,
    "Meeting held": 1.2,
    "Pricing page viewed": 0.8,
    "Webinar attended": 0.4,
    "Careers page viewed": -0.8,
}
"""A sensible card, for whoever needs just one: it orders people with an AUC of about 0.8."""


def make_people(
    count: int,
    seed: int,
    *,
    card: Mapping[str, float],
    base_rate: float = 0.1,
    months: int = 24,
    season: float = 0.3,
    change_at: float | None = None,
    change: float = -0.7,
    half_life_days: float | None = None,
    now: datetime = NOW,
) -> list[dict[str, Any]]:
    """`count` people and what became of them, as the module says. Equal arguments make equal people.

    Raises `ValueError` for a rule that `RULES` does not have.
    """
    if unknown := sorted(set(card) - set(RULES)):
        raise ValueError(f"{', '.join(unknown)}: the rules are {', '.join(RULES)}")
    rng = random.Random(f"outcomes {seed}")
    span = months * MONTH + LEAD
    ends = sorted(_on_the_second(now + LEAD - span * rng.random()) for _ in range(count))
    people = [_person(rng, number, end - LEAD) for number, end in enumerate(ends, start=1)]
    says = [_log_odds(person, card, half_life_days, end - LEAD) for person, end in zip(people, ends, strict=True)]
    intercept = _intercept(says, base_rate)
    changed = None if change_at is None else now - change_at * MONTH
    for person, end, log_odds in zip(people, ends, says, strict=True):
        log_odds += intercept + season * math.cos((end.timetuple().tm_yday - 15) / 365 * 2 * math.pi)
        if changed is not None and end >= changed:
            log_odds += change
        won = rng.random() < _probability(log_odds)
        if end <= now:
            person |= {"outcome": "won" if won else "lost", "outcome_at": end.isoformat()}
    return people


def true_log_odds(person: Mapping[str, Any], card: Mapping[str, float], half_life_days: float | None = None) -> float:
    """What the card says of a person: their log-odds without intercept, season and change.

    With `half_life_days` the person needs an outcome, because ages are counted from it.
    """
    at = None if half_life_days is None else datetime.fromisoformat(person["outcome_at"]) - LEAD
    return _log_odds(person, card, half_life_days, at)


def rules_of(card: Mapping[str, float], points: float = 20, half_life_days: float | None = None) -> dict[str, Any]:
    """The tables `fit` and `behavior` of a model with this card; `points` are the points of one log-odds."""
    tables: dict[str, Any] = {"fit": [], "behavior": []}
    decay = {} if half_life_days is None else {"decay": {"half_life": f"{half_life_days:g}d"}}
    for name, log_odds in card.items():
        rule, about = RULES[name], {"name": name, "points": round(log_odds * points)}
        if isinstance(rule, FitRule):
            tables["fit"].append(about | {"when": dict(rule.when)})
        else:
            where = {"where": dict(rule.where)} if rule.where else {}
            tables["behavior"].append(about | {"on": rule.kind, "max_times": 1} | where | decay)
    return tables


def auc_of(won: Sequence[float], lost: Sequence[float]) -> float:
    """The share of pairs of a won and a lost one in which the won one has more; a tie is half a pair."""
    ordered = sorted(lost)
    beaten = sum(bisect_left(ordered, each) + bisect_right(ordered, each) for each in won)
    return beaten / 2 / len(won) / len(lost)


def _on_the_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _person(rng: random.Random, number: int, seen_until: datetime) -> dict[str, Any]:
    low, high, _ = rng.choices(SIZES, [weight for *_, weight in SIZES])[0]
    fields = {
        "industry": _one(rng, INDUSTRIES),
        "employees": rng.randint(low, high),
        "title": rng.choice(TITLES[rng.choices(tuple(TITLES), (15, 35, 40, 10))[0]]),
        "country": _one(rng, COUNTRIES),
        "source": _one(rng, SOURCES),
    }
    known = {name: value for name, value in fields.items() if rng.random() > 0.06}
    return {"id": f"p{number}", "fields": known, "activities": list(_activities(rng, seen_until))}


def _one(rng: random.Random, weighted: Mapping[str, int]) -> str:
    return rng.choices(tuple(weighted), tuple(weighted.values()))[0]


def _activities(rng: random.Random, until: datetime) -> Sequence[dict[str, Any]]:
    """What somebody did before the instant, by time."""
    found = [
        {
            "kind": rule.kind,
            "at": _on_the_second(until - REACH * rng.random()).isoformat(),
            "attributes": dict(rule.attributes),
        }
        for rule in RULES.values()
        if isinstance(rule, BehaviorRule) and rng.random() < rule.share
        for _ in range(rng.choice((1, 1, 1, 2, 3)))
    ]
    return sorted(found, key=lambda each: each["at"])


def _log_odds(
    person: Mapping[str, Any], card: Mapping[str, float], half_life_days: float | None, at: datetime | None
) -> float:
    total = 0.0
    for name, log_odds in card.items():
        rule = RULES[name]
        if isinstance(rule, FitRule):
            value = person["fields"].get(rule.field)
            total += log_odds if value is not None and rule.holds(value) else 0
            continue
        done = [each["at"] for each in person["activities"] if _is(each, rule)]
        if done and at is not None and half_life_days is not None:
            age = (at - datetime.fromisoformat(done[-1])) / timedelta(days=1)
            total += log_odds * 0.5 ** (max(age, 0.0) / half_life_days)
        elif done:
            total += log_odds
    return total


def _is(activity: Mapping[str, Any], rule: BehaviorRule) -> bool:
    return activity["kind"] == rule.kind and activity["attributes"] == rule.attributes


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _intercept(says: Sequence[float], base_rate: float) -> float:
    """What added to each of these log-odds makes `base_rate` the mean probability."""
    low, high = -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        if sum(_probability(each + middle) for each in says) < base_rate * len(says):
            low = middle
        else:
            high = middle
    return (low + high) / 2
