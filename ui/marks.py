"""Put marks into Markdown around the parts to highlight, where they do not change what the Markdown means."""

import re
from collections.abc import Iterator, Sequence

START, END = "\ue000", "\ue001"
"""Private characters that stand for the ends of a highlight until the text is rendered."""
LEAD = re.compile(
    r"[ \t>]*(?:[-*+][ \t]+|\d{1,9}[.)][ \t]+|#{1,6}[ \t]+|\||\$\$|\\\[)?[ \t]*(?:\[[ xX]\][ \t]+)?[*_~]*"
)
TRAIL = " \t|*_~#$"
"""Marks at the end of a line that must stay behind the highlight."""
FENCE = re.compile(r"[ \t>]*(?:```|~~~)")


def insert_marks(text: str, ranges: Sequence[tuple[int, int]]) -> str:
    """Mark the ranges line by line, inside list marks, heading marks and emphasis."""
    text = text.replace(START, "\ufffd").replace(END, "\ufffd")
    pieces, at = [], 0
    for start, end in _lines_of(text, _merge(ranges)):
        pieces += [text[at:start], START, text[start:end], END]
        at = end
    return "".join([*pieces, text[at:]])


def _merge(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _lines_of(text: str, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the part of each line that lies in a range and has something to read."""
    for start, end in ranges:
        at = text.rfind("\n", 0, start) + 1
        while at < min(end, len(text)):
            stop = text.find("\n", at)
            stop = len(text) if stop < 0 else stop
            inner = _inside(text[at:stop], start - at, end - at)
            if inner:
                yield at + inner[0], at + inner[1]
            at = stop + 1


def _inside(line: str, start: int, end: int) -> tuple[int, int] | None:
    if FENCE.match(line):
        return None
    lead = LEAD.match(line)
    start = max(start, lead.end() if lead else 0)
    end = min(end, len(line.rstrip(TRAIL)))
    return (start, end) if start < end and re.search(r"\w", line[start:end]) else None
