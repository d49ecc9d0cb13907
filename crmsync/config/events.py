"""Where events come from that no CRM knows: files, a database, or a program that calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from crmsync.config.tables import Table
from crmsync.config.units import Texts, known_zones

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

SECRETS = ("url", "secret")
"""What of a source never stands in the file."""


class EventColumns(Table):
    """How a line or row calls what an event is made of; a dot leads into a table: `user.email`."""

    id: str = Field(default="id", description="The column with the id of the event.")
    at: str = Field(default="at", description="The column that says when it was.")
    kind: str | None = Field(default=None, description="The column with the activity type, instead of kind.")
    email: str = Field(default="email", description="The column with the address of whose event it is.")
    record: str = Field(default="record", description="The column with the id of a record of a CRM.")
    domain: str = Field(default="domain", description="The column with the domain of a company.")
    user: str = Field(default="user", description="The column with the source's own id of a user of that domain.")


class Listen(Table):
    """Where signed events are received, over plain HTTP; a proxy in front of it provides https.

    What comes is kept in `folder` before it is answered, for `keep_days` after it was read.
    """

    folder: str
    host: str = Field(default="127.0.0.1", description="The address that it listens on.")
    port: int = Field(default=8_411, ge=1, le=65_535)
    path: str = "/events"
    keep_days: int = Field(default=30, ge=1)

    @field_validator("path")
    @classmethod
    def _begins_with_a_slash(cls, value: str) -> str:
        if not value.startswith("/") or set(value) & set("{}?#"):
            raise ValueError('write a path, for example "/events"')
        return value


def _attributes(value: Any) -> Any:
    """A list of columns keeps their names: those of the attributes are what follows the last dot."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return {each.rpartition(".")[2]: each for each in value}
    return value


class EventSource(Table):
    """Events of one place: a `folder` of files, a `query`, or what is sent to `listen`.

    `kind` is the activity type of all of them, or `columns.kind` is where each says it; `kinds` gives these values
    other names, and takes no others. `crm` is the CRM that ids of records are of where they do not say it. `attributes`
    are the columns that rules may ask for in `where`. `timezone` is that of times without one. `url` and `secret` come
    from the environment or the secrets folder.
    """

    name: str
    folder: str | None = None
    files: Texts = Field(default=["*.jsonl", "*.csv"], description="Which files of the folder, with stars.")
    query: str | None = Field(default=None, description="A select; crmsync adds where it goes on.")
    cursor: str | None = None
    listen: Listen | None = Field(default=None, description="Where signed events are received while crmsync run runs.")
    kind: str | None = None
    kinds: dict[str, str] = {}
    crm: str | None = None
    columns: EventColumns = EventColumns()
    attributes: Annotated[
        dict[str, str], BeforeValidator(_attributes, json_schema_input_type=list[str] | dict[str, str])
    ] = {}
    timezone: str | None = None
    url: SecretStr | None = None
    secret: SecretStr | None = None

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value) or len(value) > 40:
            raise ValueError('write a name of small letters, digits and single _, for example "product"')
        return value

    @field_validator("files")
    @classmethod
    def _inside_the_folder(cls, value: list[str]) -> list[str]:
        for each in value:
            if each.startswith("/") or ".." in each.split("/") or not each.endswith((".jsonl", ".csv", ".ndjson")):
                raise ValueError(
                    'write names of files in the folder that end in .jsonl, .ndjson or .csv: "usage-*.csv"'
                )
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in known_zones():
            raise ValueError(f'{value!r} is not a time zone; write for example "Europe/Berlin" or "UTC"')
        return value

    @model_validator(mode="after")
    def _one_place(self) -> EventSource:
        if sum(each is not None for each in (self.folder, self.query, self.listen)) != 1:
            raise ValueError("write one of folder (files), query (a database) or listen (HTTP)")
        if (self.query is None) != (self.cursor is None):
            raise ValueError("query and cursor go together: cursor is the column by which the query goes on")
        if self.query is not None and not re.match(r"\s*(select|with)\b", self.query, re.I):
            raise ValueError(
                "the query must be a select; crmsync adds where it goes on and how much it reads at a time"
            )
        if (self.kind is None) == (self.columns.kind is None):
            raise ValueError('write either kind = "…" for all events, or columns.kind, the column that says it')
        if self.kinds and self.columns.kind is None:
            raise ValueError("kinds needs columns.kind, whose values it names")
        return self

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of times without one."""
        return None if self.timezone is None else ZoneInfo(self.timezone)

    @property
    def where(self) -> str:
        """What it reads, in a word or two."""
        return "a database" if self.query is not None else self.folder or (self.listen.folder if self.listen else "")


def find_event_secrets(given: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Secrets of sources that stand in the file: where, and the variable that they belong into."""
    tables = given if isinstance(given, list) else []
    return [
        (("events", number, key), f"EVENTS__{str(each.get('name', 'NAME')).upper()}__{key.upper()}")
        for number, each in enumerate(tables)
        if isinstance(each, Mapping)
        for key in SECRETS
        if key in each
    ]


def add_event_secrets(given: Any, secrets: Any) -> Any:
    """The sources as the file has them, each with its secrets from outside: by name, `{product = {url = …}}`."""
    if not isinstance(given, list) or not isinstance(secrets, Mapping):
        return given
    return [{**each, **secrets.get(str(each.get("name")), {})} if isinstance(each, Mapping) else each for each in given]
