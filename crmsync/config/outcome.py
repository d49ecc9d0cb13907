"""What came of people: what counts as won, accepted and touched, and as of when their score is judged."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from crmsync.config.tables import Duration, Table
from crmsync.config.units import _listed
from crmsync.model import TOUCHES

Names = Annotated[list[str], BeforeValidator(_listed, json_schema_input_type=str | list[str])]


class OutcomeRules(Table):
    """What came of people, out of the opportunities and deals of the CRMs. An empty table has defaults that work.

    A person is won with the first opportunity that is (`won`: stages, besides those that the CRM itself closes as
    won), lost with one that is closed otherwise (`lost`) and none open, and lost without one `horizon` after they
    were judged; until then they are open. They are accepted with an opportunity, or in a stage of `accepted`
    (stages of `[[stage]]` or of opportunities). `touched` are the types of activity by which sales touches
    somebody. A score is judged as of the hand-off, which is the entry into the band `line`; of those who never
    were, as of their first opportunity; of those without one, as long after they came as others came to theirs, or
    `judged_after` so long. `value` is the field that says what an opportunity is worth, `pipelines` are those that
    count (all, if left out). `stable` are fields of which today's value stands for the past, too: those of which no
    former values are known are unknown otherwise.
    """

    won: Names = []
    lost: Names = []
    accepted: Names = []
    touched: Annotated[Names, Field(min_length=1)] = list(TOUCHES)
    horizon: Duration = Field(default=timedelta(days=180), gt=timedelta())
    judged_after: Duration | None = Field(default=None, gt=timedelta())
    line: str | None = None
    value: dict[str, str] = {}
    pipelines: Names = []
    stable: Names = []

    def find_mistakes(self, known: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
        """The names in it that nothing has, each with its key and a sentence.

        `known` has what there is: `band`, `field`, `crm` and `kind` (of activities).
        """
        asked = (
            ("line", "band", [self.line] if self.line is not None else []),
            ("stable", "field", self.stable),
            ("value", "crm", [*self.value]),
            ("touched", "kind", self.touched),
        )
        for key, what, names in asked:
            for name in (each for each in names if each not in known[what]):
                yield key, f"there is no {_CALLED[what]} {name!r}; {_there_are(name, _CALLED[what], known[what])}"
        for key in ("won", "lost", "accepted", "pipelines"):
            if any(not each.strip() for each in getattr(self, key)):
                yield key, "an empty text names nothing; write the name as the CRM shows it"
        for crm in (crm for crm, field in self.value.items() if not field.strip()):
            yield "value", f"the field of {crm} is empty; write its name, or remove it for the CRM's own amount"
        for name in (each for each in self.won if each in self.lost):
            yield "lost", f"{name!r} is in won, too; remove it from one of the two"


_CALLED = {"band": "band", "field": "field", "crm": "CRM", "kind": "activity type"}


def _there_are(name: str, what: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"the {what}s are {', '.join(names)}" if names else "the file has none"
