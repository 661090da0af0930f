"""Measure retrieval as the notes grow: `python -m eval scale --texts FOLDER --sizes 1000 10000 100000 1000000`.

Passages are made by resampling real text: each joins a few sentences of one real document, and its vector is the
normalised sum of the encoder's vectors of those sentences (mean pooling does nearly the same), since encoding a million
passages takes hours. Queries are real headings and sentences with some words left out. The retriever is the program's.
"""

import random
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag.chunk import SENTENCE_END
from rag.corpus import read_corpus
from rag.embed import ShippedEncoder
from rag.errors import UsageError
from rag.lexical import WordIndex
from rag.markdown import plain_words
from rag.parse import parse_document
from rag.retrieve import Parts, Retriever
from rag.reverse import load_reverse_dictionary
from rag.synonyms import Thesaurus, load_thesaurus
from rag.types import Encoder, Passage, Question, Vectors
from rag.vectors import VectorIndex

MAX_SENTENCES = 12_000
SENTENCES_PER_PASSAGE = (2, 5)
PASSAGES_PER_QUESTION = 4
N_QUERIES = 300
KEPT_WORDS = 0.7
N_NEAREST = 10
SEED = 20
SIZES = (1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Material:
    """Real sentences, by document, with their vectors."""

    sentences: list[str]
    documents: list[range]
    """Which sentences belong to each document."""
    titles: list[str]
    vectors: Vectors
    title_vectors: Vectors


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """What was measured at one size."""

    n_passages: int
    index: str
    build_s: float
    index_mb: float
    """Vectors and words, as stored."""
    memory_mb: float
    """Highest resident memory of the process so far."""
    recall: float
    """Of the ten nearest rows by exact search."""
    p50_ms: float
    p99_ms: float


def read_material(folder: Path, encoder: Encoder) -> Material:
    """Read sentences and headings of real notes and embed them.

    :raises UsageError: when there are too few.
    """
    rng = random.Random(SEED)
    sentences: list[str] = []
    documents: list[range] = []
    titles: set[str] = set()
    readings = list(read_corpus((folder,)).documents)
    rng.shuffle(readings)
    for document in readings:
        found = [
            text.strip() for text in SENTENCE_END.split(plain_words(document.text)) if text and len(text.strip()) > 9
        ]
        found = found[: MAX_SENTENCES - len(sentences)]
        if len(found) >= SENTENCES_PER_PASSAGE[1]:
            documents.append(range(len(sentences), len(sentences) + len(found)))
            sentences += found
        titles.update(question.title for question in parse_document(document) if len(question.title) > 3)
    if not documents or not titles:
        raise UsageError(f"{folder}: 里面的文字太少；--texts 要指到一个放着许多真实笔记的文件夹")
    names = sorted(titles)[: MAX_SENTENCES // 4]
    return Material(sentences, documents, names, encoder.embed_passages(sentences), encoder.embed_passages(names))


def make_notes(material: Material, n_passages: int) -> tuple[list[Question], list[Passage], Vectors]:
    """Resample `n_passages` passages and the questions that hold them; vector rows in the retriever's order."""
    rng = random.Random(SEED + n_passages)
    passages: list[Passage] = []
    questions: list[Question] = []
    sums = np.empty((n_passages, material.vectors.shape[1]), dtype=np.float32)
    title_rows: list[int] = []
    for number in range(n_passages):
        at = number // PASSAGES_PER_QUESTION
        name = f"n:Q{at}"
        if number % PASSAGES_PER_QUESTION == 0:
            title_rows.append(rng.randrange(len(material.titles)))
            title = material.titles[title_rows[-1]]
            questions.append(Question(name, f"Q{at}", str(at), title, title, "n.md", 0, 0, 1, (1, 1), (), "text"))
        chosen = rng.choices(rng.choice(material.documents), k=rng.randint(*SENTENCES_PER_PASSAGE))
        text = "。".join(material.sentences[row] for row in chosen)
        sums[number] = material.vectors[chosen].sum(axis=0)
        passages.append(Passage(f"{name}#{number}", name, text, 0, len(text), (1, 1), (questions[-1].title,), text, ""))
    sums /= np.linalg.norm(sums, axis=1, keepdims=True)
    return questions, passages, np.concatenate([sums, material.title_vectors[title_rows]])


def make_queries(material: Material) -> list[str]:
    """Take real headings and sentences, some words left out."""
    rng = random.Random(SEED)
    texts = rng.sample(material.titles, min(N_QUERIES // 2, len(material.titles)))
    texts += rng.sample(material.sentences, min(N_QUERIES - len(texts), len(material.sentences)))
    pieces = ([text[at : at + 2] for at in range(0, min(len(text), 60), 2)] for text in texts)
    return ["".join(piece for piece in row if rng.random() < KEPT_WORDS) or row[0] for row in pieces]


def measure_size(material: Material, n_passages: int, thesaurus: Thesaurus, encoder: Encoder) -> ScaleRow:
    """Build the indexes at one size and time queries."""
    import faiss

    questions, passages, vectors = make_notes(material, n_passages)
    started = time.monotonic()
    index = VectorIndex.build(vectors)
    words = WordIndex.build(questions, passages, thesaurus)
    retriever = Retriever(
        questions, passages, index, encoder, words, Parts(), load_reverse_dictionary(encoder.fingerprint)
    )
    build_s = time.monotonic() - started
    queries = make_queries(material)
    asked = encoder.embed_passages(queries)
    _, exact = faiss.knn(asked, vectors, N_NEAREST, metric=faiss.METRIC_INNER_PRODUCT)
    cosines, found = index.search(asked, N_NEAREST)
    reached = [(cosines[row] >= (vectors[exact[row]] @ asked[row]).min() - 1e-6).mean() for row in range(len(asked))]
    times = []
    for query in queries:
        begun = time.perf_counter()
        text = words.mend(query)
        retriever.to_hits(retriever.rank(text, retriever.embed([text])), N_NEAREST)
        times.append((time.perf_counter() - begun) * 1000)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    p50, p99 = map(float, np.percentile(times, [50, 99]))
    index_mb = (len(index.to_bytes()) + sum(array.nbytes for array in words.to_arrays().values())) / 1e6
    return ScaleRow(n_passages, index.kind, build_s, index_mb, peak_mb, float(np.mean(reached)), p50, p99)


def measure(folder: Path, sizes: Sequence[int]) -> list[ScaleRow]:
    """Measure every size with the shipped encoder."""
    encoder = ShippedEncoder()
    material = read_material(folder, encoder)
    thesaurus = load_thesaurus()
    return [measure_size(material, size, thesaurus, encoder) for size in sizes]


def fit_growth(rows: Sequence[ScaleRow]) -> dict[str, float]:
    """Fit how each cost grows with the number of passages: the exponent e of n^e, by least squares over logarithms.

    1 is linear, 0.5 the square root; empty for fewer than two sizes.
    """
    if len({row.n_passages for row in rows}) < 2:
        return {}
    sizes = np.log([row.n_passages for row in rows])
    costs = ("build_s", "index_mb", "p50_ms", "p99_ms")
    return {name: float(np.polyfit(sizes, np.log([getattr(row, name) for row in rows]), 1)[0]) for name in costs}


def format_rows(rows: Sequence[ScaleRow]) -> str:
    """Write the rows as a Markdown table, the growth below them."""
    lines = [
        "| 段落 | 向量索引 | 建索引 | 索引大小 | 内存峰值 | recall@10 | 检索 p50 / p99 |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.n_passages:,} | {row.index} | {row.build_s:.0f} s | {row.index_mb:,.0f} MB | {row.memory_mb:,.0f} MB "
        f"| {row.recall:.3f} | {row.p50_ms:.1f} / {row.p99_ms:.1f} ms |"
        for row in rows
    ]
    if growth := fit_growth(rows):
        lines.append(
            f"| 按 n 的几次方增长 | | {growth['build_s']:.2f} | {growth['index_mb']:.2f} | | "
            f"| {growth['p50_ms']:.2f} / {growth['p99_ms']:.2f} |"
        )
    return "\n".join(lines)
