"""The line over which people are handed to sales, as the config draws it."""

from __future__ import annotations

from crmsync.config import Config
from crmsync.config.model import Model


def find_line(model: Model, line: str | None) -> str | None:
    """The band that people are handed over in: `line`, else `mql` where there is one, else the highest; `None` without
    bands.
    """
    names = model.band_names()
    if line is not None:
        return line
    return "mql" if "mql" in names else names[-1] if names else None


def find_bands_from_line(model: Model, line: str | None) -> frozenset[str]:
    """The bands in which people are handed over: the one that `find_line` names, and those above it."""
    names, found = list(model.band_names()), find_line(model, line)
    return frozenset(names[names.index(found) :]) if found in names else frozenset()


def stages_from_line(config: Config) -> frozenset[str]:
    """The stages of `[[stage]]` in which people are handed over: the first that goes with the line, and those after."""
    line = find_line(config, config.outcome.line if config.outcome else None)
    bands = find_bands_from_line(config, line)
    names = [each.name for each in config.stage]
    first = next((place for place, each in enumerate(config.stage) if each.band in bands or each.name == line), None)
    return frozenset() if first is None else frozenset(names[first:])
