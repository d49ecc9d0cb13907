"""How soon a contact that was deleted in HubSpot no longer scores the same person's record in Salesforce."""

import pytest

from crmsync.cycle import run_cycle
from crmsync.work import Work
from tests.support.cycles import balanced
from tests.support.hubspot_webhooks import event
from tests.support.runs import alone

HOUR = 3_600


class Pair:
    """Both CRMs, with one connector each, and a lead that is in HubSpot, too, where its person did something."""

    def __init__(self, runs):
        self.runs, self.sandbox = runs, runs.sandbox
        runs.run("hubspot", "salesforce")
        (self.lead,) = alone(runs, "salesforce", "lead", 1)
        runs.do("salesforce", "update", id=self.lead, fields={"Title": "Chief Executive Officer"})
        runs.run("hubspot", "salesforce")
        email = runs.sandbox.snapshot("salesforce")["Lead"][self.lead]["Email"]
        self.crms = {crm: runs.connect(crm) for crm in ("hubspot", "salesforce")}
        self.without = self.score()
        self.contact = runs.do("hubspot", "create", properties={"email": email})["id"]
        runs.do("hubspot", "add_activity", id=self.contact, kind="meeting_held")
        self.run()
        self.beside = runs.do("hubspot", "create", properties={"email": "beside@acme.example"})["id"]
        self.run()
        # From here on the search for meetings looks no more at when that one was logged.
        self.run(2 * HOUR)
        assert self.score() > self.without

    def run(self, seconds=60):
        """The looks into the recycle bin that a run takes."""
        self.sandbox.clock.advance(seconds)
        self.sandbox.calls.clear()
        work = Work(self.runs.config, self.runs.state, self.crms, self.sandbox.clock())
        self.result = balanced(run_cycle(work, approved=True))
        looks = [each for each in self.sandbox.calls.of("hubspot") if "archived=true" in each.query]
        return sum(each.method == "GET" and each.path.endswith("/contacts") for each in looks)

    def score(self):
        return self.runs.scores("salesforce")[self.lead]

    def edit_another(self):
        self.runs.do("hubspot", "update", id=self.beside, properties={"city": f"Turin {self.sandbox.clock()}"})

    def is_gone(self):
        return next(each["gone"] for each in self.runs.rows() if each["ref_id"] == self.contact)


@pytest.fixture
def sandbox(small_sandbox):
    return small_sandbox


@pytest.fixture
def pair(runs):
    made = Pair(runs)
    yield made
    for each in made.crms.values():
        each.close()


def test_R15_a_deleted_contact_scores_nobody_once_a_run_finds_other_changes_an_hour_later(pair):
    pair.runs.do("hubspot", "archive", id=pair.contact)
    pair.edit_another()
    pair.run(HOUR)
    assert pair.score() == pair.without


def test_the_recycle_bin_is_looked_into_once_an_hour_and_never_by_a_run_that_finds_nothing_changed(pair):
    pair.edit_another()
    assert pair.run(HOUR) == 1
    for _ in range(4):
        pair.edit_another()
        assert pair.run(600) == 0
    pair.run(HOUR)  # the search looks back, so that it shows the last edit once more
    for _ in range(6):
        assert pair.run(HOUR) == 0


def test_a_large_recycle_bin_is_looked_into_as_much_more_seldom_but_daily(pair):
    def fill():
        create, archive = (pair.sandbox.portal.actions[each] for each in ("create", "archive"))
        for number in range(250):
            archive({"id": create({"properties": {"email": f"bin{number}@acme.example"}})["id"]})

    pair.sandbox.between_requests(fill)
    pages = []
    for _ in range(30):
        pair.edit_another()
        pages.append(pair.run(HOUR + 1))
    assert pages[:2] == [3, 0]
    assert sum(pages) <= 30 + 3
    assert 3 in [pair.run(HOUR + 1) for _ in range(25)]


@pytest.mark.parametrize("kind", ["contact.deletion", "contact.privacyDeletion", "object.deletion"])
def test_R15_a_webhook_that_names_a_deletion_takes_the_contact_out_of_scores_at_once(pair, kind):
    pair.runs.do("hubspot", "gdpr_delete" if "privacy" in kind else "archive", id=pair.contact)
    portal = str(pair.sandbox.portal.state.portal_id)
    pair.crms["hubspot"]._hints.add([event(pair.contact, portal=portal, kind=kind, objectTypeId="0-1")])
    pair.run()
    assert (pair.is_gone(), pair.score()) == (True, pair.without)


def test_a_webhook_that_names_a_deleted_contact_nobody_knew_leaves_nothing_in_the_state(pair):
    portal = str(pair.sandbox.portal.state.portal_id)
    pair.crms["hubspot"]._hints.add([event(each, portal=portal) for each in (0, 999_999_999_999)])
    before = len(pair.runs.rows())
    pair.run()
    assert len(pair.runs.rows()) == before
