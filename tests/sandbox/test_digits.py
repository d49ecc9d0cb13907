"""What looks like a number and is none is the client's mistake, in both CRMs: never a fault of the sandbox."""

import pytest

from connectors.sandbox.digits import is_count

ODD = ["2¹", "²", "٣", "9" * 5000, "--5", "-"]


@pytest.mark.parametrize("text", ODD)
def test_it_is_no_number(text):
    assert not is_count(text)
    assert is_count("9" * 18)


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/crm/v4/associations/contacts/companies/batch/read", lambda it: {"inputs": [{"id": it}]}),
        ("POST", "/crm/v3/associations/contacts/companies/batch/read", lambda it: {"inputs": [{"id": it}]}),
        ("POST", "/crm/v3/objects/contacts/batch/read", lambda it: {"inputs": [{"id": it}], "properties": []}),
        ("POST", "/crm/v3/objects/contacts/search", lambda it: {"limit": it}),
        ("POST", "/crm/v3/objects/contacts/search", lambda it: {"after": it}),
        (
            "POST",
            "/crm/v3/objects/contacts/search",
            lambda it: {
                "filterGroups": [
                    {"filters": [{"propertyName": "hs_object_id", "operator": "EQ", "value": it}]},
                    {"filters": [{"propertyName": "createdate", "operator": "GTE", "value": it}]},
                ]
            },
        ),
        (
            "POST",
            "/crm/v3/objects/contacts/batch/update",
            lambda it: {"inputs": [{"id": it, "properties": {"hubspot_owner_id": it}}]},
        ),
    ],
)
def test_hubspot_answers_it(ask, method, path, body, text):
    assert ask(method, path, body(text)).status < 500
