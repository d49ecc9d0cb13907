"""What the documents say exists, and what exists is in the documents."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from crmsync.cli import app, commands
from crmsync.config import config_class, connectors, template
from crmsync.config.conditions import Condition, Match
from crmsync.config.mistakes import split_type
from crmsync.planning.review import PlanReview
from crmsync.result import Counts, Result

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRACT = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
COMMANDS = sorted(commands.COMMANDS)


def said(*words):
    ended = CliRunner().invoke(app, list(words))
    assert ended.exit_code == 0
    return ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    text = " ".join(said(command, "--help").split())
    assert f"Example: crmsync {command}" in text
    assert "--json" in text


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"sandbox", "demo"}))
def test_every_command_takes_a_config(command):
    text = said(command, "--help")
    assert "--config" in text
    assert "CRMSYNC_CONFIG" in text


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_exists(path):
    named = re.findall(r"(?:`|^\$ )crmsync ([a-z]+)\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert not set(named) - set(COMMANDS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_option_in_a_document_exists(path):
    for text in re.findall(r"`(crmsync [^`]+)`", path.read_text(encoding="utf-8")):
        command = text.split()[1]
        for option in re.findall(r"(--[a-z-]+)", text):
            assert option in said(command, "--help"), text


@pytest.mark.parametrize("text", [README, CONTRACT], ids=["README", "commands"])
def test_every_command_is_in_the_readme_and_explained(text):
    assert not {command for command in COMMANDS if f"`crmsync {command}" not in text}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (path.parent / target).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_a_heading(path):
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)", path.read_text(encoding="utf-8")):
        there = (path.parent / file if file else path).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", there, flags=re.DOTALL), flags=re.MULTILINE)
        # What the web page of a repository makes of a heading.
        assert anchor in {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}, (file, anchor)


def keys(model, seen=()):
    """Every key of a table and of the tables inside it, with the name it has in the file."""
    for name, info in model.model_fields.items():
        yield info.alias or name
        for inner in inner_models(info.annotation):
            if inner not in seen:
                yield from keys(inner, (*seen, inner))


def inner_models(annotation):
    for each in split_type(annotation):
        if isinstance(each, type) and issubclass(each, BaseModel):
            yield each
        else:
            for argument in getattr(each, "__args__", ()):
                yield from inner_models(argument)


SECRET = {"token", "client_secret", "refresh_token", "private_key"}
LANGUAGE = {"fit", "behavior", "inactivity", "sequence", "pattern", "disqualify", "qualification", "segment", "test"}


@pytest.mark.parametrize("table", ["hubspot", "salesforce", None], ids=str)
def test_every_config_key_is_in_the_example(table):
    if table:
        wanted = set(keys(connectors()[table].Settings)) - SECRET
    else:
        shell = {name: info for name, info in config_class().model_fields.items() if name not in connectors()}
        inside = {
            key
            for name, info in shell.items()
            if name not in LANGUAGE
            for each in inner_models(info.annotation)
            for key in keys(each, (Condition, Match))
        }
        wanted = (set(shell) | inside) - {"token", "secret"}  # a secret does not stand in the file
    text = template.example_config()
    missing = {
        key for key in wanted if not re.search(rf"(^|[\[{{.\s#]){re.escape(key)}(\s*=|[\].])", text, re.MULTILINE)
    }
    assert not missing


def test_the_models_of_the_readme_are_valid():
    for block in re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL):
        given = tomllib.loads(block)
        config_class()(**given)


def named(row):
    """The keys that a row of the table of JSON keys names."""
    (line,) = [line for line in CONTRACT.splitlines() if line.startswith(row)]
    return set(re.findall(r"`([a-z_]+)`", re.sub(r"\([^)]*\)", "", line.removeprefix(row))))


def test_the_json_keys_of_the_documents_are_those_of_a_run():
    counts, result = Counts(), Result("r")
    assert named("| … each of `crms` |") == set(vars(counts))
    assert named("| `plan`, `sync`, `apply`, `backfill` |") == {*result.as_json(), "changes"}
    assert named("| … `changes` |") == {*PlanReview().as_json({}, {}), "troubles"}


def test_the_container_runs_the_daemon_and_asks_for_its_health():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert 'ENTRYPOINT ["crmsync"]' in text
    assert 'CMD ["run"]' in text
    assert '"crmsync", "status", "--health"' in text
    assert "--require-hashes" in text
    assert re.search(r"^USER (?!root)", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_locks_have_hashes_and_no_addresses(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    pinned = re.findall(r"^[a-z0-9][^\n]*==", text, flags=re.MULTILINE)
    assert len(pinned) > 20
    assert "hatchling==" in text
    assert "://" not in text
    assert len(re.findall(r"--hash=sha256:", text)) >= len(pinned)
