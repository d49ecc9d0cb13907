"""Identity: which records are one person, and which activities are one event."""
