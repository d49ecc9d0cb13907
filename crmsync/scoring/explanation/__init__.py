"""Explanations: the lines of a score, a sentence about it, what is missing, and the model in words."""
