"""What users say of people with tags, held against the score."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.evaluation.cases import JudgedCases


class TagCount(NamedTuple):
    """People with a tag by band."""

    tag: str
    bands: dict[str, int]


class FeedbackCount(NamedTuple):
    """Tags by band. Of `people` whose tag is one of the config, with so many it agrees with the line."""

    tags: list[TagCount]
    people: int
    agreed: int


def measure_feedback(
    judged: JudgedCases, over: NDArray[np.bool_], good: Collection[str], bad: Collection[str]
) -> FeedbackCount | None:
    """Count the tags; `None` where none is known.

    `over` (n,): whose points are over the line. A tag of `bad` agrees with points below it, one of `good` with points
    over it.
    """
    if "feedback" not in judged.groups or not any(judged.groups["feedback"].labels):
        return None
    codes, labels = judged.groups["feedback"]
    names = judged.model.band_names()
    tags = []
    for place, tag in enumerate(labels):
        if tag:
            theirs = judged.band[codes == place]
            counts = {name: int((theirs == number).sum()) for number, name in enumerate(names)}
            tags.append(TagCount(tag, {name: count for name, count in counts.items() if count}))
    is_good, is_bad = (np.array([tag in some for tag in labels])[codes] for some in (good, bad))
    agreed = int((is_good & over).sum() + (is_bad & ~over).sum())
    return FeedbackCount(tags, int((is_good | is_bad).sum()), agreed)
