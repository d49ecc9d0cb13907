"""The sandbox's HubSpot: paths of every version, and calls that make no sense."""

import pytest


@pytest.mark.parametrize("version", ["2025-09", "2026-03", "2026-09"])
@pytest.mark.parametrize(
    ("legacy", "dated"),
    [
        ("/crm/v3/objects/contacts", "/crm/objects/{}/contacts"),
        ("/crm/v3/objects/0-1", "/crm/objects/{}/CONTACT"),
        ("/crm/v3/properties/contacts", "/crm/properties/{}/contacts"),
        ("/crm/v3/pipelines/contacts", "/crm/pipelines/{}/contacts"),
        ("/crm/v3/owners/", "/crm/owners/{}/"),
        ("/account-info/v3/details", "/account-info/{}/details"),
        ("/events/v3/events?eventType=e_visited_page", "/events/event-occurrences/{}?eventType=e_visited_page"),
        ("/marketing/v3/forms", "/marketing/forms/{}"),
    ],
)
def test_a_date_moves_through_the_path_and_the_answer_stays(ask, legacy, dated, version):
    one, other = ask.get(legacy), ask.get(dated.format(version))
    one.pop("paging", None), other.pop("paging", None)
    assert one == other


@pytest.mark.parametrize(("switch", "kind"), [("html", "text/html"), ("json", "application/json")])
def test_an_unknown_record_is_a_404(ask, portal, switch, kind):
    portal.actions["set"]({"unknown_id": switch})
    answer = ask("GET", "/crm/v3/objects/contacts/999")
    assert (answer.status_code, answer.headers["content-type"].startswith(kind)) == (404, True)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/crm/v3/objects/contacts?after=x", None),
        ("GET", "/crm/v3/objects/contacts?limit=101", None),
        ("GET", "/crm/v3/owners?after=x", None),
        ("GET", "/events/v3/events?objectId=x", None),
        ("GET", "/events/v3/events?eventType=e_visited_page&after=%21", None),
        ("GET", "/events/v3/events", None),
        ("POST", "/crm/v3/objects/contacts/batch/read", [1]),
        ("POST", "/crm/v3/objects/contacts/batch/read", {"inputs": ["1"]}),
        ("POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": [{"id": "1"}]}),
        ("POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": [{"idProperty": "email"}]}),
        ("POST", "/crm/v3/exports/export/async", {}),
        ("POST", "/crm/v3/imports", {}),
        ("POST", "/crm/associations/2026-09/contacts/notes/batch/read", {"inputs": [{"id": "51", "after": "x"}]}),
    ],
)
def test_nonsense_is_a_400_and_never_a_fault_of_the_sandbox(ask, method, path, body):
    assert ask(method, path, body).status_code == 400


def test_another_method_is_not_allowed_on_a_known_path(ask):
    answer = ask("DELETE", "/crm/v3/objects/contacts/batch/read")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert ask("PUT", "/crm/owners/2026-09").headers["allow"] == "GET"


def test_an_unknown_path_is_a_page_and_an_unknown_type_a_sentence(ask):
    page = ask("GET", "/crm/v3/nonsense")
    assert "<html>" in page.text
    assert page.headers["content-type"] == "text/html;charset=iso-8859-1"
    answer = ask("GET", "/crm/v3/objects/butterflies")
    assert (answer.status_code, answer.json()["message"]) == (400, "Unable to infer object type from: butterflies")


def test_a_version_can_be_retired(ask, portal):
    portal.actions["set"]({"retired": ["v3"]})
    assert [ask("GET", path).status_code for path in ("/crm/v3/owners", "/crm/owners/2026-09")] == [404, 200]


def test_an_address_can_be_too_long(ask):
    assert ask("GET", "/crm/v3/objects/contacts", properties="x" * 16_001).status_code == 414
