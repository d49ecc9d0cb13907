"""Reporting: what people and programs read of runs, people and the state."""
