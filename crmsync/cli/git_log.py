"""Who last changed the config file and why, where it lies in a Git work tree."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from crmsync import log
from crmsync.config import Config, load
from crmsync.store.database import Store
from crmsync.store.sql import to_ms
from crmsync.store.versions import list_model_versions, note_version

SECONDS = 5
"""How long Git may take."""

LONGEST_TEXT = 200

FRESH = timedelta(days=1)
"""How long after its adoption Git is asked about a version."""

_FORMAT = "%h%x00%an%x00%s"


class FileCommit(NamedTuple):
    """The last commit that touched a file: its short hash, who made it, and the first line of what it says."""

    commit: str
    author: str
    reason: str


def parse_git_log(text: str) -> FileCommit | None:
    """What `git log -1 --format=%h%x00%an%x00%s` printed; `None` where that is no commit."""
    parts = text.strip("\n").split("\0")
    if len(parts) != len(FileCommit._fields) or not parts[0]:
        return None
    plain = ("".join(each if each.isprintable() else " " for each in part) for part in parts)
    return FileCommit(*(" ".join(part.split())[:LONGEST_TEXT] for part in plain))


def read_file_commit(path: Path) -> FileCommit | None:
    """The last commit that touched a file; `None` where there is none, or the file was edited since."""
    file = path.resolve()
    if _git(file, "diff", "--quiet", "--no-ext-diff", "--no-textconv", "HEAD", "--", file.name) is None:
        return None
    said = _git(file, "log", "-1", "--no-show-signature", f"--format={_FORMAT}", "--", file.name)
    return None if said is None else parse_git_log(said)


def _git(file: Path, *words: str) -> str | None:
    """What Git says in the folder of a file; `None` where it is not there, fails or takes too long."""
    # Neither the repository of a hook that calls crmsync nor a program that the repository names has a part in it.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    settings = ("-c", "core.fsmonitor=false", "-c", "core.pager=cat")
    try:
        ended = subprocess.run(
            ["git", *settings, *words],
            cwd=file.parent,
            env={**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.decode("utf-8", "replace") if ended.returncode == 0 else None


def note_file_commit(path: Path, config: Config, store: Store) -> None:
    """Note who made the version in use, and why, where Git knows and nobody noted it. It makes no run fail."""
    try:
        now = datetime.now(UTC)
        with store.read() as reading:
            latest = next(iter(list_model_versions(reading, 1)), None)
        if latest is None or latest.hash != config.decision_hash() or latest.author or latest.reason:
            return
        if to_ms(now) - latest.at > FRESH / timedelta(milliseconds=1):
            return
        found = read_file_commit(path)
        # The file may be another one by now than that which this process was started with.
        if found is None or load(path).decision_hash() != latest.hash:
            return
        values = {"author": found.author, "reason": found.reason, "commit_id": found.commit}
        with store.begin() as writing:
            note_version(writing, latest.id, to_ms(now), values)
    except Exception as error:  # noqa: BLE001  the run has ended as it did; who wrote its config must not change that
        log.get_logger().warning("file_commit_not_noted", why=type(error).__name__)
