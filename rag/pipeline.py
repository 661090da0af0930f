"""Compose the stages: `open_notes` finds or makes the index, `Notes.ask` answers from it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from rag.config import Settings
from rag.corpus import corpus_digest
from rag.embed import ApiEncoder, ShippedEncoder
from rag.errors import EncoderError, IndexFault
from rag.extractive import Extractive
from rag.index import OpenIndex, open_index
from rag.retrieve import Parts, Ranking
from rag.search import Retrieval, Searcher
from rag.synonyms import digest_groups
from rag.types import Answer, Encoder, Passage, Progress, Query, Question, Reply, Reranker

EVERYTHING = Parts()
Notice = Callable[[str], None]
"""Called with one line the user should see."""


def load_encoder(settings: Settings) -> Encoder:
    """Load the encoder the settings name.

    :raises EncoderError: when it cannot be loaded or reached.
    """
    spec = settings.encoder
    if not spec:
        return ShippedEncoder()
    if spec.startswith("api:"):
        if not settings.api_base:
            raise EncoderError(f"--encoder {spec}: 还没有写接口地址；先设环境变量 RAG_API_BASE（和 RAG_API_KEY）")
        return ApiEncoder(spec.removeprefix("api:"), settings.api_base, settings.api_key)
    from rag.adapters.hf import HfEncoder

    return HfEncoder(spec, trust_remote_code=settings.trust_remote_code)


def load_reranker(settings: Settings) -> Reranker | None:
    """Load the cross-encoder the settings name, if they do.

    :raises EncoderError: when it cannot be loaded or reached.
    """
    if not settings.reranker:
        return None
    from rag.adapters.hf import HfReranker

    return HfReranker(settings.reranker, trust_remote_code=settings.trust_remote_code)


def open_notes(
    settings: Settings, notice: Notice, progress: Progress | None = None, parts: Parts = EVERYTHING
) -> "Notes":
    """Open the index, first building it when it is missing, stale or damaged.

    :param notice: told why the index is built, and what could not be read.
    :param parts: which parts of retrieval are on.
    :raises RagError: when there is neither an index nor a way to build one.
    """
    encoder, reranker = load_encoder(settings), load_reranker(settings)
    former: OpenIndex | None = None
    reason = "笔记有改动"
    try:
        former = open_index(settings.index, encoder.fingerprint)
    except IndexFault as fault:
        reason = str(fault)
    if former and former.content.corpus == corpus_digest(settings.corpus, digest_groups(settings.terms)):
        return Notes(former, encoder, settings, parts, reranker)
    notice(f"{reason.partition('；')[0]}，正在更新索引……")
    from rag.build import build, make_content  # the parser is not needed to answer

    try:
        report = build(settings, encoder, progress)
    except IndexFault as fault:
        # Notes can be read and asked even where nothing can be written.
        notice(f"{fault}；这一次先不保存索引")
        content, _ = make_content(settings, encoder, former, progress)
        return Notes(OpenIndex(content), encoder, settings, parts, reranker)
    for problem in report.problems:
        notice(problem)
    return Notes(open_index(settings.index, encoder.fingerprint), encoder, settings, parts, reranker)


@dataclass(slots=True)
class Notes:
    """The open notes: ask them."""

    index: OpenIndex
    encoder: Encoder
    settings: Settings
    parts: Parts = EVERYTHING
    reranker: Reranker | None = None
    _searcher: Searcher = field(init=False)
    _extractive: Extractive = field(init=False)

    def __post_init__(self) -> None:
        self._searcher = Searcher(self.index.content, self.encoder, self.reranker, self.parts, self.settings.top_k)
        self._extractive = Extractive(self._searcher, self.encoder)

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions, sub-questions included, in the order of the notes."""
        return self.index.content.questions

    @property
    def passages(self) -> dict[str, list[Passage]]:
        """Outer question to its passages, in the order of the notes."""
        return self._searcher.passages

    def ask(self, query: Query) -> Answer:
        """Answer a query from the notes; abstention is an answer too."""
        return next(piece for piece in self.stream(query) if isinstance(piece, Answer))

    def stream(self, query: Query) -> Reply:
        """Answer a query while it is written: pieces of text, then the whole answer."""
        started = time.perf_counter()
        for piece in self._write(query):
            if isinstance(piece, Answer):
                piece = replace(piece, elapsed_ms=round((time.perf_counter() - started) * 1000, 1))
            yield piece

    def _write(self, query: Query) -> Reply:
        if not query.text.strip():
            yield Answer(query.text, "还没有写问题。比如问：为什么要除以根号dk？", abstained=True, mode="extractive")
            return
        yield from self._extractive.write(query, self.search(query))

    def search(self, query: Query) -> Retrieval:
        """Rank the questions of the notes for a query."""
        return self._searcher.search(query)

    def rank(self, queries: Sequence[Query]) -> list[Ranking]:
        """Describe and score the candidates for queries that ask one thing each."""
        return self._searcher.rank(queries)
