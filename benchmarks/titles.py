"""How well job titles are read, held against labels that people gave them, and how fast.

    python benchmarks/titles.py --data DIR

The folder has `titles-cv.csv.gz` (title, seniority, department, labelled by hand), `titles-seniority.csv.gz` (title,
seniority) and `titles-department.csv.gz` (title, department). Their labels are another scale than ours, so only what
both know is counted. `--part 0` and `--part 1` take one half of the titles each, by a hash: words are tuned on the one
and measured on the other. Labels that the title itself contradicts are listed, and left out of a second figure.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from crmsync.config.model import Titles
from crmsync.scoring.titles import Title, title_reader
from crmsync.scoring.values import make_column

ABOVE = ("director", "vp", "c_level")
DEPARTMENTS = {
    "marketing": "Marketing",
    "sales": "Sales",
    "hr": "Human Resources",
    "procurement": "Purchasing",
    "support": "Customer Support",
    "it": "Information Technology",
}
OF_THEIR_OWN = {
    "business_development": "Business Development",
    "consulting": "Consulting",
    "project_management": "Project Management",
}
"""Departments that are measured and not in the average, which thus stays comparable."""
TECHNICAL = frozenset({"it", "engineering", "data", "security"})
"""What the label "Information Technology" is."""

LEADS = re.compile(
    r"team[ -]?lead|team[ -]?leit|gruppenleit|projekt[ -]?leit|projekt[ -]?manager|project manager|project lead"
    r"|bauleit|filialleit|chef de projet|jefe de proyecto|capo ?progetto|prosjektled|projektled|teamled",
    re.IGNORECASE,
)
SERVES = re.compile(
    r"\b(assisten[tz]\w*|assistan[tc]e?\w*|pa to|referent\w*)\b|product owner|application owner", re.IGNORECASE
)
HEADS = re.compile(
    r"vice[ -]president|managing (partner|director)|general manager|\bhead\b|geschäftsführ|prokurist|inhaber|leiter"
    r"|leitung|\bc[eifmo]o\b|management board|direktor|\bevp\b|\bsvp\b|entrepreneur",
    re.IGNORECASE,
)
JUNIOR = re.compile(r"\b(junior|jr)\b", re.IGNORECASE)


class Row(NamedTuple):
    """A title and its labels, "" where it has none."""

    title: str
    seniority: str
    department: str


def read_rows(folder: Path, name: str, part: int | None) -> list[Row]:
    """The rows of a file, or of one half of it."""
    with gzip.open(folder / f"titles-{name}.csv.gz", "rt", encoding="utf-8") as file:
        rows = [
            Row(each["title"], each.get("seniority", ""), each.get("department", "")) for each in csv.DictReader(file)
        ]
    return [row for row in rows if part is None or _half(row.title) == part]


def _half(title: str) -> int:
    return int(hashlib.sha256(" ".join(title.casefold().split()).encode()).hexdigest(), 16) % 2


def contradicts(row: Row) -> bool:
    """Whether the title itself says that its label of seniority is wrong."""
    if row.seniority in ("Management", "Director"):
        return bool(SERVES.search(row.title))
    return (
        row.seniority in ("Senior", "Professional", "Junior")
        and bool(HEADS.search(row.title))
        and not SERVES.search(row.title)
    )


def share(part: int, whole: int) -> str:
    """A share and its numbers: "0.97 (474/489)"."""
    return f"{part / max(whole, 1):.3f} ({part:,}/{whole:,})"


def measure_levels(rows: Sequence[Row], read: Callable[[str], Title]) -> Iterator[str]:
    """Precision and recall of "director or above"."""
    rows = [row for row in rows if row.seniority != "Lead"]
    for name, chosen in (("all labels", rows), ("without wrong ones", [row for row in rows if not contradicts(row)])):
        found = [row.seniority in ("Director", "Management") for row in chosen if read(row.title).seniority in ABOVE]
        wanted = sum(row.seniority in ("Director", "Management") for row in chosen)
        yield (
            f"  director or above, {name:18} precision {share(sum(found), len(found))}, "
            f"recall {share(sum(found), wanted)}"
        )


def measure_leads(rows: Sequence[Row], read: Callable[[str], Title]) -> Iterator[str]:
    """How many of the leads of teams and projects are managers, and how many juniors are entry."""
    for name, level, chosen in (
        (
            "leads of teams and projects read as manager",
            "manager",
            [r for r in rows if r.seniority == "Lead" and LEADS.search(r.title)],
        ),
        ("juniors read as entry", "entry", [r for r in rows if r.seniority == "Junior" and JUNIOR.search(r.title)]),
    ):
        yield f"  {name:44} {share(sum(read(row.title).seniority == level for row in chosen), len(chosen))}"


def measure_departments(rows: Sequence[Row], read: Callable[[str], Title]) -> Iterator[str]:
    """Precision and recall of the departments that the labels share with ours.

    A row has one label where its title may name several departments: the second precision leaves out rows of another
    of the labels in the average, and business development.
    """
    averages = []
    for ours, label in (DEPARTMENTS | OF_THEIR_OWN).items():
        asked = TECHNICAL if ours == "it" else {ours}
        found = [row for row in rows if asked & read(row.title).departments]
        right = sum(row.department == label for row in found)
        wanted = sum(row.department == label for row in rows)
        other = {*DEPARTMENTS.values(), "Business Development"} - {label}
        strict = sum(row.department not in other for row in found)
        if ours in DEPARTMENTS:
            averages.append((right / max(len(found), 1), right / max(strict, 1), right / max(wanted, 1)))
        yield (
            f"  {ours:20} precision {share(right, len(found))}, others' rows left out {share(right, strict)}, "
            f"recall {share(right, wanted)}"
        )
    means = [sum(each) / len(averages) for each in zip(*averages, strict=True)]
    precision, strict_precision, recall = (f"{each:.3f}" for each in means)
    yield f"  {'average of six':20} precision {precision}, others' rows left out {strict_precision}, recall {recall}"


def list_wrong(rows: Sequence[Row], read: Callable[[str], Title]) -> Iterator[str]:
    """Labels that we hold to be wrong where the reading differs from them."""
    for row in sorted({*rows}):
        is_above = read(row.title).seniority in ABOVE
        if row.seniority != "Lead" and contradicts(row) and is_above != (row.seniority in ("Director", "Management")):
            yield f"  {row.seniority:12} {row.title}"


def measure_speed(titles: Sequence[str], count: int) -> str:
    """How long so many distinct titles take, in a column of which two rules ask level and department."""
    made = [f"{titles[at % len(titles)]} {at // len(titles)}" for at in range(count)]
    reader, column = title_reader(Titles()), make_column(made)
    reader.read("")
    begun = time.process_time()
    reader.read_column(column)
    reader.read_column(column)
    return f"{count:,} distinct titles in {time.process_time() - begun:.1f} s of one core"


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description="How well and how fast job titles are read.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", type=int, choices=(0, 1))
    parser.add_argument("--titles", type=int, default=1_000_000, help="distinct titles of the measure of speed")
    given = parser.parse_args()
    read = title_reader(Titles()).read
    cv, seniority, department = (read_rows(given.data, name, given.part) for name in ("cv", "seniority", "department"))
    print(f"titles-cv: {len(cv):,} titles labelled by hand")
    for line in (*measure_levels(cv, read), *measure_leads(cv, read), *measure_departments(cv, read)):
        print(line)
    print(f"titles-seniority: {len(seniority):,} titles, labelled by their words")
    for line in (*measure_levels(seniority, read), *measure_leads(seniority, read)):
        print(line)
    print(f"titles-department: {len(department):,} titles, labelled by their words")
    for line in measure_departments(department, read):
        print(line)
    for name, rows in (("titles-cv", cv), ("titles-seniority", seniority)):
        wrong = [*list_wrong(rows, read)]
        print(f"{name}: {len(wrong)} labels that the title contradicts")
        print("\n".join(wrong))
    print(measure_speed(sorted({row.title for row in (*cv, *seniority, *department)}), given.titles))


if __name__ == "__main__":
    main()
