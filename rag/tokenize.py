"""Cut texts into terms: Chinese characters and their pairs, and Latin words.

Characters and pairs need no dictionary and rank as well as a segmenter.
"""

import re
import unicodedata
from collections import Counter
from functools import cache
from typing import Any

TERM = re.compile(r"[\u3400-\u9fff]+|[a-z0-9]+(?:[-_.+#'][a-z0-9]+)*(?:\+\+|#)?")
CJK = re.compile(r"[\u3400-\u9fff]+")
LATIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9\-]+")
CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
STOP_WORDS = re.compile(
    r"请问|为什么|为何|为啥|怎么样|怎样|怎么|如何|什么|哪些|哪个|哪里|多少|是不是|有没有|能不能|可不可以|吗|呢|吧|啊|的|了|是|在|和|与"
    r"|我们|你们|他们|我|你|嘛|啥|咋|就是|一个|一下|这个|那个|这样|那样|这么|那么|知道|觉得|听说|感觉|面试官|老师|同事|麻烦"
    r"|讲清楚|讲讲|说说|聊聊|介绍|解释|可以|可是|应该|到底|其实|然后|因为|所以|但是|如果|还是|或者|不过|而且|已经|现在|时候|东西"
    r"|事情|有点|比较"
)
"""What questions and people's stories hold whatever they are about."""
CHARACTER_WEIGHT = 0.5
"""A single character matches by chance far more often than a pair."""
ENGLISH_STOP_WORDS = frozenset(
    "a an and are as at be by can do does for from how in is it its of on or that the this to was what when where which "
    "who why with you your between".split()
)


@cache
def _to_simplified() -> Any:
    import opencc

    return opencc.OpenCC("t2s")


def normalise(text: str) -> str:
    """Fold width and case variants and turn traditional characters into simplified ones."""
    folded = unicodedata.normalize("NFKC", text)
    try:
        # This old set holds no traditional characters, and nearly all simplified text: loading the tables takes 20 ms.
        "".join(CJK.findall(folded)).encode("gb2312")
    except UnicodeEncodeError:
        folded = _to_simplified().convert(folded)
    return folded


def analyse(text: str) -> list[str]:
    """Cut a text into terms: characters and pairs of CJK runs; Latin words whole, in parts and joined (`warmup`)."""
    folded = normalise(text)
    terms: list[str] = []
    for match in TERM.finditer(folded.lower()):
        term = match[0]
        if term[0] >= "\u3400":
            terms.extend(term)
            terms.extend(term[at : at + 2] for at in range(len(term) - 1))
            continue
        terms.append(term)
        inner = re.split(r"[-_.+#']+", term.rstrip("+#"))
        parts = inner if len(inner) > 1 else CAMEL.findall(folded[slice(*match.span())])
        terms.extend(part.lower() for part in parts if part and part.lower() != term)
        if len(parts) > 1 and (joined := "".join(parts).lower()) != term:
            terms.append(joined)
    return terms


def analyse_query(text: str) -> list[str]:
    """Cut a query into terms without the words every question has; a query of nothing else keeps them."""
    return _drop_stop_words(text) or analyse(text)


def weigh_query(text: str) -> dict[str, float]:
    """Cut a query into terms with their weights: how often each occurs, single Chinese characters counting less."""
    counts = Counter(analyse_query(text))
    return {
        term: count * (CHARACTER_WEIGHT if len(term) == 1 and CJK.match(term) else 1.0)
        for term, count in counts.items()
    }


def share_latin(text: str) -> float:
    """Return how many of the letters of a text are Latin, the rest being Chinese characters; 0 for one without letters."""
    n_latin, n_chinese = len(re.findall(r"[A-Za-z]", text)), sum(map(len, CJK.findall(text)))
    return n_latin / max(1, n_latin + n_chinese)


def has_content(text: str) -> bool:
    """Tell whether a text has more than the words every question has."""
    return bool(_drop_stop_words(text))


def _drop_stop_words(text: str) -> list[str]:
    kept = STOP_WORDS.sub(" ", normalise(text))
    return [term for term in analyse(kept) if term not in ENGLISH_STOP_WORDS]
