"""What Salesforce's refusals of a row mean: which of them pass, which name a field, and what to tell an admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from connectors.salesforce.errors import text_of

Kind = Literal["row", "field", "lock", "moved", "silent"]


@dataclass(frozen=True)
class RowError:
    """Why one row was not taken. `fields` are the API names Salesforce blames, if it does."""

    code: str
    message: str
    fields: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What to do about it: again later, look for the field, follow the record, or give the row up."""
        if self.code == "NO_RESULT":
            return "silent"
        if self.code in LOCKS:
            return "lock"
        # Where a field is named, it is what the field points to that is gone, such as the owner.
        if self.code in MOVED and not self.fields_beside_id:
            return "moved"
        return "field" if self.code in FIELD and not self.fields_beside_id else "row"

    @property
    def fields_beside_id(self) -> tuple[str, ...]:
        """The blamed fields without the record's own id."""
        return tuple(each for each in self.fields if each.lower() != "id")

    @property
    def words(self) -> str:
        """The reason, in a sentence for the admin, with what Salesforce said."""
        said = self.message.strip() or "no reason given"
        return f"{WORDS[self.code]} (Salesforce: {said})" if self.code in WORDS else f"{self.code}: {said}"


INACTIVE_OWNER = "INACTIVE_OWNER_OR_USER"
"""The code where the owner is inactive: the new one, or in some orgs the one whom a record has."""

SILENT = RowError("NO_RESULT", "Salesforce did not report a result for the row")
"""Stands for a row that an answer leaves out."""

LOCKS = frozenset(
    {"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "REQUEST_RUNNING_TOO_LONG", "JOB_FAILED"}
)
"""Refusals that pass by themselves."""

LATER = LOCKS | {
    "ENTITY_IS_LOCKED",
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "PROCESSING_HALTED",
    "STORAGE_LIMIT_EXCEEDED",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
    "CANNOT_EXECUTE_FLOW_TRIGGER",
}
"""Refusals after which the same change may well be taken in a later cycle."""

MOVED = frozenset(
    {
        "ENTITY_IS_DELETED",
        "NOT_FOUND",
        "INVALID_CROSS_REFERENCE_KEY",
        "CANNOT_UPDATE_CONVERTED_LEAD",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
    }
)
"""Refusals of rows whose record may have been deleted, merged or converted: look it up."""

DELETED = frozenset({"ENTITY_IS_DELETED"})
"""Those of them that say of a record that it is deleted; the others may be about one that is only not shown."""

NOT_SHOWN = "NOT_SHOWN"
"""Our code where Salesforce shows nothing of a record that it would not write to."""

FIELD = frozenset(
    {
        "INVALID_FIELD",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "STRING_TOO_LONG",
        "NUMBER_OUTSIDE_VALID_RANGE",
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        "FIELD_INTEGRITY_EXCEPTION",
        INACTIVE_OWNER,
        "TRANSFER_REQUIRES_READ",
        "OP_WITH_INVALID_USER_TYPE_EXCEPTION",
    }
)
"""Refusals that are about a field of the row even where they do not say which."""

WORDS = {
    "UNABLE_TO_LOCK_ROW": "the record or its account was locked by another change; crmsync tries again",
    "ENTITY_IS_LOCKED": "the record is locked by an approval process; crmsync tries again in a later run",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "a validation rule of the org rejects the change; exempt the integration user "
    "from the rule or correct the record",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "an Apex trigger of the org failed on the record; show this to its "
    "developer",
    "CANNOT_EXECUTE_FLOW_TRIGGER": "a flow of the org failed on the record; show this to whoever maintains it",
    "REQUIRED_FIELD_MISSING": "a required field of the record is empty; fill it in",
    "INSUFFICIENT_ACCESS_OR_READONLY": "the integration user cannot edit this record; give its permission set "
    "'Modify All Records' on the object, or share the record with it",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "the integration user cannot access a record that this one refers "
    "to; share that record with it",
    "INVALID_FIELD": "the field does not exist or the integration user cannot see it; run crmsync setup",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "the integration user cannot edit the field; grant Edit in its permission set",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "the picklist does not have this value, or not for this record type; "
    "add it or correct [[stage]]",
    "STRING_TOO_LONG": "the text is too long for the field",
    "NUMBER_OUTSIDE_VALID_RANGE": "the number is too large for the field; give the field more digits",
    "ENTITY_IS_DELETED": "the record is deleted",
    NOT_SHOWN: "Salesforce does not show the record to the integration user, so it is kept and not written; give its "
    "permission set 'View All Records' on the object, or share the record with it; if it was deleted for good, "
    "run: crmsync backfill --yes",
    "CANNOT_UPDATE_CONVERTED_LEAD": "the lead has been converted",
    INACTIVE_OWNER: "the owner is an inactive user; transfer the record to an active one",
    "TRANSFER_REQUIRES_READ": "the new owner cannot read these records; choose another owner or give them 'Read'",
    "OP_WITH_INVALID_USER_TYPE_EXCEPTION": "the licence of the new owner does not allow to own records; choose "
    "another owner",
    "DUPLICATES_DETECTED": "a duplicate rule blocks the record; merge the duplicates, or change the rule to allow "
    "saving",
    "STORAGE_LIMIT_EXCEEDED": "the org's data storage is full",
    "CONVERTED_STATUS": "a converted status cannot be written; correct [[stage]]",
    "INVALID_CROSS_REFERENCE_KEY": "the record or its new owner does not exist",
    "TXN_SECURITY_METERING_ERROR": "a transaction-security policy blocks the change; exempt the integration user",
}


def first_error(errors: Any) -> RowError:
    """The first error of a refused row, as Collections (`statusCode`) or REST (`errorCode`) spell it."""
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    fields = first.get("fields")
    return RowError(
        text_of(first.get("statusCode")) or text_of(first.get("errorCode")) or "UNKNOWN",
        text_of(first.get("message"))[:500],
        tuple(map(text_of, fields)) if isinstance(fields, list) else (),
    )


def refusal_of_bulk(text: str) -> RowError:
    """The `sf__Error` cell of a Bulk 2.0 result: `CODE:message:field field --`, as far as it is so."""
    code, colon, rest = text.partition(":")
    if not colon or not code.replace("_", "").isupper():
        return RowError("UNKNOWN", text[:500])
    # From the right: a message may have colons of its own.
    message, _, named = rest.rpartition(":")
    fields = tuple(named.removesuffix("--").split()) if named.rstrip().endswith("--") else ()
    return RowError(code, (message if fields or named.strip() == "--" else rest)[:500], fields)
