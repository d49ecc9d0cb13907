"""The commands as an admin meets them."""

import json
import logging
import os
from contextlib import chdir, contextmanager
from unittest import mock

import structlog
import time_machine
from typer.testing import CliRunner

from crmsync.cli import app
from crmsync.reporting.documents import check_document
from tests.conftest import NOW
from tests.support.demo import environment


@contextmanager
def settings_alone(monkeypatch, variables, now=NOW, tick=True):
    """Of the settings in the environment only these; time begins at `now`, and the log is afterwards as before.

    It yields the clock, which may be moved.
    """
    for name in [name for name in os.environ if name.startswith("CRMSYNC_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with _log_as_before(), time_machine.travel(now, tick=tick) as clock:
        yield clock


@contextmanager
def _log_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


CRMS = '\n[hubspot]\n[salesforce]\ninstance_url = "https://acme.my.salesforce.com"\n'


def write_model(folder, model):
    """A config with this model, both CRMs and a state of its own in the folder."""
    made = folder / "crmsync.toml"
    made.write_text(f'{model}{CRMS}\n[state]\nurl = "sqlite:///{folder}/state.db"\n')
    return made


class Ended:
    """How a command ended: its exit code, and what it printed."""

    def __init__(self, result):
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def json(self):
        return json.loads(self.out)


OPTIONS = ("--model", "--health", "--refused", "--history", "--routing")
"""Options whose command prints a document of its own."""


def crmsync(*words):
    words = [str(word) for word in words]
    ended = Ended(CliRunner().invoke(app, words, catch_exceptions=False))
    if "--json" in words and ended.out.startswith("{") and "--schema" not in words:
        own = [
            each
            for each in words[1:2]
            if words[0] != "init" and each in ("--model", "--health", "--refused", "--history", "--routing")
        ]
        own += [each for each in words[2:3] if words[0] == "explain" and each == "--at"]
        check_document(" ".join([words[0], *own]), ended.json)
    return ended


def crmsync_in(folder, **env):
    """The command in a folder with these variables and by the real clock: it begins at once, a process in seconds."""

    def run(*words):
        with chdir(folder), mock.patch.dict(os.environ, environment(**env), clear=True), _log_as_before():
            return crmsync(*words)

    return run
