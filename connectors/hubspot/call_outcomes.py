"""The outcomes of calls by their labels: HubSpot keeps the id of one on a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.hubspot.client import Api
from connectors.hubspot.errors import Forbidden, RequestRefused, id_of, text_of
from connectors.hubspot.feeds import OUTCOME
from crmsync.config.tables import Feed

STANDARD = {
    # Every portal has these, under these ids (2026-11-28).
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "Connected",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "Left live message",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "Left voicemail",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "No answer",
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "Busy",
    "17b47fee-58de-441e-a44c-c6300d46f273": "Wrong number",
}


def read_call_outcomes(api: Api) -> dict[str, str]:
    """The label of each outcome by its id; only the standard ones where HubSpot does not let us read them."""
    try:
        answer = api.get(api.place("call_outcomes"))["results"]
    except (Forbidden, RequestRefused):
        return dict(STANDARD)
    found = {_outcome_id(each): text_of(each.get("label")).strip() for each in answer}
    return STANDARD | {each: label for each, label in found.items() if each and label}


def _outcome_id(answer: Mapping[str, Any]) -> str:
    return (text_of(answer.get("id")) or id_of(answer.get("id"))).lower()


def label_outcomes(feeds: Sequence[Feed], labels: Mapping[str, str]) -> list[Feed]:
    """The feeds with labels where their `where` asks for an outcome by its id: both ways of writing it fit."""
    return [
        feed.model_copy(update={"where": {**feed.where, OUTCOME: _labelled(feed.where[OUTCOME], labels)}})
        if OUTCOME in feed.where
        else feed
        for feed in feeds
    ]


def _labelled(wanted: Any, labels: Mapping[str, str]) -> Any:
    if isinstance(wanted, list | tuple):
        return [_labelled(each, labels) for each in wanted]
    text = str(wanted)
    negation = "!" if text.startswith("!") else ""
    outcome = text.removeprefix("!")
    return negation + labels.get(outcome.lower(), outcome)


def label_outcome(values: Mapping[str, Any], labels: Mapping[str, str]) -> Mapping[str, Any]:
    """A call's properties with the label of its outcome; an outcome that is not known stays an id."""
    outcome = text_of(values.get(OUTCOME))
    return {**values, OUTCOME: labels.get(outcome.lower(), outcome)} if outcome else values
