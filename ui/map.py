"""Lay the questions out on a map: alike ones near each other, coloured by topic.

Principal components (Pearson 1901) of the questions' vectors, drawn a little towards their topics, then moved apart
until dots do not cover each other. Topics are the groups of the notes where they have some, else clusters by spherical
k-means (Dhillon & Modha 2001) named by the terms of the field that set them apart.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag.index import IndexContent
from rag.pipeline import Notes
from rag.stores import StoredContent
from rag.synonyms import ASKING_MARK, Thesaurus, load_thesaurus
from rag.tokenize import ENGLISH_STOP_WORDS, LATIN_NAME
from rag.types import Question, Vectors

MAX_POINTS = 1_500
"""More dots than this are neither told apart nor drawn quickly."""
MAX_TOPICS, TOPIC_SIZE = 10, 5
"""Most topics, each with at least so many questions on average; there are ten colours."""
N_RUNS, N_ITERATIONS, SEED = 8, 20, 20
TOPIC_PULL = 0.6
"""How far a vector is drawn towards the middle of its topic before it is laid out."""
SPREAD_ROUNDS, SPREAD_PAIRS = 60, 40_000_000
"""Most rounds, and most pairs of points looked at in all."""
FILL = 0.35
"""Share of the map that the dots' own surroundings take up when they are spread."""
GROUPED_SHARE = 0.8
"""Groups are topics where at least this share of the questions has one."""
NAME_TERMS, NAME_CHARS = 2, 12
"""A topic is called by so many terms, or for want of any by the beginning of a title."""
Flat = npt.NDArray[np.float32]
"""(n, 2) float32."""
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Point:
    """A question on the map."""

    id: str
    label: str
    title: str
    x: float
    y: float
    """Between 0 and 1."""
    topic: int
    """Place in the map's topics."""


@dataclass(frozen=True, slots=True)
class Map:
    """The questions laid out."""

    points: tuple[Point, ...]
    topics: tuple[str, ...]
    total: int
    """Questions there are; a sample of them is drawn when they are many."""


def draw_map(notes: Notes) -> Map:
    """Lay out the outer questions of the notes."""
    outer = [question for question in notes.questions if not question.parent]
    if not outer:
        return Map((), (), 0)
    sample = np.unique(np.linspace(0, len(outer) - 1, min(len(outer), MAX_POINTS)).round().astype(np.int64))
    chosen = [outer[place] for place in sample]
    vectors = embed_questions(notes, chosen)
    topics, names = find_topics(chosen, vectors, load_thesaurus(notes.settings.terms))
    flat = spread(project(vectors, topics))
    points = (
        Point(question.id, question.label, question.title, round(float(x), 4), round(float(y), 4), int(topic))
        for question, (x, y), topic in zip(chosen, flat, topics, strict=True)
    )
    return Map(tuple(points), names, len(outer))


def embed_questions(notes: Notes, questions: Sequence[Question]) -> Vectors:
    """Return a vector for each outer question, (n, dim) with unit rows: the mean of its title's and its passages'."""
    content = notes.index.content
    places = {question.id: place for place, question in enumerate(questions)}
    titled = [question for question in content.questions if question.title]
    owners = [*_list_owners(content), *(question.parent or question.id for question in titled)]
    rows = np.array([row for row, owner in enumerate(owners) if owner in places], dtype=np.int64)
    at = np.array([places[owners[row]] for row in rows], dtype=np.int64)
    sums = np.zeros((len(questions), notes.encoder.dim), dtype=np.float32)
    np.add.at(sums, at, content.vectors.take(rows))
    return _normalise(sums)


def _list_owners(content: IndexContent) -> list[str]:
    """List the question of every passage; a database has them at hand, its passages not."""
    if isinstance(content, StoredContent):
        outer = [question.id for question in content.questions if not question.parent]
        return [outer[place] for place in content.owners.tolist()]
    return [passage.question for passage in content.passages]


def find_topics(
    questions: Sequence[Question], vectors: Vectors, thesaurus: Thesaurus
) -> tuple[Places, tuple[str, ...]]:
    """Return the topic of each question and the topics' names."""
    groups = [question.headings[0] if question.headings else "" for question in questions]
    names = sorted(set(groups) - {""}, key=groups.index)
    grouped = sum(map(bool, groups)) / len(groups)
    if 2 <= len(names) <= MAX_TOPICS - 1 and grouped >= GROUPED_SHARE:
        names += [""] if "" in groups else []
        return np.array([names.index(group) for group in groups]), tuple(names)
    topics = cluster(vectors, max(1, min(MAX_TOPICS, len(questions) // TOPIC_SIZE)))
    return topics, name_topics([question.title for question in questions], topics, thesaurus)


def cluster(vectors: Vectors, k: int) -> Places:
    """Put unit vectors into k clusters, none of them empty, numbered from the largest: the closest of a few runs."""
    rng = np.random.default_rng(SEED)
    runs = [_run_k_means(vectors, k, rng) for _ in range(N_RUNS)]
    centres = max(runs, key=lambda run: float((vectors @ run.T).max(axis=1).sum()))
    used, topics = np.unique((vectors @ centres.T).argmax(axis=1), return_inverse=True)
    by_size = np.argsort(-np.bincount(topics, minlength=len(used)), kind="stable")
    return np.argsort(by_size, kind="stable")[topics]


def _run_k_means(vectors: Vectors, k: int, rng: np.random.Generator) -> Vectors:
    """Return k centres, begun as k-means++ does (Arthur & Vassilvitskii 2007)."""
    centres = vectors[[int(rng.integers(len(vectors)))]]
    while len(centres) < k:
        far = np.clip(1 - (vectors @ centres.T).max(axis=1), 1e-9, None).astype(np.float64)
        centres = np.concatenate([centres, vectors[[int(rng.choice(len(vectors), p=far / far.sum()))]]])
    for _ in range(N_ITERATIONS):
        topics = (vectors @ centres.T).argmax(axis=1)
        sums = _sum_by_topic(vectors, topics, k)
        filled = np.bincount(topics, minlength=k) > 0
        centres = np.where(filled[:, None], _normalise(sums), centres)
    return centres


def name_topics(titles: Sequence[str], topics: Places, thesaurus: Thesaurus) -> tuple[str, ...]:
    """Name each topic by the terms its titles hold far more often than the others', or else by one of the titles."""
    printed: Counter[tuple[str, str]] = Counter()
    terms = [_list_terms(title, thesaurus, printed) for title in titles]
    shown = {term: form for (term, form), _ in reversed(printed.most_common())}
    everywhere = Counter(term for own in terms for term in own)
    names: list[str] = []
    for topic in range(int(topics.max()) + 1):
        members = np.flatnonzero(topics == topic)
        counts = Counter(term for place in members for term in terms[place])
        share = len(members) / len(titles)
        telling = {term: n * math.log(n / (everywhere[term] * share)) for term, n in counts.items()}
        best = sorted((term for term in counts if telling[term] > 0), key=lambda term: (-telling[term], term))
        best = best or sorted(counts, key=lambda term: (-counts[term], term))
        names.append("、".join(shown[term] for term in best[:NAME_TERMS]) or titles[members[0]][:NAME_CHARS])
    return tuple(names)


def _list_terms(title: str, thesaurus: Thesaurus, printed: Counter[tuple[str, str]]) -> set[str]:
    """List the terms of a title, concepts of the field or else its Latin names, and count how each is printed."""
    latin = {re.sub(r"[\-]+", "", word.lower()): word for word in LATIN_NAME.findall(title)}
    terms = {name for name in thesaurus.find(title) if not name.startswith(ASKING_MARK)}
    terms = terms or {key for key in latin if key not in ENGLISH_STOP_WORDS}
    printed.update((term, latin.get(term, term)) for term in terms)
    return terms


def project(vectors: Vectors, topics: Places) -> Flat:
    """Return the two principal components, each scaled to [0, 1]."""
    middles = _sum_by_topic(vectors, topics, int(topics.max()) + 1) / np.bincount(topics)[:, None]
    drawn = vectors + TOPIC_PULL * (middles[topics] - vectors)
    centred = drawn - drawn.mean(axis=0)
    left, strengths, _ = np.linalg.svd(centred, full_matrices=False)
    flat = np.zeros((len(vectors), 2), dtype=np.float32)
    n = min(2, len(strengths))
    flat[:, :n] = left[:, :n] * strengths[:n]
    return _fit(flat)


def spread(flat: Flat) -> Flat:
    """Move points apart until their surroundings hardly overlap; (n, 2) in [0, 1]."""
    n = len(flat)
    if n < 2:
        return flat
    rng = np.random.default_rng(SEED)
    flat = flat + rng.normal(0, 1e-3, flat.shape).astype(np.float32)  # equal vectors need a direction to part in
    least = math.sqrt(FILL / n)
    for _ in range(min(SPREAD_ROUNDS, SPREAD_PAIRS // n**2)):
        apart = flat[:, None] - flat[None]
        distance = np.maximum(np.hypot(apart[..., 0], apart[..., 1]), 1e-6)
        np.fill_diagonal(distance, np.inf)
        push = np.maximum(least - distance, 0) / distance
        flat = flat + 0.25 * (push[..., None] * apart).sum(axis=1)
    return _fit(flat)


def _sum_by_topic(vectors: Vectors, topics: Places, k: int) -> Vectors:
    """Add up the vectors of each topic, (k, dim): as a product, far faster than row by row."""
    sums: Vectors = np.eye(k, dtype=np.float32)[topics].T @ vectors
    return sums


def _fit(flat: Flat) -> Flat:
    low, high = flat.min(axis=0), flat.max(axis=0)
    fitted: Flat = np.where(high - low > 1e-6, (flat - low) / np.maximum(high - low, 1e-6), 0.5).astype(np.float32)
    return fitted


def _normalise(vectors: Vectors) -> Vectors:
    normal: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return normal
