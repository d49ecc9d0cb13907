"""HubSpot's own lead scores in the words of the config: what is taken over exactly, and why the rest is not."""

import pytest

from connectors.sandbox.faults import Fault
from crmsync.config.tables import Feed
from crmsync.errors import ConfigError, Unavailable
from tests.support.hubspot import hubspot, refused

SCORES = "/marketing/lead-scoring/"
PRIMARY = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}


def operation(kind, operator, blank=False, **more):
    return {"operationType": kind, "operator": operator, "includeObjectsWithNoValueSet": blank, **more}


def texts(operator, *values, blank=False):
    return operation("MULTISTRING", operator, blank, values=list(values))


def any_of(*values):
    return operation("ENUMERATION", "IS_ANY_OF", values=list(values))


def number(operator, value):
    return operation("NUMBER", operator, value=value)


def match(name, *rules, **more):
    return {
        "type": "MATCH",
        "property": name,
        "matchRules": [{"operation": it, "value": at} for it, at in rules],
        **more,
    }


def where(*conditions, value=5, operator="AND"):
    singles = [{"type": "SINGLE", "property": name, "operation": it} for name, it in conditions]
    whole = {"type": "COMPOSITE", "operator": operator, "conditions": singles}
    return {"type": "CONDITIONAL", "value": value, "whereCondition": whole}


def of_company(inner, spec=PRIMARY, kind="0-2", **more):
    found = {"type": "ASSOCIATIONS", "associatedObjectTypeId": kind, "associationSpec": spec, "rollupType": "MAX"}
    return {**found, "inverseAssociationSpec": spec, "recordCalculation": inner, **more}


def events(*entries):
    return {"type": "MULTI_UE", "eventCalculators": list(entries)}


def event(kind="4-96000", calculation=None, **more):
    return {"eventTypeId": kind, "recordCalculation": calculation or {"type": "CONSTANT", "value": 3}, **more}


def timeframe(kind="ROLLING_DATE_RANGE", operator="IS_LESS_THAN_X_DAYS_AGO", **more):
    return {"eventFilterOperation": operation(kind, operator, **(more or {"numberOfDays": 30}))}


def indexed(days=0, reference="NOW"):
    offset = {"offset": {"days": days}} if days else {}
    return {"timeType": "INDEXED", "zoneId": "Europe/Berlin", "indexReference": {"referenceType": reference}, **offset}


def often(*ranges):
    return {"type": "BETWEEN", "ranges": [dict(zip(("type", "from", "to", "value"), it, strict=True)) for it in ranges]}


def rule(calculation, **more):
    return {"id": "1", "enabled": True, "configuration": {"calculation": calculation}, **more}


def group(*calculations, category="FIT", name="Group", **more):
    rules = [each if "enabled" in each else rule(each) for each in calculations]
    return {"id": "1", "groupName": name, "groupCategory": category, "ruleConfigurations": rules, **more}


def read(sandbox, *groups, settings=None, **score):
    made = sandbox.do("hubspot", "put_lead_score", score={"name": "Ours", "groupConfigs": list(groups), **score})
    connector = hubspot(sandbox, **(settings or {}))
    try:
        return connector.read_lead_score(made["id"])
    finally:
        connector.close()


def rules_of(found):
    assert found.not_imported == []
    return [{"table": each.table, **each.rule} for each in found.rules]


# Taken over exactly

BLANK = {"any": [{"field": "jobtitle", "contains": ["vp"]}, {"field": "jobtitle", "missing": True}]}
CONDITIONS = [
    ("jobtitle", texts("CONTAINS", "vp", "chief"), {"field": "jobtitle", "contains": ["vp", "chief"]}),
    ("jobtitle", texts("CONTAINS", "vp", blank=True), BLANK),
    ("jobtitle", texts("IS_EQUAL_TO", "CEO"), {"field": "jobtitle", "is": "CEO"}),
    ("jobtitle", texts("IS_NOT_EQUAL_TO", "CEO", "CFO"), {"not": {"field": "jobtitle", "in": ["CEO", "CFO"]}}),
    ("jobtitle", texts("DOES_NOT_CONTAIN", "intern"), {"field": "jobtitle", "excludes": ["intern"]}),
    ("jobtitle", texts("STARTS_WITH", "vp"), {"field": "jobtitle", "starts_with": ["vp"]}),
    ("jobtitle", operation("STRING", "ENDS_WITH", value="sales"), {"field": "jobtitle", "ends_with": ["sales"]}),
    ("jobtitle", operation("ALL_PROPERTY", "IS_KNOWN"), {"field": "jobtitle", "exists": True}),
    ("jobtitle", operation("ALL_PROPERTY", "IS_UNKNOWN"), {"field": "jobtitle", "missing": True}),
    ("email", texts("ENDS_WITH", "@acme.example"), {"field": "email", "ends_with": ["@acme.example"]}),
    ("hs_lead_status", any_of("NEW", "OPEN"), {"field": "hs_lead_status", "in": ["NEW", "OPEN"]}),
    (
        "hs_lead_status",
        operation("ENUMERATION", "IS_NONE_OF", values=["NEW"]),
        {"not": {"field": "hs_lead_status", "is": "NEW"}},
    ),
    ("hs_email_optout", operation("BOOL", "IS_EQUAL_TO", value=True), {"field": "hs_email_optout", "is": True}),
    ("hs_email_optout", any_of("true"), {"field": "hs_email_optout", "is": True}),
    ("num_notes", number("IS_GREATER_THAN_OR_EQUAL_TO", 3), {"field": "num_notes", "gte": 3}),
    ("num_notes", number("IS_NOT_EQUAL_TO", 3), {"not": {"field": "num_notes", "is": 3}}),
    (
        "num_notes",
        operation("NUMBER_RANGED", "IS_NOT_BETWEEN", lowerBound=1, upperBound=5),
        {"not": {"field": "num_notes", "between": [1, 5]}},
    ),
]


@pytest.mark.parametrize(("name", "asked", "when"), CONDITIONS)
def test_a_question_about_a_property_is_a_condition(sandbox, name, asked, when):
    (found,) = rules_of(read(sandbox, group(match(name, (asked, 10)))))
    assert (found["table"], found["points"], found["when"]) == ("fit", 10, when)
    assert found["name"].startswith(f"Group: {name} ")


def test_several_conditions_all_have_to_hold(sandbox):
    calculation = where(("jobtitle", texts("CONTAINS", "vp")), ("country", texts("IS_EQUAL_TO", "Germany")), value=12.5)
    (found,) = rules_of(read(sandbox, group(calculation)))
    assert found["when"] == {"all": [{"field": "jobtitle", "contains": ["vp"]}, {"field": "country", "is": "Germany"}]}
    assert found["points"] == 12.5


def test_values_that_exclude_each_other_are_rules_of_their_own(sandbox):
    sizes = match(
        "numberofemployees", (number("IS_LESS_THAN", 200), 1), (number("IS_GREATER_THAN_OR_EQUAL_TO", 200), 9)
    )
    found = rules_of(read(sandbox, group(rule(of_company(sizes), maximumValue=5, minimumValue=0))))
    assert [(each["points"], each["when"]) for each in found] == [
        (1, {"field": "company.numberofemployees", "lt": 200}),
        (5, {"field": "company.numberofemployees", "gte": 200}),
    ]


def test_an_option_reads_as_people_read_it(sandbox):
    (found,) = rules_of(read(sandbox, group(match("hs_lead_status", (any_of("IN_PROGRESS"), 5)))))
    assert found["name"] == "Group: hs_lead_status is In progress"


def test_limits_decay_and_window_come_along(sandbox):
    fading = group(
        rule(events(event()), maximumValue=9),
        category="INTENT",
        name="Web",
        maxValue=30,
        minValue=-5,
        groupDecay={"decayIntervalDays": 7, "percentToDecayPerInterval": 30},
    )
    recent = group(events(event("4-1639801", eventTimeframe=timeframe())), category="INTENT", name="Forms")
    found = read(sandbox, fading, recent, maxScore=120, maxScorePerCategory=60)
    web, forms = rules_of(found)
    assert web == {
        "table": "behavior",
        "name": "Web: page viewed",
        "points": 3,
        "on": "page_viewed",
        "cap": 9,
        "decay": {"steps": {"7d": 70, "14d": 40, "21d": 10, "28d": 0}},
        "group": "Web",
    }
    assert (forms["window"], "decay" in forms, "group" in forms) == ("30d", False, False)
    assert found.groups == {"Web": {"cap": 30, "floor": -5}}
    assert found.limits == {
        "fit": {"floor": -60, "cap": 60},
        "behavior": {"floor": -60, "cap": 60},
        "total": {"floor": -120, "cap": 120},
    }
    assert found.timezone == "Europe/Berlin"


FRAMES = [
    timeframe("TIME_RANGED", "IS_BETWEEN", lowerBoundTimePoint=indexed(-14), upperBoundTimePoint=indexed()),
    timeframe("TIME_POINT", "IS_AFTER", timePoint=indexed(-14, "TODAY")),
    timeframe(numberOfDays=14),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_the_last_days_are_a_window_however_they_are_said(sandbox, frame):
    (found,) = rules_of(read(sandbox, group(events(event(eventTimeframe=frame)), category="INTENT")))
    assert found["window"] == "14d"


def test_conditions_on_events_are_conditions_on_attributes(sandbox):
    pricing = where(("hs_url", texts("CONTAINS", "/pricing")))
    form = sandbox.portal.state.tracking.form("Request a demo", 0).id
    demo = where(("hs_form_id", any_of(form)), value=8)
    found = rules_of(
        read(sandbox, group(events(event(calculation=pricing), event("4-1639801", demo)), category="INTENT"))
    )
    assert [each["where"] for each in found] == [
        {"url": {"contains": ["/pricing"]}},
        {"form": {"is": "Request a demo"}},
    ]


def test_a_limit_that_events_share_is_a_group(sandbox):
    both = rule(events(event(), event("4-1639801")), maximumValue=20)
    found = read(sandbox, group(both, category="INTENT"))
    assert [each["group"] for each in rules_of(found)] == ["Group: limit", "Group: limit"]
    assert found.groups == {"Group: limit": {"cap": 20}}


def test_points_by_how_often_rise_and_end_where_they_do_in_hubspot(sandbox):
    ranges = often(("BETWEEN", 2, 4, 5), ("BETWEEN", 5, 9, 12))
    found = read(sandbox, group(events(event(eventFrequencyCriteria=ranges)), category="INTENT"))
    assert [(each["at_least"], each["points"], each["cap"]) for each in rules_of(found)] == [
        (2, 5, 5),
        (5, 7, 7),
        (10, -12, -12),
    ]
    assert all("HubSpot does not document" in each.difference for each in found.rules)


def test_what_is_not_quite_the_same_says_so(sandbox):
    found = read(sandbox, group(events(event("4-1720599"), event("4-665538")), category="INTENT"))
    booked, replied = found.rules
    assert (booked.rule["on"], replied.rule["on"]) == (["meeting_booked", "meeting_held"], "email_replied")
    assert "none that was cancelled" in booked.difference
    assert "logged on a contact" in replied.difference


def test_several_criteria_add_up_and_say_so(sandbox):
    parts = [match("jobtitle", (texts("CONTAINS", "vp"), 4)), match("country", (texts("IS_EQUAL_TO", "Spain"), 2))]
    found = read(sandbox, group({"type": "MULTI", "calculators": parts}))
    assert [each.rule["points"] for each in found.rules] == [4, 2]
    assert all("add up" in each.difference for each in found.rules)
    alone = read(sandbox, group({"type": "MULTI", "calculators": parts[:1]}))
    assert [each.difference for each in alone.rules] == [""]


def test_lists_that_are_left_out_and_levels_come_along(sandbox):
    boundaries = {
        "FIT": [{"label": "B", "threshold": 10}, {"label": "A", "threshold": 30}],
        "INTENT": [{"label": "1", "threshold": 20}, {"label": "2", "threshold": 0}],
    }
    outputs = [
        {"id": "1", "outputType": "SCORE", "propertyName": "p1", "propertyLabel": "Fit", "categories": ["FIT"]},
        {
            "id": "2",
            "outputType": "SCORE",
            "propertyName": "p2",
            "propertyLabel": "All",
            "categories": ["INTENT", "FIT"],
        },
        {
            "id": "3",
            "outputType": "MATRIX",
            "propertyName": "p3",
            "propertyLabel": "Grid",
            "categories": ["FIT", "INTENT"],
            "boundaries": boundaries,
        },
    ]
    found = read(
        sandbox,
        group(match("jobtitle", (texts("CONTAINS", "vp"), 4))),
        outputConfiguration={"outputs": outputs},
        filterConfiguration={"listFilterType": "EXCLUDES", "segmentIds": [12, 13]},
    )
    assert (found.field, found.excluded_lists) == ("p2", ["12", "13"])
    assert (found.levels, found.grades, found.grid) == ([], [("A", 30), ("B", 10)], [("1", 20), ("2", 0)])


# Not taken over, each with its reason

LATER = operation("TIME_POINT", "IS_AFTER", timePoint=indexed(-30))
VP = match("jobtitle", (texts("CONTAINS", "vp"), 5))
MEMBERS = {"operation": "HAS_AT_LEAST_ONE_SEGMENT_MEMBERSHIP", "segmentIds": [12], "value": 5}
NOT_TAKEN = {
    "a list": (group({"type": "SEGMENT_MEMBERSHIP", "segmentMembershipRules": [MEMBERS]}), "on a list (a segment)"),
    "everybody": (group({"type": "CONSTANT", "value": 5}), "everybody the same points"),
    "a default": (group({**VP, "defaultValue": 3}), "whoever matches none of its values"),
    "an overlap": (
        group(match("jobtitle", (texts("CONTAINS", "vp"), 5), (texts("CONTAINS", "sales"), 3))),
        "several of its values can hold at once",
    ),
    "a date": (group(match("createdate", (LATER, 5))), "no condition on dates"),
    "an operator": (group(match("jobtitle", (texts("HAS_EVER_CONTAINED", "vp"), 5))), "operator HAS_EVER_CONTAINED"),
    "a type of operation": (
        group(match("jobtitle", (operation("COMPARATIVE_STRING", "IS_EQUAL_TO"), 5))),
        "no condition for COMPARATIVE_STRING",
    ),
    "a property that is gone": (group(match("nonsense", (texts("CONTAINS", "x"), 5))), "no property nonsense"),
    "conditions joined by or": (group(where(("jobtitle", texts("CONTAINS", "vp")), operator="OR")), "joined by OR"),
    "a kind of rule": (group({"type": "PREDICTED", "value": 5}), "does not know this kind of rule (PREDICTED)"),
    "deals": (group(of_company(VP, kind="0-3")), "associated deals"),
    "companies without a value": (
        group(of_company(match("industry", (operation("ALL_PROPERTY", "IS_UNKNOWN"), 5)))),
        "companies without industry",
    ),
    "events of associated records": (
        group({"type": "ASSOCIATION_UE", "rollupType": "SUM"}, category="INTENT"),
        "people of associated records",
    ),
    "an event without a source": (group(events(event("4-1555805")), category="INTENT"), "4-1555805 (CTA clicked)"),
    "an event of nobody": (group(events(event("6-77")), category="INTENT"), "no activity source for the event 6-77"),
    "an attribute": (
        group(events(event(calculation=where(("hs_page_id", texts("IS_EQUAL_TO", "7"))))), category="INTENT"),
        "do not keep hs_page_id",
    ),
    "a negated attribute": (
        group(events(event(calculation=where(("hs_url", texts("IS_NOT_EQUAL_TO", "x"))))), category="INTENT"),
        "is not something",
    ),
    "a form that is gone": (
        group(events(event("4-1639801", where(("hs_form_id", any_of("77"))))), category="INTENT"),
        "the form 77, which the portal does not have",
    ),
    "another timeframe": (
        group(events(event(eventTimeframe=timeframe("CALENDAR_DATE", "IS_AFTER", timeUnit="WEEK"))), category="INTENT"),
        "timeframe is not",
    ),
    "ranges that overlap": (
        group(events(event(eventFrequencyCriteria=often(("AT_LEAST", 1, None, 5), ("EXACTLY", 3, None, 9)))),
              category="INTENT"),
        "ranges of how often overlap",
    ),
    "none of an event": (
        group(events(event(eventFrequencyCriteria=often(("EXACTLY", 0, None, 5)))), category="INTENT"),
        "a number of events that is not one or more",
    ),
    "a limit that gives points": (group(rule(VP, minimumValue=5)), "points to people who have none"),
    "many decimals": (group(match("jobtitle", (texts("CONTAINS", "vp"), 1.005))), "more than two decimals"),
    "a category": (group(VP, category="PREDICTIVE"), "counts for PREDICTIVE"),
    "nothing at all": (group({"type": ""}), "does not know this kind of rule"),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_TAKEN)
def test_each_kind_that_cannot_be_said_is_named_with_what_to_do(sandbox, what):
    asked, reason = NOT_TAKEN[what]
    found = read(sandbox, asked)
    assert found.rules == []
    assert all(reason in each.reason and each.remedy for each in found.not_imported), found.not_imported
    assert len(found.not_imported) == 1 or what == "an overlap"


OPENED = {"type": "CONSTANT", "value": 2}
NEAREST = {
    "switched off": (group({**rule(VP), "enabled": False}), "switched off", "fit"),
    "a property as engagement": (group(VP, category="INTENT"), "a property as engagement", "fit"),
    "events as fit": (group(events(event())), "what people do as fit", "behavior"),
    "all companies": (
        group(of_company(match("industry", (any_of("SOFTWARE"), 5)), {**PRIMARY, "associationTypeId": 279})),
        "all or some companies",
        "fit",
    ),
    "opened e-mails": (group(events(event("4-666440", OPENED)), category="INTENT"), "gives only totals", "behavior"),
}


@pytest.mark.parametrize("what", NEAREST)
def test_a_rule_that_comes_near_is_kept_for_whoever_wants_it(sandbox, what):
    asked, reason, table = NEAREST[what]
    found = read(sandbox, asked)
    (left,) = found.not_imported
    assert (found.rules, reason in left.reason, left.rule.table) == ([], True, table)
    assert left.rule.rule["name"] == left.name


def test_opened_emails_are_taken_over_where_the_config_has_a_source_for_them(sandbox):
    feed = Feed(source="email_events", kind="email_opened", where={"type": "OPEN"})
    (found,) = rules_of(
        read(sandbox, group(events(event("4-666440")), category="INTENT"), settings={"activities": [feed]})
    )
    assert found["on"] == "email_opened"


def test_only_who_is_on_a_list_being_scored_is_said(sandbox):
    found = read(sandbox, group(VP), filterConfiguration={"listFilterType": "INCLUDES", "segmentIds": [12]})
    assert [each.name for each in found.not_imported] == ["Who is scored"]
    assert "list 12" in found.not_imported[0].reason


def test_two_forms_of_one_name_cannot_be_told_apart(sandbox):
    forms = sandbox.portal.state.tracking.forms
    one = sandbox.portal.state.tracking.form("Request a demo", 0)
    forms["twin"] = one._replace(id="twin")
    found = read(sandbox, group(events(event("4-1639801", where(("hs_form_id", any_of(one.id))))), category="INTENT"))
    assert "several forms with the name 'Request a demo'" in found.not_imported[0].reason


def test_names_are_on_one_line_unique_and_not_too_long(sandbox):
    twice = match("jobtitle", (texts("CONTAINS", "a\nb" * 80), 5))
    found = rules_of(read(sandbox, group(twice, twice, name="\x00Line\n")))
    names = [each["name"] for each in found]
    assert len(set(names)) == 2
    assert all(len(each) <= 120 and each.isprintable() and each.startswith("Line: ") for each in names)


# What cannot be read


def listed(sandbox):
    connector = hubspot(sandbox)
    try:
        return [each.id for each in connector.list_lead_scores()]
    finally:
        connector.close()


def test_every_page_of_scores_is_read(sandbox):
    for place in range(12):
        sandbox.do("hubspot", "put_lead_score", score={"name": f"Score {place}"})
    assert len(listed(sandbox)) == 14


def test_a_missing_scope_is_named(sandbox):
    sandbox.do("hubspot", "set", scopes=["crm.objects.contacts.read"])
    with pytest.raises(ConfigError, match="add the scope mh-lead-scoring-view or mh-lead-scoring-edit"):
        listed(sandbox)


def test_a_403_that_names_no_scope_says_what_scores_need(sandbox):
    sandbox.faults.add(Fault(**refused(403, message="This portal is not allowed."), path=SCORES))
    with pytest.raises(ConfigError, match="mh-lead-scoring-view; lead scores need Marketing Hub or Sales Hub"):
        listed(sandbox)


def test_the_other_beta_is_asked_where_one_is_gone(sandbox):
    sandbox.do("hubspot", "set", retired=["2026-09-beta"])
    assert listed(sandbox) == ["60001", "60002"]
    sandbox.do("hubspot", "set", retired=["2026-09-beta", "2027-03-beta"])
    with pytest.raises(ConfigError, match="does not serve lead scores"):
        listed(sandbox)


def test_a_score_of_companies_is_refused_by_name(sandbox):
    with pytest.raises(ConfigError, match="'Ours' scores companies, and crmsync scores people"):
        read(sandbox, group(VP), objectTypeId="0-2")


def test_a_score_that_is_not_there_is_none(sandbox):
    connector = hubspot(sandbox)
    assert connector.read_lead_score("99") is None
    connector.close()


def test_half_an_answer_is_no_score(sandbox):
    sandbox.faults.add(Fault(do="answer", status=200, body={"id": "60001"}, path=SCORES))
    connector = hubspot(sandbox)
    with pytest.raises(Unavailable, match="read lead scores"):
        connector.read_lead_score("60001")
    connector.close()


def test_a_draft_says_that_it_gives_nobody_points(sandbox):
    found = read(sandbox, group(VP), scoreStatus="draft")
    assert any("is a draft" in each for each in found.notes)
