"""What the tables of the config file say, and how they go together."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import create_model, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from crmsync.config.account import ACCOUNT, ROLE_FIELDS, AccountCount, AccountRules
from crmsync.config.alerts import Alerts
from crmsync.config.compare import COMPARED, Compare
from crmsync.config.conditions import BUILTIN_FIELDS, MOVING_KEYS, Condition, Match
from crmsync.config.deciding import (
    ACCOUNT_OWNER,
    ACCOUNT_SCORE_FIELDS,
    COLLEAGUE_OWNER,
    DECIDED_FIELDS,
    Exclude,
    FieldPerCrm,
    FieldSpelling,
    Lifecycle,
    OwnerPool,
    Route,
    Spelling,
    Stage,
    Track,
    Truth,
    add_source,
    find_route_mistakes,
)
from crmsync.config.events import SECRETS, EventSource
from crmsync.config.experiment import (
    PREFIX,
    Experiment,
    add_experiment_segments,
    find_arm_mistakes,
    find_experiment_mistakes,
)
from crmsync.config.feedback import FEEDBACK, Feedback, add_feedback
from crmsync.config.mistakes import Loc, Mistake, raise_mistakes, suggest_name
from crmsync.config.model import ROUTING_GIVEN, Model, selections_of
from crmsync.config.outcome import OutcomeRules
from crmsync.config.sla import Sla
from crmsync.config.tables import Duration, Table
from crmsync.config.tasks import Tasks
from crmsync.config.web import Web
from crmsync.config.worker import Guard, Identity, Schedule, State
from crmsync.config.write import Write, find_score_field_mistakes
from crmsync.connector import FieldMap, further_name
from crmsync.model import KINDS, SECONDS_AFTER_SENDING, SPECIAL_CASES

ENV_PREFIX = "CRMSYNC_"


Affected = Literal["score", "plan"]

AFFECTS: Mapping[str, frozenset[Affected]] = {
    # what a plan knows through the lines of a score
    **dict.fromkeys(("fit", "behavior", "inactivity", "sequence", "pattern", "lists", "titles"), frozenset({"score"})),
    # decisions ask for values, too
    "values": frozenset({"score", "plan"}),
    **dict.fromkeys(("fields", "identity", "feeds", "machine_clicks"), frozenset({"score"})),
    **dict.fromkeys(("score", "weights", "channels", "groups", "segment"), frozenset({"score", "plan"})),
    **dict.fromkeys(("bands", "grades", "grid", "disqualify", "qualification"), frozenset({"score", "plan"})),
    # the adjustments are lines of a score, the calibration is a probability in a plan
    "learned": frozenset({"score", "plan"}),
    "stage": frozenset({"score", "plan"}),
    # in which arm somebody is, which rules and decisions may ask for
    "experiment": frozenset({"score", "plan"}),
    "events": frozenset({"score"}),
    **dict.fromkeys(("write", "route", "owner_pool", "tracks", "lifecycle", "truth"), frozenset({"plan"})),
    **dict.fromkeys(("exclude", "feedback"), frozenset({"score", "plan"})),
    **dict.fromkeys(("secrets", "state", "schedule", "guard", "log", "test", "review"), frozenset()),
    **dict.fromkeys(("sla", "tasks", "web", "account", "alerts", "outcome", "compare"), frozenset()),
}
"""What a change of a table affects: scores, plans, or neither. Of the schedule only the time zone counts, for both."""


class Config(Model, BaseSettings):
    """Everything the worker knows before it starts. Each connector's table is added by `config_class`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        # The input may be a secret (C02).
        hide_input_in_errors=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        case_sensitive=False,
        validate_default=True,
        # Only what `config_class` makes of it is ever filled in.
        defer_build=True,
    )

    secrets: str | None = None
    state: State = State()
    schedule: Schedule = Schedule()
    fields: dict[str, FieldPerCrm] = {}
    stage: list[Stage] = []
    owner_pool: list[OwnerPool] = []
    route: list[Route] = []
    tracks: dict[str, Track] = {}
    lifecycle: Lifecycle = Lifecycle()
    exclude: Exclude = Exclude()
    feedback: Feedback | None = None
    sla: Sla | None = None
    tasks: Tasks | None = None
    web: Web | None = None
    account: AccountRules | None = None
    outcome: OutcomeRules | None = None
    experiment: dict[str, Experiment] = {}
    events: list[EventSource] = []
    truth: Truth = Truth()
    guard: Guard = Guard()
    write: Write = Write()
    compare: Compare | None = None
    identity: Identity = Identity()
    feeds: dict[str, Duration] = {}
    alerts: Alerts = Alerts()
    log: Literal["console", "json"] = "console"

    @model_validator(mode="before")
    @classmethod
    def _with_mapped_fields(cls, given: Any) -> Any:
        sources = {crm: str(module.SOURCE_FIELD) for crm, module in connectors().items()}
        return add_experiment_segments(add_source(add_feedback(given), sources))

    @model_validator(mode="after")
    def _names_agree(self) -> Config:
        raise_mistakes(
            [
                *self._strange_crms(),
                *self._odd_names(),
                *self._moving_roles(),
                *self._unmapped_fields(),
                *self._unmapped_given(),
                *self._strange_bands(),
                *self._strange_pools(),
                *self._strange_feedback(),
                *find_score_field_mistakes(self.write.fields, self),
                *self._strange_leads(),
                *self._strange_experiments(),
                *self._strange_outcomes(),
                *self._strange_sources(),
                *self._lists_of_nobody(),
                *self._twins(),
            ]
        )
        return self

    def _strange_crms(self) -> Iterator[Mistake]:
        crms = sorted(connectors())
        mapped: list[tuple[Loc, str, Mapping[str, Any]]] = [
            *(
                (("feedback", "field"), "[feedback] field", value)
                if self.feedback is not None and name == FEEDBACK
                else (("fields", name), f"[fields] {name}", value)
                for name, value in self.fields.items()
            ),
            *(
                (("write", "fields", name), f"[write.fields] {name}", value)
                for name, value in self.write.fields.items()
            ),
            *([(("compare", "score"), "[compare] score", self.compare.score)] if self.compare else []),
            *(((*loc, "values"), f"[[stage]] {stage.name}", stage.values) for loc, stage in self.placed("stage")),
        ]
        for key, crm in (("stage", self.truth.stage), ("owner", self.truth.owner)):
            if crm is not None and crm not in crms:
                yield Mistake(("truth", key), f"there is no CRM {crm!r}; the CRMs are {' and '.join(crms)}")
        for loc, where, value in mapped:
            for crm in sorted(set(value) - set(crms)):
                yield Mistake(loc, f"{where}: there is no CRM {crm!r}; the CRMs are {' and '.join(crms)}")

    def _odd_names(self) -> Iterator[Mistake]:
        for name, value in self.fields.items():
            if "#" in name:
                yield Mistake(("fields", name), f"[fields] {name}: a name cannot have a #; write another one")
            for crm, spelling in value.items():
                parts = [*spelling.values()] if isinstance(spelling, dict) else [spelling]
                if [] in parts:
                    said = f"[fields] {name}: nothing is mapped in {crm}; write the name of a field"
                    yield Mistake(("fields", name), said)

    def _unmapped_fields(self) -> Iterator[Mistake]:
        readers: list[tuple[Loc, str, tuple[str, ...]]] = [
            (loc, name, BUILTIN_FIELDS) for loc, each in self.placed_conditions() for name in sorted(each.fields())
        ]
        readers += [
            ((*loc, "since"), rule.since, BUILTIN_FIELDS) for loc, rule in self.placed("inactivity") if rule.since
        ]
        readers += [
            (loc, name, DECIDED_FIELDS) for loc, each in self.placed_decisions() for name in sorted(each.fields())
        ]
        readers += [(loc, name, ROLE_FIELDS) for loc, each in self.placed_roles() for name in sorted(each.fields())]
        if self.exclude.when is not None:
            readers += [(("exclude", "when"), name, BUILTIN_FIELDS) for name in sorted(self.exclude.when.fields())]
        first: dict[str, Loc] = {}
        arms = self.arm_fields() | self.count_fields()
        for loc, name, builtin in readers:
            early = name in self.count_fields() and loc[0] in ("exclude", "account")
            if name not in self.fields and name not in builtin and (name not in arms or early):
                first.setdefault(name, loc)
        for name in sorted(first):
            if said := self._say_unmapped(name, str(first[name][0])):
                yield Mistake(first[name], said)

    def _say_unmapped(self, name: str, table: str) -> str:
        """What is wrong with a field that a table asks for; `""` where nothing is known of fields: a model alone."""
        is_late = name in {*DECIDED_FIELDS, *self.count_fields()} or name.startswith(ACCOUNT)
        if is_late and table == "exclude":
            said = f"[exclude] comes before accounts, scores and owners, so that it cannot ask for {name!r}"
            return f"{said}; {_INSTEAD_OF_EXCLUDING.get(name, _NURTURE)}"
        if is_late and table == "account":
            asked = ", ".join(ROLE_FIELDS)
            return f"[account.roles] cannot ask for {name!r}; ask for a field of [fields] or one of: {asked}"
        if not self.fields and not self.crms:
            return ""
        if name.startswith(ACCOUNT) and name not in DECIDED_FIELDS:
            return f"{name} needs [account.counts.{name.removeprefix(ACCOUNT)}], which says what is counted"
        meant = suggest_name(name, [*self.fields, *BUILTIN_FIELDS], "add it there, or correct the rule")
        return f"a rule uses the field {name!r}, which is not in [fields]; {meant}"

    def _unmapped_given(self) -> Iterator[Mistake]:
        """Fields of test leads that nobody else has: what is expected of them would hold whatever is given."""
        known = {*self.fields, *BUILTIN_FIELDS, *ROUTING_GIVEN, *self.arm_fields(), *self.count_fields(), "activities"}
        for loc, test in self.placed("test") if self.fields else ():
            for name in sorted(each for each in test.given if not known & {each, each.replace("_", ".", 1)}):
                meant = suggest_name(name, known, "add it there, or correct the test lead")
                said = f"test lead {test.name!r} has the field {name!r}, which is not in [fields]; {meant}"
                yield Mistake((*loc, "given"), said)

    def placed_decisions(self) -> Iterator[tuple[Loc, Condition]]:
        """The questions of stages, routes and tracks, which may be about scores too, with their places in the file."""
        for table, keys in (("stage", ("enter", "exit")), ("route", ("when",))):
            for loc, each in self.placed(table):
                yield from (((*loc, key), getattr(each, key)) for key in keys if getattr(each, key) is not None)
        yield from ((("tracks", name, "when"), each.when) for name, each in self.tracks.items() if each.when)

    def placed_roles(self) -> Iterator[tuple[Loc, Condition]]:
        """The questions of the roles of a buying group, with their places in the file."""
        roles = self.account.roles if self.account else {}
        yield from ((("account", "roles", name, "when"), each.when) for name, each in roles.items())

    def placed_matches(self) -> Iterator[tuple[Loc, Match]]:
        """Every test of a value with its place in the file: of rules, decisions and roles, and of who is left out."""
        yield from super().placed_matches()
        for name, count in (self.account.counts if self.account else {}).items():
            yield from ((("account", "counts", name, "where"), match) for match in count.where.values())
        asked = (*self.placed_decisions(), *self.placed_roles())
        yield from ((loc, part) for loc, condition in asked for part in condition.parts())
        yield from ((("exclude", "when"), part) for part in (self.exclude.when.parts() if self.exclude.when else ()))

    def asked_fields(self) -> Iterator[Condition]:
        """Every question about one field: of rules, decisions and roles, and of who is left out."""
        yield from super().asked_fields()
        asked = (*self.placed_decisions(), *self.placed_roles(), *self._placed_exclusions())
        yield from (part for _loc, each in asked for part in each.parts() if part.field is not None)

    def decides_by_dates(self) -> bool:
        """Whether time alone changes decisions, and not only scores."""
        asked = (*self.placed_decisions(), *self._placed_exclusions())
        asked += tuple(((), each.when) for each in self.qualification)
        return any(not MOVING_KEYS.isdisjoint(part.keys()) for _loc, each in asked for part in each.parts())

    def missing_words(self) -> dict[str, frozenset[str]]:
        """See `Model.missing_words`; what crmsync itself says of people is always known."""
        own = {*DECIDED_FIELDS, *self.arm_fields()} - {"email", *self.fields}
        return super().missing_words() | dict.fromkeys(own, frozenset())

    def chosen_fields(self) -> set[str]:
        """The fields that are empty unless somebody chose a value: there is nothing to find out about them."""
        return {FEEDBACK} if self.feedback else set()

    def read_fields(self) -> set[str]:
        """The canonical fields that a rule, a decision or a role reads."""
        asked = (*self.placed_decisions(), *self.placed_roles())
        decided = {name for _loc, condition in asked for name in condition.fields()}
        left_out = self.exclude.when.fields() if self.exclude.when else set()
        return (
            self.used_fields()
            | self.chosen_fields()
            | decided
            | left_out
            | {each.value for each in self.owner_pool if each.value}
        )

    def _strange_bands(self) -> Iterator[Mistake]:
        bands = self.band_names()
        if self.crms and not bands:
            yield Mistake((), "the model has no [bands]; add at least one, for example cold = 0")
        for loc, stage in self.placed("stage"):
            if stage.band is not None and stage.band not in bands:
                meant = suggest_name(stage.band, bands, f"the bands are {', '.join(bands)}")
                yield Mistake((*loc, "band"), f"[[stage]] {stage.name}: there is no band {stage.band!r}; {meant}")
            places = [*(each.name for each in self.stage), *self.tracks]
            if stage.recycle is not None and (stage.recycle not in places or stage.recycle == stage.name):
                said = f"there is no other stage or track {stage.recycle!r}"
                yield Mistake((*loc, "recycle"), f"[[stage]] {stage.name}: {said}")
        yield from self._strange_answers()

    def _strange_answers(self) -> Iterator[Mistake]:
        """Questions of decisions and roles that nobody can answer with yes, since no such name is in the file."""
        known: dict[str, tuple[str, str, Iterable[str]]] = {
            "band": ("band", "the bands are", self.band_names()),
            "grade": ("grade", "[grades] has", self.grades),
            "level": ("level", "[grid] has", self.grid),
            "segment": ("[[segment]]", "the segments are", [each.name for each in self.segment]),
            "stage": ("[[stage]]", "the stages are", [*(each.name for each in self.stage), *self.lifecycle.crm_owned]),
            "track": ("track", "[tracks] has", self.tracks),
            "qualifications": ("[[qualification]]", "they are", [each.name for each in self.qualification]),
            "rules": ("rule", "the rules are", [each.name for each in self.rules()]),
            "account.missing_roles": ("role", "[account.roles] has", self.account.roles if self.account else ()),
        }
        for loc, condition in (*self.placed_decisions(), *self.placed_roles()):
            for part in condition.parts():
                if part.field in ACCOUNT_SCORE_FIELDS and (said := self._lacking_account(part.field)):
                    yield Mistake(loc, said)
                    continue
                if part.field in self.fields or part.field not in known:
                    continue
                if part.field == "track" and loc[0] not in ("route", "account"):
                    yield Mistake(loc, "only a [[route]] may ask for the track, which is not known before")
                    continue
                what, has, names = known[part.field]
                there = [*dict.fromkeys(names)]
                folded = {each.casefold() for each in there}
                asked = [part.is_, *(part.in_ or ()), *(part.has or ()), *(part.has_all or ())]
                for name in (each for each in asked if isinstance(each, str) and each.strip().casefold() not in folded):
                    end = f"{has} {', '.join(there)}" if there else "the file has none"
                    yield Mistake(loc, f"there is no {what} {name!r}; {suggest_name(name, there, end)}")

    def _strange_leads(self) -> Iterator[Mistake]:
        """Test leads whose account lacks roles that the file does not name."""
        roles = self.account.roles if self.account else {}
        for loc, test in self.placed("test"):
            for name in test.given.get("account_missing_roles", ()):
                if name not in roles:
                    has = f"[account.roles] has {', '.join(roles)}" if roles else "the file has no [account.roles]"
                    said = f"[[test]] {test.name}: account_missing_roles: there is no role {name!r}; {has}"
                    yield Mistake((*loc, "given"), said)

    def _strange_experiments(self) -> Iterator[Mistake]:
        yield from find_experiment_mistakes(self.experiment, [each.name for each in self.segment])
        for loc, condition in (*self.placed_conditions(), *self.placed_decisions(), *self._placed_exclusions()):
            for part in condition.parts():
                if part.field in self.arm_fields() - self.fields.keys():
                    yield from find_arm_mistakes(loc, part, self.experiment)

    def arm_fields(self) -> set[str]:
        """The fields that say in which arm of an experiment somebody is: everybody has them, without a mapping."""
        return {f"{PREFIX}{name}" for name in self.experiment}

    def count_fields(self) -> set[str]:
        """The fields that are counts of a person's account: `account.NAME`."""
        return {*self.account_counts()}

    def account_counts(self) -> dict[str, AccountCount]:
        """The counts of accounts by field."""
        return {f"{ACCOUNT}{name}": each for name, each in self.account.counts.items()} if self.account else {}

    def follows_accounts(self) -> bool:
        """Whether what happens to one person of an account concerns the others."""
        return self.asks_about_account_scores() or bool(self.account_counts())

    def _placed_exclusions(self) -> Iterator[tuple[Loc, Condition]]:
        if self.exclude.when is not None:
            yield ("exclude", "when"), self.exclude.when

    def _strange_outcomes(self) -> Iterator[Mistake]:
        if self.outcome is not None:
            known = {"band": self.band_names(), "field": [*self.fields, *COLUMNS], "crm": sorted(connectors())}
            for key, said in self.outcome.find_mistakes({**known, "kind": sorted(kinds_of(self))}):
                yield Mistake(("outcome", key), f"[outcome] {key}: {said}")

    def _moving_roles(self) -> Iterator[Mistake]:
        """Questions of roles whose answer changes by time alone: an account is scored when one of its people is."""
        for loc, condition in self.placed_roles():
            if asked := [key for part in condition.parts() for key in sorted(MOVING_KEYS & set(part.keys()))]:
                said = f"[account.roles] cannot ask for {asked[0]}, which moves with time; use before or after"
                yield Mistake(loc, said)

    def _strange_sources(self) -> Iterator[Mistake]:
        names, taken = [each.name for each in self.events], {*connectors(), *Config.model_fields}
        places: dict[tuple[str, int, str], str] = {}
        for loc, each in self.placed("events"):
            if each.name in connectors() or each.name in taken:
                yield Mistake(
                    (*loc, "name"), f"[[events]] cannot be called {each.name!r}; give the source another name"
                )
            if names.count(each.name) > 1 and names.index(each.name) == loc[1]:
                yield Mistake((*loc, "name"), f"two [[events]] have the name {each.name!r}; give each its own name")
            if each.crm is not None and each.crm not in connectors():
                said = f"there is no CRM {each.crm!r}; the CRMs are {' and '.join(sorted(connectors()))}"
                yield Mistake((*loc, "crm"), f"[[events]] {each.name}: {said}")
            if each.listen is not None:
                at = each.listen
                other = places.setdefault((at.host, at.port, at.path), each.name)
                if other != each.name:
                    said = f"{other} listens on the same host, port and path; give one of them another path"
                    yield Mistake((*loc, "listen"), f"[[events]] {each.name}: {said}")

    def source_names(self) -> list[str]:
        """The CRMs of the file and the sources of events, by name."""
        return [*self.crms, *(each.name for each in self.events)]

    def _lacking_account(self, field: str) -> str:
        """What the file lacks for a question about the score, the people or the missing roles of an account."""
        if self.account is None:
            return f'{field} needs [account]; add it, for example with score = "top_three"'
        if field == "account.missing_roles" and not self.account.roles:
            return f"{field} needs [account.roles], which say who fills each role; add them"
        return ""

    def _strange_pools(self) -> Iterator[Mistake]:
        yield from find_route_mistakes(self.route, self.owner_pool, list(self.tracks))
        for loc, pool in self.placed("owner_pool"):
            if pool.value is not None and pool.value not in self.fields:
                said = f"[[owner_pool]] {pool.name}: the field {pool.value!r} is not in [fields]; add it there"
                yield Mistake((*loc, "value"), said)
        nobody = {each.strip().lower() for each in self.write.unassigned_users}
        for loc, pool in self.placed("owner_pool"):
            for email in (each.email for each in pool.members if each.email.lower() in nobody):
                said = f"[[owner_pool]] {pool.name}: {email} is also in [write] unassigned_users"
                yield Mistake((*loc, "members"), f"{said}; remove the address from one of the two")

    def _strange_feedback(self) -> Iterator[Mistake]:
        for crm, field in self.feedback.field.items() if self.feedback is not None else ():
            ours = [name for name, value in self.write.fields.items() if value.get(crm) == field]
            if ours:
                said = f"[feedback] field is what [write.fields] {ours[0]} writes in {crm}; give the tags a field of"
                yield Mistake(("feedback", "field"), f"{said} their own")
        if self.feedback is not None and self.fields.get(FEEDBACK) != self.feedback.field:
            said = f"[fields] {FEEDBACK} and [feedback] field are two mappings of one name; remove the one in [fields]"
            yield Mistake(("fields", FEEDBACK), said)
        stages = [each.name for each in self.stage]
        on = self.tasks.on if self.tasks else []
        if "breach" in on and self.sla is None:
            yield Mistake(("tasks", "on"), '[tasks] on: "breach" needs [sla], which says within how long')
        asking = [tag for tag, action in self.feedback.tags.items() if action == "task"] if self.feedback else []
        if "feedback" in on and not asking:
            said = 'no tag of [feedback.tags] asks for one; write for example "engaged, needs follow-up" = "task"'
            yield Mistake(("tasks", "on"), f'[tasks] on: "feedback" makes no task, since {said}')
        for name in self.sla.stages or () if self.sla else ():
            if name not in stages:
                said = f"there is no [[stage]] {name!r}; the stages are {', '.join(stages) or 'none'}"
                yield Mistake(("sla", "stages"), f"[sla] stages: {said}")

    def _lists_of_nobody(self) -> Iterator[Mistake]:
        """Lists of [exclude] that are of a CRM the file has no table for: nobody could read who is on them."""
        crms = self.crms
        for crm, module in connectors().items():
            if crms and crm not in crms and getattr(self.exclude, module.LISTS):
                said = f"[exclude] {module.LISTS}: the file has no [{crm}], whose {module.LISTS} these are"
                yield Mistake(("exclude", module.LISTS), f"{said}; add that table or remove {module.LISTS}")

    def excluded_lists(self) -> dict[str, list[str]]:
        """The lists whose members are left out, by the CRM that they are of."""
        crms = self.crms
        named = {crm: getattr(self.exclude, each.LISTS) for crm, each in connectors().items() if crm in crms}
        return {crm: list(dict.fromkeys(lists)) for crm, lists in named.items() if lists}

    def _twins(self) -> Iterator[Mistake]:
        for kind in ("stage", "owner_pool", "route"):
            names = [row.name for _loc, row in self.placed(kind)]
            for name in sorted({name for name in names if names.count(name) > 1}):
                said = f"two [[{kind}]] have the name {name!r}; give each its own name"
                yield Mistake((kind, names.index(name), "name"), said)

    @property
    def crms(self) -> dict[str, Table]:
        """The settings of each CRM that the file has a table for, by its name."""
        tables = {name: getattr(self, name, None) for name in connectors()}
        return {name: table for name, table in tables.items() if table is not None}

    def field_map(self, crm: str) -> FieldMap:
        """How the canonical names are spelled in one CRM."""
        return FieldMap(
            fields=dict(self._field_spellings(crm)),
            score_fields={name: value[crm] for name, value in self.write.fields.items() if crm in value},
            stages={stage.name: stage.values[crm] for stage in self.stage if crm in stage.values},
            companies=self.asks_about_accounts(),
            choices={FEEDBACK: tuple(self.feedback.tags)} if self.feedback and crm in self.feedback.field else {},
            tasks=self.tasks is not None,
            lists=self.excluded_lists().get(crm, ()),
            opportunity_value=self._opportunity_value(crm),
            outcomes=self.outcome is not None,
            shared_ids=len(self.crms) > 1 and self.identity.seconds_apart > 0,
        )

    def _field_spellings(self, crm: str) -> Iterator[tuple[str, Spelling]]:
        """Each field with its spelling in one CRM, the further ones under names of their own."""
        for name, value in self.fields.items():
            for place, spelling in enumerate(_take_apart(value[crm]) if crm in value else ()):
                yield further_name(name, place), spelling
        if self.compare and crm in self.compare.score:
            yield COMPARED, self.compare.score[crm]

    def further_names(self) -> dict[str, list[str]]:
        """By field the names under which its further spellings are read, of those that have some."""
        many = {
            name: max(len(_take_apart(each)) for each in value.values()) for name, value in self.fields.items() if value
        }
        return {name: [further_name(name, at) for at in range(1, count)] for name, count in many.items() if count > 1}

    def _opportunity_value(self, crm: str) -> str:
        """The field that says what an opportunity of a CRM is worth; `""` for the CRM's own amount."""
        return self.outcome.value.get(crm, "") if self.outcome else ""

    def asks_about_accounts(self) -> bool:
        """Whether accounts are scored, or anything is decided by them or given to whoever owns them or colleagues."""
        if self.account is not None:
            return True
        read = {name for _loc, each in self.placed_decisions() for name in each.fields()}
        led = {route.to for route in self.route}
        return any(name.startswith("account.") for name in read) or not led.isdisjoint({ACCOUNT_OWNER, COLLEAGUE_OWNER})

    def asks_about_account_scores(self) -> bool:
        """Whether anything is decided by the score, the people or the missing roles of an account."""
        return any(not each.fields().isdisjoint(ACCOUNT_SCORE_FIELDS) for _loc, each in self.placed_decisions())

    @property
    def crm_owned(self) -> frozenset[str]:
        """The stages that the CRM itself gives: as `[lifecycle]` lists them, and as the file names their values."""
        listed = {each.casefold() for each in self.lifecycle.crm_owned}
        named = {it.name for it in self.stage if listed.intersection(each.casefold() for each in flat_values(it))}
        return frozenset({*self.lifecycle.crm_owned, *named})

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose midnights count."""
        return ZoneInfo(self.schedule.timezone)

    def model_hash(self) -> str:
        """Twelve hex digits that change when, and only when, something does that a score rests on."""
        return self._hash("score")

    def plan_hash(self) -> str:
        """Twelve hex digits that change when something does that a plan rests on besides the lines of a score."""
        return self._hash("plan")

    def decision_hash(self) -> str:
        """Twelve hex digits that change when something does that a score, a plan or what is read rests on."""
        return self._hash("score", "plan")

    def decision_text(self) -> str:
        """What file and environment say besides CRMs, state and whatever is private, for `config_of` to read again."""
        private = {*connectors(), "state", "secrets", "web", "alerts"}
        hidden = {"events": {"__all__": set(SECRETS)}}
        return self.model_dump_json(
            by_alias=True, exclude_unset=True, exclude={**dict.fromkeys(private, True), **hidden}
        )

    def _hash(self, *affected: Affected) -> str:
        names = [name for name in Config.model_fields if not AFFECTS[name].isdisjoint(affected)]
        include: dict[str, Any] = dict.fromkeys(names, True) | {"schedule": {"timezone"}}
        if self.account is not None and self.account.counts:
            include["account"] = {"counts"}
        if "plan" in affected and self.asks_about_account_scores():
            include["account"] = True
        said = self.model_dump(mode="json", include=include, exclude={"events": {"__all__": set(SECRETS)}})
        return _digest(said | {"reading": READING})

    def mapping_hash(self, crm: str) -> str:
        """Twelve hex digits that change when something else is to be read of every record of a CRM."""
        names = dataclasses.asdict(self.field_map(crm))
        return _digest({name: value for name, value in names.items() if name not in UNMAPPED})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What it is made with: `load` puts file, secrets folder and environment together, and nothing else does."""
        return (init_settings,)


READING = 6
"""To be raised with every change of crmsync by which the same config and people may give other scores: an upgrade is
then seen as an edited config is, so that everybody is scored again and what is too much is held for approval.
"""

_NURTURE = "lead such people to a track with a [[route]], which may ask for it: they keep their score and get no owner"

_INSTEAD_OF_EXCLUDING = {
    "account.name": "list the domains of the company in domains, or map its name in [fields] and ask for that",
    **dict.fromkeys(("source", "lead_type"), "map a field that says it in [fields] and ask for that"),
}
"""What to write in `[exclude]` in place of what is known only later."""

COLUMNS = ("stage", "email")
"""What is known of everybody besides `[fields]`."""

UNMAPPED = ("choices", "tasks", "lists", "outcomes", "opportunity_value", "shared_ids")
"""What of a field map says nothing of how records are read."""


def _digest(shown: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:12]


def _take_apart(value: FieldSpelling) -> list[Spelling]:
    """The first spelling of a field, the second and so on: each one for all kinds, or one for each kind."""
    if not isinstance(value, dict):
        return [value] if isinstance(value, str) else [*value]
    listed = {kind: [each] if isinstance(each, str) else each for kind, each in value.items()}
    return [
        {kind: each[place] for kind, each in listed.items() if place < len(each)}
        for place in range(max(map(len, listed.values()), default=0))
    ]


@cache
def connectors() -> dict[str, ModuleType]:
    """Every installed connector by name; a connector is a module with `Settings` and `connect`."""
    # Once: it looks through all installed packages, and is asked for each record.
    return {each.name: each.load() for each in entry_points(group="crmsync.connectors")}


@cache
def config_class() -> type[Config]:
    """`Config` with one optional table for each installed connector."""
    tables: dict[str, Any] = {name: (module.Settings | None, None) for name, module in connectors().items()}
    return create_model("Config", __base__=Config, **tables)


def flat_values(stage: Stage) -> list[str]:
    """The values of a stage in all CRMs."""
    return [part for each in stage.values.values() for part in (each.values() if isinstance(each, dict) else (each,))]


def attributes_of(config: Config) -> dict[str, set[str]]:
    """The attributes that the config's CRMs may give activities, by kind."""
    found: dict[str, set[str]] = {}
    for crm, table in config.crms.items():
        for kind, names in getattr(connectors()[crm], "COUNTED_ATTRIBUTES", {}).items():
            found.setdefault(kind, set()).update(names)
        for feed in getattr(table, "activities", ()):
            found.setdefault(feed.kind, set()).update(feed.attributes)
    for source in config.events:
        for kind in _kinds_of_source(config, source):
            found.setdefault(kind, set()).update(source.attributes)
    for kind in ("email_opened", "email_clicked"):
        found.setdefault(kind, set()).add(SECONDS_AFTER_SENDING)
    for special, kinds in SPECIAL_CASES.items():
        found[special] = found.get(special, set()).union(*(found.get(kind, set()) for kind in kinds))
    return found


def kinds_of(config: Config) -> set[str]:
    """Every kind of activity that the config's CRMs may bring."""
    feeds = [feed for table in config.crms.values() for feed in getattr(table, "activities", ())]
    told = {kind for each in config.events for kind in _kinds_of_source(config, each)}
    return {*KINDS, *(feed.kind for feed in feeds), *told}


def _kinds_of_source(config: Config, source: EventSource) -> set[str]:
    """The kinds of activity that a source of events may bring."""
    told = {kind for kind in (source.kind, *source.kinds.values()) if kind}
    if source.columns.kind is not None and not source.kinds:
        # Such a column may say anything: whatever a rule names.
        told |= {kind for on, _where in selections_of(config) for kind in on}
        told |= {kind for each in config.account_counts().values() for kind in each.on}
    return told
