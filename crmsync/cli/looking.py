"""Looking at CRMs before there is a config: what they offer for one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from crmsync import log
from crmsync.bootstrap import connect_one
from crmsync.cli.command import Ending
from crmsync.config import Config
from crmsync.config.load import load_text
from crmsync.config.patch import write_value
from crmsync.config.starter import Starter
from crmsync.config.starter.offers import CrmFacts
from crmsync.connector import Connector, DescribedField, FieldCatalog, Stop
from crmsync.daemon.signals import raise_stop_on_signals
from crmsync.errors import Cancelled, ConfigError, Unavailable
from crmsync.model import Contact
from crmsync.redaction import hide_secrets, secrets_of

PATIENCE = 45.0
"""Seconds for everything that is asked of the CRMs before a file is written without them."""

PAGES = 3
"""Pages of records in which it shows what is filled and who owns anybody."""

T = TypeVar("T")


def look_at_crms(start: Starter, ending: Ending) -> tuple[dict[str, CrmFacts], dict[str, str]]:
    """What each CRM says of itself, all at the same time, and why of those that say nothing.

    The secrets come from where those of the file will, and are kept out of everything from here on. Raises `Cancelled`
    where somebody stops it.
    """
    if not start.crms:
        return {}, {}
    try:
        config = load_text(_write_connections(start), ending.config)
    except ConfigError as error:
        return {}, dict.fromkeys(start.crms, "; ".join(error.problems))
    ending.secrets = secrets_of(config)
    log.start_logging(config.log, logging.DEBUG if ending.debug else logging.WARNING, ending.secrets)
    found: dict[str, CrmFacts] = {}
    refusals: dict[str, str] = {}
    with _stop_in_time(ending.cut_off) as (stop, is_late), ThreadPoolExecutor(len(start.crms)) as pool:
        asked = {crm: pool.submit(look_at_crm, config, crm, stop) for crm in start.crms}
        for crm, answer in asked.items():
            try:
                facts = answer.result()
                found[crm] = replace(facts, gaps=[hide_secrets(each, ending.secrets) for each in facts.gaps])
            except (ConfigError, Unavailable) as error:
                said = "; ".join(error.problems) if isinstance(error, ConfigError) else str(error)
                refusals[crm] = hide_secrets(said, ending.secrets)
            except Cancelled:
                refusals[crm] = f"it did not answer within {PATIENCE:.0f} seconds"
        if stop.is_set() and not is_late():
            raise Cancelled("nothing was written")
    return found, refusals


@contextmanager
def _stop_in_time(cut_off: Callable[[], object]) -> Iterator[tuple[threading.Event, Callable[[], bool]]]:
    """A flag that signals raise, and time; and whether it was time."""
    late = threading.Event()
    with raise_stop_on_signals(1, cut_off) as stop:

        def give_up() -> None:
            late.set()
            stop.set()

        timer = threading.Timer(PATIENCE, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield stop, late.is_set
        finally:
            timer.cancel()


def _write_connections(start: Starter) -> str:
    """A config that only opens the CRMs and reads a few records, never by a bulk job."""
    tables = {
        "hubspot": "[hubspot]\ncounters = false\n",
        "salesforce": f"[salesforce]\ninstance_url = {write_value(start.instance_url)}\n"
        "bulk_query_threshold = 1_000_000_000\n",
    }
    fields = [f"{name} = {write_value(value)}\n" for name, value in start.mapped_fields().items()]
    return "".join([*(tables[crm] for crm in start.crms), "[bands]\ncold = 0\n[fields]\n", *fields])


def look_at_crm(config: Config, crm: str, stop: Stop) -> CrmFacts:
    """What one CRM says of itself, and a few of its records.

    Raises `ConfigError`, `Unavailable` or `Cancelled` where the credentials open nothing.
    """
    with connect_one(config, crm, {}, stop) as connected:
        account, gaps = connected.account(), list[str]()
        fields = _ask("fields", lambda: _describe_fields(connected), gaps)
        owners = _ask("users", connected.owners, gaps)
        return CrmFacts(crm, account, fields, owners, gaps, _ask("records", lambda: _read_some(connected), gaps))


def _describe_fields(connected: Connector) -> Sequence[DescribedField]:
    return connected.describe_fields() if isinstance(connected, FieldCatalog) else ()


def _read_some(connected: Connector) -> Sequence[Contact]:
    """The first records."""
    pages = connected.contacts(None)
    found = [each for page in islice(pages, PAGES) for each in page.items if not each.gone]
    if isinstance(pages, Generator):
        pages.close()
    return found


def _ask(what: str, ask: Callable[[], Sequence[T]], gaps: list[str]) -> Sequence[T]:
    """An answer, or none and why there is none."""
    try:
        return ask()
    except ConfigError as error:
        gaps.append(f"{what}: {'; '.join(error.problems)}")
    except (Unavailable, Cancelled) as error:
        gaps.append(f"{what}: {error}")
    return ()
