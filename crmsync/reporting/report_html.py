"""The report for a meeting as one HTML file that needs nothing else: to read, to print and to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crmsync.reporting.console import make_printable
from crmsync.reporting.section import Section


def render_report(document: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """The report as HTML; `document` is what `--json` prints of it (`ReportDocument`)."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only reports need it

    pages = Environment(
        loader=PackageLoader("crmsync.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [{**make_printable({**each._asdict(), "chart": ""}), "chart": each.chart} for each in sections]
    return pages.get_template("report.html").render(document=make_printable(document), sections=shown)


def report_document(
    sections: Sequence[Section], made: str, model: str, warnings: Sequence[str], problems: Sequence[str]
) -> dict[str, Any]:
    """What is in a report (`ReportDocument`)."""
    return {
        "title": "Is the score right?",
        "made": made,
        "model": model,
        "warnings": list(warnings),
        "sections": [
            {
                "id": each.id,
                "title": each.title,
                "sentence": each.sentence,
                "note": each.note,
                "has_chart": bool(each.chart),
                "headings": [heading.lstrip(">") for heading in each.headings],
                "rows": [list(row) for row in each.rows],
            }
            for each in sections
        ],
        "problems": list(problems),
    }
