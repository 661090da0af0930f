"""Where the index lives: a folder, or the database that `--store` names. Writers and readers treat both alike."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rag.config import Settings
from rag.errors import IndexFault, UsageError
from rag.index import (
    IndexContent,
    OpenIndex,
    current_generation,
    lock_for_writing,
    open_index,
    write_generation,
)
from rag.types import LexicalMatch, Passage, Vectors
from rag.vectors import VectorIndex

STORES = {"milvus": "milvus:地址"}
"""Kinds of database, and how `--store` names one."""


class Words(Protocol):
    """The words of the notes: what `WordIndex` offers."""

    def mend(self, text: str) -> str:
        """Mend likely slips of the keyboard."""

    def expand(self, text: str) -> str:
        """Put other names of the query's terms after it."""

    def search(self, text: str) -> LexicalMatch:
        """Match a query against passages and concepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContent(IndexContent):
    """A generation in a database: passages, vectors and postings stay there and are read row by row."""

    passages: Any
    """A `Sequence[Passage]`; a slice is one request."""
    vectors: Any
    """A `ScoringVectors`."""
    words: Words
    owners: npt.NDArray[np.int64]
    """(n_passages,) place of each passage's question among the outer ones; those of one question stand together."""
    folds: Mapping[str, str]
    """Outer question to the hash of `fold_words`, to find what says the same."""


def fold_words(passages: Iterable[Passage]) -> str:
    """Fold the text of a question for comparison: words only, its sub-questions' numbers left out."""
    return re.sub(r"\d+(?:\.\d+)+|\W+", "", " ".join(passage.search_text for passage in passages))


class Store(Protocol):
    """Keeps generations of the index; one of them is current."""

    @property
    def index_vectors(self) -> Callable[[Vectors], VectorIndex]:
        """How vectors are held until `write` takes them."""

    def open(self, encoder: str | None = None) -> OpenIndex:
        """Open the current generation.

        :param encoder: the fingerprint it must have been made by; None takes any.
        :raises IndexFault: when it is missing, damaged, or made by another encoder or schema.
        """

    def generation(self) -> str:
        """Name the current generation; empty when there is none to open."""

    def hold(self, wait_s: float) -> AbstractContextManager[None]:
        """Hold the writer's lock.

        :raises IndexBusy: when another process still holds it after `wait_s`.
        """

    def read_former(self) -> OpenIndex | None:
        """Read the current generation whole, of whatever encoder, or None when there is nothing to take over."""

    def write(self, content: IndexContent) -> None:
        """Write a generation and switch to it at one stroke; the caller holds the lock.

        :raises IndexFault: when it cannot be written; the former generation stays current.
        """


class FolderStore:
    """Keeps the index in a folder: FAISS, numpy and JSON."""

    index_vectors = staticmethod(VectorIndex.build)

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, encoder: str | None = None) -> OpenIndex:
        """Open the generation that CURRENT names."""
        return open_index(self._folder, encoder)

    def generation(self) -> str:
        """Name the generation that CURRENT names."""
        return current_generation(self._folder)

    def hold(self, wait_s: float) -> AbstractContextManager[None]:
        """Lock the folder."""
        return lock_for_writing(self._folder, wait_s)

    def read_former(self) -> OpenIndex | None:
        """Open what there is; an index that cannot be read is made anew."""
        try:
            return open_index(self._folder)
        except IndexFault:
            return None

    def write(self, content: IndexContent) -> None:
        """Write a folder beside the former one, and switch by one rename."""
        write_generation(self._folder, content)


def open_store(settings: Settings) -> Store:
    """Return the store that the settings name; nothing is connected yet.

    :raises UsageError: when there is no such kind of store.
    """
    if not settings.store:
        return FolderStore(settings.index)
    kind, _, address = settings.store.partition(":")
    if kind not in STORES or not address:
        raise UsageError(f"--store（RAG_STORE）：要写成 {'、'.join(STORES.values())}，写的却是 {settings.store!r}")
    from rag.adapters.milvus import MilvusStore

    return MilvusStore(address, settings.store_token, settings.index)
