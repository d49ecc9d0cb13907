"""Every command reads well at 40, 80 and 200 columns, in a pipe and without colors: run once, drawn often."""

import copy
import functools
import importlib
import inspect
import io
import pkgutil
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from connectors.sandbox.server import serve
from crmsync import cli, counts
from crmsync.cli.command import results_console
from crmsync.cli.commands import COMMANDS
from crmsync.reporting.print_run import COUNTS
from tests.conftest import NOW
from tests.support.commands import crmsync, settings_alone
from tests.support.demo import REPS, SECRETS, environment, write_config

WIDTHS = (40, 80, 200)
EVERYTHING = 4_000
PEOPLE = 150
MORE = """
[account]
score = "top_three"
[account.roles]
"Decision maker" = { when = { field = "title", seniority = ["vp", "c_level"] } }
[sla]
within = "4h"
[tasks]
on = ["hand_off"]
[outcome]
line = "mql"
[experiment.line]
arms = ["control", "holdout"]
start = 2025-01-01
until = 2026-10-28
metric = "won"
"""
ROOT = Path(__file__).parents[2]
UNHURRIED = {"CRMSYNC_HUBSPOT__SEARCHES_PER_SECOND": "10000", "CRMSYNC_HUBSPOT__CALLS_PER_10S": "10000"}

# What is typed, in order, and how it ends; `{run}` is the last id that was printed, WHO somebody in band mql.
STORY = (
    ("init --instance-url https://acme.my.salesforce.com -c other.toml", 0),
    ("status", 0),
    ("check --online", 2),
    ("setup", 0),
    ("check", 0),
    ("plan --csv plan.csv --html plan.html", 0),
    ("apply {run}", 0),
    ("backfill --yes", 0),
    ("sync", 0),
    ("EDIT", 0),
    ("sync", 3),
    ("show {run}", 0),
    ("apply", 3),
    ("status", 0),
    ("apply --yes", 0),
    ("undo {run} --yes", 4),
    ("REVOKE", 0),
    ("sync", 3),
    ("status --feeds", 0),
    ("status --health", 1),
    ("status --refused", 0),
    ("models", 0),
    ("history WHO", 0),
    ("explain WHO", 0),
    ("explain WHO --at 2026-11-20T12:00:00Z", 0),
    ("explain --model", 0),
    ("explain nobody@kestrel-solar.example", 2),
    ("route WHO", 0),
    ("simulate", 0),
    ("simulate --routing", 0),
    ("evaluate --csv people.csv", 0),
    ("report --html report.html", 0),
    ("drift", 0),
    ("experiment", 0),
    ("audit", 0),
    ("learn", 0),
    ("people --duplicates", 0),
    ("people --not-matched", 0),
    ("people --disagreements", 0),
    ("people --excluded", 0),
    ("people --waiting", 0),
    ("accounts", 0),
    ("accounts westmere-clinics.example", 0),
    ("score --input one.jsonl", 4),
    ("alert --test", 2),
    ("pause --why holidays", 0),
    ("sync", 3),
    ("resume", 0),
    ("backup state.backup", 0),
    ("restore state.backup --yes", 0),
    ("export warehouse", 0),
    ("import warehouse", 2),
    ("forget WHO --yes", 0),
    ("demo", 0),
)
ONLY_LOGS = {"run": "the daemon logs to stderr", "sandbox": "it says one sentence and serves"}
WHO = "marcus.kowalski.invented1@gmail.com"
RUN = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b")


class Screen(io.TextIOWrapper):
    """A standard output of which the test says whether it is a terminal."""

    def __init__(self, is_terminal):
        super().__init__(io.BytesIO(), encoding="utf-8")
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal

    def text(self):
        self.flush()
        return self.buffer.getvalue().decode()


class Tape:
    """What the commands draw: each outermost call with a console, so that it can be drawn again at any width."""

    def __init__(self, patch):
        self.drawn, self._depth = [], 0
        for module in pkgutil.iter_modules(cli.__path__, "crmsync.cli."):
            found = importlib.import_module(module.name)
            for name, each in list(vars(found).items()):
                if inspect.isfunction(each) and next(iter(inspect.signature(each).parameters), "") == "console":
                    patch.setattr(found, name, self._recorded(each))

    def _recorded(self, draw):
        @functools.wraps(draw)
        def record(console, *given, **named):
            if not self._depth and isinstance(console, Console):
                kept = [copy.deepcopy(each) if isinstance(each, dict | list) else each for each in given]
                self.drawn.append((draw, kept, named))
            self._depth += 1
            try:
                return draw(console, *given, **named)
            finally:
                self._depth -= 1

        return record


def draw(calls, columns=None, no_color=False):
    """What these calls print on a terminal of so many columns, or in a pipe."""
    screen = Screen(columns is not None)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(screen):
        patch.setenv("TERM", "xterm-256color")
        patch.setenv("COLUMNS", str(columns or 40))
        patch.setenv("NO_COLOR", "1") if no_color else patch.delenv("NO_COLOR", raising=False)
        for draw_it, given, named in calls:
            draw_it(results_console(), *given, **named)
    return screen.text()


def show_demo(drawn):
    """The demo of what was seen: the real one takes a process and half a minute."""
    runs = [given[0] for each, given, _ in drawn if each.__name__ == "print_run"]
    reason = "mql, 143 points: Meeting held +30, VP or C-level +25, Demo requested +22, Pricing page viewed +16"
    hot = {"total": 143, "band": "mql", "email": WHO, "name": "", "reason": reason}
    return {
        "config": "crmsync-demo/config.toml", "ignored_environment": ["CRMSYNC_HUBSPOT__TOKEN"],
        "sandbox": {"url": "http://127.0.0.1:8400", "people": 1, "seed": 1, "process": None},
        "fields": {"hubspot": ["made"], "salesforce": ["made", "found"]}, "hottest": [hot], "backfill": runs[1],
        "second": runs[2], "next": ["crmsync explain person:1"], "exit_code": 0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Each line of the story: what was typed, what it drew, and what it printed into a pipe."""
    folder, told, last = tmp_path_factory.mktemp("widths"), [], ""
    with (
        serve(people=PEOPLE, seed=1, now=NOW, history=True) as sandbox,
        pytest.MonkeyPatch.context() as patch,
        settings_alone(patch, {**SECRETS, **UNHURRIED}, NOW, tick=False) as clock,
    ):
        patch.chdir(folder)
        path = write_config(folder, sandbox.url, REPS)
        path.write_text(path.read_text(encoding="utf-8") + MORE, encoding="utf-8")
        (folder / "one.jsonl").write_text('{"id": "1", "fields": {"title": "CEO"}}\n{"id": 2}\nno\n', encoding="utf-8")
        tape = Tape(patch)
        patch.setattr("crmsync.demo.run_demo", lambda *_: show_demo(tape.drawn))
        for line, code in STORY:
            clock.shift(60)
            sandbox.clock.advance(60)
            if line == "EDIT":
                text = path.read_text(encoding="utf-8")
                path.write_text(text.replace("points = 25", "points = 45"), encoding="utf-8")
            elif line == "REVOKE":
                patch.setenv("CRMSYNC_HUBSPOT__TOKEN", "revoked")
            else:
                begun = len(tape.drawn)
                ended = crmsync(*line.format(run=last).replace("WHO", WHO).split())
                assert ended.code == code, (line, ended.code, ended.out, ended.err)
                last = (RUN.findall(ended.out + ended.err) or [last])[-1]
                told.append((line, functools.cache(functools.partial(draw, tape.drawn[begun:])), ended))
    return told


def words(text):
    """The words of a text, without the marks that stand between the items of a list."""
    return {word.strip(".,;:()") for word in text.split()} - {"", "…"}


def test_every_command_is_typed():
    typed = {line.split()[0] for line, _ in STORY} - {"EDIT", "REVOKE"}
    assert typed | set(ONLY_LOGS) == {*COMMANDS}


@pytest.mark.parametrize("columns", WIDTHS)
def test_no_word_number_or_id_is_broken(story, columns):
    for line, drawn, _ in story:
        whole = words(drawn(EVERYTHING, no_color=True))
        assert not words(drawn(columns, no_color=True)) - whole, (line, drawn(columns, no_color=True))


@pytest.mark.parametrize("columns", WIDTHS)
def test_no_line_is_longer_than_the_terminal(story, columns):
    for line, drawn, _ in story:
        for printed in drawn(columns, no_color=True).splitlines():
            # An address or id has no shorter form, and a command is copied whole.
            is_whole = " " not in printed.strip() or printed.startswith("  crmsync ")
            assert is_whole or cell_len(printed.rstrip()) <= columns, (line, printed)


def test_a_pipe_gets_everything_and_each_sentence_on_a_line(story):
    for line, drawn, ended in story:
        piped, whole = drawn(), drawn(EVERYTHING, no_color=True)
        assert [each.rstrip() for each in piped.splitlines()] == [each.rstrip() for each in whole.splitlines()], line
        assert "\x1b" not in piped + ended.out + ended.err, line
        assert "\r" not in ended.out + ended.err, line


def test_no_color_is_heeded(story):
    assert "\x1b[1m" in "".join(drawn(80) for _, drawn, _ in story)
    assert "\x1b" not in "".join(drawn(80, no_color=True) for _, drawn, _ in story)


def nouns():
    """Everything that crmsync counts, in the plural."""
    for folder in ("crmsync", "connectors"):
        for path in (ROOT / folder).rglob("*.py"):
            things = re.findall(r"""count_of\(.*?, ["']([a-zA-Z ]+)["']""", path.read_text(encoding="utf-8"))
            yield from (counts.count_of(2, thing).split()[-1] for thing in things)


def test_one_is_never_said_as_many_and_thousands_are_separated(story):
    many = "|".join(sorted(set(nouns())))
    wrong = re.compile(rf"(?<![\w.,:/-])(1|\d{{4,}}) (more |other )?({many})\b")
    for line, drawn, ended in story:
        text = "\n".join((drawn(), drawn(40, no_color=True), ended.out, ended.err))
        assert not wrong.search(text), (line, wrong.search(text))


def test_what_can_only_be_zero_is_left_out(story):
    for line, drawn, _ in story:
        for printed in drawn(EVERYTHING, no_color=True).splitlines():
            for name, said in COUNTS.items():
                if printed.startswith(f"{said}  ") and not re.search("[1-9]", printed.removeprefix(said)):
                    assert (name, line.split()[0] == "plan") == ("updated", False), (line, printed)


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_breaks_no_word_and_is_never_cut(monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", str(EVERYTHING))
    whole = crmsync(*filter(None, (name, "--help"))).out
    monkeypatch.setenv("COLUMNS", str(columns))
    printed = crmsync(*filter(None, (name, "--help"))).out
    assert printed.split() == whole.split()
    assert not [each for each in printed.splitlines() if len(each) > columns and " " in each.strip()]


def test_an_error_of_usage_breaks_no_word(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True)
    said = crmsync("sync", "--dry-run").err
    assert "shows what a run would" in said
    assert not [each for each in said.splitlines() if len(each) > 40]


CLOSED = "exec {command} {words} >&-"
FULL = "exec {command} {words} >/dev/full"
LEFT = "{command} {words} | head -1; exit ${{PIPESTATUS[0]}}"


@pytest.mark.parametrize(
    ("shell", "words_", "code", "out", "err"),
    [
        (LEFT, "explain --model", 0, "points", ""),
        (CLOSED, "check --json", 0, "", ""),
        (FULL, "check --json", 1, "", "The output cannot be written: No space left on device.\n"),
    ],
)
def test_whoever_does_not_read_on_breaks_nothing(tmp_path, shell, words_, code, out, err):
    write_config(tmp_path, "http://127.0.0.1:9")
    typed = shell.format(command=f"{sys.executable} -m crmsync", words=words_)
    settings = environment(PYTHONIOENCODING="ascii", PYTHONPATH=str(ROOT))
    ended = subprocess.run(
        ["bash", "-c", typed], capture_output=True, text=True, cwd=tmp_path, env=settings, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (code, err)
    assert ended.stdout.startswith(out)


def test_what_ascii_does_not_have_is_spelled_plainly():
    assert "Conceição: 24 → 30, 1×, 張 …".encode("ascii", "plain") == b"Conceicao: 24 -> 30, 1x, ? ..."
