"""A portal that has no companies, and answers 404 wherever they are asked for: everything else is read and written."""

from dataclasses import replace

import pytest

from connectors.sandbox.faults import Fault
from crmsync.errors import Unavailable
from tests.support.hubspot import NAMES, calls, contacts, hubspot, update
from tests.support.pages import pulled

SAID = [
    {"status": "error", "message": "resource not found"},
    {"status": "error", "message": "Unable to infer object type from: companies", "category": "OBJECT_NOT_FOUND"},
]
ACCOUNTS_ALONE = replace(NAMES, fields={"title": "jobtitle"}, companies=True)


@pytest.fixture(params=SAID)
def without(request, sandbox, ready):
    sandbox.faults.add(Fault(do="answer", vendor="hubspot", path="/companies", status=404, body=request.param))
    return sandbox


@pytest.mark.parametrize("names", [NAMES, replace(NAMES, companies=True), ACCOUNTS_ALONE])
def test_a_portal_without_companies_is_pulled_all_the_same_and_the_pull_says_what_that_means(without, names):
    connector = hubspot(without, names)
    everybody = {str(each) for each in without.portal.state.contacts.live}
    pages = list(connector.contacts(None))
    assert {each.ref.id for page in pages for each in page.items} == everybody
    (told,) = {each for page in pages for each in page.left_out}
    assert "never hold" in told
    found, cursor = contacts(connector)
    assert {each.company for each in found.values()} == {None}
    assert {frozenset(each.unread) for each in found.values()} == {frozenset(names.fields) - {"title", "country"}}
    without.clock.advance(7200)
    update(without, min(everybody), jobtitle="Chief Executive Officer")
    changed = contacts(connector, cursor)[0][min(everybody)]
    assert changed.fields["title"] == "Chief Executive Officer"
    assert [each.ref for each in connector.read([changed.ref])] == [changed.ref]


def test_a_quiet_pull_of_a_portal_without_companies_asks_for_them_once_at_most(without):
    connector = hubspot(without, replace(NAMES, companies=True))
    _, cursor = contacts(connector)
    without.clock.advance(7200)
    connector.account()
    without.calls.clear()
    pulled(connector.contacts(cursor))
    assert len(calls(without, "companies")) <= 1


def test_fields_of_companies_that_there_cannot_be_keep_no_portal_out(without):
    connector = hubspot(without)
    assert connector.missing_fields() == []
    checked = connector.check()
    assert checked.problems == ()
    (told,) = (each for each in checked.notes if "companies" in each)
    assert "never hold" in told


def test_where_something_between_answers_404_no_companies_are_taken_for_none(sandbox, ready):
    _, cursor = contacts(ready)
    sandbox.clock.advance(7200)
    sandbox.faults.add(Fault(do="answer", vendor="hubspot", path="/companies", status=404, body="<html>gone</html>"))
    with pytest.raises(Unavailable, match="404"):
        pulled(ready.contacts(cursor))
