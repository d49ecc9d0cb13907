"""A first config: what it is to say, what a CRM offers for it, and its text."""

from crmsync.config.starter.description import Starter
from crmsync.config.starter.full import write_full
from crmsync.config.starter.text import write_starter

__all__ = ["Starter", "write_first_config"]


def write_first_config(start: Starter, model: str | None = None) -> str:
    """The text of a first config.

    `model` is text that takes the place of its bands and rules, except in a full one; stages and routes ask it for the
    band `mql`.
    """
    return write_full(start) if start.size == "full" else write_starter(start, model)
