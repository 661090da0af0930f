"""Resolve a follow-up: put back the topic that `那第二个呢` or `公式呢` leaves out."""

import re
from dataclasses import dataclass

from rag.types import Query

MAX_TURNS_BACK = 3
FRAGMENT_CHARS, SHORT_CHARS = 3, 8
"""Shorter than this, its particles left out: a fragment of a question; one that may lean on what was said."""
POINTS_BACK = re.compile(
    r"^(那|那么|还有|然后|所以|另外|再|继续|接着)|它|这个|那个|这些|那些|上面|刚才|前面|前者|后者|这样|那样|其中|该"
    r"|呢[?？]?$|第[一二三四五六七八九十\d]+[个种点条]|\b(it|its|they|them|that|this|those|these|then|former|latter)\b"
    r"|^(and|why|how|what about|more|explain)\b.{0,18}$|(详细|具体|展开|举例|举个例子|说说|解释)(一下|点|说说|讲讲)?[吧?？。]*$",
    re.IGNORECASE,
)
PARTICLES = re.compile(
    r"[\s?？!！。，,、~]|那|呢|吗|啊|吧|的|了|请问|怎么|什么|为什么|为啥|how|why|what|the|a|is", re.IGNORECASE
)
LABEL = re.compile(r"\[((?:[^\[\]\n:]{1,80}:)?Q\d[\w.]*)\]")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A query made to stand alone."""

    text: str
    """With the questions it leans on put before it."""
    leans: bool
    """Whether it leans on the conversation at all."""
    points_back: bool = False
    """Whether its words say so; else it is only short, and may be a new topic."""
    cited: tuple[str, ...] = ()
    """Labels that the last answer cited."""


def is_follow_up(text: str) -> bool:
    """Tell whether a question points back to what was said before."""
    return bool(POINTS_BACK.search(text.strip())) or _count_chars(text) < FRAGMENT_CHARS


def _count_chars(text: str) -> int:
    return len(PARTICLES.sub("", text))


def resolve(query: Query) -> Resolved:
    """Put the questions that a follow-up leans on before it; a new topic stands alone."""
    points_back = is_follow_up(query.text)
    if not query.history or not (points_back or _count_chars(query.text) < SHORT_CHARS):
        return Resolved(query.text, leans=False)
    asked = [turn.content for turn in query.history if turn.role == "user"][-MAX_TURNS_BACK:]
    topic: list[str] = []
    for text in reversed(asked):
        topic.insert(0, text)
        if not is_follow_up(text):
            break
    answers = [turn.content for turn in query.history if turn.role == "assistant"]
    cited = tuple(dict.fromkeys(LABEL.findall(answers[-1]))) if answers else ()
    return Resolved(" ".join([*topic, query.text]), leans=True, points_back=points_back, cited=cited)
