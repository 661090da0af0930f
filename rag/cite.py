"""Make citations: exact slices of passages with their lines and hash."""

import hashlib

from rag.types import Citation, Span


def cite(span: Span) -> Citation:
    """Cite a span, blank ends left out.

    :raises ValueError: when the span is empty or outside its passage.
    """
    if not 0 <= span.start < span.end <= len(span.passage.text) or not span.text.strip():
        raise ValueError(f"{span.passage.id}: nothing to cite at [{span.start}:{span.end}]")
    start = span.start + len(span.text) - len(span.text.lstrip())
    quote = span.text.strip()
    first = span.passage.lines[0] + span.passage.text.count("\n", 0, start)
    return Citation(
        label=span.question.label,
        title=span.question.title,
        file=span.question.path,
        lines=(first, first + quote.count("\n")),
        quote=quote,
        score=span.score,
        digest=hash_text(quote),
    )


def hash_text(text: str) -> str:
    """Hash a quote, for telling later whether the notes still say it."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
