"""Writing back: batches of a hundred, refusals narrowed down to the record and the property that caused them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from connectors.hubspot.backward_stages import Moves, update_contacts
from connectors.hubspot.batch_read import BATCH, Record, cut_into_batches, look_up
from connectors.hubspot.bulk_import import (
    TAKEN_BACK,
    Ended,
    NoImport,
    await_earlier_import,
    fits_import,
    group_rows,
    import_rows,
)
from connectors.hubspot.client import Api
from connectors.hubspot.errors import (
    CRM,
    KIND,
    LASTING,
    LOCK_WAIT,
    Locked,
    RequestRefused,
    object_in,
    objects_in,
    text_of,
)
from connectors.hubspot.history import replaced_value, versions_of
from connectors.hubspot.mapping import MERGES, OWNER, STAGE
from connectors.hubspot.properties import instant_of, number_of, objection_to, property_text
from connectors.hubspot.schema import Portal
from crmsync.connector import FieldMap, Narrow, Notes
from crmsync.model import SCORE_FIELDS, Change, Receipt, Ref, Scalar

EVERYWHERE = ("PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE", "READ_ONLY")
"""Codes of a refusal that every record with the property would meet."""

PERSONAL = {"stage": STAGE, "owner": OWNER}
DATES = {name for name, each in SCORE_FIELDS.items() if each.type == "date"}
"""The properties that people set too, by our names."""

NO_ID = "this is not the id of a HubSpot contact; crmsync never writes by e-mail address"

LOCKED_ATTEMPTS = 3
"""How often a batch with a locked record is sent before it is halved, so that the others need not wait for it; with
`LOCK_WAIT` seconds in between."""


@dataclass
class Input:
    """One record's part of a batch: the properties to send, and what was refused already, by our names."""

    change: Change
    properties: dict[str, str]
    names: Mapping[str, str]
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The record's id."""
        return self.change.ref.id

    def without(self, refused: Mapping[str, str]) -> Input:
        """The same with some properties left out, each for a reason."""
        kept = {prop: value for prop, value in self.properties.items() if prop not in refused}
        by_name = {self.names[prop]: why for prop, why in refused.items() if prop in self.properties}
        return Input(self.change, kept, self.names, self.refused | by_name)

    def receipt(self, moved_to: str = "") -> Receipt:
        """The record was written, as far as nothing was refused."""
        survivor = Ref(CRM, KIND, moved_to) if moved_to and moved_to != self.id else None
        if not self.properties:
            return self.failed("REFUSED", "; ".join(dict.fromkeys(self.refused.values())))
        return Receipt(self.change.ref, True, refused=self.refused, moved_to=survivor)

    def failed(self, code: str, reason: str, *, retry: bool = False, gone: bool = False) -> Receipt:
        """Nothing of it was taken."""
        return Receipt(self.change.ref, False, code, reason, self.refused, retry=retry, gone=gone)


class Writer:
    """Sends changes and accounts for each of them."""

    def __init__(self, api: Api, portal: Portal, names: FieldMap, moves: Moves, notes: Notes) -> None:
        self._api, self._portal, self._moves, self._notes = api, portal, moves, notes
        self._imports = api.settings.mass_write == "import"
        self._score_fields = FieldMap.spelled(names.score_fields, KIND)
        self._stages = FieldMap.spelled(names.stages, KIND)

    def write(self, changes: Sequence[Change], narrow: Narrow) -> Iterator[Receipt]:
        """A receipt for each change that `narrow` leaves, in no particular order."""
        await_earlier_import(self._api, self._notes)
        self._moves.finish()
        self._portal.doubt()
        yield from (Receipt(each.ref, False, "NO_ID", NO_ID) for each in changes if not each.ref.id.isdecimal())
        inputs = [self._prepared(each) for each in changes if each.ref.id.isdecimal()]
        yield from (each.receipt() for each in inputs if not each.properties)
        masses, rest = self._masses([each for each in inputs if each.properties])
        # Together, since before a batch those are looked at whose stage or owner it moves.
        rest.sort(key=lambda each: not PERSONAL.keys() & each.change.after.keys())
        yield from self._move_back([each for each in rest if self._is_moved_back(each)], narrow)
        yield from self._in_batches([each for each in rest if not self._is_moved_back(each)], narrow)
        # Last: what people move too must not wait behind an import, which takes minutes.
        for mass in masses:
            yield from self._in_mass(mass, narrow)

    def replaced(self, change: Change, record: Record) -> Mapping[str, Scalar | None]:
        """The stage and owner of others that a change replaced which was just written, by the record's histories."""
        return dict(self._replaced(change, record))

    def _replaced(self, change: Change, record: Record) -> Iterator[tuple[str, str | None]]:
        for name in PERSONAL.keys() & change.after.keys():
            before, ours = (self._value(name, values.get(name)) for values in (change.before, change.after))
            was_cleared = name == "stage" and self._is_moved_back(self._prepared(change))
            theirs = replaced_value(versions_of(record, PERSONAL[name]), before, ours, was_cleared=was_cleared)
            if theirs is not None:
                yield name, self._named(name, theirs)

    def _named(self, name: str, value: str) -> str | None:
        """A value as the connector reads it: a stage by its name in the config, if it has one."""
        names = {spelling: stage for stage, spelling in reversed(self._stages.items())} if name == "stage" else {}
        return names.get(value, value) or None

    def _in_batches(self, inputs: Sequence[Input], narrow: Narrow) -> Iterator[Receipt]:
        """Several batches at once; each is narrowed here, on the thread that iterates, when there is room for it."""
        batches = (left for batch in _batches(inputs) if (left := self._narrow(batch, narrow)))
        for receipts in self._api.in_flight(self._write_batch, batches):
            yield from receipts

    def _move_back(self, inputs: Sequence[Input], narrow: Narrow) -> Iterator[Receipt]:
        """Batches in which a stage is cleared before it is set, one after the other."""
        for batch in _batches(inputs):
            left = self._narrow(batch, narrow)
            # After the look and only for what is left: a stage that a person has moved must not be cleared.
            self._moves.begin({each.id: each.properties[STAGE] for each in left if self._is_moved_back(each)})
            receipts = self._write_batch(left)
            self._moves.end()
            yield from receipts

    def _narrow(self, inputs: Sequence[Input], narrow: Narrow) -> list[Input]:
        """What is to be sent of a batch at this moment."""
        known = {id(each.change): each for each in inputs}
        left = narrow([each.change for each in inputs])
        return [known.get(id(change)) or self._prepared(change) for change in left if change.after]

    def _write_batch(self, inputs: Sequence[Input]) -> list[Receipt]:
        sent = [each for each in inputs if each.properties]
        return [*(each.receipt() for each in inputs if not each.properties), *(self._batch(sent) if sent else ())]

    def _masses(self, inputs: Sequence[Input]) -> tuple[list[list[Input]], list[Input]]:
        """What goes by import, one list for each, and what goes by batch: stages and owners always do, and dates, whose
        form in a file depends on settings of the import.
        """
        scored = [each for each in inputs if not (PERSONAL.keys() | DATES) & each.change.after.keys()]
        fit = {each.id: each for each in scored} if self._imports else {}
        rows = {contact_id: each.properties for contact_id, each in fit.items() if fits_import(each.properties)}
        masses = [
            [fit[contact_id] for contact_id in ids] for ids in group_rows(rows, self._api.settings.import_threshold)
        ]
        taken = {id(each) for mass in masses for each in mass}
        return masses, [each for each in inputs if id(each) not in taken]

    def _in_mass(self, inputs: Sequence[Input], narrow: Narrow) -> Iterator[Receipt]:
        """Write by import; in batches what lost a column meanwhile, and all when HubSpot does not take the import."""
        # It was refused before, and would be again.
        if not self._imports:
            yield from self._in_batches(inputs, narrow)
            return
        left, columns, ended = self._narrow(inputs, narrow), inputs[0].properties.keys(), None
        if rows := [each for each in left if each.properties.keys() == columns]:
            try:
                ended = import_rows(self._api, self._notes, {each.id: each.properties for each in rows})
            except NoImport:
                self._imports = False
        if ended:
            yield from self._of_import(rows, ended, narrow)
            left = [each for each in left if each.properties.keys() != columns]
        yield from self._in_batches(left, narrow)

    def _of_import(self, inputs: Sequence[Input], ended: Ended, narrow: Narrow) -> Iterator[Receipt]:
        """A receipt for each row; what is in doubt is read, and what HubSpot left out without a word sent by batch."""
        by_id = {each.id: each for each in inputs}
        doubtful = ended.doubtful(list(by_id))
        yield from (each.receipt() for each in inputs if each.id not in doubtful)
        left: list[Input] = []
        for contact_id, record in self._present({contact_id: by_id[contact_id] for contact_id in doubtful}):
            it = by_id[contact_id]
            if receipt := _found(it, record):
                yield receipt
            elif ended.state in TAKEN_BACK:
                yield it.failed("CANCELED", "a user stopped or reverted the import in HubSpot", retry=True)
            elif why := doubtful[contact_id]:
                yield it.without(dict.fromkeys(_lost(it, record), why)).receipt()
            else:
                left.append(it)
        yield from self._in_batches(left, narrow)

    def _prepared(self, change: Change) -> Input:
        """Spell a change in HubSpot's words and leave out what HubSpot would refuse."""
        names = {self._spelling(name): name for name in change.after}
        values = {prop: self._value(name, change.after[name]) for prop, name in names.items()}
        whole = Input(change, values, names)
        return whole.without(
            {prop: why for prop, value in values.items() if (why := self._objection(whole, prop, value))}
        )

    def _spelling(self, name: str) -> str:
        return PERSONAL.get(name) or self._score_fields.get(name, name)

    def _value(self, name: str, value: Scalar | None) -> str:
        return property_text(self._stages.get(value, value) if name == "stage" and isinstance(value, str) else value)

    def _objection(self, it: Input, prop: str, value: str) -> str:
        if prop == OWNER:
            known = not value or self._takes_records(value)
            said = f"the HubSpot owner {value} is deactivated or unknown; remove them where a pool has them"
            return "" if known else said
        if prop == STAGE and self._is_moved_back(it) and not self._api.settings.backward_stages:
            return "HubSpot moves stages only forward, so it would ignore this (see [hubspot] backward_stages)"
        return objection_to(value, self._portal.definitions("contacts").get(prop), prop)

    def _takes_records(self, owner: str) -> bool:
        return any(each.id == owner and each.active for each in self._portal.owners())

    def _is_moved_back(self, it: Input) -> bool:
        """Whether the stage is to become one that comes earlier in the portal's own order."""
        order, after = self._portal.stages(), it.properties.get(STAGE, "")
        before = self._value("stage", it.change.before.get("stage"))
        return before in order and after in order and order.index(after) < order.index(before)

    def _batch(self, inputs: Sequence[Input], attempts: int = LOCKED_ATTEMPTS) -> Iterator[Receipt]:
        """Write one batch. One that is refused as a whole is narrowed down; the others are written all the same."""
        try:
            answer = self._sent(inputs, attempts)
        except RequestRefused as error:
            yield from self._salvage_batch(inputs, error)
        except Locked as error:
            yield from self._locked(inputs, str(error))
        else:
            yield from self._accounted(inputs, answer)

    def _sent(self, inputs: Sequence[Input], attempts: int = LOCKED_ATTEMPTS) -> Mapping[str, Any]:
        for _ in range(attempts - 1):
            try:
                return update_contacts(self._api, {each.id: each.properties for each in inputs})
            except Locked:
                self._api.pause(LOCK_WAIT)
        return update_contacts(self._api, {each.id: each.properties for each in inputs})

    def _locked(self, inputs: Sequence[Input], said: str) -> Iterator[Receipt]:
        if len(inputs) == 1:
            yield inputs[0].failed("LOCKED", said, retry=True)
            return
        for half in _halves(inputs):
            # Once each: the lock has been waited for already.
            yield from self._batch(half, 1)

    def _salvage_batch(self, inputs: Sequence[Input], error: RequestRefused) -> Iterator[Receipt]:
        """Write what can be written of a batch that was refused as a whole.

        HubSpot names the property, never the record: a property that no record may have is left out everywhere,
        otherwise the batch is halved until the culprits stand alone.
        """
        missing = {prop: why for prop, code, why in _blamed(error) if code in EVERYWHERE}
        if missing and any(prop in each.properties for each in inputs for prop in missing):
            # The next run is to say what is missing.
            self._portal.forget()
            less = [each.without(missing) for each in inputs]
            yield from (each.receipt() for each in less if not each.properties)
            if left := [each for each in less if each.properties]:
                yield from self._batch(left)
        elif len(inputs) == 1:
            yield from self._salvaged(inputs[0], error)
        else:
            yield from self._halved(inputs, error)

    def _halved(self, inputs: Sequence[Input], error: RequestRefused) -> Iterator[Receipt]:
        """The same where at least one input is a culprit: when the first half is fine, the second is not sent whole."""
        first, second = _halves(inputs)
        try:
            answer = self._sent(first)
        except (RequestRefused, Locked) as other:
            yield from (
                self._salvage_batch(first, other)
                if isinstance(other, RequestRefused)
                else self._locked(first, str(other))
            )
            yield from self._batch(second)
            return
        yield from self._accounted(first, answer)
        named = [prop for prop, _, _ in _blamed(error) if prop in second[0].properties]
        if len(second) > 1:
            yield from self._halved(second, error)
        # It stands alone and one property is to blame: sending it once more would tell nothing new.
        elif len(set(named)) == 1:
            yield from self._salvaged(second[0], error)
        else:
            yield from self._batch(second)

    def _salvaged(self, it: Input, error: RequestRefused) -> Iterator[Receipt]:
        """Write a culprit without what HubSpot blames; if it blames nothing of ours, without stage and owner."""
        blamed = {prop: why for prop, _, why in _blamed(error) if prop in it.properties}
        # An admin's rule may blame a property that we do not send
        # (https://developers.hubspot.com/changelog/crm-api-write-validation-enforcement, 2026-11-21).
        blamed = blamed or {prop: error.said for prop in (STAGE, OWNER) if prop in it.properties}
        less = it.without(blamed)
        if blamed and less.properties:
            yield from self._batch([less])
        else:
            passes = error.category not in LASTING
            yield Receipt(it.change.ref, False, error.category or "REFUSED", error.said, less.refused, retry=passes)

    def _accounted(self, inputs: Sequence[Input], answer: Mapping[str, Any]) -> Iterator[Receipt]:
        """A receipt for each input out of an answer's body; its status says nothing (200, 207 and 201 all occur)."""
        open_inputs = {each.id: each for each in inputs}
        for result in objects_in(answer, "results"):
            if it := open_inputs.pop(text_of(result.get("id")), None):
                yield it.receipt()
        for error in objects_in(answer, "errors"):
            refusal = RequestRefused(207, error, "update a record")
            # What is not found may have been merged: it is looked up below, like whatever the answer leaves out.
            named = () if refusal.category in ("OBJECT_NOT_FOUND", "") else _ids(error)
            for it in filter(None, (open_inputs.pop(contact_id, None) for contact_id in named)):
                if refusal.category in LASTING:
                    yield from self._salvaged(it, refusal)
                else:
                    yield it.failed(refusal.category, refusal.said, retry=True)
        if open_inputs:
            yield from self._looked_up(open_inputs)

    def _looked_up(self, inputs: Mapping[str, Input]) -> Iterator[Receipt]:
        """Receipts for records that the answer does not account for, out of what they are like now."""
        for contact_id, record in self._present(inputs):
            said = "HubSpot reported no error, but did not store the values"
            yield _found(inputs[contact_id], record) or inputs[contact_id].failed("NOT_KEPT", said, retry=True)

    def _present(self, inputs: Mapping[str, Input]) -> Iterator[tuple[str, Record | None]]:
        properties = list({prop for each in inputs.values() for prop in each.properties} | {*MERGES})
        return look_up(self._api, list(inputs), properties)


def _found(it: Input, record: Record | None) -> Receipt | None:
    """The receipt that a record as it is now gives; `None` when it does not hold what was sent."""
    if record is None:
        return it.failed("OBJECT_NOT_FOUND", "the contact was deleted in HubSpot", gone=True)
    if record["id"] != it.id or not _lost(it, record):
        return it.receipt(record["id"])
    return None


def _lost(it: Input, record: Record | None) -> list[str]:
    """The properties that a record does not have as they were sent."""
    values = record["properties"] if record else {}
    return [prop for prop, value in it.properties.items() if not _same(values.get(prop) or "", value)]


def _same(one: str, other: str) -> bool:
    # Whether a date comes back as it was sent or as milliseconds is not documented for every version (2026-11).
    readers: tuple[Callable[[str], object], ...] = (number_of, instant_of)
    return one == other or any(read(one) is not None and read(one) == read(other) for read in readers)


def _blamed(error: RequestRefused) -> Iterator[tuple[str, str, str]]:
    """The properties that a refusal names, each with HubSpot's code and reason."""
    for each in objects_in(error.body, "errors"):
        for prop in _texts(object_in(each, "context"), "propertyName"):
            yield prop, text_of(each.get("code")), text_of(each.get("message")) or error.said
    _, _, listed = error.said.partition("Property values were not valid: ")
    try:
        named = orjson.loads(listed) if listed else []
    except orjson.JSONDecodeError:
        return
    for each in objects_in({"named": named}, "named"):
        yield text_of(each.get("name")), text_of(each.get("error")), text_of(each.get("message")) or error.said


def _ids(error: Mapping[str, Any]) -> Iterator[str]:
    """The records that a partial error is about."""
    for key in ("ids", "id", "objectWriteTraceId"):
        yield from _texts(object_in(error, "context"), key)


def _texts(value: Mapping[str, Any], name: str) -> list[str]:
    """The texts of that name, be it one or a list."""
    said = value.get(name)
    return [text_of(each) for each in (said if isinstance(said, list) else [said] if said else [])]


def _batches(inputs: Sequence[Input]) -> Iterator[Sequence[Input]]:
    """Batches with each record at most once: HubSpot refuses a batch that has one twice."""
    rest = list(inputs)
    while rest:
        # Reversed, so that of two changes of one record the earlier one goes first.
        first = {each.id: each for each in reversed(rest)}
        rest = [each for each in rest if first[each.id] is not each]
        yield from cut_into_batches(list(first.values())[::-1], BATCH)


def _halves(inputs: Sequence[Input]) -> tuple[Sequence[Input], Sequence[Input]]:
    middle = len(inputs) // 2
    return inputs[:middle], inputs[middle:]
