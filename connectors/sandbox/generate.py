"""Makes a believable world of people, firms and what they did: the same seed always makes the same world."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from connectors.sandbox import names as stock
from connectors.sandbox.as_written import roll, vary_call_outcome, write_automatic_subject
from connectors.sandbox.deals import make_deals
from connectors.sandbox.history import add_history
from connectors.sandbox.world import Firm, Happening, Human, Rep, World

DAYS = 90
"""How far back the happenings reach."""

HUBSPOT, SALESFORCE = frozenset({"hubspot"}), frozenset({"salesforce"})
BOTH = HUBSPOT | SALESFORCE

T = TypeVar("T")
Episode = Callable[[random.Random, datetime], Iterable[Happening]]
"""Something that happens to somebody from an instant on, for example an e-mail that is sent, opened and clicked."""


def make_world(people: int, seed: int, now: datetime, history: bool = False) -> World:
    """A world of `people` humans as of `now` (aware UTC). Equal arguments make equal worlds.

    With `history` the happenings reach back to the deals of two years, else `DAYS` days; all else is the same.
    """
    rng = random.Random(seed)
    now = now.replace(microsecond=0)
    reps = _reps()
    firms = tuple(_firms(rng, max(3, people // 5), reps))
    taken: set[str] = set()
    humans = tuple(_human(rng, number, firms, reps, taken, now) for number in range(1, people + 1))
    deals = make_deals(humans, firms, reps, seed, now)
    humans = tuple(_with_odd_talks(human, seed, now) for human in humans)
    return World(now, reps, firms, add_history(humans, deals, seed, now) if history else humans, deals, seed)


def _reps() -> tuple[Rep, ...]:
    return tuple(
        Rep(
            number,
            first,
            last,
            f"{_ascii(first)}.{_ascii(last)}@ourproduct.example",
            active=number != len(stock.REPS),
        )
        for number, (first, last) in enumerate(stock.REPS, start=1)
    )


def _one(rng: random.Random, weighted: Sequence[tuple[T, int]]) -> T:
    return rng.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


_SPELLED = str.maketrans({"ø": "o", "ł": "l", "ß": "ss", "æ": "ae", "ı": "i", "'": ""})
"""Letters that Unicode does not take apart."""


def _ascii(text: str) -> str:
    """Letters and digits that fit an address: `"Søren O'Neill"` → `"soren.oneill"`."""
    spelled = text.lower().translate(_SPELLED)
    plain = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", ".", plain).strip(".")


# Firms


def _firms(rng: random.Random, count: int, reps: Sequence[Rep]) -> Iterator[Firm]:
    taken: set[str] = set()
    for number in range(1, count + 1):
        country = rng.choices(stock.COUNTRIES, [each.weight for each in stock.COUNTRIES])[0]
        industry, _, tails = rng.choices(stock.INDUSTRIES, [weight for _, weight, _ in stock.INDUSTRIES])[0]
        name = f"{rng.choice(stock.FIRM_HEADS)} {rng.choice(tails)}"
        domain = _unused(_ascii(name).replace(".", "-"), taken, "{}-{}") + ".example"
        employees = _employees(rng)
        yield Firm(
            number=number,
            name=f"{name} {rng.choice(country.legal)}".strip(),
            domain=domain,
            industry=industry,
            employees=employees if rng.random() > 0.1 else None,
            country=country.name,
            revenue=employees * rng.randrange(60, 320) * 1_000 if rng.random() > 0.4 else None,
            # Every third one is nobody's.
            owner=reps[number % len(reps)].number if number % 3 else None,
        )


def _employees(rng: random.Random) -> int:
    low, high = _one(rng, [((low, high), weight) for low, high, weight in stock.SIZES])
    return rng.randint(low, high)


def _unused(wanted: str, taken: set[str], numbered: str) -> str:
    """`wanted`, or with the first number that makes it unique; remembers it in `taken`."""
    found, number = wanted, 1
    while found in taken:
        number += 1
        found = numbered.format(wanted, number)
    taken.add(found)
    return found


# People


@dataclass(frozen=True)
class Character:
    """A way to behave: the episodes of 90 days, each with the fewest and most times it happens."""

    weight: int
    episodes: tuple[tuple[Episode, int, int], ...]
    title: str | None = None


def _human(
    rng: random.Random, number: int, firms: Sequence[Firm], reps: Sequence[Rep], taken: set[str], now: datetime
) -> Human:
    played = CAST.get(number % 1_000)
    name = played or rng.choices(tuple(CHARACTERS), [each.weight for each in CHARACTERS.values()])[0]
    firm = firms[number // 1_000 % len(firms)] if name == "shared mailbox" else rng.choice(firms)
    country = next(each for each in stock.COUNTRIES if each.name == firm.country)
    recent = rng.random() < 0.2 and not played
    created_at = now - timedelta(
        seconds=rng.randrange(3_600, 60 * 86_400) if recent else rng.randrange(100, 900) * 86_400
    )
    in_hubspot, in_salesforce = _records(rng, name)
    human = Human(
        number=number,
        first=rng.choice(country.first),
        last=rng.choice(country.last),
        email=None,
        title=CHARACTERS[name].title or (_one(rng, stock.TITLES) if rng.random() > 0.1 else None),
        firm=firm,
        country=firm.country if rng.random() > 0.08 else None,
        in_hubspot=in_hubspot,
        in_salesforce=in_salesforce,
        created_at=created_at,
        owner=rng.choice(reps).number if rng.random() < 0.55 else None,
        native_link=bool(in_hubspot and in_salesforce) and rng.random() < 0.4,
    )
    human = replace(_with_email(rng, human, name, taken), firm=firm if rng.random() > 0.06 else None)
    return replace(human, happenings=_happenings(rng, human, CHARACTERS[name], now))


def _with_email(rng: random.Random, human: Human, name: str, taken: set[str]) -> Human:
    assert human.firm is not None
    if name == "shared mailbox":
        return replace(human, email=f"info@{human.firm.domain}")
    if human.number % 1_000 not in CAST and rng.random() < 0.1:
        return human
    local = f"{_ascii(human.first)}.{_ascii(human.last)}"
    if name == "student":
        return replace(human, email=_unused(f"{local}@students.university.example", taken, "{1}.{0}"))
    if rng.random() < 0.13:
        # A number nobody chooses keeps the free-mail addresses from being anybody's.
        return replace(human, email=f"{local}.invented{human.number}@{rng.choice(stock.FREE_MAIL)}")
    return replace(human, email=_unused(f"{local}@{human.firm.domain}", taken, "{1}.{0}"))


def _records(rng: random.Random, name: str) -> tuple[int, tuple[str, ...]]:
    """How many HubSpot contacts somebody has, and the kinds of their Salesforce records."""
    where = rng.random()
    if name == "everything":
        return 1, ("lead",)
    if name == "shared mailbox":
        return int(where < 0.3), ("lead",)
    in_hubspot = 0 if where >= 0.75 else 2 if rng.random() < 0.02 else 1
    if where < 0.25 and in_hubspot:
        return in_hubspot, ()
    kind = rng.random()
    if kind < 0.02:
        return in_hubspot, ("lead", rng.choice(("lead", "contact")))
    if kind < 0.10:
        return in_hubspot, ("converted", "contact")
    return in_hubspot, ("lead",) if kind < 0.6 else ("contact",)


# What they did


def _happenings(rng: random.Random, human: Human, character: Character, now: datetime) -> tuple[Happening, ...]:
    known_by = frozenset(
        crm for crm, known in (("hubspot", human.in_hubspot), ("salesforce", human.in_salesforce)) if known
    )
    start = max(human.created_at, now - timedelta(days=DAYS))
    span = int((now - start).total_seconds())
    found = [
        each if each.seen_by <= known_by else replace(each, seen_by=each.seen_by & known_by)
        for episode, fewest, most in character.episodes
        for _ in range(rng.randint(fewest, most))
        for each in episode(rng, start + timedelta(seconds=rng.randrange(span)))
        if each.seen_by & known_by and not (human.email is None and each.kind.startswith("email_"))
    ]
    past = [each for each in found if each.at <= now]
    if human.number % 40 == 1:
        past += [replace(each, seen_by=known_by) for each in _coming_meeting(rng, now)]
    return tuple(sorted(past, key=lambda each: (each.at, each.kind)))


def _with_odd_talks(human: Human, seed: int, now: datetime) -> Human:
    """The same with machines' answers to a few e-mails of salespeople, and with the outcomes of calls as chosen."""
    found = (each for each in _odd_talks(human, seed) if each.kind != "email_auto_replied" or each.at <= now)
    return replace(human, happenings=tuple(sorted(found, key=lambda each: (each.at, each.kind))))


def _odd_talks(human: Human, seed: int) -> Iterator[Happening]:
    played = CAST.get(human.number % 1_000)
    share = 100 if played == "everything" else 12
    for place, each in enumerate(human.happenings):
        rolled = roll(seed, human.number, place, each.kind)
        if each.kind == "call_completed" and not played:
            outcome = vary_call_outcome(str(each.attributes["outcome"]), rolled)
            each = replace(each, attributes={**each.attributes, "outcome": outcome})
        yield each
        if each.kind == "email_sent" and not each.attributes["campaign"] and rolled % 100 < share:
            subject = write_automatic_subject(str(each.attributes["subject"]), rolled)
            at = each.at + timedelta(seconds=4 + rolled % 50)
            yield replace(each, kind="email_auto_replied", at=at, attributes={"subject": subject, "campaign": ""})


def _seen(rng: random.Random, both: float = 0.2, salesforce: float = 0.4) -> frozenset[str]:
    """Who records it: both CRMs, Salesforce alone or HubSpot alone."""
    chance = rng.random()
    return BOTH if chance < both else SALESFORCE if chance < both + salesforce else HUBSPOT


def _after(rng: random.Random, at: datetime, low: int, high: int) -> datetime:
    """Between `low` and `high` seconds after `at`."""
    return at + timedelta(seconds=rng.randrange(low, high))


def _visit(rng: random.Random, at: datetime) -> Iterator[Happening]:
    for _ in range(rng.randint(1, 4)):
        yield _page(rng, at, _one(rng, stock.PAGES))
        at = _after(rng, at, 20, 400)


def _page(rng: random.Random, at: datetime, url: str) -> Happening:
    return Happening("page_viewed", at, {"url": url, "seconds": rng.randrange(3, 300)})


def _pricing(rng: random.Random, at: datetime) -> Iterator[Happening]:
    yield from _visit(rng, at)
    yield _page(rng, _after(rng, at, 60, 900), stock.PRICING)


def _careers(rng: random.Random, at: datetime) -> Iterator[Happening]:
    for url in stock.CAREERS:
        yield _page(rng, at, url)
        at = _after(rng, at, 20, 200)


def _form(form: str, url: str) -> Episode:
    def submitted(_: random.Random, at: datetime) -> Iterator[Happening]:
        yield Happening("form_submitted", at, {"form": form, "url": url})

    return submitted


_demo = _form("Request a demo", "https://www.ourproduct.example/demo")
_contact_sales = _form("Contact sales", "https://www.ourproduct.example/contact")
_newsletter_form = _form("Newsletter", "https://www.ourproduct.example/blog")


def _download(rng: random.Random, at: datetime) -> Iterator[Happening]:
    asset = rng.choice(stock.ASSETS)
    url = "https://www.ourproduct.example/resources"
    if rng.random() < 0.5:
        yield Happening("form_submitted", at, {"form": f"Download: {asset}", "url": url})
    yield Happening("content_downloaded", _after(rng, at, 2, 60), {"asset": asset})


def _mailing(opens: float, clicks: float) -> Episode:
    """A marketing e-mail, which HubSpot sends: opened and clicked with these chances."""

    def mailing(rng: random.Random, at: datetime) -> Iterator[Happening]:
        about = {"subject": rng.choice(stock.NEWSLETTERS), "campaign": "Newsletter"}
        yield Happening("email_sent", at, about)
        if rng.random() < opens:
            at = _after(rng, at, 60, 100_000)
            yield Happening("email_opened", at, about)
            if rng.random() < clicks:
                at = _after(rng, at, 5, 300)
                yield Happening("email_clicked", at, about)
                yield _page(rng, _after(rng, at, 1, 5), _one(rng, stock.PAGES))

    return mailing


def _sales_mail(rng: random.Random, at: datetime) -> Iterator[Happening]:
    about, seen_by = {"subject": rng.choice(stock.SALES_SUBJECTS), "campaign": ""}, _seen(rng)
    yield Happening("email_sent", at, about, seen_by)
    if rng.random() < 0.6:
        yield Happening("email_opened", _after(rng, at, 60, 90_000), about, seen_by)
    if rng.random() < 0.3:
        yield Happening("email_replied", _after(rng, at, 90_000, 200_000), about, seen_by)


def _reply(rng: random.Random, at: datetime) -> Iterator[Happening]:
    about = {"subject": "Next steps?", "campaign": ""}
    yield Happening("email_sent", at, about, BOTH)
    yield Happening("email_replied", _after(rng, at, 600, 9_000), about, BOTH)


def _mail_ends_in(kind: str) -> Episode:
    def ends(rng: random.Random, at: datetime) -> Iterator[Happening]:
        about = {"subject": rng.choice(stock.NEWSLETTERS), "campaign": "Newsletter"}
        yield Happening("email_sent", at, about, BOTH)
        yield Happening(kind, _after(rng, at, 5, 600), about, BOTH)

    return ends


def _meeting(rng: random.Random, at: datetime) -> Iterator[Happening]:
    subject, chance = rng.choice(stock.MEETING_SUBJECTS), rng.random()
    if chance < 0.75:
        yield Happening("meeting_held", at, {"subject": subject, "outcome": "COMPLETED"}, _seen(rng))
    else:
        outcome = "NO_SHOW" if chance < 0.85 else "CANCELED" if chance < 0.95 else "RESCHEDULED"
        yield Happening("meeting_booked", at, {"subject": subject, "outcome": outcome}, _seen(rng))


def _coming_meeting(rng: random.Random, now: datetime) -> Iterator[Happening]:
    at = _after(rng, now, 3_600, 14 * 86_400)
    yield Happening("meeting_booked", at, {"subject": "Product demo", "outcome": "SCHEDULED"})


def _call(rng: random.Random, at: datetime) -> Iterator[Happening]:
    outcome = rng.choice(("CONNECTED", "CONNECTED", "LEFT_VOICEMAIL", "NO_ANSWER", "BUSY"))
    seconds = rng.randrange(60, 2_400) if outcome == "CONNECTED" else rng.randrange(0, 40)
    subject = rng.choice(stock.CALL_SUBJECTS)
    about: Mapping[str, str | int] = {"subject": subject, "outcome": outcome, "seconds": seconds}
    yield Happening("call_completed", at, about, _seen(rng))


def _programme(prefix: str, names: Sequence[str], attends: float) -> Episode:
    """A webinar or an event: both CRMs have it as a campaign; some who register attend some days later."""

    def programme(rng: random.Random, at: datetime) -> Iterator[Happening]:
        about: Mapping[str, str | int] = {"campaign": rng.choice(names)}
        yield Happening(f"{prefix}_registered", at, about, BOTH)
        if rng.random() < attends:
            yield Happening(f"{prefix}_attended", _after(rng, at, 7_200, 5 * 86_400), about, BOTH)

    return programme


_webinar = _programme("webinar", stock.WEBINARS, 0.55)
_event = _programme("event", stock.EVENTS, 0.7)


def _response(rng: random.Random, at: datetime) -> Iterator[Happening]:
    yield Happening("campaign_responded", at, {"campaign": rng.choice(stock.CAMPAIGNS)}, SALESFORCE)


def _task(rng: random.Random, at: datetime) -> Iterator[Happening]:
    yield Happening("task_completed", at, {"subject": rng.choice(stock.TASK_SUBJECTS)}, _seen(rng, both=0.0))


def _note(rng: random.Random, at: datetime) -> Iterator[Happening]:
    yield Happening("note_logged", at, {"subject": rng.choice(stock.NOTES)}, _seen(rng, both=0.0))


def _everything(rng: random.Random, at: datetime) -> Iterator[Happening]:
    """Every kind there is, once, so that the smallest world has them all."""
    abouts: Mapping[str, Mapping[str, str | int]] = {
        "page_viewed": {"url": stock.PRICING, "seconds": 95},
        "form_submitted": {"form": "Request a demo", "url": "https://www.ourproduct.example/demo"},
        "content_downloaded": {"asset": stock.ASSETS[0]},
        "email_sent": {"subject": stock.NEWSLETTERS[0], "campaign": "Newsletter"},
        "email_opened": {"subject": stock.NEWSLETTERS[0], "campaign": "Newsletter"},
        "email_clicked": {"subject": stock.NEWSLETTERS[0], "campaign": "Newsletter"},
        "email_replied": {"subject": stock.SALES_SUBJECTS[0], "campaign": ""},
        "meeting_booked": {"subject": stock.MEETING_SUBJECTS[0], "outcome": "RESCHEDULED"},
        "meeting_held": {"subject": stock.MEETING_SUBJECTS[0], "outcome": "COMPLETED"},
        "call_completed": {"subject": stock.CALL_SUBJECTS[0], "outcome": "CONNECTED", "seconds": 840},
        "webinar_registered": {"campaign": stock.WEBINARS[0]},
        "webinar_attended": {"campaign": stock.WEBINARS[0]},
        "event_registered": {"campaign": stock.EVENTS[0]},
        "event_attended": {"campaign": stock.EVENTS[0]},
        "campaign_responded": {"campaign": stock.CAMPAIGNS[0]},
        "task_completed": {"subject": stock.TASK_SUBJECTS[0]},
        "note_logged": {"subject": stock.NOTES[0]},
    }
    online = ("page_viewed", "form_submitted", "content_downloaded", "email_clicked")
    for kind, about in abouts.items():
        seen_by = HUBSPOT if kind in online else SALESFORCE if kind == "campaign_responded" else BOTH
        yield Happening(kind, at, about, seen_by)
        at -= timedelta(seconds=rng.randrange(60, 900))


_skimmed, _read, _loved = _mailing(0.25, 0.05), _mailing(0.6, 0.3), _mailing(0.95, 0.95)

CHARACTERS: dict[str, Character] = {
    "dormant": Character(34, ((_skimmed, 0, 2),)),
    "lurker": Character(29, ((_skimmed, 1, 4), (_visit, 0, 2), (_newsletter_form, 0, 1), (_note, 0, 1))),
    "reader": Character(18, ((_read, 2, 6), (_visit, 1, 4), (_download, 0, 2), (_response, 0, 1), (_call, 0, 1))),
    "engaged": Character(
        10,
        (
            (_read, 2, 7),
            (_visit, 2, 5),
            (_download, 1, 3),
            (_webinar, 0, 2),
            (_event, 0, 1),
            (_pricing, 0, 2),
            (_sales_mail, 0, 3),
            (_call, 0, 2),
            (_response, 0, 1),
            (_task, 0, 2),
        ),
    ),
    "hot": Character(
        4,
        (
            (_demo, 1, 1),
            (_pricing, 1, 4),
            (_visit, 2, 5),
            (_download, 0, 2),
            (_webinar, 0, 2),
            (_contact_sales, 0, 1),
            (_sales_mail, 1, 4),
            (_call, 1, 3),
            (_meeting, 1, 3),
            (_task, 0, 3),
            (_note, 0, 2),
        ),
    ),
    "everything": Character(0, ((_everything, 1, 1), (_pricing, 2, 3), (_reply, 1, 1)), title="VP, IT Security"),
    "job seeker": Character(1, ((_careers, 2, 5), (_visit, 0, 1)), title="Account Executive"),
    "competitor": Character(0, ((_loved, 8, 12), (_pricing, 4, 8), (_download, 4, 6)), title="Competitive Analyst"),
    "student": Character(1, ((_download, 3, 6), (_visit, 1, 5), (_read, 1, 3)), title="Student"),
    "shared mailbox": Character(0, ((_read, 1, 2), (_contact_sales, 0, 1))),
    "unsubscribed": Character(2, ((_read, 0, 3), (_mail_ends_in("email_unsubscribed"), 1, 1))),
    "bounced": Character(1, ((_mail_ends_in("email_bounced"), 1, 2),)),
}
CAST = {
    1: "everything",
    2: "job seeker",
    3: "competitor",
    4: "student",
    5: "shared mailbox",
    6: "shared mailbox",
    7: "shared mailbox",
    8: "unsubscribed",
    9: "bounced",
    10: "hot",
}
"""Who the first of every thousand people are, so that the smallest world has one of each."""
