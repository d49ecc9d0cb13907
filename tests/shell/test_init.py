"""`crmsync init`: it looks at the CRMs, asks, and writes a file that `crmsync check` takes."""

import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from connectors.sandbox.faults import Fault
from connectors.sandbox.hubspot.catalog import option_of
from crmsync.cli import app, starting
from crmsync.config import load
from crmsync.config.json_schema import make_schema
from tests.core.test_json_schema import parse
from tests.support.commands import Ended, crmsync, settings_alone
from tests.support.demo import SECRETS, environment
from tests.support.hubspot import post, refused
from tests.support.terminal import on_terminal

ADDRESS = "https://globex.my.salesforce.com"
SIZES = ("small", "standard", "full")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "crmsync.toml"


@pytest.fixture
def alone(monkeypatch):
    """Nothing of crmsync is in the environment: no CRM can be looked at."""
    with settings_alone(monkeypatch, {}):
        yield


@pytest.fixture
def reachable(sandbox, monkeypatch):
    """Both CRMs of the sandbox can be looked at."""
    variables = {
        **SECRETS,
        "CRMSYNC_HUBSPOT__BASE_URL": sandbox.url,
        "CRMSYNC_SALESFORCE__INSTANCE_URL": sandbox.url,
    }
    with settings_alone(monkeypatch, variables):
        yield sandbox


@pytest.fixture(scope="module")
def schema():
    return make_schema()


@pytest.fixture(scope="module")
def validator(schema):
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(autouse=True)
def _made_once(schema, monkeypatch):
    """The schema takes longer to make than everything else."""
    monkeypatch.setattr(starting, "make_schema", lambda: schema)


def assert_sound(path, validator, size="standard"):
    """`check` takes the file and finds nothing odd, editors do, and it is as long as it may be."""
    text = path.read_text(encoding="utf-8")
    found = crmsync("check", "-c", path, "--json")
    assert (found.code, found.json["problems"]) == (0, [])
    assert [each for each in found.json["warnings"] if "instance_url is still" not in each] == []
    assert [each.message for each in validator.iter_errors(parse(text))] == []
    assert text.startswith("#:schema ./crmsync.schema.json\n")
    assert (path.parent / "crmsync.schema.json").is_file()
    most = {"small": 80, "standard": 120, "full": 600}[size]
    assert len(text.splitlines()) <= most
    return load(path)


# Without a CRM


PLACES = [(None, None), (None, ADDRESS), ("hubspot", None), ("salesforce", None), ("salesforce", ADDRESS)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("only", "address"), PLACES)
def test_every_combination_of_options_writes_a_sound_file(alone, path, validator, size, only, address):
    words = [*(["--only", only] if only else []), *(["--instance-url", address] if address else [])]
    ended = crmsync("init", "-c", path, "--model", size, *words, "--json")
    assert ended.code == 0
    config = assert_sound(path, validator, size)
    crms = [only] if only else ["hubspot", "salesforce"]
    assert (list(config.crms), ended.json["crms"], ended.json["model"]) == (crms, crms, size)
    assert (config.owner_pool, config.route, ended.json["members"]) == ([], [], [])
    assert {each["crm"] for each in ended.json["not_tried"]} == set(crms)
    assert [each.band for each in config.stage if each.name == "mql"] == ["mql"]
    assert {"title", "employees"} <= config.fields.keys()
    assert all(set(values) == set(crms) for values in (*config.fields.values(), *config.write.fields.values()))
    if address:
        assert config.salesforce.instance_url == address
    other = {"hubspot": "salesforce", "salesforce": "hubspot"}.get(only, "nothing")
    assert not re.findall(rf"(?i){other} =|\[{other}|\"{other}\"|CRMSYNC_{other}", path.read_text(encoding="utf-8"))


def test_a_token_in_a_file_is_found_by_what_the_readme_says(reachable, path, monkeypatch):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    said = re.search(
        r"write it into a file\s+`(.+?)/(CRMSYNC_HUBSPOT__TOKEN)` and `export (CRMSYNC_SECRETS)=(.+?)`", readme
    )
    folder, token, variable, value = said.groups()
    (path.parent / folder).mkdir()
    (path.parent / folder / token).write_text("sandbox-token\n")
    monkeypatch.delenv(token)
    monkeypatch.setenv(variable, value)
    monkeypatch.chdir(path.parent)
    assert crmsync("init", "-c", path, "--only", "hubspot", "--json").json["not_tried"] == []


def test_a_small_file_is_clearly_shorter_and_has_no_owners(alone, path, validator):
    assert crmsync("init", "-c", path, "--model", "small").code == 0
    config = assert_sound(path, validator, "small")
    assert len(config.rules()) == 5
    assert len(config.stage) == 1


def test_it_says_what_was_not_tried_why_and_what_to_type(alone, path):
    ended = crmsync("init", "-c", path, "--instance-url", ADDRESS)
    assert ended.code == 0
    assert "HubSpot: CRMSYNC_HUBSPOT__TOKEN is not set" in ended.out
    assert "CRMSYNC_SALESFORCE__CLIENT_ID and CRMSYNC_SALESFORCE__CLIENT_SECRET are not set" in ended.out
    assert "No owners are assigned until you name them" in ended.out
    for command in ("check --online", "setup", "plan"):
        assert f"crmsync {command} --config {path}" in ended.out


def test_of_one_crm_alone_it_says_nothing_of_the_other(alone, path):
    ended = crmsync("init", "-c", path, "--only", "hubspot")
    assert "CRMSYNC_HUBSPOT__" in ended.out
    assert "SALESFORCE" not in ended.out


def test_it_never_overwrites(alone, path):
    path.write_text("mine")
    schema = path.parent / "crmsync.schema.json"
    schema.write_text("mine, too")
    ended = crmsync("init", "-c", path, "--json")
    assert ended.code == 2
    assert "was not changed" in ended.json["problems"][0]
    assert (path.read_text(), schema.read_text()) == ("mine", "mine, too")
    assert crmsync("init", "-c", path.parent / "new.toml").code == 0
    assert schema.read_text() == "mine, too"


def test_without_a_schema_beside_it_a_file_asks_for_none(alone, path, monkeypatch):
    monkeypatch.setattr(starting, "SCHEMA_FILE", "no such folder/crmsync.schema.json")
    assert crmsync("init", "-c", path, "--json").json["schema"] is None
    assert "#:schema" not in path.read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--instance-url", "acme"], "use the address in Setup > My Domain"),
        (["--instance-url", "https://login.salesforce.com"], "--instance-url https://login.salesforce.com: login."),
        (["--instance-url", "https://acme.example"], "use the address in Setup > My Domain"),
        (["--instance-url", "http://acme.my.salesforce.com"], "use https://"),
        (["--instance-url", "https://acme.my.salesforce.com.evil.example"], "Setup > My Domain"),
        (["--instance-url", "https://acme.my.salesforce.com junk"], "Setup > My Domain"),
        (["--instance-url", "https://acme.my.salesforce.com/ junk"], "Setup > My Domain"),
        (["--instance-url", "https://acme.my.salesforce.com:junk"], "Setup > My Domain"),
        (["--instance-url", 'https://ac"me.my.salesforce.com'], "Setup > My Domain"),
        (["--instance-url", "https://my.salesforce.com"], "Setup > My Domain"),
        (["--instance-url", ""], "use the address in Setup > My Domain"),
        (["--only", "hubspot", "--instance-url", "https://acme.my.salesforce.com"], "remove --instance-url"),
        (["--only", "pipedrive"], "use hubspot or salesforce"),
        (["--model", "tiny"], "use small, standard or full"),
    ],
)
def test_it_refuses_what_cannot_be_and_writes_nothing(alone, path, words, sentence):
    ended = crmsync("init", "-c", path, *words, "--json")
    assert ended.code == 2
    assert sentence in ended.json["problems"][0]
    assert list(path.parent.iterdir()) == []


def test_it_takes_the_address_as_people_paste_it(alone, path):
    assert crmsync("init", "-c", path, "--instance-url", "acme.lightning.force.com/lightning/page/home").code == 0
    assert load(path).salesforce.instance_url == "https://acme.my.salesforce.com"


def test_a_folder_that_is_not_there_is_said_before_anything_is_asked(alone, path):
    ended = crmsync("init", "-c", path.parent / "none" / "crmsync.toml", "--json")
    assert ended.code == 2
    assert "there is no folder" in ended.json["problems"][0]


# With CRMs, and nobody to ask


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("only", [None, "hubspot", "salesforce"])
def test_it_takes_what_the_crms_offer(reachable, path, validator, size, only):
    words = ["--only", only] if only else ["--yes"]
    ended = crmsync("init", "-c", path, "--model", size, *words, "--json")
    assert (ended.code, ended.json["not_tried"]) == (0, [])
    assert [each["account"] for each in ended.json["looked_at"]] == [
        account
        for crm, account in (("hubspot", "48000001"), ("salesforce", "00D000000000001EAA"))
        if only in (None, crm)
    ]
    config = assert_sound(path, validator, size)
    members = [each.email for pool in config.owner_pool for each in pool.members]
    assert members == ended.json["members"]
    assert ("dana.whitlock@ourproduct.example" in members) == (size != "small")
    assert not [each for each in members if "acme" in each or "victor" in each]
    assert crmsync("check", "-c", path, "--online", "--json").json["crms"].keys() == set(ended.json["crms"])


def test_from_nothing_to_a_first_plan_in_the_four_commands_that_it_names(reachable, path):
    ended = crmsync("init", "-c", path, "--yes", "--json")
    commands = [each.split()[1:] for each in ended.json["next"]]
    assert [each[0] for each in commands] == ["check", "setup", "plan"]
    found = crmsync(*commands[0], "--json").json["crms"]
    assert all(set(each["problems"]) == set(each["setup_creates"]) for each in found.values())
    assert crmsync(*commands[1]).code == 0
    assert crmsync(*commands[0]).code == 0
    plan = crmsync(*commands[2], "--json")
    assert plan.code == 0
    assert plan.json["crms"]["hubspot"]["scored"] > 40


def test_users_whom_one_crm_does_not_know_are_not_offered(reachable, path):
    assert "admin@sandbox.example" not in crmsync("init", "-c", path, "--yes", "--json").json["members"]


def test_a_crm_that_refuses_is_named_and_the_file_is_written(reachable, path, validator):
    reachable.faults.add(Fault(**refused(401, category="INVALID_AUTHENTICATION"), path="account-info"))
    ended = crmsync("init", "-c", path, "--yes", "--json")
    assert ended.code == 0
    assert [each["crm"] for each in ended.json["not_tried"]] == ["hubspot"]
    assert [each["crm"] for each in ended.json["looked_at"]] == ["salesforce"]
    config = assert_sound(path, validator)
    assert (config.owner_pool, config.route) == ([], [])
    assert config.fields["title"]["hubspot"] == "jobtitle"


def test_a_crm_that_is_not_reached_is_named_and_the_file_is_written(reachable, path, validator, monkeypatch):
    monkeypatch.setattr("crmsync.cli.looking.PATIENCE", 0.2)
    monkeypatch.setenv("CRMSYNC_HUBSPOT__BASE_URL", "http://127.0.0.1:9")
    ended = crmsync("init", "-c", path, "--yes", "--json", "--only", "hubspot")
    assert ended.code == 0
    assert ended.json["not_tried"][0]["why"] == "it did not answer within 0 seconds"
    assert_sound(path, validator)


def test_what_a_token_may_not_read_is_said(reachable, path, validator):
    reachable.faults.add(Fault(**refused(403, message="no"), path="/owners/"))
    ended = crmsync("init", "-c", path, "--yes", "--json", "--only", "hubspot")
    assert "users: this HubSpot token is not allowed to read owners" in ended.json["looked_at"][0]["not_tried"][0]
    assert assert_sound(path, validator).owner_pool == []


def test_a_crm_that_repeats_a_secret_is_quoted_without_it(reachable, path):
    reachable.faults.add(Fault(**refused(400, message="what is sandbox-token?"), path="account-info"))
    reachable.faults.add(Fault(**refused(400, message="what is sandbox-token?"), path="objects"))
    ended = crmsync("init", "-c", path, "--yes", "--only", "hubspot")
    assert ended.code == 0
    assert "what is" in ended.out
    assert "sandbox-token" not in ended.out + ended.err


def test_a_variable_that_is_no_setting_is_why_nothing_was_tried(reachable, path, monkeypatch):
    monkeypatch.setenv("CRMSYNC_NONSENSE", "1")
    ended = crmsync("init", "-c", path, "--yes", "--json")
    assert ended.code == 0
    assert all("CRMSYNC_NONSENSE is not a setting" in each["why"] for each in ended.json["not_tried"])


def test_fields_that_a_crm_lacks_have_no_rules(reachable, path, validator):
    for name in ("jobtitle", "country"):
        reachable.do("hubspot", "hide_property", property=name)
    for name in ("numberofemployees", "industry"):
        reachable.do("hubspot", "hide_property", type="companies", property=name)
    for size in SIZES:
        own = path.with_name(f"{size}.toml")
        assert crmsync("init", "-c", own, "--only", "hubspot", "--model", size, "--yes").code == 0
        config = assert_sound(own, validator, size)
        assert not {"title", "employees"} & config.fields.keys()
        assert not [rule for rule in config.fit if rule.when.fields() & {"title", "employees"}]


def test_a_field_of_the_crms_own_is_offered_where_the_usual_one_is_gone(reachable, path, validator):
    reachable.do("hubspot", "hide_property", property="jobtitle")
    post(
        reachable,
        "/crm/v3/properties/contacts",
        name="berufliche_position",
        label="Position",
        type="string",
        fieldType="text",
    )
    crmsync("init", "-c", path, "--only", "hubspot", "--yes")
    assert assert_sound(path, validator).fields["title"] == {"hubspot": "berufliche_position"}


def test_stages_are_those_of_the_portal(reachable, path, validator):
    reachable.do("hubspot", "remove_option", property="lifecyclestage", value="marketingqualifiedlead")
    reachable.do("hubspot", "add_stage", id="7000123", label='MQL "hot" 🔥', before="salesqualifiedlead")
    crmsync("init", "-c", path, "--yes")
    stages = {each.name: (each.values, each.band) for each in assert_sound(path, validator).stage}
    assert stages["mql"] == ({"hubspot": "7000123", "salesforce": "MQL"}, "mql")
    full = path.with_name("full.toml")
    crmsync("init", "-c", full, "--yes", "--model", "full")
    names = [each.name for each in assert_sound(full, validator, "full").stage]
    assert names == ["subscriber", "lead", "mql", "sql", "opportunity", "customer", "evangelist", "other"]


def test_a_lead_status_that_says_mql_is_the_stage_of_leads(reachable, path, validator):
    reachable.do("salesforce", "add_picklist_value", object="Lead", field="Status", value="MQL - Ready")
    crmsync("init", "-c", path, "--yes", "--only", "salesforce")
    config = assert_sound(path, validator)
    assert config.salesforce.stage_field == {"lead": "Status", "contact": "Crmsync_Stage__c"}
    assert [each.values["salesforce"] for each in config.stage if each.band] == [
        {"lead": "MQL - Ready", "contact": "MQL"}
    ]


def test_a_crm_that_is_logged_in_to_in_another_way_is_tried(reachable, path, monkeypatch):
    monkeypatch.delenv("CRMSYNC_HUBSPOT__TOKEN")
    monkeypatch.setenv("CRMSYNC_HUBSPOT__REFRESH_TOKEN", "canary")
    ended = crmsync("init", "-c", path, "--yes", "--json", "--only", "hubspot")
    assert "OAuth also needs" in ended.json["not_tried"][0]["why"]
    assert "canary" not in ended.out + ended.err


# The editor


@pytest.mark.skipif(shutil.which("taplo") is None, reason="LEFT OUT: taplo is not on this machine")
def test_an_editor_finds_the_schema_that_the_first_line_names(alone, path):
    written = [path.with_name(f"{size}.toml") for size in SIZES]
    for size, each in zip(SIZES, written, strict=True):
        crmsync("init", "-c", each, "--model", size)
    path.write_text(written[0].read_text() + "\n[guard]\nscores = 20\n")
    asked = ["taplo", "lint", *map(str, written), str(path)]
    found = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    wrong = [line for line in found.stderr.splitlines() if "invalid file" in line]
    assert [each.name in "".join(wrong) for each in (*written, path)] == [False, False, False, True]


# On a terminal


@pytest.fixture
def answering(monkeypatch):
    """The command as on a terminal, with these lines typed into it."""
    monkeypatch.setattr(starting, "has_terminal", lambda: True)

    def run(path, *lines, words=()):
        typed = "".join(f"{line}\n" for line in lines)
        return Ended(CliRunner().invoke(app, ["init", "-c", str(path), *words], input=typed, catch_exceptions=False))

    return run


def test_enter_alone_takes_every_offer(reachable, path, validator, answering):
    ended = answering(path, *[""] * 9)
    assert ended.code == 0
    asked = assert_sound(path, validator)
    other = path.with_name("other.toml")
    crmsync("init", "-c", other, "--yes")
    assert other.read_text() == path.read_text()
    assert len(asked.owner_pool[0].members) == 7


def test_what_is_chosen_stands_in_the_file_as_the_crms_spell_it(reachable, path, validator, answering):
    lines = [
        "1",  # both CRMs
        "4",  # HubSpot: Sales Qualified Lead
        "2",  # Salesforce: Working - Contacted
        "y",  # the fields
        "2", "bank", "11", "",  # Energy, and Banking after a search
        "grete", "3", # Grete Holm
    ]  # fmt: skip
    ended = answering(path, *lines)
    assert ended.code == 0, ended.err
    config = assert_sound(path, validator)
    (stage,) = [each for each in config.stage if each.band]
    assert stage.values == {
        "hubspot": "salesqualifiedlead",
        "salesforce": {"lead": "Working - Contacted", "contact": "MQL"},
    }
    (rule,) = [each for each in config.fit if each.name == "Industry of our customers"]
    assert rule.when.in_ == ["ENERGY", "Energy", "Banking"]
    assert [each.email for each in config.owner_pool[0].members] == ["grete.holm@ourproduct.example"]
    assert "Energy: HubSpot ENERGY, Salesforce Energy" in ended.err


def test_five_thousand_strange_values_are_searched_and_written_as_they_are(reachable, path, validator, answering):
    schema = reachable.portal.state.records["companies"].schema
    options = [option_of(f'v "{at}" \\ 🏭', f"Label\x1b[2J \n {at} é", at) for at in range(5_000)]
    schema.put(schema.known["industry"] | {"options": options})
    reachable.do("hubspot", "add_stage", id="7000123", label='[[fit]]\n"\\', before="customer")
    for email in ("", "no address", '"odd one"@acme.example', "zoë'\\@acme.example"):
        reachable.do("hubspot", "add_owner", email=email)
    ended = answering(path, "2", "9", "y", "4999 é", "5000", "", "zoë", "6", words=["--model", "full"])
    assert ended.code == 0, ended.err
    assert "\x1b" not in ended.err
    config = assert_sound(path, validator, "full")
    assert [part.in_ for rule in config.fit for part in rule.when.parts() if part.in_] == [['v "4999" \\ 🏭']]
    assert [each.values["hubspot"] for each in config.stage if each.band] == ["other"]
    assert [each.email for each in config.owner_pool[0].members] == ["zoë'\\@acme.example"]


def test_nobody_is_an_answer(reachable, path, validator, answering):
    assert answering(path, "2", "0", "y", "0", "0").code == 0
    config = assert_sound(path, validator)
    assert (config.stage, config.owner_pool, config.route) == ([], [], [])


def test_other_fields_can_be_chosen_one_by_one(reachable, path, validator, answering):
    lines = [
        "2", "", "n",
        "no such thing", "company", "2",  # the title, after two searches
        "0",  # no employees
        "", "0",  # the usual industry, no country
        "", "0",
    ]  # fmt: skip
    ended = answering(path, *lines)
    assert ended.code == 0, ended.err
    fields = assert_sound(path, validator).fields
    assert fields.keys() == {"title", "industry"}
    assert fields["title"]["hubspot"] != "jobtitle"
    assert "Nothing has 'no such thing' in it." in ended.err


def test_a_bad_address_is_said_and_asked_again(alone, path, validator, answering):
    ended = answering(path, "3", "acme", "https://login.salesforce.com", ADDRESS, "y")
    assert ended.code == 0
    assert ended.err.count("Setup > My Domain") >= 3
    assert assert_sound(path, validator).salesforce.instance_url == ADDRESS


@pytest.mark.parametrize("lines", [["2", "n"], ["2"], []])
def test_whoever_stops_has_written_nothing(alone, path, answering, lines):
    ended = answering(path, *lines)
    assert (ended.code, "Nothing was written." in ended.err) == (1, True)
    assert list(path.parent.iterdir()) == []


def test_on_a_terminal_of_80_columns(sandbox, tmp_path):
    """The whole of it with a keyboard: nothing is wider than the screen, and Ctrl-C leaves nothing behind."""
    env = environment(CRMSYNC_HUBSPOT__BASE_URL=sandbox.url)
    with on_terminal(tmp_path, env, "init") as screen:
        screen.wait_for("Number [1]: ")
        screen.interrupt("Nothing was written.")
        assert screen.end() == 1
    assert list(tmp_path.iterdir()) == []
    sandbox.do(
        "hubspot", "add_option", type="companies", property="industry", value="A\\B", label='Räder "&" ' + "😀" * 60
    )
    with on_terminal(tmp_path, env, "init") as screen:
        screen.answer("Number [1]: ", "")
        screen.answer("acme.my.salesforce.com: ", "acme")
        screen.answer("acme.my.salesforce.com: ", sandbox.url)
        screen.answer("Number [3]: ", "")
        screen.answer("Number [0]: ", "")
        screen.answer("right ones? [Y/n]: ", "")
        screen.answer("part of a name [0]: ", "räder")
        screen.answer("part of a name [0]: ", "9")
        screen.answer("Enter to go on: ", "")
        screen.answer("[1,2,3,4,5,6,7]: ", "1,3")
        assert screen.end() == 0, screen.text
    assert max(cell_len(line) for line in screen.text.splitlines()) <= 80
    config = load(tmp_path / "crmsync.toml")
    assert ["A\\B"] in [part.in_ for rule in config.fit for part in rule.when.parts()]
    assert [each.email.split(".")[0] for each in config.owner_pool[0].members] == ["claire", "grete"]
