"""Routing: the stage and the owner of each person."""
