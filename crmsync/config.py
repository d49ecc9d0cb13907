"""The config: one TOML file that admins own, secrets from the environment or a folder, every problem told at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, ValidationError, create_model, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import EnvSettingsSource, InitSettingsSource

from crmsync.errors import ConfigError
from crmsync.model import OUTPUTS, FieldMap
from crmsync.rules import BUILTIN_FIELDS, Model
from crmsync.tables import Duration, Table

ENV_PREFIX = "CRMSYNC_"
RESERVED_ENV = frozenset({"CRMSYNC_CONFIG", "CRMSYNC_FAILPOINT"})
"""Variables that start like a setting and are not one: the path of the config, and the tests' fail points."""

Spelling = str | dict[str, str]
"""A field or value as one CRM spells it: one spelling, or one for each kind: `{lead = "Company", contact = "…"}`."""


class State(Table):
    """Where everything durable is kept."""

    url: str = "sqlite:///crmsync.db"
    keep: Duration = timedelta(days=400)


class Schedule(Table):
    """When the daemon runs a cycle.

    `deadline` is how long a cycle may go on without any progress before the daemon ends itself, for its supervisor to
    start it anew.
    """

    every: Duration = timedelta(minutes=15)
    cron: str | None = None
    timezone: str = "UTC"
    deadline: Duration = timedelta(hours=1)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f'{value!r} is not a time zone; write for example "Europe/Berlin" or "UTC"')
        return value

    @field_validator("cron")
    @classmethod
    def _readable_cron(cls, value: str | None) -> str | None:
        if value is not None and len(value.split()) != 5:
            raise ValueError('write five fields, for example "*/15 * * * *" or "30 6 * * 1-5"')
        return value

    @field_validator("every")
    @classmethod
    def _not_frantic(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=10):
            raise ValueError('at least "10s"')
        return value


class Stage(Table):
    """A lifecycle stage: its name here, its value in each CRM, and the band that lets a person in.

    The order of the stages in the file is their order; a person only moves forward along it.
    """

    name: str
    values: dict[str, Spelling]
    band: str | None = None


class OwnerPool(Table):
    """People who take turns: e-mail addresses as the CRMs know them, in the order of the rotation."""

    name: str
    members: list[str] = Field(min_length=1)


class Route(Table):
    """Who gets a person that has nobody yet: everybody in `bands` goes to `pool`; the first route that fits counts."""

    bands: list[str] = Field(min_length=1)
    pool: str


class Guard(Table):
    """When a plan is too large to be true: nothing is written and the plan waits for `crmsync apply`.

    Shares are of the records in one CRM that already carry a value; `from_records` keeps small numbers quiet.
    `rescored` counts any other score after the model was changed; `bands`, `stages`, `owners` count moves in any cycle.
    """

    rescored: float = Field(default=0.2, ge=0, le=1)
    bands: float = Field(default=0.25, ge=0, le=1)
    stages: float = Field(default=0.25, ge=0, le=1)
    owners: float = Field(default=0.1, ge=0, le=1)
    from_records: int = Field(default=20, ge=0)


class Write(Table):
    """What is written, and how far crmsync gives way to people.

    `outputs` spells our own fields in each CRM; what is not spelled is not written there. `respect_people` is how long
    a stage or owner that somebody else changed is left alone. `nobody` names owners (by e-mail address) who stand for
    nobody, for example the user of an import; queues and inactive users always do. `verify_sample` scores are read back after each run,
    and every stage and owner.
    """

    outputs: dict[str, dict[str, Spelling]] = {}
    stage: bool = True
    owner: bool = True
    respect_people: Duration = timedelta(days=14)
    nobody: list[str] = []
    verify_sample: int = Field(default=100, ge=0)
    attempts: int = Field(default=5, ge=1)

    @field_validator("outputs")
    @classmethod
    def _known_outputs(cls, value: dict[str, dict[str, Spelling]]) -> dict[str, dict[str, Spelling]]:
        if unknown := sorted(set(value) - set(OUTPUTS)):
            raise ValueError(f"crmsync has no output {', '.join(map(repr, unknown))}; it has {', '.join(OUTPUTS)}")
        return value


class Identity(Table):
    """How records become one person.

    Records of one e-mail address are one person, unless more than `most_records` of one CRM share it or it is a shared
    mailbox (its part before the @ is in `shared_mailboxes`) that more than one record of a CRM carries: those are
    reported and not written. `precedence` says whose value counts where two CRMs know different ones.
    """

    precedence: list[str] = ["salesforce", "hubspot"]
    most_records: int = Field(default=5, ge=1)
    shared_mailboxes: list[str] = ["info", "sales", "office", "contact", "admin", "support", "hello", "team", "mail"]


class Config(Model, BaseSettings):
    """Everything the worker knows before it starts. Each connector's table is added by `_with_tables`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        case_sensitive=False,
        nested_model_default_partial_update=True,
        validate_default=True,
    )

    secrets: str | None = None
    state: State = State()
    schedule: Schedule = Schedule()
    fields: dict[str, dict[str, Spelling]] = {}
    stage: list[Stage] = []
    owner_pool: list[OwnerPool] = []
    route: list[Route] = []
    guard: Guard = Guard()
    write: Write = Write()
    identity: Identity = Identity()
    log: Literal["console", "json"] = "console"

    @model_validator(mode="after")
    def _names_agree(self) -> Config:
        problems = list(self._disagreements())
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _disagreements(self) -> Sequence[str]:
        crms = set(connectors())
        spelled: list[tuple[str, Mapping[str, Any]]] = [
            *((f"[fields] {name}", value) for name, value in self.fields.items()),
            *((f"[write.outputs] {name}", value) for name, value in self.write.outputs.items()),
            *((f"[[stage]] {stage.name}", stage.values) for stage in self.stage),
        ]
        problems = [
            f"{where}: there is no CRM called {crm!r}; there is {' and '.join(sorted(crms))}"
            for where, value in spelled
            for crm in value
            if crm not in crms
        ]
        known = set(self.fields) | set(BUILTIN_FIELDS)
        if self.fields:
            problems += [
                f"a rule reads the field {name!r}, which [fields] does not map; add it there or correct the rule"
                for name in sorted(self.used_fields() - known)
            ]
        bands = self.band_names()
        problems += [
            f"[[stage]] {stage.name}: there is no band {stage.band!r}; there is {', '.join(bands)}"
            for stage in self.stage
            if stage.band is not None and stage.band not in bands
        ]
        pools = [pool.name for pool in self.owner_pool]
        for route in self.route:
            problems += [f"[[route]]: there is no band {band!r}" for band in route.bands if band not in bands]
            if route.pool not in pools:
                problems.append(f"[[route]]: there is no [[owner_pool]] called {route.pool!r}")
        for kind, names in (("stage", [each.name for each in self.stage]), ("owner_pool", pools)):
            problems += [f"two [[{kind}]] are called {name!r}" for name in sorted(set(names)) if names.count(name) > 1]
        return problems

    @property
    def crms(self) -> dict[str, Table]:
        """The settings of each CRM that the file (or the environment) has a table for, by its name."""
        tables = {name: getattr(self, name, None) for name in connectors()}
        return {name: table for name, table in tables.items() if table is not None}

    def field_map(self, crm: str) -> FieldMap:
        """How the canonical names are spelled in one CRM."""
        return FieldMap(
            fields={name: value[crm] for name, value in self.fields.items() if crm in value},
            outputs={name: value[crm] for name, value in self.write.outputs.items() if crm in value},
            stages={stage.name: stage.values[crm] for stage in self.stage if crm in stage.values},
        )

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose midnights count."""
        return ZoneInfo(self.schedule.timezone)

    def model_hash(self) -> str:
        """Twelve hex digits that change when, and only when, the scoring model, its fields or its stages do."""
        kept = set(Model.model_fields) | {"fields", "stage", "identity"}
        text = json.dumps(self.model_dump(mode="json", include=kept), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the secrets folder, which wins over the file."""
        given = cast(InitSettingsSource, init_settings).init_kwargs
        folder = _FolderSource(settings_cls, str(given.get("secrets") or ""))
        return (env_settings, folder, init_settings)


class _FolderSource(EnvSettingsSource):
    """A folder of files, each named like an environment variable and holding its value (Docker and systemd secrets)."""

    def __init__(self, settings_cls: type[BaseSettings], folder: str) -> None:
        self.folder = folder
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        if not self.folder:
            return {}
        try:
            files = sorted(path for path in Path(self.folder).iterdir() if path.is_file())
            return {path.name.lower(): path.read_text(encoding="utf-8").strip() for path in files}
        except OSError as error:
            raise ConfigError(f"the secrets folder {self.folder} cannot be read ({error.strerror})") from error


def connectors() -> dict[str, ModuleType]:
    """Every installed connector by name; a connector is a module with `Settings` and `connect`."""
    return {each.name: each.load() for each in entry_points(group="crmsync.connectors")}


def config_class() -> type[Config]:
    """`Config` with one optional table for each installed connector."""
    tables: dict[str, Any] = {name: (module.Settings | None, None) for name, module in connectors().items()}
    return create_model("Config", __base__=Config, **tables)


def load(path: Path) -> Config:
    """Read and check the config. Raises `ConfigError` with every problem, each with the line it is on."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no config file {path}; make one with: crmsync init --config {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    _refuse_leftovers(given)
    folder = path.resolve().parent
    given = _anchored(given, folder)
    try:
        return config_class()(**given)
    except ValidationError as error:
        raise ConfigError(_sentences(error, path, text)) from None


def _anchored(given: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths in the file are relative to the file."""
    if isinstance(given.get("secrets"), str):
        given["secrets"] = str(folder / given["secrets"])
    state = given.setdefault("state", {})
    url = state.get("url", "sqlite:///crmsync.db") if isinstance(state, dict) else ""
    found = re.fullmatch(r"sqlite:///([^/].*)", url) if isinstance(url, str) else None
    if found and found[1] != ":memory:":
        state["url"] = f"sqlite:///{folder / found[1]}"
    return given


def _refuse_leftovers(given: Mapping[str, Any]) -> None:
    """A `CRMSYNC_…` variable that no setting reads is a misspelt one: saying nothing would run with the wrong value."""
    known = set(config_class().model_fields)
    leftovers = []
    for name in sorted(os.environ):
        if not name.upper().startswith(ENV_PREFIX) or name.upper() in RESERVED_ENV:
            continue
        table, _, key = name[len(ENV_PREFIX) :].lower().partition("__")
        if table not in known:
            leftovers.append(f"the environment variable {name} matches no setting; correct it or unset it")
        elif key and not _has_key(table, key):
            leftovers.append(f"the environment variable {name} matches no setting in [{table}]; correct it or unset it")
    if leftovers:
        raise ConfigError(leftovers)


def _has_key(table: str, key: str) -> bool:
    module = connectors().get(table)
    model = module.Settings if module else config_class().model_fields[table].annotation
    fields = getattr(model, "model_fields", None)
    return fields is None or key.partition("__")[0] in fields


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a key crmsync knows",
}


def _sentences(error: ValidationError, path: Path, text: str) -> list[str]:
    sentences = []
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        loc = tuple(part for part in each["loc"] if not (isinstance(part, str) and part.startswith("function-")))
        said = _WORDS.get(each["type"]) or each["msg"].removeprefix("Value error, ")
        line = _line_of(text, loc)
        where = f"{path}, line {line}" if line else str(path)
        for sentence in said.split("\n"):
            sentences.append(f"{where}: {_spelled(loc)}{sentence}")
    return sentences


def _spelled(loc: tuple[str | int, ...]) -> str:
    words = [f"no. {part + 1}" if isinstance(part, int) else str(part) for part in loc]
    return " → ".join(words) + ": " if words else ""


def _line_of(text: str, loc: tuple[str | int, ...]) -> int | None:
    """The line (from 1) where the table or key that `loc` names begins; the nearest one above where it is absent."""
    best, depth = None, 0
    table: tuple[str | int, ...] = ()
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.\-\"]+)\s*\]", line):
            names = tuple(part.strip('"') for part in header[2].split("."))
            if header[1] == "[[":
                seen[header[2]] = seen.get(header[2], -1) + 1
                table = (*names, seen[header[2]])
            else:
                table = names
            here = table
        elif key := re.match(r"\s*([\w\-\"]+)\s*=", line):
            here = (*table, key[1].strip('"'))
        else:
            continue
        if len(here) > depth and loc[: len(here)] == here:
            best, depth = number, len(here)
    return best
