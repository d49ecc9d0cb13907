"""How an org describes the fields of leads, contacts and accounts."""

from tests.support.salesforce import connect, do


def described(crm):
    return {(each.kind, each.name): each for each in crm.describe_fields()}


def test_fields_come_with_labels_types_and_the_active_values_of_pick_lists(sandbox):
    do(sandbox, "remove_picklist_value", object="Account", field="Industry", value="Apparel")
    found = described(connect(sandbox))
    assert found["lead", "Title"][2:] == ("Title", "text", ())
    assert found["lead", "NumberOfEmployees"][2:4] == ("Number Of Employees", "number")
    assert found["contact", "Account.NumberOfEmployees"].type == "number"
    assert found["contact", "HasOptedOutOfEmail"][3:] == ("yes_no", ())
    assert found["lead", "CreatedDate"].type == "date"
    assert found["lead", "Industry"].choices[:2] == (("Agriculture", "Agriculture"), ("Apparel", "Apparel"))
    assert found["contact", "Account.Industry"].choices[:2] == (("Agriculture", "Agriculture"), ("Banking", "Banking"))
    assert not [name for kind, name in found if kind == "lead" and "." in name]


def test_all_of_it_is_one_call_beside_the_log_in(sandbox):
    described(connect(sandbox))
    asked = [each.path for each in sandbox.calls.of("salesforce") if "oauth" not in each.path]
    assert len(asked) == 1, asked


def test_what_this_user_does_not_see_is_not_described(sandbox):
    do(sandbox, "hide_field", object="Lead", field="Title")
    found = described(connect(sandbox))
    assert ("lead", "Title") not in found
    assert ("contact", "Title") in found


def test_several_choices_are_told_from_one(sandbox):
    do(sandbox, "add_field", object="Lead", field="Plants__c", type="multipicklist", values=["Düsseldorf 🏭", 'A "B"'])
    field = described(connect(sandbox))["lead", "Plants__c"]
    assert field.type == "choices"
    assert [value for value, _label in field.choices] == ["Düsseldorf 🏭", 'A "B"']
