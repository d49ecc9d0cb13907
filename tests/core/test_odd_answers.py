"""Odd answers of a CRM harm nothing but that CRM or that record: whole runs behind a layer that rewrites answers."""

import json
import os
import re
from collections.abc import Callable
from random import Random

import orjson
import pytest

from connectors.hubspot.settings import Settings as HubSpotSettings
from connectors.sandbox import server
from connectors.sandbox.faults import FaultyAnswer
from crmsync.errors import ConfigError, CrmsyncError, Unavailable
from crmsync.model import Ref, Task
from crmsync.odd_pages import refuse_odd_page
from crmsync.store import schema
from crmsync.store.odd_records import read_odd_records
from tests.support import make
from tests.support.runs import alone

CRMS = ("hubspot", "salesforce")

MORE_CONFIG = "\n[outcome]\n"
"""Opportunities are read, too."""
ROUNDS = int(os.environ.get("FUZZ", "4"))
"""Runs with rewritten answers for each CRM; the environment may ask for more."""

TOGETHER = 6
"""So many of them follow each other before the CRM answers as it should again."""

FIRST_SEED = int(os.environ.get("FUZZ_SEED", "1"))

DEEP, LONG = "<deep>", "<long>"
"""Stand for what Python does not write as JSON: 200,000 brackets, a number of 5,000 digits."""


@pytest.fixture
def sandbox(small_sandbox):
    """A smaller one than other tests have: these run many whole cycles."""
    return small_sandbox


class Rewritten:
    """The sandbox's answers, rewritten by `rewrite(vendor, method, path, answer)` as long as there is one."""

    def __init__(self, monkeypatch):
        self.rewrite: Callable | None = None
        captured = server._captured

        async def rewriting(app, scope, receive):
            told = await captured(app, scope, receive)
            if self.rewrite is None:
                return told
            vendor = "salesforce" if scope["path"].startswith(server.SALESFORCE) else "hubspot"
            return self.rewrite(vendor, scope["method"], scope["path"], told) or told

        monkeypatch.setattr(server, "_captured", rewriting)


@pytest.fixture
def rewritten(monkeypatch):
    return Rewritten(monkeypatch)


def spelled(value):
    """JSON with what Python's own writer would refuse."""
    text = json.dumps(value)
    return text.replace(f'"{DEEP}"', "[" * 200_000).replace(f'"{LONG}"', "7" * 5_000).encode()


def with_body(told, body):
    kept = [(key, value) for key, value in told.headers if key.lower() != b"content-length"]
    return FaultyAnswer(told.status, [*kept, (b"content-length", b"%d" % len(body))], body)


def with_header(told, name, value):
    kept = [each for each in told.headers if each[0].lower() != name.lower().encode()]
    return FaultyAnswer(told.status, [*kept, (name.lower().encode(), value.encode("utf-8"))], told.body)


def in_json(crm, ends, change):
    """Rewrites JSON of answers whose path ends so: `change` may alter what it gets, or return something else."""

    def rewrite(vendor, _method, path, told):
        if vendor != crm or not path.endswith(ends) or told.status != 200:
            return None
        said = orjson.loads(told.body)
        other = change(said)
        return with_body(told, spelled(said if other is None else other))

    return rewrite


def everywhere(crm, change):
    """Rewrites all answers of a CRM."""
    return lambda vendor, _method, _path, told: change(told) if vendor == crm else None


def others(crm):
    return next(each for each in CRMS if each != crm)


def end_of(runs):
    return {crm: runs.scores(crm) for crm in CRMS}


def promote(runs, title="Chief Executive Officer"):
    """Somebody of each CRM who is in no other one gets another title: their scores must move."""
    for crm, kind, field in (("hubspot", "contact", "jobtitle"), ("salesforce", "lead", "Title")):
        for each in alone(runs, crm, kind, 2):
            runs.do(crm, "update", id=each, **{"properties" if crm == "hubspot" else "fields": {field: title}})


# What was seen failing, one by one


def set_at(name, value):
    return lambda said: said.update({name: value})


def first_record(name, value):
    """The first record of a page with another value; a record is under `results` or `records`."""

    def change(said):
        found = said.get("results") or said.get("records") or []
        if found and isinstance(found[0], dict):
            found[0][name] = value

    return change


SITTING_OUT = {
    "hubspot results null": in_json("hubspot", "/contacts", set_at("results", None)),
    "hubspot results texts": in_json("hubspot", "/owners/2026-09", set_at("results", ["a"])),
    "hubspot results object": in_json("hubspot", "/contacts", set_at("results", {"a": 1})),
    "hubspot list": in_json("hubspot", "", lambda _said: []),
    "hubspot text": in_json("hubspot", "", lambda _said: "ok"),
    "hubspot deep": in_json("hubspot", "/contacts", lambda _said: DEEP),
    "hubspot no properties": in_json(
        "hubspot", "", lambda said: [each.update(properties=None) for each in said.get("results") or ()] and None
    ),
    "hubspot owner without id": in_json("hubspot", "/owners/2026-09", first_record("id", None)),
    "salesforce records null": in_json("salesforce", "/queryAll/", set_at("records", None)),
    "salesforce records texts": in_json("salesforce", "/queryAll/", set_at("records", ["a"] * 30)),
    "salesforce total": in_json("salesforce", "/queryAll/", set_at("totalSize", "many")),
    "salesforce no stamps": in_json(
        "salesforce", "/queryAll/", lambda said: [each.pop("SystemModstamp", 0) for each in said["records"]] and None
    ),
    "salesforce link": in_json(
        "salesforce", "/queryAll/", lambda said: said.update(done=False, nextRecordsUrl={"a": 1})
    ),
    "salesforce deep": in_json("salesforce", "/queryAll/", lambda _said: DEEP),
    "salesforce number": in_json("salesforce", "/queryAll/", lambda _said: 7),
    "salesforce instance": in_json("salesforce", "/token", set_at("instance_url", None)),
    "salesforce token": in_json("salesforce", "/token", set_at("access_token", 7)),
}


def read_all(runs, crm):
    """Everything that a run reads of a CRM."""
    made = runs.connect(crm)
    try:
        made.account(), made.missing_fields(), made.owners(), made.stage_order()
        pages = [*made.contacts(None), *made.activities(None)]
    finally:
        made.close()
    for page in pages:
        refuse_odd_page(crm, page)
    return pages


def test_an_answer_of_another_shape_is_told_in_a_sentence(runs, rewritten):
    for odd, rewrite in SITTING_OUT.items():
        rewritten.rewrite = rewrite
        with pytest.raises(Unavailable) as told:
            read_all(runs, odd.split(" ")[0])
        assert re.search(r"HubSpot|Salesforce|answer is ignored", str(told.value)), odd
    rewritten.rewrite = None
    for crm in CRMS:
        assert len(read_all(runs, crm)) > 1


@pytest.mark.parametrize(("crm", "odd"), [("hubspot", "hubspot list"), ("salesforce", "salesforce no stamps")])
def test_a_crm_whose_answers_are_odd_is_skipped_with_a_sentence_and_the_other_goes_on(runs, rewritten, crm, odd):
    rewritten.rewrite = SITTING_OUT[odd]
    result = runs.run(*CRMS)
    assert list(result.skipped) == [crm], result.problems
    assert "report it" not in result.skipped[crm]
    assert result.crms[others(crm)].updated > 10
    rewritten.rewrite = None
    assert runs.run(*CRMS).crms[crm].updated > 10


HEADERS = {
    "hubspot": [
        ("Date", "Fri, 31 Dec 9999 23:59:59 GMT"), ("X-HubSpot-RateLimit-Max", "²"),
        ("X-HubSpot-RateLimit-Daily", "²"), ("X-HubSpot-RateLimit-Daily-Remaining", "-"), ("Retry-After", "²"),
        ("Content-Type", "text/html; charset=martian"),
    ],
    "salesforce": [
        ("Date", "soon"), ("Date", "Fri, 31 Dec 9999 23:59:59 GMT"), ("Sforce-Limit-Info", "api-usage=0/0"),
        ("Sforce-Limit-Info", f"api-usage={'9' * 5_000}/1"), ("Retry-After", "²"), ("Content-Type", "odd"),
    ],
}  # fmt: skip


def test_an_odd_header_is_as_good_as_none(runs, rewritten):
    for crm, name, value in [(vendor, *each) for vendor in CRMS for each in HEADERS[vendor]]:
        asked = []

        def rewrite(vendor, _method, _path, told, *, crm=crm, name=name, value=value, asked=asked):
            asked.append(vendor)
            is_odd = vendor == crm and (name != "Date" or asked.count(crm) % 3)
            return with_header(told, name, value) if is_odd else None

        rewritten.rewrite = rewrite
        assert not any(page.odd for page in read_all(runs, crm))


def test_a_retry_after_that_is_odd_is_waited_out_by_the_policy(runs, rewritten):
    asked = []

    def rewrite(vendor, _method, _path, told):
        asked.append(vendor)
        limited = FaultyAnswer(429, [], orjson.dumps({"policyName": "SECONDLY", "message": "slow down"}))
        return with_header(limited, "Retry-After", "²") if len(asked) % 5 == 1 else None

    rewritten.rewrite = rewrite
    assert runs.run("hubspot").verdict == "ok"


def test_a_refusal_of_odd_shape_is_still_a_refusal(runs, rewritten):
    def rewrite(vendor, _method, path, told):
        if vendor != "hubspot" or not path.endswith("/owners/2026-09"):
            return None
        said = {"message": ["no"], "category": {}, "errors": [{"context": ["a"]}, 7], "context": "x"}
        return FaultyAnswer(403, told.headers, b"") and with_body(FaultyAnswer(403, told.headers, b""), spelled(said))

    rewritten.rewrite = rewrite
    result = runs.run(*CRMS)
    assert "is not allowed to read owners" in result.skipped["hubspot"]


ODD_RECORD = {
    "id": lambda record: record.update(id=None),
    "properties": lambda record: record.update(properties=None),
    "empty": lambda record: record.update(properties=dict.fromkeys(record["properties"])),
    "types": lambda record: record["properties"].update(jobtitle={"a": 1}),
    "endless": lambda record: record["properties"].update(numemployees=LONG),
    "stamp": lambda record: (
        [record.pop(name, None) for name in ("updatedAt", "createdAt")],
        record["properties"].update(lastmodifieddate="soon"),
    ),
    "archived": lambda record: record.update(archived="perhaps"),
}


def one_odd_record(record_id, change):
    """Rewrites one contact wherever it comes."""

    def rewrite(vendor, _method, _path, told):
        if vendor != "hubspot" or not told.body.startswith(b"{") or told.status != 200:
            return None
        said = orjson.loads(told.body)
        found = [each for each in [said, *(said.get("results") or ())] if isinstance(each, dict)]
        mine = [each for each in found if each.get("id") == record_id and "properties" in each]
        for each in mine:
            change(each)
        return with_body(told, spelled(said)) if mine else None

    return rewrite


def test_an_odd_record_is_named_and_the_others_of_its_page_come(runs, rewritten):
    made = runs.connect("hubspot")
    whole = {each.ref for page in made.contacts(None) for each in page.items}
    poison = min(whole)
    for odd, change in ODD_RECORD.items():
        rewritten.rewrite = one_odd_record(poison.id, change)
        found = list(made.contacts(None))
        assert {each.ref for page in found for each in page.items} == whole - {poison}, odd
        named = {each for page in found for each in page.odd}
        assert {each.ref for each in named} == ({None} if odd == "id" else {poison}), odd
        assert {each.ref for each in made.read(sorted(whole))} == whole - {poison}, odd
        rewritten.rewrite = None
    made.close()


def test_an_odd_record_is_read_again_in_each_run_and_what_was_known_of_it_stays(runs, rewritten):
    runs.run(*CRMS)
    before = end_of(runs)
    poison, sound = sorted(alone(runs, "hubspot", "contact", 20), key=before["hubspot"].get)[:2]
    for each in (poison, sound):
        title = "Intern" if before["hubspot"][each] >= 20 else "Chief Executive Officer"
        runs.do("hubspot", "update", id=each, properties={"jobtitle": title})
    rewritten.rewrite = one_odd_record(poison, ODD_RECORD["properties"])
    result = runs.run(*CRMS)
    assert result.verdict == "partial"
    assert not result.skipped
    assert f"hubspot: contacts {poison} arrived without its properties; until they can be read" in str(result.problems)
    assert runs.scores("hubspot")[sound] != before["hubspot"][sound]
    assert runs.scores("hubspot")[poison] == before["hubspot"][poison]
    with runs.state.read() as reading:
        assert read_odd_records(reading, "hubspot") == [Ref("hubspot", "contact", poison)]
    assert any(poison in each for each in runs.run(*CRMS).problems)
    rewritten.rewrite = None
    assert runs.run(*CRMS).verdict == "ok"
    assert runs.scores("hubspot")[poison] != before["hubspot"][poison]


def test_a_total_that_is_no_number_is_no_answer(runs, rewritten):
    runs.run("hubspot")
    rewritten.rewrite = in_json("hubspot", "contacts/search", set_at("total", "many"))
    result = runs.run(*CRMS)
    assert list(result.skipped) == ["hubspot"]
    assert "a total that is not a number" in result.skipped["hubspot"]


def test_an_odd_lead_is_named_and_read_again_and_what_was_known_of_it_stays(runs, rewritten):
    runs.run(*CRMS)
    before = end_of(runs)
    poison, sound = sorted(alone(runs, "salesforce", "lead", 20), key=before["salesforce"].get)[:2]
    for each in (poison, sound):
        title = "Intern" if before["salesforce"][each] >= 20 else "Chief Executive Officer"
        runs.do("salesforce", "update", id=each, fields={"Title": title})

    def rewrite(vendor, _method, _path, told):
        if vendor != "salesforce" or poison.encode() not in told.body or b'"records"' not in told.body:
            return None
        said = orjson.loads(told.body)
        pages = [said, *(each["body"] for each in said.get("compositeResponse") or ())]
        for record in (each for page in pages for each in page.get("records") or () if each.get("Id") == poison):
            record.pop("Title", None)
        return with_body(told, spelled(said))

    rewritten.rewrite = rewrite
    result = runs.run(*CRMS)
    assert f"salesforce: Lead {poison} arrived without its fields; until they can be read" in str(result.problems)
    assert runs.scores("salesforce")[sound] != before["salesforce"][sound]
    assert runs.scores("salesforce")[poison] == before["salesforce"][poison]
    rewritten.rewrite = None
    assert runs.run(*CRMS).verdict == "ok"
    assert runs.scores("salesforce")[poison] != before["salesforce"][poison]


def test_contacts_without_properties_are_not_believed_and_the_guard_holds_nothing_afterwards(runs, rewritten):
    runs.run(*CRMS)
    before = end_of(runs)
    promote(runs)

    def change(said):
        for each in said.get("results") or ():
            if "properties" in each:
                each["properties"] = None

    rewritten.rewrite = in_json("hubspot", "", change)
    for full in (False, True):
        result = runs.run(*CRMS, full=full, approved=False)
        assert result.held is None
        assert runs.scores("hubspot") == before["hubspot"]
    rewritten.rewrite = None
    assert runs.run(*CRMS, approved=False).held is None
    assert runs.scores("hubspot") != before["hubspot"]


def test_half_a_character_and_zero_bytes_in_any_text_lock_nobody_out(runs, rewritten, state):
    runs.state.close()
    runs.state = state
    poisons = ("firstname", "Name", "email", "Email", "jobtitle", "Title", "Subject", "hs_call_title", "message")

    def poisoned(value, name=""):
        if isinstance(value, dict):
            return {key: poisoned(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [poisoned(each, name) for each in value]
        return f"{value}\0\ud800" if name in poisons and isinstance(value, str) else value

    rewritten.rewrite = lambda _vendor, _method, _path, told: (
        with_body(told, spelled(poisoned(orjson.loads(told.body)))) if told.body.startswith((b"{", b"[")) else None
    )
    result = runs.run(*CRMS)
    assert not result.skipped
    assert all(result.crms[crm].updated > 10 for crm in CRMS)
    poor = [{"success": False, "errors": [{"statusCode": "FIELD_INTEGRITY_EXCEPTION", "message": "a\0b\ud800"}]}]
    rewritten.rewrite = lambda _vendor, method, path, told: (
        with_body(told, spelled(poor * len(orjson.loads(told.body)))) if path.endswith("/composite/sobjects") else None
    )
    promote(runs)
    assert runs.run("salesforce").crms["salesforce"].rejected > 0
    assert any("ab\ufffd" in each["reason"] for each in runs.rows(schema.change))
    assert any("\ufffd" in each["name"] for each in runs.rows())
    assert not [each for each in runs.rows() if "\0" in each["name"] + each["emails"]]


def test_an_export_without_the_columns_that_were_asked_for_is_no_answer(runs, rewritten):
    runs.run("hubspot")
    before = runs.scores("hubspot")
    settings = runs.config.crms["hubspot"].model_copy(update={"backfill": "export"})
    runs.config = runs.config.model_copy(update={"hubspot": settings})

    def rewrite(vendor, _method, _path, told):
        if vendor != "hubspot" or b"hs_object_id" not in told.body.split(b"\n")[0] or told.body.startswith(b"{"):
            return None
        return with_body(told, told.body.replace(b"jobtitle", b"otherwise", 1))

    rewritten.rewrite = rewrite
    runs.run("hubspot", full=True)
    assert runs.scores("hubspot") == before


# Anything at all


ODD_VALUES = (
    None, "odd", -1, 7, 1e300, LONG, [], {}, ["a"], [None], {"a": None}, [[]], "\ud800", "x" * 70_000, "9" * 40, "²",
)  # fmt: skip
ODD_BODIES = (b"", b"[]", b'"ok"', b"null", b"7", b"NaN", b"<html>", b"[" * 200_000, b'{"a": 1e999}', b"\xff\xfe{")
ODD_HEADERS = {
    "Date": ["soon", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", ""],
    "X-HubSpot-RateLimit-Max": ["²", "-1", "many", "9" * 30],
    "X-HubSpot-RateLimit-Daily": ["²", "0"],
    "Retry-After": ["²", "soon", "-1"],
    "Content-Type": ["text/html", "application/json; charset=martian", ""],
    "Sforce-Limit-Info": ["api-usage=0/0", "api-usage=²/1", "odd"],
    "Sforce-NumberOfRecords": ["many", "²"],
    "Sforce-Locator": ["null", "../x?y"],
}
BELIEVABLE = ("properties", "records")
"""What is in a record is believed as long as it may be so: there only what no field can hold is put."""


def nodes(value, inside=False):
    """Every place of a document: what holds it, its key, and whether it is a value of a record."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(pairs):
        yield value, key, inside
        yield from nodes(each, inside or key in BELIEVABLE)


class Mutator:
    """Rewrites a share of one CRM's answers, each in one place, as its seed wants it."""

    def __init__(self, seed, crm):
        self.random, self.crm, self.made = Random(seed), crm, []
        self.share = self.random.choice([0.03, 0.2, 1.0])

    def __call__(self, vendor, method, path, told):
        if vendor != self.crm or self.random.random() > self.share:
            return None
        kind = self.random.choices(["node", "body", "header"], [8, 1, 2])[0]
        if kind == "header":
            name = self.random.choice(list(ODD_HEADERS))
            value = self.random.choice(ODD_HEADERS[name])
            self.made.append(f"{method} {path}: {name}: {value[:20]}")
            return with_header(told, name, value)
        if kind == "body" or not told.body.startswith((b"{", b"[")):
            body = self.random.choice(ODD_BODIES)
            self.made.append(f"{method} {path}: {body[:20]!r}")
            return with_body(told, body)
        said = orjson.loads(told.body)
        found = list(nodes(said))
        if not found:
            return None
        holder, key, inside = self.random.choice(found)
        before = holder[key]
        value = self.random.choice(ODD_VALUES)
        if isinstance(before, bool) or (inside and not isinstance(before, dict | list)):
            value = self.random.choice([{"a": 1}, ["a"], LONG])
        if self.random.random() < 0.2 and not (inside and not isinstance(before, dict | list)):
            del holder[key]
        else:
            holder[key] = value
        self.made.append(f"{method} {path}: {key} = {str(value)[:20]} instead of {str(before)[:20]}")
        return with_body(told, spelled(said))


def settings_of(seed, config):
    """Ways of reading and writing in turn: lists and exports, queries and jobs."""
    chance = Random(-seed)
    hubspot = config.crms["hubspot"].model_copy(
        update={"backfill": chance.choice(HubSpotSettings.model_fields["backfill"].annotation.__args__)}
    )
    bulk = {"bulk_query_threshold": chance.choice([1, 50_000]), "bulk_threshold": chance.choice([1, 2_000])}
    salesforce = config.crms["salesforce"].model_copy(update=bulk)
    return config.model_copy(update={"hubspot": hubspot, "salesforce": salesforce})


@pytest.mark.timeout(120 + 20 * ROUNDS)
@pytest.mark.parametrize("crm", CRMS)
def test_whatever_a_crm_answers_harms_nobody_else_and_nothing_for_good(runs, rewritten, crm):
    runs.run(*CRMS)
    plain, told = runs.config, []
    for seed in range(FIRST_SEED, FIRST_SEED + ROUNDS):
        runs.config, mutator = settings_of(seed, plain), Mutator(seed, crm)
        promote(runs, ("Chief Executive Officer", "Intern")[seed % 2])
        rewritten.rewrite = mutator
        try:
            result = runs.run(*CRMS, full=seed % 3 == 0, approved=False)
        except CrmsyncError as error:
            pytest.fail(f"seed {seed}: {error!r}\n" + "\n".join(mutator.made))
        told.append("\n".join([f"seed {seed}: {result.problems}", *mutator.made[:40]]))
        assert set(result.skipped) <= {crm}, told[-1]
        assert "report it" not in str(result.skipped), told[-1]
        assert result.crms[others(crm)].unknown == 0, told[-1]
        rewritten.rewrite = None
        if seed % TOGETHER == 0:
            settle(runs, crm, "\n".join(told))
            told = []


def settle(runs, crm, said):
    """The CRM answers as it should again: everything comes to where it would be without the odd answers."""
    runs.run(*CRMS, approved=False)
    after = runs.run(*CRMS, full=True)
    assert after.verdict == "ok", f"{said}\nafterwards: {after.problems}"
    assert runs.run(*CRMS).crms[crm].planned == 0, said
    totals = {each["id"]: each["total"] // 100 for each in runs.rows(schema.person)}
    scores = end_of(runs)
    for each in runs.rows():
        if each["person"] and not each["gone"] and not each["converted_into"]:
            assert scores[each["crm"]][each["ref_id"]] == totals[each["person"]], said


def test_a_connector_raises_only_what_the_core_knows(runs, rewritten):
    rewritten.rewrite = lambda _vendor, _method, _path, told: with_body(told, b"[[7]]")
    for crm in CRMS:
        made = runs.connect(crm)
        for call in (made.account, made.missing_fields, made.owners, made.stage_order):
            with pytest.raises((Unavailable, ConfigError)):
                call()
        task = Task("t-1", Ref(crm, "contact", "1"), "1", "Call", "", make.NOW)
        for pages in (
            made.contacts(None),
            made.activities(None),
            made.read([Ref(crm, "contact", "1")]),
            made.create_tasks([task]),
            made.close_tasks(["t-1"]),
        ):
            with pytest.raises((Unavailable, ConfigError)):
                list(pages)
        made.close()
