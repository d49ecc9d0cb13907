"""Which fields and stages of the config an org does not have, or does not show to the integration user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from connectors.salesforce.contacts import RecordReader
from connectors.salesforce.left_out import refused_column
from connectors.salesforce.schema import OBJECTS, TASK_KEY, UNREADABLE, Schema
from crmsync.connector import MissingField, plain_name


def missing_fields(schema: Schema, readers: Mapping[str, RecordReader], *, tasks: bool) -> list[MissingField]:
    """Every mapped field, score field and stage that is not there, each with a sentence for the admin.

    `tasks` asks for the field that holds their keys, too.
    """
    of_tasks = missing_task_key(schema) if tasks else ""
    found = [MissingField("task", "task key", "task", of_tasks)] if of_tasks else []
    return found + [
        each
        for reader in readers.values()
        for find in (missing_inputs, missing_outputs, missing_stage)
        for each in find(schema, reader)
    ]


def missing_inputs(schema: Schema, reader: RecordReader) -> Iterator[MissingField]:
    """What `[fields]` maps."""
    for name, path in reader.fields.items():
        # Of what only queries refuse the pull speaks that was refused.
        if schema.find(OBJECTS[reader.kind], path) and not schema.resolve(OBJECTS[reader.kind], path):
            continue
        if sentence := missing_input(schema, reader, plain_name(name), path):
            role: Literal["field", "choice"] = "choice" if name in reader.choices else "field"
            yield MissingField(role, plain_name(name), reader.kind, sentence)


def missing_input(schema: Schema, reader: RecordReader, name: str, path: str) -> str:
    """What to say of a field that cannot be read; nothing of one that can."""
    object_ = OBJECTS[reader.kind]
    known = schema.resolve(object_, path)
    if known is None and schema.find(object_, path):
        return refused_column(object_, path, name)
    if known is None and name in reader.choices:
        return f"{object_}.{path} (the field {name!r}) does not exist or cannot be seen; run: crmsync setup"
    if known is None:
        return (
            f"{object_}.{path} (the field {name!r}) does not exist or the integration user cannot see it, so it "
            f"is unknown to rules; correct [fields], or give its permission set 'Read' on {path}"
        )
    if known.type in UNREADABLE:
        return (
            f"{object_}.{path} (the field {name!r}) has the type {known.type}, which no API can read as a whole; "
            "map one of its parts in [fields]"
        )
    return ""


def missing_outputs(schema: Schema, reader: RecordReader) -> Iterator[MissingField]:
    """What crmsync is to write its scores into."""
    object_ = OBJECTS[reader.kind]
    for name, api in reader.score_fields.items():
        if schema.of(object_).get(api.lower()) is None:
            sentence = (
                f"{object_}.{api} (the score field {name!r}) does not exist or cannot be seen; run: crmsync setup"
            )
            yield MissingField("score_field", name, reader.kind, sentence)


def missing_stage(schema: Schema, reader: RecordReader) -> Iterator[MissingField]:
    """Where the stage lives, if the config names any."""
    object_, path = OBJECTS[reader.kind], reader.stage_field
    if reader.stages and schema.of(object_).get(path.lower()) is None:
        sentence = f"{object_}.{path} (the stage) does not exist or cannot be seen; run: crmsync setup"
        yield MissingField("stage", "stage", reader.kind, sentence)


def missing_task_key(schema: Schema) -> str:
    """What to say of the field that holds the keys of tasks where it is not there; nothing where it is."""
    if not schema.of("Task"):
        return (
            "Task records are not visible to the integration user; give its permission set 'Access Activities' and "
            "'Edit Tasks' under System Permissions"
        )
    if schema.of("Task").get(TASK_KEY.lower()) is None:
        return f"Task.{TASK_KEY} (the key of tasks) does not exist or cannot be seen; run: crmsync setup"
    return ""


def missing_values(schema: Schema, reader: RecordReader) -> dict[str, str]:
    """The stages, by their values, for which a picklist that this user sees has no active value."""
    lacking = lacking_values(schema, reader.kind, reader.stage_field, list(reader.stages))
    return {value: reader.stages[value] for value in lacking}


def lacking_values(schema: Schema, kind: str, api: str, values: Sequence[str]) -> list[str]:
    """Which of these values a picklist that this user sees does not have, or not active."""
    known = schema.of(OBJECTS[kind]).get(api.lower())
    if known is None or known.type != "picklist":
        return []
    return [value for value in values if value not in known.options]


def value_clicks(object_: str, api: str) -> str:
    """How an admin adds a value to a picklist."""
    return (
        f"in Setup > Object Manager > {object_} > Fields & Relationships > {api}, click New beside its picklist values"
    )
