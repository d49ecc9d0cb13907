"""The command line as a whole: help, options in either place, and hints for what other programs have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from crmsync.cli.commands import COMMANDS
from tests.support.commands import crmsync_in


@pytest.fixture
def crmsync(tmp_path):
    return crmsync_in(tmp_path)


def names():
    return [*COMMANDS]


@pytest.mark.parametrize("asked", [(), ("-h",), ("--help",), ("help",)])
def test_help_is_printed_on_stdout_however_it_is_asked_for(crmsync, asked):
    ended = crmsync(*asked)
    assert (ended.code, ended.err) == (0, "")
    assert all(f"\n  {name} " in ended.out for name in names())


@pytest.mark.parametrize("command", names())
def test_each_command_has_help_with_an_example(crmsync, command):
    ended = crmsync(command, "-h")
    assert ended.code == 0
    assert "Example: crmsync" in ended.out


def test_help_of_a_command_may_be_asked_for_in_words(crmsync):
    assert crmsync("help", "plan").out == crmsync("plan", "--help").out == crmsync("plan", "-h").out


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_no_help_is_cut(tmp_path, columns):
    listed = crmsync_in(tmp_path, COLUMNS=columns)("--help").out.partition("Commands:")[2]
    assert "..." not in listed


def test_a_config_may_be_named_before_the_command(crmsync, tmp_path):
    file = tmp_path / "other.toml"
    file.write_text("points: 10")
    before, after = crmsync("--config", file, "check"), crmsync("check", "--config", file)
    assert before.code == after.code == 2
    assert before.err == after.err
    assert str(file) in before.err


def test_the_one_after_the_command_wins(crmsync, tmp_path):
    for name in ("one.toml", "other.toml"):
        (tmp_path / name).write_text("points: 10")
    said = crmsync("-c", tmp_path / "one.toml", "check", "-c", tmp_path / "other.toml").err
    assert "other.toml" in said
    assert "one.toml" not in said


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("sync", "--dry-run"), "crmsync plan shows what a run would change, and writes nothing"),
        (("status", "--verbose"), "--debug logs everything"),
        (("aply",), "Did you mean 'apply'?"),
    ],
)
def test_what_other_programs_have_is_refused_with_a_hint(crmsync, typed, said):
    ended = crmsync(*typed)
    assert ended.code == 2
    assert said in ended.err


def test_a_machine_without_posix_locks_is_told_where_crmsync_runs():
    """As Windows is one: no command of crmsync can be imported there, so a process of its own stands for it."""
    typed = "import sys; sys.modules['fcntl'] = None; sys.argv[1:] = ['status']; from crmsync.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", typed], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "crmsync needs Linux or macOS; on Windows, install and run it in WSL 2\n"


def test_help_loads_no_command_and_each_says_there_what_its_own_help_begins_with(crmsync):
    said = "import sys; from crmsync.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", said, "--help"], capture_output=True, text=True, check=True)
    heavy = {"sqlalchemy", "numpy", "pydantic", "structlog", "crmsync.config", "crmsync.cli.command"}
    assert not heavy & set(ended.stderr.split())
    told = " ".join(ended.stdout.split())
    for name in names():
        own = crmsync(name, "--help").out.partition("\n\n")[2].partition("\n\n")[0]
        assert " ".join(f"{name} {own}".split()) in told
