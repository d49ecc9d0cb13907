"""Texts as they are compared, whoever wrote them."""

from __future__ import annotations

import unicodedata

UNSEEN = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u00ad\u200b\u200c\u200d\u2060\ufeff"
"""Blanks, and characters that nobody sees: copied texts and exported files have them."""


def fold_text(text: str) -> str:
    """Text as it is compared: without regard to case, to surrounding blanks and to how accents are encoded."""
    # For ASCII, which nearly all texts are, the quick way gives the same.
    if text.isascii():
        return text.strip().lower()
    text = text.strip(UNSEEN)
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())
