"""The tree of errors a user can meet: each message says what, where and what to run.

RagError
├── CorpusError     no notes, or none that can be read
├── IndexFault      an index that is damaged, stale or cannot be written
│   └── IndexBusy   another process is writing it
├── EncoderError    an encoder that cannot be loaded or reached
├── GeneratorError  a language model that cannot be loaded or reached, or broke off
└── UsageError      options or input lines that make no sense
"""


class RagError(Exception):
    """Base of every error the program reports in one line."""


class CorpusError(RagError):
    """The notes are missing, or none of them can be read."""


class IndexFault(RagError):
    """The index is damaged, stale or cannot be written."""


class IndexBusy(IndexFault):
    """Another process is writing the index."""


class EncoderError(RagError):
    """An encoder cannot be loaded or reached."""


class GeneratorError(RagError):
    """A language model cannot be loaded or reached, or broke off."""


class UsageError(RagError):
    """Options or input lines make no sense."""
