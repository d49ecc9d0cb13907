"""Numbers, yes or no, hosts and dates out of the ways in which CRMs and people write them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

import regex

from crmsync.folding import fold_text
from crmsync.model import Scalar

_CURRENCIES = (
    "USD|EUR|GBP|CHF|JPY|CNY|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|TRY|RUB|UAH|INR|BRL|MXN|ZAR|SGD|HKD|KRW|ILS"
    "|AED|SAR|THB|MYR|IDR|PHP|VND|CLP|COP|ARS|Fr\\.?|kr\\.?|zł|Kč|Ft"
)
_MONEY = rf"(?:(?:US|A|C|CA|NZ|HK|S|R)?\p{{Sc}}|{_CURRENCIES})"
_PLAIN = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"


def _grouped(mark: str, other: str) -> str:
    """Digits in groups (the last one of three), with decimals after `mark` or none."""
    separators = (regex.escape(other), " ", "['’]")
    groups = "|".join(rf"[0-9]{{1,3}}(?:{each}[0-9]{{2,3}})*{each}[0-9]{{3}}" for each in separators)
    return rf"(?:{groups}|[0-9]{{1,15}})(?:{regex.escape(mark)}[0-9]{{1,9}})?"


def _number(digits: str) -> regex.Pattern[str]:
    return regex.compile(
        rf"(?P<sign>[-+]?)\s*(?:{_MONEY}\s*)?(?P<inner>[-]?)(?P<digits>{digits})(?:[.,]?[-–—]{{1,2}})?(?:\s*{_MONEY})?",
        regex.IGNORECASE,
    )


_NUMBERS: Mapping[str, regex.Pattern[str]] = {".": _number(_grouped(".", ",")), ",": _number(_grouped(",", "."))}
_MACHINE = regex.compile(rf"[-+]?{_PLAIN}")


_THOUSAND_OR_ONE = regex.compile(r"[1-9]\d{0,2}\.\d{3}")


def read_number(text: str, mark: str = ".") -> float | None:
    """The number that a text says, with thousands separators and money signs; `mark` comes before its decimals.

    What could be two numbers ("1.2M", "50-200", "500+") is none; so is "1.200" where nobody said that a comma comes
    before decimals: half of Europe means twelve hundred.
    """
    text = unicodedata.normalize("NFKC", text).strip().replace("−", "-")
    found = _NUMBERS[mark].fullmatch(text)
    if found is None:
        # As programs write it: where it cannot be groups of thousands, a point is a decimal mark everywhere.
        return float(text) if _MACHINE.fullmatch(text) else None
    if (found["sign"] and found["inner"]) or (mark == "." and _THOUSAND_OR_ONE.fullmatch(found["digits"])):
        return None
    whole, _, decimals = found["digits"].partition(mark)
    number = float(f"{regex.sub('[^0-9]', '', whole)}.{decimals or '0'}")
    return -number if "-" in (found["sign"], found["inner"]) else number


def read_machine_number(text: str) -> float | None:
    """The number that a program wrote, like "75" or "-2.5"."""
    return float(text) if _MACHINE.fullmatch(text) else None


YES_WORDS = (
    *("true", "t", "yes", "y", "1", "1.0", "on", "checked", "✓", "✔", "☑"),
    *("ja", "j", "wahr", "oui", "o", "vrai", "sí", "si", "verdadero", "sì", "vero", "sim", "verdadeiro", "waar"),
    *("tak", "prawda", "ano", "igen", "kyllä", "evet", "да", "はい", "是"),
)
NO_WORDS = (
    *("false", "f", "no", "n", "0", "0.0", "off", "unchecked", "✗", "✘", "☐"),
    *("nein", "falsch", "non", "faux", "falso", "não", "nao", "nee", "onwaar"),
    *("nie", "fałsz", "ne", "nem", "ei", "nej", "nei", "hayır", "нет", "いいえ", "否"),
)
_FLAGS = {fold_text(each): True for each in YES_WORDS} | {fold_text(each): False for each in NO_WORDS}


def flag_reader(yes: tuple[str, ...], no: tuple[str, ...]) -> Callable[[Scalar], bool | None]:
    """What reads yes or no in all spellings, and in those words beside them; `None` for what is neither."""
    words = _FLAGS | {fold_text(each): True for each in yes} | {fold_text(each): False for each in no}

    def read(value: Scalar) -> bool | None:
        if isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return bool(value) if value in (0, 1) else None
        text = only_text(value)
        return None if text is None else words.get(fold_text(text))

    return read


def only_text(value: Scalar) -> str | None:
    """A text, or the only one of a multi-select; `None` for what is neither."""
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else None
    return value if isinstance(value, str) else None


_LABEL = r"[\p{L}\p{N}_](?:[\p{L}\p{N}_-]*[\p{L}\p{N}_])?"
_HOST = regex.compile(rf"{_LABEL}(?:\.{_LABEL})+\.?")
_LOCAL = r"[^\s@<>()\[\],;:\"\\]+"
_ADDRESS = regex.compile(rf"(?:mailto:)?{_LOCAL}@(?P<host>[^\s@<>()]+)(?:\s*\([^()]*\))?", regex.IGNORECASE)
_NAMED = regex.compile(rf"[^<>]*<\s*(?:mailto:)?{_LOCAL}@(?P<host>[^\s@<>()]+?)\s*>", regex.IGNORECASE)


def read_host(text: str) -> str | None:
    """The host of an e-mail address (with a display name or without), of a web address or a bare domain, folded.

    `www.` is left out; `None` for what is none of them.
    """
    text = fold_text(text)
    if "@" in text and "://" not in text:
        found = _ADDRESS.fullmatch(text) or _NAMED.fullmatch(text)
        host = found["host"] if found else ""
    else:
        host = text.partition("://")[2] or text
        for end in "/?#":
            host = host.partition(end)[0]
        host = host.rpartition("@")[2].partition(":")[0]
    return host.strip(".").removeprefix("www.") if _HOST.fullmatch(host) else None
