"""Compose the stages: `open_notes` finds or makes the index, `Notes.ask` answers from it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from rag.config import Settings
from rag.corpus import corpus_digest
from rag.embed import ApiEncoder, ShippedEncoder
from rag.errors import EncoderError, IndexFault
from rag.extractive import Extractive
from rag.index import OpenIndex, open_index
from rag.retrieve import Parts, Ranking
from rag.search import Retrieval, Searcher
from rag.stores import open_store
from rag.synonyms import digest_groups, load_thesaurus
from rag.types import Answer, Encoder, Generator, Passage, Progress, Query, Question, Reply, Reranker

if TYPE_CHECKING:
    from rag.generated import Generated
    from rag.verify import Entailment

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


def load_generator(settings: Settings) -> Generator | None:
    """Load the language model the settings name, if they do; a server is not asked yet.

    :raises RagError: when there is no such model.
    """
    if not settings.llm:
        return None
    from rag.adapters.llm import open_generator

    return open_generator(settings)


def load_entailment(settings: Settings) -> "Entailment | None":
    """Load the model that checks whether the notes entail a sentence, if the settings name one.

    :raises EncoderError: when it cannot be loaded or reached.
    """
    if not settings.verifier:
        return None
    from rag.adapters.hf import HfEntailment

    return HfEntailment(settings.verifier, trust_remote_code=settings.trust_remote_code)


def prepare_notes(settings: Settings, encoder: Encoder, parts: Parts = EVERYTHING) -> "Callable[[OpenIndex], Notes]":
    """Load the other models that the settings name; return what opens an index with them.

    :raises RagError: when one cannot be loaded.
    """
    return partial(
        Notes,
        encoder=encoder,
        settings=settings,
        parts=parts,
        reranker=load_reranker(settings),
        generator=load_generator(settings),
        entailment=load_entailment(settings),
    )


def open_notes(
    settings: Settings, notice: Notice, progress: Progress | None = None, parts: Parts = EVERYTHING
) -> "Notes":
    """Open the index, first building it when it is missing, stale or damaged.

    :param notice: told why the index is built, and what could not be read.
    :param parts: which parts of retrieval are on.
    :raises RagError: when there is neither an index nor a way to build one.
    """
    encoder = load_encoder(settings)
    make_notes = prepare_notes(settings, encoder, parts)
    if settings.store:  # only `rag.ingest` writes what others read too
        return make_notes(open_store(settings).open(encoder.fingerprint))
    former: OpenIndex | None = None
    reason = "笔记有改动"
    try:
        former = open_index(settings.index, encoder.fingerprint)
        if encoder.dim not in (0, former.content.vectors.dim):
            former = None
            reason = f"{settings.index}: 索引里的向量长度和编码器不一样"
    except IndexFault as fault:
        reason = str(fault)
    if former and former.content.corpus == corpus_digest(settings.corpus, digest_groups(settings.terms)):
        return make_notes(former)
    notice(f"{reason.partition('；')[0]}，正在更新索引……")
    from rag.build import build, make_content  # the parser is not needed to answer

    try:
        report = build(settings, encoder, progress)
    except IndexFault as fault:
        # Notes can be read and asked even where nothing can be written.
        notice(f"{fault}；这一次先不保存索引")
        content, _ = make_content(settings, encoder, former, progress)
        return make_notes(OpenIndex(content))
    for problem in report.problems:
        notice(problem)
    return make_notes(open_index(settings.index, encoder.fingerprint))


@dataclass(slots=True)
class Notes:
    """The open notes: ask them."""

    index: OpenIndex
    encoder: Encoder
    settings: Settings
    parts: Parts = EVERYTHING
    reranker: Reranker | None = None
    generator: Generator | None = None
    """Writes the answers that a query lets it write; None: all are quotes."""
    entailment: "Entailment | None" = None
    """Helps to check what the generator writes."""
    _searcher: Searcher = field(init=False)
    _extractive: Extractive = field(init=False)
    _generated: "Generated | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._searcher = Searcher(self.index.content, self.encoder, self.reranker, self.parts, self.settings.top_k)
        self._extractive = Extractive(self._searcher, self.encoder)
        if self.generator:
            from rag.generated import Generated  # quotes need neither this nor the checks
            from rag.verify import Verifier

            verifier = Verifier(self.encoder, self.entailment, load_thesaurus(self.settings.terms))
            self._generated = Generated(
                self._searcher, self._extractive, self.questions, self.encoder, self.generator, verifier
            )

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions, sub-questions included, in the order of the notes."""
        return self.index.content.questions

    @property
    def passages(self) -> Mapping[str, Sequence[Passage]]:
        """Outer question to its passages, in the order of the notes."""
        return self._searcher.passages

    def group_same_content(self) -> dict[str, list[str]]:
        """Return the labels of the questions that say the same as each outer question, by its id; its own among them."""
        return self._searcher.group_same_content()

    def ask(self, query: Query) -> Answer:
        """Answer a query from the notes; abstention is an answer too."""
        return next(piece for piece in self.stream(query) if isinstance(piece, Answer))

    def stream(self, query: Query) -> Reply:
        """Answer a query while it is written: pieces of text, then the whole answer."""
        started = time.perf_counter()
        for piece in self._write(_make_encodable(query)):
            if isinstance(piece, Answer):
                piece = replace(piece, elapsed_ms=round((time.perf_counter() - started) * 1000, 1))
            yield piece

    def _write(self, query: Query) -> Reply:
        if not query.text.strip():
            yield Answer(query.text, "还没有写问题。比如问：为什么要除以根号dk？", abstained=True, mode="extractive")
            return
        found = self.search(query)
        if self._generated and query.generate:
            yield from self._generated.write(query, found)
        else:
            yield from self._extractive.write(query, found)

    def search(self, query: Query) -> Retrieval:
        """Rank the questions of the notes for a query."""
        return self._searcher.search(_make_encodable(query))

    def rank(self, queries: Sequence[Query]) -> list[Ranking]:
        """Describe and score the candidates for queries that ask one thing each."""
        return self._searcher.rank([_make_encodable(query) for query in queries])


def _make_encodable(query: Query) -> Query:
    """Replace unpaired surrogates, which a command line or JSON can hold: no encoder takes them."""
    text, *turns = (
        text.encode("utf-8", "replace").decode() for text in (query.text, *(turn.content for turn in query.history))
    )
    history = tuple(replace(turn, content=content) for turn, content in zip(query.history, turns, strict=True))
    return replace(query, text=text, history=history)
