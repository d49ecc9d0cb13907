"""What is installed, alone: the image's tree, read-only, without the clone; and the wheel that it is made of."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import pytest

from crmsync.store.database import HEAD
from tests.support.image import ROOT, Image, read_stages

STATES = """
import sys
from contextlib import closing
from crmsync.store.database import HEAD, open_store
from pathlib import Path
import connectors, crmsync

for module in (crmsync, connectors):
    print(Path(module.__file__).resolve().is_relative_to(sys.argv[1]))
print(any(Path(each).resolve().is_relative_to(sys.argv[2]) for each in sys.path))
for name, version in (("old", "0001"), ("old", HEAD), ("new", HEAD)):
    with closing(open_store(f"sqlite:///{name}.db", version=version)) as store, store.read() as reading:
        print(reading.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
"""


@pytest.fixture(scope="module")
def image():
    # Programs are started from it, which /dev/shm does not allow everywhere.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        made = Image(Path(folder).resolve())
        made.build()
        made.lock()
        yield made
        made.unlock()


def said(done):
    assert "Traceback" not in done.stderr, done.stderr
    return " ".join(f"{done.stdout} {done.stderr}".split())


def test_the_tree_is_read_only(image):
    tried = image.call("touch", str(image.inside("/opt/crmsync/new")))
    if tried.returncode == 0:
        pytest.skip("LEFT OUT: this user may write everywhere, and there is no setpriv to take that away")
    assert image.call("touch", str(image.inside("/data/new"))).returncode == 0


def test_the_command_answers_with_nothing_in_the_volume(image):
    done = image.call(*image.typed["ENTRYPOINT"], "--help")
    assert (done.returncode, "crmsync [OPTIONS] COMMAND" in said(done)) == (0, True)
    assert image.typed["CMD"] == ["run"]
    for words in ([*image.typed["ENTRYPOINT"], *image.typed["CMD"]], image.typed["HEALTHCHECK"]):
        done = image.call(*words, CRMSYNC_CONFIG="/data/none.toml")
        assert (done.returncode, f"there is no config file {image.inside('/data/none.toml')}" in said(done)) == (
            2,
            True,
        )


def test_a_first_config_is_written_and_checked(image):
    done = image.call(*image.typed["ENTRYPOINT"], "init")
    assert done.returncode == 0, said(done)
    assert image.inside("/data/crmsync.toml").exists()
    done = image.call(*image.typed["ENTRYPOINT"], "check")
    assert (done.returncode, "is ready" in said(done)) == (0, True)


def test_the_demo_runs_and_is_healthy_after_it(image):
    done = image.call(*image.typed["ENTRYPOINT"], "demo", "--people", "20")
    assert (done.returncode, "It updated nothing." in said(done)) == (0, True)
    done = image.call(*image.typed["HEALTHCHECK"], CRMSYNC_CONFIG="/data/crmsync-demo/config.toml")
    assert (done.returncode, said(done)) == (0, "Healthy.")


def test_states_come_up_to_date_without_the_clone(image):
    """A new one, and one of the first version: the migrations are in the wheel."""
    done = image.call("python", "-c", STATES, str(image.root), str(ROOT))
    assert done.returncode == 0, said(done)
    assert done.stdout.split() == ["True", "True", "False", "0001", HEAD, HEAD]


def test_the_wheel_has_every_file_of_the_packages(image):
    (site,) = image.inside("/opt/crmsync").glob("lib/python*/site-packages")
    for package in ("crmsync", "connectors"):
        there, here = (files_of(folder / package) for folder in (site, ROOT))
        assert there == here


def files_of(folder):
    return {
        str(each.relative_to(folder))
        for each in folder.rglob("*")
        if each.is_file() and "__pycache__" not in each.parts
    }


def test_the_pages_that_sentences_name_come_with_it(image):
    pages = image.inside("/opt/crmsync/share/doc/crmsync")
    named = {
        page
        for package in ("crmsync", "connectors")
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".toml", ".html")
        for page in re.findall(r"(?<![\w/.])docs/[a-z]+\.md", path.read_text(encoding="utf-8"))
    }
    assert {"docs/salesforce.md", "docs/scoring.md"} <= named
    assert sorted(page for page in named if not (pages / page).is_file()) == []
    assert {each.name for each in (ROOT / "docs").glob("*.md")} == {each.name for each in (pages / "docs").iterdir()}


def test_the_worker_is_nobody_and_its_python_is_the_one_that_is_supported():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = read_stages(text)
    assert [step.rest for step in stages[-1] if step.verb == "USER"] == ["crmsync"]
    assert "ARG BASE=python:3.11-slim" in text
    assert sys.version_info >= (3, 11)
