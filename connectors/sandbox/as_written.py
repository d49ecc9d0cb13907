"""What is true of people as a CRM holds it: as somebody typed it, within what the type of the field allows.

Each value is drawn from a number of its own (`roll`), so that how one is written changes nothing else of a world, and
so that both CRMs may hold the same person differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

from connectors.sandbox.written_titles import LOCAL_WORDS, OTHER_WORDS

T = TypeVar("T")

MISSING_WORDS = ("N/A", "-", "n/a", "unknown", "[not provided]", "k. A.", "--", "Unknown", ".", "none")


NOTHING_ODD = 99
"""The number with which every value is written as it is."""


def roll(seed: int | None, *key: object) -> int:
    """A number that this key always has: its last two digits say whether something is odd, the others what.

    A world without a seed has nothing odd.
    """
    if seed is None:
        return NOTHING_ODD
    return int.from_bytes(blake2b("|".join(map(str, (seed, *key))).encode(), digest_size=8).digest(), "big")


def _one_of(options: Sequence[T], rolled: int) -> T:
    return options[rolled // 100 % len(options)]


def write_title(title: str | None, country: str | None, rolled: int) -> str:
    """A job title: most as it is, others in other words, in the language of the country, or in odd letters."""
    chance = rolled % 100
    if title is None:
        return _one_of(MISSING_WORDS, rolled) if chance < 25 else ""
    if chance < 2:
        return _one_of(MISSING_WORDS, rolled)
    local = LOCAL_WORDS.get(country or "", {}).get(title)
    if local and chance < 30:
        return local
    if chance < 14:
        return _one_of(OTHER_WORDS.get(title, (title,)), rolled)
    return _one_of(_odd_letters(title), rolled) if chance < 22 else title


def _odd_letters(title: str) -> Sequence[str]:
    return (
        title.upper(),
        title.lower(),
        title.replace(" ", "  ", 1),
        f"{title}.",
        title.replace(" ", "\N{NO-BREAK SPACE}", 1),
        f"{title} (EMEA)",
        f"{title} (m/w/d)",
    )


_COUNTRIES = {
    "United States": ("USA", "US", "U.S.A.", "united states", "United States of America", "Estados Unidos"),
    "Germany": ("DE", "Deutschland", "germany", "GERMANY", "BRD", "Allemagne"),
    "United Kingdom": ("UK", "GB", "U.K.", "England", "Great Britain", "Scotland"),
    "France": ("FR", "FRANCE", "france"),
    "Spain": ("ES", "España", "spain"),
    "Netherlands": ("NL", "The Netherlands", "Nederland", "Holland"),
    "Poland": ("PL", "Polska"),
    "Denmark": ("DK", "Danmark"),
    "India": ("IN", "INDIA", "india"),
    "Japan": ("JP", "日本", "JAPAN"),
    "Brazil": ("BR", "Brasil"),
    "Nigeria": ("NG", "nigeria"),
    "Israel": ("IL", "ישראל"),
}


def write_country(country: str | None, rolled: int) -> str:
    """A country: a third as codes, in other languages and letters."""
    chance = rolled % 100
    if country is None:
        return _one_of(MISSING_WORDS, rolled) if chance < 25 else ""
    return _one_of(_COUNTRIES[country], rolled) if chance < 33 and country in _COUNTRIES else country


def write_name(name: str, rolled: int) -> str:
    """A first or last name: a few all in capitals or in small letters, or with a blank too many."""
    if rolled % 100 >= 6:
        return name
    return _one_of((name.upper(), name.lower(), f"{name} ", name.replace(" ", "  ")), rolled)


def write_company(company: str | None, rolled: int) -> str:
    """The name of a company as its people type it: some without its legal form."""
    chance = rolled % 100
    if company is None:
        return _one_of((*MISSING_WORDS, "private", "Privat", "self-employed"), rolled) if chance < 30 else ""
    if chance >= 15:
        return company
    short = company.rpartition(" ")[0] or company
    return _one_of((company.upper(), company.lower(), short, f"{short},  {company.rpartition(' ')[2]}"), rolled)


_SIZE_RANGES = (
    (10, "1-10"),
    (50, "11-50"),
    (200, "51-200"),
    (500, "201-500"),
    (1_000, "501-1000"),
    (5_000, "1001-5000"),
)


def write_size(employees: int | None, rolled: int) -> str:
    """A number of employees in a field of text; three of five say none."""
    chance = rolled % 100
    if chance >= 40:
        return ""
    if employees is None:
        return _one_of(MISSING_WORDS, rolled)
    if chance < 15:
        return str(employees)
    around = round_number(employees)
    dotted = f"{employees:,}".replace(",", ".")
    span = next((text for most, text in _SIZE_RANGES if employees <= most), "5000+")
    return _one_of(
        (f"{employees:,}", dotted, span, f"ca. {around}", f"~{around}", f"{around}+", f" {employees}"), rolled
    )


NUMBER_OPTIONS = ("1-5", "5-25", "25-50", "50-100", "100-500", "500-1000", "1000+")
_OPTION_ENDS = (5, 25, 50, 100, 500, 1_000)


def choose_size(employees: int | None, rolled: int) -> str:
    """The option of a form's list for a number of employees; three of four forms did not ask."""
    if employees is None or rolled % 100 >= 25:
        return ""
    return NUMBER_OPTIONS[sum(employees > most for most in _OPTION_ENDS)]


def round_number(number: int) -> int:
    """What people say instead of a number that nobody counts: 487 are 480."""
    step: int = 10 ** max(len(str(number)) - 2, 0)
    return number // step * step


def write_count(number: int | None, rolled: int) -> int | None:
    """A number in a field of numbers: rounded where a person typed it, and 0 for some that nobody knows."""
    chance = rolled % 100
    if number is None:
        return 0 if chance < 10 else None
    return round_number(number) if chance < 30 else number


def write_revenue(revenue: int | None, rolled: int) -> str:
    """A revenue in a field of text; four of five say none."""
    chance = rolled % 100
    if chance >= 20:
        return ""
    if revenue is None:
        return _one_of(MISSING_WORDS, rolled)
    millions = round(revenue / 1_000_000, 1)
    dotted = f"{revenue:,}".replace(",", ".")
    return _one_of((str(revenue), f"{revenue:,}", f"{dotted} €", f"${millions}M", f"{millions} Mio. EUR"), rolled)


_CODES = {"United States": "+1", "United Kingdom": "+44", "Germany": "+49", "France": "+33"}
_JUNK_PHONES = ("0000000000", "n/a", "123", "1234567890", "none", "+", "call me", "00", "x", "tbd")


def write_phone(country: str | None, rolled: int) -> str:
    """A phone number, of ranges that are kept for fiction; half of the people gave none, and some anything."""
    chance = rolled % 100
    if chance >= 50:
        return ""
    if chance < 5:
        return _one_of(_JUNK_PHONES, rolled)
    place, two = rolled // 1_000, f"{rolled // 10_000 % 100:02}"
    # Each country's regulator keeps these free; those who live elsewhere have an American one.
    numbers = {
        "+1": (f"+1 212 555 01{two}", f"(212) 555-01{two}", f"21255501{two}", f"+1-212-555-01{two} ext. 4"),
        "+44": (f"+44 20 7946 00{two}", f"020 7946 00{two}", f"+44 (0)20 794600{two}"),
        "+49": (f"+49 30 231250{two}", f"030/231250{two}", f"0049 30 23125-0{two}"),
        "+33": (f"+33 1 99 00 10 {two}", f"01 99 00 10 {two}"),
    }
    return _one_of(numbers[_CODES.get(country or "", "+1")], place)


def write_address(email: str | None, name: str, rolled: int) -> str:
    """An e-mail address in a field of text: as mail programs copy it, in capitals, or plain."""
    if not email:
        return ""
    if rolled % 100 >= 30:
        return email
    return _one_of(
        (f"{name} <{email}>", email.upper(), f'"{name}" <{email.upper()}>', f"mailto:{email}", f" {email}"), rolled
    )


def write_website(domain: str, rolled: int) -> str:
    """The address of a company's website."""
    usual = f"https://www.{domain}"
    if rolled % 100 >= 20:
        return usual
    return _one_of(
        (domain, f"www.{domain}", f"http://{domain}/", f"HTTPS://WWW.{domain.upper()}", f"{usual}/en/"), rolled
    )


# Activities

_CALL_WORDS = {
    "CONNECTED": ("Connected", "Connected", "connected", "Spoke with contact", "Gespräch geführt"),
    "LEFT_VOICEMAIL": ("Left Voicemail", "Left Voicemail", "LVM", "left vm", "Mailbox besprochen"),
    "LEFT_LIVE_MESSAGE": ("Left Live Message",),
    "NO_ANSWER": ("No Answer", "No Answer", "no answer", "Nicht erreicht", "Pas de réponse"),
    "BUSY": ("Busy", "busy", "Besetzt"),
    "WRONG_NUMBER": ("Wrong Number", "wrong no.", "Falsche Nummer"),
}


def write_call_outcome(outcome: str, rolled: int) -> str:
    """The outcome of a call in a field of text, as telephony tools and people write it; others as they are."""
    return _one_of(_CALL_WORDS.get(outcome, (outcome,)), rolled)


def vary_call_outcome(outcome: str, rolled: int) -> str:
    """The outcome that somebody chose: some call elsewhere than they think, and some choose none."""
    chance = rolled % 100
    if chance < 8:
        return ""
    rarer = {"BUSY": "WRONG_NUMBER", "CONNECTED": "LEFT_LIVE_MESSAGE"}
    return rarer.get(outcome, outcome) if chance < 20 else outcome


_AUTOMATIC = (
    "Automatic reply: {}",
    "Out of Office: {}",
    "Automatische Antwort: {}",
    "Abwesenheitsnotiz: {}",
    "Réponse automatique : {}",
    "Respuesta automática: {}",
    "Automatisch antwoord: {}",
    "Odpowiedź automatyczna: {}",
    "Autosvar: {}",
    "自動応答: {}",
    "Resposta automática: {}",
    "Out of office until Monday",
    "I am on vacation",
    "[OOO] {}",
)


def write_automatic_subject(subject: str, rolled: int) -> str:
    """The subject of a machine's answer to an e-mail, in one of several languages."""
    return _one_of(_AUTOMATIC, rolled).format(f"Re: {subject}" if rolled % 2 else subject)
