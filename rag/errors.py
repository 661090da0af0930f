"""The tree of errors a user can meet: each message says what, where and what to run."""


class RagError(Exception):
    """Base of every error the program reports in one line."""
