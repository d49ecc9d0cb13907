"""The state as Parquet: what is exported scores to the last point as it is stored, and comes back as it was."""

import json
import stat
from contextlib import closing

import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete, select, update

from crmsync.config import load
from crmsync.store import schema
from crmsync.store.database import open_existing_store
from crmsync.store.ledgers import ledger_reader
from tests.support.commands import crmsync, settings_alone
from tests.support.demo import REPS, SECRETS, write_config


@pytest.fixture(scope="module")
def done(_running_small, tmp_path_factory):
    """A state after its first run, and the sandbox as it left it."""
    folder = tmp_path_factory.mktemp("export")
    _running_small.reset()
    with pytest.MonkeyPatch.context() as patch, settings_alone(patch, SECRETS) as clock:
        path = write_config(folder, _running_small.url, REPS)
        crmsync("setup", "-c", path)
        assert crmsync("backfill", "--yes", "-c", path).code in (0, 4)
        clock.shift(40 * 86_400)  # time decay moves what is scored later
        ended = crmsync("export", folder / "out", "-c", path, "--json")
        assert ended.code == 0, ended.out
        yield path, folder / "out", ended.json, _running_small


def stored(path):
    """The scores that the state holds: by person, with their lines in points."""
    with closing(open_existing_store(load(path).state.url)) as store, store.read() as reading:
        rows = reading.execute(select(schema.person).where(schema.person.c.excluded == "")).all()
        read = ledger_reader(reading)
    return {
        each.id: (each.fit / 100, each.behavior / 100, each.total / 100, each.band,
                  [(line, points / 100) for line, points in read(each.ledger).items()])
        for each in rows
    }  # fmt: skip


def of_table(folder):
    return {
        each["person"]: (each["fit"], each["behavior"], each["score"], each["band"],
                         [(line["line"], line["points"]) for line in each["ledger"]])
        for each in pq.read_table(folder).to_pylist()
    }  # fmt: skip


def test_an_export_scores_to_the_last_point_as_it_is_stored(done, tmp_path):
    path, out, document, _ = done
    expected = stored(path)
    assert of_table(out / "scores") == expected
    ended = crmsync("score", "--input", out, "--output", tmp_path / "scores", "-c", path)
    assert (ended.code, "the last run of the export; --at names another time" in " ".join(ended.err.split())) == (
        0,
        True,
    )
    assert of_table(tmp_path / "scores") == expected
    explained = crmsync("score", "--input", out, "-c", path, "--json").json
    assert {each["person"]: each["total"] for each in explained["people"]} == {
        each: row[2] for each, row in expected.items()
    }
    assert (document["people"], document["scores"], document["pending"]) == (len(expected), len(expected), 0)
    later = crmsync("score", "--input", out, "--at", "2027-11-21T12:00:00Z", "-c", path, "--json").json
    assert {each["person"]: each["total"] for each in later["people"]} != {
        each: row[2] for each, row in expected.items()
    }


def test_an_export_has_people_with_what_they_did(done):
    _path, out, document, _ = done
    people, facts = pq.read_table(out / "people"), pq.read_table(out / "facts.parquet")
    assert document["activities"] == sum(len(each) for each in people["activities"].to_pylist()) > 0
    assert document["facts"] == len(facts) > 0
    pointed = {act["fact"] for each in people["activities"].to_pylist() for act in each}
    assert pointed == set(facts["fact"].to_pylist())
    first = people.to_pylist()[0]
    assert {"title", "email", "stage"} <= first["fields"].keys()
    assert all(each.count(":") == 2 for each in first["records"])


def test_an_export_is_for_its_owner_alone_and_has_no_secret(done):
    path, out, _document, _ = done
    files = [each for each in out.rglob("*") if each.is_file()]
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert {stat.S_IMODE(each.stat().st_mode) for each in [out, *out.rglob("*")] if each.is_dir()} == {0o700}
    assert not [each for each in files if b"sandbox-token" in each.read_bytes()]
    again = crmsync("export", out, "-c", path)
    assert (again.code, "is not empty" in again.err) == (2, True)


def test_what_was_imported_plans_nothing(done, tmp_path, monkeypatch):
    _path, out, _document, sandbox = done
    with settings_alone(monkeypatch, SECRETS):
        path = write_config(tmp_path, sandbox.url, REPS)
        said = crmsync("import", out, "-c", path)
        assert (said.code, said.out.startswith("Imported: ")) == (0, True)
        planned = crmsync("plan", "-c", path, "--json").json
        assert {crm: each["planned"] for crm, each in planned["crms"].items()} == {"hubspot": 0, "salesforce": 0}
        writes = len(sandbox.calls.writes())
        assert crmsync("sync", "-c", path).code in (0, 4)
        assert len(sandbox.calls.writes()) == writes
        again = crmsync("import", out, "-c", path)
        assert (again.code, "import into an empty one" in again.err) == (2, True)


def test_news_that_no_run_scored_yet_is_pending_and_a_field_of_several_types_stays_exact(done, tmp_path):
    path, _out, _document, _ = done
    record = schema.record
    with closing(open_existing_store(load(path).state.url)) as store:
        with store.read() as reading:
            several = record.c.fields.contains('"employees"')
            one = reading.scalar(select(record.c.person).where(several, record.c.person.is_not(None)).limit(1))
            rows = reading.execute(select(record.c.id, record.c.fields).where(record.c.person == one)).all()
        edited = {each.id: json.dumps({**json.loads(each.fields), "employees": "200-500"}) for each in rows}
        for dirty, fields in ((True, edited), (False, {each.id: each.fields for each in rows})):
            with store.begin() as writing:
                for row_id, text in fields.items():
                    writing.execute(update(record).where(record.c.id == row_id).values(dirty=dirty, fields=text))
                writing.execute(delete(schema.score_input))
            if dirty:
                document = crmsync("export", tmp_path / "out", "-c", path, "--json").json
    assert document["pending"] == 1
    people = pq.read_table(tmp_path / "out" / "people").to_pylist()
    (mine,) = [each for each in people if each["pending"]]
    assert json.loads(mine["fields"]["employees#json"]) == "200-500"
    others = {each["person"] for each in people} - {mine["person"]}
    scored = crmsync("score", "--input", tmp_path / "out", "-c", path, "--json").json["people"]
    assert {each["person"]: each["total"] for each in scored if each["person"] in others} == {
        each: row[2] for each, row in stored(path).items() if each in others
    }


@pytest.mark.parametrize("command", ["export", "import"])
def test_what_cannot_be_moved_is_said(tmp_path, monkeypatch, command):
    with settings_alone(monkeypatch, SECRETS):
        path = write_config(tmp_path, "http://127.0.0.1:9", REPS)
        ended = crmsync(command, tmp_path / "out", "-c", path)
    said = "there is no state yet" if command == "export" else "is no export, or not a whole one"
    assert (ended.code, said in ended.err) == (2, True)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("crmsync.db*"))
