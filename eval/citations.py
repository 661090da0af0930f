"""Judge the citations of an answer by the source spans and questions that were judged for its query."""

from collections.abc import Mapping, Sequence

from eval.spans import JudgedSpan, locate_citation
from rag.types import Citation


def hits_a_span(citations: Sequence[Citation], spans: Sequence[JudgedSpan], texts: Mapping[str, str]) -> bool:
    """Tell whether some citation shares a character of the notes with some judged span."""
    located = [place for citation in citations if (place := locate_citation(citation, texts))]
    return any(place.overlaps(judged) for place in located for span in spans for judged in span.places)


def share_right(citations: Sequence[Citation], labels: Mapping[str, int], outer: Mapping[str, str]) -> float:
    """Return the share of citations whose question, or the question around it, was judged to help; 0 for none.

    :param labels: judged question labels.
    :param outer: label of a sub-question to the label of the question that holds it.
    """
    right = [label in labels or outer.get(label) in labels for label in (citation.label for citation in citations)]
    return sum(right) / len(right) if right else 0.0


def share_of_points(citations: Sequence[Citation], spans: Sequence[JudgedSpan]) -> float:
    """Return the share of judged spans that the quotes hold whole, white space aside; 0 where there is no span."""
    ordered = sorted(citations, key=lambda citation: (citation.file, citation.lines))
    quoted = _fold("".join(citation.quote for citation in ordered))
    return sum(_fold(span.text) in quoted for span in spans) / len(spans) if spans else 0.0


def _fold(text: str) -> str:
    return "".join(text.split())
