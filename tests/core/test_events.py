"""Events from files, through whole runs: each once, whoever they are of, and whatever is wrong with a line."""

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from crmsync.config.events import EventSource
from crmsync.cycle import run_cycle
from crmsync.events.rows import read_event
from crmsync.events.source import read_pages
from crmsync.model import Ref
from crmsync.store import schema
from crmsync.store.events import count_events
from crmsync.store.forgetting import forget_records
from crmsync.store.queries import crm_counts, find_contacts
from tests.support.cycles import NEVER_FADES, edit, run, totals
from tests.support.make import NOW, config, contact, crm, work
from tests.support.state import rows

MODEL = NEVER_FADES.replace(
    "[[stage]]",
    """[[behavior]]
name = "Invited a colleague"
points = 10
on = "invitation_sent"

[[behavior]]
name = "Paid plan looked at"
points = 5
on = "feature_used"
where = { feature = "billing" }

[[stage]]""",
    1,
)
GUARD = {"owners": 1, "scores": 1, "bands": 1, "stages": 1}
EVENTS = {"name": "product", "columns": {"kind": "event"}, "attributes": ["feature"]}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "usage"
    made.mkdir()
    return made


@pytest.fixture
def hubspot():
    made = crm("hubspot")
    for number in (1, 2):
        made.edit(contact(number))
    return made


def event(number, email="person1@firm.example", event="invitation_sent", hours=1, **values):
    at = (NOW - timedelta(hours=hours)).isoformat()
    return {"id": f"e{number}", "at": at, "event": event, "email": email, **values}


def lines(*events):
    return "".join(json.dumps(each) + "\n" for each in events)


def go(state, folder, *crms, hours=0, **over):
    source = {**EVENTS, "folder": str(folder), **over}
    return run(state, *crms, at=NOW + timedelta(hours=hours), model=MODEL, events=[source], guard=GUARD)


def behavior(of, number=1):
    return of.records[Ref(of.name, "contact", str(number))].current["behavior"]


def kept(state):
    with state.read() as reading:
        return count_events(reading, "product")


def stored(state):
    return len([each for each in rows(state, schema.activity) if each["crm"] == "product"])


def test_an_event_counts_for_whoever_has_its_address_and_once_however_often_it_is_said(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(event(1), event(1), event(2, "PERSON2@firm.example ", hours=3)))
    (folder / "b.csv").write_text(
        f"id,at,event,email,feature\ne1,{NOW.isoformat()},invitation_sent,person1@firm.example,\n"
        f'e3,{NOW.isoformat()},feature_used,person1@firm.example,"billing"\n'
    )
    result = go(state, folder, hubspot)
    assert (result.verdict, result.problems) == ("ok", [])
    assert (behavior(hubspot, 1), behavior(hubspot, 2)) == (15, 10)
    again = go(state, folder, hubspot, hours=1)
    assert (again.events["product"].read, sum(each.planned for each in again.crms.values())) == (0, 0)
    assert (kept(state).events, kept(state).last_day, kept(state).waiting) == (3, int(NOW.timestamp()) // 86_400, 0)


def test_what_a_file_gains_is_read_and_nothing_else(state, folder, hubspot):
    file = folder / "a.jsonl"
    file.write_text(lines(event(1)))
    go(state, folder, hubspot)
    with file.open("a") as more:
        more.write(lines(event(2)) + json.dumps(event(3))[:40])
    result = go(state, folder, hubspot, hours=1)
    assert (result.events["product"].read, result.problems, behavior(hubspot)) == (1, [], 20)
    with file.open("a") as more:
        more.write(json.dumps(event(3))[40:])  # whole, and the line has no end yet
    assert go(state, folder, hubspot, hours=2).events["product"].read == 1
    assert behavior(hubspot) == 30
    with file.open("a") as more:
        more.write("\n" + lines(event(4)))
    go(state, folder, hubspot, hours=3)
    assert behavior(hubspot) == 40


def test_the_last_line_of_a_csv_file_counts_once_the_file_stopped_growing(state, folder, hubspot):
    file = folder / "a.csv"
    file.write_text(f"id,at,event,email\ne1,{NOW.isoformat()},invitation_sent,person1@firm.exam")
    assert go(state, folder, hubspot).events["product"].read == 0
    with file.open("a") as more:
        more.write("ple")
    assert go(state, folder, hubspot, hours=1).events["product"].read == 0
    assert go(state, folder, hubspot, hours=2).events["product"].read == 1
    assert go(state, folder, hubspot, hours=3).events["product"].read == 0
    with file.open("a") as more:
        more.write(f"\ne2,{NOW.isoformat()},invitation_sent,person1@firm.example\n")
    go(state, folder, hubspot, hours=4)
    assert behavior(hubspot) == 20


BROKEN = {
    "no JSON": ("{", "is not JSON"),
    "a list": ("[1]", "is not a JSON object"),
    "no id": (json.dumps({**event(1), "id": ""}), "has no id (id)"),
    "no time": (json.dumps({**event(1), "at": None}), "has no time (at)"),
    "another time": (json.dumps({**event(1), "at": "yesterday"}), "has a time that cannot be read (at)"),
    "a day": (json.dumps({**event(1), "at": "2026-11-20"}), "has a time that cannot be read (at)"),
    "no zone": (
        json.dumps({**event(1), "at": "2026-11-20T10:00:00"}),
        "has a time without a zone; write timezone into [[events]] (at)",
    ),
    "long ago": (json.dumps({**event(1), "at": "1960-11-20T10:00:00Z"}), "has a time that cannot be read (at)"),
    "no type": (json.dumps({**event(1), "event": ""}), "has no activity type (event)"),
    "nobody": (json.dumps({**event(1), "email": ""}), "names nobody: no email, record or domain"),
    "no address": (json.dumps({**event(1), "email": "Ann"}), "has an e-mail address that is none (email)"),
    "no CRM": (json.dumps({**event(1), "record": "17"}), "has the id of a record without its CRM; write crm into"),
    "too large an id": (
        json.dumps(event(1)).replace('"e1"', "123456789012345678901234"),
        "has an id that is too large",
    ),
    "no text": (b"\xff\xfe{}", "is not JSON"),
}


@pytest.mark.parametrize("why", BROKEN)
def test_a_line_that_cannot_be_read_is_named_and_loses_no_other(state, folder, hubspot, why):
    bad, said = BROKEN[why]
    raw = bad if isinstance(bad, bytes) else bad.encode()
    (folder / "a.jsonl").write_bytes(lines(event(8)).encode() + raw + b"\n" + lines(event(9)).encode())
    result = go(state, folder, hubspot)
    (problem,) = result.problems
    assert problem.startswith(f"product: not read, because a.jsonl line 2 {said}")
    assert (result.verdict, result.events["product"].unreadable, behavior(hubspot)) == ("partial", 1, 20)
    assert go(state, folder, hubspot, hours=1).problems == []


def test_lines_of_csv_that_cannot_be_read_lose_no_other(state, folder, hubspot):
    good = [f"e{number},{NOW.isoformat()},invitation_sent,person1@firm.example" for number in range(4)]
    (folder / "a.csv").write_text(
        "\n".join(["id,at,event,email", good[0], 'e7,"open,x,y', good[1], "e8,1,2", good[2], "", good[3], ""])
    )
    go(state, folder, hubspot)
    result = go(state, folder, hubspot, hours=1)  # the mark that is open may be closed by what is still to come
    assert [each.partition("because ")[2] for each in result.problems] == [
        "a.csv line 3 has a quotation mark that is never closed",
        "a.csv line 5 has 3 values; the first line names 4",
    ]
    assert behavior(hubspot) == 40


def test_a_file_that_is_another_one_or_gone_or_renamed_loses_nothing(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(event(1), event(2)))
    go(state, folder, hubspot)
    (folder / "a.jsonl").rename(folder / "a.1.jsonl")
    (folder / "a.jsonl").write_text(lines(event(3)))
    go(state, folder, hubspot, hours=1)
    assert behavior(hubspot) == 30
    (folder / "a.1.jsonl").unlink()
    (folder / "a.jsonl").write_text(lines(event(4), event(5)))
    go(state, folder, hubspot, hours=2)
    assert behavior(hubspot) == 50


def test_a_source_that_cannot_be_read_sits_out_and_the_rest_goes_on(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(event(1)))
    result = go(state, folder / "missing", hubspot)
    assert result.verdict == "partial"
    assert result.skipped == {
        "product": f"there is no folder {folder / 'missing'}; create it, or correct folder in [[events]]"
    }
    assert behavior(hubspot) == 0
    assert go(state, folder, hubspot, hours=1).verdict == "ok"
    assert behavior(hubspot) == 10


def test_events_wait_for_their_person_and_follow_them_through_edits_and_merges(state, folder, hubspot):
    (folder / "a.jsonl").write_text(
        lines(event(1, "new@firm.example"), event(2, "", record="hubspot:3", hours=2), event(3, "old@firm.example"))
    )
    go(state, folder, hubspot)
    assert (kept(state).waiting, kept(state).unmatched) == (3, 3)
    hubspot.edit(contact(3, emails=("new@firm.example",)))
    go(state, folder, hubspot, hours=1)
    assert (behavior(hubspot, 3), kept(state).waiting) == (20, 1)
    edit(hubspot, Ref("hubspot", "contact", "3"), emails=("other@firm.example",))
    go(state, folder, hubspot, hours=2)
    assert (behavior(hubspot, 3), kept(state).waiting) == (10, 2)
    hubspot.edit(contact(4, emails=("old@firm.example",)))
    go(state, folder, hubspot, hours=3)
    assert behavior(hubspot, 4) == 10
    for number in (3, 4):
        del hubspot.records[Ref("hubspot", "contact", str(number))]
    hubspot.edit(contact(5, emails=("other@firm.example", "old@firm.example"), aliases=("3", "4")))
    go(state, folder, hubspot, hours=4)
    assert (behavior(hubspot, 5), kept(state).waiting) == (20, 1)


def test_an_event_joins_nobody_and_an_address_of_many_matches_nobody(state, folder, hubspot):
    salesforce = crm("salesforce")
    salesforce.edit(contact("00Q1", "salesforce", "lead", emails=("lead@firm.example",), stage="lead"))
    for number in range(10, 17):
        hubspot.edit(contact(number, emails=("info@firm.example",)))
    (folder / "a.jsonl").write_text(
        lines(event(1, record="salesforce:lead:00Q1"), event(2), event(3, "info@firm.example"))
    )
    go(state, folder, hubspot, salesforce)
    assert behavior(hubspot) == 10
    assert salesforce.records[Ref("salesforce", "lead", "00Q1")].current["behavior"] == 10
    assert kept(state).waiting == 1


def test_nothing_that_somebody_did_stays_when_their_crm_erases_them(state, folder, hubspot):
    ada = Ref("hubspot", "contact", "1")
    (folder / "a.jsonl").write_text(lines(event(1), event(2, "person2@firm.example")))
    go(state, folder, hubspot)
    edit(hubspot, ada, gone=True)
    go(state, folder, hubspot, hours=1)
    assert (stored(state), kept(state).waiting) == (2, 1)  # they may come back
    del hubspot.records[ada]
    settings = config(MODEL, events=[{**EVENTS, "folder": str(folder)}], guard=GUARD)
    run_cycle(work(state, hubspot, now=NOW + timedelta(hours=2), settings=settings), full=True)
    assert stored(state) == 1
    assert not [each for each in rows(state, schema.record) if each["ref_id"] == "person1@firm.example"]
    assert not [each for each in rows(state, schema.identity) if "person1@" in each["key"]]


def test_of_who_is_forgotten_no_event_stays_and_none_comes_again(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(event(1), event(2, "", record="hubspot:contact:1", hours=2)))
    go(state, folder, hubspot)
    with state.begin() as writing:
        forget_records(writing, [writing.scalar(select(schema.record.c.id).where(schema.record.c.ref_id == "1"))])
    assert stored(state) == 0
    (folder / "b.jsonl").write_text(lines(event(3), event(4, "", record="hubspot:1")))
    go(state, folder, hubspot, hours=1)
    assert stored(state) == 0
    assert not [each for each in rows(state, schema.record) if "person1@" in each["ref_id"]]


def test_lines_of_csv_with_marks_in_odd_places_lose_no_other(state, folder, hubspot):
    at, mail = NOW.isoformat(), "person1@firm.example"
    texts = ['5" pipe', "plain", '6" pipe', '"quoted, and\nover two lines"', '"a ""word"""', "x"]
    rest = [f"e{number},{at},invitation_sent,{mail},{text}" for number, text in enumerate(texts)]
    (folder / "a.csv").write_text(
        "\n".join(["id,at,event,email,feature", *rest, f'e9,{at},feature_used,{mail},"a"b', ""])
    )
    result = go(state, folder, hubspot)
    assert result.problems == ["product: not read, because a.csv line 9 is not CSV"]
    assert behavior(hubspot) == 60
    facts = [json.loads(each["attributes"]).get("feature") for each in rows(state, schema.fact)]
    assert sorted(facts) == ['5" pipe', '6" pipe', 'a "word"', "plain", "quoted, and\nover two lines", "x"]


def test_a_file_that_cannot_be_opened_keeps_no_other_from_being_read(state, folder, hubspot, monkeypatch):
    (folder / "a.jsonl").write_text(lines(event(1)))
    (folder / "b.jsonl").write_text(lines(event(2)))
    opened = Path.open

    def refuse(self, *args, **more):
        if self.name == "a.jsonl":
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        result = go(state, folder, hubspot)
    said = "files that cannot be read: a.jsonl (Permission denied); all others were read"
    assert (result.skipped, behavior(hubspot)) == ({"product": said}, 10)
    go(state, folder, hubspot, hours=1)
    assert behavior(hubspot) == 20


def test_what_is_dated_in_the_future_is_named_and_counts_when_its_time_has_come(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(event(1, hours=-48)))
    result = go(state, folder, hubspot)
    assert result.problems == ["product: a.jsonl line 1 is dated in the future; it counts from that time on"]
    assert behavior(hubspot) == 0
    assert go(state, folder, hubspot, hours=49).problems == []
    assert behavior(hubspot) == 10


def test_times_are_read_with_their_zone(state, folder, hubspot):
    times = ["2026-11-20T10:00:00+01:00", "2026-11-20 09:00:00.123456789 UTC", "2026-11-20 10:00:00+01", 1795165200]
    times += ["1795165200000", "2026-11-20T10:00:00"]
    (folder / "a.jsonl").write_text(lines(*(event(number, at=at) for number, at in enumerate(times))))
    go(state, folder, hubspot, timezone="Europe/Berlin")
    assert {each["at"] for each in rows(state, schema.activity)} == {1795165200}
    assert totals(state)


def test_types_are_named_by_the_config_and_no_others_taken(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(event(1, event="Invite Sent"), event(2, event="Noise")))
    result = go(state, folder, hubspot, kinds={"Invite Sent": "invitation_sent"})
    assert (result.events["product"].read, result.events["product"].others, result.problems) == (1, 1, [])
    assert behavior(hubspot) == 10


def test_a_lead_that_is_converted_and_a_record_that_is_merged_keep_what_was_said_of_their_ids(state, folder):
    salesforce = crm("salesforce")
    lead = contact("00Q5g00000AbCdEEAV", "salesforce", "lead", emails=("l@firm.example",), stage="lead")
    other = contact("00Q5g00000AbCdFEAV", "salesforce", "lead", emails=("m@firm.example",), stage="lead")
    for each in (lead, other):
        salesforce.edit(each)
    (folder / "a.jsonl").write_text(
        lines(event(1, "", record="00Q5g00000AbCdE"), event(2, "", record="00Q5g00000AbCdFEAV", hours=2))
    )
    go(state, folder, salesforce, crm="salesforce")
    assert [each.current["behavior"] for each in salesforce.records.values()] == [10, 10]
    person = contact("0035g00000AbCdEEAV", "salesforce", emails=("l@firm.example",))
    salesforce.edit(person)
    edit(salesforce, lead.ref, converted_into=person.ref)
    edit(salesforce, other.ref, gone=True, merged_into=lead.ref)
    go(state, folder, salesforce, hours=1, crm="salesforce")
    assert salesforce.records[person.ref].current["behavior"] == 20
    assert kept(state).waiting == 0
    del salesforce.records[lead.ref], salesforce.records[other.ref]  # purged: the contact still has what was said
    of = config(MODEL, events=[{**EVENTS, "folder": str(folder), "crm": "salesforce"}], guard=GUARD)
    for hours in (2, 3):
        run_cycle(work(state, salesforce, now=NOW + timedelta(hours=hours), settings=of), full=True)
        assert salesforce.records[person.ref].current["behavior"] == 20
        assert kept(state).waiting == 0
    salesforce.edit(contact(3, "salesforce"))
    del salesforce.records[person.ref]
    run_cycle(work(state, salesforce, now=NOW + timedelta(hours=4), settings=of), full=True)
    assert stored(state) == 0


def test_a_merged_record_that_is_erased_takes_nothing_from_its_survivor(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(event(1), event(2, "person2@firm.example", hours=2)))
    go(state, folder, hubspot)
    del hubspot.records[Ref("hubspot", "contact", "1")]
    both = ("person2@firm.example", "person1@firm.example")
    hubspot.edit(contact(2, emails=both, aliases=("1",)))
    go(state, folder, hubspot, hours=1)
    of = config(MODEL, events=[{**EVENTS, "folder": str(folder)}], guard=GUARD)
    run_cycle(work(state, hubspot, now=NOW + timedelta(hours=2), settings=of), full=True)
    go(state, folder, hubspot, hours=3)
    assert (behavior(hubspot, 2), stored(state), kept(state).waiting) == (20, 2, 0)


def test_what_is_read_otherwise_is_read_again_and_a_source_that_is_left_out_keeps_what_it_brought(
    state, folder, hubspot
):
    (folder / "a.jsonl").write_text(lines({**event(1), "type": "feature_used", "feature": "billing"}))
    go(state, folder, hubspot)
    assert behavior(hubspot) == 10
    go(state, folder, hubspot, hours=1, columns={"kind": "type"})
    assert behavior(hubspot) == 5
    assert stored(state) == 1
    run(state, hubspot, at=NOW + timedelta(hours=2), model=MODEL, guard=GUARD)
    assert behavior(hubspot) == 5


def test_while_an_edited_file_waits_for_approval_events_are_read_as_the_last_one_says(state, folder, hubspot):
    for number in range(3, 40):
        hubspot.edit(contact(number))
    (folder / "a.jsonl").write_text(lines(event(1)))
    go(state, folder, hubspot)
    tight = {"from_records": 1, "scores": 0.5, "bands": 0.5, "owners": 1, "stages": 1}
    more = {"fit": [{"name": "Anybody", "points": 60, "when": {"field": "email", "exists": True}}]}
    source = {**EVENTS, "folder": str(folder), "columns": {"kind": "type"}}
    (folder / "b.jsonl").write_text(lines({**event(2), "type": "feature_used", "feature": "billing"}))
    edited = {"events": [source], "guard": tight, **more}
    held = run(state, hubspot, at=NOW + timedelta(hours=1), model=MODEL, **edited)
    assert held.held is not None
    assert held.held.kind == "config"
    assert behavior(hubspot) == 20
    assert run(state, hubspot, at=NOW + timedelta(hours=2), model=MODEL, **edited).events["product"].read == 0


def test_events_are_no_records_of_anybody(state, folder, hubspot):
    (folder / "a.jsonl").write_text(lines(event(1), event(2, "new@firm.example"), event(3, "", domain="firm.example")))
    result = go(state, folder, hubspot)
    assert (result.crms["hubspot"].pulled, sum(result.bands.values())) == (2, 2)
    assert result.routing["in"] == 2
    with state.read() as reading:
        assert {crm: each["records"] for crm, each in crm_counts(reading).items()} == {"hubspot": 2}
        assert find_contacts(reading, "new@firm.example") == []
        assert [each.ref_id for each in find_contacts(reading, "person1@firm.example")] == ["1"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_however_a_file_grows_each_line_is_read_and_nothing_of_it_twice(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("grown")
    name, count = data.draw(st.sampled_from(["a.csv", "a.jsonl"])), data.draw(st.integers(0, 12))
    if name == "a.csv":
        texts = [f'e{number},{NOW.isoformat()},x,p@firm.example,"a\n""{number}"""' for number in range(count)]
        whole = "\n".join(["id,at,event,email,feature", *texts, ""]).encode()
    else:
        whole = lines(*(event(number) for number in range(count))).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8, unique=True)))
    source = EventSource(**{**EVENTS, "folder": str(folder)})
    cursor, seen, odd = None, [], []
    for begin, end in pairwise([0, *cuts, len(whole)]):
        with (folder / name).open("ab") as file:
            file.write(whole[begin:end])
        for page in read_pages(source, cursor, NOW):
            seen += [each.id for each in page.items]
            odd += page.odd
            cursor = page.cursor
    assert (sorted(set(seen)), odd) == (sorted(f"e{number}" for number in range(count)), [])
    assert len(seen) <= count + len(cuts)  # a line that had no end yet is said again with it
    assert [page.items for page in read_pages(source, cursor, NOW)] in ([], [[]])


@pytest.mark.parametrize(
    ("given", "whose"),
    [
        ({"email": "N/A", "domain": "x.example"}, ("domain", "x.example")),
        ({"record": "null", "email": "-", "domain": "x.example", "user": "None"}, ("domain", "x.example")),
        ({"email": "Ada <ada@x.example>"}, ("address", "ada@x.example")),
        ({"email": "'ada@x.example'"}, ("address", "ada@x.example")),
        ({"email": "\u200bada@x.example"}, ("address", "ada@x.example")),
        ({"email": "o'neil@x.example"}, ("address", "o'neil@x.example")),
    ],
)
def test_whose_an_event_is_however_it_is_written(given, whose):
    source = EventSource(name="product", folder="usage", kind="login", columns={"record": "record"}, crm="hubspot")
    found = read_event(source, {"id": "e1", "at": "2026-11-21T09:00:00Z", **given})
    assert (found.ref.kind, found.ref.id) == whose


def test_an_event_of_which_nobody_is_told_is_named():
    source = EventSource(name="product", folder="usage", kind="login")
    told = read_event(source, {"id": "e1", "at": "2026-11-21T09:00:00Z", "email": "N/A", "domain": "unknown"})
    assert isinstance(told, str)
    assert told.startswith("names nobody")
