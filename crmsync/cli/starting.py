"""The first command: a config that fits the CRMs of whoever starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import orjson
import typer
from pydantic import BaseModel, SecretStr, ValidationError

from crmsync.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    Debug,
    Ending,
    messages_console,
    results_console,
    run_command,
)
from crmsync.cli.interview import NAMES, ask_for_choices, take_offers
from crmsync.cli.lead_score import CRM, OPTION, print_score, read_chosen_score, write_like_score
from crmsync.cli.looking import look_at_crms
from crmsync.cli.questions import ask_text, ask_yes, choose_one, say
from crmsync.config import connectors, template
from crmsync.config.json_schema import make_schema
from crmsync.config.mistakes import find_mistakes
from crmsync.config.settings import ENV_PREFIX
from crmsync.config.starter import Starter, write_first_config
from crmsync.config.starter.description import CRMS, Size
from crmsync.config.starter.offers import CrmFacts, find_shared_users
from crmsync.config.starter.text import SCHEMA_FILE, SCHEMA_LINE
from crmsync.errors import Cancelled, ConfigError
from crmsync.exit_codes import FAILED, Outcome
from crmsync.reporting.console import count_of, make_printable, print_sentences

ModelSize = Annotated[
    str, typer.Option("--model", help="How much to write: small, standard, or full (every key, explained).")
]
Only = Annotated[str | None, typer.Option("--only", help="Use only this CRM: hubspot or salesforce.")]
InstanceUrl = Annotated[
    str | None,
    typer.Option("--instance-url", help="Your Salesforce address, for example https://acme.my.salesforce.com"),
]
FromScore = Annotated[
    str | None,
    typer.Option(
        OPTION, metavar="SCORE", help="Take fields, rules and limits over from this HubSpot lead score (id or name)."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask: take what the CRMs offer.")]

ADDRESS_VARIABLE = "CRMSYNC_SALESFORCE__INSTANCE_URL"

NO_ADDRESS = "the address of the org is not known; write instance_url into the file, or start with --instance-url"

AIMS = ("check what is still missing", "create the score fields in the CRMs", "see what would be written")

WHERE_SECRETS_ARE = {
    "hubspot": "in HubSpot, Development > Keys > Service keys (docs/hubspot.md lists the scopes)",
    "salesforce": "in Salesforce, an External Client App (docs/salesforce.md shows the clicks)",
}


def init(
    config: ConfigPath = DEFAULT_CONFIG,
    model: ModelSize = "standard",
    only: Only = None,
    instance_url: InstanceUrl = None,
    from_score: FromScore = None,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write a first config that fits your CRMs: it looks at them, and asks. It never overwrites a file.

    Example: crmsync init --instance-url https://acme.my.salesforce.com

    Example: crmsync init --from-hubspot-score 60001
    """
    with run_command(as_json, debug, config) as ending:
        only = only if from_score is None else _choose_crm(model, only, instance_url)
        start = _begin(config, model, only, instance_url)
        asks = not (yes or as_json) and has_terminal()
        try:
            start = _complete(start, only, asks=asks)
            facts, not_tried = _look(start, ending)
            score = None if from_score is None else read_chosen_score(start, config, from_score, not_tried, ending)
            if asks:
                _say_found(facts)
                _say_not_tried(not_tried)
                if not_tried and not ask_yes("Go on without them?"):
                    raise typer.Abort
            start = ask_for_choices(start, facts) if asks else take_offers(start, facts)
        except (typer.Abort, Cancelled):
            if asks:
                messages_console().print()
            ending.tell(Outcome(FAILED, "cancelled", ("Stopped. Nothing was written.",)))
            return
        text, about = write_like_score(start, config, score) if score else (write_first_config(start), {})
        if score:
            about["lead_score"]["notes"] = [*about["lead_score"]["notes"], *_note_left_out(start)]
        start = replace(start, has_schema=_write_schema(config))
        _write_new(config, text if start.has_schema else text.removeprefix(f"{SCHEMA_LINE}\n"))
        ending.document = _describe_start(config, start, facts, not_tried) | about
        ending.document["next"] = [ending.typed(f"crmsync {each}") for each in ("check --online", "setup", "plan")]
        if not as_json:
            _print_written(ending.document, start)


def _choose_crm(model: str, only: str | None, instance_url: str | None) -> str | None:
    """The one CRM of a config like a lead score, unless options name the other one. Raises `ConfigError`."""
    if model == "full":
        raise ConfigError(f"{OPTION} writes the rules of the score; remove --model full")
    if only not in (None, CRM):
        raise ConfigError(f"{OPTION} reads a score of HubSpot; remove --only {only}")
    return only or (CRM if instance_url is None else None)


def _note_left_out(start: Starter) -> list[str]:
    """That Salesforce is not in the file, although its secrets are there."""
    if "salesforce" in start.crms or not any(os.environ.get(each) for each in template.SECRETS["salesforce"]):
        return []
    return ["Salesforce is not in this file; for both CRMs, remove the file and add --instance-url to the command"]


def has_terminal() -> bool:
    """Whether somebody can read questions and answer them."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _begin(config: Path, model: str, only: str | None, instance_url: str | None) -> Starter:
    """What the options say. Raises `ConfigError` before anything is asked."""
    sizes: tuple[Size, ...] = get_args(Size)
    size = next((each for each in sizes if each == model), None)
    if size is None:
        raise ConfigError(f"--model {model}: this size does not exist; use {', '.join(sizes[:-1])} or {sizes[-1]}")
    if only is not None and only not in CRMS:
        raise ConfigError(f"--only {only}: this CRM does not exist; use {' or '.join(CRMS)}")
    crms = tuple(crm for crm in CRMS if only in (None, crm))
    if instance_url is not None and "salesforce" not in crms:
        raise ConfigError(f"--instance-url is the address of a Salesforce org; remove --instance-url or --only {only}")
    address = "" if instance_url is None else _read_address(instance_url, "--instance-url")
    if config.exists():
        raise _already_there(config)
    if not config.absolute().parent.is_dir():
        raise ConfigError(f"{config} cannot be written: there is no folder {config.absolute().parent}")
    return Starter(size, crms, address)


def _already_there(path: Path) -> ConfigError:
    return ConfigError(f"{path} already exists and was not changed; choose another file with --config")


def _read_address(given: str, source: str) -> str:
    """The address as the config would take it. Raises `ConfigError` where it would not."""
    settings: type[BaseModel] = connectors()["salesforce"].Settings
    try:
        return str(settings.model_validate({"instance_url": given}).model_dump()["instance_url"])
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=True)
        raise ConfigError([f"{source} {given}: {each.said}" for each in find_mistakes(details, settings)]) from None


def _complete(start: Starter, only: str | None, *, asks: bool) -> Starter:
    """Which CRMs there are, and where Salesforce is: as the options say, else as somebody answers."""
    if asks and only is None:
        labels = [" and ".join(NAMES[crm] for crm in CRMS), *(NAMES[crm] for crm in CRMS)]
        crms = [CRMS, *((crm,) for crm in CRMS)]
        offer = 0 if start.instance_url else _offer_crms()
        start = replace(start, crms=crms[choose_one("Which CRMs do you use?", labels, offer) or 0])
    if "salesforce" not in start.crms:
        return replace(start, instance_url="")
    if not start.instance_url and (named := os.environ.get(ADDRESS_VARIABLE)):
        start = replace(start, instance_url=_read_address(named, ADDRESS_VARIABLE))
    if asks and not start.instance_url:
        say("\nThe address of your Salesforce is in Setup > My Domain. Enter alone: write it into the file later.")
        start = replace(start, instance_url=_ask_for_address())
    return start


def _offer_crms() -> int:
    """Both CRMs, or the one of which alone the secrets are there."""
    there = [crm for crm in CRMS if not _missing_secrets(crm)]
    return 1 + CRMS.index(there[0]) if len(there) == 1 else 0


def _ask_for_address() -> str:
    while typed := ask_text("Address, for example https://acme.my.salesforce.com"):
        try:
            return _read_address(typed, "The address")
        except ConfigError as error:
            for problem in error.problems:
                say(problem)
    return ""


def _missing_secrets(crm: str) -> list[str]:
    """The variables that are not set; none with a secrets folder, or where another way to log in has its secret."""
    usual = template.SECRETS[crm]
    ways = [
        f"{ENV_PREFIX}{crm.upper()}__{name.upper()}"
        for name, field in connectors()[crm].Settings.model_fields.items()
        if SecretStr in (field.annotation, *get_args(field.annotation))
    ]
    if any(os.environ.get(each) for each in ("CRMSYNC_SECRETS", *(way for way in ways if way not in usual))):
        return []
    return [name for name in usual if not os.environ.get(name)]


def _look(start: Starter, ending: Ending) -> tuple[dict[str, CrmFacts], dict[str, str]]:
    """What the CRMs say of themselves, and for the others why they were not looked at."""
    why = {crm: _describe_missing(crm, missing) for crm in start.crms if (missing := _missing_secrets(crm))}
    if "salesforce" in start.crms and not start.instance_url:
        why.setdefault("salesforce", NO_ADDRESS)
    reachable = tuple(crm for crm in start.crms if crm not in why)
    if reachable and sys.stderr.isatty():
        say(f"Asking {' and '.join(NAMES[crm] for crm in reachable)} …")
    facts, refusals = look_at_crms(replace(start, crms=reachable), ending)
    return facts, {crm: (why | refusals)[crm] for crm in start.crms if crm in why | refusals}


def _describe_missing(crm: str, missing: Sequence[str]) -> str:
    verb = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {verb} not set; you get the value {WHERE_SECRETS_ARE[crm]}"


def _write_schema(config: Path) -> bool:
    """Write the JSON schema for editors beside the config, where there is none; whether there is one then."""
    path = config.absolute().parent / SCHEMA_FILE
    try:
        with open(path, "xb") as file:
            file.write(orjson.dumps(make_schema(), option=orjson.OPT_INDENT_2) + b"\n")
    except FileExistsError:
        return path.is_file()
    except OSError:
        return False
    return True


def _write_new(path: Path, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _already_there(path) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _describe_start(
    config: Path, start: Starter, facts: Mapping[str, CrmFacts], not_tried: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "config": str(config),
        "schema": str(config.parent / SCHEMA_FILE) if start.has_schema else None,
        "model": start.size,
        "crms": list(start.crms),
        "looked_at": [_describe_facts(each) for each in facts.values()],
        "not_tried": [{"crm": crm, "why": why} for crm, why in not_tried.items()],
        "members": list(start.members),
    }


def _describe_facts(facts: CrmFacts) -> dict[str, Any]:
    return {
        "crm": facts.crm,
        "account": facts.account,
        "fields": len(facts.fields),
        "stages": len(facts.stage_choices()),
        "users": len(find_shared_users([facts])),
        "not_tried": list(facts.gaps),
    }


def _say_found(facts: Mapping[str, CrmFacts]) -> None:
    for each in facts.values():
        say(_show_facts(_describe_facts(each)))


def _show_facts(found: Mapping[str, Any]) -> str:
    counts = [count_of(found[f"{thing}s"], thing) for thing in ("field", "stage")]
    counts.append(count_of(found["users"], "active user"))
    lacking = "".join(f"\n    not looked at: {each}" for each in found["not_tried"])
    return f"  {NAMES[found['crm']]}, account {found['account']}: {', '.join(counts)}{lacking}"


def _say_not_tried(not_tried: Mapping[str, str]) -> None:
    for crm, why in not_tried.items():
        say(f"  {NAMES[crm]} was not looked at: {why}")


def _print_written(document: Mapping[str, Any], start: Starter) -> None:
    console = results_console()
    print_sentences(console, f"{document['config']} is written ({document['model']}). Read it before the next step.")
    if document["schema"]:
        print_sentences(console, f"{document['schema']} explains its keys to your editor (TOML plug-ins read it).")
    if document["looked_at"]:
        console.print("Looked at:")
    for each in document["looked_at"]:
        print_sentences(console, make_printable(_show_facts(each)))
    if document["not_tried"]:
        console.print("Not looked at, so that what is usual was written:")
    for each in document["not_tried"]:
        print_sentences(console, make_printable(f"  {NAMES[each['crm']]}: {each['why']}"))
    for sentence in _describe_owners(document["members"]):
        print_sentences(console, make_printable(sentence))
    if missing := [name for crm in start.crms for name in _missing_secrets(crm)]:
        print_sentences(console, "Set the secrets as environment variables:")
        print_sentences(console, f"  {', '.join(missing)}")
    if "lead_score" in document:
        print_score(console, document["lead_score"])
    console.print("Next:")
    width = max(map(len, document["next"]))
    for command, what in zip(document["next"], AIMS, strict=True):
        console.print(f"  {command:<{width}}   {what}", soft_wrap=True)


def _describe_owners(members: Sequence[str]) -> list[str]:
    if not members:
        return ["No owners are assigned until you name them in [[owner_pool]] and [[route]] (docs/routing.md)."]
    return [f"New MQLs go to {count_of(len(members), 'user')}, in turn: {', '.join(members)}."]
