"""Countries and states in their usual spellings: codes, names, and names in larger languages."""

from __future__ import annotations

import difflib
import gettext
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TypeVar

import regex

INSTALL = "countries and states need pycountry; install it with: pip install 'crmsync[countries]'"

LANGUAGES = (
    *("de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb_NO", "fi", "pl", "cs", "sk", "hu", "ro", "tr", "el", "ru"),
    *("uk", "ja", "ko", "zh_CN", "zh_TW", "ar", "he"),
)
"""Languages in which names of countries are read, besides English."""

_ALSO: Mapping[str, Sequence[str]] = {
    "US": ("America", "United States of North America", "Estados Unidos", "EEUU", "EE.UU.", "Etats Unis"),
    "GB": ("UK", "Great Britain", "Britain", "England", "Scotland", "Wales", "Northern Ireland", "Grossbritannien"),
    "NL": ("Holland", "The Netherlands"),
    "AE": ("UAE", "Emirates", "VAE"),
    "KR": ("South Korea", "Korea", "Südkorea", "Republic of Korea"),
    "KP": ("North Korea", "Nordkorea"),
    "CZ": ("Czech Republic", "Tschechei"),
    "TR": ("Turkey",),
    "RU": ("Russia",),
    "CI": ("Ivory Coast",),
    "MK": ("Macedonia",),
    "SZ": ("Swaziland",),
    "MM": ("Burma",),
    "CV": ("Cape Verde",),
    "TL": ("East Timor",),
    "VA": ("Vatican", "Vatican City"),
    "CD": ("DR Congo", "DRC", "Congo-Kinshasa"),
    "CG": ("Congo-Brazzaville",),
    "PS": ("Palestine",),
    "SY": ("Syria",),
    "LA": ("Laos",),
    "BN": ("Brunei",),
    "HK": ("Hong Kong SAR", "Hongkong"),
    "MO": ("Macau",),
    "DE": ("BRD", "GER", "D", "Federal Republic of Germany"),
    "AT": ("A",),
    "FR": ("F",),
    "IT": ("I",),
    "IN": ("Bharat", "भारत"),
    "CH": ("Swiss", "Suisse", "Svizzera", "Schweiz"),
    "SA": ("KSA",),
}
"""What people write and no list of names has."""


_LARGE = frozenset({"US", "CA", "AU", "BR", "DE", "ES", "FR", "GB", "IN", "IT", "MX"})


def is_installed() -> bool:
    """Whether the names of countries are there to be read."""
    return find_spec("pycountry") is not None


def read_country(text: str) -> frozenset[str]:
    """The code (ISO 3166-1, two letters) of the country that a text names; empty for none."""
    code = _look_up(_countries(), text)
    return frozenset([code]) if code else frozenset()


def read_state(text: str) -> frozenset[str]:
    """The codes (ISO 3166-2, like `US-CA`) of the states that a text may mean, mostly one; empty for none."""
    return _look_up(_states(), text) or frozenset()


_T = TypeVar("_T")


def _look_up(known: Mapping[str, _T], text: str) -> _T | None:
    """What a text means as it is written, or else in plain letters."""
    plain = _plain(text)
    return known.get(plain) or known.get(_strip_accents(plain))


def find_strange(key: str, texts: Sequence[str]) -> Iterator[str]:
    """What is wrong with countries or states (`key`) that a question asks for, each in a sentence."""
    read = read_country if key == "country" else read_state
    for text in texts:
        codes = read(text)
        if not codes:
            near = suggest_place(key, text)
            hint = f"; did you mean {' or '.join(sorted(read(near)))} ({near})?" if near else ""
            yield f"{text!r} is no {key} that is known{hint or '; write its code, for example US'}"
        elif len(codes) > 1:
            first = sorted(codes, key=lambda code: (code[:2] not in _LARGE, code))
            yield f"{text!r} may be {' or '.join(first[:4])}; write the code of the one that is meant"


def suggest_place(key: str, text: str, least: float = 0.6) -> str:
    """The country or state (`key`) whose spelling is most like a text, if it is at `least` so like; else ""."""
    near = difflib.get_close_matches(_plain(text), _countries() if key == "country" else _states(), n=1, cutoff=least)
    return near[0].title() if near else ""


def _plain(text: str) -> str:
    """Letters and digits of a text with one blank between words, folded: `U.S.` is `us`, `United  States` is kept."""
    joined = regex.sub(r"(?<=\b\p{L})(?:\.\s?|\s)(?=\p{L}\b)|[.'’`]", "", text.casefold())
    plain = unicodedata.normalize("NFC", " ".join(regex.findall(r"[\p{L}\p{M}\p{N}]+", joined)))
    return plain.removeprefix("the ")


@cache
def _countries() -> dict[str, str]:
    """By plain spelling the code of each country; of two countries of one name the first one has it."""
    import pycountry  # not above: few files need it, and it is an extra

    found: dict[str, str] = {}
    every = list(pycountry.countries)
    names = {
        each.alpha_2: [each.name, getattr(each, "common_name", ""), getattr(each, "official_name", "")]
        for each in every
    }
    for each in every:
        for spelling in (each.alpha_2, each.alpha_3, *names[each.alpha_2], *_ALSO.get(each.alpha_2, ())):
            found.setdefault(_plain(spelling), each.alpha_2)
        # "Korea, Republic of" is "Republic of Korea", too.
        found.setdefault(_plain(" ".join(reversed(each.name.split(", ")))), each.alpha_2)
    for language in LANGUAGES:
        told = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[language], fallback=True)
        for code, spellings in names.items():
            for spelling in filter(None, spellings):
                found.setdefault(_plain(told.gettext(spelling)), code)
    _add_plain_letters(found)
    found.pop("", None)
    return found


def _add_plain_letters(found: dict[str, _T]) -> None:
    """Names are often typed without accents, or with "oe" for "ö"; a name that is somebody's already stays theirs."""
    for spelling, meant in [*found.items()]:
        for letters in (spelling, spelling.translate(_TWO_LETTERS)):
            found.setdefault(_strip_accents(letters), meant)


_TWO_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"})
_ONE_LETTER = str.maketrans({"ø": "o", "æ": "ae", "ł": "l", "ı": "i", "đ": "d"})


def _strip_accents(text: str) -> str:
    """The same in plain letters, where they are Latin ones."""
    parts = unicodedata.normalize("NFD", text.translate(_ONE_LETTER))
    stripped = regex.sub(r"(?<=\p{Latin})\p{M}+", "", parts)
    return unicodedata.normalize("NFC", stripped)


@cache
def _states() -> dict[str, frozenset[str]]:
    """By plain spelling the codes of the states that have it."""
    import pycountry

    found: dict[str, set[str]] = {}
    for each in pycountry.subdivisions:
        country, _, short = each.code.partition("-")
        for spelling in (each.code, f"{country} {short}", short, *each.name.split("/")):
            if not spelling.isdecimal():
                found.setdefault(_plain(spelling), set()).add(each.code)
    _add_plain_letters(found)
    found.pop("", None)
    # The name of a whole state says more than that of a part of another one.
    return {spelling: frozenset(_widest(codes)) for spelling, codes in found.items()}


def _widest(codes: set[str]) -> set[str]:
    """Of several parts of one name in one country the ones that are part of no other: all, where they are alike."""
    import pycountry

    found = [pycountry.subdivisions.get(code=each) for each in codes]  # type: ignore[no-untyped-call]
    inside = {each for each, it in zip(codes, found, strict=True) if getattr(it, "parent_code", None)}
    return codes - inside or codes
