"""The text of a first config, small or standard, in the order in which an admin reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from crmsync.config.patch import NewRule, write_rule, write_value
from crmsync.config.settings import connectors
from crmsync.config.starter.description import Starter, StarterStage
from crmsync.config.template import INSTANCE_URL

SCHEMA_FILE = "crmsync.schema.json"

SCHEMA_LINE = f"#:schema ./{SCHEMA_FILE}"
"""What editors (Even Better TOML, taplo) read: with that file beside the config they explain and complete its keys."""

HEAD = """\
# The config of crmsync, written by `crmsync init`: read it once from top to bottom, and change what is not yours.
# `crmsync check` checks it. Never write a secret here: secrets come from environment variables.
# Every other key: crmsync init --model full --config all-keys.toml; the rules: docs/scoring.md; owners: docs/routing.md
"""

BAND = "mql"

SCORE_FIELDS = {"small": ("score", "band", "reason"), "standard": ("score", "fit", "behavior", "band", "reason")}


class RuleOffer(NamedTuple):
    """A rule of a first config: its table, what it says, and whether a small config has it, too."""

    table: str
    rule: Mapping[str, Any]
    small: bool = False


FIT = (
    RuleOffer(
        "fit",
        {"name": "VP or C-level", "points": 25, "when": {"field": "title", "seniority_at_least": "vp"}},
        small=True,
    ),
    RuleOffer(
        "fit",
        {
            "name": "Director or manager",
            "points": 12,
            "when": {"field": "title", "seniority": ["director", "manager"]},
        },
    ),
    RuleOffer(
        "fit",
        {"name": "200 employees or more", "points": 15, "when": {"field": "employees", "gte": 200}},
        small=True,
    ),
    RuleOffer(
        "fit",
        {"name": "Student or intern", "points": -30, "when": {"field": "title", "seniority": ["student"]}},
    ),
    RuleOffer("fit", {"name": "Free-mail address", "points": -10, "when": {"field": "email", "free_mail": True}}),
)

BEHAVIOR = (
    RuleOffer(
        "behavior",
        {
            "name": "Demo requested",
            "points": 30,
            "on": "form_submitted",
            "where": {"form": {"contains": ["demo", "contact sales"]}},
            "window": "60d",
            "cap": 45,
        },
        small=True,
    ),
    RuleOffer(
        "behavior",
        {"name": "Meeting held", "points": 20, "on": "meeting_held", "window": "60d", "cap": 40},
        small=True,
    ),
    RuleOffer(
        "behavior",
        {
            "name": "Pricing page viewed",
            "points": 8,
            "on": "page_viewed",
            "where": {"url": {"contains": "/pricing"}},
            "window": "30d",
            "cap": 24,
        },
        small=True,
    ),
    RuleOffer(
        "behavior",
        {"name": "Email replied", "points": 10, "on": "email_replied", "window": "60d", "cap": 20},
    ),
    RuleOffer(
        "behavior",
        {
            "name": "Webinar or event attended",
            "points": 12,
            "on": ["webinar_attended", "event_attended"],
            "window": "90d",
            "cap": 24,
        },
        small=True,
    ),
)

MOST_RULES, MOST_BEHAVIOR = {"small": 7, "standard": 10}, {"small": 3, "standard": 4}
"""How many rules about fit and behavior a file may have to stay one that is read."""

CUSTOMER_RULES = {
    "industry": ("Industry of our customers", 15),
    "country": ("Country that we sell to", 10),
}


def write_starter(start: Starter, model: str | None = None) -> str:
    """The text of a small or standard config. `model` is text that takes the place of its bands and rules."""
    parts = [
        *write_head(start),
        *_write_crms(start),
        _write_fields(start),
        write_model(start) if model is None else model,
        *_write_stages(start),
        *_write_owners(start),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def write_head(start: Starter) -> Iterator[str]:
    """What every written file begins with."""
    if start.has_schema:
        yield SCHEMA_LINE
    yield HEAD


def _write_crms(start: Starter) -> Iterator[str]:
    if "hubspot" in start.crms:
        yield "[hubspot]                 # the token comes from CRMSYNC_HUBSPOT__TOKEN\n"
    if "salesforce" in start.crms:
        yield "[salesforce]              # CRMSYNC_SALESFORCE__CLIENT_ID and CRMSYNC_SALESFORCE__CLIENT_SECRET"
        remark = "" if start.instance_url else "   # write yours: Setup > My Domain"
        yield f"instance_url = {write_value(start.instance_url or INSTANCE_URL)}{remark}"
        yield f"stage_field = {write_value(start.stage_field)}\n"


def _write_fields(start: Starter) -> str:
    read = {each.rule["when"]["field"] for each in offered_rules(start) if each.table == "fit"}
    fields = [
        f"{name} = {write_value(value)}"
        for name, value in start.mapped_fields().items()
        if name in read or start.size != "small"
    ]
    own = {"hubspot": "crmsync_{}", "salesforce": "Crmsync_{}__c"}
    scores = []
    for name in SCORE_FIELDS["small" if start.size == "small" else "standard"]:
        places = {crm: own[crm].format(name if crm == "hubspot" else name.title()) for crm in start.crms}
        scores.append(f"{name} = {write_value(places)}")
    return "\n".join(
        [
            "[fields]                  # what rules read, and where each CRM keeps it; `email` is always there",
            *fields,
            "",
            "[write.fields]            # what is written; `crmsync setup` creates these fields in the CRMs",
            *scores,
            "",
        ]
    )


def offered_rules(start: Starter) -> list[RuleOffer]:
    """The rules of a config of this size, without those for fields or activities that no CRM of the file has."""
    is_small = start.size == "small"
    known = {"email", *start.mapped_fields()}
    fit = [each for each in FIT if each.rule["when"]["field"] in known and (each.small or not is_small)]
    fit[-2:-2] = [RuleOffer("fit", rule, small=True) for rule in list_customer_rules(start)]
    kinds = _kinds_of_crms(start.crms)
    done = [
        each
        for each in BEHAVIOR
        if kinds.intersection([on] if isinstance(on := each.rule["on"], str) else on) and (each.small or not is_small)
    ]
    size = "small" if is_small else "standard"
    return [*fit, *done[: min(MOST_BEHAVIOR[size], MOST_RULES[size] - len(fit))]]


def list_customer_rules(start: Starter) -> Iterator[dict[str, Any]]:
    """A rule for each field of which it was said which values the customers have."""
    known = start.mapped_fields()
    for field, (name, points) in CUSTOMER_RULES.items():
        if field in known and (values := start.customers.get(field)):
            yield {"name": name, "points": points, "when": {"field": field, "in": list(values)}}


def _kinds_of_crms(crms: Sequence[str]) -> set[str]:
    """The types of activity that these CRMs bring by themselves."""
    tables = [connectors()[crm].Settings for crm in crms]
    return {feed.kind for table in tables for feed in table.model_fields["activities"].default}


def write_model(start: Starter) -> str:
    """Bands, fit rules and behavior rules."""
    rules = offered_rules(start)
    return "\n".join(
        [
            _write_bands(start, rules),
            "# Fit: who somebody is. Each rule gives its points once.",
            *_write_rules(rules, "fit"),
            "",
            "# Behavior: what somebody did. `window` is how long it counts, `cap` the most that a rule gives.",
            *_write_rules(rules, "behavior"),
            "",
            *_write_losses(start),
        ]
    )


def _write_rules(rules: Sequence[RuleOffer], table: str) -> Iterator[str]:
    for each in rules:
        if each.table == table:
            yield from write_rule(NewRule(table, each.rule, ""))


def _write_bands(start: Starter, rules: Sequence[RuleOffer]) -> str:
    fit = sum(each.rule["points"] for each in rules if each.table == "fit" and each.rule["points"] > 0)
    at, wanted = (50, 10) if start.size == "small" else (80, 15)
    highest = {"at": at, "drop_below": at - 10, **({"min_fit": wanted} if fit >= wanted else {})}
    need = " (and fit of min_fit)" if "min_fit" in highest else ""
    bands = {"cold": 0, "warm": 25, **({} if start.size == "small" else {"hot": 55}), BAND: highest}
    lines = [f"{name} = {write_value(value)}" for name, value in bands.items()]
    return "\n".join([f"[bands]                   # lowest first; each begins at its points{need}", *lines, ""])


def _write_losses(start: Starter) -> Iterator[str]:
    """What takes points away, and who gets none."""
    if start.size == "small":
        return
    yield from ("[[inactivity]]", 'name = "No activity for 30 days"', "points = -10", 'after = "30d"')
    if "hubspot" in start.crms:
        yield from ("[[disqualify]]           # nobody like that is handed to sales", 'name = "Unsubscribed"')
        yield 'on = "email_unsubscribed"'
    yield ""


def _write_stages(start: Starter) -> Iterator[str]:
    stages = _near_stages(start)
    if not stages:
        return
    yield f"# Lifecycle stages, in their order: people in the band {BAND} move forward to the stage with that band."
    for each in stages:
        yield write_stage(each)
    yield ""


def write_stage(stage: StarterStage) -> str:
    """A stage as a table."""
    band = f'\nband = "{BAND}"' if stage.handed_over else ""
    return f"[[stage]]\nname = {write_value(stage.name)}{band}\nvalues = {write_value(stage.values)}"


def _near_stages(start: Starter) -> list[StarterStage]:
    """The stage in which people are handed over, and in a standard config the one before it and the one after it."""
    at = next((number for number, each in enumerate(start.stages) if each.handed_over), None)
    if at is None:
        return []
    reach = 0 if start.size == "small" else 1
    return list(start.stages[max(at - reach, 0) : at + reach + 1])


def _write_owners(start: Starter) -> Iterator[str]:
    if not start.members:
        yield "# Nobody is given people: for that, add an [[owner_pool]] and [[route]]s (docs/routing.md)."
        return
    yield from write_owners(start.members)


def write_owners(members: Sequence[str]) -> Iterator[str]:
    """A pool with these users, a route to it, and one for everybody else."""
    yield "[[owner_pool]]            # these users get new people, one after the other: remove whoever should not"
    yield 'name = "sales"'
    yield f"members = {write_value(list(members))}\n"
    yield "[[route]]                 # for people without an owner; the first route whose `when` holds decides"
    yield 'name = "MQLs to sales"'
    yield f'when = {{ field = "band", is = "{BAND}" }}'
    yield 'to = "sales"'
    yield "[[route]]                 # the last one has no `when`: nobody falls through"
    yield 'name = "Everybody else"'
    yield 'to = "nurture"'
    yield "[tracks.nurture]"
