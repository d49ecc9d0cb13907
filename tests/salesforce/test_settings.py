"""The `[salesforce]` table: addresses, log-ins and versions."""

import pytest
from pydantic import ValidationError

import connectors.salesforce as salesforce
from connectors.salesforce.settings import normal_address


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com/", "https://acme.my.salesforce.com"),
        (" https://https://acme.my.salesforce.com/home/home.jsp ", "https://acme.my.salesforce.com"),
        ("https://acme.lightning.force.com/lightning/page/home", "https://acme.my.salesforce.com"),
        ("https://acme--uat.sandbox.lightning.force.com", "https://acme--uat.sandbox.my.salesforce.com"),
        ("https://acme-dev-ed.develop.my.salesforce.com", "https://acme-dev-ed.develop.my.salesforce.com"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ],
)
def test_the_address_is_the_my_domain_of_what_people_paste(given, address):
    assert normal_address(given) == address


@pytest.mark.parametrize(
    "given",
    [
        "https://login.salesforce.com",
        "https://na12.salesforce.com",
        "http://acme.my.salesforce.com",
        "https://acme.my.salesforce.com.evil.io",
        "https://acme.my.salesforce.com@evil.io",
        "https://169.254.169.254",
        "https://evil.io/acme.my.salesforce.com",
        "https://my.salesforce.com",
        "https://acme.my.salesforce.com junk",
        "https://acme.my.salesforce.com/ junk",
        "https://acme.my.salesforce.com:junk",
        'https://ac"me.my.salesforce.com',
    ],
)
def test_a_token_goes_to_salesforce_only(given):
    with pytest.raises(ValueError, match="My Domain"):
        normal_address(given)


@pytest.mark.parametrize(
    "given", [{"auth": "password"}, {"auth": "soap"}, {"password": "x"}, {"security_token": "x", "username": "u"}]
)
def test_log_ins_that_salesforce_retires_are_refused_with_the_way_out(given):
    with pytest.raises(ValidationError, match="External Client App"):
        salesforce.Settings(instance_url="https://acme.my.salesforce.com", **given)


@pytest.mark.parametrize(("given", "version"), [("66.0", "66.0"), ("v66.0", "66.0"), ("67", "67.0")])
def test_the_version_is_spelled_as_salesforce_does(given, version):
    assert salesforce.Settings(instance_url="https://a.my.salesforce.com", api_version=given).api_version == version


def test_a_feed_of_an_unknown_source_is_refused():
    with pytest.raises(ValidationError, match="the sources are Task, Event"):
        salesforce.Settings(instance_url="https://a.my.salesforce.com", activities=[{"source": "Tsk", "kind": "x"}])
