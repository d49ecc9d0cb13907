"""A sample to review: who is in it, and how often reviewers agree."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.batch.verdict_file import read_verdict_file
from crmsync.errors import ConfigError
from crmsync.evaluation.audit import Agreement, count_agreement, draw_sample, find_high_scorers, read_verdict
from crmsync.evaluation.cases import LOST, OPEN, WON


def world(count=3_000, seed=5):
    """Nine in ten are cold, few are mql, and few of anybody are won."""
    rng = np.random.default_rng(seed)
    total = rng.integers(0, 100, count) * 100
    band = np.searchsorted([9_000, 9_700], total, side="right")
    outcome = rng.choice(np.array([WON, LOST, OPEN], dtype=np.int8), count, p=[0.05, 0.25, 0.7])
    return np.arange(1, count + 1), total, band, outcome


def test_S4_28_the_sample_is_stratified_and_fixed_by_its_seed():
    people = world()
    chosen = draw_sample(*people, 10, "2026-W48")
    again = draw_sample(*people, 10, "2026-W48")
    assert chosen.tolist() == again.tolist()
    assert chosen.tolist() != draw_sample(*people, 10, "2026-W49").tolist()
    assert len(set(chosen.tolist())) == 10
    _keys, total, band, outcome = people
    assert Counter(band[chosen].tolist()) == {2: 4, 1: 3, 0: 3}
    more = draw_sample(*people, 18, "1")
    high = find_high_scorers(total, band)
    assert len({(band[row], high[row], outcome[row]) for row in more.tolist()}) == 18  # each group once


def test_the_sample_of_a_seed_is_the_same_everywhere():
    assert draw_sample(*world(200), 5, "7").tolist() == [189, 120, 97, 8, 151]


def test_who_joins_changes_little_of_a_sample():
    keys, total, band, outcome = world()
    fewer = draw_sample(keys[:2_990], total[:2_990], band[:2_990], outcome[:2_990], 20, "1")
    assert len(set(draw_sample(keys, total, band, outcome, 20, "1").tolist()) & set(fewer.tolist())) >= 15


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(-1, 2), st.sampled_from([WON, LOST, OPEN])), max_size=40),
    st.integers(1, 12),
    st.text(max_size=5),
)
def test_law_a_sample_has_each_band_as_often_as_any_other_one_that_has_people_left(rows, many, seed):
    total, band, outcome = (np.array([each[place] for each in rows], dtype=np.int64) for place in range(3))
    chosen = draw_sample(np.arange(len(rows)), total, band, outcome.astype(np.int8), many, seed)
    assert len(chosen) == len(set(chosen.tolist())) == min(many, len(rows))
    counts, there = Counter(band[chosen].tolist()), Counter(band.tolist())
    for each in there:
        assert counts[each] == there[each] or counts[each] >= max(counts.values()) - 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("right", ("right", "")),
        (" Too High ", ("too_high", "")),
        ("too_low", ("too_low", "")),
        ("Right!", ("right", "")),
        ("a competitor", ("", "a competitor")),
        ("", ("", "")),
    ],
)
def test_a_verdict_is_one_of_three_and_anything_else_a_note(text, said):
    assert read_verdict(text) == said


def test_S2_17_agreement_is_counted_by_band():
    said = [("mql", "right")] * 6 + [("mql", "too_high")] * 2 + [("cold", "too_low"), ("cold", ""), ("gone", "right")]
    found = count_agreement(said, ["cold", "warm", "mql"])
    assert list(found) == ["mql", "cold", "gone"]
    assert found["mql"] == Agreement(6, 2, 0, 0)
    assert (found["mql"].agreement, found["cold"].agreement, found["cold"].notes) == (0.75, 0, 1)
    assert Agreement(notes=3).agreement is None


HEADER = "sample,person,name,score,band,reasons,outcome,owner,verdict,note"


def save(folder, text, encoding="utf-8"):
    file = folder / "audit.csv"
    file.write_bytes(text.encode(encoding))
    return file


def test_a_file_as_a_spreadsheet_saves_it_is_read(tmp_path):
    lines = [
        HEADER.replace(",", ";"),
        "2026-W48;7;Ann;71;mql;Demo +30;won;;Too high;",
        "'=1;8;Bob;;mql;;;;;was away",
        "",
    ]
    found = read_verdict_file(save(tmp_path, "\r\n".join(lines), "utf-8-sig"))
    assert [tuple(each) for each in found.rows] == [
        (2, "2026-W48", 7, "mql", "too_high", ""),
        (3, "=1", 8, "mql", "", "was away"),
    ]
    assert (found.blank, found.problems) == (0, [])


def test_lines_without_a_verdict_and_with_mistakes_are_told_apart(tmp_path):
    text = f'{HEADER}\nw,7,,,mql,,,,,\nw,x,,,mql,,,,right,\n,9,,,mql,,,,right,"two\nlines"\nw,9,,,mql,,,,right,\n'
    found = read_verdict_file(save(tmp_path, text))
    assert (found.blank, [each.line for each in found.rows]) == (1, [6])
    assert ["line 3: person 'x'" in found.problems[0], "line 5: sample is empty" in found.problems[1]] == [True, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [("name,verdict\n", "no column sample, person, band"), ("", "no column"), (f'{HEADER}\nw,"7\n', "no CSV file")],
)
def test_what_is_no_file_of_verdicts_is_refused(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read_verdict_file(save(tmp_path, text))


def test_what_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_verdict_file(tmp_path / "no.csv")
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        read_verdict_file(save(tmp_path, f"{HEADER}\nä", "latin-1"))
