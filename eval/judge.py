"""Judge what a system said to each query: the pure middle between asking and summing up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.citations import hits_a_span, share_of_points, share_right
from eval.measure import FIRST, MEASURES, measure_rankings
from eval.queries import EvalQuery
from eval.spans import Spans
from rag.types import Answer

FIRST_RIGHT, DECISION = "first_right", "decision"
CITATION_HIT, CITATION_PRECISION, POINTS = "citation_hit", "citation_precision", "points"
RANKING_MEASURES = tuple(str(measure) for measure in MEASURES)
"""Of covered queries only."""
VALUES = (*RANKING_MEASURES, FIRST_RIGHT, DECISION, CITATION_HIT, CITATION_PRECISION, POINTS)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a system said to one query."""

    ranking: tuple[tuple[str, float], ...]
    """(question label, score), best first."""
    confidence: float
    """How sure it is that the notes cover the query; comparable within one system."""
    search_ms: float
    answer: Answer | None = None
    """None for a system that only ranks."""


@dataclass(frozen=True, slots=True)
class Record:
    """One query, judged."""

    id: str
    category: str
    covered: bool
    abstained: bool | None
    """None for a system that only ranks."""
    confidence: float
    search_ms: float
    ranking: tuple[tuple[str, float], ...]
    values: Mapping[str, float]
    """Measure to value between 0 and 1; a measure that does not apply to the query is left out."""

    @property
    def loss(self) -> float:
        """1 where answering would have been wrong: nothing covers the query, or another question comes first."""
        return 1.0 - self.values.get(FIRST_RIGHT, 0.0)


@dataclass(frozen=True, slots=True)
class Source:
    """The notes, as citations and judgements point into them."""

    texts: Mapping[str, str]
    """Path to the document's text."""
    outer: Mapping[str, str]
    """Label of a sub-question to the label of the question that holds it."""
    spans: Spans


def judge(queries: Sequence[EvalQuery], observations: Sequence[Observation], source: Source) -> tuple[Record, ...]:
    """Judge every query; observations in the order of the queries."""
    pairs = list(zip(queries, observations, strict=True))
    qrels = {query.id: query.grades for query, _ in pairs if query.covered}
    rankings = {query.id: list_outer(seen.ranking, source.outer) for query, seen in pairs}
    measured = measure_rankings(qrels, rankings, (*MEASURES, FIRST))
    records = []
    for query, seen in pairs:
        values = {_name(name): value for name, value in measured.get(query.id, {}).items()}
        if seen.answer:
            values |= judge_answer(query, seen.answer, source)
        records.append(
            Record(
                id=query.id,
                category=query.category,
                covered=query.covered,
                abstained=seen.answer.abstained if seen.answer else None,
                confidence=seen.confidence,
                search_ms=seen.search_ms,
                ranking=seen.ranking,
                values=values,
            )
        )
    return tuple(records)


def list_outer(ranking: Sequence[tuple[str, float]], outer: Mapping[str, str]) -> list[str]:
    """List the labels of a ranking, a sub-question standing for the question that holds it, each once."""
    return list(dict.fromkeys(outer.get(label, label) for label, _ in ranking))


def judge_answer(query: EvalQuery, answer: Answer, source: Source) -> dict[str, float]:
    """Judge whether to answer was right, and what the answer cites.

    Citations count where there is an answer; the points of a covered query count also when it was abstained on.
    """
    values = {DECISION: float(answer.abstained != query.covered)}
    spans = source.spans.get(query.id, ())
    if query.covered and spans:
        values[POINTS] = 0.0 if answer.abstained else share_of_points(answer.citations, spans)
        if not answer.abstained:
            values[CITATION_HIT] = float(hits_a_span(answer.citations, spans, source.texts))
    if not answer.abstained:
        values[CITATION_PRECISION] = share_right(answer.citations, query.grades, source.outer)
    return values


def _name(measure: str) -> str:
    return FIRST_RIGHT if measure == str(FIRST) else measure
