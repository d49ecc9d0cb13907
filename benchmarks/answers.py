"""Asks the sandbox whatever HubSpot's public specification allows, and things beside it; `make answers` runs this.

Its answers have the specification's shape, and none is a fault. Schemathesis has an environment of its own.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import requests

from connectors.sandbox.server import serve

SPECIFICATION = Path(__file__).parent.parent / "tests" / "support" / "hubspot_2026_09.json"
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance"


TOKEN = {"Authorization": "Bearer sandbox-token"}


def _begin_jobs(url: str) -> None:
    """Begin an export and an import, so that there are some whose state can be asked for."""
    wanted = {"exportType": "VIEW", "exportName": "all", "format": "CSV", "language": "EN", "objectType": "CONTACT"}
    export = {**wanted, "objectProperties": ["email"], "associatedObjectType": []}
    requests.post(f"{url}/crm/exports/2026-09/export/async", json=export, headers=TOKEN, timeout=10).raise_for_status()
    columns = [{"columnName": "id", "columnType": "HUBSPOT_OBJECT_ID", "columnObjectTypeId": "0-1"}]
    columns += [{"columnName": "stage", "propertyName": "lifecyclestage", "columnObjectTypeId": "0-1"}]
    page = {"hasHeader": True, "columnMappings": columns}
    request = {"name": "rows", "files": [{"fileName": "rows.csv", "fileFormat": "CSV", "fileImportPage": page}]}
    form = {
        "importRequest": (None, json.dumps(request)),
        "files": ("rows.csv", "id,stage\n51,none\n7,lead\n", "text/csv"),
    }
    requests.post(f"{url}/crm/imports/2026-09", files=form, headers=TOKEN, timeout=10).raise_for_status()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schemathesis", help="the command, for example .venv-answers/bin/st")
    parser.add_argument("--examples", default="1000", help="requests to each endpoint")
    parser.add_argument("--seed", default="1")
    given = parser.parse_args()
    with serve(people=20, seed=1) as sandbox:
        _begin_jobs(sandbox.url)
        how = [
            "--max-examples",
            given.examples,
            "--seed",
            given.seed,
            "--checks",
            CHECKS,
            "--phases",
            "coverage,fuzzing",
        ]
        about = [str(SPECIFICATION), "--url", sandbox.url, "-H", "Authorization: Bearer sandbox-token"]
        return subprocess.call([given.schemathesis, "run", *about, *how, "--generation-database", "none"])


if __name__ == "__main__":
    sys.exit(main())
