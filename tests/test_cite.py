"""Where a citation says it stands."""

import pytest

from rag.cite import cite, hash_text
from rag.types import Passage, Question, Span, Unit

QUESTION = Question("a:Q1", "Q1", "1", "问", "1. 问", "a.pdf", 0, 0, 30, (1, 3), headings=(), content="text")


def make_span(text: str, quote: str, unit: Unit = "line", first: int = 10) -> Span:
    passage = Passage("a:Q1#0", "a:Q1", text, 0, len(text), (first, first + 5), (), "", "", unit)
    start = text.index(quote)
    return Span(QUESTION, passage, start, start + len(quote), 0.5)


def test_lines_are_those_of_the_quote_without_its_blank_ends() -> None:
    citation = cite(make_span("一\n二\n\n三\n四\n", "\n\n三\n四\n"))
    assert (citation.lines, citation.quote, citation.unit) == ((13, 14), "三\n四", "line")
    assert citation.digest == hash_text("三\n四")


def test_blank_lines_before_a_passage_do_not_count() -> None:
    assert cite(make_span("\n\n一\n二", "二")).lines == (11, 11)


def test_places_of_a_pdf_are_pages() -> None:
    citation = cite(make_span("一\n一\f二\n二\f三", "二\n二\f三", "page", first=2))
    assert (citation.lines, citation.unit) == ((3, 4), "page")


def test_a_blank_quote_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to cite"):
        cite(make_span("一  二", "  "))
