"""Accounts as an admin meets them: the list, one account, and what an explanation says of them."""

import csv
import io
import stat
import sys

import pytest
from rich.console import Console

from crmsync.cycle import run_cycle
from crmsync.model import Company
from crmsync.store.database import open_store
from tests.support import make
from tests.support.commands import crmsync, settings_alone

CRMS = '\n[hubspot]\n[salesforce]\ninstance_url = "https://acme.my.salesforce.com"\n'
GROUP = """
[account]
score = "top_three"

[account.roles]
"Decision maker" = { when = { field = "title", seniority = ["vp", "c_level"] } }
"Technical lead" = { when = { all = [
    { field = "title", contains = "engineer" }, { field = "score", gte = 30 } ] } }
"""
KESTREL = Company("7", "Kestrel Avionics and Instruments", "kestrel.example", "hubspot-bob")


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    with settings_alone(monkeypatch, {}):
        yield


def written(folder, account=GROUP):
    made = folder / "crmsync.toml"
    made.write_text(f'{make.MODEL}{CRMS}{account}\n[state]\nurl = "sqlite:///{folder}/state.db"\n')
    return made


@pytest.fixture
def path(tmp_path):
    return written(tmp_path)


def join(of, number, mail, title="Clerk", *, demo=False, **values):
    made = make.contact(number, of.name, emails=(mail,), fields={"title": title}, **values)
    of.edit(made)
    if demo:
        of.happen(make.activity(str(number), made))


@pytest.fixture
def ran(path):
    """After a run: Kestrel with a Vera, an engineer and a clerk, and somebody of another company."""
    hubspot = make.crm("hubspot")
    join(hubspot, 1, "vera@kestrel.example", "VP Sales", name="Vera Kestrel", demo=True, company=KESTREL)
    join(hubspot, 2, "eng@kestrel.example", "Engineer", name="=Eng", company=KESTREL)
    join(hubspot, 3, "clerk@kestrel.example")
    join(hubspot, 4, "bo@other.example", name="\x1b[31mBo", demo=True)
    store = open_store(f"sqlite:///{path.parent}/state.db")
    try:
        run_cycle(make.work(store, hubspot, settings=make.config(f"{make.MODEL}{GROUP}", guard={"first_run": 99})))
    finally:
        store.close()
    return path


def shown(monkeypatch, *words):
    """What a terminal of 80 columns shows."""
    monkeypatch.setattr(
        "crmsync.cli.accounts.results_console",
        lambda: Console(file=sys.stdout, width=80, force_terminal=True, color_system=None, markup=False, emoji=False),
    )
    ended = crmsync(*words)
    assert all(len(line) <= 80 for line in ended.out.splitlines() if "crmsync accounts" not in line), ended.out
    return ended


def test_the_list_is_read_on_80_columns(ran, monkeypatch):
    ended = shown(monkeypatch, "accounts", "-c", ran)
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "Kestrel Avionics and Instruments <kestrel.example>: 50 points, 3 people, 1",
        "active, owner bob@acme.example",
        "  roles: Decision maker (1); missing: Technical lead",
        "other.example: 30 points, 1 person, 1 active, no owner",
        "  missing: Decision maker, Technical lead",
        "",
        "2 accounts. The score is the sum of the three highest scores of its people.",
        "To see the people of one of them, for example:",
        f"  crmsync accounts kestrel.example --config {ran}",
    ]


def test_one_account_is_shown_with_its_people_on_80_columns(ran, monkeypatch):
    ended = shown(monkeypatch, "accounts", "kestrel avionics and instruments", "-c", ran)
    assert ended.code == 0
    lines = [line.rstrip() for line in ended.out.splitlines()]
    assert lines[:2] == [
        "Kestrel Avionics and Instruments <kestrel.example>: 50 points, 3 people, 1",
        "active, owner bob@acme.example",
    ]
    people = [line.split() for line in lines[5:8]]
    assert people[0] == ["50", "mql", "yes", "Vera", "Kestrel", "Decision", "maker"]
    assert {each[-1] for each in people[1:]} == {"=Eng", "clerk@kestrel.example"}
    assert lines[-2:] == [
        "The score is the sum of the three highest scores of its people. Active: in the",
        "last 7 days.",
    ]


def test_the_json_has_all_of_it(ran):
    said = crmsync("accounts", "--json", "-c", ran).json
    assert (said["count"], said["method"]) == (2, "top_three")
    assert said["accounts"][0] == {
        "name": KESTREL.name,
        "domain": "kestrel.example",
        "owner": "bob@acme.example",
        "score": 50,
        "people": 3,
        "active_people": 1,
        "roles": {"Decision maker": 1, "Technical lead": 0},
        "missing": ["Technical lead"],
    }
    one = crmsync("accounts", "kestrel.example", "--json", "-c", ran).json
    vera = one["accounts"][0]["members"][0]
    assert (one["count"], vera["name"], vera["roles"]) == (1, "Vera Kestrel", ["Decision maker"])
    assert "hubspot-bob" not in str(said) + str(one)


def test_a_role_that_is_missing_and_the_highest_scores_can_be_asked_for(ran):
    missing = crmsync("accounts", "--missing", "Decision maker", "--json", "-c", ran).json
    assert [each["domain"] for each in missing["accounts"]] == ["other.example"]
    top = crmsync("accounts", "--top", "1", "--json", "-c", ran).json
    assert ([each["domain"] for each in top["accounts"]], top["count"]) == (["kestrel.example"], 2)
    ended = crmsync("accounts", "--top", "1", "-c", ran)
    assert "1 more are not shown" in ended.out
    strange = crmsync("accounts", "--missing", "Boss", "-c", ran)
    assert (strange.code, strange.out) == (2, "")
    assert "there is no role 'Boss'; the roles are Decision maker, Technical lead" in strange.err


def test_the_csv_opens_in_a_spreadsheet(ran, tmp_path):
    file = tmp_path / "accounts.csv"
    ended = crmsync("accounts", "--csv", file, "-c", ran)
    assert (ended.code, ended.out) == (0, "")
    assert "2 rows written" in ended.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first, second = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    assert first == {
        "account": KESTREL.name,
        "domain": "kestrel.example",
        "owner": "bob@acme.example",
        "score": "50",
        "people": "3",
        "active_people": "1",
        "roles": "Decision maker: 1; Technical lead: 0",
        "missing": "Technical lead",
    }
    assert (second["account"], second["missing"]) == ("", "Decision maker; Technical lead")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--json", "--csv", "-"), "not both"),
        (("kestrel.example", "--top", "3"), "leave out the account"),
        (("Nobody Ltd",), "there is no account 'Nobody Ltd'; give its whole name or its domain"),
        (("nobody.example",), "there is no account 'nobody.example'"),
    ],
)
def test_what_cannot_be_answered_is_said(ran, words, said):
    ended = crmsync("accounts", *words, "-c", ran)
    assert (ended.code, ended.out) == (2, "")
    assert said in " ".join(ended.err.split())


def test_without_a_table_or_a_run_it_says_what_is_missing(tmp_path):
    bare = written(tmp_path, account="")
    assert "the config has no [account]; add it" in crmsync("accounts", "-c", bare).err
    path = written(tmp_path)
    ended = crmsync("accounts", "--json", "-c", path)
    assert (ended.code, ended.json["next"]) == (2, f"crmsync plan --config {path}")
    assert "No run yet" in ended.json["problems"][0]


def test_an_account_of_two_names_is_chosen_by_its_domain(path):
    hubspot = make.crm("hubspot")
    for number, domain in enumerate(("one.example", "two.example")):
        join(hubspot, number, f"p@{domain}", company=Company(str(number), "Kestrel", domain))
    store = open_store(f"sqlite:///{path.parent}/state.db")
    run_cycle(make.work(store, hubspot, settings=make.config(f"{make.MODEL}{GROUP}")))
    store.close()
    ended = crmsync("accounts", "Kestrel", "--json", "-c", path)
    assert (ended.code, ended.json["error"]) == (1, "several")
    assert [each.strip() for each in ended.json["problems"][1:]] == ["one.example", "two.example"]
    assert crmsync("accounts", "two.example", "--json", "-c", path).json["accounts"][0]["people"] == 1


def test_an_explanation_names_the_account_its_score_and_who_is_missing(ran):
    out = " ".join(crmsync("explain", "vera@kestrel.example", "-c", ran).out.split())
    assert f"Account: {KESTREL.name}, 50 points, 3 people; roles: Decision maker (1); missing: Technical lead" in out
    said = crmsync("explain", "vera@kestrel.example", "--json", "-c", ran).json["account"]
    assert (said["score"], said["missing"], said["people"]) == (50, ["Technical lead"], 3)
