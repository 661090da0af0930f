"""Make the index from the notes: read, parse, chunk, embed, write. Loaded only when there is something to build."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rag.chunk import chunk_document
from rag.cite import hash_text
from rag.config import Settings
from rag.corpus import CorpusReading, corpus_digest, read_corpus
from rag.index import IndexContent, OpenIndex
from rag.lexical import WordIndex
from rag.parse import assign_labels, parse_document
from rag.stores import open_store
from rag.synonyms import Thesaurus, digest_groups, load_thesaurus
from rag.types import Document, Encoder, Passage, Progress, Question, Vectors
from rag.vectors import VectorIndex

PASSAGE_TOKENS = 200
"""Passage size: a citation of some ten lines, well inside what the shipped encoder was trained on."""
MAX_NAMES = 20
"""Other names put after a title for its second vector."""
LOCK_WAIT_S = 60.0
IndexVectors = Callable[[Vectors], VectorIndex]
Forms = tuple[str, ...]
"""The texts whose mean vector is one row."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that embedded a share of the rows."""

    name: str
    n_rows: int
    busy_s: float


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
    workers: tuple[Worker, ...] = ()
    """Who embedded, where several processes did."""


def parse_corpus(reading: CorpusReading) -> tuple[Question, ...]:
    """Parse every document and give the questions their labels."""
    return assign_labels([question for document in reading.documents for question in parse_document(document)])


def chunk_corpus(documents: Sequence[Document], questions: Sequence[Question], encoder: Encoder) -> tuple[Passage, ...]:
    """Cut every document into passages sized in the encoder's tokens."""
    limit = min(PASSAGE_TOKENS, encoder.max_tokens)
    by_path: dict[str, list[Question]] = {}
    for question in questions:
        by_path.setdefault(question.path, []).append(question)
    passages: list[Passage] = []
    for document in documents:
        passages.extend(chunk_document(document, by_path.get(document.path, []), encoder.count_tokens, limit))
    return tuple(passages)


def texts_to_embed(questions: Sequence[Question], passages: Sequence[Passage], thesaurus: Thesaurus) -> list[Forms]:
    """Return the texts of each vector row: every passage under its nearest headings, then the titles.

    A title stands there twice, once with other names of its terms after it (document expansion): so it lies near
    questions that use either. A passage, which says more, would cost twice the time and gain nothing measurable.
    """
    rows: list[Forms] = [("\n".join([*passage.headings[-2:], passage.search_text]),) for passage in passages]
    titles = (question.title for question in questions if question.title)
    return rows + [(title, thesaurus.expand(title, MAX_NAMES)) for title in titles]


def embed_rows(
    rows: Sequence[Forms], encoder: Encoder, former: OpenIndex | None, progress: Progress | None
) -> tuple[Vectors, tuple[str, ...], int]:
    """Embed rows, taking over the former index's vectors of those that did not change.

    :returns: the vectors, a content hash for each row, and how many rows were embedded.
    """
    keys = hash_rows(rows)
    known = list_known(former, encoder)
    fresh = {key: forms for key, forms in zip(keys, rows, strict=True) if key not in known}
    if fresh:
        known.update(zip(fresh, embed_forms(list(fresh.values()), encoder, progress), strict=True))
    return stack_rows(keys, known), keys, len(fresh)


def hash_rows(rows: Sequence[Forms]) -> tuple[str, ...]:
    """Hash what each row is made of."""
    return tuple(hashlib.blake2b("\0".join(forms).encode(), digest_size=16).hexdigest() for forms in rows)


def list_known(former: OpenIndex | None, encoder: Encoder) -> dict[str, Vectors]:
    """Return the vectors that an index by the same encoder has, by content hash."""
    if not former or former.content.encoder != encoder.fingerprint:
        return {}
    vectors = former.content.vectors.all()
    if encoder.dim not in (0, vectors.shape[1]):  # its own says so only after its first reply, where it is an endpoint
        return {}
    return dict(zip(former.content.row_keys, vectors, strict=True))


def embed_forms(rows: Sequence[Forms], encoder: Encoder, progress: Progress | None = None) -> Vectors:
    """Return the mean of the vectors of each row's forms, (n_rows, dim); a text met twice is embedded once."""
    texts = list(dict.fromkeys(text for forms in rows for text in forms))
    vector_of = dict(zip(texts, encoder.embed_passages(texts, progress), strict=True))
    sums = np.stack([np.sum([vector_of[text] for text in forms], axis=0) for forms in rows])
    means: Vectors = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    return means


def stack_rows(keys: Sequence[str], known: Mapping[str, Vectors]) -> Vectors:
    """Return the vector of each key, (n_keys, dim)."""
    vectors = np.stack([known[key] for key in keys]) if keys else np.empty((0, 1), dtype=np.float32)
    return vectors.astype(np.float32)


def _digest_questions(content: IndexContent) -> dict[str, str]:
    """Hash what each question's passages say: `{label: hash}`."""
    texts: dict[str, list[str]] = {question.id: [] for question in content.questions if not question.parent}
    for passage in content.passages:
        texts[passage.question].append(passage.text)
    labels = {question.id: question.label for question in content.questions}
    return {labels[key]: hash_text("".join(parts)) for key, parts in texts.items()}


def build(settings: Settings, encoder: Encoder, progress: Progress | None = None) -> BuildReport:
    """Read, parse, chunk, embed and index the notes as a new generation.

    :raises RagError: when nothing can be read or written; the former generation stays as it was.
    """
    started = time.monotonic()
    store = open_store(settings)
    with store.hold(LOCK_WAIT_S):
        former = store.read_former()
        workers: tuple[Worker, ...] = ()
        if settings.engine:
            from rag.workers import make_content_on_ray

            content, workers = make_content_on_ray(settings, encoder, former, progress, store.index_vectors)
            n_embedded = sum(worker.n_rows for worker in workers)
        else:
            content, n_embedded = make_content(settings, encoder, former, progress, store.index_vectors)
        store.write(content)
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
        workers=workers,
    )


def make_content(
    settings: Settings,
    encoder: Encoder,
    former: OpenIndex | None,
    progress: Progress | None,
    index_vectors: IndexVectors = VectorIndex.build,
) -> tuple[IndexContent, int]:
    """Make the content of a generation, and tell how many texts had to be embedded."""
    digest = corpus_digest(settings.corpus, digest_groups(settings.terms))
    reading = read_corpus(settings.corpus)
    questions = parse_corpus(reading)
    thesaurus = load_thesaurus(settings.terms)
    content, n_embedded = index_documents(
        reading.documents, questions, encoder, thesaurus, former, progress, index_vectors
    )
    return replace(content, corpus=digest, problems=reading.problems), n_embedded


def index_documents(
    documents: Sequence[Document],
    questions: tuple[Question, ...],
    encoder: Encoder,
    thesaurus: Thesaurus,
    former: OpenIndex | None = None,
    progress: Progress | None = None,
    index_vectors: IndexVectors = VectorIndex.build,
) -> tuple[IndexContent, int]:
    """Chunk, embed and index documents whose questions are known, and tell how many texts had to be embedded."""
    passages = chunk_corpus(documents, questions, encoder)
    rows = texts_to_embed(questions, passages, thesaurus)
    vectors, keys, n_embedded = embed_rows(rows, encoder, former, progress)
    return assemble(documents, questions, passages, vectors, keys, thesaurus, encoder, index_vectors), n_embedded


def assemble(
    documents: Sequence[Document],
    questions: tuple[Question, ...],
    passages: tuple[Passage, ...],
    vectors: Vectors,
    keys: tuple[str, ...],
    thesaurus: Thesaurus,
    encoder: Encoder,
    index_vectors: IndexVectors,
) -> IndexContent:
    """Put together what a generation holds."""
    return IndexContent(
        questions=questions,
        passages=passages,
        vectors=index_vectors(vectors),
        row_keys=keys,
        lexical=WordIndex.build(questions, passages, thesaurus).to_arrays(),
        encoder=encoder.fingerprint,
        corpus="",
        documents=tuple((document.path, document.digest) for document in documents),
    )
