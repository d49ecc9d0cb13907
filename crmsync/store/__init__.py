"""The state database: contacts and activities as pulled, scores, the journal of changes. It knows no CRM and no rule."""
