"""Pictures of numbers as SVG text: nothing in them is fetched, and nothing runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

_SCRIPTS = re.compile(r"<script.*?</script>|<!--.*?-->", re.DOTALL)
INK, MAIN, GHOST, LESS = "currentColor", "var(--main)", "var(--ghost)", "var(--bad)"


def _style(*colors: str) -> Any:
    from pygal.style import Style  # not above: it would slow down every command

    return Style(
        background="transparent",
        plot_background="transparent",
        foreground=INK,
        foreground_strong=INK,
        foreground_subtle="var(--line)",
        guide_stroke_dasharray="0",
        major_guide_stroke_dasharray="0",
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
        value_colors=(INK,),
        opacity="1",
        opacity_hover="1",
        transition="0s",
        font_family="inherit",
        label_font_size=13,
        major_label_font_size=13,
        value_font_size=13,
        legend_font_size=13,
        colors=colors,
    )


def _render(chart: Any, title: str) -> Markup:
    """A chart without scripts and comments, with a name for whoever cannot see it."""
    drawn = _SCRIPTS.sub("", chart.render(is_unicode=True))
    # Its colours are ours to choose, and the page has two sets of them.
    drawn = re.sub(r"<svg ", f'<svg role="img" aria-label="{_escaped(title)}" ', drawn, count=1)
    return Markup(drawn)


def _escaped(text: str) -> str:
    return str(Markup.escape(text))


def _options(height: int, **more: Any) -> dict[str, Any]:
    return {
        "js": [],
        "disable_xml_declaration": True,
        "width": 640,
        "height": height,
        "margin": 6,
        "show_legend": False,
        "print_values": True,
        "print_zeroes": True,
        "print_values_position": "top",
        "max_scale": 6,
        "no_data_text": "no data yet",
        "value_formatter": lambda value: "" if value is None else f"{value:,.15g}",
        **more,
    }


def draw_bands(now: Mapping[str, int], before: Mapping[str, int]) -> Markup:
    """People per band as bars, and beside each a pale one for a week before, where that is known."""
    import pygal

    chart = pygal.Bar(style=_style(MAIN, GHOST), **_options(220, show_legend=bool(before), legend_at_bottom=True))
    chart.x_labels = list(now)
    chart.add("now", list(now.values()))
    if before:
        chart.add("a week ago", [before.get(band, 0) for band in now])
    return _render(chart, "People per band")


def draw_scores(scores: Mapping[int, int], step: int, lines: Mapping[str, float]) -> Markup:
    """People by points: a bar for each `step` points, the darker the higher the band that begins below its end.

    `lines` are the points at which bands begin.
    """
    import pygal

    chart = pygal.Bar(style=_style(MAIN), **_options(220, print_values=False, x_labels_major_every=5))
    ends = range(min(scores, default=0), max(scores, default=0) + step, step)
    chart.x_labels = [f"{end:,}" for end in ends]
    chart.show_minor_x_labels = len(ends) < 24
    begins = sorted(lines.values())
    reached = [sum(begin < end + step for begin in begins) for end in ends]
    shades = [f"color-mix(in srgb, var(--main) {100 * each // max(len(begins), 1)}%, var(--ghost))" for each in reached]
    chart.add(
        "people",
        [{"value": scores.get(end, 0), "color": shade} for end, shade in zip(ends, shades, strict=True)],
    )
    return _render(chart, "People by score")


def draw_points(lines: Sequence[Mapping[str, Any]]) -> Markup:
    """The lines of a score as bars to the right and to the left, in the order given."""
    import pygal

    chart = pygal.HorizontalBar(
        style=_style(MAIN), **_options(60 + 26 * max(len(lines), 1), truncate_label=40, show_y_guides=False)
    )
    chart.x_labels = [str(line["rule"]) for line in reversed(lines)]
    chart.add(
        "points",
        [{"value": line["points"], "color": MAIN if line["points"] >= 0 else LESS} for line in reversed(lines)],
    )
    return _render(chart, "Points by rule")


def draw_days(counts: Sequence[int], title: str) -> Markup:
    """A small line: so many on each day."""
    import pygal

    chart = pygal.Line(style=_style(MAIN), **{**_options(30), "width": 140, "print_values": False})
    chart.add(title, list(counts))
    drawn = _SCRIPTS.sub("", chart.render_sparkline(width=140, height=30, show_dots=False))
    drawn = re.sub(r"<\?xml.*?\?>\s*", "", drawn)
    return Markup(re.sub(r"<svg ", f'<svg role="img" aria-label="{_escaped(title)}" ', drawn, count=1))
