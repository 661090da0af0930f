"""Write an answer in the notes' own words, part by part, as soon as each part is known."""

from collections.abc import Callable, Iterator, Sequence

from rag.answer import describe_missing_text, extract, write_not_covered, write_spans
from rag.cite import cite
from rag.lookup import Lookup
from rag.search import Asked, Retrieval, Searcher
from rag.types import Answer, Encoder, Hit, Query, Question, Reply, Span
from rag.weights import coverage_threshold

SECOND_SHARE = 0.9
"""A second question is quoted too when it scores at least this share of the first."""
PART_CHARS, SECOND_CHARS, LOOKUP_CHARS = 480, 200, 1_800
"""Most text quoted of the best question, of a second one, and of one asked for by number."""
N_NEAREST = 3
Part = tuple[str, list[Span]]
"""A part of the answer's text, and what it quotes."""


class Extractive:
    """Quotes the questions that were found."""

    def __init__(self, searcher: Searcher, encoder: Encoder) -> None:
        self._searcher, self._encoder = searcher, encoder

    def write(self, query: Query, found: Retrieval) -> Reply:
        """Write the answer to a query from what was found for it."""
        ranking = tuple((hit.question.label, hit.score) for hit in found.hits)
        abstained = not found.lookup.questions if found.lookup else _is_not_covered(found)
        parts: list[Part] = []
        for part in self._parts(found):
            yield f"\n\n{part[0]}" if parts else part[0]
            parts.append(part)
        yield Answer(
            query=query.text,
            text="\n\n".join(text for text, _ in parts),
            abstained=abstained,
            mode="extractive",
            citations=tuple(cite(span) for _, spans in parts for span in spans),
            ranking=ranking,
            coverage=found.coverage,
        )

    def _parts(self, found: Retrieval) -> Iterator[Part]:
        if found.lookup:
            yield from self._look_up(found.lookup)
        elif _is_not_covered(found):
            yield write_not_covered([hit.question for hit in found.hits[:N_NEAREST]]), []
        else:
            for asked in found.asked:
                if len(found.asked) > 1:
                    yield f"**{asked.text}**", []
                yield from self._answer(asked)

    def _look_up(self, lookup: Lookup) -> Iterator[Part]:
        """Give the questions named by number, whole where they are not long."""
        limit = LOOKUP_CHARS // max(1, len(lookup.questions))
        for number in lookup.missing:
            yield f"笔记里没有第 {number} 题。", []
        for question in lookup.questions:
            spans = self._spans(question, lookup.rest or question.title, limit, 1.0)
            if spans:
                yield f"**[{question.label}] {question.title}**", []
                yield write_spans(spans, self._labels(question)), spans
            else:
                yield describe_missing_text(question), [self._heading(question, 1.0)]

    def _answer(self, asked: Asked) -> Iterator[Part]:
        """Quote the best question for one thing asked, and the next one when it is as good."""
        if asked.coverage < coverage_threshold():
            yield write_not_covered([hit.question for hit in asked.hits[:N_NEAREST]]), []
            return
        for place, hit in enumerate(self._worth_quoting(asked.hits)):
            spans = self._spans(hit.question, asked.text, SECOND_CHARS if place else PART_CHARS, hit.score)
            if spans:
                yield write_spans(spans, self._labels(hit.question)), spans
            else:
                yield describe_missing_text(hit.question), [self._heading(hit.question, hit.score)]

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

    def _similarity(self, text: str) -> Callable[[Sequence[str]], Sequence[float]]:
        def compare(parts: Sequence[str]) -> Sequence[float]:
            query = self._encoder.embed_queries([text])[0]
            cosines: list[float] = (self._encoder.embed_passages(parts) @ query).tolist()
            return cosines

        return compare

    def _labels(self, question: Question) -> dict[str, list[str]]:
        return {question.id: self._searcher.same_content(question)}


def _is_not_covered(found: Retrieval) -> bool:
    return found.coverage < coverage_threshold() or not found.hits
