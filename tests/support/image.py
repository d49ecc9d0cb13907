"""The Dockerfile without Docker: its steps in a folder, then its commands by a user without rights in a read-only tree.

Not shown by this: that the base image has what it is said to have, that the locked packages install by their hashes
(they come from the environment of the tests), `useradd`, what a volume does, and the signals and times of the health
check.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Step(NamedTuple):
    """A line of the Dockerfile: `COPY`, and what follows."""

    verb: str
    rest: str


def read_stages(text: str) -> list[list[Step]]:
    """The steps of each stage, the first of which is its `FROM`."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    steps = [Step(*line.split(None, 1)) for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()]
    stages: list[list[Step]] = []
    for step in steps:
        if step.verb == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(step)
    return stages


def in_context(path: Path, patterns: Sequence[str]) -> bool:
    """Whether Docker sees a file of the clone, by its .dockerignore: the last pattern that fits decides."""
    parts = path.relative_to(ROOT).parts
    begins = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    seen = True
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        inside = plain.removeprefix("**/")
        if any(fnmatch(each, plain) for each in begins) or (inside != plain and inside in parts):
            seen = pattern.startswith("!")
    return seen


class Image:
    """A tree that the Dockerfile's stages made below `root`, and how its commands are run there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.variables: dict[str, str] = {}
        self.work = self.root
        self.typed: dict[str, list[str]] = {}
        self.user = ""
        self.stages: dict[str, Path] = {}

    def build(self) -> None:
        """Every step of every stage, on what Docker would see of the clone."""
        for number, stage in enumerate(read_stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))):
            if number:
                self.root.rename(self.root.with_name(f"stage {number}"))
            self.root.mkdir()
            self.work = self.root
            for step in stage:
                self._do(step)
            name = stage[0].rest.rpartition(" AS ")[2]
            self.stages[name] = self.root.with_name(f"stage {number + 1}")

    def inside(self, path: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / path.lstrip("/") if path.startswith("/") else self.work / path

    def _do(self, step: Step) -> None:
        match step.verb:
            case "FROM" | "VOLUME" | "STOPSIGNAL":
                pass
            case "WORKDIR":
                self.work = self.inside(step.rest)
                self.work.mkdir(parents=True, exist_ok=True)
            case "USER":
                self.user = step.rest
            case "ENV":
                self.variables |= dict(each.split("=", 1) for each in shlex.split(step.rest))
            case "ENTRYPOINT" | "CMD" | "HEALTHCHECK":
                self.typed[step.verb] = json.loads(step.rest[step.rest.index("[") :])
            case "COPY":
                self._copy(step.rest.split())
            case "RUN":
                for part in step.rest.split("&&"):
                    self._run(part.split())
            case other:
                raise AssertionError(f"the test does not know this step: {other} {step.rest}")

    def _copy(self, words: Sequence[str]) -> None:
        *sources, target = words
        if sources[0].startswith("--from="):
            shutil.copytree(
                self.stages[sources[0].partition("=")[2]] / sources[1].lstrip("/"), self.inside(target), symlinks=True
            )
            return
        patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
        for source in sources:
            top = ROOT / source
            files = [each for each in (top.rglob("*") if top.is_dir() else [top]) if each.is_file()]
            files = [each for each in files if in_context(each, patterns)]
            assert files, f"COPY {source}: .dockerignore keeps it from Docker"
            for each in files:
                place = self.inside(target) / (each.relative_to(top) if top.is_dir() else each.name)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(each, place)

    def _run(self, words: Sequence[str]) -> None:
        match words:
            case ["python", "-m", "venv", folder]:
                run([sys.executable, "-m", "venv", "--without-pip", str(self.inside(folder))])
            case [pip, "install", *options, "-r", lock] if pip.endswith("/pip") and "--require-hashes" in options:
                link_locked(self.inside(lock), self.inside(pip).parents[1])
            case [pip, "install", *options, "."] if pip.endswith("/pip"):
                python = self.inside(pip).with_name("python")
                run([str(python), "-m", "pip", "install", "--no-index", *options, "."], cwd=self.work)
            case ["useradd", *_options, name]:
                self.user = name
            case ["install", "-d", "-o", owner, "-g", group, folder]:
                assert owner == group == self.user
                self.inside(folder).mkdir()
            case _:
                raise AssertionError(f"the test does not know how to run: {' '.join(words)}")

    def lock(self) -> None:
        """Take the right to write from everybody, but in the folders of data and of what is passing."""
        (self.root / "tmp").mkdir()
        own = {self.inside("/data"), self.inside("/tmp")}
        for folder, _names, files in os.walk(self.root):
            if Path(folder) not in own:
                for path in (folder, *(f"{folder}/{name}" for name in files)):
                    if not os.path.islink(path):
                        os.chmod(path, os.stat(path).st_mode & ~0o222)

    def unlock(self) -> None:
        """Give it back, so that the tree can be deleted."""
        for folder, _names, _files in os.walk(self.root):
            os.chmod(folder, 0o700)

    def call(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command in the image: by its PATH, in its folder, with its variables, and none of the tests'."""
        values = {**self.variables, "HOME": "/data", "TMPDIR": "/tmp", "LANG": "C.UTF-8", **variables}
        placed = {name: self._placed(value) for name, value in values.items()}
        placed["PATH"] = placed["PATH"].replace("$PATH", os.defpath)
        return subprocess.run(
            [*without_rights(), *words], cwd=self.work, env=placed, capture_output=True, text=True, timeout=110
        )

    def _placed(self, value: str) -> str:
        return re.sub(r"(?<![^:])/(?:opt|data|tmp)(?=/|:|$)", lambda found: f"{self.root}{found[0]}", value)


def without_rights() -> list[str]:
    """What to put before a command so that it is run by somebody whom the modes of files hold back."""
    if os.geteuid() or not shutil.which("setpriv"):
        return []
    # As root, but without what makes root root: another user may not even see the Python of the tests.
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]


def run(words: Sequence[str], cwd: Path | None = None) -> None:
    """A command of a step. Raises `AssertionError` with all that it said where it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "CRMSYNC_"))}
    done = subprocess.run(words, cwd=cwd, env=clean, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"


def link_locked(lock: Path, environment: Path) -> None:
    """Put the locked packages of the tests' environment, pip, and no other one, into an environment."""
    (site,) = environment.glob("lib/python*/site-packages")
    wanted = {_plain(name) for name in re.findall(r"(?m)^([\w.\-]+)==", lock.read_text(encoding="utf-8"))} | {"pip"}
    for path in _top_entries(wanted):
        if not (site / path.name).exists():
            (site / path.name).symlink_to(path)


def _top_entries(wanted: set[str]) -> Iterator[Path]:
    for each in distributions():
        if _plain(each.metadata["Name"]) in wanted:
            tops = {file.parts[0] for file in each.files or () if file.parts[0] not in ("..", "__pycache__")}
            yield from (Path(str(each.locate_file(top))) for top in tops)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
