"""HubSpot lists: found by name or id, read to their end, and not read again while nobody joins or leaves."""

from dataclasses import replace

import pytest

from connectors.hubspot import memberships
from connectors.sandbox.faults import Fault
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Ref
from tests.support.hubspot import NAMES, calls, create, hubspot


@pytest.fixture
def crm(sandbox):
    connector = hubspot(sandbox)
    yield connector
    connector.close()


def put(sandbox, name="Customers", **what):
    sandbox.clock.advance(30)
    return sandbox.do("hubspot", "put_on_list", name=name, **what)["id"]


def read(crm, asked="Customers", known=""):
    (found,) = crm.list_members({asked: known})
    return found


def people(sandbox, count=3):
    return [create(sandbox, email=f"member{number}@acme.example") for number in range(count)]


@pytest.mark.parametrize("version", ["2026-09", "v3"])
def test_a_list_is_found_by_its_name_or_its_id(sandbox, version):
    ids = people(sandbox)
    list_id = put(sandbox, add=ids)
    put(sandbox, name="Customers of old")
    crm = hubspot(sandbox, api_version=version)
    members = frozenset(Ref("hubspot", "contact", each) for each in ids)
    for asked in ("Customers", " customers ", list_id):
        found = read(crm, asked)
        assert (found.asked, found.id, found.name, found.members) == (asked, list_id, "Customers", members)
    crm.close()


def test_a_name_of_digits_is_a_name_where_no_list_has_that_id(sandbox, crm):
    list_id = put(sandbox, name="2026")
    assert read(crm, "2026").id == list_id


def test_every_page_of_a_list_is_read(sandbox, crm, monkeypatch):
    monkeypatch.setattr(memberships, "PAGE", 2)
    ids = people(sandbox, 5)
    put(sandbox, add=ids)
    assert {each.id for each in read(crm).members} == set(ids)
    assert len(calls(sandbox, "/memberships")) == 3


def test_every_page_of_a_search_is_read(sandbox, crm, monkeypatch):
    monkeypatch.setattr(memberships, "FOUND_AT_ONCE", 1)
    put(sandbox, name="Customers of old")
    list_id = put(sandbox)
    assert read(crm).id == list_id


@pytest.mark.parametrize("moves", ["told", "untold"])
def test_members_are_read_again_when_somebody_joined_or_left(sandbox, crm, moves):
    sandbox.do("hubspot", "set", list_moves=moves)
    one, two, three = people(sandbox)
    put(sandbox, add=[one])
    first = read(crm)
    assert read(crm, known=first.version).members is None
    put(sandbox, add=[two, three])
    second = read(crm, known=first.version)
    assert {each.id for each in second.members} == {one, two, three}
    put(sandbox, remove=[one])
    assert {each.id for each in read(crm, known=second.version).members} == {two, three}


def test_one_who_joins_where_another_leaves_is_noticed_at_once_if_hubspot_tells_and_within_an_hour_if_not(sandbox, crm):
    one, two, _ = people(sandbox)
    put(sandbox, add=[one])
    first = read(crm)
    put(sandbox, add=[two], remove=[one])
    assert {each.id for each in read(crm, known=first.version).members} == {two}
    sandbox.do("hubspot", "set", list_moves="untold")
    first = read(crm)
    sandbox.portal.actions["put_on_list"]({"name": "Customers", "add": [one], "remove": [two]})
    sandbox.clock.advance(3_600)
    crm.owners()
    assert {each.id for each in read(crm, known=first.version).members} == {one}


def test_a_deleted_list_a_twin_and_a_list_of_companies_are_told(sandbox, crm):
    gone = put(sandbox)
    sandbox.do("hubspot", "delete_list", id=gone)
    said = "HubSpot has no list 'Customers', or the token may not see it; if it was renamed or deleted, correct"
    assert read(crm).problem == f"{said} [exclude] lists"
    put(sandbox, name="Twins", type="0-2")
    assert read(crm, "Twins").problem.startswith("the HubSpot list 'Twins' is not of contacts")
    one, two = put(sandbox, name="Twins", twin=True), put(sandbox, name="Twins", twin=True)
    said = f"HubSpot has 2 lists with the name 'Twins'; write the id into [exclude] lists: {one} or {two}"
    assert read(crm, "Twins").problem == said
    assert read(crm, one).problem == ""


def test_one_list_that_cannot_be_found_keeps_no_other_from_being_read(sandbox, crm):
    put(sandbox, add=people(sandbox, 1))
    missing, found = crm.list_members({"Nobody": "", "Customers": ""})
    assert missing.problem
    assert len(found.members) == 1


def test_a_list_that_hubspot_is_filling_is_not_half_read(sandbox, crm):
    put(sandbox, add=people(sandbox), status="PROCESSING")
    assert read(crm).problem == "HubSpot is still filling the list 'Customers'; crmsync reads it in the next run"
    kept = read(crm, known="of before")
    assert (kept.version, kept.members, kept.problem) == ("of before", None, "")


def test_a_list_that_breaks_off_is_not_half_read(sandbox, crm, monkeypatch):
    monkeypatch.setattr(memberships, "PAGE", 2)
    put(sandbox, add=people(sandbox, 5))
    sandbox.faults.add(Fault(path="/memberships$", first=2, times=50, do="answer", status=500, body={}))
    with pytest.raises(Unavailable):
        list(crm.list_members({"Customers": ""}))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search$", {}),
        ("/search$", {"lists": ["x"]}),
        ("/search$", {"lists": [{"name": "Customers"}]}),
        ("/memberships$", {"results": [{"recordId": None}]}),
    ],
)
def test_an_answer_without_ids_is_no_answer(sandbox, crm, path, body):
    put(sandbox, add=people(sandbox))
    sandbox.faults.add(Fault(path=path, times=50, do="answer", status=200, body=body))
    with pytest.raises(Unavailable):
        list(crm.list_members({"Customers": ""}))


def test_a_token_without_the_scope_is_told_which_one_to_add(sandbox):
    sandbox.do("hubspot", "set", scopes=["crm.objects.contacts.read"])
    crm = hubspot(sandbox)
    said = "this HubSpot token is not allowed to find lists: add the scope crm.lists.read under Development → Keys"
    with pytest.raises(ConfigError) as raised:
        list(crm.list_members({"Customers": ""}))
    assert str(raised.value) == said
    crm.close()


def test_check_tells_lists_that_cannot_be_used(sandbox):
    crm = hubspot(sandbox, replace(NAMES, lists=["Customers", "Partners"]))
    crm.create_fields()
    put(sandbox)
    (said,) = crm.check().problems
    assert said.startswith("HubSpot has no list 'Partners'")
    crm.close()
