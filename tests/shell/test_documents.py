"""What `--json` prints is what docs/documents.schema.json says."""

import json
import os
from pathlib import Path

from crmsync.planning.review import PlanReview
from crmsync.reporting.documents import document_schemas
from crmsync.reporting.documents.runs import CountsDocument, RunDocument
from crmsync.result import Counts, Result

PAGE = Path(__file__).parents[2] / "docs" / "documents.schema.json"


def test_the_schemas_in_the_docs_are_those_of_the_documents():
    made = json.dumps(document_schemas(), indent=1) + "\n"
    if "WRITE_SCHEMAS" in os.environ:
        PAGE.write_text(made, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == made, (
        "write them with WRITE_SCHEMAS=1 pytest tests/shell/test_documents.py"
    )


def test_a_run_prints_every_key_of_its_result_and_of_its_counts():
    assert Counts.__annotations__.keys() == CountsDocument.__annotations__.keys()
    assert Result("1").as_json().keys() <= RunDocument.__annotations__.keys()
    assert {*PlanReview().as_json({}, {}), "troubles", "report"} == {
        *document_schemas()["$defs"]["ChangesDocument"]["properties"]
    }
