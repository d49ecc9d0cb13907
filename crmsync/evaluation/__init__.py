"""Evaluation: what people scored as of an instant, held against what came of them. Pure: no clock, no state."""
