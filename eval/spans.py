"""Resolve the judged evidence of queries to places in the notes, so that judgements outlive re-chunking and renumbering."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.queries import RELEVANT, EvalQuery
from rag.errors import UsageError
from rag.types import Citation, Document, Question

SHOWN_CHARS = 30


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands: half-open characters into the document of that path."""

    path: str
    start: int
    end: int

    def overlaps(self, other: "Place") -> bool:
        """Tell whether both hold a common character."""
        return self.path == other.path and self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class JudgedSpan:
    """One point of an answer."""

    text: str
    places: tuple[Place, ...]
    """Where relevant questions say it; several where questions repeat each other."""


Spans = Mapping[str, tuple[JudgedSpan, ...]]
"""Query id to its judged spans."""


def resolve_spans(
    queries: Sequence[EvalQuery], documents: Sequence[Document], questions: Sequence[Question], source: Path
) -> dict[str, tuple[JudgedSpan, ...]]:
    """Find the evidence of every query in the notes.

    :param source: the file of the queries, for messages.
    :raises UsageError: when a label does not exist, or a text is in no note or in no relevant question.
    """
    by_label = {question.label: question for question in questions}
    spans = {}
    for query in queries:
        if unknown := [label for label in query.grades if label not in by_label]:
            raise UsageError(f"{source}: {query.id} 判给了 {unknown[0]}，笔记里没有这一题；改 relevant 或 also")
        relevant = [by_label[label] for label, grade in query.grades.items() if grade == RELEVANT]
        where = f"{source}: {query.id}"
        spans[query.id] = tuple(_resolve(text, relevant, documents, where) for text in query.evidence)
    return spans


def _resolve(text: str, relevant: Sequence[Question], documents: Sequence[Document], where: str) -> JudgedSpan:
    shown = text[:SHOWN_CHARS] + ("……" if len(text) > SHOWN_CHARS else "")
    if not text.strip():
        raise UsageError(f"{where} 的 evidence 里有一段是空的；删掉它")
    found = [place for document in documents for place in _find(text, document)]
    if not found:
        raise UsageError(f"{where} 的 evidence “{shown}” 在笔记里找不到；照笔记原文抄写")
    inside = tuple(place for place in found if any(_holds(question, place) for question in relevant))
    if not inside:
        labels = "、".join(question.label for question in relevant) or "（空）"
        raise UsageError(f"{where} 的 evidence “{shown}” 不在 relevant 的 {labels} 里；改 evidence 或 relevant")
    return JudgedSpan(text, inside)


def _find(text: str, document: Document) -> Iterator[Place]:
    at = document.text.find(text)
    while at >= 0:
        yield Place(document.path, at, at + len(text))
        at = document.text.find(text, at + 1)


def _holds(question: Question, place: Place) -> bool:
    return question.path == place.path and question.start <= place.start and place.end <= question.end


def locate_citation(citation: Citation, texts: Mapping[str, str]) -> Place | None:
    """Return where a citation's quote stands, or None when its file does not hold it from the line it names.

    :param texts: path to the document's text.
    """
    text = texts.get(citation.file)
    if text is None or not citation.quote:
        return None
    first = 0
    for _ in range(citation.lines[0] - 1):
        first = text.find("\n", first) + 1
        if not first:
            return None
    at = text.find(citation.quote, first)
    on_line = at >= 0 and "\n" not in text[first:at]
    return Place(citation.file, at, at + len(citation.quote)) if on_line else None
