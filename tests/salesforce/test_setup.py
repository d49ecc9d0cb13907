"""Fields, stages and what is left to click."""

from dataclasses import replace

import pytest

from connectors.sandbox.faults import Fault
from crmsync.connector import FieldMap
from tests.support.salesforce import NAMES, connect, do, fault, live


def test_fields_are_created_once_and_visible(sandbox):
    made = connect(sandbox)
    first = made.create_fields()
    assert "Lead.Crmsync_Score__c: created" in first
    assert any("11 fields granted, assigned" in each for each in first)
    assert options(made) == ("New", "MQL")
    score = made._schema.of("Lead")["crmsync_score__c"]
    assert (score.type, score.writable) == ("double", True)
    before = sandbox.snapshot("salesforce")
    again = made.create_fields()
    assert all("found" in each for each in again)
    assert sandbox.snapshot("salesforce") == before


LADDER = {
    "new": {"lead": "Open - Not Contacted", "contact": "New"},
    "mql": {"lead": "Working - Contacted", "contact": "MQL"},
    "sql": {"lead": "Qualified", "contact": "SQL"},
}


def laddered(**more):
    return FieldMap(score_fields=NAMES.score_fields, stages={**LADDER, **more})


def options(made, name="Crmsync_Stage__c"):
    return made._schema.of("Contact")[name.lower()].options


def test_a_new_stage_is_added_to_our_own_picklist_in_its_place(sandbox):
    connect(sandbox).create_fields()
    sandbox.clock.advance(60)
    do(sandbox, "add_picklist_value", object="Contact", field="Crmsync_Stage__c", value="Partner")
    ladder = {"new": LADDER["new"], "raw": {"contact": "Raw"}, **LADDER, "customer": {"contact": "Customer"}}
    made = connect(sandbox, names=FieldMap(score_fields=NAMES.score_fields, stages=ladder))
    [before] = [each for each in made.check().problems if "'Raw'" in each]
    assert before == ("Contact.Crmsync_Stage__c has no active value 'Raw' for the stage 'raw'; crmsync setup adds it")
    told = made.create_fields()
    assert "Contact.Crmsync_Stage__c: the values 'Raw', 'SQL', 'Customer' added" in told
    assert options(made) == ("New", "Raw", "MQL", "SQL", "Customer", "Partner")
    assert not any("Crmsync_Stage__c" in each for each in made.check().problems)
    snapshot = sandbox.snapshot("salesforce")
    assert "Contact.Crmsync_Stage__c: found" in (again := made.create_fields())
    assert not any("added" in each for each in again if "Crmsync_Stage__c" in each)
    assert sandbox.snapshot("salesforce") == snapshot


def test_a_stage_that_was_taken_away_is_given_back(sandbox):
    connect(sandbox).create_fields()
    do(sandbox, "remove_picklist_value", object="Contact", field="Crmsync_Stage__c", value="MQL")
    do(sandbox, "remove_picklist_value", object="Contact", field="Crmsync_Stage__c", value="New")
    made = connect(sandbox, names=FieldMap(score_fields=NAMES.score_fields, stages={"mql": {"contact": "MQL"}}))
    made.create_fields()
    assert options(made) == ("MQL",)


@pytest.mark.parametrize("stage_field", ["Status", "Tier__c"])
def test_the_orgs_own_picklist_gets_clicks_and_no_value(sandbox, stage_field):
    sandbox.do(
        "salesforce", "add_field", object="Lead", field="Tier__c", type="picklist", values=["Open - Not Contacted"]
    )
    made = connect(sandbox, names=laddered(), stage_field={"lead": stage_field, "contact": "Crmsync_Stage__c"})
    told = [each for each in made.create_fields() if each.startswith(f"Lead.{stage_field}: ")]
    assert any(
        "'Qualified'" in each and f"Object Manager > Lead > Fields & Relationships > {stage_field}" in each
        for each in told
    )
    assert "Qualified" not in made._schema.of("Lead")[stage_field.lower()].options
    [problem] = [each for each in made.check().problems if "'Qualified'" in each]
    clicks = f"in Setup > Object Manager > Lead > Fields & Relationships > {stage_field}, click New"
    assert f"crmsync did not create this picklist; {clicks}" in problem
    assert problem.endswith("; or correct [[stage]]")
    assert "crmsync setup" not in problem


def test_without_metadata_rights_a_new_stage_gets_clicks(sandbox):
    connect(sandbox).create_fields()
    sandbox.do("salesforce", "set", metadata_forbidden=True)
    told = connect(sandbox, names=laddered()).create_fields()
    [said] = [each for each in told if "'SQL'" in each]
    assert "insufficient access" in said
    assert "Object Manager > Contact > Fields & Relationships > Crmsync_Stage__c" in said


def test_the_check_sends_to_setup_where_it_cannot_see_whose_picklist_it_is(sandbox):
    connect(sandbox).create_fields()
    fault(sandbox, "answer", "/tooling/query", status=403, body=[{"errorCode": "INSUFFICIENT_ACCESS", "message": "x"}])
    [problem] = [each for each in connect(sandbox, names=laddered()).check().problems if "'SQL'" in each]
    assert problem.endswith("; run: crmsync setup")


def test_a_picklist_of_a_global_value_set_gets_clicks(sandbox):
    connect(sandbox).create_fields()
    asked = {
        "label": "Lifecycle stage",
        "type": "Picklist",
        "valueSet": {"valueSetName": "Stages", "valueSetDefinition": None},
    }
    body = {"FullName": "Contact.Crmsync_Stage__c", "Metadata": asked}
    sandbox.faults.add(
        Fault(
            do="answer", vendor="salesforce", method="GET", path="/tooling/sobjects/CustomField/", status=200, body=body
        )
    )
    told = connect(sandbox, names=laddered()).create_fields()
    assert any("'SQL'" in each and "Picklist Value Sets > Stages" in each for each in told)


@pytest.mark.parametrize("odd", ["x", ["x"], {"valueSetDefinition": "x"}, {"valueSetDefinition": {"value": ["x"]}}])
def test_a_picklist_of_an_odd_shape_gets_clicks(sandbox, odd):
    connect(sandbox).create_fields()
    body = {"Metadata": {"label": "x", "valueSet": odd}}
    fault(sandbox, "answer", "/tooling/sobjects/CustomField/", method="GET", status=200, body=body)
    [said] = [each for each in connect(sandbox, names=laddered()).create_fields() if "'SQL'" in each]
    assert "Object Manager > Contact > Fields & Relationships > Crmsync_Stage__c" in said


def test_a_picklist_whose_definition_is_not_shown_gets_clicks(sandbox):
    connect(sandbox).create_fields()
    fault(sandbox, "answer", "/tooling/query", status=200, body={"records": [], "done": True})
    [said] = [each for each in connect(sandbox, names=laddered()).create_fields() if "'SQL'" in each]
    assert "Object Manager > Contact > Fields & Relationships > Crmsync_Stage__c" in said


def test_an_org_that_forbids_metadata_gets_clicks(sandbox):
    sandbox.do("salesforce", "set", metadata_forbidden=True)
    told = connect(sandbox).create_fields()
    assert any("Object Manager > Lead > Fields & Relationships > New: Number" in each for each in told)


def test_a_field_of_the_wrong_type_is_told(sandbox):
    sandbox.do("salesforce", "add_field", object="Lead", field="Crmsync_Score__c", type="string")
    assert any("its type is string" in each for each in connect(sandbox).create_fields())
    assert any("must be a number" in each for each in connect(sandbox).check().problems)


@pytest.mark.parametrize(("kind", "fits"), [("double", False), ("datetime", False), ("date", True), ("string", True)])
def test_a_date_needs_a_field_that_holds_it_as_it_is_written(sandbox, kind, fits):
    sandbox.do("salesforce", "add_field", object="Lead", field="Crmsync_Since__c", type=kind)
    names = replace(NAMES, score_fields={"stage_since": {"lead": "Crmsync_Since__c"}})
    said = list(connect(sandbox, names=names).create_fields())
    assert any(f"its type is {kind}" in each for each in said) is not fits
    problems = connect(sandbox, names=names).check().problems
    assert any(f"must be a date, not {kind}" in each for each in problems) is not fits


TAGS = ("not a fit", "engaged, needs follow-up")


def tagged(*tags, path="Crmsync_Feedback__c"):
    return replace(NAMES, fields={**NAMES.fields, "feedback": path}, choices={"feedback": tags or TAGS})


def test_the_picklist_for_tags_is_made_with_the_tags_as_values_and_read(sandbox):
    made = connect(sandbox, names=tagged())
    missing = [each for each in made.missing_fields() if each.name == "feedback"]
    assert [(each.role, each.kind) for each in missing] == [("choice", "lead"), ("choice", "contact")]
    assert all("crmsync setup" in each.sentence for each in missing)
    told = made.create_fields()
    assert "Lead.Crmsync_Feedback__c: created" in told
    assert any(each.startswith("Lead.Crmsync_Feedback__c: for your users to fill it in") for each in told)
    for object_ in ("Lead", "Contact"):
        field = made._schema.of(object_)["crmsync_feedback__c"]
        assert (field.type, field.options, field.restricted) == ("picklist", TAGS, True)
    assert not any("Crmsync_Feedback__c" in each for each in made.check().problems)
    lead = live(made)[0].ref
    do(sandbox, "update", object="Lead", id=lead.id, fields={"Crmsync_Feedback__c": "not a fit"})
    (read,) = made.read([lead])
    assert read.fields["feedback"] == "not a fit"


def test_the_integration_user_may_read_the_tags_and_not_edit_them(sandbox):
    connect(sandbox, names=tagged()).create_fields()
    rights = sandbox.snapshot("salesforce")["FieldPermissions"].values()
    found = {each["Field"]: (each["PermissionsRead"], each["PermissionsEdit"]) for each in rights}
    assert found["Lead.Crmsync_Feedback__c"] == (True, False)
    assert found["Lead.Crmsync_Score__c"] == (True, True)
    before = sandbox.snapshot("salesforce")
    connect(sandbox, names=tagged()).create_fields()
    assert sandbox.snapshot("salesforce") == before


def test_a_new_tag_is_added_to_our_own_picklist(sandbox):
    connect(sandbox, names=tagged("fine")).create_fields()
    sandbox.clock.advance(60)
    made = connect(sandbox, names=tagged("wrong timing", "fine"))
    assert any("no active value 'wrong timing'; crmsync setup adds it" in each for each in made.check().problems)
    assert "Lead.Crmsync_Feedback__c: the value 'wrong timing' added" in made.create_fields()
    assert options(made, "Crmsync_Feedback__c") == ("wrong timing", "fine")


def test_a_picklist_of_the_org_gets_clicks_for_tags(sandbox):
    for object_ in ("Lead", "Contact"):
        sandbox.do("salesforce", "add_field", object=object_, field="Outcome__c", type="picklist", values=["fine"])
    made = connect(sandbox, names=tagged("fine", "xyz", path="Outcome__c"))
    told = made.create_fields()
    assert any("the value 'xyz' not added" in each and "or correct [feedback]" in each for each in told)
    assert options(made, "Outcome__c") == ("fine",)


def test_an_org_that_forbids_metadata_gets_clicks_for_tags(sandbox):
    sandbox.do("salesforce", "set", metadata_forbidden=True)
    told = connect(sandbox, names=tagged()).create_fields()
    clicks = "Picklist (restricted) with the values not a fit, engaged, needs follow-up, label 'Lead score: feedback'"
    assert any("Object Manager > Lead" in each and clicks in each for each in told)
