"""Random models and people for the scoring tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import strategies as st
from pydantic import ValidationError

from crmsync.columns import Columns, Fact
from crmsync.config.model import Model

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ZONES = (UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata"))
KINDS = ("page_viewed", "form_submitted", "email_opened", "email_sent", "email_clicked")
URLS = ("/pricing", "/blog/one", "/careers", "/Demo")
TITLES = ("VP, IT Security", "Director of Sales", "Student", "Procurement Manager", "Engineer")
EMAILS = ("a@gmail.com", "b@acme.example", "c@mail.rival.example", "Dee <d@rival.example>", "e(at)acme.example")

points = st.one_of(
    st.integers(-30, 50).filter(bool), st.integers(-3000, 5000).filter(bool).map(lambda cents: cents / 100)
)
days = st.integers(1, 70).map(lambda number: f"{number}d")

tests_of_field = st.one_of(
    st.sampled_from([("employees", {"gt": 200}), ("employees", {"between": [10, 200]}), ("employees", {"lte": 50})]),
    st.sampled_from([("title", {"seniority_at_least": "director"}), ("title", {"department": ["sales", "it"]})]),
    st.sampled_from([("title", {"contains": "vp"}), ("title", {"regex": "^(vp|dir)"}), ("title", {"exists": True})]),
    st.sampled_from(
        [("email", {"free_mail": True}), ("email", {"domain_list": "rivals"}), ("email", {"missing": True})]
    ),
    st.sampled_from([("stack", {"has": ["kafka"]}), ("stack", {"has_all": ["kafka", "sap"]}), ("vip", {"is": True})]),
    st.sampled_from(
        [("renewal", {"within": "30d"}), ("renewal", {"older_than": "7d"}), ("renewal", {"missing": True})]
    ),
    st.sampled_from([("renewal", {"within_next": "10d"}), ("renewal", {"before": "2026-10-01"})]),
    st.sampled_from([("renewal", {"after": "2026-11-20"}), ("created", {"within": "20d"})]),
).map(lambda pair: {"field": pair[0], **pair[1]})

conditions = st.recursive(
    tests_of_field,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=4,
)
where = st.sampled_from(
    [{}, {"url": {"contains": "pricing"}}, {"url": ["/demo", "/careers"]}, {"seconds": {"gte": 60}}]
)
on = st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True)


def optional(**keys):
    return st.fixed_dictionaries({}, optional=keys)


decays = st.one_of(
    days.map(lambda each: {"half_life": each}),
    days.map(lambda each: {"linear": each}),
    st.sampled_from([{"5d": 80, "15d": 50, "40d": 12.5}, {"15d": 0}, {"20d": 40}]).map(lambda each: {"steps": each}),
)
selections = st.fixed_dictionaries({"on": on, "where": where})
steps = st.builds(
    lambda selection, more: {**selection, **more},
    selections,
    optional(times=st.integers(1, 3), distinct_days=st.booleans()),
)


@st.composite
def rules(draw, extra, base=None, **required):
    rule = draw(base) if base is not None else {}
    rule["points"] = draw(points)
    for name, strategy in required.items():
        rule[name] = draw(strategy)
    rule.update(draw(optional(**extra)))
    if "cap" in rule:
        rule["cap"] = abs(rule["cap"]) * (1 if rule["points"] > 0 else -1)
    if rule.get("max_per_week") and rule.get("max_per_month"):
        del rule["max_per_week"]
    if rule.get("distinct_days"):
        rule.pop("max_per_day", None)
    if "channel" in rule and rule.get("group") == "g":
        del rule["channel"]
    return rule


common = {"when": conditions, "segments": st.just(["big"])}
acting = {**common, "channel": st.sampled_from(["web", "mail"]), "group": st.just("g")}
limits = optional(cap=st.integers(1, 60), floor=st.integers(-60, 0))
behaviors = rules(
    {
        **acting,
        "window": days,
        "decay": decays,
        "cap": st.integers(1, 80),
        "max_times": st.integers(1, 4),
        "max_per_day": st.integers(1, 2),
        "max_per_week": st.integers(1, 3),
        "max_per_month": st.integers(1, 3),
        "distinct_days": st.booleans(),
        "at_least": st.integers(1, 3),
        "at_least_sum": st.sampled_from([{"seconds": 70}, {"seconds": 900.5}, {"never": 1}]),
        "unless": st.builds(lambda each, window: {**each, "window": window}, selections, days),
    },
    selections,
)
inactivities = rules({**acting, "every": days, "on": on, "since": st.just("created")}, None, after=days)
sequences = rules(
    {**acting, "within": days, "window": days, "decay": decays}, None, steps=st.lists(steps, min_size=1, max_size=3)
)
patterns = rules(
    {
        **acting,
        "times": st.integers(1, 3),
        "days": st.integers(1, 3),
        "window": days,
        "decay": decays,
        "covering": st.lists(selections, max_size=2),
    },
    selections,
    within=st.integers(3, 20).map(lambda number: f"{number}d"),
)
bands = st.builds(
    lambda cuts, gate, leave: {
        "cold": 0,
        "warm": {"at": cuts[0], **leave},
        "mql": {"at": cuts[0] + cuts[1], **gate},
    },
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    optional(min_fit=st.integers(-10, 30), min_behavior=st.integers(-10, 30)),
    optional(drop_below=st.integers(-20, 1)),
)

learned = optional(
    mode=st.just("hybrid"),
    clamp=st.sampled_from([0, 3.5, 10, 40]),
    adjustment=st.lists(st.builds(lambda each, when: {"points": each, "when": when}, points, conditions), max_size=3),
)


@st.composite
def models(draw):
    given = {
        "score": draw(optional(decimals=st.integers(0, 2), fit=limits, behavior=limits, total=limits)),
        "weights": draw(optional(fit=st.integers(0, 20000).map(lambda each: each / 10000), behavior=st.just(0.3))),
        "fit": draw(st.lists(rules({**common, "group": st.just("f")}, None, when=conditions), max_size=4)),
        "behavior": draw(st.lists(behaviors, max_size=4)),
        "inactivity": draw(st.lists(inactivities, max_size=2)),
        "sequence": draw(st.lists(sequences, max_size=2)),
        "pattern": draw(st.lists(patterns, max_size=2)),
        "disqualify": draw(disqualifiers),
        "segment": [
            {
                "name": "big",
                "when": {"field": "employees", "gt": 200},
                **draw(optional(weights=st.just({"fit": 0.5}), bands=bands)),
            }
        ],
        "channels": {"web": draw(limits), "mail": draw(limits)},
        "groups": {"g": draw(limits), "f": draw(limits)},
        "lists": {"rivals": ["rival.example"]},
        "bands": draw(bands),
        "learned": draw(learned),
        "machine_clicks": draw(machine_clicks),
    }
    number = 0
    for table in ("fit", "behavior", "inactivity", "sequence", "pattern"):
        for rule in given[table]:
            number += 1
            rule["name"] = f"rule {number}"
    for number, adjustment in enumerate(given["learned"].get("adjustment", ())):
        adjustment["name"] = f"adjustment {number}"
    try:
        return Model(**given)
    except ValidationError as error:
        raise AssertionError(f"{error} in {given}") from error


disqualifiers = st.one_of(
    st.lists(st.just({"name": "rival", "when": {"field": "email", "domain_list": "rivals"}}), max_size=1),
    st.builds(
        lambda some, window, unless: [{"name": "left", **some, **window, **unless}],
        selections,
        optional(window=days),
        optional(unless=st.builds(lambda some, window: {**some, **window}, selections, optional(window=days))),
    ),
)

machine_clicks = st.sampled_from(
    [{}, {"links": 2, "within": "1s"}, {"after_sending": "0s"}, {"after_sending": "1s", "within": "0s"}]
)

fields = st.fixed_dictionaries(
    {},
    optional={
        "employees": st.sampled_from([1, 10, 50, 200, 201, 5000, 0.5, "10", "1,201", "$5,000.50", "many", "N/A"]),
        "title": st.sampled_from(TITLES),
        "email": st.sampled_from(EMAILS),
        "stack": st.sampled_from([("Kafka",), ("sap", "kafka"), "SAP;Kafka", ("excel",)]),
        "vip": st.sampled_from([True, False, "Yes", "n", 1, 0, 7, "perhaps", "-"]),
        "renewal": st.sampled_from(
            [
                *("2026-09-30", "2026-10-22", "2026-10-21T23:30:00Z", "2026-11-14", "2026-11-21", "2026-11-25"),
                *("2026-12-02", "14.11.2026", "unknown", 5),
            ]
        ),
        "created": st.sampled_from(["2026-09-01", "2026-11-20", "someday"]),
    },
)
attributes = st.one_of(
    st.just({}),
    st.sampled_from(URLS).map(lambda url: {"url": url}),
    st.builds(
        lambda url, seconds: {"url": url, "seconds": seconds}, st.sampled_from(URLS), st.sampled_from([10, 60, 900])
    ),
)


def instant(day, second):
    return int((NOW - timedelta(days=day)).timestamp()) // 86400 * 86400 + second


instants = st.builds(
    instant, st.integers(-1, 75), st.one_of(st.sampled_from([0, 1, 43200, 43201, 82800, 86399]), st.integers(0, 86399))
)
activities = st.lists(st.tuples(instants, st.sampled_from(KINDS), attributes), max_size=16).map(
    lambda each: sorted(each, key=lambda activity: activity[0])
)
people = st.lists(st.tuples(fields, activities), min_size=1, max_size=8)


def columns_of(people):
    """Columns of (fields, activities) pairs."""
    facts, index = [], {}
    rows = []
    for row, (_, done) in enumerate(people):
        for at, kind, given in done:
            key = (kind, repr(sorted(given.items())))
            if key not in index:
                index[key] = len(facts)
                facts.append(Fact(kind, given))
            rows.append((row, at, index[key]))
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    names = {name for given, _ in people for name in given}
    return Columns(
        people=np.arange(len(people), dtype=np.int64),
        fields={name: [given.get(name) for given, _ in people] for name in names},
        person=table[:, 0].astype(np.int32),
        at=table[:, 1].copy(),
        fact=table[:, 2].astype(np.int32),
        facts=facts,
    )
