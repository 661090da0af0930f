"""Rank the questions of the notes: BM25 and dense scores, added by question as z-scores."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag.types import Encoder, Hit, Passage, Question, Vectors, WordMatch

DENSE_ROWS = 512
"""Vectors asked of the index; the rest count as the weakest of these."""
DENSE_WEIGHT = 1.0
PASSAGES_PER_HIT = 6
COVER_BIAS, COVER_COSINE, COVER_WORDS, COVER_NAMES, COVER_OTHERS = -4.06, 9.13, 6.25, -4.55, -1.3
"""Logistic weights of `cover`, fitted on the dev half of eval/data by `python -m eval.cover`."""
SPREAD = 2.0
"""z-scores by which a hit falls behind the first until its score is 1/e of the first's."""

Scores = npt.NDArray[np.float32]
LexicalSearch = Callable[[str], WordMatch]
VectorSearch = Callable[[Vectors, int], tuple[Scores, npt.NDArray[np.int64]]]
"""(query vectors, k) to (cosines, rows), both (n_queries, k), best first."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Ranked questions, and how likely the notes cover the query at all."""

    hits: tuple[Hit, ...]
    cover: float
    """Probability between 0 and 1."""
    query_vector: Vectors
    """(1, dim)."""


class Retriever:
    """Ranks outer questions; vector rows are the passages in order, then one per question title."""

    def __init__(
        self,
        questions: Sequence[Question],
        passages: Sequence[Passage],
        encoder: Encoder,
        search_words: LexicalSearch,
        search_vectors: VectorSearch,
    ) -> None:
        self._outer = [question for question in questions if not question.parent]
        self._passages = passages
        self._encoder, self._search_words, self._search_vectors = encoder, search_words, search_vectors
        at = {question.id: place for place, question in enumerate(self._outer)}
        parents = [at[question.parent or question.id] for question in questions]
        self._owners = np.array([at[passage.question] for passage in passages] + parents, dtype=np.int64)

    def retrieve(self, text: str, k: int) -> Retrieval:
        """Rank the `k` best questions for `text`; ties keep the order of the notes."""
        vector = self._encoder.embed_queries([text])
        if not self._outer:
            return Retrieval((), 0.0, vector)
        match = self._search_words(text)
        words = match.scores
        rows = self._row_cosines(vector)
        n_passages = len(self._passages)
        dense = self._by_question(rows, self._owners)
        lexical = self._by_question(words, self._owners[:n_passages])
        fused = DENSE_WEIGHT * standardise(dense) + standardise(lexical)
        order = np.lexsort((np.arange(len(fused)), -fused))[:k]
        cover = estimate_cover(*read_signs(float(dense.max()), match))
        passage_scores = DENSE_WEIGHT * standardise(rows[:n_passages]) + standardise(words)
        hits = tuple(self._hit(int(place), fused, float(fused[order[0]]), cover, passage_scores) for place in order)
        return Retrieval(hits, cover, vector)

    def _row_cosines(self, vector: Vectors) -> Scores:
        cosines, rows = self._search_vectors(vector, min(DENSE_ROWS, len(self._owners)))
        every = np.full(len(self._owners), cosines[0].min(), dtype=np.float32)
        every[rows[0]] = cosines[0]
        return every

    def _by_question(self, scores: Scores, owners: npt.NDArray[np.int64]) -> Scores:
        best = np.full(len(self._outer), scores.min() if len(scores) else 0.0, dtype=np.float32)
        np.maximum.at(best, owners, scores)
        return best

    def _hit(self, place: int, fused: Scores, first: float, cover: float, passage_scores: Scores) -> Hit:
        own = np.flatnonzero(self._owners[: len(self._passages)] == place)
        best = own[np.argsort(-passage_scores[own], kind="stable")][:PASSAGES_PER_HIT]
        ranked = tuple((self._passages[int(row)], float(passage_scores[row])) for row in best)
        score = cover * math.exp((float(fused[place]) - first) / SPREAD)
        return Hit(self._outer[place], round(score, 4), ranked)


def standardise(scores: Scores) -> Scores:
    """Return z-scores; all zero when the scores do not differ."""
    spread = float(scores.std()) if len(scores) else 0.0
    if spread < 1e-6:
        return np.zeros_like(scores)
    z_scores: Scores = (scores - scores.mean()) / spread
    return z_scores


def read_signs(best_cosine: float, match: WordMatch) -> tuple[float, float, float, float]:
    """Return the signs of whether the notes cover a query.

    They are the best cosine, the best BM25 score as a share of the highest possible, and whether the query has names
    or other words in Latin script that the notes never mention.
    """
    share = float(match.scores.max()) / match.ceiling if match.ceiling > 0 else 0.0
    return best_cosine, share, float(match.n_unknown_names > 0), float(match.n_unknown_words > 0)


def estimate_cover(best_cosine: float, share: float, unknown_names: float, unknown_words: float) -> float:
    """Estimate how likely the notes cover a query, by logistic regression over its signs."""
    strength = COVER_BIAS + COVER_COSINE * best_cosine + COVER_WORDS * share
    strength += COVER_NAMES * unknown_names + COVER_OTHERS * unknown_words
    return 1 / (1 + math.exp(-strength))
