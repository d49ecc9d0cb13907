"""A CSV file of people with the verdict of a reviewer, as `crmsync audit --csv` writes it and spreadsheets save it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crmsync.errors import ConfigError
from crmsync.evaluation.audit import Verdict, read_verdict
from crmsync.reporting.csv_text import FORMULA

COLUMNS = ("sample", "person", "name", "score", "band", "reasons", "outcome", "owner", "verdict", "note")

NEEDED = ("sample", "person", "band", "verdict")

LONGEST_NOTE = 2_000


class VerdictRow(NamedTuple):
    """A line with a verdict or a note; `person` is `None` where the sample was of a file."""

    line: int
    sample: str
    person: int | None
    band: str
    verdict: Verdict
    note: str


class VerdictFile(NamedTuple):
    """What a file says: its verdicts, how many lines have none yet, and what is wrong with others."""

    rows: Sequence[VerdictRow]
    blank: int
    problems: Sequence[str]


def read_verdict_file(path: Path) -> VerdictFile:
    """Raises `ConfigError` where it cannot be read, or is no file of verdicts."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"--verdicts {path} is not text in UTF-8; save it as CSV in UTF-8") from None
    except OSError as error:
        raise ConfigError(f"--verdicts {path} cannot be read: {error.strerror}") from None
    first = text.partition("\n")[0]
    # Spreadsheets write what parts the columns by the country they are in.
    reader = csv.reader(text.splitlines(keepends=True), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        header = [each.strip().casefold() for each in next(reader, [])]
        lines = [(reader.line_num, cells) for cells in reader if any(each.strip() for each in cells)]
    except csv.Error as error:
        raise ConfigError(f"--verdicts {path} is no CSV file: {error}, in line {reader.line_num}") from None
    if missing := [each for each in NEEDED if each not in header]:
        said = f"--verdicts {path} has no column {', '.join(missing)}; fill in a file that crmsync audit --csv wrote"
        raise ConfigError(said, "crmsync audit --csv audit.csv")
    rows, problems, blank = list[VerdictRow](), list[str](), 0
    for number, cells in lines:
        found = _read_row(number, dict(zip(header, map(_plain, cells), strict=False)))
        if isinstance(found, VerdictRow):
            rows.append(found)
        elif found:
            problems.append(f"{path}, line {number}: {found}")
        else:
            blank += 1
    return VerdictFile(rows, blank, problems)


def _read_row(number: int, cells: dict[str, str]) -> VerdictRow | str:
    """A verdict, or what is wrong with the line; empty where nobody wrote anything."""
    verdict, words = read_verdict(cells.get("verdict", ""))
    note = " ".join(each for each in (words, cells.get("note", "")) if each)[:LONGEST_NOTE]
    if not verdict and not note:
        return ""
    person = cells.get("person", "")
    if person and not person.isdecimal():
        return f"person {person!r} is not a crmsync id; leave that column as it was"
    if not cells.get("sample"):
        return "sample is empty; leave that column as it was"
    return VerdictRow(number, cells["sample"], int(person) if person else None, cells.get("band", ""), verdict, note)


def _plain(cell: str) -> str:
    """A cell without the apostrophe that keeps spreadsheets from taking it for a formula."""
    text = cell.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
