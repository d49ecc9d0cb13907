"""Who is left out."""

import pytest

from crmsync.routing.exclusion import Marks, find_excluded
from crmsync.scoring import columns_of
from tests.support.make import config
from tests.support.scoring import NOW

ADDRESS = "the address is in [exclude] addresses"


def why(addresses=(), exclude=None, on_list=None, **fields):
    """Why one person is left out."""
    columns = columns_of([{"id": "one", "fields": {"title": None, **fields}, "activities": []}])
    (said,) = find_excluded(config(exclude=exclude or {}), columns, [Marks(addresses, on_list)], NOW)
    return said


def test_nobody_is_left_out_without_a_reason():
    assert why(["a@x.example"]) == ""
    assert why([], {"addresses": ["a@x.example"], "domains": ["x.example"]}) == ""


def test_any_address_of_a_person_counts_whatever_its_case():
    assert why(["b@x.example", " A@X.example"], {"addresses": ["a@x.example "]}) == ADDRESS
    assert why(["b@x.example"], {"addresses": ["a@x.example"]}) == ""


@pytest.mark.parametrize(
    ("address", "left_out"),
    [
        ("a@rival.example", True),
        ("a@MAIL.rival.example", True),
        ("a@deep.mail.rival.example", True),
        ("a@notrival.example", False),
        ("a@rival.example.org", False),
        ("rival.example@firm.example", False),
    ],
)
def test_a_domain_holds_for_what_lies_below_it(address, left_out):
    said = "the domain rival.example is in [exclude] domains" if left_out else ""
    assert why([address], {"domains": ["Rival.example"]}) == said


def test_a_condition_leaves_out_and_unknown_values_do_not():
    exclude = {"when": {"field": "title", "contains": "test"}}
    assert why(exclude=exclude, title="Test account") == "title contains test"
    assert why(exclude=exclude, title="VP") == why(exclude=exclude) == ""


def test_an_address_is_named_before_a_condition():
    exclude = {"addresses": ["a@x.example"], "when": {"field": "title", "exists": True}}
    assert why(["a@x.example"], exclude, title="VP") == ADDRESS


def test_a_list_is_told_as_its_crm_calls_it_and_after_an_address():
    assert why(on_list=("hubspot", "Customers")) == 'on the list "Customers"'
    assert why(on_list=("salesforce", "Partners 2026")) == 'in the campaign "Partners 2026"'
    assert why(["a@x.example"], {"addresses": ["a@x.example"]}, ("hubspot", "Customers")) == ADDRESS
    assert why(exclude={"when": {"field": "title", "exists": True}}, on_list=("hubspot", "A"), title="VP").endswith(
        '"A"'
    )
