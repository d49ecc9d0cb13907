"""The report for a meeting as sections made of documents: each a title, one sentence, a chart and a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from crmsync.evaluation.conversion import ENOUGH_TO_SUGGEST
from crmsync.reporting.charts import draw_counts, draw_shares
from crmsync.reporting.console import Document, count_of, show_points, show_signed
from crmsync.reporting.numbers import show_interval, show_percent
from crmsync.reporting.print_evaluation import (
    FINDINGS,
    FUNNEL_HEADINGS,
    GROUP_STEPS,
    SLA_NOTE,
    UNKNOWN,
    describe_calibration,
    describe_funnel,
    describe_people,
    describe_speed,
    describe_suggestion,
    funnel_cells,
    group_steps,
    show_lift,
    show_lift_interval,
)
from crmsync.reporting.report_watch import drift_sections, experiment_sections, line_sections, model_sections
from crmsync.reporting.section import Section

NAMED, MOST_GROUPS, MONTHS = 10, 15, 24
"""So many people of a list, groups and months are shown."""


def evaluation_sections(document: Document) -> list[Section]:
    """The sections of an evaluation."""
    makers = (_make_verdict, _make_bands, _make_deciles, _make_lines, _make_rules, _make_funnel, _make_speed)
    made = [maker(document) for maker in makers]
    made += [*_make_lists(document), _make_known(document)]
    return [each for each in made if each is not None]


def _make_verdict(document: Document) -> Section:
    few = "not enough data"
    auc = few if document["auc"] is None else f"{document['auc']:.2f}"
    rows = [
        ["Won, lost, open", describe_people(document), "open ones count in no rate"],
        ["Conversion", show_percent(document["conversion"]["rate"]), "won ÷ (won + lost)"],
        ["Ranking (AUC)", auc, "0.5 is chance, 1 is perfect"],
        ["Observed ÷ expected", _show(document["observed_expected"]), describe_calibration(document)],
        ["Brier score", _show(document["brier"], 3), "the smaller the better; of the later half of the period"],
    ]
    return Section("verdict", "Is the score right?", document["verdict"], "", ("measure", "value", "what it is"), rows)


def _show(value: float | None, decimals: int = 2) -> str:
    return "not enough data" if value is None else f"{value:.{decimals}f}"


CONVERSION = (">closed", ">won", ">conversion", ">95 %", ">open")


def _conversion_row(each: Mapping[str, Any]) -> list[str]:
    still_open = [f"{each['open']:,}"] if "open" in each else []
    return [f"{each['people']:,}", f"{each['won']:,}", show_percent(each["rate"]), show_interval(each), *still_open]


def _make_bands(document: Document) -> Section | None:
    bands = list(reversed(document["bands"]))
    if not bands:
        return None
    best, worst = bands[0], bands[-1]
    said = "Too few people have an outcome to compare the bands."
    if best["rate"] is not None and worst["rate"] is not None:
        said = (
            f"Of 100 people in {best['name']} {100 * best['rate']:.0f} were won, of 100 in {worst['name']} "
            f"{100 * worst['rate']:.0f}."
        )
    is_suggested = document["suggested_line"] is not None and document["line"] is not None
    note = describe_suggestion(document["suggested_line"], document["line"]) if is_suggested else ""
    chart = draw_shares("bands", "Conversion by band", [each["name"] for each in bands], {"conversion": bands})
    rows = [[each["name"], *_conversion_row(each)] for each in bands]
    return Section("bands", "Conversion by band", said, chart, ("band", *CONVERSION), rows, note)


def _make_deciles(document: Document) -> Section | None:
    tenths = document["deciles"]
    if len(tenths) < 2:
        return None
    top = tenths[0]
    share = f"{100 * top['won'] / document['won']:.0f} %" if document["won"] else "none"
    said = (
        f"The tenth with the highest scores ({count_of(top['first'], 'point')} and more) has {share} of all who were "
        "won; each bar should be lower than the one before it."
    )
    labels = [str(each["decile"]) for each in tenths]
    chart = draw_shares("deciles", "Conversion by tenth of the scores", labels, {"conversion": tenths})
    rows = [
        [
            str(each["decile"]),
            f"{show_points(each['first'])} to {show_points(each['last'])}",
            *_conversion_row(each),
        ]
        for each in tenths
    ]
    return Section(
        "deciles", "Conversion by tenth of the scores", said, chart, ("tenth", "points", *CONVERSION[:-1]), rows
    )


def _make_lines(document: Document) -> Section | None:
    lines = document["lines"]
    if not lines:
        return None
    said = "A higher line hands over fewer people who are won more often, and misses more of those who would be won."
    rows = [
        [
            f"{each['name']} (the line)" if each["name"] == document["line"] else each["name"],
            show_points(each["at"]),
            *(show_percent(each[name]) for name in ("precision", "recall")),
            *(f"{each[name]:,}" for name in ("right", "wrong", "missed")),
        ]
        for each in lines
    ]
    headings = ("handed over from", ">points", ">won above", ">of all won", ">won", ">lost", ">missed")
    return Section("lines", "What each line does", said, "", headings, rows)


def _make_rules(document: Document) -> Section | None:
    rules = document["rules"]
    if not rules:
        return None
    found = {name: [each for each in rules if each["finding"] == name] for name in FINDINGS}
    wrong = ", ".join(each["name"] for each in found["wrong_way"])
    said = f"{len(found['helps'])} of {count_of(len(rules), 'rule')} go the way of the outcomes; "
    said += f"these point the wrong way: {wrong}." if wrong else "none points the wrong way."
    ordered = [each for name in FINDINGS for each in sorted(found[name], key=lambda it: -(it["lift"] or 0))]
    shares = {
        f"of the {who}": [{"rate": each[f"{who}_rate"], "low": None, "high": each[f"{who}_rate"]} for each in ordered]
        for who in ("won", "lost")
    }
    names = [each["name"] for each in ordered]
    chart = draw_shares("rules", "How many of the won and of the lost a rule gave points", names, shares, across=True)
    rows = [
        [
            each["name"],
            "–" if each["points"] is None else show_signed(round(each["points"], 1)),
            f"{show_percent(each['won_rate'])} ({each['won']:,})",
            f"{show_percent(each['lost_rate'])} ({each['lost']:,})",
            show_lift(each["lift"]),
            show_lift_interval(each),
            SHORT_FINDINGS[each["finding"]],
        ]
        for each in ordered
    ]
    headings = ("rule", ">points", ">of the won", ">of the lost", ">lift", ">95 %", "finding")
    note = (
        "Each rule by itself: two rules that hold for the same people share what they show. Of 20 rules that mean "
        "nothing, one looks as if it did."
    )
    return Section("rules", "What each rule has to do with it", said, chart, headings, rows, note)


SHORT_FINDINGS = {
    "helps": "helps",
    "wrong_way": "points the wrong way",
    "no_difference": "no difference shown",
    "not_enough": "not enough data",
}
"""What is found about a rule, in a cell."""


def _make_funnel(document: Document) -> Section:
    funnel = document["funnel"]
    whole, cohorts = funnel["all"], funnel["cohorts"][-MONTHS:]
    accepted = UNKNOWN if whole["accepted_rate"] is None else show_percent(whole["accepted_rate"])
    said = f"{whole['mql']:,} MQLs, of whom sales accepted: {accepted}."
    note = describe_funnel(funnel)
    changed = [f"{row['name']} ({'; '.join(row['changed'])})" for row in cohorts if row["changed"]]
    if changed:
        note += f" Definitions changed, so these months do not compare with others: {', '.join(changed)}."
    steps = {"people": whole["people"], "MQL": whole["mql"], "accepted": whole["accepted"]}
    steps |= {"opportunity": whole["opportunity"], "won": whole["won"]}
    known = {name: count for name, count in steps.items() if count is not None}
    rows = [funnel_cells(row) for row in (*cohorts, whole)]
    chart = draw_counts("funnel", "People by step of the funnel", known)
    return Section("funnel", "From arrival to won", said, chart, FUNNEL_HEADINGS, rows, note)


def _make_speed(document: Document) -> Section | None:
    speed = document["speed_to_lead"]
    if not speed["handed_over"]:
        return None
    buckets = [each for each in speed["buckets"] if each["people"] or each["open"]]
    note = "Whoever looks hot is often called first, so this alone does not show that speed wins."
    labels = [each["name"] for each in buckets]
    chart = draw_shares("speed", "Conversion by time to first touch", labels, {"conversion": buckets}, across=True)
    rows = [[each["name"], *_conversion_row(each)] for each in buckets]
    if speed["sla"]:
        note = f"{note} {SLA_NOTE}"
        rows += [[f"SLA {each['name']}", *_conversion_row(each)] for each in speed["sla"]["outcomes"]]
    return Section("speed", "Speed to lead", describe_speed(speed), chart, ("first touch", *CONVERSION), rows, note)


LISTS = (
    (
        "false_positives",
        "false_positive_count",
        "Lost above the line",
        "rules",
        "Look for a rule that recurs.",
    ),
    ("misses", "miss_count", "Won below the line", "lacked", "Look for a rule or a field that is missing often."),
    ("stalled", "stalled_count", "Stuck after a high score", "rules", "Accepted, and no next step for 30 days."),
)
"""The lists of people: their keys, title, what is told of each person, and what to look for."""


def _make_lists(document: Document) -> Iterable[Section]:
    for name, count, title, key, hint in LISTS:
        if not document[name]:
            continue
        some = document[name][:NAMED]
        shown = f"the first {len(some)} are" if len(some) < document[count] else "all are"
        said = f"{count_of(document[count], 'person')}, of whom {shown} listed."
        rows = [
            [
                each["person"],
                show_points(each["score"]),
                each["band"] or "–",
                each["source"] or UNKNOWN,
                ", ".join(_name_rules(each[key])) or "–",
            ]
            for each in some
        ]
        last = "without" if key == "lacked" else "points from"
        yield Section(name, title, said, "", ("person", ">score", "band", "source", last), rows, hint)


def _name_rules(rules: Sequence[Any]) -> list[str]:
    return [each if isinstance(each, str) else f"{each['name']} {show_signed(each['points'])}" for each in rules[:5]]


def _make_known(document: Document) -> Section:
    coverage, complete = document["coverage"], document["completeness"]
    said = (
        f"{show_percent(coverage['rate'])} of {count_of(coverage['people'], 'person')} have a score, and "
        f"{show_percent(complete['overall'])} of the fields that it reads are known."
    )
    reasons = [[f"without a score: {name}", f"{number:,}"] for name, number in coverage["reasons"].items()]
    rows = [*reasons, *([name, show_percent(share)] for name, share in complete["fields"].items())]
    return Section("known", "How much is known", said, "", ("field", ">known"), rows)


def group_sections(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Section]:
    """A section for each way to compare people (`GroupDocument`s by its name), where there is something to compare."""
    return [_make_groups(by, some) for by, some in groups.items() if len(some) > 1]


def _make_groups(by: str, groups: Sequence[Mapping[str, Any]]) -> Section:
    shown = sorted(groups, key=lambda each: each["name"])[-MONTHS:] if by == "month" else groups[:MOST_GROUPS]
    more = [each["name"] or UNKNOWN for each in shown if _differs(each) > 0]
    fewer = [each["name"] or UNKNOWN for each in shown if _differs(each) < 0]
    parts = [
        f"won {word} often than others with the same scores: {', '.join(names[:5])}"
        for word, names in (("more", more), ("less", fewer))
        if names
    ]
    said = "; ".join(parts)
    said = f"W{said[1:]}." if said else "No group is shown to do better or worse than its scores."
    rows = [
        [
            each["name"] or UNKNOWN,
            *_conversion_row({**each, "people": each["won"] + each["lost"]}),
            "–" if each["auc"] is None else f"{each['auc']:.2f}",
            *group_steps(each),
            {"more": "more points", "fewer": "fewer points"}.get(each["suggestion"] or "", each["suggestion"] or "–"),
        ]
        for each in shown
    ]
    labels = [each["name"] or UNKNOWN for each in shown]
    chart = draw_shares(f"by-{by}", f"Conversion by {by}", labels, {"conversion": shown}, across=True)
    headings = (by, *CONVERSION, ">AUC", *GROUP_STEPS, "suggestion")
    note = "Of 20 groups that are all alike, one looks as if it were not."
    return Section(f"by-{by}", f"By {by}", said, chart, headings, rows, note)


def _differs(group: Mapping[str, Any]) -> int:
    """Whether people of a group are won more often (1) or less (-1) than their scores say; 0 is not shown."""
    expected, low, high = group["expected_rate"], group["low"], group["high"]
    if expected is None or group["won"] + group["lost"] < ENOUGH_TO_SUGGEST:
        return 0
    return int(low > expected) - int(high < expected)


SECTIONS: dict[str, Callable[[Any], list[Section]]] = {
    "evaluate": evaluation_sections,
    "groups": group_sections,
    "simulate": line_sections,
    "drift": drift_sections,
    "experiments": experiment_sections,
    "models": model_sections,
}
"""What makes the sections of each document, in the order in which they stand in the report."""


def make_sections(documents: Mapping[str, Any]) -> list[Section]:
    """The sections of all documents that are there, by the names of `SECTIONS`."""
    return [each for name, maker in SECTIONS.items() if name in documents for each in maker(documents[name])]
