"""The config: one TOML file that admins own, secrets from the environment or a folder, every problem told at once."""

from crmsync.config.load import config_of, load, load_model, secret_files, unused_variables
from crmsync.config.settings import Config, config_class, connectors

__all__ = [
    "Config",
    "config_class",
    "config_of",
    "connectors",
    "load",
    "load_model",
    "secret_files",
    "unused_variables",
]
