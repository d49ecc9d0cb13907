"""The demo's config as tests use it: pointed at a sandbox, with the secrets in the environment."""

import os

from crmsync.config import template

REPS = ["dana.whitlock@ourproduct.example", "grete.holm@ourproduct.example"]
SECRETS = {
    "CRMSYNC_HUBSPOT__TOKEN": "sandbox-token",
    "CRMSYNC_SALESFORCE__CLIENT_ID": "sandbox",
    "CRMSYNC_SALESFORCE__CLIENT_SECRET": "sandbox",
}


def write_config(folder, url, sales=REPS, replaced=None):
    """The config for a sandbox at `url` as a file of a folder, with keys replaced; it has no folder of secrets."""
    keys = {'secrets = "secrets"      ': '# secrets = "secrets"    ', **(replaced or {})}
    path = folder / "crmsync.toml"
    path.write_text(template.replace_keys(template.demo_config(url, sales), keys), encoding="utf-8")
    return path


def environment(**more):
    """This process's own, in which nothing of crmsync is set but the secrets, and more."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CRMSYNC_")}
    return {**kept, **SECRETS, **more}
