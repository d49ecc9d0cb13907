"""The command that stays: run."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Event

from crmsync import log
from crmsync.bootstrap import connect_to_write, opened_state, say_landing
from crmsync.cli.command import DEFAULT_CONFIG, AsJson, ConfigPath, Debug, opened_config, run_command
from crmsync.cli.git_log import note_file_commit
from crmsync.config import Config
from crmsync.connector import Receiver
from crmsync.daemon import scheduler
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.elapsed import stopwatch
from crmsync.errors import Cancelled, ConfigError, StateError
from crmsync.exit_codes import Outcome, outcome_of
from crmsync.reporting.alerts import Spoken, send_alerts
from crmsync.store import run_journal
from crmsync.store.database import STANDBY_POLL, Store, held_by, quick_check
from crmsync.web.server import serving_page
from crmsync.work import Work


def run(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, debug: Debug = False) -> None:
    """Start a sync run now, and then on schedule, until it is stopped (SIGTERM or Ctrl-C).

    If another process already uses the same state, it waits, and takes over when that process ends.

    Example: crmsync run --config crmsync.toml
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending, is_daemon=True)
        spoken = Spoken(ending.typed, {})
        with raise_stop_on_signals(0) as stop, opened_state(settings) as store:
            quick_check(store, datetime.now(UTC))
            log.get_logger().info(
                "started", version=version("crmsync"), crms=sorted(settings.crms), model=settings.model_hash()
            )
            with serving_page(settings, store.is_writer, ending.typed):
                _take_turns(settings, store, stop, spoken, ending.config)
            log.get_logger().info("stopped")
        ending.document = {"stopped": True}


def _take_turns(settings: Config, store: Store, stop: Event, spoken: Spoken, path: Path) -> None:
    """Run, and after a lost lock stand by and run again, until told to stop."""
    while not stop.is_set():
        try:
            _take_turn(settings, store, stop, spoken, path)
        except Cancelled:
            break
        except ConfigError as error:
            if held_by(store) is None:
                send_alerts(settings, store, spoken, outcome_of(error))
            raise
        except StateError as error:
            log.get_logger().warning(
                "lock_lost", why=str(error), next="this process stands by and takes over when it can"
            )
            stop.wait(STANDBY_POLL)


def _take_turn(settings: Config, store: Store, stop: Event, spoken: Spoken, path: Path) -> None:
    """Become the one writer, and run on schedule until told to stop. Raises `LostLock` when the lock is lost."""
    logger, watch = log.get_logger(), scheduler.Watch()

    def stand_by(holder: str) -> None:
        logger.info("standing_by", holder=holder)

    with connect_to_write(settings, store, stop) as crms, store.writer("crmsync run", stop, stand_by, say_landing):
        with store.begin() as tx:
            # `crmsync apply` has to know whether this daemon will write what is approved.
            run_journal.set_worker_config(tx, settings.decision_hash())

        def progress(_what: str, _crm: str, _more: int) -> None:
            watch.begin()

        def work_now() -> Work:
            connect = partial(connect_to_write, stop=stop)
            return Work(settings, store, crms, datetime.now(UTC), progress, connect, stopwatch(), stop)

        receivers: list[Receiver] = [each for each in crms.values() if isinstance(each, Receiver)]
        if any(each.listen for each in settings.events):
            from crmsync.events.receiver import EventReceiver  # a web server, which few need

            receivers.append(EventReceiver(settings.events))

        def tell(failed: Outcome | None = None) -> None:
            note_file_commit(path, settings, store)
            send_alerts(settings, store, spoken, failed)

        scheduler.run_daemon(settings, work_now, watch, stop, receivers, store, tell)
