"""The shape in which people and their activities are scored: columns, never objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmsync.model import Scalar


class Fact(NamedTuple):
    """A distinct kind of activity with its attributes; many activities point to one."""

    kind: str
    attributes: Mapping[str, Scalar]


@dataclass(frozen=True)
class Columns:
    """`n` people and their `m` activities.

    `people` int64 (n,): the ids of the people. `fields`: canonical name → n values, `None` where not known.
    `person` int32 (m,): for each activity the row of its person, ascending. `at` int64 (m,): seconds since 1970, UTC,
    ascending within a person. `fact` int32 (m,): index into `facts`.
    """

    people: NDArray[np.int64]
    fields: Mapping[str, Sequence[Scalar | None]]
    person: NDArray[np.int32]
    at: NDArray[np.int64]
    fact: NDArray[np.int32]
    facts: Sequence[Fact]
