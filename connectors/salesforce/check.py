"""What `crmsync check --online` asks a Salesforce org."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial

from connectors.salesforce.activities import activity_sources
from connectors.salesforce.client import Org
from connectors.salesforce.contacts import RecordReader
from connectors.salesforce.errors import RequestRefused, RequestTooLong, query_page, record_counts
from connectors.salesforce.left_out import hidden_source, refused_columns, refused_source
from connectors.salesforce.lookups import is_readable
from connectors.salesforce.memberships import find_campaign_problems
from connectors.salesforce.missing_fields import (
    lacking_values,
    missing_input,
    missing_outputs,
    missing_stage,
    missing_task_key,
    missing_values,
)
from connectors.salesforce.outcomes import (
    DESCRIBED,
    HISTORY,
    LEADS,
    ROLES,
    hidden_sentence,
    opportunity_source,
    value_path,
)
from connectors.salesforce.outcomes import OBJECT as OPPORTUNITY
from connectors.salesforce.owners import NO_TYPES, USER, has_types
from connectors.salesforce.paging import instant_literal, query_columns
from connectors.salesforce.payload import converted_statuses
from connectors.salesforce.refused_columns import ask_readable
from connectors.salesforce.schema import HOLDING, KINDS, NUMBERS, OBJECTS, TASK_KEY, Schema
from connectors.salesforce.setup import CHOICE_DESCRIPTION, DESCRIPTION, value_remedy
from connectors.salesforce.source import Source
from crmsync.config.tables import Feed
from crmsync.connector import Checkup, FieldMap, plain_name
from crmsync.counts import count_of
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import find_score_field

SEEN_SHARE = 0.9
"""Below this share of an object's records, sharing hides some of them from the integration user."""

BLIND_DAYS = timedelta(days=30)

WITHOUT = {
    ROLES: "the people of an opportunity are known only where a lead was converted into it; give its permission set "
    "'Read' on Contact and Opportunity",
    LEADS: "opportunities are not joined with the leads that became them; give its permission set 'Read' on it",
    HISTORY: "the stages that opportunities went through are not known; give its permission set 'Read' on Opportunity",
}
"""What is not known of opportunities without each of their lookups, and what shows it."""


def check(
    org: Org, schema: Schema, readers: Mapping[str, RecordReader], names: FieldMap, account: Callable[[], str]
) -> Checkup:
    """Everything an admin should know before the first run. Never raises for what the org says; it tells it."""
    schema.forget_all()
    try:
        found = account()
    except (ConfigError, Unavailable) as error:
        return Checkup("", (str(error),))
    problems: list[str] = []
    notes: list[str] = []
    sources = [*dict.fromkeys(feed.source for feed in org.settings.activities), *(DESCRIBED if names.outcomes else ())]
    schema.learn([*OBJECTS.values(), "Account", USER, *sources])
    read = [*OBJECTS.values(), *([OPPORTUNITY] if names.outcomes and schema.of(OPPORTUNITY) else [])]
    parts: Sequence[Callable[[], Iterator[tuple[bool, str]]]] = (
        lambda: _refused(org, schema, readers, names),
        *(lambda reader=reader: _fields(org, schema, reader) for reader in readers.values()),
        *(lambda reader=reader: _outputs(schema, reader) for reader in readers.values()),
        *(lambda reader=reader: _stages(org, schema, reader) for reader in readers.values()),
        lambda: _tasks(schema) if names.tasks else iter(()),
        lambda: _outcomes(schema, names) if names.outcomes else iter(()),
        lambda: ((PROBLEM, each) for each in find_campaign_problems(org, names.lists)),
        lambda: _visible(org, read),
        lambda: _person_accounts(schema),
        lambda: iter(() if has_types(schema) else ((NOTE, NO_TYPES),)),
        lambda: _feeds(schema, org.settings.activities, named="activities" in org.settings.model_fields_set),
        lambda: _blindness(org, schema, org.settings.activities),
        lambda: _quota(org),
    )
    for part in parts:
        try:
            for is_problem, sentence in part():
                (problems if is_problem else notes).append(sentence)
        except (RequestRefused, Unavailable) as error:
            notes.append(f"could not be checked: {error}")
    return Checkup(found, tuple(problems), tuple(notes))


PROBLEM, NOTE = True, False


def _refused(
    org: Org, schema: Schema, readers: Mapping[str, RecordReader], names: FieldMap
) -> Iterator[tuple[bool, str]]:
    """What describe lists and no query reads: each is asked for one record. Of fields of people `_fields` speaks."""
    feeds, asked = org.settings.activities, {"no_own_tasks": names.tasks, "shared_ids": names.shared_ids}
    visible = [reader for reader in readers.values() if schema.pullable(OBJECTS[reader.kind])]
    yield from ((PROBLEM, sentence) for reader in visible if (sentence := reader.hidden(schema)))
    people: list[Callable[[], Source]] = [
        partial(reader.source, schema) for reader in visible if not reader.hidden(schema)
    ]
    sources = activity_sources(schema, feeds, **asked)
    deals = [partial(opportunity_source, schema, names)] if names.outcomes and not hidden_sentence(schema) else []
    makes: list[Callable[[], Source]] = [*people, *(make for _, make in sources.values()), *deals]
    org.ask_together([_one_row(make(), schema) for make in makes])
    for make in makes:
        name = make().object
        try:
            ask_readable(schema, make, lambda source: org.query(_one_row(source, schema)))
        except (RequestRefused, RequestTooLong) as error:
            yield PROBLEM, refused_source(name, error) if name in sources else str(error)
        if name not in KINDS or make in deals:
            yield from ((PROBLEM, each) for each in refused_columns(schema, name))


def _one_row(source: Source, schema: Schema) -> str:
    columns = ", ".join(column.path for column in query_columns(source, schema))
    return f"SELECT {columns} FROM {source.object} LIMIT 1"


def _fields(org: Org, schema: Schema, reader: RecordReader) -> Iterator[tuple[bool, str]]:
    """Mapped fields that this user does not see, and formulas, which change without a trace."""
    for own, path in reader.fields.items():
        name, known = plain_name(own), schema.resolve(OBJECTS[reader.kind], path)
        if sentence := missing_input(schema, reader, name, path):
            yield PROBLEM, sentence
        elif lacking := lacking_values(schema, reader.kind, path, reader.choices.get(name, ())):
            said = f"{OBJECTS[reader.kind]}.{path} (the field {name!r}) has no active value"
            remedy = value_remedy(org, OBJECTS[reader.kind], path, CHOICE_DESCRIPTION, f"[{name}]")
            yield PROBLEM, f"{said} {', '.join(map(repr, lacking))}; {remedy}"
        elif known and known.calculated:
            yield (
                NOTE,
                f"{OBJECTS[reader.kind]}.{path} (the field {name!r}) is a formula: crmsync sees a new value of the "
                "formula only when the record itself changes, or at the next full pull",
            )


def _outputs(schema: Schema, reader: RecordReader) -> Iterator[tuple[bool, str]]:
    """Fields of ours that are missing, locked or of the wrong type."""
    object_ = OBJECTS[reader.kind]
    yield from ((PROBLEM, each.sentence) for each in missing_outputs(schema, reader))
    for name, api in reader.score_fields.items():
        known = schema.of(object_).get(api.lower())
        if known and not known.writable:
            yield (
                PROBLEM,
                f"{object_}.{api} (the score field {name!r}) cannot be edited; grant Edit in the permission set",
            )
        elif known and known.type not in HOLDING.get(of := find_score_field(name).type, (known.type,)):
            yield PROBLEM, f"{object_}.{api} (the score field {name!r}) must be a {of}, not {known.type}"


def _stages(org: Org, schema: Schema, reader: RecordReader) -> Iterator[tuple[bool, str]]:
    """Stage values that the picklist lacks, or that only a conversion may set."""
    object_, path = OBJECTS[reader.kind], reader.stage_field
    yield from ((PROBLEM, each.sentence) for each in missing_stage(schema, reader))
    known = schema.of(object_).get(path.lower())
    if known is None or not reader.stages:
        return
    if not known.writable:
        yield PROBLEM, f"{object_}.{path} (the stage) cannot be edited; grant Edit in the permission set"
        return
    yield from _stage_values(org, schema, reader)
    if (reader.kind, known.name) != ("lead", "Status"):
        return
    for value in sorted(converted_statuses(org) & set(reader.stages)):
        yield (
            PROBLEM,
            f"the stage {reader.stages[value]!r} is the converted status {value!r}, which only a lead conversion "
            "can set",
        )


def _stage_values(org: Org, schema: Schema, reader: RecordReader) -> Iterator[tuple[bool, str]]:
    object_, api = OBJECTS[reader.kind], reader.stage_field
    lacking = missing_values(schema, reader)
    remedy = value_remedy(org, object_, api, DESCRIPTION, "[[stage]]") if lacking else ""
    for value, name in lacking.items():
        yield PROBLEM, f"{object_}.{api} has no active value {value!r} for the stage {name!r}; {remedy}"


def _tasks(schema: Schema) -> Iterator[tuple[bool, str]]:
    """What keeps tasks from being created."""
    if sentence := missing_task_key(schema):
        yield PROBLEM, sentence
        return
    fields = schema.of("Task")
    if "subject" not in fields or not fields["subject"].writable:
        yield PROBLEM, "the integration user cannot create tasks; give its permission set 'Edit Tasks'"
    if not fields[TASK_KEY.lower()].writable:
        yield PROBLEM, f"Task.{TASK_KEY} (the key of tasks) cannot be edited; grant Edit in the permission set"


def _outcomes(schema: Schema, names: FieldMap) -> Iterator[tuple[bool, str]]:
    """What keeps opportunities from being read, and what is not known of them."""
    if sentence := hidden_sentence(schema):
        yield PROBLEM, sentence
        return
    path = value_path(names)
    known = found[1] if (found := schema.find(OPPORTUNITY, path)) else None
    if known is None:
        said = "does not exist or the integration user cannot see it; correct [outcome], or give its permission set"
        yield PROBLEM, f"{OPPORTUNITY}.{path} (the value of opportunities) {said} 'Read' on {path}"
    elif known.type not in NUMBERS:
        yield PROBLEM, f"{OPPORTUNITY}.{path} (the value of opportunities) must be a number, not {known.type}"
    for lookup, lacking in WITHOUT.items():
        if not is_readable(schema, lookup):
            yield NOTE, f"the integration user cannot read {lookup.object}.{lookup.key}, so {lacking}"


def _visible(org: Org, objects: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """Sharing hides records without an error: compare what is seen with what there is."""
    there = org.spare("GET", f"limits/recordCount?sObjects={','.join(objects)}", read=record_counts)
    for object_ in objects:
        seen = _count(org, f"SELECT COUNT() FROM {object_}")
        if seen < SEEN_SHARE * there.get(object_, 0):
            yield (
                PROBLEM,
                f"the integration user sees {seen:,} of about {count_of(there[object_], f'{object_} record')}; "
                f"give its permission set 'View All Records' on {object_}",
            )
        else:
            yield NOTE, count_of(seen, f"{object_} record")


def _person_accounts(schema: Schema) -> Iterator[tuple[bool, str]]:
    if "ispersonaccount" in schema.of("Account"):
        yield (
            NOTE,
            "this org has person accounts: their contacts are read, but Salesforce may refuse updates; test one first "
            "(docs/salesforce.md)",
        )


def _feeds(schema: Schema, feeds: Sequence[Feed], *, named: bool) -> Iterator[tuple[bool, str]]:
    """Sources of activities that this user does not see, or not in full; a problem where the config names them."""
    for source in dict.fromkeys(feed.source for feed in feeds):
        if sentence := hidden_source(schema, source):
            yield named, sentence
            continue
        for path in dict.fromkeys(path for feed in feeds if feed.source == source for path in feed.where):
            if not schema.resolve(source, path):
                yield (
                    PROBLEM,
                    f"{source}.{path} is not visible to the integration user, so activity sources read it as empty",
                )


def _blindness(org: Org, schema: Schema, feeds: Sequence[Feed]) -> Iterator[tuple[bool, str]]:
    """Einstein Activity Capture can keep e-mails outside the records: then leads are active and nothing is logged."""
    since = instant_literal(org.now() - BLIND_DAYS)
    # LastActivityDate is a date without a time.
    active = _count(org, f"SELECT COUNT() FROM Lead WHERE LastActivityDate >= {since[:10]}")
    sources = [each for each in dict.fromkeys(feed.source for feed in feeds) if schema.pullable(each)]
    logged = sum(_count(org, f"SELECT COUNT() FROM {each} WHERE SystemModstamp >= {since}") for each in sources)
    if active and not logged:
        yield (
            PROBLEM,
            f"leads active in the last 30 days: {active:,}, but no activity is logged; if Einstein Activity Capture "
            "is on, switch on 'Sync Email as Salesforce Activity', or e-mails will not count",
        )


def _count(org: Org, soql: str) -> int:
    return int(org.call(lambda client: query_page(client.query(soql))).get("totalSize") or 0)


def _quota(org: Org) -> Iterator[tuple[bool, str]]:
    limits = org.rest("GET", "limits")
    daily = limits.get("DailyApiRequests") if isinstance(limits, dict) else None
    if not isinstance(daily, dict) or not all(type(daily.get(name)) is int for name in ("Max", "Remaining")):
        return
    used = daily["Max"] - daily["Remaining"]
    over = used >= org.settings.api_share * daily["Max"]
    yield over, f"{used:,} of {daily['Max']:,} API requests of the last 24 hours are used"
