"""Charts as SVG text that stands inside a page: static, without scripts or addresses, in the colors of the page.

Colors are CSS variables of the page: `--before` and `--after` where two are compared, else `--main`, `--ghost` and
`--bad`. Text has the page's own color.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH = 720
"""Units of a drawing's width; a page scales it."""

MAIN, PALE, GHOST, LESS = "var(--main)", "var(--card)", "var(--ghost)", "var(--bad)"


def compare_bars(
    name: str, title: str, labels: Sequence[str], before: Sequence[int], after: Sequence[int], *, across: bool = True
) -> str:
    """Two bars for each label, before and after; `across` draws them from left to right, else they stand.

    `name` is the id of the drawing within its page, `title` what a screen reader says of it.
    """
    pygal = _load_pygal()
    kind = pygal.HorizontalBar if across else pygal.Bar
    height = 90 + 34 * len(labels) if across else 300
    chart = kind(
        style=_style(pygal, "var(--before)", "var(--after)"),
        width=WIDTH,
        height=height,
        js=[],
        show_legend=True,
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        disable_xml_declaration=True,
        print_values=False,
        truncate_label=-1,
        x_label_rotation=0,
        value_formatter=lambda value: f"{value:,.0f}",
        order_min=0,
        include_x_axis=True,
        spacing=6,
    )
    # From the top: a horizontal chart begins at the bottom.
    order = list(reversed(range(len(labels)))) if across else list(range(len(labels)))
    chart.x_labels = [labels[place] for place in order]
    chart.add("now", [before[place] for place in order])
    chart.add("after this plan", [after[place] for place in order])
    return _draw(chart, name, title)


def draw_bands(now: Mapping[str, int], before: Mapping[str, int]) -> str:
    """People per band as bars, and beside each a pale one for a week before, where that is known."""
    pygal = _load_pygal()
    chart = pygal.Bar(style=_style(pygal, MAIN, GHOST), **_small(show_legend=bool(before), legend_at_bottom=True))
    chart.x_labels = list(now)
    chart.add("now", list(now.values()))
    if before:
        chart.add("a week ago", [before.get(band, 0) for band in now])
    return _draw(chart, "bands", "People per band")


def draw_scores(scores: Mapping[int, int], before: Mapping[int, int], step: int, lines: Mapping[str, float]) -> str:
    """People by points: a bar for each `step` points, the darker the higher the band that begins below its end.

    `before` are those of a week before, as pale bars; empty where it is not known. `lines` are the points at which
    bands begin: their names stand below.
    """
    pygal = _load_pygal()
    ghost = {"show_legend": bool(before), "legend_at_bottom": True}
    chart = pygal.Bar(style=_style(pygal, MAIN, GHOST), **_small(print_values=False, truncate_label=-1, **ghost))
    known = [*scores, *before, *(int(begin // step) * step for begin in lines.values())]
    ends = range(min(known, default=0), max(known, default=0) + step, step)
    begin_in = {int(begin // step) * step: name for name, begin in lines.items()}
    chart.x_labels = [f"{end:,} {begin_in[end]}" if end in begin_in else f"{end:,}" for end in ends]
    if len(ends) > MOST_LABELS:
        few = {end for end in ends if end in begin_in or end % (5 * step) == 0}
        chart.x_labels_major = [label for label, end in zip(chart.x_labels, ends, strict=True) if end in few]
        chart.show_minor_x_labels = False
    begins = sorted(lines.values())
    reached = [sum(begin < end + step for begin in begins) for end in ends]
    shades = [f"color-mix(in srgb, {MAIN} {40 + 60 * each // max(len(begins), 1)}%, {PALE})" for each in reached]
    people = [{"value": scores.get(end, 0), "color": shade} for end, shade in zip(ends, shades, strict=True)]
    chart.add("now", people)
    if before:
        chart.add("a week ago", [before.get(end, 0) for end in ends])
    return _draw(chart, "scores", "People by score")


MOST_LABELS = 16
"""Bars that all have a label below them; of more, every fifth has one, and those at which a band begins."""

ROW, LABELS, NUMBERS = 26, 300, 60
"""Units of a waterfall: the height of a row, and the widths of its labels and of its numbers."""


def draw_points(lines: Sequence[Mapping[str, Any]], total: float) -> str:
    """The lines of a score as a waterfall: each begins where the one before has ended; the last row is the `total`."""
    ends = [0.0]
    for line in lines:
        ends.append(ends[-1] + line["points"])
    low, high = min(*ends, total, 0.0), max(*ends, total, 0.0)
    scale = (WIDTH - LABELS - 2 * NUMBERS) / ((high - low) or 1)

    def place(points: float) -> float:
        return round(LABELS + NUMBERS + (points - low) * scale, 1)

    drawn = [f'<line x1="{place(0)}" x2="{place(0)}" y1="0" y2="{ROW * (len(lines) + 1)}" stroke="var(--line)"/>']
    bars = [(str(line["rule"]), ends[row], ends[row + 1], f"{line['points']:+,.15g}") for row, line in enumerate(lines)]
    for row, (label, begin, end, said) in enumerate([*bars, ("total", 0.0, total, f"{total:,.15g}")]):
        top, is_total = row * ROW, row == len(lines)
        color = "currentColor" if is_total else MAIN if end >= begin else LESS
        left, right = sorted((place(begin), place(end)))
        width = max(round(right - left, 1), 1)
        number = f'x="{right + 6}"' if end >= begin else f'x="{left - 6}" text-anchor="end"'
        drawn.append(
            f'<text x="{LABELS - 8}" y="{top + 18}" text-anchor="end">{escape(_shorten(label))}</text>'
            f'<rect x="{left}" y="{top + 4}" width="{width}" height="{ROW - 8}" rx="2" fill="{color}"/>'
            f'<text {number} y="{top + 18}">{said}</text>'
        )
        if not is_total:  # to where the next one begins
            at, below = place(end), top + ROW
            drawn.append(f'<line x1="{at}" x2="{at}" y1="{below - 4}" y2="{below + 4}" stroke="{color}"/>')
    size = f'viewBox="0 0 {WIDTH} {ROW * (len(lines) + 1) + 2}" font-size="13" fill="currentColor"'
    return f'<svg role="img" aria-label="Points by rule" {size}>{"".join(drawn)}</svg>'


LABEL_LENGTH = 42
"""Characters of a name that a chart has room for."""


def draw_shares(
    name: str,
    title: str,
    labels: Sequence[str],
    shares: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    across: bool = False,
) -> str:
    """Bars in per cent for each label, of one series or two; each share has `rate`, `low` and `high` as fractions.

    `across` draws them from left to right, for labels that are long.
    """
    pygal = _load_pygal()
    height = 90 + (22 + 16 * len(shares)) * len(labels) if across else 300
    highest = max((_percent(each["high"]) or 0 for some in shares.values() for each in some), default=0)
    options = _small(
        width=WIDTH,
        height=height,
        print_values=False,
        truncate_label=-1,
        show_legend=len(shares) > 1,
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        range=(0, highest or 1),
        value_formatter=lambda value: f"{value:,.15g} %",
    )
    colors = (MAIN, GHOST) if len(shares) > 1 else (MAIN,)
    chart = (pygal.HorizontalBar if across else pygal.Bar)(style=_style(pygal, *colors), **options)
    order = list(reversed(range(len(labels)))) if across else list(range(len(labels)))
    chart.x_labels = [_shorten(labels[place]) for place in order]
    for series, some in shares.items():
        chart.add(series, [_with_interval(some[place]) for place in order])
    return _draw(chart, name, title)


def _with_interval(share: Mapping[str, Any]) -> dict[str, Any] | None:
    if share["rate"] is None:
        return None
    drawn = {"value": _percent(share["rate"])}
    low, high = _percent(share["low"]), _percent(share["high"])
    return drawn if low is None or high is None else {**drawn, "ci": {"low": low, "high": high}}


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def draw_counts(name: str, title: str, counts: Mapping[str, int]) -> str:
    """People by step, from the top down."""
    pygal = _load_pygal()
    options = _small(width=WIDTH, height=60 + 34 * len(counts), print_values=False)
    chart = pygal.HorizontalBar(style=_style(pygal, MAIN), **options)
    chart.x_labels = list(counts)[::-1]
    chart.add(title, list(counts.values())[::-1])
    return _draw(chart, name, title)


def _shorten(label: str) -> str:
    return label if len(label) <= LABEL_LENGTH else f"{label[: LABEL_LENGTH - 1]}…"


def draw_days(counts: Sequence[int], name: str, title: str) -> str:
    """A small line: so many on each day."""
    pygal = _load_pygal()
    options = {"print_values": False, "show_dots": False, **SPARK}
    chart = pygal.Line(style=_style(pygal, MAIN), **{**_small(), **options})
    chart.add(title, list(counts))
    return _draw(chart, name, title)


SPARK = {
    "width": 140,
    "height": 30,
    "margin": 2,
    "show_x_labels": False,
    "show_y_labels": False,
    "show_x_guides": False,
    "show_y_guides": False,
    "spacing": 0,
}
"""How a line is drawn that stands in a row of a table."""


def _small(**more: Any) -> dict[str, Any]:
    return {
        "js": [],
        "disable_xml_declaration": True,
        "width": 640,
        "height": 220,
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


def _load_pygal() -> Any:
    """The library, once somebody draws: everybody else need not wait for it."""
    import pygal
    import pygal.style

    _drop_finder()
    return pygal


def _drop_finder() -> None:
    """Take out what pygal hangs into Python's imports, of which Python 3.11 warns at each import that fails (3.1.3).

    Not what importlib-metadata hangs there, which pygal brings: that has taken the place of Python's own.
    """
    sys.meta_path[:] = [each for each in sys.meta_path if not type(each).__module__.startswith("pygal")]


def _style(pygal: Any, *colors: str) -> Any:
    return pygal.style.Style(
        background="transparent",
        plot_background="transparent",
        colors=colors,
        value_colors=("currentColor",),
        font_family="inherit",
        opacity="1",
        opacity_hover="1",
        transition="0s",
        label_font_size=13,
        major_label_font_size=13,
        value_font_size=13,
        legend_font_size=13,
        foreground="currentColor",
        foreground_strong="currentColor",
        foreground_subtle="var(--line)",
        guide_stroke_dasharray="0",
        major_guide_stroke_dasharray="0",
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
    )


def _draw(chart: Any, name: str, title: str) -> str:
    chart.uuid = name  # of its own, it is another one each time
    chart.add_xml_filter(_keep_still)
    text: str = chart.render(is_unicode=True)
    _drop_finder()
    label = f'<svg role="img" aria-label="{escape(title)}" '
    return text.strip().replace("<svg ", label, 1)


def _keep_still(root: Any) -> Any:
    """Leave out what pygal adds for scripts: those, comments (without a name), and ids that recur in each drawing."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] == "script":
                parent.remove(child)
            elif child.get("id", "").startswith("activate-"):
                del child.attrib["id"]
    return root
