"""The long-running worker: when it runs, and how it ends."""
