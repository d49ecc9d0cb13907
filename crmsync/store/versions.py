"""Versions of the model: which config was adopted when, who made and approved it, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, func, or_, select, union_all, update

from crmsync.store.schema import (
    hand_off,
    model,
    model_version,
    opportunity,
    opportunity_record,
    record,
    run,
    stage_entry,
)


class ModelVersion(NamedTuple):
    """A version of the model: `at` (milliseconds) is when it was adopted, `text` the config, `""` where it is gone."""

    id: int
    at: int
    hash: str
    text: str
    author: str = ""
    approver: str = ""
    reason: str = ""
    commit_id: str = ""
    noted_at: int | None = None


def add_version(connection: Connection, config_hash: str, now: int) -> None:
    """Note that a config is adopted, where another one was before; whoever approved a plan of it is its approver."""
    it = model_version.c
    latest = connection.execute(select(it.hash, it.at).order_by(it.id.desc()).limit(1)).first()
    if latest is not None and latest.hash == config_hash:
        return
    # An approval that was used before is of the version that was adopted then.
    since = latest.at if latest is not None else 0
    by = select(run.c.approved_by).where(
        run.c.config == config_hash, run.c.approved_by != "", run.c.approved_at >= since
    )
    approver = connection.scalar(by.order_by(run.c.approved_at.desc()).limit(1)) or ""
    connection.execute(model_version.insert().values(at=now, hash=config_hash, approver=approver))


def list_model_versions(connection: Connection, most: int | None = None) -> list[ModelVersion]:
    """The versions, newest first."""
    it = model_version.c
    text = func.coalesce(model.c.text, "")
    query = (
        select(it.id, it.at, it.hash, text, it.author, it.approver, it.reason, it.commit_id, it.noted_at)
        .outerjoin(model, model.c.hash == it.hash)
        .order_by(it.id.desc())
        .limit(most)
    )
    return [ModelVersion(*row) for row in connection.execute(query)]


def note_version(connection: Connection, version_id: int, now: int, values: Mapping[str, str]) -> None:
    """Note who made or approved a version, and why (`author`, `approver`, `reason`, `commit_id`)."""
    if values:
        connection.execute(update(model_version).where(model_version.c.id == version_id).values(**values, noted_at=now))


def read_line_entries(
    connection: Connection,
    bands: Collection[str],
    stages: Collection[str],
    since: int,
    until: int,
    accepted: Collection[str],
    pipelines: Collection[str] = (),
) -> list[tuple[int, int | None]]:
    """When people came over the line for the first time, and when they were accepted; both in milliseconds.

    Over the line is who comes into one of `bands` or `stages`; of entries those between `since` and `until`. Accepted
    is who got an opportunity after that (in one of `pipelines`, if there are any), or came into a stage of `accepted`.
    """
    of, tables = record.c, (stage_entry, hand_off)
    entries = union_all(*(select(it.c.person, it.c.at, it.c.band, it.c.stage) for it in tables)).subquery().c
    # Entries kept under the number that a person had before a merge are theirs.
    whose = func.coalesce(of.person, entries.person)
    known = select(whose.label("person"), entries.at, entries.band, entries.stage)
    moved = known.outerjoin(record, of.id == entries.person).subquery().c
    first = (
        select(moved.person, func.min(moved.at).label("at"))
        .where(or_(moved.band.in_(sorted(bands)), moved.stage.in_(sorted(stages))))
        .group_by(moved.person)
        .having(func.min(moved.at).between(since, until))
        .subquery()
    )
    found = {person: int(at) for person, at in connection.execute(select(first.c.person, first.c.at))}
    theirs = (
        (opportunity_record.c.crm == of.crm)
        & (opportunity_record.c.kind == of.kind)
        & (opportunity_record.c.ref_id == of.ref_id)
    )
    same = (opportunity.c.crm == opportunity_record.c.crm) & (opportunity.c.id == opportunity_record.c.opportunity)
    opened = (
        select(of.person, opportunity.c.created_at)
        .join(first, first.c.person == of.person)
        .join(opportunity_record, theirs)
        .join(opportunity, same)
        .where(opportunity.c.created_at >= first.c.at)
    )
    if pipelines:
        named = {each.strip().lower() for each in pipelines}
        opened = opened.where(func.lower(func.trim(opportunity.c.pipeline)).in_(sorted(named)))
    came = (
        select(moved.person, moved.at)
        .join(first, first.c.person == moved.person)
        .where(moved.stage.in_(sorted(accepted)), moved.at >= first.c.at)
    )
    taken: dict[int, int] = {}
    for person, at in [*connection.execute(opened), *connection.execute(came)]:
        taken[person] = min(int(at), taken.get(person, int(at)))
    return [(at, taken.get(person)) for person, at in found.items()]
