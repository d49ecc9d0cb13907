"""The first day of an admin, typed on a real terminal: docs/first-day.md is what they read, and nothing else."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from connectors.sandbox.server import serve
from tests.support.demo import SECRETS, environment
from tests.support.terminal import on_terminal

DOCUMENT = Path(__file__).parents[2] / "docs" / "first-day.md"
MORNING = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
RUN = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b")
BOX = re.compile(r"```console\n\$ crmsync (.*?)\n(.*?)```", re.DOTALL)

ANSWERS = {
    "init": [
        ("Number [1]: ", ""),
        ("Number [3]: ", ""),
        ("Number [0]: ", ""),
        ("[Y/n]: ", ""),
        ("name [0]: ", "5,11"),
        ("Enter to go on: ", ""),
        ("6,7]: ", ""),
    ],
    "apply": [("[y/N]: ", "y")],
}
"""What the admin types, by command, and after which words: with their blank, since the terminal shows at once what is
typed.
"""


def steady(text, url):
    """The text with what differs from day to day made the same."""
    text = text.replace(url, "http://127.0.0.1:8400")
    text = RUN.sub("20261123-090000-1a2b", text)
    text = re.sub(r"(?m)^(time .*)$", lambda line: re.sub(r"[\d.]+ s", "1.0 s", line[1]), text)
    text = re.sub(r"(succeeded +\d+ +)[\d.]+$", r"\g<1>1.0", text, flags=re.MULTILINE)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def type_command(folder, words, answers, variables):
    """What a terminal shows of a command, and its exit code; an answer is typed where the text before it comes."""
    with on_terminal(folder, environment(**variables), *words, term="dumb", now=MORNING) as terminal:
        for question, answer in answers:
            terminal.answer(question, answer)
        code = terminal.end()
    return terminal.text, code


def test_the_document_is_what_a_terminal_shows(tmp_path):
    document = DOCUMENT.read_text(encoding="utf-8")
    with serve(people=300, seed=1, now=MORNING) as sandbox:
        variables = {**SECRETS, "CRMSYNC_HUBSPOT__BASE_URL": sandbox.url}
        variables |= {"CRMSYNC_SALESFORCE__INSTANCE_URL": sandbox.url}

        def shown(box):
            words = box[1].replace("http://127.0.0.1:8400", sandbox.url).split()
            text, code = type_command(tmp_path, words, ANSWERS.get(words[0], ()), variables)
            ended = f"[exit code {code}]\n" if code else ""
            return f"```console\n$ crmsync {box[1]}\n{steady(text, sandbox.url)}\n{ended}```"

        made = BOX.sub(shown, document)
    if os.environ.get("WRITE_FIRST_DAY"):
        DOCUMENT.write_text(made, encoding="utf-8")
    assert made == document
