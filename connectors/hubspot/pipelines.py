"""The pipelines of a portal and their stages, and which of these mean won and lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from connectors.hubspot.client import Api
from connectors.hubspot.errors import object_in, objects_in, text_of
from connectors.hubspot.properties import number_of

State = Literal["open", "won", "lost"]


class PipelineStage(NamedTuple):
    """A stage by its id, its label, and what a deal in it is; `None` where HubSpot does not say."""

    id: str
    label: str
    state: State | None


class Pipeline(NamedTuple):
    """A pipeline by its id, its label, and its stages."""

    id: str
    label: str
    stages: tuple[PipelineStage, ...]


def read_pipelines(api: Api, kind: str) -> tuple[Pipeline, ...]:
    """The pipelines of a kind of record; what has no id is left out."""
    answer = api.get(api.place("pipelines", kind=kind))
    found = []
    for each in answer["results"]:
        stages = tuple(_stage(one) for one in objects_in(each, "stages") if text_of(one.get("id")))
        if number := text_of(each.get("id")):
            found.append(Pipeline(number, text_of(each.get("label")) or number, stages))
    return tuple(found)


def _stage(answer: Mapping[str, Any]) -> PipelineStage:
    number, metadata = text_of(answer.get("id")), object_in(answer, "metadata")
    return PipelineStage(number, text_of(answer.get("label")) or number, _state(metadata))


def _state(metadata: Mapping[str, Any]) -> State | None:
    """By the metadata of a stage, all of it text: a probability of 1 is won, any other that is closed is lost.

    Before it said whether a stage is closed, that was known by a probability of 0 or 1
    (https://developers.hubspot.com/docs/api/crm/pipelines, 2026-11-28).
    """
    probability, closed = number_of(text_of(metadata.get("probability"))), text_of(metadata.get("isClosed")).lower()
    if closed == "true":
        # Of tickets and the like, which are closed without being won, no probability is known.
        return None if probability is None else "won" if probability == 1 else "lost"
    if closed == "false":
        return "open"
    if probability is None:
        return None
    return "won" if probability == 1 else "lost" if probability == 0 else "open"
