"""Split a message that asks several questions at once."""

import re
from collections.abc import Iterator
from functools import cache

from rag.history import is_follow_up
from rag.tokenize import analyse_query

BORDER = re.compile(
    r"[?？;；\n]+"
    r"|[,，。、\s]{0,9}(?:另外|还有(?:就是)?|顺便(?:问|说)?(?:一下|下)?|以及|再问(?:一下|下|个)?|再(?:说说|讲讲|帮我)|除此之外"
    r"|(?<![^\s,，。、])同时(?:想|也)?)[,，:：]?"
    r"|(?:^|[\s,，。;；])(?:\d|[一二三四])\s*[.、)）:：]\s*(?=\D)"
    r"|[,.]?\s{0,9}\b(?:and also|also|and (?=what|why|how|where|when|which|is|does|do|can)|plus)\b",
    re.IGNORECASE,
)
MAX_COMPARED_CHARS = 200
"""What compares is short; of a longer message its end is read."""
MAY_COMPARE = re.compile(r"区别|不同|差|异|不一样|比|优劣|哪个|\b(?:vs|versus|differ|compare)", re.IGNORECASE)
"""What every way of comparing has some of."""
LEADING = re.compile(
    r"^(?:\s|请问?|那么?|讲讲|说说|聊聊|[说讲]一下|介绍(?:一下|下)?|解释(?:一下|下)?|比较(?:一下|下)?|对比(?:一下|下)?|一下|简述|谈谈"
    r"|what(?:'s|\s+is|\s+are)\b|the\b|compare\b)+",
    re.IGNORECASE,
)
NO_THING = re.compile(
    r"为$|为什么|为何|为啥|怎么|如何|什么|是不是|可以|能不能|[有是][啥何]|\b(?:why|how|what)\b|^(?:它|这|那|前者|后者)们?$",
    re.IGNORECASE,
)
"""What the name of a thing has nothing of."""
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


@cache
def _list_comparisons() -> tuple[re.Pattern[str], ...]:
    """List how a message asks for two things side by side; made when one may."""
    thing = r"[^，。？?；;!！\n]{1,40}?"
    one, other, end = rf"(?P<one>{thing})\s*", rf"\s*(?P<other>{thing})\s*", r"[?？.。]?$"
    differ = r"(?:区别|不同|差别|差异|异同|不一样|对比|优劣|相同点|哪个(?:更|比较)?好|differences?)"
    patterns = (
        rf"\bdifferences?\s+between\s+{one}\band\b{other}{end}",
        rf"\bcompare\s+{one}\b(?:and|with|to)\b{other}{end}",
        rf"(?:^|[，。,；;])\s*(?:比较|对比)(?:一下|下)?\s*{one}(?:和|与|跟|同){other}{end}",
        rf"{one}(?:和|与|跟|同|相比于?|比起|\bvs\b\.?|\band\b){other}(?:之间|两者|二者)?(?:的|有|是|到底)*(?:什么|啥|何|哪些|哪里)?"
        rf"\s*(?:主要|本质|最大)?(?:的|上的)?{differ}",
        rf"{one}\b(?:vs|versus)\b\.?{other}{end}",
    )
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


def find_compared(text: str) -> tuple[str, str] | None:
    """Find the two things that a message compares: `BN 和 LN 有什么区别`, `BN vs LN`; None when it compares none."""
    if not MAY_COMPARE.search(text):
        return None
    lines = (" ".join(line.split()) for line in text.split("\n"))  # runs of blanks would be tried in every way
    text = "\n".join(line for line in lines if line)[-MAX_COMPARED_CHARS:]
    for pattern in _list_comparisons():
        if match := pattern.search(text):
            one, other = (LEADING.sub("", match[name]).strip(" 的\t、") for name in ("one", "other"))
            if one and other and one != other and not NO_THING.search(one) and not NO_THING.search(other):
                return one, other
    return None


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
