"""The doctor: errors and warnings about a config, by itself and against the CRMs."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from crmsync.bootstrap import connect_one, existing_state
from crmsync.columns import Columns
from crmsync.config import Config, config_of, connectors, secret_files, unused_variables
from crmsync.config.events import EventSource
from crmsync.config.load import place_mistakes
from crmsync.config.mistakes import Mistake
from crmsync.config.model import RULE_TABLES, selections_of_rule
from crmsync.config.rules import Behavior
from crmsync.config.settings import attributes_of, flat_values, kinds_of
from crmsync.config.tables import spelled_duration
from crmsync.config.template import INSTANCE_URL
from crmsync.connector import DescribedField, FieldCatalog, FieldMap, MissingField, Stop
from crmsync.counts import count_of
from crmsync.errors import ConfigError, StateOutdated, Unavailable
from crmsync.events.source import check_source
from crmsync.identity.matching import normal_email
from crmsync.lint import Finding, lint_fields, lint_model, lint_owners, lint_with_data
from crmsync.lint.owner_checks import assigns_owners, describe_members, list_members, names_users, routed_pools
from crmsync.planning.people_columns import read_holds, read_people_columns
from crmsync.reporting.field_values import list_differing_records
from crmsync.routing.owners import Owners, owners_of
from crmsync.routing.tryout import try_lead
from crmsync.scoring import failed_tests, score, worth_knowing
from crmsync.store.cursors import was_read_so
from crmsync.store.queries import held_bands, some_people, stage_counts
from crmsync.store.run_journal import adopted_config

SAMPLE = 20_000
"""People of the state that a check looks at."""


STAGES_NAMED = 10
"""Stages without a name in the config that a check lists."""


def diagnose(config: Config, now: datetime, stop: Stop | None, path: Path | None = None) -> dict[str, Any]:
    """Errors (`problems`), `warnings` and what is worth knowing (`notes`); with `stop`, each CRM is asked too.

    With the `path` of the file, errors name its lines.
    Where a state is there already, the people in it are looked at as well. Each of `crms` then has `reached`,
    `account`, `problems`, `setup_creates` (the problems that `crmsync setup` solves), `notes`, and `members`: for
    everybody whom a route may choose the `pool`, the `email` and the `state` there, which is `active`, `inactive` (not
    a user who can own records any longer) or `missing`. Each of `events`, the sources of events, has the first of them.
    """
    today = now.astimezone(config.zone).date()
    asked = {crm: _asked(config, crm, stop) for crm in config.crms} if stop else {}
    crms = {crm: answer.said for crm, answer in asked.items()}
    events = {each.name: _try_source(each) for each in config.events} if stop else {}
    of_model = lint_model(config, kinds_of(config), today, config.fields)
    findings = [
        *of_model,
        *_lint_state(config, now),
        *_lint_start(config),
        *_lint_feeds(config),
        *_lint_attributes(config),
        *_lint_counts(config),
        *_lint_secret_files(config),
        *lint_owners(config, {crm: it.owners for crm, it in asked.items() if it.owners is not None}),
        *lint_fields(config, {crm: (_label_of(crm), it.described) for crm, it in asked.items()}),
    ]
    wrong = [Mistake(each.loc, each.sentence, itself=True) for each in findings if each.level == "error"]
    if all(each.level != "error" for each in of_model):
        wrong = [*failed_tests(config, config.zone), *_misrouted(config), *wrong]
    elif config.test:
        # Whoever is scored by a broken rule comes out wrong as well: one mistake is one sentence.
        findings.append(Finding("note", "the test leads were not tried, because the model has errors"))
    problems = place_mistakes(path, wrong) if path else [each.said for each in wrong]
    if not config.crms:
        problems.append(f"the config has no CRM; add a table [{'] or ['.join(sorted(connectors()))}]")
    judged = [*crms.values(), *events.values()]
    is_wrong = bool(problems) or any(each["problems"] for each in judged)
    unreached = any(not each["reached"] for each in judged)
    return {
        "ok": not is_wrong and not unreached,
        "rules": len(config.rules()),
        "test_leads": len(config.test),
        "problems": problems,
        "warnings": [each.sentence for each in findings if each.level == "warning"],
        "notes": [*(each.sentence for each in findings if each.level == "note"), *unused_variables(config)],
        "crms": crms,
        "events": events,
    }


def _label_of(crm: str) -> str:
    """What people call a CRM."""
    return str(getattr(connectors()[crm], "LABEL", crm))


def _try_source(source: EventSource) -> dict[str, Any]:
    """What a source of events says when it is tried; nothing is read into the state."""
    try:
        return {"reached": True, "problems": [], "notes": list(check_source(source))}
    except Unavailable as error:
        return {"reached": False, "problems": [], "notes": [f"not reached: {error}"]}
    except ConfigError as error:
        return {"reached": True, "problems": list(error.problems), "notes": []}


def _lint_feeds(config: Config) -> Iterator[Finding]:
    """Types of [feeds] that nothing brings: what is written of them holds for nothing."""
    known = kinds_of(config)
    for kind in sorted(config.feeds.keys() - known):
        said = f"[feeds] {kind}: no activity source has this type; the types are {', '.join(sorted(known))}"
        yield Finding("error", said, ("feeds", kind))


def _lint_attributes(config: Config) -> Iterator[Finding]:
    """Attributes that rules ask for and no activity source gives: such a rule never matches."""
    if not config.crms:
        return
    known, kinds = attributes_of(config), kinds_of(config)
    for _loc, rule in config.placed(*RULE_TABLES, "disqualify"):
        asked = [(on, {*where}) for on, where in selections_of_rule(rule)]
        asked += [(rule.on, {*rule.at_least_sum})] if isinstance(rule, Behavior) else []
        for on, names in asked:
            there = set[str]().union(*(known.get(kind, ()) for kind in on))
            for name in sorted(names - there) if kinds.issuperset(on) and not known.keys().isdisjoint(on) else ():
                said = f'"{rule.name}" asks for the attribute "{name}", which no source gives {" or ".join(on)}'
                has = f"the attributes are {', '.join(sorted(there))}" if there else "it has none"
                yield Finding("warning", f"{said}; {has}; name it in the attributes of the source")


def _lint_counts(config: Config) -> Iterator[Finding]:
    """Counts of accounts that nothing brings anything for, that nobody asks for, or that are not foreseen."""
    known = kinds_of(config)
    asked = config.used_fields() | {name for _loc, each in config.placed_decisions() for name in each.fields()}
    for field, count in sorted(config.account_counts().items()):
        for kind in sorted(set(count.on) - known):
            said = f"[account.counts] {field}: no activity source has the type {kind!r}, so that it is always 0"
            yield Finding("error", f"{said}; the types are {', '.join(sorted(known))}")
        if field not in asked:
            yield Finding("note", f"nothing asks for {field}; remove it from [account.counts], or write a rule")
        foreseen = [name for name in ("until", "next") if name in config.write.fields]
        if foreseen and count.window and field in config.used_fields():
            said = f"[write.fields] {' and '.join(foreseen)}: what is foreseen goes by today's {field}"
            leaving = f"what is older than {spelled_duration(count.window)} leaves that count day by day"
            yield Finding("note", f"{said}, although {leaving}")


def _lint_start(config: Config) -> Iterator[Finding]:
    """What a first config leaves open: the address of the example, and who gets people."""
    if getattr(config.crms.get("salesforce"), "instance_url", None) == INSTANCE_URL:
        yield Finding(
            "warning",
            f"[salesforce] instance_url is still the one of the example, {INSTANCE_URL}; write yours (Setup > My "
            "Domain)",
        )
    routed = routed_pools(config)
    for pool in config.owner_pool:
        if pool.name not in routed:
            yield Finding(
                "warning",
                f"[[owner_pool]] {pool.name}: no [[route]] uses it, so its members get no records; add a route or "
                "remove the pool",
            )
    on = config.tasks.on if config.tasks else []
    for tag, action in config.feedback.tags.items() if config.feedback else ():
        if action == "task" and "feedback" not in on:
            yield Finding(
                "warning",
                f'the tag "{tag}" makes no task; add [tasks] on = ["feedback"], or write "keep" for the tag',
            )
    if not config.alerts.urls:
        yield Finding(
            "note",
            "nobody is told when something is wrong, because no alerts are set up; set CRMSYNC_ALERTS__URLS in the "
            "environment, and type crmsync alert --test",
        )
    if config.write.owner and not config.route:
        yield Finding(
            "note",
            "no owners are assigned, because the file has no [[route]]; add one and an [[owner_pool]], or set [write] "
            "owner = false",
        )


def _lint_secret_files(config: Config) -> Iterator[Finding]:
    """Files with secrets that others can change or read; what a container mounts is root's and cannot be mended."""
    for path in secret_files(config):
        with suppress(OSError):  # who reads it says that it is not there
            found = path.stat()
            mode, remedy = stat.S_IMODE(found.st_mode), f"type: chmod 600 {shlex.quote(str(path))}"
            if mode & 0o022:
                yield Finding(
                    "error", f"{path} contains a secret, and other users can change it (mode {mode:o}); {remedy}"
                )
            elif mode & 0o044 and found.st_uid == os.geteuid():
                yield Finding(
                    "warning", f"{path} contains a secret, and other users can read it (mode {mode:o}); {remedy}"
                )
            elif mode & 0o004:
                yield Finding(
                    "note",
                    f"{path} contains a secret that every user of this machine or container can read (mode "
                    f"{mode:o}); this is "
                    "normal for secrets mounted into a container",
                )


def _list_unknown_stages(config: Config, crm: str, values: Collection[str]) -> Iterator[str]:
    """The stages of the CRM's own that the file lists and neither it nor the CRM has: they keep nobody."""
    named = {each.name for each in config.stage}
    spelled = {each.casefold() for stage in config.stage for each in flat_values(stage)}
    unknown = [
        each
        for each in config.lifecycle.crm_owned
        if each not in named and each.casefold() not in spelled and each.casefold() not in values
    ]
    if unknown and values:
        yield f"[lifecycle] crm_owned: {crm} has no stage {', '.join(unknown)}; correct the name if it should have"


def _sampled(config: Config, reading: Connection, now: datetime) -> Columns | None:
    """Some of the people in the state; `None` where there are none yet."""
    people = some_people(reading, SAMPLE)
    return read_people_columns(reading, config, people, read_holds(reading, config, now), now=now) if people else None


def _lint_stages(config: Config, reading: Connection) -> Iterator[Finding]:
    """The stages that records are in and the config does not name; those that it names since the last run apart."""
    if not (config.write.stage and config.stage):
        return
    named = {stage.name for stage in config.stage}
    counts = [each for each in stage_counts(reading) if each[2] not in named]
    new = _find_new_stages(config, reading, counts)
    for name in dict.fromkeys(new.values()):
        yield Finding("note", _not_read_yet(f"the stage {name}"))
    for crm, kind, stage, many in [each for each in counts if each[:3] not in new][:STAGES_NAMED]:
        are = "is" if many == 1 else "are"
        yield Finding(
            "note",
            f"{crm}: {count_of(many, kind)} {are} in the stage {stage}, which has no [[stage]]; whether they move "
            "forward depends on the order of stages in the CRM",
        )


def _lint_bands(config: Config, reading: Connection) -> Iterator[Finding]:
    """The bands that people were given and the file does not have any longer."""
    for name, many in held_bands(reading, config.band_names()).items():
        if name not in config.bands:
            said = f"{count_of(many, 'person')} {'is' if many == 1 else 'are'} in the band {name}"
            yield Finding(
                "note", f"{said}, which is not in [bands]; the next run gives a band of the file instead: crmsync plan"
            )


def _find_new_stages(
    config: Config, reading: Connection, counts: Sequence[tuple[str, str, str, int]]
) -> dict[tuple[str, str, str], str]:
    """What the config calls the stages that the state has by the name of an earlier config, or by the CRM's value."""
    adopted = adopted_config(reading) if counts else None
    try:
        before = config if adopted is None else config_of(adopted[1], config)
    except ConfigError:
        return {}  # of another version of crmsync
    found = {}
    for crm, kind, stage, _many in counts:
        if crm in config.crms:
            value = FieldMap.spelled(before.field_map(crm).stages, kind).get(stage, stage)
            names = {value: name for name, value in FieldMap.spelled(config.field_map(crm).stages, kind).items()}
            if value in names:
                found[crm, kind, stage] = names[value]
    return found


def _not_read_yet(what: str) -> str:
    return f"{what} is new and not read yet; the next run does that: crmsync plan"


def _lint_state(config: Config, now: datetime) -> list[Finding]:
    """What the people in the state show about the model; nothing where there is no state yet."""
    try:
        with existing_state(config) as store:
            if store is None:
                return []
            with store.read() as reading:
                columns = _sampled(config, reading, now)
                outdated = [*_lint_bands(config, reading), *_lint_stages(config, reading)]
                outdated += [Finding("warning", each) for each in list_differing_records(config, reading)]
                unread = [] if columns is None else _find_unread(config, reading, columns)
    except StateOutdated as error:
        return [Finding("note", f"the people in the state were not checked: {error}")]
    return [*_lint_people(config, columns, now, unread), *outdated]


def _find_unread(config: Config, reading: Connection, columns: Columns) -> list[str]:
    """The fields that were mapped (or mapped otherwise) after the last pull: nobody has a value of them yet."""
    changed = {crm for crm in config.crms if not was_read_so(reading, crm, config.mapping_hash(crm))}
    return [
        name
        for name in sorted(config.read_fields() & config.fields.keys())
        if changed & config.fields[name].keys() and all(each is None for each in columns.fields.get(name, ()))
    ]


def _lint_people(config: Config, columns: Columns | None, now: datetime, unread: Sequence[str]) -> list[Finding]:
    if columns is None:
        return []
    scores = score(config, columns, now, config.zone)
    found = lint_with_data(config, scores, columns, kinds_of(config), int(now.timestamp()), unread)
    gaps = worth_knowing(config, scores, columns, now, config.zone)
    return [
        *(Finding("note", _not_read_yet(name)) for name in unread),
        *found,
        *(Finding("warning", sentence) for sentence in scores.warnings),
        *(
            Finding(
                "note",
                f"{name} is missing for {lacking:,} of {count_of(len(columns.people), 'person')}; "
                f"it could change the band of {moving:,} of them",
            )
            for name, lacking, moving in gaps
            if moving and name not in unread
        ),
    ]


def _misrouted(config: Config) -> Iterator[Mistake]:
    """Test leads who come to another stage, owner or track than expected, where nobody had a turn yet."""
    for loc, test in config.placed("test"):
        expect = test.expect
        owner = None if expect.owner is None else normal_email(expect.owner)
        wanted = {"stage": expect.stage, "owner": owner, "track": expect.track}
        if not any(wanted.values()):
            continue
        try:
            got = try_lead(config, test)
        except ConfigError:
            continue  # `failed_tests` has told it
        for name, value in wanted.items():
            if value not in (None, getattr(got, name)):
                said = f"test lead {test.name!r}: {name} is {getattr(got, name)!r}, expected {value!r} ({got.why})"
                yield Mistake(loc, said, itself=True)


def _creatable(missing: Sequence[MissingField]) -> list[str]:
    """The problems that `crmsync setup` solves."""
    return [each.sentence for each in missing if each.role != "field" and "crmsync setup" in each.sentence]


class _Answer(NamedTuple):
    """What one CRM `said`, who can own records in it (where the config gives owners), and what fields it has."""

    said: dict[str, Any]
    owners: Owners | None
    described: Sequence[DescribedField]


def _asked(config: Config, crm: str, stop: Stop) -> _Answer:
    directory, described = None, list[DescribedField]()
    said: dict[str, Any] = {
        "reached": True,
        "account": "",
        "problems": (),
        "notes": (),
        "members": [],
        "setup_creates": [],
    }
    try:
        with connect_one(config, crm, {}, stop) as connected:
            found = connected.check()
            said |= {"account": found.account, "problems": found.problems, "notes": found.notes}
            said["setup_creates"] = _creatable(connected.missing_fields()) if found.problems else []
            if isinstance(connected, FieldCatalog):
                described = [*connected.describe_fields()]
            if config.lifecycle.model_fields_set:
                values = {each.casefold() for some in connected.stage_order().values() for each in some}
                said["notes"] = (*said["notes"], *_list_unknown_stages(config, crm, values))
            if names_users(config):
                directory = owners_of(connected.owners(), config.write.unassigned_users)
            if directory is not None and assigns_owners(config):
                said["members"] = list_members(config, crm, directory)
                said["notes"] = (*said["notes"], *describe_members(said["members"]))
    except Unavailable as error:
        said |= {"reached": False, "notes": (*said["notes"], f"not reached: {error}")}
    except ConfigError as error:
        said["problems"] = tuple(dict.fromkeys((*said["problems"], *error.problems)))
    return _Answer(said, directory, described)
