"""Tests of evaluation: scores held against outcomes."""
