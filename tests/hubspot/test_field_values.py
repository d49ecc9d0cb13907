"""Values that portals keep in odd places and types: as a rule reads them, and what check says of them beforehand."""

from dataclasses import replace

from crmsync.lint import lint_fields
from tests.support.hubspot import NAMES, YES_NO, contacts, create, hubspot, post
from tests.support.make import config
from tests.support.scoring import fit_rule, model, total

SPELLED = replace(NAMES, fields={"employees": "numemployees", "employees#2": "size_text", "demo": "wants_demo"})
FIELDS = """
[hubspot]
[bands]
cold = 0
[fields]
employees = { hubspot = ["numemployees", "size_text"] }
demo = { hubspot = "wants_demo" }
"""


def test_v3_v4_a_size_kept_as_text_and_a_checkbox_made_by_the_api(sandbox):
    made = {"name": "wants_demo", "label": "Wants a demo", "type": "enumeration", "fieldType": "booleancheckbox"}
    post(sandbox, "/crm/v3/properties/contacts", **made, options=YES_NO)
    post(sandbox, "/crm/v3/properties/contacts", name="size_text", label="Size", type="string", fieldType="text")
    contact = create(sandbox, email="size@acme.example", size_text="500", wants_demo="true")
    fields = contacts(hubspot(sandbox, SPELLED))[0][contact].fields
    assert fields == {"employees#2": "500", "demo": True}
    size, demo = fit_rule(10, "Size", field="employees", gte=200), fit_rule(5, "Demo", field="demo", **{"is": True})
    assert total(model(fit=[size, demo]), employees=fields["employees#2"], demo=fields["demo"]) == 15

    described = {"hubspot": ("HubSpot", hubspot(sandbox, SPELLED).describe_fields())}
    said = [each.sentence for each in lint_fields(config(FIELDS, fit=[size, demo]), described)]
    assert any(each.startswith("size_text is text in HubSpot; the rule 'Size' asks for a number") for each in said)
    assert not any("wants_demo" in each for each in said)


def test_a_further_property_that_is_not_there_is_called_by_the_name_of_the_field(sandbox):
    names = replace(NAMES, fields={"employees": "company.numberofemployees", "employees#2": "no_such_size"})
    (missing,) = [each for each in hubspot(sandbox, names).missing_fields() if each.role == "field"]
    assert missing.name == "employees"
    assert missing.sentence.startswith("[fields] employees: HubSpot has no property 'no_such_size'")
