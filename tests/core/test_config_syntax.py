"""Files that are no TOML: the line, a mark below the place, and what was likely meant."""

from __future__ import annotations

import json

import pytest

from crmsync.config import load
from crmsync.errors import ConfigError
from tests.support.commands import crmsync_in

GOOD = """[bands]
cold = 0
mql = 40

[[fit]]
name = "Director"
points = 10
when = { field = "email", exists = true }
"""

CASES = [
    ("curly quotes inside of brackets", 'x = ["a", „b“]', 1, 11, "curly quotes"),
    ("guillemets", "name = «Director»", 1, 8, "curly quotes"),
    ("one header twice", '[fit]\nname = "A"\n[fit]\nname = "B"', 3, None, "write [[fit]] with two brackets, each time"),
    ("[fit] beside [[fit]]", '[[fit]]\nname = "A"\n[fit]\nname = "B"', 3, None, "write [[fit]] with two brackets"),
    ("a table twice", "[guard]\nscores = 0.2\n[guard]\nbands = 0.2", 3, None, "the table [guard] is on line 1 already"),
    ("a key twice", "a = 1\nb = 2\na = 3", 3, None, "the key 'a' is on line 1 already"),
    ("a regular expression", 'matches = "\\d+"', 1, 12, "write the text in single quotes"),
    ("False in a list", "when = { field = 'a', known = False }", 1, 31, "write false, in small letters"),
    ("yes", "owner = yes", 1, 9, "write true"),
    ("None", "cap = None", 1, 7, "leave the key out"),
    ("per cent", "scores = 20%", 1, 10, "write per cent as a part of 1: 0.2"),
    ("a dash for a minus", "points = –10", 1, 10, "write -, as in -10"),
    ("an invisible blank", 'name\u00a0= "x"', 1, 5, "an invisible character stands here"),
    ("text without quotes", "name = Director of sales", 1, 8, 'a text needs quotes: "Director"'),
    ("an address without quotes", "members = dana@acme.example", 1, 11, "a text needs quotes"),
    ("an open text", 'name = "Director', 1, 8, "not closed on this line"),
    ("an open single quote", "name = 'Director", 1, 8, "not closed on this line"),
    ("no value", "points =", 1, 9, "the value after = is missing"),
    ("no equals sign", "points", 1, 1, "write points = …"),
    ("a colon", "points: 10", 1, 7, "stands =, not a colon"),
    ("a comment of another language", "// points", 1, 1, "a comment begins with #"),
    ("one bracket too few", "[[fit]\nname = 'a'", 1, 1, "as many brackets on both sides"),
    ("one bracket too many", "[write]]\nstage = true", 1, 1, "as many brackets on both sides"),
    ("a name with blanks", 'not a fit = "keep"', 1, 1, 'needs quotes: "not a fit" = …'),
    ("a name with an umlaut", 'größe = "x"', 1, 1, 'needs quotes: "größe" = …'),
    ("a list that never ends", "x = [1,\n2", 2, None, "between two entries of a list stands a comma, and"),
    ("a list without a comma", 'x = ["a@b.example" "c@d.example"]', 1, 20, "two entries of a list stands a comma"),
    ("a sign in a condition", 'when = { field = "a" >= 200 }', 1, None, 'a key, too: { field = "employees", gte'),
    ("a German date", "on = 21.11.2026", 1, 6, "write a date as year, month and day: 2026-11-21"),
    ("an American date", "on = 11/21/2026", 1, 6, "write a date as year, month and day, for example 2026-11-21"),
    ("thousands with a comma", "first_run = 1,000", 1, 13, "write the number without separators: 1000"),
    ("millions with points", "first_run = 1.000.000", 1, 13, "write the number without separators: 1000000"),
    ("a decimal comma", "points = 7,5", 1, 10, "write a decimal point: 7.5"),
    ("a comma behind the last key", 'when = { field = "a", }', 1, 21, "has no comma behind its last key"),
    ("quotes in a text", 'name = "Head of "Sales" West"', 1, 8, "write a text with quotes in it in single quotes: '…'"),
    ("a length of time without quotes", "window = 60d", 1, 10, 'a length of time needs quotes: "60d"'),
    ("the same in a table", "decay = { half_life = 30d }", 1, 23, 'a length of time needs quotes: "30d"'),
    ("a semicolon", "points = 25;", 1, 12, "a line ends without a semicolon"),
    ("two keys on a line", "points = 25 cap = 30", 1, None, "something stands behind the value"),
]


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "crmsync.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def mistake_in(file):
    with pytest.raises(ConfigError) as caught:
        load(file)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "column", "said"), [each[1:] for each in CASES], ids=[each[0] for each in CASES]
)
def test_a_mistake_names_its_line_and_what_was_meant(write, text, line, column, said):
    file = write(text)
    error = mistake_in(file)
    (sentence,) = error.problems
    assert said in sentence
    assert sentence.startswith(f"{file}, line {line}, column {'' if column is None else f'{column}: '}")
    shown, mark = error.excerpt
    assert shown == f"  {line} | {text.splitlines()[line - 1]}"
    at = mark.index("^")
    assert mark == " " * at + "^"
    if column is not None:
        assert at == len(f"  {line} | ") + column - 1


@pytest.mark.parametrize("spoil", [each[1] for each in CASES], ids=[each[0] for each in CASES])
def test_the_line_is_right_far_down_in_a_file(write, spoil):
    plain = mistake_in(write(spoil)).problems[0]
    below = mistake_in(write("# a comment\n\n" + spoil)).problems[0]
    lines = [int(said.split(", line ")[1].split(",")[0]) for said in (plain, below)]
    assert lines[1] == lines[0] + 2


def test_a_long_line_is_shown_around_the_place(write):
    names = ", ".join(f'"name {number}"' for number in range(40))
    error = mistake_in(write(f"members = [{names}, “dana”]"))
    shown, mark = error.excerpt
    assert len(shown) <= 80
    assert shown[mark.index("^")] == "“"


def test_a_line_with_a_secret_is_not_shown(write):
    error = mistake_in(write("[hubspot]\ntoken = “pat-na1-12345678”"))
    assert "curly quotes" in error.problems[0]
    assert error.excerpt == ()
    assert "12345678" not in str(error)


def test_the_ends_of_lines_of_windows_are_read(write):
    assert load(write(GOOD.replace("\n", "\r\n"))).fit[0].name == "Director"


def test_the_command_shows_the_line_on_a_screen_and_one_problem_in_json(write):
    file = write(GOOD.replace('"Director"', "“Director”"))
    crmsync = crmsync_in(file.parent)
    ended = crmsync("check", "-c", file)
    assert ended.code == 2
    assert ended.err.splitlines()[1:3] == ["  6 | name = “Director”", "             ^"]
    (problem,) = json.loads(crmsync("check", "--json", "-c", file).out)["problems"]
    assert problem.startswith(f"{file}, line 6, column 8: these are curly quotes")


RULE = '[bands]\ncold = 0\n[[fit]]\nname = "VP or C-level"\n'


def test_a_key_that_does_not_exist_lists_those_that_do(write):
    (problem,) = mistake_in(write(RULE + 'points = 10\nwhen = { field = "email", foo = 1 }')).problems
    assert "foo: this key does not exist; the keys here are is, in, contains, excludes, starts_with" in problem


def test_one_header_for_many_rules_says_how_to_write_it(write):
    (problem,) = mistake_in(write(GOOD.replace("[[fit]]", "[fit]"))).problems
    assert problem.endswith("line 5: fit: write the header with two brackets, once for each: [[fit]]")


def test_words_of_the_model_are_read_however_they_are_written(write):
    rule = RULE + 'points = 10\nwhen = { field = "email", seniority = ["VP", "C-Level"] }'
    assert load(write(rule)).fit[0].when.seniority == ["vp", "c_level"]
    rule = RULE + 'points = 10\nwhen = { field = "email", seniority_at_least = "Director" }'
    assert load(write(rule)).fit[0].when.seniority_at_least == "director"
