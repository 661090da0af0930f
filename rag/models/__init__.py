"""The shipped encoder: its files, and the recipe that makes them (`python -m rag.models.train`)."""
