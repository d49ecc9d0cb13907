"""HubSpot's answers, shaped as its public specification says and then spoiled; only paths and types are kept of it."""

import json
import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

SPECIFICATION = json.loads(Path(__file__).with_name("hubspot_2026_09.json").read_text(encoding="utf-8"))
"""Of https://github.com/HubSpot/HubSpot-public-api-spec-collection (commit 9989379 of 2026-08-21), reduced to the calls
that crmsync makes and to the types of what is sent and answered."""

NAMES = ("email", "jobtitle", "lifecyclestage", "hubspot_owner_id", "hs_object_id", "lastmodifieddate", "ls_score")
WORDS = ("7", "101", "0-1", "SUCCESS", "2026-11-20T08:00:00Z", "contact_to_company", "false", "")
text = st.sampled_from(WORDS) | st.text(max_size=8)
moments = st.integers(-(10**6), 10**6).map(lambda n: datetime(2026, 11, 20, tzinfo=UTC) + timedelta(minutes=n))

STRINGS = {
    "date-time": moments.map(lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z")),
    "uri": st.sampled_from(["https://files.example/a.csv", "http://files.example", "ftp:", ""]),
}
SIMPLE = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**63), 2**63),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 100),
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 10**30, 1e308, float("inf"), float("nan")]),
    st.sampled_from(["", "²", "soon", "\0", "\ud800", "9999-12-31T23:59:59Z", "0", "-5", "x" * 300, "7" * 5_000]),
    st.sampled_from([[], {}, [[]], [None], ["a"], {"id": None}]),
)


def operations():
    """Each call as (method, path, the statuses and schemas of its answers)."""
    for path, methods in SPECIFICATION["paths"].items():
        for method, operation in methods.items():
            contents = {code: each.get("content", {}) for code, each in operation["responses"].items()}
            schemas = {
                int(code): content["application/json"]["schema"] for code, content in contents.items() if content
            }
            yield method.upper(), path, schemas


def pattern(path):
    """What an address of this path looks like."""
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "/?$")


@cache
def _named(reference):
    return st.deferred(lambda: shaped(_schema_of(reference)))


def _schema_of(reference):
    return SPECIFICATION["components"]["schemas"][reference.rpartition("/")[2]]


def shaped(schema):
    """Any value that a schema allows; short ones, of words that mean something."""
    if "$ref" in schema:
        return _named(schema["$ref"])
    if several := schema.get("oneOf") or schema.get("anyOf") or schema.get("allOf"):
        return st.one_of([shaped(each) for each in several])
    found = _of_type(schema)
    return st.none() | found if schema.get("nullable") else found


def _of_type(schema):
    kind = schema.get("type", "object")
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if kind == "array":
        return st.lists(shaped(schema["items"]), max_size=3)
    if kind == "string":
        return STRINGS.get(schema.get("format"), text)
    if kind != "object":
        return SIMPLE[kind]
    if isinstance(more := schema.get("additionalProperties"), dict):
        return st.dictionaries(st.sampled_from(NAMES) | text, shaped(more), max_size=5)
    parts = {name: shaped(each) for name, each in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: each for name, each in parts.items() if name in required},
        optional={name: each for name, each in parts.items() if name not in required},
    )


def _places(value, place=()):
    """Where the parts of a value are."""
    yield place
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(each, (*place, key))


@st.composite
def spoiled(draw, values):
    """A value of which up to two parts are gone or something else."""
    value = draw(values)
    for _ in range(draw(st.integers(0, 2))):
        *way, last = draw(st.sampled_from(list(_places(value)))) or (None,)
        if last is None:
            return deepcopy(draw(ODD))
        inside = value
        for key in way:
            inside = inside[key]
        if isinstance(inside, dict) and draw(st.booleans()):
            del inside[last]
        else:
            # A list among them would hold the next change for good, and itself in the end.
            inside[last] = deepcopy(draw(ODD))
    return value


@st.composite
def answered(draw, schemas):
    """Status and body of an answer to a call."""
    status = draw(st.sampled_from([*schemas, *schemas, 200, 207, 204, 400, 403, 404, 409, 423]))
    body = json.dumps(draw(spoiled(shaped(schemas.get(status) or next(iter(schemas.values()))))))
    cut = draw(st.sampled_from([len(body)] * 9 + [0, len(body) // 2]))
    return status, body.encode()[:cut]


def violations(value, schema, place="answer"):
    """Where a value is not of the shape that a schema gives."""
    if "$ref" in schema:
        yield from violations(value, _schema_of(schema["$ref"]), place)
    elif several := schema.get("oneOf") or schema.get("anyOf") or schema.get("allOf"):
        if all(list(violations(value, each, place)) for each in several):
            yield f"{place} is {value!r}"
    elif value is not None or not schema.get("nullable"):
        yield from _violations_of_type(value, schema, place)


def _violations_of_type(value, schema, place):
    if not isinstance(value, TYPES[schema.get("type", "object")]) or value not in schema.get("enum", [value]):
        yield f"{place} is {value!r}"
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from violations(each, schema["items"], f"{place}[{number}]")
    elif isinstance(value, dict):
        yield from (f"{place} lacks {name}" for name in schema.get("required", ()) if name not in value)
        more = schema.get("additionalProperties")
        for name, each in value.items():
            inside = schema.get("properties", {}).get(name, more)
            if isinstance(inside, dict):
                yield from violations(each, inside, f"{place}.{name}")


TYPES = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "string": str,
}
