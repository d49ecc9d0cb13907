"""The company of a contact: its primary one, read in batches and kept while it is useful."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.hubspot.associations import is_of_type, read_associations
from connectors.hubspot.batch_read import BATCH, Record, cut_into_batches, read_many
from connectors.hubspot.client import Api
from connectors.hubspot.errors import RequestRefused, id_of
from connectors.hubspot.mapping import COMPANY, MERGED, merged_ids
from connectors.hubspot.paging import Listing, Window, count_records, whole_list

PRIMARY = 1
"""The association type of a contact's primary company."""

ID = "hs_object_id"

KEPT = 100_000
"""Companies whose values are remembered."""

NO_COMPANIES = (
    "HubSpot says that this portal has no companies (status 404), so nothing is known of them: rules about their "
    "fields never hold, and nobody has an account in HubSpot"
)


class Companies:
    """The companies of contacts, and those properties of them that are read."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.are_there = True
        """Whether the portal has any, as far as this pull knows."""
        self._properties: frozenset[str] = frozenset()
        self._values: dict[str, Mapping[str, Any]] = {}
        self._told: dict[str, Mapping[str, Any]] = {}
        """Values that all contacts of a company were given; what one of them was given says nothing of the others."""

    def of(
        self, contacts: Sequence[Record], properties: Sequence[str], on_contact: bool
    ) -> list[tuple[str, Mapping[str, Any] | None] | None]:
        """The company's id and values for each contact; `None` where HubSpot fails to say which one it is.

        Both are empty where it has no company, and the values `None` where its company cannot be read. `on_contact`
        says that the portal keeps the primary company's id on the contact; otherwise it is looked up.
        """
        self._remember_only(properties)
        unknown: list[tuple[str, Mapping[str, Any] | None] | None] = [("", None)] * len(contacts)
        if not self.are_there:
            return unknown
        try:
            return self._asked(contacts, properties, on_contact)
        except RequestRefused as error:
            if not error.says_nothing_there:  # of this batch, which says nothing of the others
                self._give_up(error)
            return unknown

    def _give_up(self, error: RequestRefused) -> None:
        """Do without companies where the portal has none."""
        if not error.knows_no_such_kind:
            raise error
        self.are_there = False

    def _asked(
        self, contacts: Sequence[Record], properties: Sequence[str], on_contact: bool
    ) -> list[tuple[str, Mapping[str, Any] | None] | None]:
        if on_contact:
            primary = {each["id"]: each["properties"].get(COMPANY) or "" for each in contacts}
        else:
            primary = self._primary([each["id"] for each in contacts])
        known = {"": {}, **self._known({each for each in primary.values() if each}, properties)}
        companies = {
            contact: ((known[company_id] or {}).get(ID, company_id), known[company_id])
            for contact, company_id in primary.items()
        }
        return [companies.get(each["id"]) for each in contacts]

    def _remember_only(self, properties: Sequence[str]) -> None:
        """Forget what was remembered of other properties: one that comes back would be taken for empty."""
        if self._properties != frozenset(properties):
            self._properties, self._values, self._told = frozenset(properties), {}, {}

    def remember_all(self, properties: Sequence[str], *, for_all: bool) -> None:
        """Forget everything and read all companies, if they are not too many: their list has a hundred in a call.

        `for_all` says that all contacts will be given these values, not only the rest of them.
        """
        self._remember_only(properties)
        self._values = {}
        if self.are_there and count_records(self._api, "companies") <= KEPT:
            try:
                for records, _ in whole_list(Listing(self._api, "companies", properties)):
                    self._values |= {each["id"]: _only(each, properties) for each in records}
            except RequestRefused as error:
                self._give_up(error)
        self._told = dict(self._values) if for_all else {}

    def _known(self, ids: set[str], properties: Sequence[str]) -> Mapping[str, Mapping[str, Any] | None]:
        """The values of these companies. Several threads ask at once: what is remembered is only ever added to."""
        remembered = self._values
        known = {company_id: remembered[company_id] for company_id in ids if company_id in remembered}
        missing = sorted(ids - known.keys())
        read = self._read(missing, properties)
        alone = {company_id: self._alone(company_id, properties) for company_id in missing if company_id not in read}
        known |= read | {company_id: values for company_id, values in alone.items() if values is not None}
        if len(remembered) + len(missing) > KEPT:
            self._values = dict(known)
        else:
            remembered.update(known)
        return known | dict.fromkeys(ids - known.keys())

    def _read(self, ids: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The values of those of these companies that are there by the id they are asked for."""
        try:
            return {each["id"]: _only(each, properties) for each in read_many(self._api, "companies", properties, ids)}
        except RequestRefused as error:
            if not error.says_nothing_there:
                raise
        # Others on this page have theirs, unless the portal has no companies: then this is refused, too.
        self._api.get(self._api.place("list", kind="companies"), [("limit", "1")])
        return {}

    def _alone(self, company_id: str, properties: Sequence[str]) -> Mapping[str, Any] | None:
        """The values of a company that a batch did not bring: by its former id one that was merged is found.

        Nothing where there is none, and `None` where it cannot be read.
        """
        where = self._api.place("record", kind="companies", id=company_id)
        try:
            record: Record = self._api.get(where, [("properties", ",".join(properties))])
        except RequestRefused as error:
            if error.status not in (400, 404):
                raise
            return {}
        return _only(record, properties) if record else None

    def _primary(self, contacts: Sequence[str]) -> dict[str, str]:
        found = read_associations(self._api, "contacts", "companies", contacts)
        best = {
            each: min(others, key=lambda one: not is_of_type(one, PRIMARY), default=None)
            for each, others in found.items()
        }
        return {contact: id_of(each["toObjectId"]) if each else "" for contact, each in best.items()}

    def changed(self, since: int, properties: Sequence[str]) -> Window | None:
        """The companies that changed since then (milliseconds), for `members`; `None` where the portal has none."""
        self._remember_only(properties)
        try:
            return Window(self._api, "companies", "hs_lastmodifieddate", since, [*properties, MERGED])
        except RequestRefused as error:
            self._give_up(error)
            return None

    def members(self, window: Window, properties: Sequence[str]) -> Iterator[list[str]]:
        """Lists of contacts whose company's mapped values changed, as far as can be known.

        A company also counts as changed when anybody e-mails one of its people; those whose contacts were all given the
        same values are left out.
        """
        for records, _ in window.pages():
            read = {each["id"]: _only(each, properties) for each in records}
            moved = {company_id: values for company_id, values in read.items() if self._told.get(company_id) != values}
            former = self._values.keys() & {each for one in records for each in merged_ids(one["properties"])}
            if former:
                self._values = {each: values for each, values in self._values.items() if each not in former}
            self._values |= moved
            found = read_associations(self._api, "companies", "contacts", moved)
            members = dict.fromkeys(id_of(each["toObjectId"]) for others in found.values() for each in others)
            for chunk in cut_into_batches(list(members), BATCH):
                yield list(chunk)
            # Only now that all their contacts were handed on.
            self._told |= {company_id: moved[company_id] for company_id in found}
        if len(self._told) > KEPT:
            self._told = {}


def _only(record: Record, properties: Sequence[str]) -> dict[str, Any]:
    """Those values, and the id, which is not the one that was asked for where the company was merged."""
    values = record["properties"]
    return {ID: record["id"], **{name: values[name] for name in properties if name in values}}
