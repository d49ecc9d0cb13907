"""How the values of fields are read: what counts as not known, how numbers are written, and what says yes or no."""

from __future__ import annotations

from typing import Literal

from crmsync.config.tables import Table

MISSING = (
    *("n/a", "n.a.", "#n/a", "na", "not applicable", "not available", "not provided", "[not provided]"),
    *("(not provided)", "not set", "(not set)", "not specified", "unspecified", "unknown", "[unknown]", "[[unknown]]"),
    *("none", "--none--", "(none)", "nil", "null", "(null)", "<null>", "undefined", "nan", "(blank)", "(empty)"),
    *("tbd", "-", "--", "---", "–", "—", ".", "k. a.", "k.a.", "keine angabe", "unbekannt", "inconnu"),
    *("?", "??", "???", "..", "...", "…", "<none>", "empty", "<empty>", "no data", "not known", "not given"),
    *("nicht bekannt", "nicht angegeben", "non renseigné", "desconocido", "desconocida", "sconosciuto", "desconhecido"),
    *("onbekend", "okänd", "ukendt", "ukjent", "nieznany", "bilinmiyor", "неизвестно", "不明", "未知"),
    *("http://", "https://", "http://www.", "https://www."),
)
"""What people and programs write where nothing is known."""


class Values(Table):
    """How the values of fields are read.

    A text of `missing` counts as not known, save where a rule asks the field for just that text. `decimal_mark` is what
    stands before the decimals of a number that is kept as text. `yes` and `no` are further words for yes and no.
    """

    missing: list[str] = [*MISSING]
    decimal_mark: Literal[".", ","] = "."
    yes: list[str] = []
    no: list[str] = []
