"""The commands by name, each loaded when it is typed: what one needs, `--help` and the others need not wait for."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from typer.main import get_command_from_info
from typer.models import CommandInfo


class CommandPlace(NamedTuple):
    """Where a command is: its module, and its function where that is called otherwise."""

    module: str
    function: str = ""


COMMANDS = {
    "demo": CommandPlace("tryout"),
    "init": CommandPlace("starting"),
    "check": CommandPlace("setup"),
    "setup": CommandPlace("setup"),
    "plan": CommandPlace("planning"),
    "apply": CommandPlace("cycles"),
    "backfill": CommandPlace("cycles"),
    "sync": CommandPlace("cycles"),
    "run": CommandPlace("daemon"),
    "show": CommandPlace("runs"),
    "history": CommandPlace("runs"),
    "undo": CommandPlace("runs"),
    "explain": CommandPlace("explaining"),
    "route": CommandPlace("deciding"),
    "simulate": CommandPlace("simulating"),
    "evaluate": CommandPlace("evaluating"),
    "report": CommandPlace("meeting"),
    "drift": CommandPlace("drifting"),
    "experiment": CommandPlace("drifting"),
    "audit": CommandPlace("auditing"),
    "learn": CommandPlace("learning"),
    "status": CommandPlace("standing"),
    "models": CommandPlace("models"),
    "alert": CommandPlace("alerting"),
    "people": CommandPlace("people"),
    "accounts": CommandPlace("accounts"),
    "forget": CommandPlace("people"),
    "pause": CommandPlace("operating"),
    "resume": CommandPlace("operating"),
    "backup": CommandPlace("operating"),
    "restore": CommandPlace("operating"),
    "export": CommandPlace("exporting"),
    "import": CommandPlace("exporting", "import_"),
    "score": CommandPlace("scoring"),
    "sandbox": CommandPlace("tryout"),
}
"""In the order in which the help lists them."""


def read_summaries() -> Iterator[tuple[str, str]]:
    """The name of each command and the first paragraph of its help, read without loading any of them."""
    functions: dict[str, dict[str, str]] = {}
    for name, place in COMMANDS.items():
        if place.module not in functions:
            tree = ast.parse((Path(__file__).parent / f"{place.module}.py").read_text(encoding="utf-8"))
            found = (each for each in tree.body if isinstance(each, ast.FunctionDef))
            functions[place.module] = {each.name: ast.get_docstring(each) or "" for each in found}
        said = functions[place.module][place.function or name]
        yield name, " ".join(said.split("\n\n")[0].split())


def _load_module(name: str) -> ModuleType:
    """Import a module without looking for garbage meanwhile: what is made stays, and looking takes a tenth of it."""
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


class LoadedCommands(MutableMapping[str, Any]):
    """The commands as click asks for them; one that is asked for is loaded then."""

    def __init__(self, **how: Any) -> None:
        self._how, self._loaded = how, dict[str, Any]()

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            place = COMMANDS[name]
            function = getattr(_load_module(f"crmsync.cli.{place.module}"), place.function or name)
            info = CommandInfo(name=name, callback=function, **self._how)
            self._loaded[name] = get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode=None)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)
