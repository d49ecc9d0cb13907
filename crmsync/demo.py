"""The whole job on a machine that has nothing: both CRMs from the sandbox, a config, two sync runs, and the outcome."""

from __future__ import annotations

import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.sandbox.generate import make_world
from crmsync import log
from crmsync.bootstrap import open_work
from crmsync.config import Config, load, template
from crmsync.config.load import RESERVED_ENV
from crmsync.config.settings import ENV_PREFIX
from crmsync.connector import Stop
from crmsync.cycle import run_cycle
from crmsync.elapsed import stopwatch
from crmsync.errors import Cancelled, ConfigError, CrmsyncError
from crmsync.exit_codes import code_of
from crmsync.redaction import secrets_of
from crmsync.reporting.console import in_order
from crmsync.reporting.person import hottest_people
from crmsync.result import Result
from crmsync.work import Work

FOLDER, PEOPLE, SEED = Path("crmsync-demo"), 2_000, 1
STEPS = 6
PATIENCE = 60.0
"""Seconds the sandbox may take to answer for the first time."""

SECRETS = {
    "CRMSYNC_HUBSPOT__TOKEN": "sandbox-token",
    "CRMSYNC_SALESFORCE__CLIENT_ID": "sandbox",
    "CRMSYNC_SALESFORCE__CLIENT_SECRET": "sandbox",
}
"""What the sandbox accepts."""


def run_demo(
    folder: Path, people: int, seed: int, keep: bool, stop: Stop, begin: Callable[[str], object], program: str
) -> dict[str, Any]:
    """Run the demo and tell what happened. `begin` is called with each step as it starts.

    Raises `ConfigError` where the folder is somebody else's, and whatever a run raises.
    """
    begin(f"Starting both CRMs with {people:,} people")
    ignored = _forget_environment()
    _prepare(folder)
    with _sandbox(folder, people, seed, keep, stop) as (url, process_id):
        begin("Writing the config")
        config = _configured(folder, url)
        done = _cycles(config, stop, begin)
    path = folder / "config.toml"
    return {
        "folder": str(folder),
        "config": str(path),
        "sandbox": {"url": url, "people": people, "seed": seed, "process": process_id if keep else None},
        "ignored_environment": ignored,
        **done,
        "next": _following(program, path, done["hottest"], keep, _typed_again(folder, people, seed)),
        "exit_code": max(code_of(each["verdict"], each["problems"]) for each in (done["backfill"], done["second"])),
    }


def _forget_environment() -> list[str]:
    """Settings of a real CRM in the environment would win over the demo's own config: leave them out."""
    names = sorted(name for name in os.environ if name.startswith(ENV_PREFIX) and name not in RESERVED_ENV)
    for name in names:
        del os.environ[name]
    return names


def _prepare(folder: Path) -> None:
    """An empty folder, or one of an earlier demo, whose state goes and whose config is kept as `config.before.toml`."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "sandbox.log").exists():
        raise ConfigError(f"{folder} contains files that are not from a demo; choose another folder with --folder")
    (folder / "secrets").mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in folder.glob("crmsync.db*"):
        old.unlink()
    if (folder / "config.toml").exists():
        (folder / "config.toml").replace(folder / "config.before.toml")


@contextmanager
def _sandbox(folder: Path, people: int, seed: int, keep: bool, stop: Stop) -> Iterator[tuple[str, int]]:
    """The sandbox in a process of its own; its address and process id. It ends with the block, unless `keep`."""
    port = _free_port()
    command = ["sandbox", "--port", str(port), "--people", str(people), "--seed", str(seed)]
    with (folder / "sandbox.log").open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "crmsync", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the demo: a sandbox that is kept goes on.
            start_new_session=True,
        )
    done = False
    try:
        _await(process, port, folder, stop)
        yield f"http://127.0.0.1:{port}", process.pid
        done = True
    finally:
        if not (keep and done):
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def _await(process: subprocess.Popen[bytes], port: int, folder: Path, stop: Stop) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        if stop.wait(0.05):
            raise Cancelled("stopped while the sandbox started")
        if _answers(port):
            return
    last = (folder / "sandbox.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    raise CrmsyncError(f"the sandbox did not start; the end of {folder / 'sandbox.log'}: {' '.join(last)}")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/sandbox/clock")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _configured(folder: Path, url: str) -> Config:
    sales = [rep.email for rep in make_world(1, 1, datetime.now(UTC)).reps if rep.active]
    (folder / "config.toml").write_text(template.demo_config(url, sales), encoding="utf-8")
    for name, secret in SECRETS.items():
        path = folder / "secrets" / name
        # Private before the secret is in it.
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(secret + "\n", encoding="utf-8")
    config = load(folder / "config.toml")
    log.start_logging(config.log, 30, secrets_of(config))
    return config


def _cycles(config: Config, stop: Stop, begin: Callable[[str], object]) -> dict[str, Any]:
    with open_work(config, "crmsync demo", stop, lambda _what, _crm, _more: None) as work:
        begin("Creating the score fields")
        made = {crm: list(connector.create_fields()) for crm, connector in work.crms.items()}
        begin("Backfill")
        backfill = run_cycle(work, "backfill", full=True, approved=True)
        begin("Second sync run")
        again = work._replace(now=datetime.now(UTC), elapsed=stopwatch())
        second = run_cycle(again, "sync")
        begin("Done")
        return {
            "fields": made,
            "backfill": _ordered(backfill, config),
            "second": _ordered(second, config),
            "hottest": _hottest(again),
        }


def _ordered(result: Result, config: Config) -> dict[str, Any]:
    return {**result.as_json(), "bands": in_order(result.bands, config.band_names())}


def _hottest(work: Work) -> list[dict[str, Any]]:
    with work.store.read() as reading:
        return hottest_people(work.config, reading, work.now, 10)


def _following(program: str, path: Path, hot: list[dict[str, Any]], keep: bool, again: str) -> list[str]:
    """What to type next; `again` is the demo as it was typed. Without its sandbox there is no CRM to plan for."""
    who = next((f"person:{each['person']}" for each in hot), "person:1")
    looking = [f"{program} explain {who} --config {path}", f"{program} status --config {path}"]
    if not keep:
        return [*looking, f"{program} {again} --keep"]
    return [*looking, f"{program} plan --config {path}", f"{program} run --config {path}"]


def _typed_again(folder: Path, people: int, seed: int) -> str:
    """The demo with the options that were given."""
    given = (("--people", people, PEOPLE), ("--seed", seed, SEED), ("--folder", folder, FOLDER))
    said = [f"{name} {shlex.quote(str(value))}" for name, value, usual in given if value != usual]
    return " ".join(["demo", *said])
