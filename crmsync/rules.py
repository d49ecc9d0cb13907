"""The scoring language: the tables of a model as an admin writes them."""

from __future__ import annotations

from crmsync.tables import Table


class Model(Table):
    """A scoring model."""

    def used_fields(self) -> set[str]:
        """The canonical fields that some rule reads."""
        return set()

    def band_names(self) -> list[str]:
        """The bands from the lowest to the highest."""
        return []
