"""Find what a message asks for: numbers, several questions, follow-ups; and rank the questions of the notes for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rag.history import Resolved, resolve
from rag.index import IndexContent
from rag.lexical import WordIndex
from rag.lookup import Lookup, find_numbers
from rag.retrieve import Parts, Ranking, Retriever, outer_questions
from rag.reverse import load_reverse_dictionary
from rag.split import split_questions
from rag.stores import StoredContent, Words, fold_words
from rag.tokenize import has_content
from rag.types import Encoder, Hit, Passage, Query, Question, Reranker

NEAR_SCORE = 0.5
"""Of a question that holds or repeats one asked for by number."""
N_RERANKED = 20
"""Hits that a cross-encoder reads, where one is named."""
ALONE_SHARE = 0.5
"""How much a follow-up's own words count; the rest is for its topic and its words together."""
STANDS_ALONE = 0.98
"""A short question that points back to nothing is a new topic when the notes cover it this surely by itself."""
PIECE_COVERAGE = 0.9
"""A piece of a message is a question of its own when the notes cover it this surely: half a sentence of a long story, or of a
question said in a roundabout way, is seldom so sure."""
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
        stored = content if isinstance(content, StoredContent) else None
        self._words: Words = stored.words if stored else WordIndex(content.lexical)
        self._retriever = Retriever(
            content.questions,
            content.passages,
            content.vectors,
            encoder,
            self._words,
            parts,
            load_reverse_dictionary(encoder.fingerprint),
            stored.owners if stored else None,
        )
        self._folds = stored.folds if stored else {}
        self._ids = {question.label: question.id for question in content.questions}
        self.passages: Mapping[str, Sequence[Passage]] = (
            StoredGroups(stored) if stored else _group(content.questions, content.passages)
        )
        """Outer question to its passages, in their order."""

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
        served = [asked for asked in several if asked.coverage >= PIECE_COVERAGE]
        if len({asked.hits[0].question.id for asked in served}) < 2:
            return Retrieval(whole.hits, whole.coverage, (whole,))
        best = [replace(asked, hits=asked.hits[:1]) for asked in served]
        hits = _merge([whole, *best], self._k)
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
        return [ranking for _, ranking in self._rank(queries)]

    def _rank(self, queries: Sequence[Query]) -> Iterator[tuple[Resolved, Ranking]]:
        mend = self._words.mend if self._parts.spelling else str
        resolved = [self._resolve(query) for query in queries]
        texts = [
            [mend(one.text), mend(query.text)] if one.leans else [mend(one.text)]
            for query, one in zip(queries, resolved, strict=True)
        ]
        vectors = iter(self._retriever.embed([text for own in texts for text in own]))
        for query, one, (text, *alone) in zip(queries, resolved, texts, strict=True):
            vector = next(vectors)[None]
            cited = [self._ids[label] for label in one.cited if label in self._ids]
            if not alone:
                yield one, self._retriever.rank(text, vector, cited)
                continue
            own_vector = next(vectors)[None]
            if not one.points_back:
                by_itself = self._retriever.rank(alone[0], own_vector)
                if by_itself.coverage >= STANDS_ALONE:
                    yield Resolved(query.text, leans=False), by_itself
                    continue
            ranking = self._retriever.rank(text, vector, cited)
            yield one, self._retriever.mix(ranking, alone[0], own_vector, cited, ALONE_SHARE)

    def _resolve(self, query: Query) -> Resolved:
        return resolve(query) if self._parts.history else Resolved(query.text, leans=False)

    def _search_each(self, queries: Sequence[Query]) -> list[Asked]:
        several = []
        for resolved, ranking in self._rank(queries):
            text = resolved.text
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

    def group_same_content(self) -> dict[str, list[str]]:
        """Return what `same_content` would for every outer question, by id: one pass over the notes."""
        groups: dict[str, list[Question]] = {}
        for question in self._questions:
            if not question.parent and (own := self._fold(question)):
                groups.setdefault(own, []).append(question)
        size_of = {question.id: question.end - question.start for question in self._questions}
        return {
            q.id: [o.label for o in group if abs(size_of[o.id] - size_of[q.id]) <= SAME_SIZE * size_of[q.id]]
            for group in groups.values()
            for q in group
        }

    def _fold(self, question: Question) -> str:
        """Return a question's text as `fold_words` does, or its hash where the store keeps that."""
        key = question.parent or question.id
        return self._folds[key] if self._folds else fold_words(self.passages[key])


class StoredGroups(Mapping[str, Sequence[Passage]]):
    """Outer question to its passages, which are read when they are asked for."""

    def __init__(self, content: StoredContent) -> None:
        self._passages, self._owners = content.passages, content.owners
        self._places = {question.id: place for place, question in enumerate(outer_questions(content.questions))}

    def __getitem__(self, key: str) -> Sequence[Passage]:
        place = self._places[key]
        passages: Sequence[Passage] = self._passages[slice(*np.searchsorted(self._owners, [place, place + 1]).tolist())]
        return passages

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _group(questions: Sequence[Question], passages: Sequence[Passage]) -> dict[str, list[Passage]]:
    groups: dict[str, list[Passage]] = {question.id: [] for question in outer_questions(questions)}
    for passage in passages:
        groups[passage.question].append(passage)
    return groups


def rerank(text: str, hits: Sequence[Hit], reranker: Reranker) -> tuple[Hit, ...]:
    """Put hits in the order a cross-encoder gives their titles with their best passages; the scores stay by rank."""
    texts = [f"{hit.question.title}\n{hit.passages[0][0].search_text if hit.passages else ''}" for hit in hits]
    scores = reranker.score(text, texts) if texts else []
    order = sorted(range(len(hits)), key=lambda at: (-scores[at], at))
    return tuple(replace(hits[at], score=hit.score) for at, hit in zip(order, hits, strict=True))


def _merge(several: Sequence[Asked], k: int) -> tuple[Hit, ...]:
    """Merge rankings: each hit counts with its best score (CombMAX, Fox & Shaw 1994)."""
    best: dict[str, Hit] = {}
    for hit in (hit for asked in several for hit in asked.hits):
        if hit.question.id not in best or hit.score > best[hit.question.id].score:
            best[hit.question.id] = hit
    return tuple(sorted(best.values(), key=lambda hit: -hit.score)[:k])
