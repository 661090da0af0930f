"""Find what a message asks for: numbers, several questions, follow-ups; and rank the questions of the notes for each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rag.history import Resolved, resolve
from rag.index import IndexContent
from rag.lexical import WordIndex
from rag.lookup import Lookup, find_numbers
from rag.retrieve import Parts, Ranking, Retriever
from rag.split import split_questions
from rag.tokenize import has_content
from rag.types import Encoder, Hit, Passage, Query, Question, Reranker
from rag.weights import coverage_threshold

NEAR_SCORE = 0.5
"""Of a question that holds or repeats one asked for by number."""
N_RERANKED = 20
"""Hits that a cross-encoder reads, where one is named."""
ALONE_SHARE = 0.5
"""How much a follow-up's own words count; the rest is for its topic and its words together."""
SAME_SIZE = 0.05
"""Questions that say the same differ in length by no more than this share."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One of the questions a message asks, with what was found for it."""

    text: str
    hits: tuple[Hit, ...]
    coverage: float


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The questions of the notes for a message, best first."""

    hits: tuple[Hit, ...]
    coverage: float
    """Probability that the notes cover it."""
    asked: tuple[Asked, ...] = ()
    """More than one when the message asks several things."""
    lookup: Lookup | None = None
    """What it names by number, if it does."""


class Searcher:
    """Composes the stages between a message and the ranked questions."""

    def __init__(
        self, content: IndexContent, encoder: Encoder, reranker: Reranker | None, parts: Parts, k: int
    ) -> None:
        self._questions, self._parts, self._reranker, self._k = content.questions, parts, reranker, k
        self._words = WordIndex(content.lexical)
        self._retriever = Retriever(content.questions, content.passages, content.vectors, encoder, self._words, parts)
        self._ids = {question.label: question.id for question in content.questions}
        self.passages: dict[str, list[Passage]] = {q.id: [] for q in content.questions if not q.parent}
        """Outer question to its passages, in their order."""
        for passage in content.passages:
            self.passages[passage.question].append(passage)

    def search(self, query: Query) -> Retrieval:
        """Rank the questions of the notes for a query."""
        text = query.text.strip()
        if not text or not self.passages:
            return Retrieval((), 0.0)
        if lookup := find_numbers(text, self._questions):
            return self._look_up(lookup)
        if not query.history and not has_content(text):
            return Retrieval((), 0.0)
        pieces = split_questions(text) if self._parts.split else [text]
        whole, *several = self._search_each(
            [replace(query, text=text), *(Query(piece) for piece in pieces if len(pieces) > 1)]
        )
        served = [asked for asked in several if asked.coverage >= coverage_threshold()]
        if len({asked.hits[0].question.id for asked in served}) < 2:
            return Retrieval(whole.hits, whole.coverage, (whole,))
        hits = _merge(served, self._k)
        return Retrieval(hits, max(asked.coverage for asked in served), tuple(several))

    def _look_up(self, lookup: Lookup) -> Retrieval:
        """Rank the questions named by number, then what holds them and what says the same."""
        by_id = {question.id: question for question in self._questions}
        by_label = {question.label: question for question in self._questions}
        named = {question.id: question for question in lookup.questions}
        near = {question.parent: by_id[question.parent] for question in lookup.questions if question.parent}
        same = (
            by_label[label] for question in [*named.values(), *near.values()] for label in self.same_content(question)
        )
        near |= {question.id: question for question in same}
        hits = [Hit(question, 1.0) for question in named.values()]
        hits += [Hit(question, NEAR_SCORE) for key, question in near.items() if key not in named]
        return Retrieval(tuple(hits), float(bool(hits)), lookup=lookup)

    def rank(self, queries: Sequence[Query]) -> list[Ranking]:
        """Describe and score the candidates for queries that ask one thing each, perhaps as a follow-up."""
        mend = self._words.mend if self._parts.spelling else str
        resolved = [self._resolve(query) for query in queries]
        texts = [
            [mend(one.text), mend(query.text)] if one.leans else [mend(one.text)]
            for query, one in zip(queries, resolved, strict=True)
        ]
        vectors = iter(self._retriever.embed([text for own in texts for text in own]))
        rankings = []
        for own, one in zip(texts, resolved, strict=True):
            cited = [self._ids[label] for label in one.cited if label in self._ids]
            ranking = self._retriever.rank(own[0], next(vectors)[None], cited)
            for alone in own[1:]:
                ranking = self._retriever.mix(ranking, alone, next(vectors)[None], cited, ALONE_SHARE)
            rankings.append(ranking)
        return rankings

    def _resolve(self, query: Query) -> Resolved:
        return resolve(query) if self._parts.history else Resolved(query.text, leans=False)

    def _search_each(self, queries: Sequence[Query]) -> list[Asked]:
        several = []
        for query, ranking in zip(queries, self.rank(queries), strict=True):
            text = self._resolve(query).text
            hits = self._retriever.to_hits(ranking, max(self._k, N_RERANKED if self._reranker else 0))
            if self._reranker:
                hits = rerank(text, hits, self._reranker)
            several.append(Asked(text, hits[: self._k], ranking.coverage))
        return several

    def same_content(self, question: Question) -> list[str]:
        """Return the labels of the questions that say the same, in the order of the notes."""
        own = self._fold(question)
        if question.parent or not own:
            return [question.label]
        size = question.end - question.start
        alike = (q for q in self._questions if not q.parent and abs(q.end - q.start - size) <= SAME_SIZE * size)
        return [other.label for other in alike if other.id == question.id or self._fold(other) == own]

    def _fold(self, question: Question) -> str:
        """Fold a question's text for comparison: words only, its sub-questions' numbers left out."""
        text = " ".join(passage.search_text for passage in self.passages[question.parent or question.id])
        return re.sub(r"\d+(?:\.\d+)+|\W+", "", text)


def rerank(text: str, hits: Sequence[Hit], reranker: Reranker) -> tuple[Hit, ...]:
    """Put hits in the order a cross-encoder gives their titles with their best passages; the scores stay by rank."""
    texts = [f"{hit.question.title}\n{hit.passages[0][0].search_text if hit.passages else ''}" for hit in hits]
    scores = reranker.score(text, texts) if texts else []
    order = sorted(range(len(hits)), key=lambda at: (-scores[at], at))
    return tuple(replace(hits[at], score=hit.score) for at, hit in zip(order, hits, strict=True))


def _merge(several: Sequence[Asked], k: int) -> tuple[Hit, ...]:
    """Merge the rankings of several questions: each hit counts with its best score (CombMAX, Fox & Shaw 1994)."""
    best: dict[str, Hit] = {}
    for hit in (hit for asked in several for hit in asked.hits):
        if hit.question.id not in best or hit.score > best[hit.question.id].score:
            best[hit.question.id] = hit
    return tuple(sorted(best.values(), key=lambda hit: -hit.score)[:k])
