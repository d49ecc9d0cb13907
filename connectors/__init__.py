"""The CRMs crmsync speaks to: one file (or folder) for each vendor, and nothing of theirs outside it."""
