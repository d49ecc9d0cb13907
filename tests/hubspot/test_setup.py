"""The properties that crmsync makes in a portal."""

from tests.support.hubspot import YES_NO, hubspot, post


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


def test_an_archived_property_of_the_same_name_is_named(sandbox, ready):
    sandbox.do("hubspot", "hide_property", property="ls_score")
    assert any("ls_score" in each and "restore" in each for each in ready.create_fields())
