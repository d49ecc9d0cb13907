"""The JSON schema of the config, for editors: what the loader accepts, each key with what the example says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from crmsync.config.settings import config_class
from crmsync.config.template import example_config

Schema = dict[str, Any]

DESCRIPTIONS = {
    "name": "What explanations, plans and errors call it; each name is there once.",
    "points": "Points that it gives; a negative number takes them.",
    "segments": "Only for people of these segments; without it for everybody.",
    "group": "The group of [groups] whose limit it shares.",
    "channel": "The channel of [channels] whose limit it shares.",
    "tier": "How much intent it shows: low, mid or high.",
    "on": "The activity types that count: one, or a list.",
    "lists": "Lists of your own, by name: domains or texts that rules refer to.",
    "band": "A band of [bands].",
    "grid": "The cell of grade and level, for example A1.",
    "segment": "The segment that somebody is in.",
    "stage": "A stage of [[stage]], or which CRM leads where they differ.",
    "owner": "The address of an owner, or which CRM leads where they differ.",
    "recycle": "For how long they are neither given the stage nor an owner again.",
    "api_version": "The version of the CRM's API.",
    "cap": "The most that it gives, however often it happens.",
    "times": "How often it has to happen.",
    "days": "On how many different days it has to happen.",
    "window": "Only what is not older than this counts.",
    "min_fit": "The fit that somebody needs for this band besides the points.",
    "min_behavior": "The behavior that somebody needs for this band besides the points.",
    "field": "The field that is asked about: a name of [fields], or email or stage.",
    "is": "Exactly this value; of texts neither case nor blanks around them matter.",
    "in": "One of these values.",
    "contains": "One of these texts is somewhere in it.",
    "excludes": "None of these texts is anywhere in it.",
    "starts_with": "It begins with one of these texts.",
    "ends_with": "It ends with one of these texts.",
    "regex": "This regular expression is found in it; write it in single quotes.",
    "gt": "More than this number.",
    "gte": "This number or more.",
    "lt": "Less than this number.",
    "lte": "This number or less.",
    "between": "A number from the first to the second, both counted.",
    "before": "A date before this day.",
    "after": "A date after this day.",
    "within": "A date of today or of so many days before it.",
    "within_next": "A date of today or of so many days after it.",
    "older_than": "A date of more than so many days ago.",
    "exists": "It is known.",
    "missing": "It is not known.",
    "has": "One of the chosen values is one of these.",
    "has_all": "All of these are among the chosen values.",
    "in_list": "One of the values of this list of [lists].",
    "domain": "An address at one of these domains, or below them.",
    "domain_list": "An address at one of the domains of this list of [lists].",
    "free_mail": "Whether it is an address of a free mail provider.",
    "seniority": "A job title of one of these levels.",
    "seniority_at_least": "A job title of this level or a higher one.",
    "department": "A job title of one of these departments.",
    "country": "One of these countries, however the CRM and this file spell them.",
    "state": "One of these states, by their codes (US-CA) or names.",
    "addresses": "People with one of these addresses.",
    "total": "The points that are expected.",
    "fit": "How fit counts, or what is expected of it.",
    "behavior": "How behavior counts, or what is expected of it.",
    "grade": "The grade that is expected.",
    "track": "The track that is expected.",
    "qualified": "Whether all qualifications are expected to be met.",
    "disqualified": "The reason of [[disqualify]] that is expected.",
    "kind": "The activity type that rules name.",
    "crm_owned": "Stages that the CRM itself gives, by its own names.",
    "email": "The address by which the CRMs know the user.",
    "skills": "What a route may ask for.",
    "values": "The stage as each CRM calls it.",
    "port": "The port that it listens on.",
    "path": "The path of the address that the CRM calls.",
    "base_url": "The address of the CRM's API.",
    "client_id": "The id of the app by which crmsync signs in; it may come from the environment.",
    "client_secret": "Never in this file: it comes from the environment or the secrets folder.",
    "refresh_token": "Never in this file: it comes from the environment or the secrets folder.",
}
"""What is said of keys that several tables have, or that neither the example nor a table explains."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def make_schema() -> Schema:
    """The schema of the whole file.

    The description of a key is its comment in the example, else the sentences of its table that name it, else what its
    own table is for, else that of `DESCRIPTIONS`.
    """
    schema = config_class().model_json_schema()
    comments = _read_comments(example_config())
    definitions = schema.get("$defs", {})
    seen: set[str] = set()
    _describe(schema, (), comments, definitions, seen)
    for name, each in definitions.items():
        if name not in seen:
            _describe(each, (), comments, definitions, seen)
    return {"$schema": DIALECT, "title": "crmsync.toml", **{key: schema[key] for key in schema if key != "title"}}


def _describe(
    table: Schema, path: tuple[str, ...], comments: Mapping[tuple[str, ...], str], definitions: Schema, seen: set[str]
) -> None:
    """Give each key of a table its description, and those of the tables inside it."""
    for key, value in table.get("properties", {}).items():
        here = (*path, key)
        inner = [name for name in _references(value) if name in definitions]
        if "description" not in value:
            own = next((_first_sentence(definitions[name].get("description", "")) for name in inner), "")
            said = comments.get(here) or _sentences_with(key, table.get("description", "")) or own
            if said := said or DESCRIPTIONS.get(key, ""):
                value["description"] = said
        for name in inner:
            if name not in seen:
                seen.add(name)
                _describe(definitions[name], here, comments, definitions, seen)


def _references(value: Any) -> Iterator[str]:
    """The names of the tables that a value may be, or hold."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rpartition("/")[2]
        for key, each in value.items():
            if key in ("anyOf", "oneOf", "allOf", "items", "additionalProperties", "prefixItems"):
                yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


_HEADER = re.compile(r"(?:# )?\[+([\w.]+)\]+(?:\s*#\s*(.*))?$")
_KEY = re.compile(r"(?:# )?([a-z_]\w*) = (.*)$")


def _read_comments(text: str) -> dict[tuple[str, ...], str]:
    """The comment behind each key and header of the example, also of those that stand there as comments."""
    found: dict[tuple[str, ...], str] = {}
    table: tuple[str, ...] = ()
    for line in text.splitlines():
        if header := _HEADER.match(line):
            table = tuple(header[1].split("."))
            if header[2]:
                found.setdefault(table, _sentence(header[2]))
        elif key := _KEY.match(line):
            comment = re.search(r"\s#\s+(.*)$", re.sub(r"\"[^\"]*\"|'[^']*'", lambda text: "_" * len(text[0]), key[2]))
            if comment:
                found.setdefault((*table, key[1]), _sentence(key[2][comment.start(1) :]))
    return found


def _sentences_with(key: str, docstring: str) -> str:
    """The sentences of a table's description in which a key is named."""
    text = " ".join(docstring.split())
    sentences = re.split(r"(?<=[.;]) (?=[A-Z`])", text)
    return " ".join(each for each in sentences if re.search(rf"`\[*{re.escape(key)}\b[^`]*`", each)).replace("`", "")


def _first_sentence(docstring: str) -> str:
    return " ".join(docstring.split("\n\n")[0].split()).replace("`", "")


def _sentence(words: str) -> str:
    """A comment as a sentence."""
    words = words.strip().replace("`", "")
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '?')) else '.'}"
