"""The sections of the report about what changed: drift, experiments, where the line could be, versions of the model."""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.reporting.charts import draw_shares
from crmsync.reporting.console import Document, count_of, show_points
from crmsync.reporting.numbers import show_decimals, show_interval, show_percent
from crmsync.reporting.section import Section

MONTHS, VERSIONS, LINES = 24, 12, 15
"""So many months, versions and lines are shown."""

UNKNOWN = "–"


def drift_sections(document: Document) -> list[Section]:
    """Whether what became of people is what their scores said, month by month, and what else changed."""
    months = document["months"][-MONTHS:]
    chart = ""
    if len(months) > 1:
        expected = [
            {"rate": None if each["expected"] is None else each["expected"] / each["people"], "low": None, "high": None}
            for each in months
        ]
        series = {"won": months, "expected by the score": expected}
        chart = draw_shares("drift", "Won by month", [each["month"] for each in months], series)
    rows = [
        [
            each["month"] if each["complete"] else f"{each['month']} (not complete)",
            f"{each['people']:,}",
            f"{each['won']:,}",
            show_percent(each["rate"]),
            show_decimals(each["observed_expected"], ".2f"),
            show_decimals(each["z"], ".1f"),
        ]
        for each in months
    ]
    headings = ("judged in", ">people", ">won", ">conversion", ">observed ÷ expected", ">z")
    note = "A z beyond 2 is chance in one month of twenty; the alerts allow for that."
    made = [Section("drift", "Is it still right?", document["why"], chart, headings, rows, note)]
    if alerts := document["alerts"]:
        said = f"{count_of(len(alerts), 'thing')} to look at."
        told = [[each["since"], each["said"]] for each in alerts]
        made.append(Section("drift-alerts", "What is not as it was", said, "", ("since", "what"), told))
    return made


def experiment_sections(documents: Sequence[Document]) -> list[Section]:
    """How the arms of each experiment did."""
    return [_make_experiment(each) for each in documents]


def _make_experiment(document: Document) -> Section:
    arms = document["arms"]
    rows = [
        [
            each["name"],
            UNKNOWN if each["line"] is None else show_points(each["line"]),
            f"{each['people']:,}",
            f"{each['hits']:,}",
            show_percent(each["rate"]),
            show_interval(each),
        ]
        for each in arms
    ]
    name = document["experiment"]
    headings = ("arm", ">line", ">people", f">{document['metric']}", ">rate", ">95 %")
    chart = draw_shares(f"experiment-{name}", f"Experiment {name}", [each["name"] for each in arms], {"rate": arms})
    return Section(f"experiment-{name}", f"Experiment: {name}", document["why"], chart, headings, rows)


def line_sections(document: Document) -> list[Section]:
    """Where the line could be: how many people a week would be over it, and how many of them are accepted and won."""
    curve = document["curve"]
    if len(curve) < 2:
        return []
    step = max(1, len(curve) // LINES)
    rows = [
        [
            UNKNOWN if each["points"] is None else show_points(each["points"]),
            f"{each['people']:,}",
            f"{each['per_week']:,.1f}",
            "not known" if each["acceptance"] is None else show_percent(each["acceptance"]),
            show_percent(each["conversion"]),
        ]
        for each in curve[::step]
    ]
    headings = (">line", ">people over it", ">a week", ">accepted", ">conversion")
    said = "The higher the line, the fewer people go to sales, and the more of them should be won."
    return [Section("line", "Where could the line be?", said, "", headings, rows)]


def model_sections(document: Document) -> list[Section]:
    """Which versions of the model were in use, by whom and why."""
    models = document["models"][:VERSIONS]
    if not models:
        return []
    unexplained = [each for each in models if not each["reason"] and not each["first"]]
    said = f"{count_of(document['count'], 'version')} of the model so far; each has a reason."
    if unexplained:
        many = count_of(len(unexplained), "version")
        said = f"{many} without a reason: crmsync models note --reason TEXT writes it down."
    rows = [
        [
            each["at"][:10],
            each["author"] or UNKNOWN,
            each["approver"] or UNKNOWN,
            each["reason"] or UNKNOWN,
            "; ".join(each["changes"] or ()) or ("the first one" if each["first"] else "not known"),
            "lets more over the line" if each["loosens"] else "",
        ]
        for each in models
    ]
    headings = ("since", "author", "approver", "reason", "what changed", "")
    return [Section("models", "Who changed the model?", said, "", headings, rows)]
