"""The documents that `--json` prints: their keys are a contract that others script against."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import TypeAdapter

from crmsync.reporting.documents.drift import DriftDocument, ExperimentDocument
from crmsync.reporting.documents.evaluate import EvaluateDocument, ReportDocument
from crmsync.reporting.documents.govern import AuditDocument, ModelsDocument, ModelSimulationDocument
from crmsync.reporting.documents.learn import LearnDocument
from crmsync.reporting.documents.operating import (
    BackupDocument,
    ExportDocument,
    HistoryDocument,
    ImportDocument,
    PauseDocument,
    RestoreDocument,
    ResumeDocument,
    ShowDocument,
    UndoDocument,
)
from crmsync.reporting.documents.past import PastDocument, PulledHistoryDocument
from crmsync.reporting.documents.people import AccountsDocument, ForgetDocument, PeopleDocument
from crmsync.reporting.documents.person import ExplainDocument, ModelDocument, ScoreDocument
from crmsync.reporting.documents.routing import RouteDocument, SimulationDocument
from crmsync.reporting.documents.runs import RunDocument
from crmsync.reporting.documents.setup import CheckDocument, DemoDocument, InitDocument, SetupDocument, StoppedDocument
from crmsync.reporting.documents.shared import ErrorDocument
from crmsync.reporting.documents.status import AlertTest, HealthDocument, RefusedDocument, StatusDocument

DOCUMENTS: dict[str, Any] = {
    "undo": UndoDocument,
    "history": HistoryDocument,
    "route": RouteDocument,
    "show": ShowDocument,
    "drift": DriftDocument,
    "experiment": ExperimentDocument,
    "simulate": ModelSimulationDocument,
    "simulate --routing": SimulationDocument,
    "learn": LearnDocument,
    **dict.fromkeys(("plan", "sync", "backfill", "apply"), RunDocument),
    "backfill --history": PulledHistoryDocument,
    "explain": ExplainDocument,
    "explain --at": PastDocument,
    "explain --model": ModelDocument,
    "people": PeopleDocument,
    "accounts": AccountsDocument,
    "forget": ForgetDocument,
    "score": ScoreDocument,
    "evaluate": EvaluateDocument,
    "report": ReportDocument,
    "pause": PauseDocument,
    "resume": ResumeDocument,
    "backup": BackupDocument,
    "restore": RestoreDocument,
    "export": ExportDocument,
    "import": ImportDocument,
    "models": ModelsDocument,
    "audit": AuditDocument,
    "status": StatusDocument,
    "status --health": HealthDocument,
    "alert": AlertTest,
    "status --refused": RefusedDocument,
    "check": CheckDocument,
    "setup": SetupDocument,
    "init": InitDocument,
    "run": StoppedDocument,
    "demo": DemoDocument,
}
"""What each command prints when it succeeds; one that fails prints an `ErrorDocument`, a run with what it did."""


def check_document(command: str, document: dict[str, Any]) -> None:
    """Raise pydantic's `ValidationError` where a document is not what is promised of its command."""
    TypeAdapter(
        ErrorDocument if "error" in document and "verdict" not in document else DOCUMENTS[command]
    ).validate_python(document)


def document_schemas() -> dict[str, Any]:
    """The JSON schema of each command's document, and of an error; what they share stands once, in `$defs`."""
    kinds = {**DOCUMENTS, "error": ErrorDocument}
    adapters: list[tuple[str, Literal["validation"], TypeAdapter[Any]]] = [
        (name, "validation", TypeAdapter(kind)) for name, kind in kinds.items()
    ]
    schemas, shared = TypeAdapter.json_schemas(adapters)
    return {"commands": {name: schemas[name, "validation"] for name in kinds}, **shared}
