"""A plan as one HTML file that needs nothing else: to read, to print and to send."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any

from crmsync.config import Config
from crmsync.reporting.charts import compare_bars
from crmsync.reporting.console import count_of, make_printable, show_points, show_signed
from crmsync.reporting.people import show_value
from crmsync.reporting.print_plan import LIMITS, call_person, describe_both, describe_lines, describe_score_lines
from crmsync.reporting.print_run import PROTECTED

Typed = Callable[[str], str]


def render_plan(
    document: Mapping[str, Any],
    config: Config,
    rows: Sequence[Mapping[str, Any]],
    fields: int,
    typed: Typed,
    kept: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The report of a plan as HTML; `typed` says how a command is typed here.

    `rows` are the changes that it lists, `fields` is how many there are, `kept` are fields that the plan leaves.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only this report needs it

    pages = Environment(
        loader=PackageLoader("crmsync.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(
        count=count_of,
        points=show_points,
        signed=show_signed,
        who=call_person,
        lines=describe_lines,
        value=show_value,
        both=describe_both,
        score_lines=describe_score_lines,
    )
    report = make_printable(document["changes"]["report"])
    return pages.get_template("plan.html").render(
        document=make_printable(document),
        report=report,
        rows=make_printable(list(rows)),
        fields=fields,
        kept=make_printable(list(kept)),
        failed=[each["said"] for each in document.get("gates", ()) if each["failed"]],
        model=config.model_hash(),
        bands_chart=_bands_chart(report["bands"]),
        distribution_chart=_distribution_chart(report["distribution"]),
        limits=LIMITS,
        protected=PROTECTED,
        typed=typed,
    )


def _bands_chart(bands: Sequence[Mapping[str, Any]]) -> str:
    labels = [each["name"] or "no band yet" for each in bands]
    return compare_bars(
        "bands", "People by band, now and after this plan", labels,
        [each["before"] for each in bands], [each["after"] for each in bands],
    )  # fmt: skip


def _distribution_chart(distribution: Mapping[str, Any]) -> str:
    bars = distribution["bars"]
    return compare_bars(
        "scores", "People by score, now and after this plan", name_bars(distribution),
        [each["before"] for each in bars], [each["after"] for each in bars], across=False,
    )  # fmt: skip


def name_bars(distribution: Mapping[str, Any]) -> list[str]:
    """Where the bars begin, of those that have room for it; a band that begins within one is named, too."""
    bars, step = distribution["bars"], distribution["step"]
    begins = [
        [each["band"] for each in distribution["thresholds"] if bar["from"] <= each["at"] < bar["from"] + step]
        for bar in bars
    ]
    every = max(1, ceil(len(bars) / 10))
    names = []
    for place, bar in enumerate(bars):
        is_crowded = any(begins[max(place - ROOM, 0) : place + ROOM + 1])
        is_named = bool(begins[place]) or (place % every == 0 and not is_crowded)
        names.append(" ".join([f"{bar['from']:,}", *(f"▸{band}" for band in begins[place])]) if is_named else "")
    return names


ROOM = 2
"""Bars beside the name of a band that have none of their own."""
