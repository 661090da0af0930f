"""Make citations: exact slices of passages with where they stand and their hash."""

import hashlib
from collections.abc import Sequence

from rag.types import Citation, Span, Unit

PLACE_NAMES: dict[Unit, str] = {"page": "页", "cell": "格"}


def cite(span: Span) -> Citation:
    """Cite a span, blank ends left out.

    :raises ValueError: when the span is empty or outside its passage.
    """
    passage = span.passage
    if not 0 <= span.start < span.end <= len(passage.text) or not span.text.strip():
        raise ValueError(f"{passage.id}: nothing to cite at [{span.start}:{span.end}]")
    quote = span.text.strip()
    start = span.start + len(span.text) - len(span.text.lstrip())
    border = "\n" if passage.unit == "line" else "\f"
    n_blank = len(passage.text) - len(passage.text.lstrip())  # a passage's first line is the first that holds something
    first = passage.lines[0] + passage.text.count(border, n_blank, start)
    return Citation(
        label=span.question.label,
        title=span.question.title,
        file=span.question.path,
        lines=(first, first + quote.count(border)),
        quote=quote,
        score=span.score,
        digest=hash_text(quote),
        unit=passage.unit,
    )


def write_place(file: str, places: str, unit: Unit) -> str:
    """Write where something stands: `notes.md:44-48`, `notes.pdf 第 2 页`, `notes.ipynb 第 3-4 格`.

    :param places: the numbers of lines, pages or cells, as `write_numbers` writes them, perhaps several.
    """
    name = PLACE_NAMES.get(unit)
    return f"{file} 第 {places} {name}" if name else f"{file}:{places}"


def write_numbers(lines: tuple[int, int]) -> str:
    """Write a range of lines, pages or cells: `44-48`, or `44` for one."""
    first, last = lines
    return f"{first}-{last}" if last > first else str(first)


def group_citations(citations: Sequence[Citation]) -> list[tuple[Citation, str]]:
    """Bring citations of one question together: the first of them, and all their lines (or pages) as `44-48,53`."""
    groups: dict[str, list[Citation]] = {}
    for citation in citations:
        groups.setdefault(citation.label, []).append(citation)
    return [
        (group[0], ",".join(dict.fromkeys(write_numbers(citation.lines) for citation in group)))
        for group in groups.values()
    ]


def hash_text(text: str) -> str:
    """Hash a quote, for telling later whether the notes still say it."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
