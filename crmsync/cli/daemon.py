"""The command that stays: run."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

from crmsync import log, schedule
from crmsync.cli.frame import DEFAULT_CONFIG, AsJson, ConfigPath, Debug, opened_config, told
from crmsync.errors import StateError
from crmsync.model import Receiver
from crmsync.result import Work, stopwatch
from crmsync.stopping import stoppable
from crmsync.store import journal
from crmsync.store.database import quick_check
from crmsync.workplace import connected, opened_state


def run(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """Run a cycle now and then on schedule, until told to stop (SIGTERM or Ctrl-C).

    Where another one works on the same state already, it waits and takes over when that one ends.

    Example: crmsync run --config crmsync.toml
    """
    with told(as_json, debug, config) as ending:
        settings = opened_config(ending, logging.INFO)
        with stoppable(0) as stop, opened_state(settings) as store, connected(settings, store, stop) as crms:
            quick_check(store, datetime.now(UTC))
            logger, watch = log.get(), schedule.Watch()
            logger.info("started", version=version("crmsync"), crms=sorted(crms), model=settings.model_hash())

            def work_now() -> Work:
                def progress(_what: str, _crm: str, _more: int) -> None:
                    watch.begin()

                connect = partial(connected, stop=stop)
                return Work(settings, store, crms, datetime.now(UTC), progress, connect, stopwatch())

            try:
                with store.writer("crmsync run", stop, lambda holder: logger.info("standing_by", holder=holder)):
                    receivers = [each for each in crms.values() if isinstance(each, Receiver)]
                    with store.begin() as tx:
                        journal.set_worker_config(tx, settings.decision_hash())
                    try:
                        schedule.run(settings, work_now, watch, stop, receivers, store)
                    finally:
                        with store.begin() as tx:
                            journal.set_worker_config(tx, "")
            except StateError:
                if not stop.is_set():
                    raise
            logger.info("stopped")
        ending.document = {"stopped": True}
