"""How this config reads what records say."""

from __future__ import annotations

from crmsync.config import Config
from crmsync.store.field_values import FieldReading


def name_reading(config: Config) -> FieldReading:
    """How the values of records are read by this config."""
    return FieldReading(config.missing_words(), config.further_names(), config.identity.seconds_apart)
