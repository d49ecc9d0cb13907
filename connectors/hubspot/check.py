"""What `crmsync check --online` asks a HubSpot portal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from connectors.hubspot.activities import ActivityStream
from connectors.hubspot.client import Api
from connectors.hubspot.companies import NO_COMPANIES
from connectors.hubspot.errors import KIND, Forbidden, RequestRefused, id_of, objects_in
from connectors.hubspot.mapping import COMPANY_PREFIX, LINKS, refuse_hidden
from connectors.hubspot.memberships import find_list_problems
from connectors.hubspot.missing_fields import TASK_KEY, missing_fields
from connectors.hubspot.outcomes import Outcomes
from connectors.hubspot.schema import Portal
from connectors.hubspot.setup import CONTACTS, _found, chosen_properties, missing_options, option_remedy
from crmsync.connector import Checkup, FieldMap
from crmsync.counts import count_of
from crmsync.errors import ConfigError


def check(api: Api, portal: Portal, activities: ActivityStream, outcomes: Outcomes, names: FieldMap) -> Checkup:
    """Everything an admin should know before a run. Raises `ConfigError` when the token does not work at all."""
    portal.forget()
    account = portal.account()
    problems: list[str] = []
    probes: list[Callable[[], object]] = [
        lambda: api.get(api.place("list", kind="contacts"), [("limit", "1")]),
        lambda: refuse_hidden(portal.definitions("contacts")),
        lambda: portal.owners(),
        lambda: _may_write(api),
    ]
    absent: Sequence[str] = ()

    def of_companies() -> object:
        return api.get(api.place("list", kind="companies"), [("limit", "1")])

    of_company = any(each.startswith(COMPANY_PREFIX) for each in FieldMap.spelled(names.fields, KIND).values())
    if of_company or names.companies:
        probes.append(of_companies)
    if of_company:
        probes.append(lambda: portal.definitions("companies"))
    if names.tasks:
        probes.append(lambda: portal.definitions("tasks"))
    for probe in probes:
        try:
            probe()
        except ConfigError as error:
            problems += error.problems
        except RequestRefused as error:
            if not error.knows_no_such_kind or probe is not of_companies:
                raise
            absent = (NO_COMPANIES,)
    # Otherwise every field would seem to be missing as well.
    if not problems:
        problems += [each.sentence for each in missing_fields(portal, names)]
        problems += [*_unfit(portal, names), *_no_room(api, portal, names)]
    problems += find_list_problems(api, names.lists)
    problems += _outcome_problems(outcomes) if names.outcomes else ()
    stages = () if problems else tuple(_unnamed_stages(portal, names))
    left_out = (*_left_out(activities.silent()), *_refused_forms(activities.refused_forms()))
    notes = (*absent, *left_out, *stages, *_no_imports(api), *_notes(api, portal))
    return Checkup(account, tuple(dict.fromkeys(problems)), notes)


def _outcome_problems(outcomes: Outcomes) -> Sequence[str]:
    try:
        outcomes.probe()
    except ConfigError as error:
        return error.problems
    return ()


def _left_out(silent: Mapping[str, str]) -> Iterator[str]:
    """The feeds that this portal cannot serve, one sentence for each reason."""
    for why in dict.fromkeys(silent.values()):
        sources = [source for source, said in silent.items() if said == why]
        yield f"activity sources not used: {', '.join(sources)} ({why})"


def _refused_forms(refused: Mapping[str, str]) -> Iterator[str]:
    """The forms that are left out, one sentence for each reason."""
    for why in dict.fromkeys(refused.values()):
        names = ", ".join(repr(name) for name, said in refused.items() if said == why)
        yield f"forms not used: {names} ({why}); if you need their submissions, use another form"


def _no_imports(api: Api) -> Iterator[str]:
    """Without imports everything is written in batches, which the admin may not expect."""
    if api.settings.mass_write == "import":
        try:
            api.get(api.place("imports"), [("limit", "1")])
        except (Forbidden, RequestRefused) as error:
            yield f"[hubspot] mass_write: scores are written in batches, because imports are not possible ({error})"


def _may_write(api: Api) -> None:
    """Ask to update no record at all: without the scope HubSpot says so, otherwise nothing happens."""
    try:
        api.post(api.place("batch_update", kind="contacts"), {"inputs": []})
    except RequestRefused:
        return


def _unfit(portal: Portal, names: FieldMap) -> Iterator[str]:
    """The properties that cannot take what is written, and the stages that do not exist."""
    known, stages = portal.definitions("contacts"), portal.stages()
    for name, prop in FieldMap.spelled(names.score_fields, KIND).items():
        if prop in known and "exists and is" in (said := _found(prop, known[prop], name)):
            yield f"[write.fields] {name}: {said}"
    for name, prop in chosen_properties(names).items():
        if prop in known and (lacking := missing_options(known[prop], names.choices[name])):
            said = f"the HubSpot property {prop!r} has no option {', '.join(map(repr, lacking))}"
            yield f"[{name}] tags: {said}; {option_remedy(known[prop], name)}"
    task_key = portal.definitions("tasks").get(TASK_KEY) if names.tasks else None
    if task_key and task_key.objection_to_keys:
        yield f"[tasks]: {task_key.objection_to_keys}"
    for name, value in FieldMap.spelled(names.stages, KIND).items():
        if stages and value not in stages:
            yield (
                f"[[stage]] {name}: HubSpot has no lifecycle stage {value!r}; its stages are {', '.join(stages)}; "
                "correct the value, or add the stage in HubSpot"
            )


def _unnamed_stages(portal: Portal, names: FieldMap) -> Iterator[str]:
    """The stages below the highest one that the config names: contacts come from there."""
    stages, named = portal.stages(), set(FieldMap.spelled(names.stages, KIND).values())
    highest = max((place for place, value in enumerate(stages) if value in named), default=0)
    if unnamed := [value for value in stages[:highest] if value not in named]:
        yield (
            f"these lifecycle stages have no [[stage]]: {', '.join(unnamed)}; HubSpot's order of stages applies to them"
        )


def _no_room(api: Api, portal: Portal, names: FieldMap) -> Iterator[str]:
    """Free portals have room for ten custom properties."""
    ours = {**FieldMap.spelled(names.score_fields, KIND), **chosen_properties(names)}
    missing = set(ours.values()) - portal.definitions("contacts").keys()
    if not missing:
        return
    try:
        answer = api.get(api.place("property_limits"))
    except (RequestRefused, ConfigError):
        return
    for each in objects_in(answer, "byObjectType"):
        left = int(id_of(each.get("limit")) or 0) - int(id_of(each.get("usage")) or 0)
        if each.get("objectTypeId") == CONTACTS and left < len(missing):
            yield (
                f"HubSpot allows {count_of(max(left, 0), 'more custom contact property')}, but crmsync setup needs "
                f"{len(missing)}: "
                "delete some in HubSpot, or remove score fields from [write.fields]"
            )


def _notes(api: Api, portal: Portal) -> Iterator[str]:
    try:
        for each in api.get(api.place("usage"))["results"]:
            yield f"{int(each['currentUsage']):,} of {int(each['usageLimit']):,} API calls of today are used"
    except (RequestRefused, ConfigError, KeyError, TypeError, ValueError):
        yield "HubSpot does not report how many of today's API calls are used"
    try:
        known = portal.definitions("contacts")
    except ConfigError:
        return
    if any(link in known for link in LINKS):
        yield (
            "this portal uses HubSpot's own Salesforce sync: only one system should write each field "
            '(set score, stage and owner to "Don\'t sync" in HubSpot, or remove one CRM from [write.fields])'
        )
