"""The mistakes that admins make in a config, each with all that check says of it: line, cause and remedy."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from crmsync import doctor
from crmsync.config import load
from crmsync.cycle import run_cycle
from crmsync.errors import ConfigError
from tests.support import make
from tests.support.commands import crmsync, settings_alone
from tests.support.demo import REPS, SECRETS, write_config

NOW = datetime(2026, 11, 21, tzinfo=UTC)

GOOD = """\
[hubspot]

[fields]
title = { hubspot = "jobtitle" }
employees = { hubspot = "numberofemployees" }

[lists]
competitors = ["rival.example"]

[bands]
cold = 0
hot = 30
mql = { at = 50, drop_below = 40 }

[[segment]]
name = "Schools"
when = { field = "title", contains = "teacher" }
weights = { fit = 0.5 }

[[fit]]
name = "VP or C-level"
points = 30
when = { field = "title", seniority_at_least = "vp" }

[[fit]]
name = "50 to 200 employees"
points = 10
when = { field = "employees", between = [50, 200] }

[[fit]]
name = "Over 1,000 employees"
points = 20
when = { field = "employees", gt = 1000 }

[[behavior]]
name = "Demo requested"
points = 30
on = "form_submitted"
window = "60d"
cap = 30

[[behavior]]
name = "Pricing page viewed"
points = 5
cap = 20
on = "page_viewed"
where = { url = { regex = "/pricing(/|$)" } }
decay = { half_life = "30d" }

[[disqualify]]
name = "Works for a competitor"
when = { field = "email", domain_list = "competitors" }

[[stage]]
name = "lead"
values = { hubspot = "lead" }

[[stage]]
name = "mql"
band = "mql"
values = { hubspot = "marketingqualifiedlead" }

[[owner_pool]]
name = "sales"
members = ["ann@acme.example", "bob@acme.example"]

[[route]]
name = "Hot ones"
when = { field = "band", is = "mql" }
to = "sales"

[[route]]
name = "Everybody else"
to = "nurture"

[tracks]
nurture = {}

[guard]
scores = 0.2

[schedule]
every = "15m"
timezone = "Europe/Berlin"

[[test]]
name = "A VP who asked for a demo"
given = { title = "VP Sales", activities = [{ kind = "form_submitted", ago = "1d" }] }
expect = { total = 60, band = "mql" }
"""

GIVEN = 'line 88: test "A VP who asked for a demo" → given: '

CASES = [
    (
        "points as a text",
        "points = 30",
        'points = "30"',
        'line 22: fit "VP or C-level" → points: write a number without quotes, for example 25 or -7.5',
    ),
    (
        "a misspelled key",
        "points = 30",
        "pionts = 30",
        "line 22: fit \"VP or C-level\" → pionts: this key does not exist; did you mean 'points'?",
    ),
    (
        "a field that is not mapped",
        'field = "title", sen',
        'field = "titel", sen',
        "line 23: a rule uses the field 'titel', which is not in [fields]; did you mean 'title'?",
    ),
    (
        "an activity type that does not exist",
        'on = "form_submitted"',
        'on = "form_submited"',
        'line 38: no activity source has the type "form_submited", so its rules never match; did you '
        'mean "form_submitted"?',
    ),
    (
        "a length of time in months",
        '"60d"',
        '"2 months"',
        'line 39: behavior "Demo requested" → window: there is no unit month, because months differ in '
        'length; write days: "60d"',
    ),
    (
        "a length of time without a unit",
        'half_life = "30d"',
        "half_life = 30",
        'line 48: behavior "Pricing page viewed" → decay → half_life: write the unit, too, in quotes, '
        'for example "30d" for 30 days',
    ),
    (
        "a band that is left above its entrance",
        "drop_below = 40",
        "drop_below = 60",
        "line 13: bands → mql: drop_below is 60, which is above at (50); write 50 or less, or somebody "
        "would enter and leave at once",
    ),
    (
        "members as one text",
        '["ann@acme.example", "bob@acme.example"]',
        '"ann@acme.example, bob@acme.example"',
        'line 65: owner_pool "sales" → members: write a list in brackets, each entry in quotes, for example ["…", "…"]',
    ),
    (
        "a member without an address",
        '"bob@acme.example"]',
        '"Bob Baker"]',
        "line 65: owner_pool \"sales\" → members → no. 2 → email: 'Bob Baker' is not the e-mail address of a user; a "
        'queue cannot be a member: if one is meant, write to = "queue:Bob Baker" in a route, or fallback = '
        '"queue:Bob Baker" in the pool',
    ),
    (
        "a table that does not exist",
        "[[owner_pool]]",
        "[[owner_pools]]",
        "line 63: owner_pools: this key does not exist; did you mean 'owner_pool'?",
    ),
    (
        "two rules of one name",
        'name = "50 to 200 employees"',
        'name = "VP or C-level"',
        "line 21: two rules have the name 'VP or C-level'; give each its own name",
    ),
    (
        "two segments of one name",
        "[[segment]]",
        '[[segment]]\nname = "Schools"\nwhen = { field = "title", is = "x" }\n\n[[segment]]',
        "line 16: two [[segment]] have the name 'Schools'; give each its own name",
    ),
    (
        "a rule of an unknown segment",
        "points = 10",
        'points = 10\nsegments = ["School"]',
        "line 28: '50 to 200 employees' uses 'School', which is not in [[segment]]; did you mean 'Schools'?",
    ),
    (
        "a schedule in words",
        '"15m"',
        '"15 min"',
        'line 83: schedule → every: write the unit as one letter: "15m"',
    ),
    (
        "a cron line of six fields",
        'every = "15m"',
        'cron = "0 */15 * * * *"',
        "line 83: schedule → cron: write minute, hour, day, month and weekday (0 is Sunday), which are 5"
        ' fields and not 6, for example "*/15 * * * *" or "30 6 * * 1-5"',
    ),
    (
        "a city for a time zone",
        '"Europe/Berlin"',
        '"Berlin"',
        "line 84: schedule → timezone: 'Berlin' is not a time zone; did you mean 'Europe/Berlin'?",
    ),
    (
        "a broken regular expression",
        "/pricing(/|$)",
        "/pricing(/|$",
        'line 47: behavior "Pricing page viewed" → where → url → regex: this is not a regular '
        "expression: missing ) at position 12; for plain text write contains = …",
    ),
    (
        "a number with a thousands separator",
        "gt = 1000",
        'gt = "1.000"',
        'line 33: fit "Over 1,000 employees" → when → gt: write a number without quotes and separators, '
        "for example 1000 or 0.5",
    ),
    (
        "a negative half-life",
        '"30d"',
        '"-30d"',
        'line 48: behavior "Pricing page viewed" → decay → half_life: a length of time has no minus; write "30d"',
    ),
    (
        "a pool of nobody",
        '["ann@acme.example", "bob@acme.example"]',
        "[]",
        'line 65: owner_pool "sales" → members: the list is empty; add at least one',
    ),
    (
        "a stage of an unknown band",
        'band = "mql"\nval',
        'band = "mqls"\nval',
        "line 60: [[stage]] mql: there is no band 'mqls'; did you mean 'mql'?",
    ),
    (
        "a band that nobody can reach",
        "at = 50, drop_below = 40",
        "at = 800, drop_below = 40",
        'line 13: nobody can reach the band "mql": it needs 800 points and the maximum is 100 (fit 50, '
        "behavior 50); lower the band, or let rules give more",
    ),
    (
        "a test lead that comes out otherwise",
        "total = 60",
        "total = 55",
        "line 86: test lead 'A VP who asked for a demo': total is 60, expected 55 (points: VP or C-level"
        " +30, Demo requested +30)",
    ),
    (
        "two stages of one name",
        'name = "lead"',
        'name = "mql"',
        "line 55: two [[stage]] have the name 'mql'; give each its own name",
    ),
    (
        "a domain with an at sign",
        '"rival.example"',
        '"@rival.example"',
        "",
    ),
    (
        "a domain as an address of the web",
        '"rival.example"',
        '"https://rival.example/"',
        "",
    ),
    (
        "bands out of order",
        "hot = 30",
        "hot = 60",
        "line 13: [bands]: 'mql' is at 50, which is not above 'hot' at 60; write the lowest band first",
    ),
    (
        "a route to an unknown pool",
        'to = "sales"',
        'to = "sale"',
        "line 70: [[route]] Hot ones: there is no 'sale'; did you mean 'sales'?",
    ),
    (
        "a band in capitals",
        'is = "mql"',
        'is = "MQL"',
        "",
    ),
    (
        "a list that is not there",
        'domain_list = "competitors"',
        'domain_list = "competitor"',
        "line 52: a rule uses the list 'competitor', which is not in [lists]; did you mean 'competitors'?",
    ),
    (
        "curly quotes",
        'name = "Schools"',
        "name = “Schools”",
        'line 16, column 8: these are curly quotes, as word processors and chats write them; write straight ones: "…"',
    ),
    (
        "one bracket where there are many",
        '[[fit]]\nname = "VP',
        '[fit]\nname = "VP',
        "line 25, column 6: line 20 has [fit] with one bracket; write [[fit]] there, too",
    ),
    (
        "a Windows path",
        '"teacher"',
        '"C:\\Users\\ann"',
        "line 17, column 41: in double quotes a backslash is a sign of its own; write the text in single quotes: '…'",
    ),
    (
        "a decimal comma",
        "scores = 0.2",
        "scores = 0,2",
        "line 80, column 10: write a decimal point: 0.2",
    ),
    (
        "a table over several lines",
        'when = { field = "title", contains = "teacher" }',
        'when = {\n  field = "title",\n  contains = "teacher",\n}',
        "line 17, column 8: a table in { } stands on one line; write it on one line, up to its }",
    ),
    (
        "True",
        "[guard]",
        "[write]\nowner = True\n\n[guard]",
        "line 80, column 9: write true, in small letters",
    ),
    (
        "the mark of Windows in front of the file",
        "[hubspot]",
        "\ufeff[hubspot]",
        "",
    ),
    (
        "three numbers for a range",
        "[50, 200]",
        "[50, 100, 200]",
        'line 28: fit "50 to 200 employees" → when → between: write two numbers in brackets, for example [50, 200]',
    ),
    (
        "one number for a range",
        "[50, 200]",
        "[50]",
        'line 28: fit "50 to 200 employees" → when → between: write two numbers in brackets, for example [50, 200]',
    ),
    (
        "not known as a no",
        'contains = "teacher"',
        "exists = false",
        'line 17: segment "Schools" → when → exists: write true; for what is not known write missing = true',
    ),
    (
        "known as a no",
        'contains = "teacher"',
        "missing = false",
        'line 17: segment "Schools" → when → missing: write true; for what is known write exists = true',
    ),
    (
        "points of a band in quotes",
        "hot = 30",
        'hot = "30"',
        "line 12: bands → hot: write points without quotes, for example 25, or a table: { at = 25, min_fit = 10 }",
    ),
    (
        "a decay as a length of time",
        '{ half_life = "30d" }',
        '"30d"',
        'line 48: behavior "Pricing page viewed" → decay: write how: { half_life = "30d" }, or linear or steps',
    ),
    (
        "steps as fractions",
        '{ half_life = "30d" }',
        '{ steps = { "15d" = 0.5, "30d" = 0 } }',
        'line 48: behavior "Pricing page viewed" → decay → steps → 15d: write per cent: 50 keeps one half',
    ),
    (
        "a length of time beyond every calendar",
        'every = "15m"',
        'every = "99999999999d"',
        "line 83: schedule → every: this is more than a hundred years",
    ),
    (
        "a field of a test lead that is none",
        "given = { title =",
        "given = { titel =",
        "line 88: test lead 'A VP who asked for a demo' has the field 'titel', which is not in [fields]; "
        "did you mean 'title'?",
    ),
    (
        "a test lead of activities without a list",
        '[{ kind = "form_submitted", ago = "1d" }]',
        "5",
        GIVEN + 'activities: write a list, for example [{ kind = "page_viewed", ago = "1d" }]',
    ),
    (
        "a test lead with an activity without a type",
        'kind = "form_submitted", ',
        "",
        GIVEN + 'activity no. 1: write its kind: { kind = "page_viewed", ago = "1d" }',
    ),
    (
        "a test lead with half an activity",
        'ago = "1d" }]',
        'ago = "1d", times = 1.5 }]',
        GIVEN + "activity no. 1: times: write a whole number from 1 to 1,000",
    ),
    (
        "a test lead with days as a number",
        'ago = "1d"',
        "ago = 1",
        GIVEN + 'activity no. 1: ago: write the unit, too, in quotes, for example "1d" for 1 day',
    ),
    (
        "a test lead before the calendar",
        'ago = "1d"',
        'ago = "9999999d"',
        GIVEN + "activity no. 1: ago: this is more than a hundred years",
    ),
    (
        "a test lead that cannot fail",
        'expect = { total = 60, band = "mql" }',
        "expect = {}",
        'line 89: test "A VP who asked for a demo" → expect: write what is expected, for example { band = "mql" }; '
        "without it nothing is tested",
    ),
    (
        "a range as a text",
        "[50, 200]",
        '"50-200"',
        'line 28: fit "50 to 200 employees" → when → between: write two numbers in brackets, for example [50, 200]',
    ),
    (
        "a share in per cent",
        "scores = 0.2",
        'scores = "20%"',
        "line 80: guard → scores: write a part of 1: 0.2 is 20 %",
    ),
    (
        "a share above one",
        "scores = 0.2",
        "scores = 20",
        "line 80: guard → scores: write a part of 1: 0.2 is 20 %",
    ),
    (
        "equals",
        'seniority_at_least = "vp"',
        'equals = "VP"',
        "line 23: fit \"VP or C-level\" → when → equals: this key does not exist; did you mean 'is'?",
    ),
    (
        "score for points",
        "points = 30\nwhen",
        "score = 30\nwhen",
        "line 22: fit \"VP or C-level\" → score: this key does not exist; did you mean 'points'?",
    ),
    (
        "a seniority in capitals",
        '"vp"',
        '"VP"',
        "",
    ),
    (
        "a seniority that does not exist",
        '"vp"',
        '"vice president"',
        "line 23: fit \"VP or C-level\" → when → seniority_at_least: it should be 'student', 'entry', "
        "'staff', 'manager', 'director', 'vp' or 'c_level'",
    ),
    (
        "a misspelled key that must be there",
        'name = "lead"',
        'nmae = "lead"',
        "line 55: stage → no. 1 → nmae: this key does not exist; did you mean 'name'?",
    ),
    (
        "a band that is left and never entered",
        "at = 50, drop_below = 40",
        "min_fit = 20, drop_below = 40",
        "line 13: bands → mql: drop_below needs at; write at = …, the points with which somebody enters the band",
    ),
    (
        "a secret in the file",
        "[hubspot]",
        '[hubspot]\ntoken = "pat-eu1-123"',
        "line 2: hubspot → token: a secret does not belong in this file; remove it, and set "
        "CRMSYNC_HUBSPOT__TOKEN in the environment, or write it into a file of that name in the secrets "
        "folder (if anybody else has seen this file, replace the secret in the CRM)",
    ),
    (
        "a band of another name",
        "\nmql = {",
        "\nmlq = {",
        "line 86: test lead 'A VP who asked for a demo' uses 'mql', which is not in [bands]; did you mean 'mlq'?",
    ),
]
"""What was written, what somebody wrote instead, and the sentence about it; `""` where it is taken as it is meant."""


@pytest.fixture(autouse=True)
def _settings_alone(monkeypatch):
    with settings_alone(monkeypatch, SECRETS):
        yield


def complaints(path):
    """All that `crmsync check` calls an error, without the path."""
    try:
        problems = doctor.diagnose(load(path), NOW, None, path)["problems"]
    except ConfigError as error:
        problems = error.problems
    return [each.removeprefix(f"{path}, ") for each in problems]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("broken") / "crmsync.toml"


def test_the_file_that_is_broken_below_is_fine(path):
    path.write_text(GOOD, encoding="utf-8")
    assert complaints(path) == []


@pytest.mark.parametrize(("written", "instead", "said"), [each[1:] for each in CASES], ids=[each[0] for each in CASES])
def test_a_mistake_is_one_sentence_with_its_line_and_what_to_write(path, written, instead, said):
    assert written in GOOD
    path.write_text(GOOD.replace(written, instead, 1), encoding="utf-8")
    assert complaints(path) == ([said] if said else [])


def test_test_leads_are_not_tried_against_a_model_with_errors(path):
    path.write_text(GOOD.replace('on = "form_submitted"', 'on = "form_submited"', 1), encoding="utf-8")
    notes = doctor.diagnose(load(path), NOW, None, path)["notes"]
    assert "the test leads were not tried, because the model has errors" in notes


def test_a_band_that_people_are_in_is_missed_once_it_has_another_name(monkeypatch, state):
    hubspot = make.crm("hubspot")
    hubspot.edit(make.contact(1, fields={"title": "VP Sales"}))
    work = make.work(state, hubspot)
    run_cycle(work)
    monkeypatch.setattr(doctor, "existing_state", lambda _config: nullcontext(work.store))
    renamed = make.config(make.MODEL.replace("\nwarm =", "\nwarmer ="))
    assert (
        "1 person is in the band warm, which is not in [bands]; the next run gives a band of the file instead: "
        "crmsync plan"
    ) in doctor.diagnose(renamed, work.now, None)["notes"]
    later = work._replace(config=renamed, now=work.now + timedelta(minutes=15))
    run_cycle(later)
    assert [each.current["band"] for each in hubspot.records.values()] == ["warmer"]


ONLINE = [
    (
        'title = { hubspot = "jobtitle"',
        'title = { hubspot = "job_title"',
        "[fields] title: HubSpot has no property 'job_title', or this token cannot see it",
        "correct [fields]",
    ),
    (
        '"marketingqualifiedlead"',
        '"marketingqualifedlead"',
        "[[stage]] mql: HubSpot has no lifecycle stage 'marketingqualifedlead'; its stages are subscriber, lead,",
        "correct the value, or add the stage in HubSpot",
    ),
    (
        f'"{REPS[1]}"]',
        '"zoe@elsewhere.example"]',
        "[[owner_pool]] sales: zoe@elsewhere.example is not a user in hubspot and gets no records there",
        "correct the address",
    ),
]


def test_what_only_the_crm_knows_is_told_online(small_sandbox, tmp_path):
    """The names of properties, values of stages and members of pools."""
    path = write_config(tmp_path, small_sandbox.url)
    assert crmsync("setup", "-c", path).code == 0
    for written, instead, _said, _remedy in ONLINE:
        assert written in path.read_text()
        path.write_text(path.read_text().replace(written, instead, 1))
    assert crmsync("check", "-c", path).code == 0
    document = crmsync("check", "--online", "-c", path, "--json").json
    told = [*document["problems"], *document["warnings"], *document["crms"]["hubspot"]["problems"]]
    for _written, _instead, said, remedy in ONLINE:
        (only,) = [each for each in told if each.startswith(said)]
        assert remedy in only
