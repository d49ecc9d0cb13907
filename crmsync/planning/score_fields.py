"""What the score fields say of people: the values that a CRM is to hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns
from crmsync.config.model import Model
from crmsync.config.settings import Config
from crmsync.model import CHANNEL_FIELD, Scalar
from crmsync.scoring.answers import YES
from crmsync.scoring.context import ScoringContext
from crmsync.scoring.document import result_of
from crmsync.scoring.explanation.summary import summarize_many
from crmsync.scoring.ledger import Scores
from crmsync.scoring.scored_people import ScoredPeople, choose_people
from crmsync.scoring.whatif.forecast import find_forecast_due, forecast_bands
from crmsync.scoring.whatif.next_band import find_advice_due, find_next_bands
from crmsync.scoring.wording import truncate

ALWAYS = frozenset({"score", "fit", "behavior", "band", "reason"})
"""Plans tell these, whether they are written or not."""

FORESEEN = frozenset({"until", "next", "model"})
"""These may change although no line of a score does: with the rules, or with a hold."""

_FROM_COLUMNS = frozenset({"until", "next", "qualifications"})


def fill_score_fields(
    config: Config, scores: Scores, columns: Columns, rows: Sequence[int], now: datetime
) -> list[dict[str, Scalar | None]]:
    """The values of the score fields that the config maps, and of `ALWAYS`, by name, for the people of some rows."""
    wanted = ALWAYS | config.write.fields.keys()
    foreseen = _foresee(config, scores, columns, rows, now, wanted)
    version = config.model_hash()
    filled: list[dict[str, Scalar | None]] = []
    for row, because, told in zip(rows, summarize_many(config, scores, rows), foreseen, strict=True):
        result = result_of(config, scores, row)
        known: dict[str, Scalar | None] = {
            "score": result["total"],
            "fit": result["fit"],
            "behavior": result["behavior"],
            "band": result["band"] or "",
            "reason": because,
            "probability": _percent(config, scores, row),
            "grade": result["grade"],
            "grid": result["grid"],
            "segment": result["segment"],
            "model": version,
            **{f"{CHANNEL_FIELD}{name}": points for name, points in result["channels"].items()},
            **told,
        }
        filled.append({name: value for name, value in known.items() if name in wanted})
    return filled


def _foresee(
    config: Config, scores: Scores, columns: Columns, rows: Sequence[int], now: datetime, wanted: Collection[str]
) -> list[dict[str, Scalar | None]]:
    """What has to be worked out from more than the scores, where it is wanted."""
    told: list[dict[str, Scalar | None]] = [{} for _ in rows]
    if _FROM_COLUMNS.isdisjoint(wanted):
        return told
    scored = choose_people(config, scores, columns, rows, now, config.zone)
    if "until" in wanted:
        for each, move in zip(told, forecast_bands(scored), strict=True):
            # The last day in the band, which is what an explanation names.
            last = None if move is None else move.at.astimezone(config.zone) - timedelta(days=1)
            each["until"] = None if last is None else last.date().isoformat()
    if "next" in wanted:
        for each, missing in zip(told, find_next_bands(scored), strict=True):
            each["next"] = None if missing is None else truncate(missing.said)
    if "qualifications" in wanted:
        for each, names in zip(told, _qualifications(scored), strict=True):
            each["qualifications"] = names or None
    return told


def find_foresight_due(config: Config, columns: Columns, scores: Scores, now: datetime) -> NDArray[np.int64]:
    """When time alone may change the scores or what the mapped score fields foresee (n,), in seconds; `FAR`: never."""
    due = scores.due
    if "next" in config.write.fields:
        due = np.minimum(due, find_advice_due(config, columns, now, config.zone))
    if "until" in config.write.fields and len(due):
        due = find_forecast_due(choose_people(config, scores, columns, range(len(due)), now, config.zone), due)
    return due


def _percent(model: Model, scores: Scores, row: int) -> Scalar | None:
    """The probability of being won; of whom the model disqualifies nothing was learned."""
    calibration = model.learned.calibration
    if calibration is None or scores.disqualified[row] >= 0:
        return None
    return calibration.percent_of(int(scores.total[row]) / 100)


def _qualifications(scored: ScoredPeople) -> list[str]:
    """The names of what each is qualified by."""
    asker = ScoringContext(scored.model, scored.columns, scored.now, scored.zone).asker
    answers = [(each.name, asker.ask(each.when) == YES) for each in scored.model.qualification]
    return [truncate("; ".join(name for name, mask in answers if mask[at])) for at in range(len(scored.rows))]
