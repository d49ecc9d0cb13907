"""How the command line behaves as a whole: help that is never cut, `help` as a word, and hints for what others have."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from crmsync.cli.commands import LoadedCommands, read_summaries
from crmsync.cli.consoles import count_columns, messages_console
from crmsync.cli.help_text import HelpText, print_usage_error

HELP = {"help_option_names": ["-h", "--help"]}
"""Of each command: how to ask for its help."""

HINTS = {
    "--dry-run": "crmsync plan shows what a run would change, and writes nothing",
    "--preview": "crmsync plan shows what a run would change, and writes nothing",
    "--force": "a plan that is held is approved with crmsync apply",
    "--verbose": "--debug logs everything",
    "-v": "--version prints the version, and --debug logs everything",
    "--format": "--json prints one JSON document",
    "--output": "--json prints one JSON document, and --csv FILE writes a list where there is one",
}
"""What to say besides of options that other programs have."""


class _Readable:
    """Help and errors that are as wide as the terminal."""

    def make_context(self, *given: Any, **extra: Any) -> Any:
        with _readable_errors():
            return super().make_context(*given, **extra)  # type: ignore[misc]

    def get_usage(self, ctx: Any) -> str:
        made = HelpText(count_columns(sys.stdout))
        self.format_usage(ctx, made)  # type: ignore[attr-defined]
        return made.getvalue().rstrip("\n")

    def get_help(self, ctx: Any) -> str:
        made = HelpText(count_columns(sys.stdout))
        self.format_help(ctx, made)  # type: ignore[attr-defined]
        return made.getvalue().rstrip("\n")


class Command(_Readable, TyperCommand):
    """One command."""


class Commands(_Readable, TyperGroup):
    """The commands: without arguments the help is printed, as it is for `help` and `help COMMAND`."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = LoadedCommands(cls=Command, context_settings=HELP)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with the words for help as its option."""
        if not args:
            args = ["--help"]
        elif args[0] == "help":
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command and its arguments; an option that only other programs have is refused with a hint."""
        with _readable_errors():
            name, command, rest = super().resolve_command(ctx, args)
            known = {option for each in command.params for option in each.opts} if command else set()
            if wrong := next((each for each in rest if each in HINTS and each not in known), None):
                ctx.fail(f"No such option: {wrong}; {HINTS[wrong]}.")
        return name, command, rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each command with its whole first sentence: click cuts it at the width of the screen."""
        with formatter.section("Commands"):
            formatter.write_dl(list(read_summaries()))


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Errors of usage, which typer shows, are shown between their words."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "ctx"):
            error.show = partial(_show_error, error)
        raise


def _show_error(error: Any, *_file: Any) -> None:
    print_usage_error(messages_console(), error)


def give_config(ctx: Any, config: Path | None) -> None:
    """Let a config that is named before the command be that of the command."""
    if config is not None:
        ctx.default_map = {name: {"config": str(config)} for name in ctx.command.commands}
