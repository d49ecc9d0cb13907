"""The JSON schema for editors: it takes what the loader takes, refuses what it refuses, and explains every key."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib

import jsonschema
import orjson
import pytest

from crmsync.config.json_schema import make_schema
from crmsync.config.template import demo_config
from tests.house.test_layers import ROOT

SHIPPED = sorted([ROOT / "config.example.toml", *(ROOT / "examples").glob("*.toml")])
WRITTEN = {
    "demo": demo_config("http://127.0.0.1:8400", ["dana@acme.example"]),
}

BROKEN = [
    '[bands]\ncold = "x"',
    '[[fit]]\nname = "a"\npoints = 1\nfoo = 2\nwhen = { field = "email", is = "x" }',
    '[[fit]]\nname = "a"\npoints = "many"\nwhen = { field = "email", is = "x" }',
    '[[fit]]\nname = "a"\npoints = 1\nwhen = { field = "email", gt = "x" }',
    "[guard]\nscores = 20",
    '[schedule]\nevery = "often"',
    '[[owner_pool]]\nname = "a"\nmembers = [1]',
]


def parse(text):
    """What a file says as JSON has it: instants are texts there."""
    return orjson.loads(orjson.dumps(tomllib.loads(text)))


@pytest.fixture(scope="module")
def schema():
    return make_schema()


@pytest.fixture(scope="module")
def validator(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_is_taken(validator, path):
    assert [each.message for each in validator.iter_errors(parse(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize("name", WRITTEN)
def test_what_commands_write_is_taken(validator, name):
    assert [each.message for each in validator.iter_errors(parse(WRITTEN[name]))] == []


@pytest.mark.parametrize("text", BROKEN)
def test_mistakes_are_marked(validator, text):
    assert list(validator.iter_errors(parse(text)))


def test_every_key_has_a_description(schema):
    tables = {"": schema, **schema["$defs"]}
    keys = {(name, key): value for name, table in tables.items() for key, value in table.get("properties", {}).items()}
    assert [place for place, value in keys.items() if not value.get("description", "").strip()] == []
    assert keys["", "bands"]["description"] != keys["", "grades"]["description"]
    assert keys["Schedule", "every"]["description"] == "Time between two scheduled runs of crmsync run."


@pytest.mark.skipif(shutil.which("taplo") is None, reason="LEFT OUT: taplo is not on this machine")
def test_taplo_finds_no_mistake_in_a_shipped_file(schema, tmp_path):
    written = tmp_path / "schema.json"
    written.write_text(json.dumps(schema))
    found = subprocess.run(
        ["taplo", "lint", "--schema", f"file://{written}", *map(str, SHIPPED)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (found.returncode, found.stderr.count("error")) == (0, 0)
