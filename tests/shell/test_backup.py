"""Pausing, backups and restores as an admin meets them."""

from datetime import timedelta

import pytest

from tests.conftest import NOW
from tests.support.commands import crmsync, settings_alone
from tests.support.demo import REPS, SECRETS, write_config


@pytest.fixture
def path(small_sandbox, tmp_path, monkeypatch):
    with settings_alone(monkeypatch, SECRETS):
        yield write_config(tmp_path, small_sandbox.url, REPS)


def test_a_pause_says_its_end_and_how_to_end_it(path):
    said = crmsync("pause", "--until", "2h", "--why", "Salesforce is being\nmigrated", "-c", path)
    assert said.code == 0
    assert (
        said.out.startswith(
            f"Paused since {NOW:%Y-%m-%d %H:%M} UTC until {NOW + timedelta(hours=2):%Y-%m-%d %H:%M} UTC, because "
            "Salesforce is being migrated. To write again:\n  crmsync resume --config"
        )
        or "crmsync resume" in said.out
    )
    shown = crmsync("status", "-c", path)
    assert shown.out.splitlines()[0].startswith("Paused since 2026-11-21 09:00 UTC until 2026-11-21 11:00 UTC, because")
    health = crmsync("status", "--health", "-c", path)
    assert (health.code, health.out.startswith("Paused since")) == (0, True)
    kept = crmsync("status", "--json", "-c", path).json["paused"]
    assert (kept["since"][:16], kept["until"][:16], kept["why"]) == (
        "2026-11-21T09:00", "2026-11-21T11:00", "Salesforce is being migrated"
    )  # fmt: skip


def test_a_second_pause_changes_the_end_and_resume_ends_it(path):
    crmsync("pause", "--until", "2h", "-c", path)
    said = crmsync("pause", "--until", "2026-11-22T08:00:00+01:00", "--json", "-c", path).json["paused"]
    assert (said["since"][:16], said["until"]) == ("2026-11-21T09:00", "2026-11-22T07:00:00+00:00")
    assert [crmsync("resume", "-c", path).out for _ in range(2)] == [
        "Resumed: crmsync writes again.\n",
        "It was not paused.\n",
    ]
    assert crmsync("status", "--json", "-c", path).json["paused"] is None


@pytest.mark.parametrize(
    ("until", "sentence"),
    [
        ("2026-11-22T08:00:00", "needs a time zone; write for example 2026-11-22T08:00:00Z"),
        ("2026-11-22", "needs a time zone; write for example 2026-11-22T00:00:00Z"),
        ("2026-11-21T08:59:00Z", "has passed"),
        ("0h", "has passed"),
        ("tomorrow", "is not a date and time; write for example"),
        ("99999999999w", "is too far away"),
        ("9999-12-31T23:59:59-14:00", "is too far away"),
        ("2h30m", "2026-11-21T12:00:00Z, or 2h"),
    ],
)
def test_an_end_that_cannot_be_is_refused(path, until, sentence):
    said = crmsync("pause", "--until", until, "-c", path)
    assert said.code == 2
    assert sentence in said.err
    assert crmsync("status", "--json", "-c", path).json["paused"] is None


@pytest.mark.parametrize("words", [("sync",), ("backfill", "--yes"), ("apply", "--yes"), ("setup",)])
def test_what_writes_by_hand_ends_with_the_sentence(path, small_sandbox, words):
    crmsync("pause", "--why", "the audit is not done", "-c", path)
    said = crmsync(*words, "--json", "-c", path)
    assert (said.code, said.json["error"]) == (3, "paused")
    assert "because the audit is not done" in said.json["problems"][0]
    assert "resume" in said.json["next"]
    assert small_sandbox.calls.writes() == []


def test_a_backup_comes_back_and_its_plan_waits(path, tmp_path, small_sandbox):
    crmsync("setup", "-c", path)
    assert crmsync("backfill", "--yes", "-c", path).code in (0, 4)
    made = crmsync("backup", tmp_path / "kept.db", "--json", "-c", path)
    assert (made.code, made.json["bytes"]) == (0, (tmp_path / "kept.db").stat().st_size)
    assert not any(secret.encode() in (tmp_path / "kept.db").read_bytes() for secret in {"sandbox-token"})
    again = crmsync("backup", tmp_path / "kept.db", "-c", path)
    assert (again.code, "add --yes to replace it" in again.err) == (2, True)
    refused = crmsync("restore", tmp_path / "kept.db", "-c", path)
    assert (refused.code, "restore with --yes to replace it" in refused.err) == (2, True)
    writes = len(small_sandbox.calls.writes())
    calls = len(small_sandbox.calls)
    said = crmsync("restore", tmp_path / "kept.db", "--yes", "-c", path)
    assert (said.code, said.out.startswith("Restored: ")) == (0, True)
    assert len(small_sandbox.calls) == calls
    contacts = list(small_sandbox.portal.snapshot()["contacts"])
    for each in contacts:
        small_sandbox.do("hubspot", "update", id=each, properties={"crmsync_score": 1})
    held = crmsync("sync", "--json", "-c", path)
    assert held.code == 3
    assert "after the state was restored from a backup" in held.json["held"]["reasons"][0]
    assert len(small_sandbox.calls.writes()) == writes


def test_without_a_state_there_is_nothing_to_back_up_and_a_restore_needs_no_yes(path, tmp_path):
    said = crmsync("backup", tmp_path / "kept.db", "-c", path)
    assert (said.code, "there is no state yet" in said.err) == (2, True)
    crmsync("resume", "-c", path)
    assert crmsync("backup", tmp_path / "kept.db", "-c", path).code == 0
    for old in tmp_path.glob("crmsync.db*"):
        old.unlink()
    assert crmsync("restore", tmp_path / "kept.db", "--json", "-c", path).json["rows"]["record"] == 0
