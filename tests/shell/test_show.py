"""Every change of a run or plan as an admin meets it, and what the CRMs reject, by cause."""

import csv
import io
from contextlib import closing
from dataclasses import replace

import pytest

from crmsync.config import load
from crmsync.cycle import preview_run, run_cycle
from crmsync.model import Protection, Receipt, Ref
from crmsync.reporting.changes import describe_protection
from crmsync.store.database import open_store
from crmsync.store.protections import ListedProtection
from tests.support import make
from tests.support.commands import crmsync, settings_alone, write_model
from tests.support.cycles import DAYS, edit, two_crms
from tests.support.make import activity, contact, crm, work

KEYS = {"person", "name", "record", "field", "before", "after", "outcome", "why"}
ADA = Ref("hubspot", "contact", "1")


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    with settings_alone(monkeypatch, {}):
        yield


@pytest.fixture
def path(tmp_path):
    return write_model(tmp_path, make.MODEL)


@pytest.fixture
def state(path):
    with closing(open_store(f"sqlite:///{path.parent}/state.db")) as made:
        yield made


def go(path, state, *crms, at=DAYS[0], act=run_cycle):
    return act(work(state, *crms, now=at, settings=load(path)))


def shown(path, *words):
    ended = crmsync("show", *words, "--json", "-c", path)
    assert ended.code == 0, ended.out
    assert all(row.keys() == KEYS for row in ended.json["changes"])
    return ended.json


def test_every_change_of_a_run_is_a_row_a_field_with_addresses_and_stages_by_name(path, state):
    hubspot, salesforce = two_crms()
    edit(hubspot, ADA, name="Ada Ng", stage="lead")
    ran = go(path, state, hubspot, salesforce)
    found = shown(path, ran.run)
    mine = {row["field"]: row for row in found["changes"] if row["record"] == "hubspot:contact:1"}
    assert (mine["stage"]["before"], mine["stage"]["after"]) == ("lead", "mql")
    assert (mine["owner"]["before"], mine["owner"]["after"]) == (None, "ann@acme.example")
    assert mine["owner"]["why"].startswith("round robin in pool sales")
    assert (mine["score"]["before"], mine["score"]["after"], mine["score"]["outcome"]) == (None, 65, "updated")
    assert mine["score"]["why"].startswith("mql, 65 points: Demo requested +30")
    assert mine["score"]["name"] == "Ada Ng"
    assert len({row["person"] for row in found["changes"]}) == 3
    written = sum(len(change.after) for of in (hubspot, salesforce) for change in of.writes)
    assert len(found["changes"]) == written
    assert found["counts"] == {"hubspot": {"updated": 2}, "salesforce": {"updated": 2}}
    assert (found["verdict"], found["command"], found["held"], found["approved"]) == ("ok", "sync", None, None)


def test_one_person_of_a_run_in_both_crms(path, state):
    ran = go(path, state, *two_crms())
    for who in ("ada@x.example", "00Q1", "hubspot:contact:1"):
        records = {row["record"] for row in shown(path, ran.run, who)["changes"]}
        assert records == {"hubspot:contact:1", "salesforce:lead:00Q1"}
    ended = crmsync("show", ran.run, "ghost@x.example", "-c", path)
    assert ended.code == 2
    assert "nobody was found" in ended.err


def test_latest_is_the_newest_run_and_before_any_run_the_newest_plan(path, state):
    hubspot, salesforce = two_crms()
    plan = go(path, state, hubspot, salesforce, act=preview_run)
    seen = shown(path, "latest")
    assert (seen["run"], seen["verdict"]) == (plan.run, "preview")
    assert {row["outcome"] for row in seen["changes"]} == {"planned"}
    assert {row["after"] for row in seen["changes"] if row["field"] == "owner"} == {"ann@acme.example"}
    assert seen["next"].startswith(f"crmsync apply {plan.run}")
    ran = go(path, state, hubspot, salesforce)
    assert shown(path, "latest")["run"] == ran.run


def test_latest_is_the_plan_just_made_though_runs_came_before_it(path, state):
    hubspot, salesforce = two_crms()
    go(path, state, hubspot, salesforce)
    hubspot.edit(replace(hubspot.records[ADA], changed_at=DAYS[1], fields={"title": "Clerk"}))
    plan = go(path, state, hubspot, salesforce, at=DAYS[1], act=preview_run)
    seen = shown(path, "latest", "ada@x.example")
    assert (seen["run"], seen["verdict"]) == (plan.run, "preview")
    assert {row["outcome"] for row in seen["changes"]} == {"planned"}
    ran = go(path, state, hubspot, salesforce, at=DAYS[2])
    assert shown(path, "latest")["run"] == ran.run


def test_a_plan_that_waits_says_why_and_the_run_that_held_it_names_it(path, state):
    hubspot = crm("hubspot")
    for number in range(1, 4):
        hubspot.edit(contact(number, fields={"title": "VP Sales"}))
    path.write_text(path.read_text() + "\n[guard]\nfirst_run = 2\n")
    ran = go(path, state, hubspot)
    seen = shown(path, ran.run)
    assert (seen["verdict"], seen["held"]) == ("held", ran.held.run)
    waits = shown(path, ran.held.run)
    assert waits["verdict"] == "waiting"
    assert "first_run allows 2" in waits["reasons"][0]
    assert len({row["record"] for row in waits["changes"]}) == 3
    ended = crmsync("show", ran.run, "-c", path)
    assert f"crmsync show {ran.held.run}" in ended.out
    ended = crmsync("show", ran.held.run, "-c", path)
    assert "held for approval" in ended.out
    assert f"crmsync apply {ran.held.run}" in ended.out


def test_a_partly_updated_record_says_which_field_and_why(path, state):
    hubspot, _ = two_crms()
    taken = hubspot.write

    def write(changes, narrow=list):
        for receipt in taken(changes, narrow):
            yield replace(receipt, refused={"band": "not an option"}) if receipt.ref == ADA else receipt

    hubspot.write = write
    ran = go(path, state, hubspot)
    mine = {row["field"]: row for row in shown(path, ran.run)["changes"] if row["record"] == "hubspot:contact:1"}
    assert (mine["band"]["outcome"], mine["band"]["why"]) == ("rejected", "not an option")
    assert mine["score"]["outcome"] == "updated"


def test_on_a_terminal_of_80_columns_names_come_before_ids(path, state, monkeypatch):
    hubspot, salesforce = two_crms()
    edit(hubspot, ADA, name="Ada Ng")
    ran = go(path, state, hubspot, salesforce)
    ended = crmsync("show", ran.run, "ada@x.example", "-c", path)
    assert "Ada Ng, hubspot contact 1: updated" in ended.out
    assert "  score: (empty) → 65" in ended.out
    assert "  owner: unassigned → ann@acme.example" in ended.out
    assert "hubspot-ann" not in ended.out
    assert not [line for line in ended.out.splitlines() if len(line) > 80 and not line.startswith("  why: ")]


def test_an_owner_whom_the_crm_does_not_list_any_more_is_no_id(path, state):
    hubspot = two_crms()[0]
    ran = go(path, state, hubspot)
    hubspot.people = [each for each in hubspot.people if each.id != "hubspot-ann"]
    go(path, state, hubspot, at=DAYS[1])
    (row,) = [row for row in shown(path, ran.run)["changes"] if row["field"] == "owner"]
    assert row["after"] == "(unknown user)"


def test_an_unknown_run_says_how_to_list_them(path, state):
    go(path, state, *two_crms())
    ended = crmsync("show", "20200101-000000-abcd", "-c", path, "--json")
    assert ended.code == 2
    assert "there is no run or plan 20200101-000000-abcd" in ended.json["problems"][0]
    assert "crmsync status" in ended.json["next"]


def test_before_the_first_run_there_is_nothing_to_show(path):
    ended = crmsync("show", "latest", "-c", path, "--json")
    assert (ended.code, ended.json["next"]) == (2, f"crmsync plan --config {path}")


# What a plan leaves as it is


def moved_back(path, state):
    """Ada, whom a user moved back to lead, and who would be mql; after a run that took notice."""
    hubspot, _ = two_crms()
    edit(hubspot, ADA, name="Ada Ng", stage="lead")
    go(path, state, hubspot)
    edit(hubspot, ADA, stage="lead")
    ran = go(path, state, hubspot, at=DAYS[1])
    assert ran.crms["hubspot"].protected == {"stage_changed_by_a_user": 1}
    return hubspot, ran


def test_what_a_run_protects_is_listed_by_name_with_the_reason_and_the_day_it_ends(path, state):
    _hubspot, ran = moved_back(path, state)
    found = shown(path, ran.run)
    assert found["changes"] == []
    assert found["protected"] == [
        {
            "person": 2, "name": "Ada Ng", "record": "hubspot:contact:1", "field": "stage", "before": "lead",
            "after": "mql", "outcome": "protected", "why": "stage changed by a user, until 2026-12-06",
        }
    ]  # fmt: skip
    assert shown(path, ran.run, "hubspot:contact:2")["protected"] == []
    words = crmsync("show", ran.run, "-c", path).out
    assert "Protected, so not changed: 1 value of 1 record\nAda Ng, hubspot contact 1\n" in words
    assert "  stage stays lead, not mql: stage changed by a user, until 2026-12-06" in words


def test_what_a_preview_protects_is_kept_with_it_and_goes_with_the_record(path, state):
    hubspot, ran = moved_back(path, state)
    hubspot.happen(activity("more", hubspot.records[ADA], kind="page_viewed", url="https://x.example/pricing"))
    plan = go(path, state, hubspot, at=DAYS[2], act=preview_run)
    found = shown(path, plan.run)
    assert {row["field"] for row in found["changes"]} >= {"score"}
    (row,) = found["protected"]
    assert (row["name"], row["field"], row["before"], row["after"]) == ("Ada Ng", "stage", "lead", "mql")
    assert shown(path, ran.run)["protected"]
    edit(hubspot, ADA, gone=True)
    go(path, state, hubspot, at=DAYS[3])
    assert shown(path, ran.run)["protected"] == shown(path, plan.run)["protected"] == []


@pytest.mark.parametrize(
    ("why", "until", "said"),
    [
        ("on_hold", None, "on hold (the CRM rejects it): a rule says no"),
        ("owner_changed_by_a_user", 1_780_000_000_000, "owner changed by a user, until 2026-05-28"),
        ("changed_back_by_others", None, "another tool keeps changing it back"),
        ("salesforce_was_never_read", None, "salesforce was never read"),
    ],
)
def test_each_reason_to_leave_a_field_is_told_in_words(why, until, said):
    kept = Protection(why, "owner", "1", "2", until)
    assert describe_protection(ListedProtection(1, ADA, "Ada Ng", "", kept, "a rule says no")) == said


# What the CRMs reject


def refusing(*numbers):
    """A HubSpot that takes nothing of some people."""
    hubspot = crm("hubspot")
    for number in range(1, 5):
        made = contact(number, fields={"title": "VP Sales"})
        hubspot.edit(made)
        hubspot.happen(activity(number, made))
    taken = hubspot.write

    def write(changes, narrow=list):
        for change in changes:
            if change.ref.id in numbers:
                said = f"=the record {change.ref.id}00000 is locked by an approval"
                yield Receipt(change.ref, ok=False, code="LOCKED", reason=said)
            else:
                yield from taken([change], narrow)

    hubspot.write = write
    return hubspot


def test_what_the_crms_reject_is_listed_by_cause_with_people_and_what_helps(path, state):
    go(path, state, refusing("1", "3"))
    (group,) = crmsync("status", "--refused", "--json", "-c", path).json["refused"]
    assert (group["crm"], group["records"], group["people"]) == ("hubspot", 2, 2)
    assert group["cause"] == "=the record … is locked by an approval"
    assert group["examples"] == ["person1@firm.example", "person3@firm.example"]
    assert "correct it in hubspot" in group["fix"]
    ended = crmsync("status", "--refused", "-c", path)
    assert ended.code == 0
    assert "2 records, rejected by the CRM" in ended.out


def test_what_the_crms_reject_as_csv(path, state, tmp_path):
    go(path, state, refusing("1", "3"))
    file = tmp_path / "refused.csv"
    ended = crmsync("status", "--refused", "--csv", file, "-c", path)
    assert (ended.code, ended.out, "1 row written" in ended.err) == (0, "", True)
    (row,) = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    assert (row["crm"], row["records"], row["people"]) == ("hubspot", "2", "2")
    assert row["cause"].startswith("'=the record")
    assert row["examples"] == "person1@firm.example; person3@firm.example"


def test_nothing_is_rejected(path, state):
    go(path, state, *two_crms())
    assert crmsync("status", "--refused", "--json", "-c", path).json == {"refused": []}
    assert "No CRM rejects anything" in crmsync("status", "--refused", "-c", path).out


@pytest.mark.parametrize("words", ["--csv x.csv", "--refused --csv x.csv --json", "--refused --health"])
def test_a_file_is_for_the_list_alone(path, words):
    assert crmsync("status", *words.split(), "-c", path).code == 2
