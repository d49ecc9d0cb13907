"""What crmsync is made of: pinned, listed, and looked up, or said aloud that it was not."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-tools.lock")
PACKAGES = {("requests", "2.34.2"), ("rich", "15.0.0")}


@pytest.fixture(scope="module")
def chain():
    found = importlib.util.spec_from_file_location("supply_chain", ROOT / ".ci" / "supply_chain.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def answer(**packages):
    return json.dumps({"dependencies": [{"name": name, "version": "1", **rest} for name, rest in packages.items()]})


FLAW = {"vulns": [{"id": "CVE-2026-1", "fix_versions": ["2.35"]}]}
FINE = {"vulns": []}
SKIPPED = {"skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("said", "code", "sentence"),
    [
        (answer(requests=FINE, rich=FINE), 0, "Audited: 2 packages"),
        (answer(requests=FLAW, rich=FINE), 1, "VULNERABLE: requests 1: CVE-2026-1, fixed in 2.35"),
        (answer(requests=FLAW, rich=SKIPPED), 1, "NOT AUDITED: 1 of 2 packages were not found: rich"),
        (answer(requests=FINE, rich=SKIPPED), 3, "NOT AUDITED: 1 of 2 packages were not found: rich"),
        (answer(requests=FINE), 3, "NOT AUDITED: 1 of 2 packages were not found: rich"),
        (answer(requests=SKIPPED, rich=SKIPPED), 3, "NOT AUDITED: 2 of 2"),
        ("", 3, "NOT AUDITED: the advisory database could not be reached"),
        ("<html>", 3, "NOT AUDITED: the advisory database could not be reached"),
    ],
)
def test_what_was_not_looked_up_is_said(chain, said, code, sentence):
    ended, sentences = chain.judge(said, PACKAGES)
    assert ended == code
    assert any(each.startswith(sentence) for each in sentences)


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_locked_with_hashes_and_no_address(chain, name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert len(chain.locked(text)) == len(re.findall(r"^\w", text, re.MULTILINE)) > 40
    assert all("--hash=sha256:" in each for each in re.split(r"(?m)^(?=\w)", text)[1:])
    assert "://" not in text


def test_an_sbom_lists_exactly_what_is_locked(chain):
    same = {"components": [{"name": name, "version": version} for name, version in PACKAGES]}
    assert chain.differences(same, PACKAGES) == []
    assert chain.differences(same, PACKAGES | {("zeep", "4")}) == ["('zeep', '4')"]
    assert chain.differences(same, {("requests", "2.34.2")}) == ["('rich', '15.0.0')"]


@pytest.mark.skipif(not (ROOT / ".venv-tools" / "ready").exists(), reason="make sbom brings the tools")
def test_the_sbom_is_valid_and_lists_exactly_what_is_locked():
    ended = subprocess.run(["make", "-s", "sbom"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, "exactly as locked" in ended.stdout) == (0, True), ended.stderr


def test_the_make_targets_are_there():
    for target, words in (("audit", "supply_chain.py audit"), ("sbom", "supply_chain.py sbom"), ("image", "BASE=")):
        asked = ["make", "-n", "-o", ".venv-tools/ready", target]
        ended = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
        assert words in ended.stdout


def test_the_image_is_built_on_one_base_that_can_be_pinned():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]
    base = re.search(r"^ARG BASE=(\S+)$", text, re.MULTILINE)[1]
    assert f"\nBASE := {base}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
