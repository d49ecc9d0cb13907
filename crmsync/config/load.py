"""Loading the file: secrets from the environment or a folder, every problem reported at once."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import parse_qsl

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsError
from pydantic_settings.sources import EnvSettingsSource

from crmsync.config.alerts import find_secret_urls
from crmsync.config.events import SECRETS, add_event_secrets, find_event_secrets
from crmsync.config.mistakes import Mistake, describe_mistakes, find_mistakes
from crmsync.config.model import Model
from crmsync.config.settings import ENV_PREFIX, Config, config_class, connectors
from crmsync.config.syntax import describe_syntax_error
from crmsync.config.tables import read_decimal
from crmsync.config.web import Web
from crmsync.config.worker import State
from crmsync.errors import ConfigError

RESERVED_ENV = frozenset({"CRMSYNC_CONFIG", "CRMSYNC_FAILPOINT", "CRMSYNC_SECRETS"})
"""Variables that start like a setting and are not one: the paths of config and secrets, and the tests' fail points."""


class _Variables(EnvSettingsSource):
    """Settings from variables, wherever they come from (the environment; Docker and systemd secrets)."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> None:
        self.variables = variables
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self.variables.items()}


def _folder_variables(folder: str) -> dict[str, str]:
    """What the files of a secrets folder say. Raises `ConfigError` where one cannot be read."""
    if not folder:
        return {}
    try:
        files = [path for path in sorted(Path(folder).iterdir()) if path.name.upper().startswith(ENV_PREFIX)]
        return {path.name: path.read_text(encoding="utf-8").strip() for path in files if path.is_file()}
    except UnicodeDecodeError:
        raise ConfigError(f"the secrets folder {folder} has a file that is not text in UTF-8") from None
    except OSError as error:
        raise ConfigError(f"the secrets folder {folder} cannot be read ({error.strerror})") from None


def secret_files(config: Config) -> list[Path]:
    """The files with secrets that this config reads: those of the secrets folder, and those that tables name."""
    folder = config.secrets or ""
    named = [
        Path(value)
        for table in config.crms.values()
        for name in type(table).model_fields
        if name.endswith("_file") and (value := getattr(table, name))
    ]
    return [*(Path(folder) / name for name in _folder_variables(folder)), *named]


def load(path: Path) -> Config:
    """Read and check the config. Raises `ConfigError` with every problem, each with the line it is on.

    The environment wins over the secrets folder, which wins over the file; but only the file switches a CRM on.
    """
    return load_text(_read(path), path)


def load_text(text: str, path: Path) -> Config:
    """The same for a text as if it stood in that file."""
    given = _parse(text, path)
    folder = path.absolute().parent
    secrets = _secrets_folder(given, folder)
    made = config_class()
    unused = {each.name for each in _find_unused(_variables(secrets), given)}
    variables = [each for each in _variables(secrets) if each.name not in unused]
    strange = {each.name: said for each in variables if (said := _strange(each, made))}
    readable = {each.name: each.value for each in variables if each.name not in strange}
    in_file = list(_secrets_in_file(given))
    found = list(in_file)
    try:
        outside = _Variables(made, readable)()
        sources = (
            {"events": add_event_secrets(given["events"], outside.pop("events", None))} if "events" in given else {}
        )
        config = made(**_merged({**_anchored(given, folder, secrets), **_events_anchored(sources, folder)}, outside))
    except ValidationError as error:
        # Without the input, which may be a secret (pydantic/pydantic#9139).
        details = error.errors(include_url=False, include_input=False, include_context=True)
        found += find_mistakes(details, made)
    if strange or found:
        # A secret in the file is blamed there, also where the environment sets it, too.
        blamed = {each.loc for each in in_file}
        elsewhere = {each.loc: each.origin for each in variables if each.loc not in blamed}
        problems = [*strange.values(), *describe_mistakes(found, str(path), text, elsewhere)]
        raise ConfigError(problems, next_command="crmsync check")
    return config


def load_model(text: str, path: Path = Path("model.toml")) -> Model:
    """The scoring model of a config, which is all that `score_table` needs: neither CRMs nor the environment are read.

    The text may be a whole config, or the tables of a model alone. Raises `ConfigError` with every mistake; `path` is
    how they call the text.
    """
    given = _parse(text, path)
    made, unread = config_class(), {*connectors(), "state", "secrets", "web", "alerts"}
    try:
        # A whole config, because its experiments make segments.
        config = made(**{name: value for name, value in given.items() if name not in unread})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=True)
        raise ConfigError(describe_mistakes(find_mistakes(details, made), str(path), text, {})) from None
    return Model(**{name: getattr(config, name) for name in Model.model_fields})


def config_of(text: str, running: Config) -> Config:
    """The config of an earlier `decision_text`; what no decision rests on (limits, CRMs, state) is the `running` one's.

    Raises `ConfigError` where this version of crmsync does not take it any longer.
    """
    own = (*running.crms, "state", "secrets", "guard", "log", "web", "alerts")
    now = {name: getattr(running, name) for name in own}
    stored = json.loads(text)
    known = {each.name: each for each in running.events}
    for each in stored.get("events", ()):
        # Secrets are stored nowhere.
        each |= {key: getattr(known[each["name"]], key) for key in SECRETS if each["name"] in known}
    now["schedule"] = {**running.schedule.model_dump(exclude_unset=True), **stored.get("schedule", {})}
    for crm in connectors().keys() - running.crms.keys():
        # Nobody can read the lists of a CRM that the file left out since.
        stored.get("exclude", {}).pop(connectors()[crm].LISTS, None)
    try:
        return type(running)(**{**stored, **now})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=True)
        again = "the config of that plan can no longer be used; make a new plan"
        found = describe_mistakes(find_mistakes(details, type(running)), "the stored config", "", {})
        raise ConfigError([f"{each} ({again})" for each in found], next_command="crmsync plan") from None


def place_mistakes(path: Path, found: Sequence[Mistake]) -> list[str]:
    """Mistakes that are seen once the file is read, as sentences with their lines; those without a place come last."""
    placed = [each for each in found if each.loc]
    described = describe_mistakes(placed, str(path), _read(path), {}) if placed else []
    return [*described, *(each.said for each in found if not each.loc)]


def unused_variables(config: Config) -> list[str]:
    """Variables for a CRM that the file leaves out, in sentences."""
    given = {**config.crms, "events": [{"name": each.name} for each in config.events]}
    return [
        f"{each.name} is set, but not used, because the file has no "
        + (f"[[events]] with the name {each.loc[1]!r}" if each.table == "events" else f"[{each.table}]")
        for each in _find_unused(_variables(config.secrets or ""), given)
    ]


def _find_unused(variables: Iterable[_Variable], given: Mapping[str, Any]) -> list[_Variable]:
    """Variables for a CRM or a source of events that the file leaves out: only the file switches one on."""
    tables = given.get("events")
    sources = (
        {str(each.get("name")) for each in tables if isinstance(each, dict)} if isinstance(tables, list) else set()
    )
    left_out = connectors().keys() - given.keys()
    return [
        each
        for each in variables
        if each.table in left_out
        or (each.table == "events" and len(each.loc) == 3 and each.loc[2] in SECRETS and each.loc[1] not in sources)
    ]


class _Variable(NamedTuple):
    """A setting from outside the file: its name and value, and where it comes from, in words."""

    name: str
    value: str
    origin: str

    @property
    def loc(self) -> tuple[str | int, ...]:
        """The path of the setting: `("hubspot", "token")`."""
        return tuple(self.name[len(ENV_PREFIX) :].lower().split("__"))

    @property
    def table(self) -> str:
        """The table, or the key outside of tables, that it sets."""
        return str(self.loc[0])


def _variables(secrets: str) -> list[_Variable]:
    """Every setting of the secrets folder and the environment, which wins, in the order of their names."""
    places = [
        (_folder_variables(secrets), f"the file {{}} in {secrets}"),
        (os.environ, "the environment variable {}"),
    ]
    found = {
        name.upper(): _Variable(name, value, called.format(name))
        for variables, called in places
        for name, value in variables.items()
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in RESERVED_ENV
    }
    return [found[name] for name in sorted(found)]


def _strange(variable: _Variable, made: type[Config]) -> str:
    """Why a variable sets nothing: to pass over it would be to run with the wrong value. Empty where it sets one."""
    if variable.table not in made.model_fields:
        return f"{variable.origin} is not a setting; correct or remove it"
    if len(variable.loc) == 1 and variable.table != "log":
        return (
            f"{variable.origin} is the name of a table; add a key with two underscores: "
            f"{ENV_PREFIX}{variable.table.upper()}__…"
        )
    try:
        _Variables(made, {variable.name: variable.value})()
    except (SettingsError, RecursionError):
        return f'{variable.origin}: write a list or a table as JSON, for example ["a", "b"]'
    return ""


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of tables in one; where both say something, `high` does."""
    both = {
        name: _merged(low[name], value)
        for name, value in high.items()
        if isinstance(value, Mapping) and isinstance(low.get(name), Mapping)
    }
    return {**low, **high, **both}


def _read(path: Path) -> str:
    try:
        # With the mark that Windows puts in front of a file.
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        elsewhere = "" if path.is_absolute() else f" in {Path.cwd()}; if yours is elsewhere, name it with --config"
        raise ConfigError(f"there is no config file {path}{elsewhere}", next_command="crmsync init") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8; save it in UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        given = tomllib.loads(text, parse_float=read_decimal)
        if _is_deep(given):
            raise RecursionError
    except tomllib.TOMLDecodeError as error:
        spot = describe_syntax_error(str(path), text, error)
        raise ConfigError(spot.said, next_command="crmsync check", excerpt=spot.excerpt) from None
    except RecursionError:
        raise ConfigError(
            f"{path} has more than {DEEPEST} levels of lists or tables; write conditions side by side with all = "
            "[…] or "
            "any = […]"
        ) from None
    # pydantic-settings would read them all the same, past what is looked for by name: a secret in the file, too.
    known = config_class().model_fields
    capitals = [name for name in given if name not in known and name.lower() in known]
    if capitals:
        said = "this key does not exist; write it in small letters: {}"
        found = [Mistake((name,), said.format(name.lower())) for name in capitals]
        raise ConfigError(describe_mistakes(found, str(path), text, {}), next_command="crmsync check")
    return given


DEEPEST = 100
"""Lists and tables inside one another: what reads them goes as deep as they do."""


def _is_deep(given: Any) -> bool:
    level = [given]
    for _depth in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def _secrets_folder(given: Mapping[str, Any], folder: Path) -> str:
    """The folder of secrets, absolute; empty where there is none."""
    if wanted := os.environ.get("CRMSYNC_SECRETS"):
        return str(Path(wanted).resolve())
    return str(folder / given["secrets"]) if isinstance(given.get("secrets"), str) else ""


def _anchored(given: dict[str, Any], folder: Path, secrets: str) -> dict[str, Any]:
    """Relative paths in the file are relative to the file."""
    anchored = {name: _files_anchored(value, folder) for name, value in given.items()}
    if secrets:
        anchored["secrets"] = secrets
    state = anchored.setdefault("state", {})
    url = state.get("url", State.model_fields["url"].default) if isinstance(state, dict) else None
    found = re.fullmatch(r"sqlite:///([^/].*)", url) if isinstance(url, str) else None
    if found and found[1] != ":memory:":
        state["url"] = f"sqlite:///{folder / found[1]}"
    return anchored


def _events_anchored(sources: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative folders of sources of events are relative to the file."""
    tables = sources.get("events")
    if not isinstance(tables, list):
        return sources
    return {"events": [_folders_anchored(each, folder) for each in tables]}


def _folders_anchored(table: Any, folder: Path) -> Any:
    if not isinstance(table, dict):
        return table
    return {
        name: str(folder / value)
        if name == "folder" and isinstance(value, str)
        else _folders_anchored(value, folder)
        if name == "listen"
        else value
        for name, value in table.items()
    }


def _files_anchored(table: Any, folder: Path) -> Any:
    if not isinstance(table, dict):
        return table
    return {
        name: str(folder / value) if name.endswith("_file") and isinstance(value, str) and value else value
        for name, value in table.items()
    }


def _secrets_in_file(given: Mapping[str, Any]) -> Iterator[Mistake]:
    """Secrets that stand in the file, which is shown, copied and put under version control."""
    tables = {crm: module.Settings for crm, module in connectors().items()} | {"web": Web}
    for name, made in tables.items():
        for loc in _secrets_in_table(given.get(name), made, (name,)):
            variable = ENV_PREFIX + "__".join(loc).upper()
            yield Mistake(
                loc,
                f"a secret does not belong in this file; remove it, and set {variable} in the environment, or write it "
                "into a file of that name in the secrets folder (if anybody else has seen this file, replace the "
                f"secret{' in the CRM' if name in connectors() else ''})",
            )
    yield from find_secret_urls(given.get("alerts"))
    for place, variable in find_event_secrets(given.get("events")):
        said = (
            f"set {ENV_PREFIX}{variable} in the environment, or write it into a file of that name in the secrets folder"
        )
        yield Mistake(place, f"a secret does not belong in this file; remove it, and {said}")
    state = given.get("state")
    url = state.get("url") if isinstance(state, dict) else None
    if isinstance(url, str) and _holds_password(url):
        yield Mistake(
            ("state", "url"),
            "a password does not belong in this file; set the whole address as CRMSYNC_STATE__URL in the environment",
        )


SECRET_PARAMETER = re.compile("(?i)pass|secret|scram")
"""Names of what PostgreSQL takes in the query of an address and that is a password, or leads to one."""


def _holds_password(url: str) -> bool:
    """Whether a password stands in an address: before its host, or in its query."""
    names = [name for name, _value in parse_qsl(url.partition("?")[2], keep_blank_values=True)]
    return any(map(SECRET_PARAMETER.search, names)) or re.match(r"[^/]*//[^/@]*:[^/@]+@", url) is not None


def _secrets_in_table(table: Any, model: type[BaseModel], loc: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Where secrets stand in a table of the file and in the tables inside it."""
    for name in table if isinstance(table, dict) else ():
        info = model.model_fields.get(name)
        for each in (info.annotation, *get_args(info.annotation)) if info else ():
            if each is SecretStr:
                yield (*loc, name)
            elif isinstance(each, type) and issubclass(each, BaseModel):
                yield from _secrets_in_table(table[name], each, (*loc, name))
