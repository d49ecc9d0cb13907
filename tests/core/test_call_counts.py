"""How many calls HubSpot gets from a daemon and from a first run, over HTTP, and that nothing is missed for it."""

from collections import Counter

import pytest

from connectors.sandbox.faults import Fault
from crmsync.config.deciding import Route
from crmsync.cycle import run_cycle
from crmsync.errors import Unavailable
from crmsync.store import schema
from crmsync.work import Work
from tests.support.cycles import balanced

QUARTER = 900
"""Seconds between two runs of a daemon."""

EVENTS = ("content_downloaded", "webinar_registered", "webinar_attended", "event_registered", "event_attended")


class Daemon:
    """Runs with one connector, a quarter of an hour apart; `start` is what a restart does."""

    def __init__(self, runs):
        self.runs, self.sandbox = runs, runs.sandbox
        self.start()

    def start(self):
        self.crm = self.runs.connect("hubspot")

    def run(self, seconds=QUARTER):
        """The calls of a run by their path."""
        self.sandbox.clock.advance(seconds)
        self.sandbox.calls.clear()
        work = Work(self.runs.config, self.runs.state, {"hubspot": self.crm}, self.sandbox.clock())
        self.result = balanced(run_cycle(work, approved=True))
        return [each.path.replace("/2026-09", "") for each in self.sandbox.calls.of("hubspot")]

    def settle(self):
        """Until nothing is left to be read or written."""
        for _ in range(3):
            self.run()
        return self

    def log(self, type_, of):
        """Something that somebody keeps of a contact without a change of the contact itself; its id for crmsync."""
        at = self.sandbox.clock().isoformat().replace("+00:00", "Z")
        made = self.sandbox.do("hubspot", "create", type=type_, properties={"hs_timestamp": at})["id"]
        # The sandbox's own way, like HubSpot's, changes the contact.
        self.sandbox.portal.state.links.add((type_, "contacts"), int(made), int(of), False)
        return f"{type_}:{made}"

    def knows(self, *ids):
        return set(ids) <= {each["id"] for each in self.runs.rows(schema.activity)}


@pytest.fixture
def daemon(runs):
    """A daemon at rest on a portal that has every source of the default config."""
    for kind in EVENTS:
        who = runs.sandbox.do("hubspot", "create", properties={"email": f"{kind}@acme.example"})["id"]
        runs.sandbox.do("hubspot", "add_activity", id=who, kind=kind)
    return Daemon(runs).settle()


def somebody(daemon):
    return str(daemon.sandbox.portal.state.contacts.live[0])


def test_a_daemon_at_rest_makes_six_calls_a_run_at_most(daemon):
    made = [daemon.run() for _ in range(16)]
    assert sum(map(len, made)) / len(made) <= 6
    assert min(map(len, made)) == 3  # whose portal it is, and whether contacts or companies changed
    assert not daemon.sandbox.calls.writes("hubspot")


def test_definitions_and_owners_are_asked_for_once_an_hour(daemon):
    for _ in range(3):
        asked = Counter(path for _ in range(4) for path in daemon.run() if "properties" in path or "owners" in path)
        assert asked == {"/crm/properties/contacts": 1, "/crm/properties/companies": 1, "/crm/owners": 2}


def test_every_source_is_read_within_two_hours(daemon):
    asked = Counter(path for _ in range(8) for path in daemon.run())
    engagements = ("calls", "emails", "meetings", "notes", "communications", "tasks")
    assert {kind: asked[f"/crm/objects/{kind}/search"] for kind in engagements} == dict.fromkeys(engagements, 1)
    assert asked["/events/event-occurrences"] >= len(EVENTS) + 1
    assert asked["/crm/objects/contacts/search"] == 8 + 1  # once whether somebody sent a form


def test_what_happens_in_sources_at_rest_is_found_in_time_and_nothing_is_lost(daemon):
    ids = []
    for type_ in ("calls", "notes", "meetings", "notes", "calls", "calls"):
        ids.append(daemon.log(type_, somebody(daemon)))
        daemon.run()
    for _ in range(8):
        daemon.run()
    assert daemon.knows(*ids)


def test_what_happens_to_a_contact_is_found_in_the_next_run(daemon):
    daemon.run()
    before = len(daemon.runs.rows(schema.activity))
    for kind in ("page_viewed", "meeting_held", "form_submitted", "webinar_attended"):
        daemon.sandbox.do("hubspot", "add_activity", id=somebody(daemon), kind=kind)
    daemon.run()
    assert len(daemon.runs.rows(schema.activity)) == before + 4


def test_a_source_of_which_something_came_is_read_in_every_run_for_an_hour(daemon):
    first = daemon.log("calls", somebody(daemon))
    while not daemon.knows(first):
        daemon.run()
    for _ in range(3):
        following = daemon.log("calls", somebody(daemon))
        assert "/crm/objects/notes/search" not in daemon.run()
        assert daemon.knows(following)


def test_a_change_whose_run_was_cut_off_wakes_the_sources_all_the_same(daemon):
    daemon.sandbox.do("hubspot", "update", id=somebody(daemon), properties={"jobtitle": "Clerk"})
    made = daemon.log("notes", somebody(daemon))
    daemon.sandbox.faults.add(Fault(do="answer", status=500, path="companies/search"))
    with pytest.raises(Unavailable):
        daemon.run()
    daemon.sandbox.faults.clear()
    daemon.run()
    assert daemon.result.crms["hubspot"].pulled == 0  # the contact was stored before
    assert daemon.knows(made)


def test_a_source_whose_activities_change_no_contact_does_not_rest_for_a_day(daemon):
    first = daemon.log("calls", somebody(daemon))
    while not daemon.knows(first):
        daemon.run()
    asked = Counter(path for _ in range(16) for path in daemon.run())
    assert asked["/crm/objects/calls/search"] == 16
    assert asked["/crm/objects/notes/search"] <= 3
    for _ in range(80):
        daemon.run()
    assert Counter(path for _ in range(16) for path in daemon.run())["/crm/objects/calls/search"] <= 3


def test_a_restart_reads_every_source(daemon):
    made = daemon.log("notes", somebody(daemon))
    daemon.run()
    assert not daemon.knows(made)
    daemon.start()
    daemon.run()
    assert daemon.knows(made)


def test_an_owner_whom_nobody_knows_makes_owners_be_asked_for_again(daemon):
    for path in iter(daemon.run, None):
        if "/crm/owners" in path:
            break
    new = daemon.sandbox.do("hubspot", "add_owner", email="new.rep@ourproduct.example")["id"]
    daemon.sandbox.do("hubspot", "update", id=somebody(daemon), properties={"hubspot_owner_id": new})
    assert daemon.run().count("/crm/owners") == 2
    assert new in {each["id"] for each in daemon.runs.rows(schema.owner)}
    assert "/crm/owners" not in daemon.run()


@pytest.mark.parametrize(("kind", "name"), [("contacts", "jobtitle"), ("companies", "numberofemployees")])
def test_R33_a_property_that_goes_within_the_hour_is_no_empty_one(daemon, kind, name):
    for path in iter(daemon.run, None):
        if "/crm/owners" in path:
            break
    fields = {each["ref_id"]: each["fields"] for each in daemon.runs.rows()}
    scores = daemon.runs.scores("hubspot")
    daemon.sandbox.do("hubspot", "hide_property", type=kind, property=name)
    for each in list(daemon.sandbox.portal.state.records[kind].live):
        daemon.sandbox.do("hubspot", "update", type=kind, id=str(each), properties={"city": "Turin"})
    daemon.run()
    assert {each["ref_id"]: each["fields"] for each in daemon.runs.rows()} == fields
    assert daemon.runs.scores("hubspot") == scores
    daemon.run()
    assert any(name in problem for problem in daemon.result.problems)
    daemon.sandbox.do("hubspot", "show_property", type=kind, property=name)
    daemon.run()
    for each in list(daemon.sandbox.portal.state.contacts.live):
        daemon.sandbox.do("hubspot", "update", id=str(each), properties={"city": "Milan"})
    daemon.run()
    assert {each["ref_id"]: each["fields"] for each in daemon.runs.rows()} == fields
    assert daemon.result.problems == []


def test_R33_a_property_that_goes_is_told_within_the_hour_though_nothing_changes(daemon):
    daemon.sandbox.do("hubspot", "hide_property", property="jobtitle")
    for _ in range(4):
        daemon.run()
    assert any("jobtitle" in problem for problem in daemon.result.problems)
    daemon.sandbox.do("hubspot", "show_property", property="jobtitle")
    daemon.run()
    assert daemon.result.problems == []


def first_run(runs, count, share):
    """The calls of a first run in which each of so many people in a hundred gets a stage and an owner."""
    create = runs.sandbox.portal.actions["create"]

    def fill():
        for number in range(count):
            title = "VP Sales" if number % 100 < share else "Clerk"
            create({"properties": {"email": f"p{number}@firm{number}.example", "jobtitle": title}})

    runs.sandbox.between_requests(fill)
    warm = {"name": "Warm", "to": runs.config.owner_pool[0].name, "when": {"field": "band", "is": "warm"}}
    stages = [each.model_copy(update={"band": "warm"}) if each.name == "mql" else each for each in runs.config.stage]
    update = {"stage": stages, "route": [Route.model_validate(warm)]}
    runs.config = runs.config.model_copy(update=update)
    daemon = Daemon(runs)
    made = Counter(daemon.run())
    changed = [each["after"] for each in runs.rows(schema.change)]
    personal = sum('"stage"' in each and '"owner"' in each for each in changed)
    assert daemon.result.crms["hubspot"].updated == len(changed) >= count
    return made, len(changed) / 1_000, personal / len(changed)


WRITING = ("/crm/objects/contacts/batch/update", "/crm/objects/contacts/batch/read")


def test_a_first_run_takes_twenty_one_calls_to_write_a_thousand_people_a_quarter_of_them_with_stage_and_owner(runs):
    made, thousands, personal = first_run(runs, 2_000, 26)
    assert personal >= 0.25
    assert sum(made[path] for path in WRITING) / thousands <= 21
    assert made["/crm/objects/contacts"] <= 10 * thousands + 8
