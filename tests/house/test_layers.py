"""The layer table of CONTRIBUTING.md, read off the imports: nobody may import what stands above."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORDS = {
    "crmsync",
    "crmsync.model",
    "crmsync.errors",
    "crmsync.connector",
    "crmsync.columns",
    "crmsync.counts",
    "crmsync.folding",
}
CONFIG = {"crmsync.config"}
APPLY = {
    f"crmsync.planning.{name}"
    for name in (
        "account_counts",
        "accounts",
        "apply",
        "approval",
        "builder",
        "deadlines",
        "desk",
        "field_reading",
        "open_turns",
        "people_columns",
        "person_plan",
        "review",
        "run_counts",
        "scored_people",
        "tasks",
        "unowned",
        "verify",
    )
}
"""What of planning acts; the rest of it only thinks."""
THINKING = {
    "crmsync.alerting",
    "crmsync.clock_skew",
    "crmsync.dead_feeds",
    "crmsync.evaluation",
    "crmsync.identity",
    "crmsync.lint",
    "crmsync.planning",
    "crmsync.routing",
    "crmsync.scoring",
}
MEMORY = {"crmsync.store"}
SOURCES = {"crmsync.events"}
"""What reads events from outside the CRMs: it speaks no vendor, and knows no state."""
DOING = APPLY | {
    "crmsync.attempt",
    "crmsync.cycle",
    "crmsync.elapsed",
    "crmsync.failpoint",
    "crmsync.odd_pages",
    "crmsync.page_groups",
    "crmsync.pull",
    "crmsync.pull_events",
    "crmsync.pull_history",
    "crmsync.pull_missing",
    "crmsync.pull_outcomes",
    "crmsync.redaction",
    "crmsync.result",
    "crmsync.undo",
    "crmsync.work",
}
IMPURE = {
    "time",
    "os",
    "socket",
    "requests",
    "urllib",
    "urllib3",
    "logging",
    "structlog",
    "sqlalchemy",
    "sqlite3",
    "random",
}


def modules():
    return sorted(path for package in ("crmsync", "connectors") for path in (ROOT / package).rglob("*.py"))


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module in ("crmsync", "connectors"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, layers):
    return any(name == layer or name.startswith(layer + ".") for layer in layers - {"crmsync"}) or name == "crmsync"


def ours(path):
    return {name for name in imports(path) if name.split(".")[0] in ("crmsync", "connectors")}


def is_thinking(name):
    return within(name, THINKING) and name not in APPLY


def allowed(name):
    if name in WORDS - {"crmsync"}:
        return WORDS
    if within(name, CONFIG):
        return WORDS | CONFIG
    if is_thinking(name):
        return WORDS | CONFIG | THINKING
    if within(name, MEMORY):
        return WORDS | {"crmsync.identity", "crmsync.failpoint", "crmsync.elapsed"} | MEMORY
    if within(name, SOURCES):
        return WORDS | CONFIG | {"crmsync.identity", "connectors.serving"} | SOURCES
    if name in DOING:
        return WORDS | CONFIG | THINKING | MEMORY | SOURCES | DOING
    return None


@pytest.mark.parametrize("path", [path for path in modules() if allowed(name_of(path))], ids=name_of)
def test_a_room_imports_only_what_stands_below_it(path):
    name = name_of(path)
    assert not {each for each in ours(path) if not within(each, allowed(name)) or (is_thinking(name) and each in APPLY)}


@pytest.mark.parametrize("path", [path for path in modules() if is_thinking(name_of(path))], ids=name_of)
def test_thinking_does_no_input_or_output(path):
    assert not {name for name in imports(path) if name.split(".")[0] in IMPURE}


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if name_of(path).startswith("connectors.") and ".sandbox" not in name_of(path)],
    ids=name_of,
)
def test_a_connector_knows_the_words_and_itself(path):
    vendor = ".".join(name_of(path).split(".")[:2])
    may = WORDS | {"crmsync.config.tables", "connectors.conversations", "connectors.http", "connectors.serving", vendor}
    assert not {name for name in ours(path) if not within(name, may) and name != "connectors"}


@pytest.mark.parametrize("path", [path for path in modules() if name_of(path) in DOING], ids=name_of)
def test_the_core_has_no_vendor_words(path):
    text = path.read_text(encoding="utf-8").lower()
    assert "hubspot" not in text
    assert "salesforce" not in text


@pytest.mark.parametrize("path", [path for path in modules() if "sandbox" not in name_of(path)], ids=name_of)
def test_only_the_demo_and_the_sandbox_command_reach_the_sandbox(path):
    reaching = {name for name in ours(path) if name.startswith("connectors.sandbox")}
    assert not reaching or name_of(path) in ("crmsync.demo", "crmsync.cli") or name_of(path).startswith("crmsync.cli.")
