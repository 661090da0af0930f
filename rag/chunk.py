"""Cut questions into passages: exact slices that tile each question, at block and sentence borders."""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rag.markdown import SETEXT, Block, plain_words, split_blocks
from rag.types import Document, Passage, Question, Section

SENTENCE_END = re.compile(r"[。！？!?；;]+[」』”’）)\]]*|\n|(?<=[a-z)])\.(?=\s+[A-Z])")
INLINE_WHOLE = re.compile(r"\$[^$\n]+\$|`[^`\n]+`|!?\[[^\[\]\n]*\]\([^)\[\n]*\)|\\\((?:(?!\\\().)+?\\\)")
"""Inline formulas, code and links: no border falls inside."""
WHOLE_FENCE_FACTOR = 3
"""A fence or formula up to this many times the limit stays in one passage."""
MAX_PIECE_CHARS = 4_000
"""What has no border for so long is no writing, and is cut anywhere."""
MIN_SHARE = 0.35
"""A passage at least this full ends at a new sub-heading or at a rule between two answers."""

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class _Piece:
    """The smallest part a border may stand before."""

    start: int
    end: int
    n_tokens: int
    opens_part: bool
    """Whether a new part of the answer begins here."""


def chunk_document(
    document: Document, questions: Sequence[Question], count_tokens: CountTokens, max_tokens: int
) -> tuple[Passage, ...]:
    """Cut the outer questions of a document into passages of at most `max_tokens` where borders allow.

    The texts of a question's passages, joined, are the question's text.
    """
    inner: dict[str, list[Question]] = {}
    for question in questions:
        inner.setdefault(question.parent, []).append(question)
    passages: list[Passage] = []
    for question in inner.get("", []):
        passages.extend(_chunk_question(document, question, inner.get(question.id, []), count_tokens, max_tokens))
    return tuple(passages)


def _chunk_question(
    document: Document, question: Question, subs: Sequence[Question], count_tokens: CountTokens, max_tokens: int
) -> Iterator[Passage]:
    pieces = list(_split_pieces(document.text, question, count_tokens, max_tokens))
    line, counted = question.lines[0], question.start
    border = "\n" if document.unit == "line" else "\f"
    for ordinal, (start, end) in enumerate(_pack(pieces, question, subs, max_tokens)):
        line += document.text.count(border, counted, start)
        counted = start
        text = document.text[start:end]
        first = line + text[: len(text) - len(text.lstrip())].count(border)
        body = text[max(0, question.body_start - start) :]
        headings = (*question.headings, question.title, *_headings_at(question, subs, start, end))
        words = plain_words(body)
        digest = hashlib.blake2b("\n".join([*headings, words]).encode(), digest_size=16).hexdigest()
        last = max(first, line + text.rstrip().count(border))
        yield Passage(
            f"{question.id}#{ordinal}", question.id, text, start, end, (first, last), headings, words, digest, document.unit
        )  # fmt: skip


def _headings_at(question: Question, subs: Sequence[Question], start: int, end: int) -> list[str]:
    """Return titles of the sub-heading or sub-question that most of `[start, end)` stands under."""
    parts: list[Section | Question] = [*question.sections, *subs]
    middle = (max(start, question.body_start) + end) // 2
    return [part.title for part in parts if part.start <= middle < part.end]


def _split_pieces(text: str, question: Question, count_tokens: CountTokens, max_tokens: int) -> Iterator[_Piece]:
    """Split a question into pieces that tile it; each takes the blank lines after it."""
    borders = _find_borders(text, question, count_tokens, max_tokens)
    starts = sorted({question.start, *(start for start in borders if question.start < start < question.end)})
    for start, end in zip(starts, [*starts[1:], question.end], strict=True):
        for at in range(start, end, MAX_PIECE_CHARS):
            piece = text[at : min(end, at + MAX_PIECE_CHARS)]
            n_tokens = (
                max_tokens if len(piece) == MAX_PIECE_CHARS else count_tokens(piece)
            )  # it may be one unknown word
            yield _Piece(at, at + len(piece), n_tokens, borders.get(at, False))


def _find_borders(text: str, question: Question, count_tokens: CountTokens, max_tokens: int) -> dict[int, bool]:
    """Find where passages may begin: offset to whether a new part of the answer begins there."""
    borders: dict[int, bool] = {}
    after_rule = after_heading = False
    base = question.body_start
    body = text[base : question.end]
    blocks = list(split_blocks(body))
    for place, block in enumerate(blocks):
        following = blocks[place + 1] if place + 1 < len(blocks) else None
        if block.kind == "rule":
            # The underline of a heading, or the line between two answers: it stays with what is before it.
            after_rule = not SETEXT.match(body[block.start : block.end])
            continue
        is_heading = block.kind == "heading" or _is_underlined(body, block, following)
        if not after_heading:  # else it stays with its heading
            borders[base + block.start] = after_rule or is_heading
        after_rule, after_heading = False, is_heading
        for inside in _inner_borders(body, block, count_tokens, max_tokens):
            borders.setdefault(base + inside, False)
    return borders


def _is_underlined(body: str, block: Block, following: Block | None) -> bool:
    return bool(following and following.kind == "rule" and following.start == block.end)


def _inner_borders(body: str, block: Block, count_tokens: CountTokens, max_tokens: int) -> Iterator[int]:
    """Yield the borders inside a block: sentences, rows, items; lines of a fence that is far too long."""
    content = body[block.start : block.end]
    if block.kind in ("table", "list"):
        yield from (block.start + match.end() for match in re.finditer(r"\n(?=\s*([-*+|]|\d+[.)]))", content))
        if block.kind == "table":
            return
    elif block.kind in ("fence", "formula", "heading"):
        if block.kind != "heading" and count_tokens(content) > max_tokens * WHOLE_FENCE_FACTOR:
            yield from (block.start + match.end() for match in re.finditer("\n", content[:-1]))
        return
    whole = [match.span() for match in INLINE_WHOLE.finditer(content)]
    for match in SENTENCE_END.finditer(content):
        before = bisect_left(whole, (match.end(), 0)) - 1
        if match.end() < len(content) and not (before >= 0 and match.end() < whole[before][1]):
            yield block.start + match.end()


def _pack(
    pieces: Sequence[_Piece], question: Question, subs: Sequence[Question], max_tokens: int
) -> Iterator[tuple[int, int]]:
    """Join pieces into passages, greedily; a new part of the answer begins a new passage when this one is full enough."""
    parts: list[Section | Question] = [*question.sections, *subs]
    part_starts = {part.start for part in parts}
    start, used, has_body = question.start, 0, False
    for piece in pieces:
        opens = piece.opens_part or piece.start in part_starts
        is_full = used + piece.n_tokens > max_tokens or (opens and used > MIN_SHARE * max_tokens)
        if has_body and is_full:
            yield start, piece.start
            start, used = piece.start, 0
        used += piece.n_tokens
        # The question's own heading never stands alone.
        has_body = has_body or piece.start >= question.body_start
    yield start, question.end
