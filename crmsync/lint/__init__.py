"""The linter: what is wrong with a model, by itself and once there are people to try it on."""

from crmsync.lint.data_checks import lint_with_data
from crmsync.lint.field_checks import lint_fields
from crmsync.lint.finding import Finding
from crmsync.lint.model_checks import lint_model
from crmsync.lint.owner_checks import lint_owners

__all__ = ["Finding", "lint_fields", "lint_model", "lint_owners", "lint_with_data"]
