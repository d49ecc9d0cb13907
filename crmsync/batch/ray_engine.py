"""Scoring on a Ray cluster: a task for each part; one that is lost is done again, and writes the same file."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from crmsync.batch.inputs import InputPart
from crmsync.batch.people_file import FileTally
from crmsync.batch.score_output import write_part
from crmsync.batch.score_parts import ScoreJob
from crmsync.config import config_class
from crmsync.errors import ConfigError
from crmsync.scoring.arrow import load_pyarrow

if TYPE_CHECKING:
    import pyarrow as pa


def load_ray() -> Any:
    """The package ray. Raises `ConfigError` where it is not installed."""
    # It reports its use to its makers unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError('--engine ray needs a further package; install it: pip install "crmsync[ray]"') from None
    return ray


def write_on_ray(job: ScoreJob, parts: Sequence[InputPart], folder: Path) -> Iterator[FileTally]:
    """Score each part into its file of the folder, which all machines must reach by the same path.

    The cluster is the one that `RAY_ADDRESS` names, or else this machine.
    """
    if not parts:
        return
    with _begin_ray() as ray:
        rows = [{"part": orjson.dumps([os.path.abspath(each.path), *each[1:]]).decode()} for each in parts]
        # A part is a block of its own, so that a lost task loses one part and no more.
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            write_parts, batch_size=1, batch_format="pyarrow", fn_args=(pack_job(job), str(folder.absolute()))
        )
        for row in dataset.iter_rows():
            yield unpack_tally(row["tally"])
    for left in folder.glob(".part-*"):  # of tasks that were lost
        left.unlink(missing_ok=True)


@contextmanager
def _begin_ray() -> Iterator[Any]:
    """Ray, connected; what it says of lost workers goes where progress does."""
    ray = load_ray()
    with redirect_stdout(sys.stderr):
        is_ours = not ray.is_initialized()
        if is_ours:
            ray.init(log_to_driver=False, logging_level="error")
        ray.data.DataContext.get_current().enable_progress_bars = False
        try:
            yield ray
        finally:
            if is_ours:
                ray.shutdown()


def write_parts(table: pa.Table, packed: str, folder: str) -> pa.Table:
    """What a task does: score the parts of a table into their files, and say what became of them."""
    pa = load_pyarrow()
    job, told = unpack_job(packed), []
    for text in table["part"].to_pylist():
        tally = write_part(job, InputPart(*orjson.loads(text)), Path(folder))
        told.append(orjson.dumps(vars(tally), default=dict).decode())
    return pa.table({"tally": pa.array(told, pa.string())})


def pack_job(job: ScoreJob) -> str:
    """A job as a text for other machines; it has no secret."""
    facts = os.path.abspath(job.facts) if job.facts else ""
    return orjson.dumps([job.config.decision_text(), job.now.isoformat(), facts, job.person]).decode()


@lru_cache(maxsize=1)
def unpack_job(packed: str) -> ScoreJob:
    """The job of such a text; kept, so that a machine reads config and facts once."""
    config, now, facts, person = orjson.loads(packed)
    return ScoreJob(config_class()(**orjson.loads(config)), datetime.fromisoformat(now), facts, person)


def unpack_tally(text: str) -> FileTally:
    """What became of a part, from what a task said of it."""
    said = orjson.loads(text)
    counters = {name: Counter(said[name]) for name in ("odd", "fields", "kinds")}
    return FileTally(said["people"], said["problems"], **counters, columns=said["columns"])
