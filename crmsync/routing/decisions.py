"""Everything a person's score, fields and records lead to: stage, track, and the routes that match, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.conditions import Condition
from crmsync.config.deciding import Route
from crmsync.config.feedback import FEEDBACK
from crmsync.config.settings import Config
from crmsync.model import Scalar
from crmsync.routing.feedback import NO_TAG, TagOutcome, TagState, hold_stages, judge_tag
from crmsync.routing.lifecycle import (
    RecordStage,
    StageHold,
    StageMove,
    StageState,
    decide_stage,
    find_recycled_track,
    find_stage,
)
from crmsync.scoring.answers import YES
from crmsync.scoring.conditions import ConditionEvaluator, encode_fields, today_of
from crmsync.scoring.ledger import Scores
from crmsync.scoring.wording import describe_condition, to_points

Values = Mapping[str, Sequence[Scalar | None]]


class PersonState(NamedTuple):
    """What is known of a person besides their score and fields.

    `owner` is the address of their active owner, `tag` what is remembered of a user's tag; the account's are its name,
    the address of its active owner, and how many other people of it were active in the last seven days, then its score
    (points), how many people count for it, and the roles that nobody fills.
    """

    stage: StageState
    records: Sequence[RecordStage]
    owner: str | None = None
    account_name: str | None = None
    account_owner: str | None = None
    active_people: int = 0
    tag: TagState = TagState()
    lead_type: str | None = None
    account_score: int | float | None = None
    account_people: int | None = None
    missing_roles: tuple[str, ...] | None = None


class RoutingDecision(NamedTuple):
    """What is decided of a person; `routes` are those that match, the first one first, and none where `tag` keeps them
    from any.
    """

    move: StageMove
    track: str
    routes: Sequence[Route]
    tag: TagOutcome = NO_TAG

    @property
    def in_play(self) -> bool:
        """Whether the person may be routed: the CRM itself did not take them further, and no tag keeps them back."""
        return bool(self.routes)

    @property
    def unrouted_why(self) -> str:
        """Why the person is not routed, where that is so."""
        if self.tag.recycles and self.tag.until is not None:
            return f"{self.tag.unrouted}, until {datetime.fromtimestamp(self.tag.until / 1000, UTC):%Y-%m-%d}"
        return self.tag.unrouted or self.move.why

    @property
    def ends(self) -> Sequence[int]:
        """The instants (milliseconds) at which time alone opens a stage or the routes again."""
        tag_ends = [self.tag.until] if self.tag.recycles and self.tag.until is not None else []
        return [*self.move.state.cool_downs.values(), *tag_ends]


def decide_people(
    config: Config, scores: Scores, columns: Columns, rows: Sequence[int], states: Sequence[PersonState], now: int
) -> list[RoutingDecision]:
    """Decide about the people in some rows of `columns`; `states` are theirs, `now` is in milliseconds."""
    crm_owned = config.crm_owned
    current = _find_stages(config, crm_owned, states)
    read = {name for _loc, condition in config.placed_decisions() for name in condition.fields()}
    read |= {name for each in config.qualification for name in each.when.fields()}
    known = _known(config, scores, columns, rows, states, read, now)
    known["stage"], known["track"] = [each or None for each in current], [None] * len(rows)
    first = _evaluator(config, known, read, now)
    values = columns.fields.get(FEEDBACK)
    tags = [
        judge_tag(config.feedback, None if values is None else values[row], state.tag, now)
        for row, state in zip(rows, states, strict=True)
    ]
    held = [
        hold_stages(tag, config.stage, crm_owned, state.stage, stage)
        for tag, state, stage in zip(tags, states, current, strict=True)
    ]
    moves = _move_all(config, crm_owned, scores, rows, states, current, first, now, [hold for _tag, hold in held])
    known["stage"] = [each.state.stage or None for each in moves]
    second = _evaluator(config, known, read, now)
    tracks = _find_tracks(config, moves, second)
    known["track"] = [each or None for each in tracks]
    third = _evaluator(config, known, read, now)
    matches = [(route, None if route.when is None else third.ask(route.when) == YES) for route in config.route]
    return [
        RoutingDecision(
            moves[place],
            tracks[place],
            # Whoever the CRM itself took further is not routed, nor whom a tag keeps back.
            ()
            if current[place] in crm_owned or tags[place].unrouted
            else [each for each, mask in matches if mask is None or mask[place]],
            held[place][0],
        )
        for place in range(len(rows))
    ]


def known_values(
    config: Config, scores: Scores, columns: Columns, state: PersonState, decision: RoutingDecision, now: int
) -> dict[str, Scalar | None]:
    """What the routes read of the one person of `columns`, by name; `now` is in milliseconds."""
    read = {name for _loc, condition in config.placed_decisions() for name in condition.fields()}
    read |= {name for each in config.qualification for name in each.when.fields()}
    known = _known(config, scores, columns, [0], [state], read, now)
    known |= {"stage": [decision.move.state.stage or None], "track": [decision.track or None]}
    return {name: values[0] for name, values in known.items()}


def _find_stages(config: Config, crm_owned: frozenset[str], states: Sequence[PersonState]) -> list[str]:
    """The stage that each person is in now."""
    alike: dict[Any, str] = {}
    found = []
    for each in states:
        key = (each.stage.stage, each.stage.since, *each.records)
        if key not in alike:
            alike[key] = find_stage(config.stage, crm_owned, each.stage, each.records)
        found.append(alike[key])
    return found


def _evaluator(config: Config, known: Values, read: Iterable[str], now: int) -> ConditionEvaluator:
    """What answers questions about everything that is known so far."""
    today = today_of(datetime.fromtimestamp(now / 1000, UTC), config.zone)
    return ConditionEvaluator(len(known["stage"]), encode_fields(config, known, read), config, today)


def _known(
    config: Config,
    scores: Scores,
    columns: Columns,
    rows: Sequence[int],
    states: Sequence[PersonState],
    read: Set[str],
    now: int,
) -> dict[str, Sequence[Scalar | None]]:
    """The fields, the scores and what they lead to, for each of these people, as far as a question reads them."""
    segments = [each.name for each in config.segment]
    bands, grades, levels = config.band_names(), list(config.grades), list(config.grid)
    at = np.asarray(rows, dtype=np.int64)
    made: dict[str, Sequence[Scalar | None]] = {
        name: [columns.fields[name][row] for row in rows] for name in read if name in columns.fields
    }
    builtin: dict[str, Callable[[], Sequence[Scalar | None]]] = {
        "score": lambda: [to_points(each) for each in scores.total[at].tolist()],
        "fit": lambda: [to_points(each) for each in scores.fit[at].tolist()],
        "behavior": lambda: [to_points(each) for each in scores.behavior[at].tolist()],
        "band": lambda: [_named(bands, each) for each in scores.band[at].tolist()],
        "grade": lambda: [_named(grades, each) for each in scores.grade[at].tolist()],
        "level": lambda: [_named(levels, each) for each in scores.level[at].tolist()],
        "segment": lambda: [_named(segments, each) for each in scores.segment[at].tolist()],
        "owner": lambda: [each.owner for each in states],
        "account.name": lambda: [each.account_name for each in states],
        "account.owner": lambda: [each.account_owner for each in states],
        "account.active_people": lambda: [each.active_people for each in states],
        "account.score": lambda: [each.account_score for each in states],
        "account.people": lambda: [each.account_people for each in states],
        "account.missing_roles": lambda: [each.missing_roles for each in states],
        "rules": lambda: made.get("rules") or _rules_that_count(config, scores, at),
        "lead_type": lambda: made.get("lead_type") or [each.lead_type for each in states],
    }
    made |= {name: builtin[name]() for name in builtin.keys() & read}
    made["stage"] = [None] * len(states)
    if config.qualification and "qualifications" in read:
        evaluator = _evaluator(config, made, read, now)
        answers = [(each.name, evaluator.ask(each.when) == YES) for each in config.qualification]
        made["qualifications"] = [tuple(name for name, mask in answers if mask[place]) for place in range(len(states))]
    return made


def _rules_that_count(config: Config, scores: Scores, at: NDArray[np.int64]) -> list[Scalar | None]:
    """For each of these rows the names of the rules that gave points."""
    names = {each.name for each in config.rules()}
    masks = [
        (line.name, (points[at] != 0).tolist())
        for line, points in zip(scores.lines, scores.points, strict=True)
        if line.name in names
    ]
    return [tuple(name for name, mask in masks if mask[place]) for place in range(len(at))]


def _named(names: Sequence[str], number: int) -> str | None:
    return names[number] if 0 <= number < len(names) else None


def _move_all(
    config: Config,
    crm_owned: frozenset[str],
    scores: Scores,
    rows: Sequence[int],
    states: Sequence[PersonState],
    current: Sequence[str],
    evaluator: ConditionEvaluator,
    now: int,
    holds: Sequence[StageHold],
) -> list[StageMove]:
    bands = config.band_names()
    of_bands = [_reasons_of_band(config, place) for place in range(len(bands))]
    enters = [(each.name, *_asked(evaluator, each.enter)) for each in config.stage if each.enter is not None]
    exits = [(each.name, *_asked(evaluator, each.exit)) for each in config.stage if each.exit is not None]
    in_bands = scores.band[np.asarray(rows, dtype=np.int64)].tolist()
    answers = list(zip(*(mask for _name, mask, _why in (*enters, *exits)), strict=True)) or [()] * len(rows)
    alike: dict[Any, StageMove] = {}
    moves = []
    for state, stage, band, answer, hold in zip(states, current, in_bands, answers, holds, strict=True):
        # Most people stand where many others do: what is decided of one is decided of all.
        plain = not (state.stage.cool_downs or hold.closed)
        key = (state.stage[:3], stage, band, answer, hold.leaves, hold.why) if plain else None
        move = alike.get(key) if key is not None else None
        if move is None:
            entering = dict(of_bands[band]) if band >= 0 else {}
            entering |= {name: why for (name, _mask, why), yes in zip(enters, answer, strict=False) if yes}
            leaving = {name: why for (name, _mask, why), yes in zip(exits, answer[len(enters) :], strict=True) if yes}
            asked = (state.stage, stage, entering, leaving, now, hold)
            move = decide_stage(config.stage, crm_owned, *asked)
            if key is not None:
                alike[key] = move
        moves.append(move)
    return moves


def _asked(evaluator: ConditionEvaluator, condition: Condition) -> tuple[Sequence[bool], str]:
    return (evaluator.ask(condition) == YES).tolist(), describe_condition(condition)


def _reasons_of_band(config: Config, place: int) -> dict[str, str]:
    """The stages that a band is enough for, each with the reason."""
    bands = config.band_names()
    reached = bands[: place + 1]
    return {stage.name: f"the band is {bands[place]}" for stage in config.stage if stage.band in reached}


def _find_tracks(config: Config, moves: Sequence[StageMove], evaluator: ConditionEvaluator) -> list[str]:
    """The track of each person: the first whose `when` holds, else the one that a stage they left recycles to."""
    masks = [(name, evaluator.ask(each.when) == YES) for name, each in config.tracks.items() if each.when is not None]
    return [
        next((name for name, mask in masks if mask[place]), "")
        or find_recycled_track(config.stage, config.tracks, move.state)
        for place, move in enumerate(moves)
    ]
