"""The contacts behind the addresses that forms were sent from."""

import pytest

from connectors.sandbox.faults import Fault
from tests.support.hubspot import FORMS, calls, create, hubspot, refused, sent
from tests.support.pages import pulled


@pytest.mark.parametrize("merges", [1, 3, 9])
def test_forms_sent_from_an_address_that_a_merge_made_the_second_one_are_the_survivors(sandbox, merges):
    survivor = create(sandbox, email="first@acme.example")
    for number in range(merges):
        other = create(sandbox, email=f"Second{number}@Acme.example")
        sent(sandbox, other)
        survivor = sandbox.do("hubspot", "merge", id=survivor, other=other)["id"]
    found, _ = pulled(hubspot(sandbox, activities=FORMS).activities(None))
    assert sum(each.ref.id == survivor for each in found) == merges


def test_many_strange_addresses_are_looked_for_with_few_searches(sandbox):
    survivor = create(sandbox, email="first@acme.example")
    for number in range(30):
        other = create(sandbox, email=f"stranger{number}@acme.example")
        sent(sandbox, other)
        if number == 7:
            survivor = sandbox.do("hubspot", "merge", id=survivor, other=other)["id"]
        else:
            sandbox.do("hubspot", "archive", id=other)
    sandbox.calls.clear()
    found, _ = pulled(hubspot(sandbox, activities=FORMS).activities(None))
    assert sum(each.ref.id == survivor for each in found) == 1
    # One asks whether contacts show the form that they sent last.
    assert len(calls(sandbox, "/contacts/search")) == 1 + 1


def test_more_second_addresses_than_fit_a_page_are_searched_for_by_what_they_are(sandbox, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.email_lookup.SEARCH_PAGE", 3)
    survivor = create(sandbox, email="first@acme.example")
    for number in range(8):
        other = create(sandbox, email=f"second{number}@acme.example")
        main = create(sandbox, email=f"main{number}@acme.example")
        sent(sandbox, other)
        survivor = sandbox.do("hubspot", "merge", id=main, other=other)["id"]
    found, _ = pulled(hubspot(sandbox, activities=FORMS).activities(None))
    assert sum(each.ref.id == survivor for each in found) == 1
    assert len(calls(sandbox, "/contacts/search")) == 3 + 1


def test_a_portal_that_cannot_search_second_addresses_keeps_the_other_forms(sandbox):
    survivor, other = create(sandbox, email="first@acme.example"), create(sandbox, email="second@acme.example")
    sent(sandbox, other)
    sandbox.do("hubspot", "merge", id=survivor, other=other)
    sandbox.faults.add(Fault(**refused(400, message="no such property"), path="/contacts/search"))
    assert pulled(hubspot(sandbox, activities=FORMS).activities(None))[0] != []


def test_what_is_typed_for_an_address_and_is_none_does_no_harm(sandbox):
    for number, address in enumerate(("*@acme.example", "x" * 4_000 + "@acme.example", "none", "a b@\N{ROCKET}")):
        contact_id = create(sandbox, email=f"typo{number}@acme.example")
        sandbox.portal.state.contacts.by_id[int(contact_id)].properties["email"] = address
        sent(sandbox, contact_id)
        sandbox.do("hubspot", "archive", id=contact_id)
    found, _ = pulled(hubspot(sandbox, activities=FORMS).activities(None))
    assert found
    assert {each.ref.id for each in found} <= {str(contact_id) for contact_id in sandbox.portal.state.contacts.live}


def test_the_addresses_of_all_forms_are_looked_up_together(sandbox):
    for number in range(130):
        sent(sandbox, create(sandbox, email=f"sender{number}@acme.example"), form=f"Form {number % 20}")
    sandbox.calls.clear()
    found, _ = pulled(hubspot(sandbox, activities=FORMS).activities(None))
    assert len(found) >= 130
    assert len(calls(sandbox, "/contacts/batch/read")) == 2
