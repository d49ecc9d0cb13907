"""The command about accounts: their scores, their people, and the roles that are missing."""

from __future__ import annotations

import io
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from crmsync.bootstrap import existing_state
from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    Ending,
    opened_config,
    results_console,
    run_command,
    save_csv,
)
from crmsync.reporting.accounts import account_document, accounts_document
from crmsync.reporting.print_accounts import print_account, print_accounts, write_accounts_csv

Which = Annotated[str | None, typer.Argument(metavar="ACCOUNT", help="The name of an account, or its domain.")]
Missing = Annotated[
    str | None, typer.Option("--missing", metavar="ROLE", help="Only accounts where nobody has this role.")
]
Top = Annotated[int | None, typer.Option("--top", min=1, metavar="N", help="Only the N with the highest scores.")]
ToCsv = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write all of them to a CSV file; - is standard output.")
]


def accounts(
    which: Which = None,
    missing: Missing = None,
    top: Top = None,
    csv: ToCsv = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the accounts by score, with the roles that are missing; or show one of them with its people.

    The scores are those of the last run. A terminal shows the first 50; --json and --csv have all.

    Example: crmsync accounts --missing "Decision maker"

    Example: crmsync accounts kestrel.example
    """
    if as_json and csv is not None:
        raise typer.BadParameter("give --json or --csv, not both")
    if which is not None and (missing is not None or top is not None or csv is not None):
        raise typer.BadParameter("--missing, --top and --csv are for the list; leave out the account")
    with run_command(as_json, debug, config) as ending:
        settings, now = opened_config(ending), datetime.now(UTC)
        with existing_state(settings) as store:
            if which is not None:
                ending.document = account_document(settings, store, which, now)
            else:
                ending.document = accounts_document(settings, store, now, missing, top)
        if csv is not None:
            text = io.StringIO(newline="")
            write_accounts_csv(text, ending.document)
            save_csv(csv, text.getvalue(), len(ending.document["accounts"]), ending)
        elif not as_json and which is not None:
            print_account(results_console(), ending.document)
        elif not as_json:
            print_accounts(results_console(), ending.document, _whole(ending, missing), _one(ending))


def _whole(ending: Ending, missing: str | None) -> str:
    only = "" if missing is None else f" --missing {shlex.quote(missing)}"
    return ending.typed(f"crmsync accounts{only} --csv accounts.csv")


def _one(ending: Ending) -> str:
    """The command that shows the first account of the list that can be named; empty where none can."""
    names = (each["domain"] or each["name"] for each in ending.document["accounts"])
    first = next(filter(None, names), None)
    return ending.typed(f"crmsync accounts {shlex.quote(first)}") if first else ""
