"""Taking a written change back: which fields still hold what was written, and why the others are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from crmsync.connector import FieldMap
from crmsync.model import Change, Contact, Scalar
from crmsync.planning.changes import PEOPLES_FIELDS

CHANGED = "changed since by somebody"
GONE = "the record is gone: it was deleted, merged or converted"
UNREADABLE = "the CRM's answer about the record cannot be read"
UNSEEN = "the CRM does not show the record"
NOT_MAPPED = "the config does not map it any more"

Later = Mapping[str, Sequence[tuple[Scalar | None, str]]]
"""By field the values that later runs wrote to the same record, each with its run."""


class Reversal(NamedTuple):
    """The change that puts old values back, `None` where there is none, and by field why it is `left`.

    A field that holds its old value already is in neither.
    """

    change: Change | None
    left: Mapping[str, str]


class Stages(NamedTuple):
    """What a CRM takes as a stage: its own values in its `order`, where that is known; `only_forward` says that it does
    not take one back.
    """

    order: Sequence[str] = ()
    only_forward: bool = False


def reverse_change(
    ours: Change, present: Contact | None, names: FieldMap, stages: Stages, later: Later, because: str
) -> Reversal:
    """Put the old values of a change back where the record, as it is `present`, still holds what was written.

    `ours` has the fields that the CRM took.
    """
    if present is None:
        return Reversal(None, dict.fromkeys(ours.after, GONE))
    mapped = {*FieldMap.spelled(names.score_fields, ours.ref.kind), *PEOPLES_FIELDS}
    now: dict[str, Scalar | None] = {**present.current, "stage": present.stage, "owner": present.owner}
    going: dict[str, Scalar | None] = {}
    left: dict[str, str] = {}
    for name, written in ours.after.items():
        old = ours.before.get(name)
        if name not in mapped:
            left[name] = NOT_MAPPED
        elif is_same_value(now.get(name), old):
            continue
        elif not is_same_value(now.get(name), written):
            runs = [run for value, run in later.get(name, ()) if is_same_value(value, now.get(name))]
            left[name] = f"a later run wrote it: {runs[-1]}" if runs else CHANGED
        elif name == "stage" and (why := _stage_objection(ours, names, stages)):
            left[name] = why
        else:
            going[name] = old
    if not going:
        return Reversal(None, left)
    return Reversal(Change(ours.ref, {name: now.get(name) for name in going}, going, because, ours.group), left)


def _stage_objection(ours: Change, names: FieldMap, stages: Stages) -> str:
    """Why a CRM cannot be given the old stage; where its own values are not known, it is asked."""
    old, written = ours.before.get("stage"), ours.after["stage"]
    spelled, order = FieldMap.spelled(names.stages, ours.ref.kind), stages.order
    if not old or not order:
        return ""
    back, now = (spelled.get(str(each), str(each)) for each in (old, written))
    if back not in order and old not in spelled:
        return f"the config has no stage {old} any more"
    if stages.only_forward and back in order and now in order and order.index(back) < order.index(now):
        crm = ours.ref.crm
        return f"{crm} moves stages only forward (see [{crm}] backward_stages)"
    return ""


def is_same_value(one: Scalar | None, other: Scalar | None) -> bool:
    """Whether two values are the same to a CRM, which does not tell "" from nothing."""
    return (None if one == "" else one) == (None if other == "" else other)
