"""What is drawn for people: only where somebody looks, and nothing of a stranger's text steers the terminal."""

import io
import sys

import pytest
from rich.console import Console

from crmsync import report


def console(terminal=False):
    file = io.StringIO()
    made = Console(file=file, force_terminal=terminal, width=100, emoji=False, markup=False, highlight=False)
    return made, file


def test_progress_is_drawn_on_a_terminal_and_nowhere_else():
    for terminal in (True, False):
        made, file = console(terminal)
        with report.progress_bar(made) as progress:
            progress("contacts", "hubspot", 1_200)
            progress("contacts", "hubspot", 34)
        assert ("hubspot contacts" in file.getvalue()) is terminal
        assert ("1,234" in file.getvalue()) is terminal


def test_what_is_printed_beside_a_bar_goes_where_it_belongs(capsys):
    made, file = console(terminal=True)
    with report.progress_bar(made) as progress:
        progress("scored", "", 1)
        sys.stdout.write("a line of the result\n")
    assert capsys.readouterr().out == "a line of the result\n"
    assert "a line of the result" not in file.getvalue()


def test_steps_are_drawn_on_a_terminal_and_nowhere_else():
    for terminal in (True, False):
        made, file = console(terminal)
        with report.steps_bar(made, 2) as begin:
            begin("A config")
        assert ("A config" in file.getvalue()) is terminal


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\rb", "\x9b2J", "x\x00y", "\u202egnp.exe", "a\nb\tc"])
def test_a_strangers_text_does_not_steer_the_terminal(name):
    made, file = console()
    report.print_troubles(made, [{"crm": "hubspot", "records": 1, "state": "failed", "reason": name}])
    said = file.getvalue().removesuffix("\n")
    assert said.isprintable()


def test_a_strangers_text_is_not_read_as_markup():
    made, file = console()
    reason = "[red]not red[/red] :smile: [/]"
    report.print_troubles(made, [{"crm": "hubspot", "records": 1, "state": "failed", "reason": reason}])
    assert reason in file.getvalue()


def test_a_document_is_cleaned_throughout():
    assert report.printable({"a\x1b": ["b\x1b", ("c\x00", 3, None, True)]}) == {"a ": ["b ", ["c ", 3, None, True]]}


def test_bands_come_in_their_order_and_forgotten_ones_last():
    assert list(report.in_order({"mql": 1, "old": 2, "cold": 3}, ["cold", "warm", "mql"])) == ["cold", "mql", "old"]
