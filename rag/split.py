"""Split a message that asks several questions at once."""

import re
from collections.abc import Iterator

from rag.history import is_follow_up
from rag.tokenize import analyse_query

BORDER = re.compile(
    r"[?？;；\n]+"
    r"|[,，。、\s]*(?:另外|还有(?:就是)?|顺便(?:问|说)?(?:一下|下)?|以及|再问(?:一下|下|个)?|再(?:说说|讲讲|帮我)|除此之外"
    r"|同时(?:想|也)?)[,，:：]?"
    r"|(?:^|[\s,，。;；])(?:\d|[一二三四])\s*[.、)）:：]\s*(?=\D)"
    r"|[,.]?\s*\b(?:and also|also|and (?=what|why|how|where|when|which|is|does|do|can)|plus)\b",
    re.IGNORECASE,
)
COMMA = re.compile(r"[,，。]")
ASKS = re.compile(
    r"什么|怎么|怎样|如何|为何|为啥|咋|啥|哪|吗|呢|多少|几|是否|能否|(.)不\1|有没有|区别|讲讲|说说|介绍|解释|对比"
    r"|\b(?:what|why|how|where|when|which|who|difference|explain|compare)\b",
    re.IGNORECASE,
)
MIN_WORDS = 2
"""A part with fewer words of its own goes with the part before it; two Chinese characters make a word."""
MAX_PARTS = 5


def split_questions(text: str) -> list[str]:
    """Split a message into the questions it asks; one that leans on the one before it stays with it.

    :returns: the parts in order, or the text alone when it asks one thing.
    """
    parts: list[str] = []
    for piece in _cut(text):
        if parts and (is_follow_up(piece) or _count_words(piece) < MIN_WORDS):
            parts[-1] += " " + piece
        else:
            parts.append(piece)
    return parts[:MAX_PARTS] if len(parts) > 1 else [text]


def _cut(text: str) -> Iterator[str]:
    """Cut at borders, and at commas between two clauses that both ask."""
    for stretch in BORDER.split(text):
        kept: list[str] = []
        for clause in COMMA.split(stretch or ""):
            if kept and ASKS.search(clause) and any(map(ASKS.search, kept)):
                yield "，".join(kept)
                kept = []
            if len(clause := clause.strip(" \t.、:：")) >= 2:
                kept.append(clause)
        if kept:
            yield "，".join(kept)


def _count_words(text: str) -> float:
    terms = set(analyse_query(text))
    return sum(0.5 if len(term) == 1 else 1.0 for term in terms if term.isascii() or len(term) == 1)
