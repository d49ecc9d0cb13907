"""Whole runs over real HTTP while the CRMs change, refuse and forget under them."""

import pytest
from sqlalchemy import select

from connectors.sandbox.faults import Fault
from connectors.sandbox.server import serve
from crmsync.config import connectors, load
from crmsync.config.template import demo_config
from crmsync.cycle import run_cycle
from crmsync.errors import ConfigError
from crmsync.store import schema
from crmsync.store.cursors import StoredNotes
from crmsync.work import Work
from tests.conftest import NOW
from tests.core.test_cycle import after_pull, balanced
from tests.support.make import store
from tests.support.stop import Hurried

TOKEN = "canary-7c1d0b52e9"
VARIABLES = {
    "HUBSPOT__TOKEN": TOKEN,
    "HUBSPOT__SEARCHES": "10000",
    "HUBSPOT__BURST": "10000",
    "SALESFORCE__CLIENT_ID": "sandbox",
    "SALESFORCE__CLIENT_SECRET": "sandbox",
}


class Runs:
    """Runs of crmsync against the sandbox, with one state and fresh connectors each time."""

    def __init__(self, sandbox, folder):
        self.sandbox, self.state = sandbox, store(folder)
        sales = [rep.email for rep in sandbox.world.reps if rep.active]
        text = demo_config(sandbox.url, sales).replace('secrets = "secrets"', "#")
        (folder / "crmsync.toml").write_text(text, encoding="utf-8")
        self.config = load(folder / "crmsync.toml")
        for crm in ("hubspot", "salesforce"):
            self.connect(crm).create_fields()
        sandbox.clock.advance(3_600)

    def connect(self, crm):
        settings, names = self.config.crms[crm], self.config.field_map(crm)
        return connectors()[crm].connect(settings, names, StoredNotes(self.state, crm), Hurried())

    def run(self, *crms, act=None, full=False, approved=True):
        """One run; `act` happens between its pull and its write."""
        made = {crm: self.connect(crm) for crm in crms}
        if act is not None:
            after_pull(made[crms[-1]], act)
        self.sandbox.clock.advance(60)
        result = run_cycle(Work(self.config, self.state, made, self.sandbox.clock()), full=full, approved=approved)
        for each in made.values():
            each.close()
        return balanced(result)

    def rows(self, table=schema.contact):
        with self.state.read() as reading:
            return [row._asdict() for row in reading.execute(select(table))]

    def do(self, crm, action, **body):
        self.sandbox.clock.advance(30)
        return self.sandbox.do(crm, action, **body)

    def scores(self, crm):
        """What each live record of a CRM holds as its score."""
        tables = self.sandbox.snapshot(crm)
        if crm == "hubspot":
            return {each: int(values.get("crmsync_score") or -1) for each, values in tables["contacts"].items()}
        found = {}
        for kind in ("Lead", "Contact"):
            found |= {
                each: values.get("Crmsync_Score__c")
                for each, values in tables[kind].items()
                if not (values.get("IsDeleted") or values.get("IsConverted"))
            }
        return found


@pytest.fixture(scope="module")
def _small():
    with serve(people=20, seed=1, now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_small):
    """A smaller sandbox than other tests have: these run several whole cycles each."""
    _small.reset()
    return _small


@pytest.fixture
def runs(sandbox, tmp_path, monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(f"CRMSYNC_{name}", value)
    sandbox.do("hubspot", "issue_token", token=TOKEN)
    made = Runs(sandbox, tmp_path)
    yield made
    made.state.close()


def alone(runs, crm, kind, count):
    """Records whose person has no other one and that a run would write."""
    rows = [each for each in runs.rows() if each["crm"] == crm and each["kind"] == kind and each["person"]]
    several = [each["person"] for each in runs.rows()]
    found = [each for each in rows if several.count(each["person"]) == 1 and not each["gone"]]
    return [each["ref_id"] for each in found if not each["converted_into"]][:count]


def test_R17_a_contact_that_is_merged_between_pull_and_write_is_its_survivor_afterwards(runs):
    runs.run("hubspot")
    winner, loser = alone(runs, "hubspot", "contact", 2)
    for each in (winner, loser):
        runs.do("hubspot", "update", id=each, properties={"jobtitle": "Chief Executive Officer"})
    merged = []
    runs.run("hubspot", act=lambda: merged.append(runs.do("hubspot", "merge", id=winner, other=loser)["id"]))
    runs.run("hubspot")
    (survivor,) = merged
    rows = {each["ref_id"]: each for each in runs.rows() if each["ref_id"] in (winner, loser, survivor)}
    person = {each["id"]: each["total"] for each in runs.rows(schema.person)}[rows[survivor]["person"]]
    assert runs.scores("hubspot")[survivor] == person // 100
    assert {each["merged_into"] for ref, each in rows.items() if ref != survivor} == {f"hubspot:contact:{survivor}"}


@pytest.mark.parametrize("becomes", ["merged", "converted"])
def test_R18_W17_a_lead_that_is_merged_or_converted_between_pull_and_write_is_no_failure(runs, becomes):
    runs.run("salesforce")
    winner, loser = alone(runs, "salesforce", "lead", 2)
    for each in (winner, loser):
        runs.do("salesforce", "update", id=each, fields={"Title": "Chief Executive Officer"})
    done = []

    def act():
        if becomes == "merged":
            runs.do("salesforce", "merge", winner=winner, losers=[loser])
            done.append(winner)
        else:
            done.append(runs.do("salesforce", "convert", id=loser)["contact"])

    meanwhile = runs.run("salesforce", act=act).crms["salesforce"]
    assert (meanwhile.rejected, meanwhile.unknown) == (0, 0)
    after = runs.run("salesforce")
    assert after.verdict == "ok"
    row = next(each for each in runs.rows() if each["ref_id"] == done[0])
    person = {each["id"]: each["total"] for each in runs.rows(schema.person)}[row["person"]]
    assert runs.scores("salesforce")[done[0]] == person // 100
    assert runs.run("salesforce").crms["salesforce"].planned == 0


def test_W18_a_lead_that_comes_back_from_the_recycle_bin_is_written_again(runs):
    runs.run("salesforce")
    (lead,) = alone(runs, "salesforce", "lead", 1)
    runs.do("salesforce", "delete", id=lead)
    runs.run("salesforce")
    runs.do("salesforce", "undelete", id=lead)
    runs.do("salesforce", "update", id=lead, fields={"Title": "Chief Executive Officer", "Crmsync_Score__c": None})
    runs.run("salesforce")
    row = next(each for each in runs.rows() if each["ref_id"] == lead)
    person = {each["id"]: each["total"] for each in runs.rows(schema.person)}[row["person"]]
    assert runs.scores("salesforce")[lead] == person // 100


def test_R15_a_contact_that_was_deleted_and_purged_while_the_worker_was_off_is_found_gone(runs):
    runs.run("hubspot")
    (lost,) = alone(runs, "hubspot", "contact", 1)
    runs.do("hubspot", "archive", id=lost)
    runs.sandbox.clock.advance(91 * 86_400)
    runs.sandbox.calls.clear()
    result = runs.run("hubspot", full=True)
    row = next(each for each in runs.rows() if each["ref_id"] == lost)
    assert row["gone"]
    assert "@" not in row["emails"]
    assert result.crms["hubspot"].rejected == 0
    assert runs.run("hubspot", full=True).crms["hubspot"].planned == 0


def test_A04_a_crm_that_revoked_its_token_is_skipped_with_the_remedy_and_the_other_goes_on(runs):
    runs.sandbox.do("hubspot", "revoke_token", token=TOKEN)
    runs.sandbox.calls.clear()
    result = runs.run("hubspot", "salesforce")
    assert result.verdict == "partial"
    assert "CRMSYNC_HUBSPOT__TOKEN" in result.skipped["hubspot"]
    assert len(runs.sandbox.calls.of("hubspot")) == 1
    assert result.crms["salesforce"].updated > 0


def test_A11_a_run_that_reached_its_share_of_the_quota_is_partial_and_the_next_one_goes_on(runs):
    runs.do("salesforce", "set_usage", used=695, max=1_000)
    runs.sandbox.do("salesforce", "set", page_size=5)
    result = runs.run("hubspot", "salesforce")
    assert result.verdict == "partial"
    assert "700 of the org's 1,000" in result.skipped["salesforce"]
    assert result.crms["hubspot"].updated > 0
    before = result.crms["salesforce"].pulled
    assert before > 0
    runs.do("salesforce", "set_usage", used=10, max=100_000)
    again = runs.run("salesforce")
    assert again.verdict == "ok"
    assert again.crms["salesforce"].pulled + before < 1.5 * len(
        [each for each in runs.rows() if each["crm"] == "salesforce"]
    )
    shared = {each["ref_id"] for each in runs.rows() if each["ambiguous"]}
    assert {each for each, score in runs.scores("salesforce").items() if score is None} == shared


def test_R24_a_bulk_job_that_fails_moves_no_cursor_and_is_no_success(runs):
    runs.config = runs.config.model_copy(
        update={"salesforce": runs.config.crms["salesforce"].model_copy(update={"bulk_query_threshold": 1})}
    )
    runs.sandbox.faults.add(
        Fault(
            do="answer",
            vendor="salesforce",
            path="/jobs/query/\\w+$",
            status=200,
            body={"id": "750", "state": "Failed"},
        )
    )
    result = runs.run("hubspot", "salesforce")
    assert result.verdict == "partial"
    assert "begun again" in result.skipped["salesforce"]
    assert not [each for each in runs.rows() if each["crm"] == "salesforce"]
    runs.sandbox.faults.clear()
    assert runs.run("hubspot", "salesforce").crms["salesforce"].updated > 10


def test_W14_an_owner_who_leaves_between_pull_and_write_gets_nobody_and_the_score_is_written(runs):
    runs.config = runs.config.model_copy(update={"write": runs.config.write.model_copy(update={"owner": True})})
    owners = {each.id: each for each in runs.connect("hubspot").owners()}
    pool = {each for member in runs.config.owner_pool for each in member.members}
    reps = [id_ for id_, each in owners.items() if each.email in pool]

    def act():
        for each in reps[:-1]:
            runs.do("hubspot", "archive_owner", id=each)

    before = {
        each: values.get("hubspot_owner_id") for each, values in runs.sandbox.snapshot("hubspot")["contacts"].items()
    }
    runs.run("hubspot", act=act)
    after = runs.sandbox.snapshot("hubspot")["contacts"]
    given = {
        values.get("hubspot_owner_id")
        for each, values in after.items()
        if values.get("hubspot_owner_id") != before[each]
    }
    assert given <= {reps[-1]}
    rows = [each for each in runs.rows() if each["person"] and not each["gone"]]
    totals = {each["id"]: each["total"] for each in runs.rows(schema.person)}
    assert {each["ref_id"]: totals[each["person"]] // 100 for each in rows} == {
        each["ref_id"]: runs.scores("hubspot")[each["ref_id"]] for each in rows
    }


def test_C04_no_secret_is_in_the_state_after_runs_that_went_well_and_runs_that_did_not(runs, tmp_path):
    runs.run("hubspot", "salesforce")
    runs.sandbox.faults.add(Fault(do="answer", status=401, body={"message": "no"}))
    with pytest.raises(ConfigError, match="CRMSYNC_HUBSPOT__TOKEN"):
        runs.run("hubspot", "salesforce")
    runs.state.close()
    for file in tmp_path.glob("state.db*"):
        assert TOKEN.encode() not in file.read_bytes(), file.name


@pytest.mark.parametrize(("crm", "path"), [("hubspot", "/batch/update$"), ("salesforce", "/composite/sobjects$")])
def test_C04_no_secret_is_in_the_state_though_the_crm_repeats_it_in_a_refusal(runs, tmp_path, crm, path):
    said = f"No. You sent: Authorization: Bearer {TOKEN}"
    body = {"status": "error", "message": said, "category": "VALIDATION_ERROR"}
    if crm == "salesforce":
        body = [{"errorCode": "INVALID_FIELD", "message": said}]
    runs.sandbox.faults.add(Fault(do="answer", vendor=crm, path=path, status=400, body=body))
    result = runs.run(crm)
    assert result.crms[crm].rejected > 0
    assert any("No. You sent" in each["reason"] for each in runs.rows(schema.change))
    runs.state.close()
    for file in tmp_path.glob("state.db*"):
        assert TOKEN.encode() not in file.read_bytes(), file.name
