"""The tags that users give people in a CRM, and what each does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator

from crmsync.config.deciding import PerCrm
from crmsync.config.tables import Duration, Table

FEEDBACK = "feedback"
"""What conditions call the field."""

LONGEST_TAG = 80
"""Characters of a tag: more do not fit into a picklist that somebody chooses from."""


class Recycle(Table):
    """That a person leaves their stage, and is neither given it nor an owner again for so long."""

    recycle: Duration = Field(gt=timedelta())


def _action(value: Any) -> Any:
    if isinstance(value, dict | Recycle) or value in ("keep", "disqualify", "task"):
        return value
    raise ValueError('write "keep", "disqualify", "task" or { recycle = "90d" }')


def _sort(value: Any) -> str:
    return "[table]" if isinstance(value, dict | Recycle) else "[word]"


# By its sort, so that a mistake in the table is not also told as one in the word.
Action = Annotated[
    Annotated[Literal["keep", "disqualify", "task"], Tag("[word]")] | Annotated[Recycle, Tag("[table]")],
    Discriminator(_sort),
]


class Feedback(Table):
    """What users say of people, in a field (`field`) that `crmsync setup` makes with the tags as its options.

    `keep` does nothing, `disqualify` keeps somebody in the lowest band and from every route until the tag is taken
    away, `{ recycle = "90d" }` takes them out of their stage for that time, `task` makes a task for their owner where
    `[tasks]` has "feedback".
    """

    field: PerCrm = Field(min_length=1)
    tags: dict[str, Annotated[Action, BeforeValidator(_action)]] = Field(min_length=1)

    @field_validator("tags")
    @classmethod
    def _distinct(cls, value: dict[str, Action]) -> dict[str, Action]:
        for tag in value:
            if not tag or tag != tag.strip() or len(tag) > LONGEST_TAG or re.search(r"[\x00-\x1f;]", tag):
                raise ValueError(
                    f"the tag {tag!r}: write at most {LONGEST_TAG} characters on one line, without spaces around them "
                    "or a semicolon"
                )
        folded = [tag.casefold() for tag in value]
        if twice := [tag for tag in value if folded.count(tag.casefold()) > 1]:
            raise ValueError(f"the tags {' and '.join(map(repr, twice))} differ only in capitals; write one of them")
        return value


def add_feedback(given: Any) -> Any:
    """What a config says, with what `[feedback]` adds: its field, and a reason to disqualify for each such tag.

    What was added before is not added again, so that a stored config reads as it was.
    """
    table = given.get(FEEDBACK) if isinstance(given, Mapping) else None
    if isinstance(table, Feedback):
        table = table.model_dump()
    if not isinstance(table, Mapping) or not isinstance(table.get("field"), Mapping):
        return given
    fields, rows, tags = given.get("fields", {}), given.get("disqualify", []), table.get("tags")
    if not isinstance(fields, Mapping) or not isinstance(rows, list) or not isinstance(tags, Mapping):
        return given
    names = [each.get("name") if isinstance(each, Mapping) else getattr(each, "name", None) for each in rows]
    reasons = [
        {"name": tag_reason(tag), "when": {"field": FEEDBACK, "is": tag}}
        for tag, action in tags.items()
        if action == "disqualify" and tag_reason(tag) not in names
    ]
    return {**given, "fields": {FEEDBACK: table["field"], **fields}, "disqualify": [*rows, *reasons]}


def tag_reason(tag: str) -> str:
    """A tag as the reason of something."""
    return f"{FEEDBACK}: {tag}"
