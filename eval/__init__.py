"""Measures of retrieval, on the project's own queries and on any BEIR-format set."""
