"""Scores of predictions, effects, modules and edges, of arrays and cells."""
