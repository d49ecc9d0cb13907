"""Whole runs of crmsync against the sandbox, over real HTTP."""

from contextlib import contextmanager

from sqlalchemy import select

from crmsync.bootstrap import connect_all
from crmsync.config import connectors, load
from crmsync.cycle import preview_run, run_cycle
from crmsync.store import schema
from crmsync.store.cursors import StoredNotes
from crmsync.work import Work
from tests.support.cycles import after_pull, balanced
from tests.support.demo import write_config
from tests.support.make import store
from tests.support.stop import Hurried

TOKEN = "canary-7c1d0b52e9"


VARIABLES = {
    "HUBSPOT__TOKEN": TOKEN,
    "HUBSPOT__SEARCHES_PER_SECOND": "10000",
    "HUBSPOT__CALLS_PER_10S": "10000",
    "SALESFORCE__CLIENT_ID": "sandbox",
    "SALESFORCE__CLIENT_SECRET": "sandbox",
}


class Runs:
    """Runs of crmsync against the sandbox, with one state and fresh connectors each time."""

    def __init__(self, sandbox, folder, more=""):
        self.sandbox, self.state = sandbox, store(folder)
        sales = [rep.email for rep in sandbox.world.reps if rep.active]
        file = write_config(folder, sandbox.url, sales)
        file.write_text(file.read_text() + more)
        self.config = load(file)
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

    def preview(self, *crms):
        """A preview as `crmsync plan` makes it: with connectors that keep their notes in the copy of the state."""
        self.sandbox.clock.advance(60)
        with connect_all(self.config, self.state, Hurried()) as made:
            work = Work(self.config, self.state, {crm: made[crm] for crm in crms}, self.sandbox.clock())

            @contextmanager
            def connect(config, copy):
                with connect_all(config, copy, Hurried()) as others:
                    yield {crm: others[crm] for crm in crms}

            return preview_run(work._replace(connect=connect))

    def rows(self, table=schema.record):
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


def alone(runs, crm, kind, count):
    """Records whose person has no other one and that a run would write."""
    rows = [each for each in runs.rows() if each["crm"] == crm and each["kind"] == kind and each["person"]]
    several = [each["person"] for each in runs.rows()]
    found = [each for each in rows if several.count(each["person"]) == 1 and not each["gone"]]
    return [each["ref_id"] for each in found if not each["converted_into"]][:count]
