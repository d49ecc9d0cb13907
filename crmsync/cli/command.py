"""What every command shares: its options, where its output goes, and how it ends."""

from __future__ import annotations

import io
import logging
import os
import shlex
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer

from crmsync import log
from crmsync.cli.consoles import messages_console as messages_console
from crmsync.cli.consoles import results_console as results_console
from crmsync.config import Config, load
from crmsync.daemon.signals import allow_interrupt
from crmsync.errors import ConfigError, CrmsyncError
from crmsync.exit_codes import FAILED, Outcome, outcome_of
from crmsync.redaction import hide_quotations, hide_secrets, secrets_of
from crmsync.reporting.console import count_of, make_printable, print_sentences
from crmsync.reporting.print_people import write_rows
from crmsync.store.address import files_of

DEFAULT_CONFIG = Path("crmsync.toml")

ConfigPath = Annotated[
    Path, typer.Option("--config", "-c", envvar="CRMSYNC_CONFIG", help="The config file.", show_default=True)
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; all other output goes to stderr.")
]
WHO = typer.Argument(
    metavar="WHO", help="An e-mail address, a full name, a CRM id or link, crm:kind:id, or person: and a crmsync id."
)
Debug = Annotated[bool, typer.Option("--debug", help="Log everything, and show the place of an error in crmsync.")]


@dataclass
class Ending:
    """What a command will print at its end, filled in while it works.

    `command` is what it never sends somebody to, `kept` are files that no result replaces.
    """

    as_json: bool
    debug: bool
    document: dict[str, Any] = field(default_factory=dict)
    code: int = 0
    secrets: list[str] = field(default_factory=list)
    config: Path = DEFAULT_CONFIG
    command: str = ""
    kept: tuple[Path, ...] = ()

    def cut_off(self) -> None:
        """The last words of a command that was stopped and did not heed it in time."""
        self.tell(Outcome(FAILED, "cancelled", ("Stopped. Everything so far is kept.",)))

    def tell(self, end: Outcome) -> None:
        """Say how the command ended, with an error."""
        said = tuple(hide_secrets(make_printable(each), self.secrets) for each in end.said)
        clean = end._replace(said=said, next="" if end.next == self.command else self.typed(end.next))
        self.code = end.code
        if self.as_json:
            told_before = [each for each in self.document.get("problems", ()) if each not in clean.said]
            print_json({**self.document, **clean.as_json(), "problems": [*clean.said, *told_before]})
            return
        console = messages_console()
        for number, sentence in enumerate(clean.said):
            print_sentences(console, sentence if console.is_terminal else hide_quotations(sentence))
            for line in end.excerpt if not number else ():
                console.print(hide_secrets(make_printable(line), self.secrets), soft_wrap=True)
        if clean.next:
            console.print(f"Next: {clean.next}", soft_wrap=True)

    def typed(self, command: str) -> str:
        """A command as it must be typed here: the program's path and the config's where they are not the usual ones."""
        if not command.startswith("crmsync "):
            return command
        named = "" if self.config == DEFAULT_CONFIG else f" --config {shlex.quote(str(self.config))}"
        return f"{program_name()}{command.removeprefix('crmsync')}{named}"


def program_name() -> str:
    """How crmsync is called here."""
    if shutil.which("crmsync"):
        return "crmsync"
    path = Path(sys.argv[0])
    return os.path.relpath(path) if path.name == "crmsync" else "crmsync"


def print_json(document: dict[str, Any]) -> None:
    """Print the one document on stdout."""
    write_json(orjson.dumps(document, option=orjson.OPT_INDENT_2, default=str) + b"\n")


def write_json(text: bytes) -> None:
    """Write to stdout: JSON is UTF-8, whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


@contextmanager
def run_command(as_json: bool, debug: bool, config: Path = DEFAULT_CONFIG, command: str = "") -> Iterator[Ending]:
    """Run a command: what goes wrong becomes sentences and an exit code, and `--json` prints exactly one document."""
    ending = Ending(as_json, debug, config=config, command=command)
    log.start_logging("console", logging.DEBUG if debug else logging.WARNING, (), telling_waits())
    try:
        yield ending
        if as_json:
            print_json(ending.document)
    except CrmsyncError as error:
        if debug:
            log.get_logger().debug("ended", exc_info=error)
        ending.tell(outcome_of(error, kept="run" in ending.document))
    except (typer.Exit, KeyboardInterrupt):
        raise
    except Exception as error:  # noqa: BLE001  the last one to catch it: an admin gets a sentence, not a traceback
        if debug:
            log.get_logger().error("fault", exc_info=error)
        ending.tell(outcome_of(error))
    if ending.code:
        raise typer.Exit(ending.code)


def telling_waits() -> Callable[[logging.LogRecord], bool]:
    """For the log of a command that somebody typed: says in a sentence, and once, why nothing happens."""
    said: set[str] = set()

    def is_wanted(record: logging.LogRecord) -> bool:
        # What structlog logs is a dictionary at this point.
        told = record.msg if isinstance(record.msg, dict) else {"event": record.msg, **vars(record)}
        event = str(told.get("event"))
        if event in WAITS and event not in said:
            print_sentences(messages_console(), WAITS[event].format_map(told))
        said.add(event)
        return event not in WAITS

    return is_wanted


WAITS = {
    "waiting_for_another_writer": "Waiting for another crmsync command to finish writing to this state …",
    "waiting_to_take_over": "Waiting {seconds} seconds, because {why} …",
}
"""The events that say why a command waits, in words."""


def opened_config(ending: Ending, read: Sequence[Path | None] = (), *, is_daemon: bool = False) -> Config:
    """Read the config; from here on its log style counts and its secrets are kept out of everything.

    `read` are further files that the command reads, so that no result replaces one of them. A daemon tells all that it
    does in its log.
    """
    config = load(ending.config)
    ending.kept = (ending.config, *files_of(config.state.url), *(each for each in read if each is not None))
    ending.secrets = secrets_of(config)
    level = logging.DEBUG if ending.debug else logging.INFO if is_daemon else logging.WARNING
    told = {} if is_daemon else {"is_wanted": telling_waits()}
    log.start_logging(config.log, level, ending.secrets, **told)
    return config


def read_instant(option: str, written: str, otherwise: str = "") -> datetime:
    """The instant that an option names; `otherwise` says what else may be written.

    Raises `ConfigError` where it is none, or has no time zone.
    """
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        said = f"{option} {written!r} is not a date and time; write for example 2026-11-21T12:00:00Z{otherwise}"
        raise ConfigError(said) from None
    if at.tzinfo is None:
        raise ConfigError(f"{option} {written!r} needs a time zone; write for example {at.isoformat()}Z")
    try:
        at.astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"{option} {written} is too far away") from None
    return at


def check_output(path: Path, ending: Ending) -> None:
    """Raise `ConfigError` for a file that cannot be written, before a long pull ends in it, or must not be replaced."""
    if str(path) == "-":
        return
    why = ""
    if path.is_dir():
        why = "it is a folder"
    elif not path.absolute().parent.is_dir():
        why = f"there is no folder {path.absolute().parent}"
    elif path.exists():
        is_kept = any(each.exists() and path.samefile(each) for each in ending.kept)
        why = "it is the config or the state, or what is read" if is_kept else ""
    if why:
        raise ConfigError(f"{path} cannot be written: {why}")


@contextmanager
def open_output(path: Path, ending: Ending) -> Iterator[BinaryIO]:
    """A file to write results into, for its owner alone: they name people. `-` is standard output.

    Raises `ConfigError` where it cannot be written.
    """
    if str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    check_output(path, ending)
    try:
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # one that was there before may be open to others
                os.fchmod(file.fileno(), 0o600)
            yield file
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def says_yes(question: str) -> bool:
    """Ask; whoever ends the input instead of answering does not say yes."""
    try:
        with allow_interrupt():
            return typer.confirm(question, err=True)
    except typer.Abort:
        messages_console().print()
        return False


def save_csv(path: Path, text: str, rows: int, ending: Ending) -> None:
    """Write a CSV file and say so; `-` is standard output. Raises `ConfigError` where it cannot be written."""
    with open_output(path, ending) as file:
        file.write(text.encode("utf-8"))
    if str(path) != "-":
        print_sentences(messages_console(), f"{count_of(rows, 'row')} written to {path}.")


def save_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], ending: Ending) -> None:
    """Write rows as a CSV file with a header, as `save_csv` does."""
    text = io.StringIO(newline="")
    write_rows(text, columns, rows)
    save_csv(path, text.getvalue(), len(rows), ending)
