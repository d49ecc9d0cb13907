"""What sales made of a world's people in two years: deals, won and lost by a truth that the CRMs do not show.

The truth. Each person has log-odds (`hidden_log_odds`) from who they are (seniority, industry, size of the firm) and
from what they ever did (asked for a demo, met, looked at prices, attended, replied, downloaded). Whether they
get a deal and whether it is won both rise with them, so that a score of these things predicts it and another one does
not. Sales takes up whom a CRM can name in a deal: HubSpot's contacts, and in Salesforce contacts, never unconverted
leads. Deals begin some weeks or months after the record, or days after a demo request or meeting.

Three things move the outcome beside the people:

- a season: few deals begin in July and August and in December, many in the last month of a quarter, in whose last days
  wins are booked;
- `CHANGE_AGE` (about seven months) before `now` sales changed its process: from then on it takes up only
  `ACCEPTED_SINCE` of those that it took up before, and deals of the source `CHANGED_SOURCE`, until then the best one,
  win less (`CHANGED_SOURCE_LOSES` in log-odds);
- time: a deal takes weeks or months, so that most of the last 60 days are open. They are not lost. A few are never
  closed by anybody, and a few lost ones are opened again and won.
"""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from connectors.sandbox import names as stock
from connectors.sandbox.deal_stages import LOST, LOST_REASONS, WON, enter_stages, move_to_work
from connectors.sandbox.world import Deal, Firm, Happening, Human, Rep

DAY = timedelta(days=1)
DEAL_DAYS = 730
"""How far back the deals reach."""

CHANGE_AGE = 213 * DAY
ACCEPTED_SINCE = 0.5
CHANGED_SOURCE = "Partner Referral"
CHANGED_SOURCE_LOSES = 1.6

SOURCES = ("Web", "Partner Referral", "Purchased List", "Other")
"""Where people came from, by their number: the lead source that Salesforce shows of them."""


def lead_source_of(human: Human) -> str:
    """Where they came from: the lead source of their records and deals."""
    return SOURCES[human.number % len(SOURCES)]


# The truth

_SENIORITY = (
    (re.compile(r"intern\b|student|praktikant|competitive"), -2.5),
    (re.compile(r"assistant|freelance|ninja"), -0.8),
    (
        re.compile(r"^(ceo|cfo|chief|co-founder|managing director|geschäftsführer|president|owner|[se]?vp|vice pres)"),
        1.0,
    ),
    (re.compile(r"director|directeur|head of|leiter"), 0.7),
    (re.compile(r"manager|team lead|responsable"), 0.2),
    (re.compile(r""), -0.3),
)
"""What a title says, in log-odds; the first that is found counts."""

_INDUSTRIES = {"Software": 0.5, "Financial Services": 0.3, "Healthcare": 0.2, "Education": -0.5, "Government": -0.6}
_SIZES = ((1_000, 0.8), (200, 0.6), (50, 0.1), (0, -0.4))
"""Employees from which on, and what they mean in log-odds."""

_ACTS = {
    "demo": 1.4,
    "meeting_held": 1.1,
    "pricing": 0.6,
    "attended": 0.5,
    "email_replied": 0.4,
    "content_downloaded": 0.2,
    "careers": -1.2,
    "email_unsubscribed": -1.5,
    "email_bounced": -1.0,
}
"""What somebody did at least once, in log-odds."""

_KINDS = {kind: kind for kind in _ACTS} | {"webinar_attended": "attended", "event_attended": "attended"}

_SOURCES_WIN = {CHANGED_SOURCE: 0.7, "Purchased List": -0.4}
"""What a source means for winning, in log-odds, before the change."""


def hidden_probability(human: Human) -> float:
    """The probability that somebody gets a deal and it is won, before season, change of process and time."""
    log_odds = hidden_log_odds(human)
    return _chance_of_deal(human, log_odds) * _chance_of_win(lead_source_of(human), log_odds)


def hidden_log_odds(human: Human) -> float:
    """What a person's fields and acts mean, in log-odds, whatever a CRM shows of them."""
    firm = human.firm
    total = _says_title(human.title)
    if firm:
        total += _INDUSTRIES.get(firm.industry, 0.0)
        if firm.employees is not None:
            total += next(means for least, means in _SIZES if firm.employees >= least)
    if human.email:
        total -= 2.0 if human.email.startswith("info@") else 0.5 if human.email.endswith(stock.FREE_MAIL) else 0.0
    acts = {_act(each) for each in human.happenings}
    # In the order of the table, because the last digit of a sum depends on it.
    return total + sum(means for act, means in _ACTS.items() if act in acts)


@lru_cache(maxsize=1_024)
def _says_title(title: str | None) -> float:
    return 0.0 if title is None else next(means for found, means in _SENIORITY if found.search(title.lower()))


def _act(happening: Happening) -> str | None:
    """What of `_ACTS` it is."""
    if happening.kind == "page_viewed":
        url = str(happening.attributes["url"])
        return "pricing" if url == stock.PRICING else "careers" if url in stock.CAREERS else None
    if happening.kind == "form_submitted":
        return "demo" if happening.attributes["form"] in ("Request a demo", "Contact sales") else None
    return _KINDS.get(happening.kind)


def _chance_of_deal(human: Human, log_odds: float) -> float:
    if not deal_crms(human):
        return 0.0
    # A third of the conversions makes an opportunity, whoever it was.
    return max(_logistic(1.3 * log_odds - 2.0), 0.35 if "converted" in human.in_salesforce else 0.0)


def _chance_of_win(source: str, log_odds: float) -> float:
    return _logistic(1.1 * log_odds - 2.3 + _SOURCES_WIN.get(source, 0.0))


def _logistic(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def deal_crms(human: Human) -> frozenset[str]:
    """The CRMs in which a deal can be about them: Salesforce has no opportunity of a lead that was not converted."""
    return frozenset(
        crm for crm, able in (("hubspot", human.in_hubspot), ("salesforce", "contact" in human.in_salesforce)) if able
    )


# The deals

DEAL_NAMES = (
    "{who}",
    "{who} - new business",
    "{who} – {seats} seats",
    "{who}: scoring pilot",
    "{who} annual plan",
    "New deal {who}",
    "{who} ({seats} users)",
)


@dataclass(frozen=True)
class _Sales:
    """Who sells, to whom, and as of when."""

    rng: random.Random
    now: datetime
    colleagues: Mapping[int, Sequence[Human]]
    active: Sequence[int]

    @property
    def changed(self) -> datetime:
        return self.now - CHANGE_AGE


def make_deals(
    humans: Sequence[Human], firms: Sequence[Firm], reps: Sequence[Rep], seed: int, now: datetime
) -> tuple[Deal, ...]:
    """The deals of these people as of `now` (aware UTC), in order of creation. Equal arguments make equal deals."""
    colleagues: dict[int, list[Human]] = defaultdict(list)
    for human in humans:
        if human.firm:
            colleagues[human.firm.number].append(human)
    sales = _Sales(random.Random(f"deals {seed}"), now, colleagues, [rep.number for rep in reps if rep.active])
    made = [deal for human in humans for deal in _deals_of(sales, human)]
    made += _deals_of_nobody(sales, firms, math.ceil(len(made) / 30))
    made.sort(key=lambda each: each.stages[0][1])
    return tuple(replace(each, number=number) for number, each in enumerate(made, start=1))


def _deals_of(sales: _Sales, human: Human) -> Iterator[Deal]:
    rng, log_odds = sales.rng, hidden_log_odds(human)
    if rng.random() >= _chance_of_deal(human, log_odds):
        return
    begun = _first_day(sales, human)
    if begun is None or (begun >= sales.changed and rng.random() >= ACCEPTED_SINCE):
        return
    deal = _deal(sales, human, log_odds, begun)
    yield deal
    last, since = deal.stages[-1]
    if last == LOST and rng.random() < 0.1:
        begun = move_to_work(rng, since + rng.randint(100, 300) * DAY)
        if begun <= sales.now:
            yield _deal(sales, human, log_odds, begun)


_MONTHS = (1.0, 1.0, 1.3, 1.0, 1.0, 1.3, 0.45, 0.4, 1.3, 1.1, 1.2, 0.7)
"""How many deals begin in each month, beside the others."""


def _first_day(sales: _Sales, human: Human) -> datetime | None:
    """When sales takes somebody up; `None` where that is not yet, or so long ago that nobody knows."""
    rng, now = sales.rng, sales.now
    if "converted" in human.in_salesforce:
        at = human.created_at + (human.in_salesforce.index("converted") + 1) * DAY
        return at if now - DEAL_DAYS * DAY <= at <= now else None
    asked = [each.at for each in human.happenings if _act(each) in ("demo", "meeting_held")]
    lately = bool(asked) and rng.random() < 0.2
    for _ in range(6):
        if lately:
            at = rng.choice(asked) + rng.uniform(1, 8) * DAY
        elif rng.random() < 0.75:
            at = human.created_at + DAY + rng.expovariate(1 / 75) * DAY
        else:
            at = human.created_at + DAY + rng.random() * (now - human.created_at)
        at = move_to_work(rng, at)
        if rng.random() * 1.3 < _MONTHS[at.month - 1]:
            break
    return at if now - DEAL_DAYS * DAY <= at <= now else None


def _deal(sales: _Sales, human: Human, log_odds: float, begun: datetime) -> Deal:
    rng, firm, source, crms = sales.rng, human.firm, lead_source_of(human), deal_crms(human)
    if len(crms) == 2 and not human.native_link and rng.random() < 0.5:
        crms = frozenset({rng.choice(("hubspot", "salesforce", "salesforce"))})
    chance = _chance_of_win(source, log_odds)
    if begun >= sales.changed and source == CHANGED_SOURCE:
        chance = _logistic(math.log(chance / (1 - chance)) - CHANGED_SOURCE_LOSES)
    contacts = (human.number, *_other_contacts(sales, human, crms, begun))
    return _complete_deal(
        sales,
        Deal(
            number=0,
            name=_name(rng, firm.name if firm else f"{human.first} {human.last}".strip()),
            contacts=contacts,
            firm=firm.number if firm else None,
            owner=human.owner or (firm and firm.owner) or rng.choice(sales.active),
            amount=_amount(rng, firm),
            stages=tuple(enter_stages(rng, begun, sales.now, firm, rng.random() < chance)),
            expected=begun.date(),
            source=source,
            campaign=_campaign(rng, human, source, begun),
            seen_by=crms,
        ),
    )


def _deals_of_nobody(sales: _Sales, firms: Sequence[Firm], count: int) -> Iterator[Deal]:
    """Deals whose contact nobody entered: their firm is all that is known."""
    rng = sales.rng
    for _ in range(count):
        firm = rng.choice(firms)
        begun = move_to_work(rng, sales.now - rng.randint(3, DEAL_DAYS - 3) * DAY)
        yield _complete_deal(
            sales,
            Deal(
                number=0,
                name=_name(rng, firm.name),
                contacts=(),
                firm=firm.number,
                owner=firm.owner or rng.choice(sales.active),
                amount=_amount(rng, firm),
                stages=tuple(enter_stages(rng, begun, sales.now, firm, rng.random() < 0.2)),
                expected=begun.date(),
                source=rng.choice(SOURCES),
                seen_by=rng.choice((frozenset({"salesforce"}), frozenset({"hubspot", "salesforce"}))),
            ),
        )


def _other_contacts(sales: _Sales, human: Human, crms: frozenset[str], begun: datetime) -> Iterator[int]:
    """Up to three colleagues with a say, who were there by then and are in a CRM that has the deal."""
    if human.firm and sales.rng.random() < 0.25:
        there = [
            each
            for each in sales.colleagues[human.firm.number]
            if each is not human and each.created_at < begun and deal_crms(each) & crms and hidden_log_odds(each) > 0
        ]
        for each in sales.rng.sample(there, min(len(there), sales.rng.randint(1, 3))):
            yield each.number


def _campaign(rng: random.Random, human: Human, source: str, begun: datetime) -> str:
    """The campaign that the deal is put down to: one of those they took part in before, or one of the usual ones."""
    if source == "Partner Referral" and rng.random() < 0.4:
        return "Partner referral programme"
    joined = [str(each.attributes.get("campaign", "")) for each in human.happenings if each.at < begun]
    named = [each for each in joined if each not in ("", "Newsletter")]
    if named and rng.random() < 0.6:
        return rng.choice(named)
    return rng.choice(stock.CAMPAIGNS) if rng.random() < 0.1 else ""


def _name(rng: random.Random, who: str) -> str:
    return rng.choice(DEAL_NAMES).format(who=who, seats=rng.choice((5, 10, 20, 25, 40, 50, 100, 250)))


def _amount(rng: random.Random, firm: Firm | None) -> int | None:
    """In the currency of the CRMs; some do not say."""
    if rng.random() < 0.1:
        return None
    employees = (firm and firm.employees) or 40
    amount = 1_500 * math.pow(employees, 0.45) * rng.lognormvariate(0, 0.5)
    return max(500, round(amount / 100) * 100)


def _complete_deal(sales: _Sales, deal: Deal) -> Deal:
    """The deal with what its rep typed on the way: the date they expect, and why it was lost."""
    rng, (last, since) = sales.rng, deal.stages[-1]
    if last in (WON, LOST):
        off = 0 if rng.random() < 0.6 else rng.randint(-20, 20)
        return replace(
            deal,
            expected=(since + off * DAY).date(),
            lost_reason=rng.choice(LOST_REASONS) if last == LOST else "",
        )
    # One in six reps forgets the date until it is over.
    ahead = -rng.randint(3, 60) if rng.random() < 0.16 else rng.randint(5, 75)
    return replace(deal, expected=max(since, sales.now + ahead * DAY).date())
