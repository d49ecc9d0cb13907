"""The config: every mistake in plain words, at its line, all at once, and never a secret."""

import os
from pathlib import Path

import pytest

from crmsync.config import Config, config_class, config_of, load, template, unused_variables
from crmsync.config.settings import AFFECTS
from crmsync.config.starter import Starter, write_first_config
from crmsync.config.starter.description import CRMS, usual_stages
from crmsync.config.worker import Schedule
from crmsync.errors import ConfigError
from tests.support.make import MODEL, config

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
searches_per_second = "many"
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
        "line 3: state → ur: this key does not exist; did you mean 'url'?",
        'line 5: schedule → every: write a whole number and a unit, for example "15m", "36h", "30d" or "2w"',
        "line 7: hubspot → searches_per_second: write a whole number",
        "line 8: hubspot → activities → no. 1 → kind: this key is missing",
        'line 11: fields → title → hubspot: write a table, for example { … } or write a text in quotes, for example "…"',  # noqa: E501
        "line 13: bands → warm: write points without quotes, for example 25, or a table: { at = 25, min_fit = 10 }",
        "line 16: fit \"A\" → point: this key does not exist; did you mean 'points'?",
        "line 17: fit \"A\" → when → contans: this key does not exist; did you mean 'contains'?",
        'line 22: behavior "B" → decay → half_life: write whole days or weeks, for example "30d" or "2w"',
        "line 24: guard → bands: write a part of 1: 0.2 is 20 %",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[bands]\ncold = 0\n[[route]]\nname = "a"\nwhen = { field = "band", is = "hot" }\nto = "x"',
            "there is no band 'hot'; the bands are cold",
        ),
        ('[bands]\ncold = 0\n[[route]]\nname = "a"\nto = "x"', "[[route]] a: there is no 'x'; write a pool"),
        (
            '[[route]]\nname = "a"\nto = "ann@a.example"\n[[route]]\nname = "b"\nto = "bob@a.example"',
            "[[route]] a: it has no when, so that nobody gets to the routes after it",
        ),
        (
            '[[route]]\nname = "a"\nwhen = { field = "score", gte = 50 }\nto = "ann@a.example"',
            "[[route]] a: it is the last route and has a when",
        ),
        (
            '[tracks]\nx = {}\n[[owner_pool]]\nname = "x"\nmembers = ["ann@a.example"]',
            "[[owner_pool]] and [tracks] both have the name 'x'",
        ),
        *(
            (
                f'[[owner_pool]]\nname = "x"\nmembers = [{{ email = "ann@a.example", {cap} = 0 }}]',
                "0 gives this member nobody, ever; take them out of members, or write when they are away: "
                'away = ["2026-12-24/2027-01-01"]',
            )
            for cap in ("daily", "open")
        ),
        (
            '[[owner_pool]]\nname = "x"\nmembers = [{ email = "ann@a.example", weight = 2 }]',
            'weights need method = "weighted"',
        ),
        (
            '[[owner_pool]]\nname = "x"\nmethod = "least_open"\nmembers = [{ email = "ann@a.example", weight = 2 }]',
            'weights need method = "weighted"; least_open counts everybody the same',
        ),
        (
            '[tracks]\nx = {}\n[[route]]\nname = "a"\nto = "x"\nreassign = true',
            "[[route]] a: it leads to a track, which takes nobody away from an owner; remove reassign",
        ),
        ('[[route]]\nname = "a"\nto = "queue: "', "[[route]] a: there is no 'queue: '; write a pool, an address"),
        (
            '[[route]]\nname = "a"\nto = "Inbound Queue"',
            "[[route]] a: there is no 'Inbound Queue'; write a pool, an address, \"queue:Inbound Queue\" for a queue",
        ),
        ('[[route]]\nname = "a"\nto = "Queue: Inbound"', "there is no 'Queue: Inbound'; did you mean 'queue:Inbound'?"),
        *(
            (
                f'[[owner_pool]]\nname = "x"\nmembers = ["ann@a.example", "{member}"]',
                f"{member!r} is not the e-mail address of a user; a queue cannot be a member: if one is meant, write "
                f'to = "queue:{name}" in a route, or fallback = "queue:{name}" in the pool',
            )
            for member, name in (("Inbound Queue", "Inbound Queue"), ("queue:in@bound", "in@bound"))
        ),
        ('[exclude]\ndomains = ["*.a.example"]', "'*.a.example': write a domain, for example rival.example"),
        ('[[owner_pool]]\nname = "x"\nmembers = ["ann@a.example"]\nwait = "2h"', "wait needs fallback"),
        ('[[stage]]\nname = "a"\nvalues = {}\nrecycle = "b"', "recycle and cool_down need exit"),
        (
            '[[owner_pool]]\nname = "x"\nmembers = ["ann@a.example", "bob@a.example", " Ann@A.example"]',
            'owner_pool "x" → members: ann@a.example is twice in this pool; write each address once',
        ),
        (
            '[write]\nunassigned_users = ["Ann@a.example"]\n[[owner_pool]]\nname = "x"\nmembers = ["ann@a.example"]',
            "[[owner_pool]] x: ann@a.example is also in [write] unassigned_users; remove",
        ),
        ('[schedule]\ntimezone = "Mars"', "'Mars' is not a time zone"),
        ('[schedule]\nevery = "1s"', 'at least "10s"'),
        ('[fields]\ntitle = { pipedrive = "x" }', "there is no CRM 'pipedrive'"),
        ('[write.fields]\nscor = { hubspot = "x" }', "there is no score field 'scor'"),
        ('[hubspot]\nbase_url = "http://evil.example"', "use https://"),
        ("[hubspot]", "the model has no [bands]"),
        (
            '[fields]\ntitle = { hubspot = "x" }\n[[fit]]\nname = "A"\npoints = 1\n'
            'when = { field = "size", gt = 3 }\n[bands]\ncold = 0',
            "a rule uses the field 'size', which is not in [fields]",
        ),
        ('[[stage]]\nname = "lead"\nband = "hot"\nvalues = {}\n[bands]\ncold = 0', "there is no band 'hot'"),
        ("not toml", "line 1, column 5: this is not TOML"),
        ("a = 1\na = 2", "the key 'a' is on line 1 already; remove one of them"),
    ],
)
def test_each_mistake_has_a_sentence(write, text, sentence):
    assert sentence in "\n".join(problems(write(text)))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[bands]\ncold = 0\n[fields]\nsize = { hubspot = "x" }\ntitle = { pipedrive = "x" }', 5),
        ('[bands]\ncold = 0\n[write.fields]\nscore = { pipedrive = "x" }', 4),
        ('[bands]\ncold = 0\n[[stage]]\nname = "lead"\nband = "hot"\nvalues = {}', 5),
        ('[[stage]]\nname = "lead"\nvalues = {}\n[[stage]]\nname = "lead"\nvalues = {}', 2),
        (
            '[fields]\ntitle = { hubspot = "x" }\n[[fit]]\nname = "Big"\npoints = 1\n'
            'when = { field = "size", gt = 3 }\n[bands]\ncold = 0',
            6,
        ),
        ('[[fit]]\nname = "Big"\npoints = 1\nsegments = ["x"]\nwhen = { field = "email", exists = true }', 4),
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
    with pytest.raises(ConfigError, match="there is no config file") as caught:
        load(tmp_path / "none.toml")
    assert caught.value.next_command == "crmsync init"


def test_in_another_folder_than_that_of_the_config_it_is_said_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="there is no config file") as caught:
        load(Path("crmsync.toml"))
    said = f"there is no config file crmsync.toml in {tmp_path}; if yours is elsewhere, name it with --config"
    assert caught.value.problems == (said,)


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "crmsync.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in problems(path)[0]


# Where values come from


def test_the_environment_wins_over_the_folder_which_wins_over_the_file(write, tmp_path, monkeypatch):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "CRMSYNC_HUBSPOT__TOKEN").write_text("of-the-folder\n")
    (folder / "CRMSYNC_HUBSPOT__SEARCHES_PER_SECOND").write_text("3")
    path = write(
        'secrets = "secrets"\n' + GOOD.replace("[hubspot]", "[hubspot]\nsearches_per_second = 2\nconcurrency = 2")
    )
    assert load(path).hubspot.token.get_secret_value() == "of-the-folder"
    assert (load(path).hubspot.searches_per_second, load(path).hubspot.concurrency) == (3, 2)
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
    config = load(write(GOOD + "[salesforce]\n"))
    assert config.hubspot.base_url == "http://127.0.0.1:1"
    assert config.salesforce.instance_url == "http://127.0.0.1:2"
    assert config.salesforce.client_id == "id"
    assert config.state.url == "sqlite:////elsewhere/state.db"


def test_only_the_file_switches_a_crm_on(write, tmp_path, monkeypatch):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "CRMSYNC_SALESFORCE__CLIENT_SECRET").write_text(CANARY)
    monkeypatch.setenv("CRMSYNC_SALESFORCE__CLIENT_ID", "id")
    monkeypatch.setenv("CRMSYNC_SALESFORCE__API_VERSION", "of no use")
    monkeypatch.setenv("CRMSYNC_HUBSPOT__TOKEN", CANARY)
    config = load(write('secrets = "secrets"\n' + GOOD))
    assert list(config.crms) == ["hubspot"]
    assert unused_variables(config) == [
        f"CRMSYNC_SALESFORCE__{key} is set, but not used, because the file has no [salesforce]"
        for key in ("API_VERSION", "CLIENT_ID", "CLIENT_SECRET")
    ]


def test_every_variable_that_is_used_is_not_called_unused(write, monkeypatch):
    monkeypatch.setenv("CRMSYNC_HUBSPOT__TOKEN", CANARY)
    monkeypatch.setenv("CRMSYNC_LOG", "json")
    assert unused_variables(load(write(GOOD))) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CRMSYNC_WRITE__UNASSIGNED_USERS", "not json"),
        ("CRMSYNC_WRITE__UNASSIGNED_USERS", "ann@acme.example"),
        ("CRMSYNC_HUBSPOT__ACTIVITIES", "meetings"),
        ("CRMSYNC_IDENTITY__SOURCE_OF_TRUTH", "hubspot,salesforce"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named_beside_all_other_mistakes(write, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    said = problems(write(GOOD.replace("points = 20", "points = true")))
    assert said[0].startswith(f"the environment variable {name}: write a list or a table as JSON, for example ")
    assert "points" in said[1]
    assert value not in said[0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("CRMSYNC_HUBSPOT__TOKENN", "this key does not exist; did you mean 'token'?"),
        ("CRMSYNC_HUBSPT__TOKEN", "is not a setting"),
        ("CRMSYNC_STATE", "is the name of a table"),
        ("CRMSYNC_HUBSPOT", "is the name of a table"),
        ("CRMSYNC_BANDS", "is the name of a table"),
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
    monkeypatch.setenv("CRMSYNC_HUBSPOT__SEARCHES_PER_SECOND", "many")
    (said,) = problems(write(GOOD))
    variable, key = "CRMSYNC_HUBSPOT__SEARCHES_PER_SECOND", "hubspot → searches_per_second"
    assert said == f"the environment variable {variable}: {key}: write a whole number"


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
    assert "does not belong in this file" in said
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
    config = load(write(template.example_config()))
    assert set(config.crms) == {"hubspot", "salesforce"}
    assert config.test


def test_what_the_example_shows_are_the_defaults(write):
    config, bare = load(write(template.example_config())), config_class()()
    assert config.guard == bare.guard
    assert config.identity == bare.identity
    assert config.schedule == bare.schedule
    assert config.state.keep == bare.state.keep
    assert config.write.model_copy(update={"fields": {}}) == bare.write


HUBSPOTS_STAGES = [
    "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist",
    "other",
]  # fmt: skip


def test_the_stages_of_hubspot_are_named_in_their_order(write):
    config = load(write(template.example_config()))
    assert [stage.values["hubspot"] for stage in config.stage] == HUBSPOTS_STAGES
    assert [stage.name for stage in config.stage if stage.band] == ["mql"]


def test_the_file_in_the_root_is_the_example():
    root = Path(__file__).parents[2] / "config.example.toml"
    assert root.read_text(encoding="utf-8") == template.example_config()


def test_the_schema_for_editors_knows_the_tables():
    schema = config_class().model_json_schema()
    assert {"hubspot", "salesforce", "fit", "bands", "schedule"} <= set(schema["properties"])


def test_what_a_score_rests_on_and_what_a_plan_rests_on_besides():
    was = config()
    zone = config(schedule={"timezone": "America/New_York"})
    points = config(MODEL.replace("points = 20", "points = 21"))
    route = config(MODEL.replace('is = "mql"', 'in = ["mql", "warm"]'))
    lead = config(test=[{"name": "nobody", "given": {}, "expect": {"total": 0}}])
    others = (zone, points, route, lead)
    assert [each.model_hash() != was.model_hash() for each in others] == [True, True, False, False]
    assert [each.plan_hash() != was.plan_hash() for each in others] == [True, False, True, False]


def test_a_mapping_belongs_to_one_crm():
    was, now = config(), config(MODEL.replace('"jobtitle"', '"title"'))
    assert was.mapping_hash("hubspot") != now.mapping_hash("hubspot")
    assert was.mapping_hash("salesforce") == now.mapping_hash("salesforce")


ROOT = Path(__file__).parents[2]
SHIPPED = [ROOT / "config.example.toml", *sorted((ROOT / "examples").glob("*.toml"))]


STARTERS = [Starter(size=size, stages=usual_stages(CRMS)) for size in ("small", "standard", "full")]


def first_configs():
    """Every config that a user may begin with, by its name."""
    yield from (pytest.param(path.read_text(encoding="utf-8"), id=path.name) for path in SHIPPED)
    yield from (pytest.param(write_first_config(each), id=f"init {each.size}") for each in STARTERS)
    yield pytest.param(MODEL, id="tests")


@pytest.mark.parametrize("text", [*first_configs()])
@pytest.mark.parametrize("variables", [{}, {"CRMSYNC_WRITE__OWNER": "false", "CRMSYNC_GUARD__SCORES": "0.5"}])
def test_a_config_that_was_kept_as_text_comes_back_as_it_was(write, monkeypatch, text, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    was = load(write(text))
    monkeypatch.setenv("CRMSYNC_WRITE__OWNER", "true")
    monkeypatch.setenv("CRMSYNC_GUARD__BANDS", "0.01")
    now = load(write(GOOD))
    back = config_of(was.decision_text(), now)
    assert back.decision_hash() == was.decision_hash()
    assert back.write == was.write
    assert back.guard == now.guard  # no decision rests on the limits: those of the file count


def test_a_config_that_comes_back_works_with_the_crms_and_the_state_of_now(write, monkeypatch):
    monkeypatch.setenv("CRMSYNC_HUBSPOT__TOKEN", CANARY)
    was, now = load(write(template.example_config())), load(write(GOOD))
    assert CANARY not in was.decision_text()
    back = config_of(was.decision_text(), now)
    assert back.crms == now.crms
    assert (back.state, back.secrets) == (now.state, now.secrets)


def test_a_kept_config_of_another_version_is_refused_in_words(write):
    with pytest.raises(ConfigError, match=r"write → outpts: this key does not exist.*make a new plan"):
        config_of('{"write": {"outpts": {}}}', load(write(GOOD)))


def test_what_is_decided_rests_on_more_than_a_score_or_a_plan_alone():
    was = config()
    others = {
        "points": config(MODEL.replace("points = 20", "points = 21")),
        "zone": config(schedule={"timezone": "America/New_York"}),
        "field": config(MODEL.replace('"jobtitle"', '"title"')),
        "stage": config(MODEL.replace('"Working"', '"Working - Contacted"')),
        "identity": config(identity={"shared_address_limit": 3}),
        "write": config(write={"owner": False}),
        "member": config(MODEL.replace("bob@", "eve@")),
        "route": config(MODEL.replace('is = "mql"', 'in = ["mql", "warm"]')),
        "test": config(test=[{"name": "nobody", "given": {}, "expect": {"total": 0}}]),
        "review": config(review={"most_rules": 3}),
        "guard": config(guard={"bands": 0.5}),
        "every": config(schedule={"every": "1h"}),
        "hubspot": config(hubspot={"searches_per_second": 3}),
    }
    same = [name for name, each in others.items() if each.decision_hash() == was.decision_hash()]
    assert same == ["test", "review", "guard", "every", "hubspot"]
    assert len(was.decision_hash()) == 12


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://someone:{CANARY}@db.example/state",
        f"postgresql://db.example/state?user=someone&password={CANARY}",
        f"postgresql://db.example/state?pass%77ord={CANARY}",
        f"postgresql://db.example/state?sslpassword={CANARY}",
        f"postgresql://db.example/state?passfile=/run/{CANARY}",
    ],
)
def test_a_password_in_the_address_of_the_state_is_refused(write, url):
    told = problems(write(GOOD + f'[state]\nurl = "{url}"\n'))
    assert "a password does not belong in this file; set the whole address as CRMSYNC_STATE__URL" in told[0]
    assert CANARY not in str(told)
    assert load(write(GOOD + '[state]\nurl = "postgresql://me@db.example/state?sslmode=require"\n'))


@pytest.mark.parametrize("depth", [101, 600, 5000])
@pytest.mark.parametrize("text", ["x = {}{}", "[[fit]]\nwhen = {}{{ field = 'title', exists = true }}{}"])
def test_a_file_that_is_too_deep_is_told(write, text, depth):
    begin, end = ("[", "]") if text.startswith("x") else ("{ not = ", " }")
    assert "has more than 100 levels of lists or tables" in problems(write(text.format(begin * depth, end * depth)))[0]


def test_conditions_may_be_deep(write):
    rule = "{ field = 'title', contains = 'x' }"
    for _ in range(95):
        rule = f"{{ not = {rule} }}"
    config = load(write(GOOD + f"[[fit]]\nname = 'x'\npoints = 1\nwhen = {rule}\n"))
    assert config.decision_hash()


def test_a_variable_that_is_too_deep_is_told(write, monkeypatch):
    monkeypatch.setenv("CRMSYNC_HUBSPOT__ACTIVITIES", "[" * 100_000 + "]" * 100_000)
    assert "write a list or a table as JSON" in problems(write(GOOD))[0]


def test_every_table_of_the_config_says_what_it_affects():
    assert AFFECTS.keys() == Config.model_fields.keys()


@pytest.mark.parametrize(
    "said",
    [
        {"route": [{"name": "theirs", "to": "account_owner"}]},
        {"route": [{"name": "theirs", "to": "colleague_owner"}]},
        {"stage": [{"name": "x", "values": {}, "enter": {"field": "account.owner", "exists": True}}]},
        {"stage": [{"name": "x", "values": {}, "exit": {"not": {"field": "account.active_people", "gt": 3}}}]},
        {"tracks": {"x": {"when": {"all": [{"field": "account.name", "is": "Acme"}]}}}},
    ],
)
def test_companies_are_read_where_something_is_decided_by_them(said):
    """Somebody who is routed otherwise pays no call for it."""
    made = config_class()(**said, bands={"cold": 0})
    assert made.field_map("hubspot").companies
    assert made.field_map("salesforce").companies
    assert not config().field_map("hubspot").companies
    assert made.mapping_hash("hubspot") != config().mapping_hash("hubspot")


def test_a_decision_about_the_source_reads_each_crms_own_field_unless_another_is_mapped():
    route = {"name": "Organic", "when": {"any": [{"field": "source", "is": "Web"}]}, "to": "ann@acme.example"}
    rest = {"name": "Rest", "to": "ann@acme.example"}
    tables = {"bands": {"cold": 0}, "hubspot": {}, "salesforce": {"instance_url": "https://acme.my.salesforce.com"}}
    made = config_class()(**tables, route=[route, rest])
    assert made.fields == {"source": {"hubspot": "hs_analytics_source", "salesforce": "LeadSource"}}
    assert config_class()(**tables, route=[rest]).fields == {}
    own = {"source": {"hubspot": "utm_source"}}
    assert config_class()(**tables, fields=own, route=[route, rest]).fields == own


DECIDING = (
    GOOD
    + """
[[stage]]
name = "lead"
values = { hubspot = "lead" }
[[owner_pool]]
name = "sales"
members = [{ email = "ann@acme.example", hours = "Mon-Fri 09:00-17:00" }]
[[route]]
name = "Ready"
when = { field = "band", is = "mql" }
to = "sales"
[[route]]
name = "Rest"
to = "nurture"
[tracks]
nurture = {}
"""
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[owner_pool]]\nname = "x"\nmembers = ["Ann <ann@a.example>"]',
            "'Ann <ann@a.example>': write one address alone, for example ann@acme.example",
        ),
        (
            '[[owner_pool]]\nname = "x"\nmembers = ["ann@a.example, bob@a.example"]',
            "'ann@a.example, bob@a.example': write one address alone, for example ann@acme.example",
        ),
        (
            '[[route]]\nname = "a"\nto = "ann@a.example, bob@a.example"',
            "[[route]] a: 'ann@a.example, bob@a.example': write one address alone, for example ann@acme.example",
        ),
        ('[exclude]\naddresses = ["<ann@a.example>"]', "'<ann@a.example>': write one address alone"),
        ('[write]\nunassigned_users = ["Import User"]', "'Import User': write one address alone"),
        (
            '[fields]\ntitle = "jobtitle"',
            'fields → title: write the name in each CRM, for example { hubspot = "jobtitle" }',
        ),
        ('[write.fields]\nscore = "s"', 'score: write the name in each CRM, for example { hubspot = "s" }'),
        ('[[stage]]\nname = "a"\nvalues = "l"', 'values: write the name in each CRM, for example { hubspot = "l" }'),
        ('[compare]\nscore = "old"', 'score: write the name in each CRM, for example { hubspot = "old" }'),
        (
            '[feedback]\nfield = "f"\n[feedback.tags]\n"not a fit" = "disqualify"',
            'feedback → field: write the name in each CRM, for example { hubspot = "f" }',
        ),
    ],
)
def test_an_address_and_a_mapping_in_another_shape_are_answered_with_the_right_one(write, text, said):
    (only,) = told(write(f"[bands]\ncold = 0\n{text}\n"))
    assert said in only


ONE = '[[fit]]\nname = "A"\npoints = 1\nwhen = {}'
NOT_SO = 'this key does not exist; write not = {{ field = "…", {} = … }}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ONE.format("{ and = [] }"), "when → and: this key does not exist; did you mean 'all'?"),
        (ONE.format("{ or = [] }"), "when → or: this key does not exist; did you mean 'any'?"),
        (ONE.format('{ field = "email", is_not = "x" }'), f"when → is_not: {NOT_SO.format('is')}"),
        (ONE.format('{ field = "email", not_in = ["x"] }'), f"when → not_in: {NOT_SO.format('in')}"),
        (
            ONE.format('[{ field = "email", is = "x" }]'),
            'fit "A" → when: write { all = […] } where all of these must hold, or { any = […] } where one is enough',
        ),
        (ONE.format('"x"'), 'when: write a question, for example { field = "title", contains = "…" }'),
        (
            '[[behavior]]\nname = "B"\npoints = 1\non = "page_viewed"\nwhere = "/pricing"',
            'where: write which attribute, for example { url = { contains = "/pricing" } }',
        ),
        (
            '[[stage]]\nname = "a"\nvalues = { hubspot = "a" }\n\ntimezone = "Europe/Berlin"',
            'line 7: stage "a" → timezone: this key belongs below [schedule]; below a header stands what is its own',
        ),
        (
            '[[stage]]\nname = "a"\nvalues = { hubspot = "a" }\nlog = "json"',
            'stage "a" → log: this key belongs at the top of the file, before the first header',
        ),
        (
            '[[route]]\nname = "a"\npool = "ann@a.example"',
            "route \"a\" → pool: this key does not exist; did you mean 'to'?",
        ),
    ],
)
def test_what_is_asked_or_placed_in_another_way_is_answered_with_the_right_one(write, text, said):
    (only,) = told(write(f"[bands]\ncold = 0\n{text}\n"))
    assert said in only


def test_a_table_in_capitals_is_refused_and_no_secret_gets_in_by_it(write):
    text = f'[HubSpot]\ntoken = "{CANARY}"\n[bands]\ncold = 0\n[[FIT]]\nname = "A"\n'
    assert told(write(text)) == [
        "line 1: HubSpot: this key does not exist; write it in small letters: hubspot",
        "line 5: FIT: this key does not exist; write it in small letters: fit",
    ]


NURTURE = "lead such people to a track with a [[route]], which may ask for it: they keep their score and get no owner"


@pytest.mark.parametrize("fields", ['[fields]\ntitle = { hubspot = "jobtitle" }\n', ""], ids=["fields", "none"])
@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("account.pages", NURTURE),
        ("account.pagse", NURTURE),
        ("account.owner", NURTURE),
        ("band", NURTURE),
        ("account.name", "list the domains of the company in domains, or map its name in [fields]"),
        ("source", "map a field that says it in [fields] and ask for that"),
    ],
)
def test_who_excludes_by_what_is_known_later_is_told_what_to_do_instead(write, fields, name, instead):
    counts = '[account.counts.pages]\non = "page_viewed"\nwindow = "30d"\n'
    exclude = f'[exclude]\nwhen = {{ field = "{name}", gte = 3 }}\n'
    (only,) = told(write(f"[hubspot]\n[bands]\ncold = 0\n{fields}{counts}{exclude}"))
    assert f"[exclude] comes before accounts, scores and owners, so that it cannot ask for {name!r}; {instead}" in only


def test_a_rule_about_a_field_is_refused_also_where_the_file_maps_none(write):
    (only,) = told(
        write('[hubspot]\n[bands]\ncold = 0\n[[fit]]\nname = "A"\npoints = 1\nwhen = { field = "title", is = "x" }')
    )
    assert only == "line 7: a rule uses the field 'title', which is not in [fields]; add it there, or correct the rule"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'field = "band", is = "mql"',
            'field = "stage", is = "leed"',
            "there is no [[stage]] 'leed'; did you mean 'lead'?",
        ),
        (
            'field = "band", is = "mql"',
            'field = "track", in = ["nurtur"]',
            "there is no track 'nurtur'; did you mean 'nurture'?",
        ),
        ('field = "band", is = "mql"', 'field = "segment", is = "A"', "there is no [[segment]] 'A'; the file has none"),
        ('field = "band", is = "mql"', 'field = "qualifications", has = "B"', "there is no [[qualification]] 'B'"),
        ("nurture = {}", 'nurture = { when = { field = "track", is = "nurture" } }', "only a [[route]] may ask"),
        ("Mon-Fri 09:00-17:00", "Mon-Fri 9-5", "'9' is not a time of day"),
        ("Mon-Fri 09:00-17:00", "Monkey 09:00-17:00", "'Monkey' is not a day"),
        ('name = "sales"', 'name = "sales"\nfallback = "sales"', "the fallback is the pool itself"),
        ('name = "sales"', 'name = "sales"\naway_lead = "12h"', "write whole working days"),
        ("[tracks]", '[exclude]\naddresses = ["acme.example"]\n[tracks]', "'acme.example' is not an e-mail address"),
        ("[tracks]", '[exclude]\nwhen = { field = "score", lt = 1 }\n[tracks]', "[exclude] comes before accounts"),
        (
            'name = "lead"',
            'name = "lead"\nenter = { field = "score", gt = 1 }\nexit = { field = "score", gt = 1 }',
            "enter and exit ask the same",
        ),
        (
            "[tracks]",
            '[write.fields]\nscore = { hubspot = "s" }\n[feedback]\nfield = { hubspot = "s" }\n'
            'tags = { fine = "keep" }\n[tracks]',
            "[feedback] field is what [write.fields] score writes in hubspot",
        ),
        (
            "[tracks]",
            '[feedback]\nfield = { hubspot = "s" }\n[feedback.tags]\n"not now" = { recycle = 90 }\n[tracks]',
            "line 29: feedback → tags → not now → recycle: write the unit, too, in quotes",
        ),
    ],
)
def test_what_would_decide_about_nobody_is_told_in_one_sentence_with_its_line(write, old, new, said):
    (only,) = told(write(DECIDING.replace(old, new, 1)))
    assert only.startswith("line ")
    assert said in only


def test_hours_may_have_one_digit_and_days_their_whole_name(write):
    load(write(DECIDING.replace("Mon-Fri 09:00-17:00", "monday-Thurs 9:00-17:30, Fri 8:30-24:00")))


ACCOUNTS = """[bands]
cold = 0
[hubspot]
[fields]
title = { hubspot = "jobtitle" }
[account]
score = "top_three"
[account.roles]
Boss = { when = { field = "title", seniority = ["c_level"] } }
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"top_three"', '"median"', "line 7: account → score: it should be 'sum', 'max', 'min', 'average' or"),
        ('when = { field = "title", seniority = ["c_level"] }', "", "line 9: account → roles → Boss: write who fills"),
        ("when = {", "whom = {", "line 9: account → roles → Boss: write who fills the role: { when ="),
        ('Boss = { when = { field = "title", seniority = ["c_level"] } }', "", "has no role; add one with a condition"),
        ('field = "title"', 'field = "titel"', "line 9: a rule uses the field 'titel', which is not in [fields]"),
        ('"title", seniority = ["c_level"]', '"owner", exists = true', "[account.roles] cannot ask for 'owner'; ask"),
        ('"title", seniority = ["c_level"]', '"account.name", is = "x"', "cannot ask for 'account.name'; ask for"),
        (
            '"title", seniority = ["c_level"]',
            '"band", is = "hot"',
            "line 9: there is no band 'hot'; the bands are cold",
        ),
        ('"title", seniority = ["c_level"]', '"track", is = "x"', "line 9: there is no track 'x'; the file has none"),
        ('"title", seniority = ["c_level"]', '"title", in_list = "x"', "uses the list 'x', which is not in [lists]"),
        ('["c_level"]', '["ceo"]', "line 9: account → roles → Boss → when → seniority"),
    ],
)
def test_a_mistake_about_accounts_is_told_in_one_sentence_with_its_line(write, old, new, said):
    (only,) = told(write(ACCOUNTS.replace(old, new, 1)))
    assert only.startswith("line ")
    assert said in only


def test_a_role_reads_its_fields_and_where_somebody_came_from(write):
    config = load(write(ACCOUNTS.replace('"title", seniority = ["c_level"]', '"source", is = "PAID_SOCIAL"')))
    assert config.read_fields() == {"source"}
    assert config.fields["source"] == {"hubspot": "hs_analytics_source"}


def test_a_route_to_the_owner_of_the_account_needs_no_condition(write):
    first = '[[route]]\nname = "Account"\nto = "account_owner"\n'
    load(write(DECIDING.replace("[[route]]", f"{first}[[route]]", 1)))
    (only,) = told(write(DECIDING.replace("[[route]]", f"{first.replace('account_owner', 'sales')}[[route]]", 1)))
    assert "nobody gets to the routes after it" in only


FIT = '[bands]\ncold = 0\n[[fit]]\nname = "A"\npoints = 1\nwhen = {{ field = "email", {} }}\n'


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (
            'domain = "rival.*"',
            "'rival.*' never matches; write for example rival.example, which holds for all below it",
        ),
        ('gte = "2026-10-01"', "for a date use before, after, within or older_than"),
        ("gte = 2026-10-01", "for a date use before, after, within or older_than"),
        ('before = "01.10.2026"', "write a day, for example 2026-10-01"),
        ("before = 2026-10-01T10:00:00", "write a day, for example 2026-10-01"),
        ('after = "2026-13-01"', "write a day, for example 2026-10-01"),
        ('within = "12h"', "write whole days or weeks"),
        ('newer_than = "30d"', "did you mean 'within'?"),
    ],
)
def test_questions_about_dates_and_domains_that_cannot_be(write, question, said):
    (problem,) = told(write(FIT.format(question)))
    assert said in problem


def test_dates_are_written_with_quotes_or_without(write):
    path = write(
        FIT.format("before = 2026-10-01")
        + FIT.format('after = "2026-10-01"').partition("cold = 0")[2].replace("A", "B")
    )
    assert [str(each.when.keys()) for each in load(path).fit] == [
        "{'before': datetime.date(2026, 10, 1)}",
        "{'after': datetime.date(2026, 10, 1)}",
    ]


def test_v10_a_star_in_a_list_of_domains_is_refused(write):
    text = FIT.format('domain_list = "r"') + '[lists]\nr = ["*.ok.example", "rival.*"]\nfree_mail = ["*mail.example"]\n'
    problems = told(write(text))
    assert [each.partition(" never")[0] for each in problems] == [
        "line 8: [lists] r: 'rival.*'",
        "line 9: [lists] free_mail: '*mail.example'",
    ]


def test_where_asks_nothing_of_dates(write):
    text = (
        FIT.format("exists = true")
        + """
[[behavior]]
name = "B"
points = 1
on = "page_viewed"
where = { seen = { within = "30d" } }
"""
    )
    (problem,) = told(write(text))
    assert "within" in problem


FEEDBACK_TAGS = '[feedback]\nfield = { hubspot = "f" }\n[feedback.tags]\n"not a fit" = "disqualify"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            FEEDBACK_TAGS + '[[disqualify]]\nname = { x = 1 }\non = "email_bounced"',
            'name: write a text in quotes, for example "…"',
        ),
        ('[[events]]\nname = { x = 1 }\nfolder = "usage"', 'name: write a text in quotes, for example "…"'),
        ('[[events]]\nname = ["x"]\nfolder = "usage"', 'name: write a text in quotes, for example "…"'),
        (
            f'[[inactivity]]\nname = "Q"\npoints = -1\nafter = "9d"\nevery = "1d"\nmax_times = {10**30}',
            "less than or equal to 36500",
        ),
        ('[titles]\nseniority = { boss = ["Chef"] }', "titles → seniority → boss: it should be 'student'"),
        ('[titles]\ndepartment = { x = ["Chef"] }', "titles → department → x: it should be 'it'"),
        (
            '[salesforce]\ninstance_url = "https://a.my.salesforce.com"\nstage_field = { account = "X" }',
            "stage_field → account: it should be 'lead' or 'contact'",
        ),
        (
            '[[behavior]]\nname = "B"\npoints = 1\non = "page_viewed"\ndecay = { steps = { "x" = 50 } }',
            "decay → steps → x: write a whole number and a unit",
        ),
        ('[experiment.line]\narms = ["a", "b"]\nsize = 9\nstart = {}', "start: write a date, for example 2026-11-21"),
        ('[experiment.line]\narms = ["a", "b"]\nsize = 9\nstart = "x"', "start: write a date, for example 2026-11-21"),
    ],
)
def test_values_of_another_shape_are_answered_in_a_sentence_with_their_key(monkeypatch, write, text, said):
    monkeypatch.setenv("CRMSYNC_EVENTS__BILLING__URL", "sqlite://")
    lines = told(write(f"[bands]\ncold = 0\n{text}\n"))
    assert [said in each for each in lines] == [True], lines


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[guard]\nscores = true", "guard → scores"),
        ("[guard]\nfirst_run = true", "guard → first_run"),
        ("[weights]\nfit = false", "weights → fit"),
        ('[[behavior]]\nname = "B"\npoints = 1\non = "page_viewed"\nmax_times = true', 'behavior "B" → max_times'),
        ('[experiment.line]\narms = ["a", "b"]\nstart = 2026-12-01\nsize = true', "experiment → line → size"),
    ],
)
def test_true_is_no_number(write, text, key):
    (said,) = told(write(f"[bands]\ncold = 0\n{text}\n"))
    assert f"{key}: write a number, and not true or false" in said
