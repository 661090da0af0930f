"""Rank the questions of the notes for a query, and estimate whether the notes cover it.

Candidates come from the words and from the vectors. A few signs describe each (cosines, BM25 scores), and a linear
model weighs them. Raw values keep what z-scores lose: an English query, whose words match little in Chinese notes, trusts
the vectors; a long one that matches many rare words trusts the words.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rag.types import Encoder, Hit, LexicalMatch, Passage, Question, Vectors
from rag.weights import BM25_UNIT, COVER_SIGNS, SIGNS, estimate_coverage, load_weights

DENSE_ROWS = 256
"""Vectors asked of the index."""
MAX_CANDIDATES = 200
"""Questions described by signs, at most this many from the words and as many from the vectors."""
PASSAGES_PER_HIT = 6
COSINES = ("cosine", "second_cosine", "title_cosine")
RRF_K = 60
"""Constant of reciprocal rank fusion (Cormack et al. 2009)."""
Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class LexicalSearch(Protocol):
    """The words of the notes."""

    def search(self, text: str) -> LexicalMatch:
        """Match a query against passages, titles and concepts."""

    def expand(self, text: str) -> str:
        """Put other names of the query's terms after it."""


class VectorSearch(Protocol):
    """The vectors of the notes, by row."""

    def search(self, vectors: Vectors, k: int) -> tuple[Scores, Rows]:
        """Return cosines and rows of the k nearest, both (n_queries, k), best first."""

    def take(self, rows: Rows) -> Vectors:
        """Return some rows."""


class DescribedTerm(Protocol):
    """A term that a query describes without naming it."""

    @property
    def name(self) -> str:
        """Its usual name."""

    @property
    def closeness(self) -> float:
        """How well the query describes it."""

    def spot(self, text: str) -> Iterable[int]:
        """Tell where a text in lower case names it."""


class TermFinder(Protocol):
    """Knows how terms are described."""

    def find(self, text: str, vector: Vectors) -> Sequence[DescribedTerm]:
        """Find the terms that a query of that vector, (dim,), describes."""


@runtime_checkable
class ScoringVectors(VectorSearch, Protocol):
    """Vectors of a database, which compares them itself."""

    def score(self, rows: Rows, vector: Vectors) -> Scores:
        """Return the cosine of some rows with one vector, (n_rows,)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts of retrieval are on; the benchmark switches them off one by one."""

    words: bool = True
    vectors: bool = True
    titles: bool = True
    """Whether titles count apart from the passages below them."""
    synonyms: bool = True
    spelling: bool = True
    described: bool = True
    """Whether terms are found that a query describes without naming them."""
    fusion: Literal["learned", "zscore", "rrf"] = "learned"
    history: bool = True
    split: bool = True


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates for one text, described and scored."""

    places: Rows
    """(n,) places of outer questions, in the order of the notes."""
    signs: Scores
    """(n, len(SIGNS))."""
    strengths: Scores
    """(n,); higher is better, only comparable within the ranking."""
    cover_signs: Scores
    """(len(COVER_SIGNS),)."""
    passage_rows: Rows
    passage_strengths: Scores
    """Of every passage of the candidates."""
    described: tuple[str, ...] = ()
    """Terms that the text describes without naming them, and a candidate's title names."""

    @property
    def coverage(self) -> float:
        """Probability that the notes cover the text."""
        return estimate_coverage(self.cover_signs)


class Retriever:
    """Ranks outer questions; vector rows are the passages in order, then the titles that are not empty."""

    def __init__(
        self,
        questions: Sequence[Question],
        passages: Sequence[Passage],
        vectors: VectorSearch,
        encoder: Encoder,
        words: LexicalSearch,
        parts: Parts,
        terms: TermFinder | None = None,
        owners: Rows | None = None,
    ) -> None:
        """Take the notes.

        :param terms: None where none goes with the encoder.
        :param owners: the place of each passage's question among the outer ones; None: read off the passages.
        """
        self._outer = outer_questions(questions)
        self._passages, self._vectors, self._encoder, self._parts = passages, vectors, encoder, parts
        self._words, self._terms = words, terms
        self._places = at = {question.id: place for place, question in enumerate(self._outer)}
        if owners is None:
            owners = np.array([at[passage.question] for passage in passages], dtype=np.int64)
        self._passage_owners = owners
        titles = [at[question.parent or question.id] for question in questions if question.title]
        self._owners = np.concatenate([self._passage_owners, np.array(titles, dtype=np.int64)])
        self._order = np.argsort(self._owners, kind="stable")
        self._borders = np.searchsorted(self._owners[self._order], np.arange(len(self._outer) + 1))

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed queries, other names of their terms put after them; several run on several cores."""
        return self._encoder.embed_queries(
            [self._words.expand(text) if self._parts.synonyms else text for text in texts]
        )

    def rank(self, text: str, vector: Vectors, cited: Sequence[str] = ()) -> Ranking:
        """Describe and score the candidates for `text`.

        :param vector: its row of `embed`, (1, dim).
        :param cited: ids of the questions that the conversation last cited.
        """
        match = self._words.search(text)
        _, near = self._vectors.search(vector, DENSE_ROWS)
        places = self._choose_candidates(near[0], match, cited)
        rows = self._rows_of(places)
        cosines = self._compare(rows, vector)
        described, terms = self._weigh_described(places, text, vector)
        signs = self._describe(places, rows, cosines, match, described, cited)
        strengths = self._score(signs)
        of_passages = rows < len(self._passages)
        own_rows = rows[of_passages]
        weights = load_weights()["rank"]
        passage_strengths = (
            cosines[of_passages] * weights["cosine"]
            + (match.passages.scores[own_rows] / BM25_UNIT) ** 2 * weights["words"]
        )
        cover = self._read_cover_signs(signs, match)
        return Ranking(places, signs, strengths, cover, own_rows, passage_strengths, terms)

    def mix(self, one: Ranking, text: str, vector: Vectors, cited: Sequence[str], share: float) -> Ranking:
        """Mix the signs of another text into a ranking: `share` of the other, the rest of the one."""
        rows = self._rows_of(one.places)
        match = self._words.search(text)
        described, terms = self._weigh_described(one.places, text, vector)
        signs = self._describe(one.places, rows, self._compare(rows, vector), match, described, cited)
        other = self._read_cover_signs(signs, match)
        signs = (1 - share) * one.signs + share * signs
        cover = (1 - share) * one.cover_signs + share * other
        terms = tuple(dict.fromkeys((*one.described, *terms)))
        return replace(one, signs=signs, strengths=self._score(signs), cover_signs=cover, described=terms)

    def _compare(self, rows: Rows, vector: Vectors) -> Scores:
        """Return the cosines of some rows with a query."""
        if isinstance(self._vectors, ScoringVectors):
            return self._vectors.score(rows, vector)
        # Not `@`: its threads would wait up to 3 ms for those of the vector search.
        cosines: Scores = np.einsum("ij,j->i", self._vectors.take(rows), vector[0])
        return cosines

    def _rows_of(self, places: Rows) -> Rows:
        """Return the vector rows of some questions."""
        return np.concatenate([self._order[self._borders[place] : self._borders[place + 1]] for place in places])

    def _choose_candidates(self, near: Rows, match: LexicalMatch, cited: Sequence[str]) -> Rows:
        n_outer = len(self._outer)
        if n_outer <= MAX_CANDIDATES:
            return np.arange(n_outer)
        by_words = [
            owners[match_of.best(MAX_CANDIDATES)]
            for owners, match_of in (
                (self._passage_owners, match.passages),
                (self._passage_owners, match.concepts),
            )
        ]
        before = np.array([self._places[name] for name in cited if name in self._places], dtype=np.int64)
        return np.unique(np.concatenate([self._owners[near[near >= 0]], *by_words, before]))

    def _weigh_described(self, places: Rows, text: str, vector: Vectors) -> tuple[Scores, tuple[str, ...]]:
        """Weigh how far the titles of some questions name what a query describes; a term counts more when few name it.

        :returns: a weight for each question, and the terms that any of them names.
        """
        weights, names = np.zeros(len(places), dtype=np.float32), []
        if not (self._terms and self._parts.described and self._parts.vectors):
            return weights, ()
        found = self._terms.find(text, vector[0])
        titles = [self._outer[place].title.lower() for place in places.tolist()] if found else []
        starts = np.cumsum([0, *(len(title) + 1 for title in titles[:-1])])
        text_of_all = "\n".join(titles)
        for term in found:
            named = np.unique(np.searchsorted(starts, list(term.spot(text_of_all)), side="right") - 1)
            if len(named):
                rarity = math.log(1 + (len(places) - len(named) + 0.5) / (len(named) + 0.5))
                weights[named] += term.closeness * rarity
                names.append(term.name)
        return weights, tuple(names)

    def _describe(
        self,
        places: Rows,
        rows: Rows,
        cosines: Scores,
        match: LexicalMatch,
        described: Scores,
        cited: Sequence[str],
    ) -> Scores:
        """Return the signs of every candidate, (n, len(SIGNS))."""
        n, at = len(places), np.searchsorted(places, self._owners[rows])
        is_passage = rows < len(self._passages)
        own, own_at = rows[is_passage], at[is_passage]
        best = _best_of(own_at, cosines[is_passage], n, -1.0)
        second = _second_of(own_at, cosines[is_passage], best)
        title = _best_of(at[~is_passage], cosines[~is_passage], n, -2.0)
        title = np.where(title < -1.0, best, title)  # a question without a title of its own
        words = _best_of(own_at, match.passages.scores[own] / BM25_UNIT, n, 0.0) ** 2
        matched = np.sqrt(words) * (BM25_UNIT / max(match.passages.ceiling, 1e-6))
        concepts = _best_of(own_at, match.concepts.scores[own] / BM25_UNIT, n, 0.0)
        before = np.isin(places, [self._places[name] for name in cited if name in self._places]).astype(np.float32)
        signs = np.stack([best, second, title, words, matched, concepts, described, before], axis=1).astype(np.float32)
        return signs * self._mask()

    def _mask(self) -> Scores:
        """Return 0 for the signs that are switched off."""
        parts = self._parts
        on = {
            "cosine": parts.vectors,
            "second_cosine": parts.vectors,
            "title_cosine": parts.vectors and parts.titles,
            "words": parts.words,
            "matched": parts.words,
            "concepts": parts.words and parts.synonyms,
            "described": parts.vectors and parts.described,
            "cited_before": parts.history,
        }
        return np.array([on[name] for name in SIGNS], dtype=np.float32)

    def _score(self, signs: Scores) -> Scores:
        """Fuse the signs of each candidate into one strength."""
        cosine, words = signs[:, SIGNS.index("cosine")], np.sqrt(signs[:, SIGNS.index("words")])
        if not self._parts.words:
            return cosine
        if not self._parts.vectors:
            return words
        if self._parts.fusion == "zscore":
            return standardise(cosine) + standardise(words)
        if self._parts.fusion == "rrf":
            ranks = [np.argsort(np.argsort(-scores, kind="stable"), kind="stable") for scores in (cosine, words)]
            return np.asarray(sum(1 / (RRF_K + 1 + rank) for rank in ranks), dtype=np.float32)
        weights = load_weights()["rank"]
        return signs @ np.array([weights[name] for name in SIGNS], dtype=np.float32)

    def _read_cover_signs(self, signs: Scores, match: LexicalMatch) -> Scores:
        """Describe how good the best match is, in values that do not grow with the notes."""
        best = dict(zip(SIGNS, signs.max(axis=0).tolist(), strict=True))
        values = {
            "bias": 1.0,
            "cosine": best["cosine"],
            "title_cosine": best["title_cosine"],
            "words": best["matched"],
            "latin": match.latin_share,
            "names": float(match.n_unknown_names > 0),
            "absent_concepts": float(match.n_absent_concepts > 0),
        }
        return np.array([values[name] for name in COVER_SIGNS], dtype=np.float32)

    def to_hits(self, ranking: Ranking, k: int) -> tuple[Hit, ...]:
        """Return the `k` best candidates, best first; ties keep the order of the notes."""
        strengths = ranking.strengths
        best = np.lexsort((np.arange(len(strengths)), -strengths))[:k]
        owners = self._passage_owners[ranking.passage_rows]
        hits = []
        for at in best:
            place = int(ranking.places[at])
            own = np.flatnonzero(owners == place)
            ranked = own[np.argsort(-ranking.passage_strengths[own], kind="stable")][:PASSAGES_PER_HIT]
            rows = ranking.passage_rows[ranked].tolist()
            first = min(rows, default=0)
            stretch = self._passages[first : max(rows, default=-1) + 1]  # one request, where a database has them
            passages = tuple(
                (stretch[row - first], float(strength))
                for row, strength in zip(rows, ranking.passage_strengths[ranked], strict=True)
            )
            score = ranking.coverage * math.exp(float(strengths[at] - strengths[best[0]]))
            hits.append(Hit(self._outer[place], round(score, 4), passages))
        return tuple(hits)


def outer_questions(questions: Sequence[Question]) -> list[Question]:
    """Return the questions that no other holds, in the order of the notes; owners are places in this list."""
    return [question for question in questions if not question.parent]


def _best_of(owners: Rows, scores: Scores, n_owners: int, floor: float) -> Scores:
    best = np.full(n_owners, floor, dtype=np.float32)
    np.maximum.at(best, owners, scores)
    return best


def _second_of(owners: Rows, scores: Scores, best: Scores) -> Scores:
    """Return the second highest score of each owner, or its only one."""
    order = np.lexsort((-scores, owners))
    ranks = np.arange(len(order)) - np.searchsorted(owners[order], owners[order])
    second = best.copy()
    second[owners[order][ranks == 1]] = scores[order][ranks == 1]
    return second


def standardise(scores: Scores) -> Scores:
    """Return z-scores; all zero when the scores do not differ."""
    spread = float(scores.std()) if len(scores) else 0.0
    if spread < 1e-6:
        return np.zeros_like(scores)
    z_scores: Scores = (scores - scores.mean()) / spread
    return z_scores
