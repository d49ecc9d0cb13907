"""What a portal says of itself: properties, stages, owners and its account."""

import pytest

from connectors.sandbox.faults import Fault
from crmsync.connector import FieldMap
from tests.support.hubspot import YES_NO, calls, change, contacts, create, hubspot, post, refused
from tests.support.pages import pulled


def test_a_property_that_was_removed_is_unknown_and_said_so(sandbox, ready):
    sandbox.do("hubspot", "hide_property", property="jobtitle")
    found, _ = contacts(ready)
    assert len(found) == len(sandbox.portal.state.contacts.live)
    assert not any("title" in each.fields for each in found.values())
    assert any("jobtitle" in problem and "unknown" in problem for problem in ready.check().problems)


def test_nine_hundred_properties_do_not_make_an_address_too_long(sandbox):
    names = {f"p{number}": f"custom_property_{number}" for number in range(400)}
    for name in names.values():
        post(sandbox, "/crm/v3/properties/contacts", name=name, label=name, type="string", fieldType="text")
    create(sandbox, email="wide@acme.example", custom_property_399="yes")
    found, cursor = contacts(hubspot(sandbox, FieldMap(fields=names)))
    assert [each.fields["p399"] for each in found.values() if "p399" in each.fields] == ["yes"]
    assert all(len(each.query) < 8_000 for each in calls(sandbox))
    changed, _ = contacts(hubspot(sandbox, FieldMap(fields=names)), cursor)
    assert any(each.fields.get("p399") == "yes" for each in changed.values())


def test_owners_come_with_the_deactivated_ones(sandbox, ready):
    first = ready.owners()[0]
    sandbox.do("hubspot", "archive_owner", id=first.id)
    found = {each.id: each.active for each in hubspot(sandbox).owners()}
    assert found[first.id] is False
    assert any(found.values())


def test_a_yes_or_no_that_was_made_by_the_api_is_one(sandbox):
    made = {"name": "wants_demo", "label": "x", "type": "enumeration", "fieldType": "booleancheckbox"}
    post(sandbox, "/crm/v3/properties/contacts", **made, options=YES_NO)
    wants = create(sandbox, email="a@acme.example", wants_demo="true")
    connector = hubspot(sandbox, FieldMap(fields={"demo": "wants_demo"}))
    assert contacts(connector)[0][wants].fields == {"demo": True}


@pytest.mark.parametrize("asked_first", ["missing_fields", "stage_order"])
def test_a_run_asks_for_the_properties_of_each_kind_once(sandbox, ready, asked_first):
    cursor, behind = contacts(ready)[1], pulled(ready.activities(None))[1]
    for _ in range(2):
        sandbox.clock.advance(3600)
        sandbox.calls.clear()
        ready.account()
        if asked_first == "missing_fields":
            ready.missing_fields()
        _, cursor = contacts(ready, cursor)
        _, behind = pulled(ready.activities(behind))
        ready.stage_order()
        list(ready.write([change(create(sandbox, email=f"{cursor[-9:]}@acme.example"), score=1)]))
        asked = [each.path for each in calls(sandbox, "/properties/")]
        assert len(asked) == len(set(asked)) == 2
        assert len(calls(sandbox, "account-info")) == 2  # the pull of a test asks by itself


def test_the_order_of_stages_is_told_with_those_of_the_admin(sandbox, ready):
    default = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead")
    rest = ("opportunity", "customer", "evangelist", "other")
    assert ready.stage_order() == {"contact": (*default, *rest)}
    sandbox.do("hubspot", "add_stage", id="7000123", label="Nurture", before="marketingqualifiedlead")
    assert hubspot(sandbox).stage_order() == {"contact": (*default[:2], "7000123", *default[2:], *rest)}
    sandbox.do("hubspot", "hide_property", property="lifecyclestage")
    assert hubspot(sandbox).stage_order() == {}


def test_the_account_is_known_even_without_its_endpoint(sandbox, ready):
    expected = ready.account()
    sandbox.faults.add(Fault(**refused(403, message="no"), path="account-info"))
    assert hubspot(sandbox).account() == expected
