"""What the tag that a user gave somebody asks for, and for how long."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

from crmsync.config.deciding import Stage
from crmsync.config.feedback import Action, Feedback, Recycle, tag_reason
from crmsync.counts import count_of
from crmsync.folding import fold_text
from crmsync.model import Scalar
from crmsync.routing.lifecycle import NO_HOLD, StageHold, StageState


class TagState(NamedTuple):
    """What is remembered of a person's tag: since when it is noticed (milliseconds), and the stage that they `left`
    for it: `None` before they did, `""` where they had none.
    """

    tag: str = ""
    since: int | None = None
    left: str | None = None


class TagOutcome(NamedTuple):
    """What a tag does as of now: its `action` (`None` for a tag that the config does not name), `until` when
    (milliseconds), and why somebody is not routed (`""` where they may be).
    """

    state: TagState = TagState()
    action: Literal["keep", "task", "disqualify", "recycle"] | None = None
    until: int | None = None
    unrouted: str = ""

    @property
    def recycles(self) -> bool:
        """Whether they are out of their stage for a time that lasts."""
        return bool(self.unrouted) and self.action == "recycle"


NO_TAG = TagOutcome()
"""Nobody gave them one."""

WEIGHT = {None: 0, "keep": 1, "task": 2, "recycle": 3, "disqualify": 4}
"""Of several tags, which a multi-select may hold, the gravest counts."""


def judge_tag(feedback: Feedback | None, value: Scalar | None, before: TagState, now: int) -> TagOutcome:
    """What the tag of somebody asks for; `before` is what was remembered, `now` is in milliseconds."""
    if feedback is None or value is None:
        return NO_TAG
    known = {fold_text(tag): (tag, action) for tag, action in feedback.tags.items()}
    given = [str(each) for each in (value if isinstance(value, tuple) else (value,))]
    found = [known.get(fold_text(each), (each, None)) for each in given if each.strip()]
    if not found:
        return NO_TAG
    tag, action = max(found, key=lambda each: WEIGHT[_word(each[1])])
    same = fold_text(tag) == fold_text(before.tag) and before.since is not None
    state = before._replace(tag=tag) if same else TagState(tag, now)
    if isinstance(action, Recycle):
        until = (state.since or now) + int(action.recycle.total_seconds() * 1000)
        return TagOutcome(state, "recycle", until, tag_reason(tag) if now < until else "")
    return TagOutcome(state, _word(action), None, tag_reason(tag) if action == "disqualify" else "")


def _word(action: Action | None) -> Literal["keep", "task", "disqualify", "recycle"] | None:
    return "recycle" if isinstance(action, Recycle) else action


def hold_stages(
    tag: TagOutcome, stages: Sequence[Stage], crm_owned: Collection[str], state: StageState, current: str
) -> tuple[TagOutcome, StageHold]:
    """What a tag that recycles somebody does to the stages, and the tag as it is remembered then.

    They leave their stage once, unless a user has moved them back already; that stage and those after it stay closed.
    """
    if not tag.recycles or tag.until is None or current in crm_owned:
        return tag, NO_HOLD
    names = [each.name for each in stages]
    left, leaves = tag.state.left, False
    if left is None:
        place, before = (names.index(each) if each in names else -1 for each in (current, state.stage))
        leaves = place >= 0 and before <= place
        left = names[max(place, before)] if max(place, before) >= 0 else ""
    closed = names[names.index(left) if left in names else 0 :]
    hold = StageHold(tag.unrouted, dict.fromkeys(closed, tag.until), leaves)
    return tag._replace(state=tag.state._replace(left=left)), hold


MOST_STRANGE = 10
"""Unknown tags that a run names."""


def describe_strange_tags(feedback: Feedback | None, people: Mapping[str, int]) -> list[str]:
    """A sentence for each tag that people have and the config does not name."""
    if feedback is None:
        return []
    known = {fold_text(tag) for tag in feedback.tags}
    strange = [(tag, many) for tag, many in sorted(people.items()) if fold_text(tag) not in known]
    said = [
        f"feedback: {count_of(many, 'person')} {'has' if many == 1 else 'have'} the tag {tag!r}, which is not in "
        "[feedback.tags]"
        for tag, many in strange[:MOST_STRANGE]
    ]
    left = len(strange) - MOST_STRANGE
    return said + (
        [f"feedback: {count_of(left, 'more tag')} {'is' if left == 1 else 'are'} not in [feedback.tags]"]
        if left > 0
        else []
    )
