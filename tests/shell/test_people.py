"""Lists of people to look at, and forgetting one, as an admin meets them."""

import csv
import io
import re
import stat
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import event, select, update

from crmsync.config import load
from crmsync.identity.matching import match_people
from crmsync.model import Owner, Ref
from crmsync.reporting import print_people
from crmsync.reporting.people import LISTS
from crmsync.store import schema
from crmsync.store.activities import save_activities
from crmsync.store.contacts import save_contacts
from crmsync.store.database import open_store
from crmsync.store.owners import save_owners
from crmsync.store.people import refresh_people
from tests.support import make
from tests.support.commands import crmsync, settings_alone, write_model
from tests.support.state import rows

EARLIER = make.NOW - timedelta(days=9)


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    with settings_alone(monkeypatch, {}):
        yield


@pytest.fixture
def path(tmp_path):
    return write_model(tmp_path, make.MODEL)


@pytest.fixture
def state(path):
    made = open_store(f"sqlite:///{path.parent}/state.db")
    yield made
    made.close()


def fill(store, *contacts, activities=()):
    """Records as pulled, with whose they are decided and everybody scored."""
    with store.begin() as tx:
        save_contacts(tx, "r1", contacts, make.NOW)
        save_activities(tx, activities)
        save_owners(tx, ["hubspot", "salesforce"], [*make.owners("hubspot"), *make.owners("salesforce")])
        refresh_people(tx, partial(match_people, shared_address_limit=5, shared_mailboxes=("info",)))
        people = tx.scalars(select(schema.record.c.person).distinct().where(schema.LIVE)).all()
        blank = dict.fromkeys(("fit", "behavior", "total", "due", "scored_at"), 0)
        texts = {"band": "cold", "model": "", "plan": "", "scored_run": "r1", "ledger": b""}
        if people:
            tx.execute(schema.person.insert(), [{"id": each, **blank, **texts} for each in people])


def decide(store, ref_id, **values):
    """Store what was decided of the person of a record."""
    with store.begin() as tx:
        person = tx.scalar(select(schema.record.c.person).where(schema.record.c.ref_id == ref_id))
        tx.execute(update(schema.person).where(schema.person.c.id == person).values(**values))


def salesforce(number, kind="contact", **over):
    return make.contact(number, crm="salesforce", kind=kind, **over)


def listed(path, which):
    ended = crmsync("people", f"--{which}", "--json", "-c", path)
    assert ended.code == 0, ended.out
    assert ended.json["count"] == len(ended.json["people"])
    return ended.json["people"]


# How the command is called


def test_without_a_list_it_shows_its_help(path):
    ended = crmsync("people", "-c", path)
    assert ended.code == 0
    assert "--disagreements" in ended.out
    assert "Example: crmsync people --duplicates" in " ".join(ended.out.split())


@pytest.mark.parametrize(
    "words", [("--duplicates", "--waiting"), ("--json",), ("--csv", "-"), ("--waiting", "--json", "--csv", "-")]
)
def test_more_or_less_than_one_list_is_a_mistake(path, words):
    ended = crmsync("people", *words, "-c", path)
    assert (ended.code, ended.out) == (2, "")
    assert "choose one of --duplicates" in ended.err or "not both" in ended.err


@pytest.mark.parametrize("words", [("people", "--waiting"), ("forget", "x@y.example", "--yes")])
def test_before_the_first_run_there_is_nobody(path, words):
    ended = crmsync(*words, "-c", path, "--json")
    assert ended.code == 2
    assert "No run yet" in ended.json["problems"][0]
    assert ended.json["next"] == f"crmsync plan --config {path}"
    assert [each.name for each in path.parent.iterdir()] == ["crmsync.toml"]


@pytest.mark.parametrize("which", [name.replace("_", "-") for name in LISTS])
def test_a_list_of_nobody_says_so(path, state, which):
    fill(state, make.contact(1))
    assert listed(path, which) == []
    ended = crmsync("people", f"--{which}", "-c", path)
    assert ended.code == 0
    assert ended.out.startswith("No")


@pytest.mark.parametrize("which", LISTS)
def test_a_list_takes_a_few_queries_however_many_people_there_are(path, state, which):
    mails = [(f"p{n}@x.example",) for n in range(30)]
    fill(
        state,
        *(make.contact(n, emails=mail, current={"score": 1}) for n, mail in enumerate(mails)),
        *(make.contact(100 + n, emails=mail) for n, mail in enumerate(mails)),
        *(salesforce(n, emails=mail, current={"score": 2}) for n, mail in enumerate(mails)),
    )
    asked = []
    event.listen(
        state.engine, "before_cursor_execute", lambda *given: given[2].startswith("SELECT") and asked.append(given[2])
    )
    with state.read() as reading:
        found = list(LISTS[which](load(path), reading))
    assert len(asked) <= 2
    assert bool(found) is (which in ("duplicates", "disagreements"))


# Who is on which list


def test_duplicates_are_listed_with_what_makes_them_one_person(path, state):
    fill(
        state,
        make.contact(1, name="Vera Kestrel", emails=("vera@kestrel.example",)),
        make.contact(2, emails=("Vera@kestrel.example", "v@kestrel.example")),
        salesforce("00Q1", "lead", emails=("bo@x.example",), links=(Ref("salesforce", "contact", "0031"),)),
        salesforce("0031", emails=("bo@y.example",)),
        make.contact(3, emails=("alone@x.example",)),
        salesforce("0032", emails=("alone@x.example",)),
        make.contact(4, gone=True),
    )
    vera, bo = listed(path, "duplicates")
    assert vera == {
        "person": 1,
        "name": "Vera Kestrel",
        "emails": ["Vera@kestrel.example", "v@kestrel.example", "vera@kestrel.example"],
        "records": ["hubspot:contact:2", "hubspot:contact:1"],
        "why": "2 records in hubspot: matched by the address vera@kestrel.example",
    }
    assert bo["records"] == ["salesforce:contact:0031", "salesforce:lead:00Q1"]
    assert bo["why"] == "2 records in salesforce: matched by a link in the CRM"


def test_duplicates_that_only_the_other_crm_joins_say_so(path, state):
    linked = salesforce("0031", emails=("a@x.example", "b@x.example"))
    fill(state, make.contact(1, emails=("a@x.example",)), make.contact(2, emails=("b@x.example",)), linked)
    (one,) = listed(path, "duplicates")
    assert one["why"] == "2 records in hubspot: matched by way of their other records"


def test_who_is_not_matched_is_listed_record_by_record_with_the_address(path, state):
    fill(
        state,
        *(make.contact(n, name=f"Clerk {n}", emails=("office-7@firm.example",)) for n in range(6)),
        *(make.contact(n, emails=("info@firm.example",)) for n in (20, 21)),
        make.contact(30, emails=("office-7@firm.example",), merged_into=Ref("hubspot", "contact", "99")),
    )
    found = listed(path, "not-matched")
    assert len(found) == 8
    assert found[0]["person"] is None
    assert {each["why"] for each in found} == {
        "the address office-7@firm.example is on 6 records in hubspot",
        "the address info@firm.example, a shared mailbox, is on 2 records in hubspot",
    }


def both(mail, **of):
    """Somebody in both CRMs; keys that begin with h are HubSpot's, with s Salesforce's."""
    theirs = [{key[2:]: value for key, value in of.items() if key[0] == crm} for crm in "hs"]
    return make.contact(mail, emails=(f"{mail}@x.example",), **theirs[0]), salesforce(
        mail, emails=(f"{mail}@x.example",), **theirs[1]
    )


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({"h_current": {"score": 5}, "s_current": {"score": 5.0}}, None),
        ({"h_current": {"score": 5}, "s_current": {"score": 7}}, ("score", {"hubspot": 5, "salesforce": 7})),
        ({"h_current": {"score": 5}}, ("score", {"hubspot": 5, "salesforce": None})),
        (
            {"h_current": {"band": "mql"}, "s_current": {"band": "hot"}},
            ("band", {"hubspot": "mql", "salesforce": "hot"}),
        ),
        ({"h_stage": "lead", "s_stage": "lead"}, None),
        ({"h_stage": "lead", "s_stage": "mql"}, ("stage", {"hubspot": "lead", "salesforce": "mql"})),
        ({"h_stage": "lead", "s_stage": None}, None),
        ({"h_owner": "hubspot-bob", "s_owner": "salesforce-bob"}, None),
        (
            {"h_owner": "hubspot-bob", "s_owner": "salesforce-ann"},
            ("owner", {"hubspot": "bob@acme.example", "salesforce": "ann@acme.example"}),
        ),
        ({"h_owner": "hubspot-bob"}, ("owner", {"hubspot": "bob@acme.example", "salesforce": None})),
        ({"s_owner": "salesforce-queue"}, None),
        ({"h_owner": "hubspot-bob", "s_owner": "nobody knows"}, None),
    ],
)
def test_what_differs_between_the_crms_is_a_disagreement(path, state, held, expected):
    fill(state, *both("a", **held))
    assert [(each["field"], each["values"]) for each in listed(path, "disagreements")] == [expected] * bool(expected)


def test_owners_whom_the_other_crm_does_not_know_come_last_and_say_so(path, state):
    fill(state, *both("a", h_owner="hubspot-cy"), *both("b", h_owner="hubspot-bob"))
    with state.begin() as tx:
        cy = Owner("hubspot", "hubspot-cy", "cy@acme.example", "Cy")
        save_owners(tx, ["hubspot", "salesforce"], [*make.owners("hubspot"), cy, *make.owners("salesforce")])
    known, stranger = listed(path, "disagreements")
    assert known["why"] == "owner is bob@acme.example in hubspot and (empty) in salesforce"
    assert stranger["why"].endswith("(empty) in salesforce; cy@acme.example is not a user in salesforce")


def test_a_field_that_one_crm_has_not_mapped_is_no_disagreement(path, state):
    path.write_text(path.read_text().replace(', salesforce = "Crmsync_Fit__c"', ""))
    fill(state, *both("a", h_current={"fit": 3, "score": 1}, s_current={"score": 1}))
    assert listed(path, "disagreements") == []


def test_a_disagreement_says_which_crm_was_changed_longer_ago(path, state):
    fill(
        state,
        *both("a", h_current={"score": 5}, s_current={"score": 7}, s_changed_at=EARLIER),
        *both("b", h_current={"score": 5}, s_current={"score": 7}),
    )
    ours, equal = listed(path, "disagreements")
    assert (ours["older"], equal["older"]) == ("salesforce", None)
    assert ours["why"] == "score is 5 in hubspot and 7 in salesforce"
    assert "salesforce was changed longer ago" in crmsync("people", "--disagreements", "-c", path).out


def test_a_decided_stage_that_a_crm_does_not_have_is_a_disagreement(path, state):
    fill(state, make.contact(1, stage="lead"), make.contact(2, stage="mql"), make.contact(3, stage="customer"))
    decide(state, "1", stage="mql")
    decide(state, "2", stage="mql")
    (one,) = listed(path, "disagreements")
    assert (one["field"], one["values"], one["older"]) == ("stage", {"crmsync": "mql", "hubspot": "lead"}, None)
    assert one["why"] == "crmsync holds mql, hubspot lead"


def test_who_is_excluded_or_waits_is_listed_with_the_reason(path, state):
    fill(state, make.contact(1, name="Ann"), make.contact(2), make.contact(3))
    decide(state, "1", excluded="a competitor")
    decide(state, "2", waiting="no member of sales is at work")
    (ann,), (bo,) = listed(path, "excluded"), listed(path, "waiting")
    assert (ann["name"], ann["why"]) == ("Ann", "a competitor")
    assert (bo["records"], bo["why"]) == (["hubspot:contact:2"], "no member of sales is at work")


def test_who_is_scored_and_not_routed_is_not_said_to_be_without_a_score(path, state):
    fill(state, make.contact(1, name="Ann"))
    decide(state, "1", destination="crm_owned", owner_why="not routed: the CRM itself gives the stage customer")
    shown = crmsync("people", "--excluded", "-c", path).out
    assert "not routed: the CRM itself gives the stage customer" in shown
    assert "1 person left out: of scoring, or only of the routes" in shown
    assert "neither scored" not in shown


def test_a_kind_of_record_without_a_stage_is_at_odds_with_nobody(path, state):
    path.write_text(path.read_text().replace(', contact = "Lead"', "").replace(', contact = "MQL"', ""))
    fill(state, *both("a", h_stage="lead", s_stage="New"))
    decide(state, "a", stage="lead")
    assert listed(path, "disagreements") == []


def test_a_stage_that_nobody_agrees_about_is_told_once(path, state):
    fill(state, *both("a", h_stage="lead", s_stage="customer"))
    decide(state, "a", stage="mql")
    (one,) = listed(path, "disagreements")
    assert one["values"] == {"hubspot": "lead", "salesforce": "customer"}
    assert one["why"] == "stage is lead in hubspot and customer in salesforce; crmsync holds mql"


# What a terminal and a file show


def long_list(state, people=60):
    name = "Wilhelmina Featherstonehaugh-Cholmondeley"
    for_two = [(n, f"{name.lower().replace(' ', '.')}.{n}@a-rather-long-company-name.example") for n in range(people)]
    fill(
        state,
        *(make.contact(n, name=name, emails=(mail,)) for n, mail in for_two),
        *(make.contact(f"9{n}", emails=(mail,)) for n, mail in for_two),
    )
    return [mail for _n, mail in for_two]


def test_at_80_columns_no_word_is_broken_and_the_next_commands_are_told(path, state, monkeypatch):
    mails = long_list(state)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda self: self.name == "<stdout>")
    ended = crmsync("people", "--duplicates", "-c", path)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", ended.out)
    assert [mail for mail in mails if mail in plain] == mails[: print_people.SHOWN]
    assert "Wilhelmina" in plain
    assert "60 people with several records in one CRM." in plain
    assert "10 more are not shown. To get all of them:" in plain
    assert f"crmsync people --duplicates --csv people.csv --config {path}" in plain
    assert f"crmsync explain {mails[0]} --config {path}" in plain
    prose = [line for line in plain.splitlines() if "crmsync " not in line]
    assert not [line for line in prose if len(line) > 80 and " " in line.strip()]


def test_a_csv_file_has_all_of_them_and_is_private(path, state, tmp_path):
    mails = long_list(state)
    to = tmp_path / "people.csv"
    ended = crmsync("people", "--duplicates", "--csv", to, "-c", path)
    assert (ended.code, ended.out) == (0, "")
    assert "60 rows written to" in ended.err
    with open(to, encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["emails"] for row in found] == mails
    assert found[0]["records"] == "hubspot:contact:90; hubspot:contact:0"
    assert stat.S_IMODE(to.stat().st_mode) == 0o600


def test_a_csv_on_standard_output_holds_no_formula(path, state):
    for number, name in enumerate(("=HYPERLINK(1)", "+1", "-1", "@SUM", "\tx", "Zoë, “of” Łódź")):
        fill_one = both(f"p{number}", h_name=name, h_current={"score": -5}, s_current={"score": 7})
        with state.begin() as tx:
            tx.execute(schema.person.delete())
        fill(state, *fill_one)
    ended = crmsync("people", "--disagreements", "--csv", "-", "-c", path)
    found = list(csv.DictReader(io.StringIO(ended.out)))
    assert [row["name"] for row in found] == ["'=HYPERLINK(1)", "'+1", "'-1", "'@SUM", "'\tx", "Zoë, “of” Łódź"]
    assert found[0]["values"] == "hubspot: -5; salesforce: 7"
    assert (found[0]["field"], found[0]["older"]) == ("score", "")
    assert ended.err == ""


def test_a_csv_file_that_cannot_be_written_ends_with_a_sentence(path, state, tmp_path):
    fill(state, make.contact(1))
    ended = crmsync("people", "--waiting", "--csv", tmp_path / "no" / "where.csv", "-c", path)
    assert ended.code == 2
    assert "cannot be written" in ended.err


# Forgetting


def test_forgetting_removes_somebody_and_says_what(path, state):
    ada = make.contact(1, name="Ada Canary", emails=("ada@canary.example",))
    lead = salesforce("00Q1", "lead", emails=("ada@canary.example",))
    fill(state, ada, lead, make.contact(2), activities=[make.activity(1, ada, form="canary demo")])
    ended = crmsync("forget", "ada@canary.example", "--yes", "--json", "-c", path)
    assert ended.code == 0
    assert ended.json["person"] == 1
    assert ended.json["records"] == ["hubspot:contact:1", "salesforce:lead:00Q1"]
    assert ended.json["kept_in_crm"] is True
    removed = ended.json["removed"]
    assert {name: removed[name] for name in ("record", "person", "activity", "fact")} == {
        "record": 2, "person": 1, "activity": 1, "fact": 1,
    }  # fmt: skip
    for file in path.parent.glob("state.db*"):
        assert b"canary" not in file.read_bytes().lower(), file.name
    assert crmsync("explain", "ada@canary.example", "-c", path).code == 2
    assert [row["ref_id"] for row in rows(state, schema.record)] == ["2"]


def test_who_was_forgotten_is_listed_as_excluded_as_soon_as_a_crm_delivers_them(path, state):
    fill(state, make.contact(1, name="Ada", emails=("ada@x.example",)))
    said = crmsync("forget", "hubspot:contact:1", "--yes", "-c", path)
    assert said.code == 0
    assert "Forgotten: 1 record. Rows removed: " in said.out
    assert "What the CRMs hold stays as it is" in said.out
    assert listed(path, "excluded") == []
    with state.begin() as tx:
        save_contacts(tx, "r2", [make.contact(1, name="Ada", emails=("ada@x.example",))], make.NOW)
    assert listed(path, "excluded") == [
        {"person": None, "name": "", "emails": [], "records": ["hubspot:contact:1"], "why": "forgotten"}
    ]
    shown = crmsync("people", "--excluded", "-c", path).out
    assert "hubspot:contact:1" in shown
    assert "explain" not in shown


def test_a_record_that_is_not_matched_is_forgotten_alone(path, state):
    fill(state, *(make.contact(n, emails=("info@firm.example",), name=f"Clerk {n}") for n in (1, 2)))
    several = crmsync("forget", "info@firm.example", "--yes", "--json", "-c", path)
    assert (several.code, several.json["error"]) == (1, "several")
    assert "hubspot:contact:1  Clerk 1 <info@firm.example>" in several.json["problems"][1]
    ended = crmsync("forget", "hubspot:contact:1", "--yes", "--json", "-c", path)
    assert (ended.code, ended.json["person"]) == (0, None)
    with state.begin() as tx:
        save_contacts(tx, "r2", [make.contact(2, emails=("info@firm.example",), name="Clerk 2")], make.NOW)
    assert [row["name"] for row in rows(state, schema.record)] == ["Clerk 2"]


def test_several_people_of_a_name_are_listed_and_nobody_is_forgotten(path, state):
    fill(state, make.contact(1, name="Jan Smit"), make.contact(2, name="Jan Smit"))
    ended = crmsync("forget", "jan smit", "--yes", "-c", path)
    assert ended.code == 1
    assert "person:1  Jan Smit" in ended.err
    assert len(rows(state, schema.record)) == 2


def test_nobody_is_forgotten_without_a_yes(path, state):
    fill(state, make.contact(1))
    ended = crmsync("forget", "person1@firm.example", "--json", "-c", path)
    assert ended.code == 2
    assert "nothing was removed" in ended.json["problems"][0]
    assert ended.json["next"] == f"crmsync forget person1@firm.example --yes --config {path}"
    unknown = crmsync("forget", "nobody@firm.example", "--yes", "-c", path)
    assert unknown.code == crmsync("explain", "nobody@firm.example", "-c", path).code == 2
    assert "nobody was found" in unknown.err
    assert len(rows(state, schema.record)) == 1


@pytest.mark.parametrize(("typed", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 1), ("", 1, 1)])
def test_a_terminal_is_asked_after_it_was_shown_whom_it_is_about(path, state, monkeypatch, typed, code, left):
    from typer.testing import CliRunner

    from crmsync.cli import app

    fill(state, make.contact(1, name="Ada"))
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda self: self.name == "<stdin>")
    ended = CliRunner().invoke(app, ["forget", "Ada", "-c", str(path)], input=typed)
    assert ended.exit_code == code
    assert "Ada <person1@firm.example>, hubspot contact 1" in ended.stdout
    assert ("Nothing was removed." in ended.stdout) is bool(left)
    assert len(rows(state, schema.record)) == left


def test_somebody_is_forgotten_while_a_worker_holds_the_state(path, state):
    fill(state, make.contact(1, name="Ada"))
    with state.writer("crmsync run"):
        ended = crmsync("forget", "Ada", "--yes", "-c", path)
        assert ended.code == 0, ended.err
        assert "at the end of the next run" in ended.out
        assert state.may_write()
    assert rows(state, schema.record) == []


def test_a_negative_number_stays_one_in_a_csv_file_and_a_formula_does_not():
    file = io.StringIO()
    print_people.write_rows(file, ("points", "name", "rules"), [{"points": -5, "name": "=1+1", "rules": ["-x", "y"]}])
    assert list(csv.reader(io.StringIO(file.getvalue())))[1] == ["-5", "'=1+1", "'-x; y"]
