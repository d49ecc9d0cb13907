"""Which fields and stages of the config a portal does not have, or has in another form."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from connectors.hubspot.errors import KIND, Forbidden
from connectors.hubspot.mapping import COMPANY_PREFIX, STAGE
from connectors.hubspot.schema import Portal
from crmsync.connector import FieldMap, MissingField, plain_name

TASK_KEY = "crmsync_task_key"
"""The property of tasks that holds crmsync's own id of each, of which HubSpot allows no second one."""

NO_TASK_KEY = f"HubSpot has no task property {TASK_KEY!r}: create it with crmsync setup"


def missing_fields(portal: Portal, names: FieldMap) -> Iterator[MissingField]:
    """The mapped properties that the portal does not have, or does not show to this token."""
    known = portal.definitions("contacts")
    companies, refusal = _company_properties(portal, names)
    for name, prop in FieldMap.spelled(names.fields, KIND).items():
        if prop not in known and name in names.choices:
            said = f"HubSpot has no property {prop!r}: create it with crmsync setup"
            yield MissingField("choice", name, KIND, f"[{name}] field: {said}")
        elif prop not in known and prop not in companies:
            of_company = prop.startswith(COMPANY_PREFIX)
            # Where there are no companies the pull says so, and goes on.
            if of_company and not companies and not refusal:
                continue
            own = plain_name(name)
            # What is compared has the name of its table.
            table = own.split()[0] if own.startswith("[") else "[fields]"
            said = (of_company and refusal) or (
                f"HubSpot has no property {prop!r}, or this token cannot see it, so the field is unknown: correct "
                f"{table}, or restore the property in HubSpot"
            )
            yield MissingField("field", own, KIND, f"{own if own.startswith('[') else f'[fields] {own}'}: {said}")
    for name, prop in FieldMap.spelled(names.score_fields, KIND).items():
        if prop not in known:
            said = f"HubSpot has no property {prop!r}: create it with crmsync setup"
            yield MissingField("score_field", name, KIND, f"[write.fields] {name}: {said}")
    if STAGE not in known and FieldMap.spelled(names.stages, KIND):
        said = f"this HubSpot token cannot see the property {STAGE!r}: restore it in HubSpot, or remove [[stage]]"
        yield MissingField("stage", "stage", KIND, f"[[stage]]: {said}")
    if names.tasks and TASK_KEY not in portal.definitions("tasks"):
        yield MissingField("task", "task key", "task", f"[tasks]: {NO_TASK_KEY}")


def _company_properties(portal: Portal, names: FieldMap) -> tuple[Collection[str], str]:
    """The company properties as fields spell them, or why they cannot be seen."""
    if not _of_company(names):
        return (), ""
    try:
        return {f"{COMPANY_PREFIX}{name}" for name in portal.definitions("companies")}, ""
    except Forbidden as error:
        return (), str(error)


def _of_company(names: FieldMap) -> bool:
    return any(each.startswith(COMPANY_PREFIX) for each in FieldMap.spelled(names.fields, KIND).values())
