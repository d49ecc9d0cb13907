"""What is said of a whole account: how its score comes of its people's, and the roles of its buying group."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from crmsync.config.conditions import Condition, Where
from crmsync.config.tables import Table
from crmsync.config.units import Days, Texts

ACCOUNT = "account."
"""How the fields begin that are those of a person's account."""

Method = Literal["sum", "max", "min", "average", "top_three"]
"""How the scores of people become one: `top_three` is the sum of the three highest."""

ROLE_FIELDS = ("email", "stage", "score", "fit", "behavior", "band", "track")
"""What a role may ask of a person besides `[fields]`: what is stored of everybody."""


class Role(Table):
    """A role of the buying group: whoever `when` holds for fills it."""

    when: Condition


def _role(value: Any) -> Any:
    if isinstance(value, Mapping) and "when" not in value:
        raise ValueError('write who fills the role: { when = { field = "title", seniority = ["vp", "c_level"] } }')
    return value


BUILTIN = ("name", "owner", "active_people", "score", "people", "missing_roles")
"""What `account.` may stand before already."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class AccountCount(Table):
    """Activities of an account as one number: how many (`events`), of how many `users`, or the `sum` of an attribute.

    Those of all its people count, and events of its domain that no person has. `window` is how old they may be.
    """

    on: Texts
    where: Where = {}
    of: Literal["events", "users"] = Field(default="events", description="How many events, or of how many users.")
    sum: str | None = None
    window: Days | None = None

    @model_validator(mode="after")
    def _one_number(self) -> AccountCount:
        if self.sum is not None and "of" in self.model_fields_set:
            raise ValueError("write either of or sum")
        return self


class AccountRules(Table):
    """The score of an account, the roles that its people fill (one that nobody fills is missing), and `counts` of what
    they do, which conditions ask for as `account.NAME`.
    """

    score: Method = "top_three"
    counts: dict[str, AccountCount] = {}
    roles: dict[str, Annotated[Role, BeforeValidator(_role)]] = {}

    @field_validator("counts")
    @classmethod
    def _own_names(cls, value: dict[str, AccountCount]) -> dict[str, AccountCount]:
        for name in value:
            if not _NAME.fullmatch(name) or name in BUILTIN:
                raise ValueError(
                    f"{name!r} cannot be the name of a count; write small letters, digits and single _, and none of "
                    f"{', '.join(BUILTIN)}"
                )
        return value

    @model_validator(mode="after")
    def _names_roles(self) -> AccountRules:
        if "roles" in self.model_fields_set and not self.roles:
            raise ValueError("[account.roles] has no role; add one with a condition (when), or remove the table")
        return self
