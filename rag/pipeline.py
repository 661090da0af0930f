"""Compose the stages: `open_notes` finds or makes the index, `Notes.ask` answers from it."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from rag.answer import describe_missing_text, extract, write_not_covered, write_spans
from rag.cite import cite
from rag.config import Settings
from rag.corpus import corpus_digest
from rag.embed import ApiEncoder, ShippedEncoder
from rag.errors import EncoderError, IndexFault
from rag.history import resolve
from rag.index import OpenIndex, open_index
from rag.lexical import LexicalIndex
from rag.lookup import Lookup, find_numbers
from rag.retrieve import Retriever
from rag.types import Answer, Encoder, Hit, Passage, Progress, Query, Question, Span

COVER_THRESHOLD = 0.5
"""Below this probability the answer is that the notes do not cover the query."""
SECOND_SHARE = 0.9
"""A second question is quoted too when it scores at least this share of the first."""
PART_CHARS, SECOND_CHARS, LOOKUP_CHARS = 480, 200, 1_800
"""Most text quoted of the best question, of a second one, and of one asked for by number."""
N_NEAREST = 3
SAME_SIZE = 0.05
"""Questions that say the same differ in length by no more than this share."""

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


def open_notes(settings: Settings, notice: Notice, progress: Progress | None = None) -> "Notes":
    """Open the index, first building it when it is missing, stale or damaged.

    :param notice: told why the index is built, and what could not be read.
    :raises RagError: when there is neither an index nor a way to build one.
    """
    encoder = load_encoder(settings)
    former: OpenIndex | None = None
    reason = "笔记有改动"
    try:
        former = open_index(settings.index, encoder.fingerprint)
    except IndexFault as fault:
        reason = str(fault)
    if former and former.content.corpus == corpus_digest(settings.corpus):
        return Notes(former, encoder, settings)
    notice(f"{reason.partition('；')[0]}，正在更新索引……")
    from rag.build import build, make_content  # the parser is not needed to answer

    try:
        report = build(settings, encoder, progress)
    except IndexFault as fault:
        # Notes can be read and asked even where nothing can be written.
        notice(f"{fault}；这一次先不保存索引")
        content, _ = make_content(settings, encoder, former, progress)
        return Notes(OpenIndex.from_content(content), encoder, settings)
    for problem in report.problems:
        notice(problem)
    return Notes(open_index(settings.index, encoder.fingerprint), encoder, settings)


@dataclass(slots=True)
class Notes:
    """The open notes: ask them."""

    index: OpenIndex
    encoder: Encoder
    settings: Settings
    _retriever: Retriever = field(init=False)
    _passages: dict[str, list[Passage]] = field(init=False)

    def __post_init__(self) -> None:
        content = self.index.content
        words = LexicalIndex.from_arrays(content.lexical)
        self._retriever = Retriever(content.questions, content.passages, self.encoder, words.search, self.index.search)
        self._passages = {question.id: [] for question in content.questions if not question.parent}
        for passage in content.passages:
            self._passages[passage.question].append(passage)

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions, sub-questions included, in the order of the notes."""
        return self.index.content.questions

    def ask(self, query: Query) -> Answer:
        """Answer a query from the notes; abstention is an answer too."""
        started = time.perf_counter()
        text = query.text.strip()
        if not text:
            answer = Answer(query.text, "还没有写问题。比如问：为什么要除以根号dk？", abstained=True, mode="extractive")
        elif lookup := find_numbers(text, self.questions):
            answer = self._answer_lookup(text, lookup)
        else:
            answer = self._answer_search(query)
        return replace(answer, elapsed_ms=round((time.perf_counter() - started) * 1000, 1))

    def _similarity(self, text: str) -> Callable[[Sequence[str]], Sequence[float]]:
        def compare(parts: Sequence[str]) -> Sequence[float]:
            query = self.encoder.embed_queries([text])[0]
            cosines: list[float] = (self.encoder.embed_passages(parts) @ query).tolist()
            return cosines

        return compare

    def _answer_lookup(self, text: str, lookup: Lookup) -> Answer:
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
        ranking = tuple((question.label, 1.0) for question in lookup.questions)
        return Answer(text, "\n\n".join(parts), not lookup.questions, "extractive", tuple(map(cite, spans)), ranking)

    def _answer_search(self, query: Query) -> Answer:
        """Retrieve, then quote the best question, and the next one when it is as good."""
        text = resolve(query)
        found = self._retriever.retrieve(text, self.settings.top_k)
        ranking = tuple((hit.question.label, hit.score) for hit in found.hits)
        if found.cover < COVER_THRESHOLD or not found.hits:
            nearest = [hit.question for hit in found.hits[:N_NEAREST]]
            return Answer(query.text, write_not_covered(nearest), True, "extractive", (), ranking)
        spans: list[Span] = []
        parts: list[str] = []
        for hit in self._worth_quoting(found.hits):
            limit = PART_CHARS if not spans else SECOND_CHARS
            own = self._spans(hit.question, text, limit, hit.score)
            parts.append(write_spans(own, self._labels(own)) if own else describe_missing_text(hit.question))
            spans += own or [self._heading(hit.question, hit.score)]
        return Answer(query.text, "\n\n".join(parts), False, "extractive", tuple(map(cite, spans)), ranking)

    def _worth_quoting(self, hits: Sequence[Hit]) -> list[Hit]:
        """Keep the first hit and a near second one that does not say the same."""
        first = hits[0]
        same = set(self._same_content(first.question))
        others = [hit for hit in hits[1:] if hit.question.label not in same]
        return [first, *(hit for hit in others[:1] if hit.score >= SECOND_SHARE * first.score)]

    def _heading(self, question: Question, score: float) -> Span:
        """Return the span of a question's own heading, for one that has no text to quote."""
        first = next(p for p in self._passages[question.parent or question.id] if p.end > question.start)
        start = question.start - first.start
        return Span(question, first, start, start + len(question.printed.split("\n")[0]), score)

    def _spans(self, question: Question, text: str, limit: int, score: float) -> list[Span]:
        passages = self._passages[question.parent or question.id]
        if question.parent:
            passages = [p for p in passages if p.start < question.end and p.end > question.start]
        return extract(question, passages, self._similarity(text), limit, score)

    def _labels(self, spans: Sequence[Span]) -> dict[str, list[str]]:
        return {span.question.id: self._same_content(span.question) for span in spans}

    def _same_content(self, question: Question) -> list[str]:
        """Return the labels of the questions that say the same, in the order of the notes."""
        own = self._fold(question)
        if question.parent or not own:
            return [question.label]
        size = question.end - question.start
        alike = (q for q in self.questions if not q.parent and abs(q.end - q.start - size) <= SAME_SIZE * size)
        return [other.label for other in alike if other.id == question.id or self._fold(other) == own]

    def _fold(self, question: Question) -> str:
        """Fold a question's text for comparison: words only, its sub-questions' numbers left out."""
        text = " ".join(passage.search_text for passage in self._passages[question.parent or question.id])
        return re.sub(r"\d+(?:\.\d+)+|\W+", "", text)
