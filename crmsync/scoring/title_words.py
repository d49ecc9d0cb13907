"""Job titles cut into words that read the same however they are written: case, accents, dashes, dots and gender."""

from __future__ import annotations

import re
import unicodedata

SEPARATORS = frozenset("/|;:()[]\\•·…")
"""Signs between what are two titles, or a title and a remark."""

_LETTERS = str.maketrans(
    {
        **{"ø": "o", "æ": "ae", "œ": "oe", "ı": "i", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "’": "'", "‘": "'"},
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", ""),
    }
)
_ACCENTS = re.compile(r"[\u0300-\u036f]+")

_GENDERS = re.compile(
    r"""
      \s?[(\[]\s*(?:[mwfdxhvk]|divers?e?)(?:[/|,.*:+\s-]+(?:[mwfdxhvkait]|div|divers?e?))*\s*[)\]]    # (m/w/d)
    | \s?[(\[]\s*(?:gn|all\ genders?|alle(?:\ geschlechter)?)\s*[)\]]
    | (?<![^\W_])[mwfhdxv](?:\s?[/|]\s?[mwfhdxvk]){1,3}(?![^\W_])                         # m/w/d
    | (?<=[^\W\d_]{3})(?:[/*:_·•.]-?|\s?\(-?)                                             # /in, (in), *in, :in, .rice
      (?:innen|in|frau|mann|woman|r|n|e|es|a|as|o|os|x|rice|trice|euse|ere|ne|ora)\)?(?![\w-])
    """,
    re.VERBOSE,
)
_MAYBE_GENDERS = re.compile(
    r"[(\[]|[/|]\s?[mwfhdxvk](?![^\W_])"
    r"|(?<=[^\W\d_]{3})[/*:_·•.]-?(?:[^\W\d_]{1,2}(?![\w-])|innen|frau|mann|woman|rice|trice|euse|ere|ora)"
)
"""Found in a fraction of the time, and in each title with a mark of gender; the signs even more so."""
_SIGNS = re.compile(r"[/(\[*:_·•.|]")

_ABBREVIATED = re.compile(r"(?<![^\W_])intern\.(?=\s*[^\W_]|\.)")

_TOKENS = re.compile(
    r"""
      (?<![^\W_])[^\W_]{1,2}\s?[&+]\s?[^\W\d_](?![^\W_])                    # R&D
    | (?<![^\W_])[^\W\d_](?:(?:\.\s?|\s)[^\W\d_](?![^\W_]))+                # C.E.O., V P
    | [^\W_]+
    | [/|;:,()\[\]\\•·…&+@]
    """,
    re.VERBOSE,
)


def fold_letters(text: str) -> str:
    """Small letters without accents; "Ä" → "a", "ß" → "ss"."""
    if text.isascii():
        return text.lower()
    # Full-width signs, ligatures and blanks of every kind become plain ones on the way.
    folded = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return folded if folded.isascii() else folded.translate(_LETTERS)


def split_title(folded: str) -> list[str]:
    """The words and signs of a title in folded letters, in order."""
    return _TOKENS.findall(_plain(folded))


def locate_words(text: str) -> list[tuple[int, int]]:
    """Where each of the words and signs of a title begins and ends in it."""
    pieces = [fold_letters(each) for each in text]
    places = [place for place, piece in enumerate(pieces) for _ in piece]
    found = _TOKENS.finditer(_plain("".join(pieces)))
    return [(places[each.start()], places[each.end() - 1] + 1) for each in found]


def _plain(folded: str) -> str:
    """A title without marks of gender; blanks take their place, so that nothing moves."""
    if _SIGNS.search(folded) and _MAYBE_GENDERS.search(folded):
        folded = _GENDERS.sub(lambda found: " " * len(found[0]), folded)
    return _ABBREVIATED.sub("interna", folded) if "intern." in folded else folded


def clean_word(token: str) -> str:
    """A token as the lexicon has it: "c.e.o" → "ceo", "geschaeft" → "geschaft"."""
    if len(token) < 5 or not token.isalnum():
        return token.replace(".", "").replace(" ", "").replace("+", "&" if len(token) > 1 else "+")
    return token.replace("ae", "a").replace("oe", "o").replace("ue", "u").replace("aa", "a")
