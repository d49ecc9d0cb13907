"""The state database: what was pulled, the scores, the journal of changes. It knows no CRM and no rule."""
