"""The commands as an admin meets them."""

import json

from typer.testing import CliRunner

from crmsync.cli import app
from crmsync.reporting.documents import check_document


class Ended:
    """How a command ended: its exit code, and what it printed."""

    def __init__(self, result):
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def json(self):
        return json.loads(self.out)


def crmsync(*words):
    words = [str(word) for word in words]
    ended = Ended(CliRunner().invoke(app, words, catch_exceptions=False))
    if "--json" in words and ended.out.startswith("{") and "--schema" not in words:
        check_document(f"{words[0]} {words[1]}" if {"--model", "--health"} & {*words[1:2]} else words[0], ended.json)
    return ended
