"""Compose the stages: `open_notes` finds or makes the index, `Notes.ask` answers from it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from rag.answer import describe_missing_text, extract, write_not_covered, write_spans
from rag.cite import cite
from rag.config import Settings
from rag.corpus import corpus_digest
from rag.embed import ApiEncoder, ShippedEncoder
from rag.errors import EncoderError, IndexFault
from rag.index import OpenIndex, open_index
from rag.lookup import Lookup
from rag.retrieve import Parts, Ranking
from rag.search import Retrieval, Searcher
from rag.synonyms import digest_groups
from rag.types import Answer, Encoder, Hit, Progress, Query, Question, Reranker, Span
from rag.weights import coverage_threshold

SECOND_SHARE = 0.9
"""A second question is quoted too when it scores at least this share of the first."""
PART_CHARS, SECOND_CHARS, LOOKUP_CHARS = 480, 200, 1_800
"""Most text quoted of the best question, of a second one, and of one asked for by number."""
N_NEAREST = 3

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
    encoder = load_encoder(settings)
    former: OpenIndex | None = None
    reason = "笔记有改动"
    try:
        former = open_index(settings.index, encoder.fingerprint)
    except IndexFault as fault:
        reason = str(fault)
    if former and former.content.corpus == corpus_digest(settings.corpus, digest_groups(settings.terms)):
        return Notes(former, encoder, settings, parts)
    notice(f"{reason.partition('；')[0]}，正在更新索引……")
    from rag.build import build, make_content  # the parser is not needed to answer

    try:
        report = build(settings, encoder, progress)
    except IndexFault as fault:
        # Notes can be read and asked even where nothing can be written.
        notice(f"{fault}；这一次先不保存索引")
        content, _ = make_content(settings, encoder, former, progress)
        return Notes(OpenIndex(content), encoder, settings, parts)
    for problem in report.problems:
        notice(problem)
    return Notes(open_index(settings.index, encoder.fingerprint), encoder, settings, parts)


@dataclass(slots=True)
class Notes:
    """The open notes: ask them."""

    index: OpenIndex
    encoder: Encoder
    settings: Settings
    parts: Parts = EVERYTHING
    _searcher: Searcher = field(init=False)

    def __post_init__(self) -> None:
        reranker = load_reranker(self.settings)
        self._searcher = Searcher(self.index.content, self.encoder, reranker, self.parts, self.settings.top_k)

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions, sub-questions included, in the order of the notes."""
        return self.index.content.questions

    def ask(self, query: Query) -> Answer:
        """Answer a query from the notes; abstention is an answer too."""
        started = time.perf_counter()
        if query.text.strip():
            found = self.search(query)
            answer = (
                self._answer_lookup(query, found, found.lookup) if found.lookup else self._answer_search(query, found)
            )
        else:
            answer = Answer(query.text, "还没有写问题。比如问：为什么要除以根号dk？", abstained=True, mode="extractive")
        return replace(answer, elapsed_ms=round((time.perf_counter() - started) * 1000, 1))

    def search(self, query: Query) -> Retrieval:
        """Rank the questions of the notes for a query."""
        return self._searcher.search(query)

    def rank(self, queries: Sequence[Query]) -> list[Ranking]:
        """Describe and score the candidates for queries that ask one thing each."""
        return self._searcher.rank(queries)

    def _similarity(self, text: str) -> Callable[[Sequence[str]], Sequence[float]]:
        def compare(parts: Sequence[str]) -> Sequence[float]:
            query = self.encoder.embed_queries([text])[0]
            cosines: list[float] = (self.encoder.embed_passages(parts) @ query).tolist()
            return cosines

        return compare

    def _answer_lookup(self, query: Query, found: Retrieval, lookup: Lookup) -> Answer:
        """Give the questions named by number, whole where they are not long."""
        limit = LOOKUP_CHARS // max(1, len(lookup.questions))
        parts = [f"笔记里没有第 {number} 题。" for number in lookup.missing]
        spans: list[Span] = []
        for question in lookup.questions:
            own = self._spans(question, lookup.rest or question.title, limit, 1.0)
            if own:
                parts += [f"**[{question.label}] {question.title}**", write_spans(own, self._labels(own))]
            else:
                parts.append(describe_missing_text(question))
            spans += own or [self._heading(question, 1.0)]
        covered = bool(lookup.questions)
        text = "\n\n".join(parts)
        return Answer(
            query.text, text, not covered, "extractive", tuple(map(cite, spans)), _to_ranking(found), float(covered)
        )

    def _answer_search(self, query: Query, found: Retrieval) -> Answer:
        """Quote the best question for each thing asked, and the next one when it is as good."""
        ranking = _to_ranking(found)
        if found.coverage < coverage_threshold() or not found.hits:
            nearest = [hit.question for hit in found.hits[:N_NEAREST]]
            text = write_not_covered(nearest)
            return Answer(query.text, text, True, "extractive", (), ranking, found.coverage)
        spans: list[Span] = []
        parts: list[str] = []
        for asked in found.asked:
            if len(found.asked) > 1:
                parts.append(f"**{asked.text}**")
            if asked.coverage < coverage_threshold():
                parts.append(write_not_covered([hit.question for hit in asked.hits[:N_NEAREST]]))
                continue
            for place, hit in enumerate(self._worth_quoting(asked.hits)):
                limit = SECOND_CHARS if place else PART_CHARS
                own = self._spans(hit.question, asked.text, limit, hit.score)
                parts.append(write_spans(own, self._labels(own)) if own else describe_missing_text(hit.question))
                spans += own or [self._heading(hit.question, hit.score)]
        citations = tuple(map(cite, spans))
        return Answer(query.text, "\n\n".join(parts), False, "extractive", citations, ranking, found.coverage)

    def _worth_quoting(self, hits: Sequence[Hit]) -> list[Hit]:
        """Keep the first hit and a near second one that does not say the same."""
        first = hits[0]
        same = set(self._searcher.same_content(first.question))
        others = [hit for hit in hits[1:] if hit.question.label not in same]
        return [first, *(hit for hit in others[:1] if hit.score >= SECOND_SHARE * first.score)]

    def _heading(self, question: Question, score: float) -> Span:
        """Return the span of a question's own heading, for one that has no text to quote."""
        first = next(p for p in self._searcher.passages[question.parent or question.id] if p.end > question.start)
        start = question.start - first.start
        return Span(question, first, start, start + len(question.printed.split("\n")[0]), score)

    def _spans(self, question: Question, text: str, limit: int, score: float) -> list[Span]:
        passages = self._searcher.passages[question.parent or question.id]
        if question.parent:
            passages = [p for p in passages if p.start < question.end and p.end > question.start]
        return extract(question, passages, self._similarity(text), limit, score)

    def _labels(self, spans: Sequence[Span]) -> dict[str, list[str]]:
        return {span.question.id: self._searcher.same_content(span.question) for span in spans}


def _to_ranking(found: Retrieval) -> tuple[tuple[str, float], ...]:
    return tuple((hit.question.label, hit.score) for hit in found.hits)
