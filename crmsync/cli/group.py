"""How the command line behaves as a whole: help that is never cut, `help` as a word, and hints for what others have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.core import TyperGroup

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


class Commands(TyperGroup):
    """The commands: without arguments the help is printed, as it is for `help` and `help COMMAND`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with the words for help as its option."""
        if not args:
            args = ["--help"]
        elif args[0] == "help":
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command and its arguments; an option that only other programs have is refused with a hint."""
        name, command, rest = super().resolve_command(ctx, args)
        known = {option for each in command.params for option in each.opts} if command else set()
        if wrong := next((each for each in rest if each in HINTS and each not in known), None):
            ctx.fail(f"No such option: {wrong}; {HINTS[wrong]}.")
        return name, command, rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each command with its whole first sentence: click cuts it at the width of the screen."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, " ".join((command.help or "").split("\n\n")[0].split())))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def give_config(ctx: Any, config: Path | None) -> None:
    """Let a config that is named before the command be that of the command."""
    if config is not None:
        ctx.default_map = {name: {"config": str(config)} for name in ctx.command.commands}
