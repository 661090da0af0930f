"""Compose the stages: `build` makes the index from the notes, `open_notes` and `Notes.ask` answer from it."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rag.answer import describe_missing_text, extract, write_not_covered, write_spans
from rag.chunk import chunk_document
from rag.cite import cite, hash_text
from rag.config import Settings
from rag.corpus import CorpusReading, corpus_digest, read_corpus
from rag.embed import ApiEncoder, ShippedEncoder
from rag.errors import EncoderError, IndexFault
from rag.history import resolve
from rag.index import IndexContent, OpenIndex, lock_for_writing, open_index, write_generation
from rag.lexical import LexicalIndex
from rag.lookup import Lookup, find_numbers
from rag.parse import assign_labels, parse_document
from rag.retrieve import Retriever
from rag.types import Answer, Document, Encoder, Hit, Passage, Progress, Query, Question, Span, Vectors

PASSAGE_TOKENS = 200
"""Passage size: a citation of some ten lines, well inside what the shipped encoder was trained on."""
TITLE_WEIGHT, GROUP_WEIGHT, BODY_WEIGHT = 2.0, 0.5, 1.0
COVER_THRESHOLD = 0.5
"""Below this probability the answer is that the notes do not cover the query."""
SECOND_SHARE = 0.9
"""A second question is quoted too when it scores at least this share of the first."""
PART_CHARS, SECOND_CHARS, LOOKUP_CHARS = 480, 200, 1_800
"""Most text quoted of the best question, of a second one, and of one asked for by number."""
N_NEAREST = 3
LOCK_WAIT_S = 60.0

Notice = Callable[[str], None]
"""Called with one line the user should see."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What an ingest did."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    """Question labels."""
    n_documents: int
    n_questions: int
    n_passages: int
    n_embedded: int
    problems: tuple[str, ...]
    """One line for each file that could not be read."""
    elapsed_s: float


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


def parse_corpus(reading: CorpusReading) -> tuple[Question, ...]:
    """Parse every document and give the questions their labels."""
    return assign_labels([question for document in reading.documents for question in parse_document(document)])


def chunk_corpus(documents: Sequence[Document], questions: Sequence[Question], encoder: Encoder) -> tuple[Passage, ...]:
    """Cut every document into passages sized in the encoder's tokens."""
    limit = min(PASSAGE_TOKENS, encoder.max_tokens)
    passages: list[Passage] = []
    for document in documents:
        own = [question for question in questions if question.path == document.path]
        passages.extend(chunk_document(document, own, encoder.count_tokens, limit))
    return tuple(passages)


def texts_to_embed(questions: Sequence[Question], passages: Sequence[Passage]) -> list[str]:
    """Return the text of each vector row: every passage under its nearest headings, then every title."""
    rows = ["\n".join([*passage.headings[-2:], passage.search_text]) for passage in passages]
    return rows + [question.title for question in questions]


def embed_rows(
    texts: Sequence[str], encoder: Encoder, former: OpenIndex | None, progress: Progress | None
) -> tuple[Vectors, tuple[str, ...], int]:
    """Embed texts, taking over the former index's vectors of texts that did not change.

    :returns: the vectors, a content hash for each row, and how many texts were embedded.
    """
    keys = tuple(hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in texts)
    known: dict[str, Vectors] = {}
    if former and former.content.encoder == encoder.fingerprint:
        known = dict(zip(former.content.row_keys, former.content.vectors, strict=True))
    fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if fresh:
        known.update(zip(fresh, encoder.embed_passages(list(fresh.values()), progress), strict=True))
    vectors = np.stack([known[key] for key in keys]) if keys else np.empty((0, 1), dtype=np.float32)
    return vectors.astype(np.float32), keys, len(fresh)


def _index_words(questions: Sequence[Question], passages: Sequence[Passage]) -> LexicalIndex:
    titles = {question.id: question.title for question in questions}
    return LexicalIndex.build(
        [
            [
                (titles[passage.question], TITLE_WEIGHT),
                (
                    " ".join(heading for heading in passage.headings if heading != titles[passage.question]),
                    GROUP_WEIGHT,
                ),
                (passage.search_text, BODY_WEIGHT),
            ]
            for passage in passages
        ]
    )


def _digest_questions(content: IndexContent) -> dict[str, str]:
    """Hash what each question's passages say: `{label: hash}`."""
    texts: dict[str, list[str]] = {question.id: [] for question in content.questions if not question.parent}
    for passage in content.passages:
        texts[passage.question].append(passage.text)
    labels = {question.id: question.label for question in content.questions}
    return {labels[key]: hash_text("".join(parts)) for key, parts in texts.items()}


def _open_former(settings: Settings) -> OpenIndex | None:
    """Open the index there is, of whatever encoder, or None when there is none to take anything over from."""
    try:
        return open_index(settings.index)
    except IndexFault:
        return None


def build(settings: Settings, encoder: Encoder, progress: Progress | None = None) -> BuildReport:
    """Read, parse, chunk, embed and index the notes as a new generation.

    :raises RagError: when nothing can be read or written; the former generation stays as it was.
    """
    started = time.monotonic()
    with lock_for_writing(settings.index, LOCK_WAIT_S):
        former = _open_former(settings)
        content, n_embedded = make_content(settings, encoder, former, progress)
        write_generation(settings.index, content)
    before = _digest_questions(former.content) if former else {}
    after = _digest_questions(content)
    return BuildReport(
        added=tuple(label for label in after if label not in before),
        changed=tuple(label for label in after if label in before and after[label] != before[label]),
        removed=tuple(label for label in before if label not in after),
        n_documents=len(content.documents),
        n_questions=len(after),
        n_passages=len(content.passages),
        n_embedded=n_embedded,
        problems=content.problems,
        elapsed_s=time.monotonic() - started,
    )


def make_content(
    settings: Settings, encoder: Encoder, former: OpenIndex | None, progress: Progress | None
) -> tuple[IndexContent, int]:
    """Make the content of a generation, and tell how many texts had to be embedded."""
    digest = corpus_digest(settings.corpus)
    reading = read_corpus(settings.corpus)
    questions = parse_corpus(reading)
    passages = chunk_corpus(reading.documents, questions, encoder)
    vectors, keys, n_embedded = embed_rows(texts_to_embed(questions, passages), encoder, former, progress)
    content = IndexContent(
        questions=questions,
        passages=passages,
        vectors=vectors,
        row_keys=keys,
        lexical=_index_words(questions, passages).to_arrays(),
        encoder=encoder.fingerprint,
        corpus=digest,
        documents=tuple((document.path, document.digest) for document in reading.documents),
        problems=reading.problems,
    )
    return content, n_embedded


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
    notice(f"{reason}，正在更新索引……")
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
        outer = {question.parent or question.id: question for question in lookup.questions}
        limit = LOOKUP_CHARS // max(1, len(outer))
        parts = [f"笔记里没有第 {number} 题。" for number in lookup.missing]
        spans: list[Span] = []
        for key, question in outer.items():
            parts.append(f"**[{question.label}] {question.title}**")
            own = self._spans(key, question, lookup.rest or question.title, limit, 1.0)
            parts.append(write_spans(own, self._labels(own)) if own else describe_missing_text(question))
            spans += own
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
        missing = []
        for hit in self._worth_quoting(found.hits):
            limit = PART_CHARS if not spans else SECOND_CHARS
            own = self._spans(hit.question.id, hit.question, text, limit, hit.score)
            spans += own
            if not own:
                missing.append(describe_missing_text(hit.question))
        answer = "\n\n".join([*missing, *([write_spans(spans, self._labels(spans))] if spans else [])])
        return Answer(query.text, answer, False, "extractive", tuple(map(cite, spans)), ranking)

    def _worth_quoting(self, hits: Sequence[Hit]) -> list[Hit]:
        """Keep the first hit and a near second one that does not say the same."""
        first = hits[0]
        same = set(self._same_content(first.question))
        others = [hit for hit in hits[1:] if hit.question.label not in same]
        return [first, *(hit for hit in others[:1] if hit.score >= SECOND_SHARE * first.score)]

    def _spans(self, key: str, question: Question, text: str, limit: int, score: float) -> list[Span]:
        passages = self._passages[key]
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
        outer = (other for other in self.questions if not other.parent)
        return [other.label for other in outer if other.id == question.id or self._fold(other) == own]

    def _fold(self, question: Question) -> str:
        """Fold a question's text for comparison: words only, its sub-questions' numbers left out."""
        import re

        text = " ".join(passage.search_text for passage in self._passages[question.parent or question.id])
        return re.sub(r"\d+(?:\.\d+)+|\W+", "", text)
