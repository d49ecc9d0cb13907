"""Whole numbers in what clients send: "²" is a digit and no number, and five thousand digits are none that fits."""

LONGEST = 18
"""Digits that always fit into 64 bits."""


def is_count(text: str) -> bool:
    """Whether a text is a whole number from 0 on that fits into 64 bits."""
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST
