"""The commands about people: lists of those to look at, and forgetting one for good."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from crmsync.bootstrap import existing_state
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    WHO,
    AsJson,
    ConfigPath,
    Debug,
    Ending,
    opened_config,
    results_console,
    run_command,
    save_csv,
    says_yes,
)
from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.exit_codes import FAILED
from crmsync.identity.matching import MAIL, normal_email
from crmsync.reporting.console import count_of, make_printable, print_sentences
from crmsync.reporting.people import people_document
from crmsync.reporting.person import call_record, find_all_records
from crmsync.reporting.print_people import print_forgotten, print_people, write_csv
from crmsync.store.database import Store, wipe_forgotten
from crmsync.store.events import find_rows_of
from crmsync.store.forgetting import forget_records, pause_writer, rows_to_forget

Duplicates = Annotated[bool, typer.Option("--duplicates", help="People with more than one live record in one CRM.")]
NotMatched = Annotated[bool, typer.Option("--not-matched", help="Records whose address is on too many records.")]
Disagreements = Annotated[
    bool, typer.Option("--disagreements", help="People whose score fields, stage or owner differ between the CRMs.")
]
Excluded = Annotated[
    bool, typer.Option("--excluded", help="People who are left out of scoring or of the routes, and why.")
]
Waiting = Annotated[bool, typer.Option("--waiting", help="People who wait for an owner, and why.")]
ToCsv = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write all of them to a CSV file; - is standard output.")
]
Who = Annotated[str, WHO]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Forget without being asked.")]


def people(
    context: typer.Context,
    duplicates: Duplicates = False,
    not_matched: NotMatched = False,
    disagreements: Disagreements = False,
    excluded: Excluded = False,
    waiting: Waiting = False,
    csv: ToCsv = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List people to look at, each with the reason. Choose one list.

    A terminal shows the first 50; --json and --csv have all.

    Example: crmsync people --duplicates

    Example: crmsync people --disagreements --csv disagreements.csv
    """
    lists = {
        "duplicates": duplicates,
        "not_matched": not_matched,
        "disagreements": disagreements,
        "excluded": excluded,
        "waiting": waiting,
    }
    chosen = [name for name, wanted in lists.items() if wanted]
    if not chosen and not as_json and csv is None:
        typer.echo(context.get_help())
        return
    if len(chosen) != 1:
        options = [f"--{name.replace('_', '-')}" for name in lists]
        raise typer.BadParameter(f"choose one of {', '.join(options)}")
    if as_json and csv is not None:
        raise typer.BadParameter("give --json or --csv, not both")
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with existing_state(settings) as store:
            ending.document = people_document(settings, store, chosen[0])
        if csv is not None:
            text = io.StringIO(newline="")
            write_csv(text, ending.document, chosen[0])
            save_csv(csv, text.getvalue(), ending.document["count"], ending)
        elif not as_json:
            whole = ending.typed(f"crmsync people --{chosen[0].replace('_', '-')} --csv people.csv")
            print_people(results_console(), ending.document, chosen[0], whole, _explaining(ending))


def _explaining(ending: Ending) -> str:
    """The command that explains the first of a list whom it can explain; empty where it can explain nobody."""
    for each in ending.document["people"]:
        if each["person"] is not None or each["emails"]:
            only = each["emails"][0] if each["emails"] else f"person:{each['person']}"
            return ending.typed(f"crmsync explain {shlex.quote(only)}")
    return ""


def forget(
    who: Who,
    yes: Yes = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Remove a person from the state for good, as the law may ask. What the CRMs hold stays as it is.

    Keyed hashes of their ids and addresses are kept, so that a later run neither stores nor scores nor writes them.
    It works while `crmsync run` is running.

    Example: crmsync forget vera@kestrel.example
    """
    with run_command(as_json, debug, config) as ending:
        settings = opened_config(ending)
        with existing_state(settings) as store:
            if store is None:
                raise ConfigError("No run yet, so there is nobody to forget", "crmsync plan")
            shown = None
            if not yes:
                with store.read() as reading:
                    _person, shown = _meant(settings, reading, who)
                if not _is_agreed(ending, who, shown):
                    return
            ending.document = _forget(settings, store, who, shown)
            is_clean = wipe_forgotten(store, "crmsync forget")
        if not as_json:
            print_forgotten(results_console(), ending.document, is_clean)


def _meant(config: Config, reading: Connection, who: str) -> tuple[int | None, list[Any]]:
    try:
        person, found = find_all_records(config, reading, who)
    except ConfigError:
        # Nobody of the CRMs, and yet events may wait for them.
        waiting = find_rows_of(reading, {f"{MAIL}{normal_email(who)}"}, ()) if "@" in who else []
        if not waiting:
            raise
        return None, waiting
    return person, rows_to_forget(reading, [each.id for each in found])


def _is_agreed(ending: Ending, who: str, rows: Sequence[Any]) -> bool:
    """Say who it is and ask. Raises `ConfigError` where nobody can be asked."""
    if ending.as_json or not sys.stdin.isatty():
        raise ConfigError(
            f"nothing was removed: it cannot be undone, so it needs --yes where nobody can be asked ({who!r} has "
            f"{count_of(len(rows), 'record')})",
            f"crmsync forget {shlex.quote(who)} --yes",
        )
    for each in make_printable([call_record(row) for row in rows]):
        print_sentences(results_console(), each)
    print_sentences(results_console(), "Everything about these records is removed from the state; the CRMs keep them.")
    if says_yes("Forget this person? It cannot be undone."):
        return True
    print_sentences(results_console(), "Nothing was removed.")
    ending.code = FAILED
    return False


def _forget(config: Config, store: Store, who: str, shown: Sequence[Any] | None) -> dict[str, Any]:
    """Forget who is meant, in one transaction; of those who were shown before none other."""
    with store.begin() as writing:
        pause_writer(writing)
        person, rows = _meant(config, writing, who)
        if shown is not None and [each.id for each in rows] != [each.id for each in shown]:
            said = f"nothing was removed: a run has changed meanwhile which records {who!r} has"
            raise ConfigError(said, f"crmsync forget {shlex.quote(who)}")
        removed = forget_records(writing, [each.id for each in rows])
    refs = [f"{each.crm}:{each.kind}:{each.ref_id}" for each in rows]
    return {"person": person, "records": refs, "removed": removed, "kept_in_crm": True}
