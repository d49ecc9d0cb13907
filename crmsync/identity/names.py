"""The words of a name, as people are found by them: without case and accents, as whoever types leaves them out."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\w+")


LONGEST = 100
"""Letters of a word that count: PostgreSQL takes no text of some thousands into an index."""


def name_words(name: str) -> list[str]:
    """The words of a name in their order, in small letters without accents: `Jürgen Großmann` is jurgen, grossmann."""
    plain = name.casefold()
    if not plain.isascii():
        parts = unicodedata.normalize("NFKD", plain)
        plain = "".join(each for each in parts if not unicodedata.combining(each)).casefold()
    return [each[:LONGEST] for each in _WORD.findall(plain)]
