"""What a user's tag in the CRM does to somebody: scored on, sent back for a time, or nothing."""

import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from crmsync.config import config_of
from crmsync.config.mistakes import find_mistakes
from crmsync.connector import MissingField
from crmsync.cycle import preview_run, run_cycle
from crmsync.errors import ConfigError
from crmsync.reporting.documents import check_document
from crmsync.reporting.person import explain_person
from crmsync.reporting.print_person import print_explanation
from crmsync.reporting.print_status import print_status
from crmsync.reporting.route import route_document
from crmsync.reporting.status import status_document
from crmsync.scoring import failed_tests, score, worth_knowing
from crmsync.store import score_inputs
from tests.support.cycles import ADA, NEVER_FADES, balanced, edit, hot
from tests.support.make import MODEL, NOW, config, contact, work

TAGS = {
    "not a fit": "disqualify",
    "wrong timing": {"recycle": "90d"},
    "fine": "keep",
    "engaged, needs follow-up": "keep",
}
FEEDBACK = {"field": {"hubspot": "crmsync_feedback", "salesforce": "Crmsync_Feedback__c"}, "tags": TAGS}
SQL = """
[[stage]]
name = "sql"
values = { hubspot = "salesqualifiedlead", salesforce = { lead = "Qualified", contact = "SQL" } }
enter = { field = "score", gte = 65 }
"""


def tagged(model=NEVER_FADES, feedback=FEEDBACK, **tables):
    return config(model, feedback=feedback, **tables)


def day(number):
    return NOW + timedelta(days=number)


def run(state, *crms, at=0, settings=None):
    return balanced(run_cycle(work(state, *crms, now=day(at), settings=settings or tagged())))


def tag(of, value, ref=ADA):
    fields = {name: held for name, held in of.records[ref].fields.items() if name != "feedback"}
    edit(of, ref, fields=fields if value is None else {**fields, "feedback": value})


def explained(state, at=0, settings=None):
    return explain_person(settings or tagged(), state, "ada@x.example", day(at))


def ada(of):
    record = of.records[ADA]
    return record.current["band"], record.stage, record.owner


def left_alone(state):
    """Ada, whose owner left the company: she needs a new one."""
    hubspot = hot()
    edit(hubspot, ADA, owner="hubspot-eve")
    return hubspot


def test_S0_25_a_bad_lead_is_scored_and_explained_in_the_lowest_band_and_gets_no_owner(state):
    hubspot = left_alone(state)
    tag(hubspot, "Not a fit")
    run(state, hubspot)
    assert ada(hubspot) == ("cold", "lead", "hubspot-eve")
    assert hubspot.records[ADA].current["score"] == 65
    assert "feedback: not a fit" in hubspot.records[ADA].current["reason"]
    said = explained(state)
    assert said["disqualified"] == "feedback: not a fit"
    assert said["feedback"] == {"tag": "not a fit", "action": "disqualify", "until": None}
    assert said["owner_why"] == "the owner stays; not routed: feedback: not a fit"
    found = route_document(tagged(), state, "ada@x.example", NOW)
    assert found["turn"] == "not routed: feedback: not a fit"
    assert {rule["why"] for rule in found["rules"]} == {"not asked: feedback: not a fit"}
    assert found["instead"] == {}


def test_a_bad_lead_is_counted_as_excluded_from_routing_and_not_as_waiting(state):
    hubspot = hot()
    tag(hubspot, "not a fit")
    result = run(state, hubspot)
    assert (result.routing["in"], result.routing["excluded"], result.routing["waiting"]) == (1, 1, 0)


def test_without_the_tag_a_bad_lead_is_as_before(state):
    hubspot = left_alone(state)
    tag(hubspot, "not a fit")
    run(state, hubspot)
    tag(hubspot, None)
    run(state, hubspot, at=1)
    assert ada(hubspot) == ("mql", "mql", "hubspot-ann")
    assert explained(state)["feedback"] is None
    assert explained(state)["disqualified"] is None


def test_recycled_people_leave_their_stage_and_come_back_by_themselves(state):
    hubspot = hot()
    run(state, hubspot)
    assert ada(hubspot)[1] == "mql"
    tag(hubspot, "wrong timing")
    edit(hubspot, ADA, owner=None)
    stages = {}
    for at in (1, 2, 90, 91):
        run(state, hubspot, at=at)
        stages[at] = hubspot.records[ADA].stage
    assert stages == {1: "lead", 2: "lead", 90: "lead", 91: "mql"}
    assert explained(state, 91)["feedback"]["tag"] == "wrong timing"


def test_recycled_people_are_not_routed_for_that_time_and_routed_after_it(state):
    hubspot = left_alone(state)
    tag(hubspot, "wrong timing")
    first = run(state, hubspot)
    assert (first.routing["nurture"], first.waiting_for_owner["count"]) == (1, 0)
    run(state, hubspot, at=89)
    assert hubspot.records[ADA].owner == "hubspot-eve"
    assert explained(state, 89)["owner_why"] == "the owner stays; not routed: feedback: wrong timing, until 2027-02-19"
    run(state, hubspot, at=90)
    assert hubspot.records[ADA].owner == "hubspot-ann"


def test_the_time_begins_when_the_tag_is_noticed_and_not_with_each_run(state):
    hubspot = hot()
    run(state, hubspot)
    tag(hubspot, "wrong timing")
    assert explained(state, 5)["feedback"] is None
    run(state, hubspot, at=5)
    edit(hubspot, ADA, name="Ada L.")
    run(state, hubspot, at=50)
    said = explained(state, 50)["feedback"]
    assert said == {"tag": "wrong timing", "action": "recycle", "until": day(95).isoformat()}


@pytest.mark.parametrize("then", [None, "fine", "something else"])
def test_another_tag_or_none_ends_the_time(state, then):
    hubspot = hot()
    run(state, hubspot)
    tag(hubspot, "wrong timing")
    run(state, hubspot, at=1)
    tag(hubspot, then)
    run(state, hubspot, at=2)
    assert hubspot.records[ADA].stage == "mql"


def test_the_same_tag_again_begins_a_time_of_its_own(state):
    hubspot = hot()
    for at, value in enumerate(("wrong timing", None, "wrong timing")):
        tag(hubspot, value)
        run(state, hubspot, at=at)
    assert hubspot.records[ADA].stage == "lead"
    assert explained(state, 2)["feedback"]["until"] == day(92).isoformat()


def test_a_stage_beyond_the_one_that_was_left_is_closed_too(state):
    hubspot, settings = (
        hot(),
        tagged(NEVER_FADES.replace('band = "mql"', 'band = "mql"\nexit = { field = "score", lt = 0 }') + SQL),
    )
    edit(hubspot, ADA, stage="mql", fields={"title": "VP Sales"})
    run(state, hubspot, settings=settings)
    assert ada(hubspot)[1] == "mql"
    edit(hubspot, ADA, fields={"title": "VP Sales", "employees": 500, "feedback": "wrong timing"})
    run(state, hubspot, at=1, settings=settings)
    assert hubspot.records[ADA].current["score"] == 65  # enough for sql
    assert ada(hubspot)[1] == "lead"


def test_a_stage_recycles_to_where_its_exit_would(state):
    model = NEVER_FADES.replace(
        'band = "mql"',
        'band = "mql"\nexit = { field = "score", lt = 0 }\nrecycle = "nurture"\ncool_down = "400d"',
        1,
    )
    hubspot, settings = hot(), tagged(model)
    run(state, hubspot, settings=settings)
    tag(hubspot, "wrong timing")
    run(state, hubspot, at=1, settings=settings)
    assert explained(state, 1, settings)["routing"]["track"] == "nurture"
    # The stage's own cool-down is for its own exit: the tag has a time of its own.
    run(state, hubspot, at=91, settings=settings)
    assert ada(hubspot)[1] == "mql"


def test_whom_a_user_moved_back_already_goes_no_further_back(state):
    hubspot, settings = hot(), tagged(NEVER_FADES + SQL)
    run(state, hubspot, settings=settings)
    assert ada(hubspot)[1] == "sql"
    edit(hubspot, ADA, stage="mql", fields={**hubspot.records[ADA].fields, "feedback": "wrong timing"})
    for at in (1, 20):  # the user's own choice is protected for 14 days
        run(state, hubspot, at=at, settings=settings)
        assert ada(hubspot)[1] == "mql"
    run(state, hubspot, at=91, settings=settings)
    assert ada(hubspot)[1] == "sql"


def test_people_in_a_stage_of_the_crm_stay_there(state):
    hubspot = hot()
    edit(hubspot, ADA, stage="customer", fields={"title": "VP Sales", "feedback": "wrong timing"})
    run(state, hubspot)
    assert ada(hubspot)[1] == "customer"


@pytest.mark.parametrize("value", ["fine", "engaged, needs follow-up"])
def test_a_tag_to_keep_changes_nothing(state, value):
    hubspot = hot()
    tag(hubspot, value)
    result = run(state, hubspot)
    assert ada(hubspot) == ("mql", "mql", "hubspot-ann")
    assert result.notes == []
    assert explained(state)["feedback"] == {"tag": value, "action": "keep", "until": None}


def test_a_tag_that_the_config_does_not_name_is_noted_and_does_nothing(state):
    hubspot = hot()
    tag(hubspot, "xyz")
    for number in (2, 3):
        hubspot.edit(contact(number, fields={"feedback": "xyz"}))
    result = run(state, hubspot)
    assert result.notes == ["feedback: 3 people have the tag 'xyz', which is not in [feedback.tags]"]
    assert ada(hubspot) == ("mql", "mql", "hubspot-ann")
    assert explained(state)["feedback"] == {"tag": "xyz", "action": None, "until": None}


def test_without_feedback_nobody_says_anything_of_a_field_of_that_name(state):
    hubspot, settings = (
        hot(),
        config(
            NEVER_FADES,
            fields={"feedback": {"hubspot": "nps"}, "title": {"hubspot": "t"}, "employees": {"hubspot": "e"}},
        ),
    )
    tag(hubspot, "not a fit")
    assert run(state, hubspot, settings=settings).notes == []
    assert ada(hubspot)[0] == "mql"
    assert explained(state, settings=settings)["feedback"] is None


def test_conditions_read_the_tag(state):
    model = NEVER_FADES.replace(
        'when = { field = "band", is = "mql" }\nto = "sales"',
        'when = { field = "feedback", is = "fine" }\nto = "bob@acme.example"',
    )
    hubspot, settings = hot(), tagged(model)
    run(state, hubspot, settings=settings)
    assert hubspot.records[ADA].owner is None
    tag(hubspot, "fine")
    run(state, hubspot, at=1, settings=settings)
    assert hubspot.records[ADA].owner == "hubspot-bob"


def test_of_several_tags_the_gravest_counts(state):
    hubspot = hot()
    tag(hubspot, ("fine", "not a fit", "wrong timing"))
    run(state, hubspot)
    assert explained(state)["feedback"]["tag"] == "not a fit"
    assert ada(hubspot)[0] == "cold"


def test_S4_25_each_tag_maps_to_its_action_and_is_counted_by_band(state):
    hubspot = hot()
    tag(hubspot, "fine")
    for number, value in enumerate(("not a fit", "not a fit", "wrong timing", "xyz"), start=2):
        hubspot.edit(contact(number, fields={"title": "VP Sales", "feedback": value}))
    hubspot.edit(contact(9, emails=("out@rival.example",), fields={"feedback": "fine"}))
    settings = tagged(exclude={"domains": ["rival.example"]})
    run(state, hubspot, settings=settings)
    said = status_document(settings, state, NOW)
    check_document("status", said)
    assert said["feedback"] == {
        "not a fit": {"cold": 2},
        "wrong timing": {"warm": 1},
        "fine": {"mql": 1},
        "xyz": {"warm": 1},
    }
    assert list(said["feedback"]) == ["not a fit", "wrong timing", "fine", "xyz"]


def test_people_read_it_in_one_line(state, capsys):
    from rich.console import Console

    hubspot = hot()
    run(state, hubspot)
    tag(hubspot, "wrong timing")
    run(state, hubspot, at=1)
    console = Console(width=200)
    print_explanation(console, explained(state, 1))
    print_status(console, status_document(tagged(), state, day(1)))
    printed = capsys.readouterr().out
    assert "Feedback: wrong timing, recycle until 2027-02-20" in printed
    assert "Feedback: wrong timing 1 (mql 1)" in printed


def test_nobody_lacks_a_tag(state):
    hubspot = hot()
    run(state, hubspot)
    said = explained(state)
    assert said["gaps"] == []
    assert said["range"] == {"lowest": 65, "highest": 65, "bands": ["mql"]}
    with state.read() as reading:
        columns = score_inputs.read_columns(reading, [1], sorted(tagged().fields), ["hubspot"])
    scores = score(tagged(), columns, NOW, tagged().zone)
    assert worth_knowing(tagged(), scores, columns, NOW, tagged().zone) == []


def test_we_never_write_the_tag(state):
    hubspot = hot()
    tag(hubspot, "wrong timing")
    run(state, hubspot)
    assert not any("feedback" in change.after for change in hubspot.writes)


def test_looking_does_not_begin_the_time(state):
    hubspot = hot()
    run(state, hubspot)
    tag(hubspot, "wrong timing")
    assert preview_run(work(state, hubspot, now=day(1), settings=tagged())).verdict == "preview"
    run(state, hubspot, at=2)
    assert explained(state, 2)["feedback"]["until"] == day(92).isoformat()


def test_a_test_lead_may_have_a_tag():
    lead = {
        "name": "x",
        "given": {"title": "VP", "feedback": "not a fit"},
        "expect": {"disqualified": "feedback: not a fit"},
    }
    assert failed_tests(tagged(test=[lead]), tagged().zone) == []


def test_a_missing_field_is_created_by_setup_and_keeps_a_crm_out_until_then(state):
    hubspot = hot()
    hubspot.missing = [MissingField("choice", "feedback", "contact", "no such property")]
    with pytest.raises(ConfigError) as told:
        run(state, hubspot)
    assert told.value.next_command == "crmsync setup"


def test_a_field_that_was_there_until_now_leaves_the_last_tags(state):
    hubspot = hot()
    tag(hubspot, "not a fit")
    run(state, hubspot)
    hubspot.missing = [MissingField("choice", "feedback", "contact", "no such property")]
    result = run(state, hubspot, at=1)
    assert any("last known values" in problem for problem in result.problems)
    assert ada(hubspot)[0] == "cold"


# The config


def test_other_tags_are_another_decision_and_are_read_of_the_same_records():
    was, now = tagged(), tagged(feedback={**FEEDBACK, "tags": {**TAGS, "fine": "disqualify"}})
    assert was.model_hash() != now.model_hash()
    assert was.plan_hash() != now.plan_hash()
    assert was.mapping_hash("hubspot") == now.mapping_hash("hubspot")
    assert was.mapping_hash("hubspot") != config(NEVER_FADES).mapping_hash("hubspot")


def test_a_stored_config_reads_as_it_was():
    was = tagged()
    again = config_of(was.decision_text(), was)
    assert again.decision_hash() == was.decision_hash()
    assert [each.name for each in again.disqualify] == ["feedback: not a fit"]


def mistakes(**tables):
    with pytest.raises(ValidationError) as told:
        config(MODEL, **tables)
    return [each.said for each in find_mistakes(told.value.errors(), type(config(MODEL)))]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"later": "call"}, 'write "keep", "disqualify", "task" or { recycle = "90d" }'),
        ({"later": {"recycle": "0d"}}, "greater than 0"),
        ({"later": {"recycle": "90d", "task": "Call"}}, "this key does not exist"),
        ({"a;b": "keep"}, "a semicolon"),
        ({"Fine": "keep", "fine": "keep"}, "differ only in capitals"),
        ({}, "add at least one"),
    ],
)
def test_a_mistake_in_the_tags_has_a_sentence(tags, said):
    assert said in "\n".join(mistakes(feedback={**FEEDBACK, "tags": tags}))


def test_a_second_mapping_and_an_unknown_crm_have_a_sentence():
    found = mistakes(feedback={**FEEDBACK, "field": {"hubspott": "x"}}, fields={"feedback": {"hubspot": "nps"}})
    assert any("remove the one in [fields]" in each for each in found)
    assert any(
        "[feedback] field: there is no CRM" in each
        for each in mistakes(feedback={**FEEDBACK, "field": {"hubspott": "x"}})
    )


def test_a_condition_on_the_tag_needs_feedback():
    route = [
        {"name": "x", "when": {"field": "feedback", "is": "fine"}, "to": "nurture"},
        {"name": "y", "to": "nurture"},
    ]
    assert any("'feedback', which is not in [fields]" in each for each in mistakes(route=route))
    assert tagged(route=route)


def test_the_document_is_what_is_promised(state):
    hubspot = hot()
    tag(hubspot, "wrong timing")
    run(state, hubspot)
    said = explained(state)
    check_document("explain", json.loads(json.dumps(said)))
