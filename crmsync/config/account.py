"""What is said of a whole account: how its score comes of its people's, and the roles of its buying group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from crmsync.config.conditions import Condition
from crmsync.config.tables import Table

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


class AccountRules(Table):
    """The score of an account, and the roles that its people fill; a role that nobody fills is missing."""

    score: Method = "top_three"
    roles: dict[str, Annotated[Role, BeforeValidator(_role)]] = {}

    @model_validator(mode="after")
    def _names_roles(self) -> AccountRules:
        if "roles" in self.model_fields_set and not self.roles:
            raise ValueError("[account.roles] has no role; add one with a condition (when), or remove the table")
        return self
