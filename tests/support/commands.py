"""The commands as an admin meets them."""

import json

from typer.testing import CliRunner

from crmsync.cli import app


class Ended:
    """How a command ended: its exit code, and what it printed."""

    def __init__(self, result):
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def json(self):
        return json.loads(self.out)


def crmsync(*words):
    return Ended(CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False))
