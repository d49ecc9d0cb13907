"""The properties that crmsync makes in a portal."""

from dataclasses import replace

import pytest

from connectors.sandbox.faults import Fault
from tests.support.hubspot import NAMES, YES_NO, change, contacts, create, hubspot, post, properties, refused


def test_create_fields_is_done_once(sandbox):
    connector = hubspot(sandbox)
    first, second = connector.create_fields(), connector.create_fields()
    assert sum("created" in each for each in first) == 4
    assert not any("created" in each for each in second)
    assert connector.check().problems == ()


def test_an_existing_property_of_the_wrong_type_is_named(sandbox):
    wrong = {"name": "ls_score", "label": "x", "type": "bool", "fieldType": "booleancheckbox", "options": YES_NO}
    post(sandbox, "/crm/v3/properties/contacts", **wrong)
    connector = hubspot(sandbox)
    assert any("ls_score" in each and "type bool" in each for each in connector.create_fields())
    assert any("ls_score" in each for each in connector.check().problems)


def test_a_date_property_is_made_for_a_date_and_no_other_type_fits(sandbox):
    wrong = {"name": "ls_since", "label": "x", "type": "datetime", "fieldType": "date"}
    post(sandbox, "/crm/v3/properties/contacts", **wrong)
    names = replace(NAMES, score_fields={"stage_since": "ls_since"})
    assert any("needs date" in each for each in hubspot(sandbox, names=names).create_fields())
    names = replace(NAMES, score_fields={"stage_since": "ls_day"})
    assert any("created" in each and "ls_day" in each for each in hubspot(sandbox, names=names).create_fields())
    assert not any("ls_day" in each for each in hubspot(sandbox, names=names).check().problems)


def test_the_points_of_a_channel_are_a_number_with_its_name(sandbox):
    names = replace(NAMES, score_fields={"channels.web": "ls_web"})
    assert any("created" in each and "ls_web" in each for each in hubspot(sandbox, names=names).create_fields())
    assert not hubspot(sandbox, names=names).check().problems
    person = create(sandbox, email="ada@x.example")
    written = change(person, **{"channels.web": 12.5})
    assert all(each.ok for each in hubspot(sandbox, names=names).write([written]))
    assert properties(sandbox, person)["ls_web"] == "12.5"


def test_an_archived_property_of_the_same_name_is_named(sandbox, ready):
    sandbox.do("hubspot", "hide_property", property="ls_score")
    assert any("ls_score" in each and "restore" in each for each in ready.create_fields())


@pytest.mark.parametrize("status", [404, 405])
def test_properties_are_made_where_the_groups_cannot_be_listed(sandbox, status):
    sandbox.faults.add(Fault(method="GET", path="/groups$", **refused(status=status, message="Not here")))
    connector = hubspot(sandbox)
    assert sum("created" in each for each in connector.create_fields()) == 4
    sandbox.do("hubspot", "hide_property", property="ls_band")
    assert "ls_band" in " ".join(connector.create_fields())


TAGS = ("not a fit", "engaged, needs follow-up")


def tagged(*tags, prop="ls_feedback"):
    return replace(NAMES, fields={**NAMES.fields, "feedback": prop}, choices={"feedback": tags or TAGS})


def options(connector):
    return connector._portal.definitions("contacts")["ls_feedback"].options


def test_the_property_for_tags_is_made_with_the_tags_as_options_and_read(sandbox):
    connector = hubspot(sandbox, tagged())
    (missing,) = [each for each in connector.missing_fields() if each.name == "feedback"]
    assert (missing.role, "create it with crmsync setup" in missing.sentence) == ("choice", True)
    assert "created the HubSpot property 'ls_feedback'" in connector.create_fields()
    made = connector._portal.definitions("contacts")["ls_feedback"]
    assert (made.type, made.field_type, made.options) == ("enumeration", "select", TAGS)
    assert connector.check().problems == ()
    person = create(sandbox, email="ada@x.example", ls_feedback="not a fit")
    assert contacts(connector)[0][person].fields["feedback"] == "not a fit"


def test_a_new_tag_is_added_to_our_own_property_behind_the_others(sandbox):
    hubspot(sandbox, tagged("fine")).create_fields()
    connector = hubspot(sandbox, tagged("wrong timing", "fine"))
    said = "[feedback] tags: the HubSpot property 'ls_feedback' has no option 'wrong timing'; crmsync setup adds it"
    assert said in connector.check().problems
    assert "added 'wrong timing' to the HubSpot property 'ls_feedback'" in connector.create_fields()
    assert options(connector) == ("fine", "wrong timing")
    assert "the HubSpot property 'ls_feedback' exists" in connector.create_fields()


def test_a_property_of_somebody_else_gets_no_options(sandbox):
    post(sandbox, "/crm/v3/properties/contacts", name="ls_feedback", label="x", type="enumeration", fieldType="select",
         options=YES_NO)  # fmt: skip
    connector = hubspot(sandbox, tagged("fine"))
    assert any("has no option 'fine': add it in HubSpot" in each for each in connector.create_fields())
    [problem] = [each for each in connector.check().problems if "'fine'" in each]
    assert problem.endswith("; add it in HubSpot, or correct [feedback]")
    assert options(connector) == ("true", "false")


def test_a_text_property_holds_any_tag(sandbox):
    connector = hubspot(sandbox, tagged(prop="jobtitle"))
    assert "the HubSpot property 'jobtitle' exists" in connector.create_fields()
    assert connector.check().problems == ()
