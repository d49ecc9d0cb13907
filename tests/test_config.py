"""The config: every mistake in plain words, at its line, all at once, and never a secret."""

import os
import tomllib
from pathlib import Path

import pytest

from crmsync import starter
from crmsync.config import Schedule, config_class, load
from crmsync.errors import ConfigError
from tests.make import MODEL, config

CANARY = "canary-3f9d1c7e55"
GOOD = """
[hubspot]
[bands]
cold = 0
mql = 50
[[fit]]
name = "VP"
points = 20
when = { field = "title", seniority = "vp" }
[fields]
title = { hubspot = "jobtitle" }
"""


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch):
    for name in [name for name in os.environ if name.startswith("CRMSYNC_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "crmsync.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def problems(path):
    with pytest.raises(ConfigError) as caught:
        load(path)
    return list(caught.value.problems)


def told(path):
    """The problems without the path of the file."""
    return [each.replace(f"{path}, ", "").replace(f"{path}: ", "") for each in problems(path)]


def test_a_good_file_is_read(write):
    config = load(write(GOOD))
    assert list(config.crms) == ["hubspot"]
    assert config.fit[0].points == 20


def test_every_mistake_is_told_at_once_in_the_order_of_the_lines(write):
    path = write("""log = "loud"
[state]
ur = "x"
[schedule]
every = "15x"
[hubspot]
searches = "many"
[[hubspot.activities]]
source = "meetings"
[fields]
title = { hubspot = 3 }
[bands]
warm = "x"
[[fit]]
name = "A"
point = 3
when = { field = "title", contans = "x" }
[[behavior]]
name = "B"
points = 3
on = "x"
decay = { half_life = "3h" }
[guard]
bands = 3
""")
    assert told(path) == [
        "line 1: log: it should be 'console' or 'json'",
        "line 3: state → ur: is not a key crmsync knows; did you mean 'url'?",
        'line 5: schedule → every: write a whole number and a unit, for example "15m", "36h", "30d" or "2w"',
        "line 7: hubspot → searches: write a whole number",
        "line 8: hubspot → activities → no. 1 → kind: is missing",
        'line 11: fields → title → hubspot: write a table, for example { … } or write a text in quotes, for example "…"',  # noqa: E501
        "line 13: bands → warm: write a table, for example { … }",
        "line 14: fit → no. 1 → points: is missing",
        "line 16: fit → no. 1 → point: is not a key crmsync knows; did you mean 'points'?",
        "line 17: fit → no. 1 → when → contans: is not a key crmsync knows; did you mean 'contains'?",
        'line 22: behavior → no. 1 → decay → half_life: ages are whole days here; write for example "30d" or "2w"',
        "line 24: guard → bands: it should be less than or equal to 1",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[bands]\ncold = 0\n[[route]]\nbands = ["hot"]\npool = "x"', "[[route]]: there is no band 'hot'"),
        ('[bands]\ncold = 0\n[[route]]\nbands = ["cold"]\npool = "x"', "there is no [[owner_pool]] called 'x'"),
        ('[[owner_pool]]\nname = "x"\nmembers = ["Ann"]', "'Ann': name people by their e-mail address"),
        ('[[owner_pool]]\nname = "x"\nmembers = []', "the list is empty; name at least one"),
        ('[schedule]\ntimezone = "Mars"', "'Mars' is not a time zone"),
        ('[schedule]\nevery = "1s"', 'at least "10s"'),
        ('[fields]\ntitle = { pipedrive = "x" }', "there is no CRM called 'pipedrive'"),
        ('[write.outputs]\nscor = { hubspot = "x" }', "crmsync has no output 'scor'"),
        ('[hubspot]\nbase_url = "http://evil.example"', "use https://"),
        ("[hubspot]", "the model has no [bands]"),
        (
            '[fields]\ntitle = { hubspot = "x" }\n[[fit]]\nname = "A"\npoints = 1\n'
            'when = { field = "size", gt = 3 }\n[bands]\ncold = 0',
            "a rule reads the field 'size', which [fields] does not map",
        ),
        ('[[stage]]\nname = "lead"\nband = "hot"\nvalues = {}\n[bands]\ncold = 0', "there is no band 'hot'"),
        ("not toml", "is not valid TOML"),
        ("a = 1\na = 2", "is not valid TOML"),
    ],
)
def test_each_mistake_has_a_sentence(write, text, sentence):
    assert sentence in "\n".join(problems(write(text)))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[bands]\ncold = 0\n[fields]\nsize = { hubspot = "x" }\ntitle = { pipedrive = "x" }', 5),
        ('[bands]\ncold = 0\n[write.outputs]\nscore = { pipedrive = "x" }', 4),
        ('[bands]\ncold = 0\n[[stage]]\nname = "lead"\nband = "hot"\nvalues = {}', 4),
        ('[[stage]]\nname = "lead"\nvalues = {}\n[[stage]]\nname = "lead"\nvalues = {}', 2),
        (
            '[fields]\ntitle = { hubspot = "x" }\n[[fit]]\nname = "Big"\npoints = 1\n'
            'when = { field = "size", gt = 3 }\n[bands]\ncold = 0',
            6,
        ),
        ('[[fit]]\nname = "Big"\npoints = 1\nsegments = ["x"]\nwhen = { field = "email", exists = true }', 2),
    ],
)
def test_a_mistake_between_tables_has_a_line_too(write, text, line):
    (said,) = told(write(text))
    assert said.startswith(f"line {line}: ")


@pytest.mark.parametrize("cron", ["*/15 * * * *", "30 6 * * 1-5", "0 0,12 1-7 */2 0", "5 4 * * 7"])
def test_cron_lines_that_are_taken(cron):
    assert Schedule(cron=cron).cron == cron


@pytest.mark.parametrize(
    "cron", ["* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "x * * * *", "5-1 * * * *"]
)
def test_cron_lines_that_are_refused(cron):
    with pytest.raises(ValueError, match="write minute, hour, day, month and weekday"):
        Schedule(cron=cron)


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path):
    (said,) = problems(tmp_path / "none.toml")
    assert "make one with: crmsync init" in said


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "crmsync.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in problems(path)[0]


# Where values come from


def test_the_environment_wins_over_the_folder_which_wins_over_the_file(write, tmp_path, monkeypatch):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "CRMSYNC_HUBSPOT__TOKEN").write_text("of-the-folder\n")
    (folder / "CRMSYNC_HUBSPOT__SEARCHES").write_text("3")
    path = write('secrets = "secrets"\n' + GOOD.replace("[hubspot]", "[hubspot]\nsearches = 2\nin_flight = 2"))
    assert load(path).hubspot.token.get_secret_value() == "of-the-folder"
    assert (load(path).hubspot.searches, load(path).hubspot.in_flight) == (3, 2)
    monkeypatch.setenv("CRMSYNC_HUBSPOT__TOKEN", "of-the-environment")
    assert load(path).hubspot.token.get_secret_value() == "of-the-environment"


def test_the_folder_of_secrets_may_be_named_in_the_environment(write, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "CRMSYNC_HUBSPOT__TOKEN").write_text("of-elsewhere")
    (folder / "unrelated").write_bytes(b"\xff")
    monkeypatch.setenv("CRMSYNC_SECRETS", str(folder))
    assert load(write(GOOD)).hubspot.token.get_secret_value() == "of-elsewhere"


def test_a_folder_that_cannot_be_read_is_told(write):
    assert "cannot be read" in problems(write('secrets = "nowhere"\n' + GOOD))[0]


def test_the_names_that_others_script_against(write, monkeypatch):
    names = {
        "CRMSYNC_HUBSPOT__BASE_URL": "http://127.0.0.1:1",
        "CRMSYNC_HUBSPOT__TOKEN": CANARY,
        "CRMSYNC_SALESFORCE__INSTANCE_URL": "http://127.0.0.1:2",
        "CRMSYNC_SALESFORCE__CLIENT_ID": "id",
        "CRMSYNC_SALESFORCE__CLIENT_SECRET": CANARY,
        "CRMSYNC_STATE__URL": "sqlite:////elsewhere/state.db",
    }
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    config = load(write(GOOD))
    assert config.hubspot.base_url == "http://127.0.0.1:1"
    assert config.salesforce.instance_url == "http://127.0.0.1:2"
    assert config.salesforce.client_id == "id"
    assert config.state.url == "sqlite:////elsewhere/state.db"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("CRMSYNC_HUBSPOT__TOKENN", "is not a key crmsync knows; did you mean 'token'?"),
        ("CRMSYNC_HUBSPT__TOKEN", "matches no setting"),
        ("CRMSYNC_STATE", "names a whole table"),
        ("CRMSYNC_HUBSPOT", "names a whole table"),
        ("CRMSYNC_BANDS", "names a whole table"),
    ],
)
def test_variables_that_no_setting_reads_are_refused(write, monkeypatch, name, sentence):
    monkeypatch.setenv(name, CANARY)
    said = "\n".join(problems(write(GOOD)))
    assert sentence in said
    assert name in said
    assert CANARY not in said


def test_a_misspelt_file_in_the_folder_is_refused(write, tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "CRMSYNC_HUBSPOT__TOCKEN").write_text(CANARY)
    (said,) = problems(write('secrets = "secrets"\n' + GOOD))
    assert "the file CRMSYNC_HUBSPOT__TOCKEN" in said
    assert CANARY not in said


def test_a_wrong_value_from_the_environment_names_its_variable(write, monkeypatch):
    monkeypatch.setenv("CRMSYNC_HUBSPOT__SEARCHES", "many")
    (said,) = problems(write(GOOD))
    assert said == "the environment variable CRMSYNC_HUBSPOT__SEARCHES: hubspot → searches: write a whole number"


def test_paths_are_relative_to_the_file(write, tmp_path):
    config = load(write(GOOD.replace("[hubspot]", '[hubspot]\n[salesforce]\ninstance_url = "http://127.0.0.1:1"\n'
                                     'client_id = "x"\nprivate_key_file = "key.pem"')))  # fmt: skip
    assert config.state.url == f"sqlite:///{tmp_path}/crmsync.db"
    assert config.salesforce.private_key_file == str(tmp_path / "key.pem")


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        f'[hubspot]\ntoken = "{CANARY}"',
        f'[hubspot]\nclient_secret = "{CANARY}"',
        f'[hubspot]\nrefresh_token = "{CANARY}"',
        f'[salesforce]\ninstance_url = "https://a.my.salesforce.com"\nclient_secret = "{CANARY}"',
        f'[salesforce]\ninstance_url = "https://a.my.salesforce.com"\nprivate_key = "{CANARY}"',
        f'[state]\nurl = "postgresql://user:{CANARY}@host/db"',
    ],
)
def test_a_secret_in_the_file_is_refused(write, text):
    said = "\n".join(problems(write(text)))
    assert "does not belong into this file" in said
    assert CANARY not in said


@pytest.mark.parametrize("where", ["file", "environment", "folder"])
@pytest.mark.parametrize("mistake", ["[schedule]\nevery = 3", "[salesforce]", "[nonsense]", "[hubspot]\nserches = 1"])
def test_no_message_repeats_a_secret(write, tmp_path, monkeypatch, where, mistake):
    text = mistake
    if where == "file":
        text = f'{text}\nclient_secret = "{CANARY}"\n[hubspot.token]\nx = "{CANARY}"' if "hubspot" not in text else text
    elif where == "environment":
        monkeypatch.setenv("CRMSYNC_HUBSPOT__TOKEN", CANARY)
        monkeypatch.setenv("CRMSYNC_SALESFORCE__CLIENT_SECRET", CANARY)
    else:
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "CRMSYNC_HUBSPOT__TOKEN").write_text(CANARY)
        text = 'secrets = "secrets"\n' + text
    with pytest.raises(ConfigError) as caught:
        load(write(text))
    assert CANARY not in repr(caught.value)
    assert CANARY not in str(caught.value.__cause__)


def test_a_config_does_not_show_its_secrets(write, monkeypatch):
    monkeypatch.setenv("CRMSYNC_HUBSPOT__TOKEN", CANARY)
    config = load(write(GOOD))
    assert CANARY not in repr(config)
    assert CANARY not in config.model_dump_json()


# The example


def test_the_example_is_read_as_it_is(write):
    config = load(write(starter.example()))
    assert set(config.crms) == {"hubspot", "salesforce"}
    assert config.test


def test_what_the_example_shows_are_the_defaults(write):
    config, bare = load(write(starter.example())), config_class()()
    assert config.guard == bare.guard
    assert config.identity == bare.identity
    assert config.schedule == bare.schedule
    assert config.state.keep == bare.state.keep
    assert config.write.model_copy(update={"outputs": {}}) == bare.write


def test_the_file_in_the_root_is_the_example():
    root = Path(__file__).parent.parent / "config.example.toml"
    assert root.read_text(encoding="utf-8") == starter.example()


@pytest.mark.parametrize("only", ["hubspot", "salesforce"])
def test_a_first_config_for_one_crm_is_read(write, only):
    assert list(load(write(starter.starter(only))).crms) == [only]


def test_a_first_config_has_the_address(write):
    text = starter.starter(instance_url="https://globex.my.salesforce.com")
    assert load(write(text)).salesforce.instance_url == "https://globex.my.salesforce.com"
    assert tomllib.loads(text)


def test_the_schema_for_editors_knows_the_tables():
    schema = config_class().model_json_schema()
    assert {"hubspot", "salesforce", "fit", "bands", "schedule"} <= set(schema["properties"])


def test_what_a_score_rests_on_and_what_a_plan_rests_on_besides():
    was = config()
    zone = config(schedule={"timezone": "America/New_York"})
    points = config(MODEL.replace("points = 20", "points = 21"))
    route = config(MODEL.replace('bands = ["mql"]', 'bands = ["mql", "warm"]'))
    lead = config(test=[{"name": "nobody", "given": {}, "expect": {"total": 0}}])
    others = (zone, points, route, lead)
    assert [each.model_hash() != was.model_hash() for each in others] == [True, True, False, False]
    assert [each.plan_hash() != was.plan_hash() for each in others] == [True, False, True, False]


def test_a_mapping_belongs_to_one_crm():
    was, now = config(), config(MODEL.replace('"jobtitle"', '"title"'))
    assert was.mapping_hash("hubspot") != now.mapping_hash("hubspot")
    assert was.mapping_hash("salesforce") == now.mapping_hash("salesforce")
