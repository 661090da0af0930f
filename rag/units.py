"""Split the answer text of a question into units: sentences, and blocks that stay whole."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rag.markdown import ADDRESS, LINK, SETEXT, Block, Kind, plain_words, split_blocks
from rag.types import Passage, Question

HEADING_CHARS = 40
"""A line in bold, or one that asks under a number, is a heading when no longer than this."""
MAX_SENTENCE_CHARS = 4_000
"""What goes on for longer without an end is no sentence."""
WHOLE_LIST_CHARS = 300
"""A longer list is quoted by its items."""
WHOLE = re.compile(
    r"\$\$.+?\$\$|\$[^$\n]+\$|\\\[(?:(?!\\\[).)+?\\\]|\\\((?:(?!\\\().)+?\\\)"
    r"|\\begin\{(\w{1,20}\*?)\}(?:(?!\\begin\{\1\}).){1,4000}?\\end\{\1\}|(?<!`)(`+)[^`].*?\2"
    r"|!?\[[^\[\]\n]*\]\((?:[^)\]\n]|\](?!\())*\)",
    re.DOTALL,
)
"""What no sentence ends inside."""
SENTENCE_END = re.compile(r"[。！？!?]+[」』”’）)\]*]*|\.(?=\s+[A-Z\u3400-\u9fff])|\n(?!\s{0,20}[a-z])")
POINTER = re.compile(r"^\W{0,9}(答案)?(解析)?\W{0,9}(请)?(参考|参见|详见|来源|链接|转载|原文|摘自|引用)")
BOLD_LINE = re.compile(rf"\s*(?:\*\*|__)([^*_\n]{{1,{HEADING_CHARS}}})(?:\*\*|__)[:：]?\s*$")
ASKING_LINE = re.compile(rf"\s*\d+(?:\.\d+)*[.、)）]?\s*\S.{{0,{HEADING_CHARS}}}[?？]\s*$")
STEP_CHARS = 80
"""What begins with a number after a colon is a step of what the colon leads to when no longer than this."""
STEP = re.compile(r"[\s*_>]*(?:\d|[（(]?[一二三四五六七八九十\d][)）、.]|[①-⑩]|第[一二三四五六七八九])")
LEADS_ON = re.compile(r"[:：][\s*_]*$")
ITEM = re.compile(r"^(?:[-*+]|\d{1,3}[.)])\s", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, or a block that must stay whole, inside one question's text."""

    whole: Passage
    """The question's text as one passage."""
    start: int
    end: int
    kind: Kind
    paragraph: int
    """Which block of the question it is from, counted from 0."""
    words: str
    """Its words without marks."""
    heading: tuple[int, int] | None = None
    """The slice of the heading it stands under inside the question."""

    @property
    def text(self) -> str:
        """The exact slice."""
        return self.whole.text[self.start : self.end]

    @property
    def n_chars(self) -> int:
        """Length as it is read: without marks and addresses."""
        return len(self.words)


def join_passages(question: Question, passages: Sequence[Passage]) -> Passage:
    """Join the passages of a question into one, so that no sentence or table is cut where two of them meet."""
    own = sorted(
        (passage for passage in passages if passage.start < question.end and passage.end > question.start),
        key=lambda passage: passage.start,
    )
    first = own[0]
    skip = max(0, question.start - first.start)
    text = "".join(passage.text for passage in own)[skip : question.end - first.start]
    n_blank = len(first.text) - len(first.text.lstrip())
    line = first.lines[0] + first.text.count("\n" if first.unit == "line" else "\f", n_blank, max(n_blank, skip))
    return replace(
        first, text=text, start=first.start + skip, end=first.start + skip + len(text), lines=(line, own[-1].lines[1])
    )


def split_units(question: Question, whole: Passage) -> list[Unit]:
    """Split the answer text of a question into units, in the order of the notes; its headings are left out.

    What ends in a colon and what follows it, with its further steps, are one unit.
    """
    units: list[Unit] = []
    in_steps = False
    for unit in _split(question, whole):
        last = units[-1] if units else None
        is_step = STEP.match(unit.text) is not None and unit.n_chars <= STEP_CHARS
        leads_on = last is not None and LEADS_ON.search(last.text) is not None
        if last and last.heading == unit.heading and (leads_on or (in_steps and is_step)):
            kind = unit.kind if unit.kind != "prose" else last.kind
            units[-1] = replace(last, end=unit.end, kind=kind, words=f"{last.words}\n{unit.words}")
            in_steps = is_step
        else:
            units.append(unit)
            in_steps = False
    return units


def _split(question: Question, whole: Passage) -> Iterator[Unit]:
    """Yield sentences and blocks; a line in bold with nothing below it is no heading."""
    heading, bold = None, None
    for unit in _read_units(question, whole):
        if unit.kind == "heading":
            if bold:
                yield replace(bold, kind="prose")
            heading = (unit.start, unit.end)
            bold = unit if BOLD_LINE.match(unit.text) else None
        elif not _is_noise(unit):
            bold = None
            yield replace(unit, heading=heading)
    if bold:
        yield replace(bold, kind="prose")


def _read_units(question: Question, whole: Passage) -> Iterator[Unit]:
    base = max(0, question.body_start - whole.start)
    body = whole.text[base:]

    def make(start: int, end: int, kind: Kind, paragraph: int) -> Unit:
        return Unit(whole, base + start, base + end, kind, paragraph, plain_words(body[start:end]))

    blocks = list(split_blocks(body))
    for place, block in enumerate(blocks):
        following = blocks[place + 1] if place + 1 < len(blocks) else None
        if block.kind == "rule":
            continue
        if following and following.start == block.end and SETEXT.match(following.slice_of(body)):
            yield make(block.start, following.end, "heading", place)
        elif block.kind == "prose":
            for start, end, kind in _split_prose(body, block):
                yield make(start, end, kind, place)
        elif block.kind == "list" and len(block.slice_of(body)) > WHOLE_LIST_CHARS:
            for start, end in _split_list(body, block):
                yield make(start, end, "list", place)
        else:
            yield make(block.start, block.end, block.kind, place)


def _split_prose(body: str, block: Block) -> Iterator[tuple[int, int, Kind]]:
    """Yield the sentences of a paragraph; lines that only point elsewhere (`答案参考：<link>`) are left out."""
    kept: list[tuple[int, int]] = []
    at = block.start
    for line in block.slice_of(body).splitlines(keepends=True):
        end = at + len(line)
        points_away = POINTER.match(line) and (LINK.search(line) or ADDRESS.search(line))
        if BOLD_LINE.match(line) or (ASKING_LINE.match(line) and at == block.start):
            yield from ((*place, "prose") for place in _sentences(body, kept))
            yield at, end, "heading"
            kept = []
        elif not points_away:
            kept.append((at, end))
        at = end
    yield from ((*place, "prose") for place in _sentences(body, kept))


def _sentences(body: str, lines: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the sentences of lines that follow each other, perhaps with gaps; what never ends is cut."""
    for first, last in _stretches(lines):
        for start, end in _find_sentences(body, first, last):
            for at in range(start, end, MAX_SENTENCE_CHARS):
                yield at, min(end, at + MAX_SENTENCE_CHARS)


def _find_sentences(body: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    guarded = [match.span() for match in WHOLE.finditer(body, start, end)]
    at = start
    for match in SENTENCE_END.finditer(body, start, end):
        before = bisect_left(guarded, (match.end(), 0)) - 1
        if before >= 0 and guarded[before][0] <= match.start() and match.end() <= guarded[before][1]:
            continue
        if body[at : match.end()].strip():
            yield at, match.end()
        at = match.end()
    if body[at:end].strip():
        yield at, end


def _stretches(lines: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    start = None
    for place, (first, end) in enumerate(lines):
        start = first if start is None else start
        if place + 1 == len(lines) or lines[place + 1][0] != end:
            yield start, end
            start = None


def _split_list(body: str, block: Block) -> Iterator[tuple[int, int]]:
    """Yield the outer items of a list, each with what belongs to it."""
    content = body[block.start : block.end]
    starts = [match.start() for match in ITEM.finditer(content)] or [0]
    starts[0] = 0
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        yield block.start + start, block.start + end


def _is_noise(unit: Unit) -> bool:
    """Tell a unit with nothing to read: an image, a bare link, the name of a picture."""
    if unit.text.lstrip().startswith(("```", "~~~", "$$")):
        return False
    words = unit.words.strip()
    return len(re.findall(r"\w", words)) < 2 or bool(re.fullmatch(r"[\w-]+\.(?:png|jpe?g|gif|webp)", words))
