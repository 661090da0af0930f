"""Resolve a follow-up: put back the topic that `那第二个呢` or `公式呢` leaves out."""

import re

from rag.types import Query

MAX_TURNS_BACK = 3
SHORT_CHARS = 7
"""A question this short, after its particles, rarely stands alone."""
POINTS_BACK = re.compile(
    r"^(那|那么|还有|然后|所以|另外|再|继续|接着)|它|这个|那个|这些|那些|上面|刚才|前面|前者|后者|这样|那样|其中|该"
    r"|呢[?？]?$|第[一二三四五六七八九十\d]+[个种点条]|\b(it|its|they|them|that|this|those|these|then|former|latter)\b"
    r"|^(and|why|how|what about|more|explain)\b.{0,18}$|(详细|具体|展开|举例|举个例子|说说|解释)(一下|点|说说|讲讲)?[吧?？。]*$",
    re.IGNORECASE,
)
PARTICLES = re.compile(
    r"[\s?？!！。，,、~]|那|呢|吗|啊|吧|的|了|请问|怎么|什么|为什么|为啥|how|why|what|the|a|is", re.IGNORECASE
)


def is_follow_up(text: str) -> bool:
    """Tell whether a question leans on what was said before."""
    return bool(POINTS_BACK.search(text.strip())) or len(PARTICLES.sub("", text)) < SHORT_CHARS // 2


def resolve(query: Query) -> str:
    """Return the query's text, with the questions it leans on put before it; a new topic stands alone."""
    if not query.history or not is_follow_up(query.text):
        return query.text
    asked = [turn.content for turn in query.history if turn.role == "user"][-MAX_TURNS_BACK:]
    topic: list[str] = []
    for text in reversed(asked):
        topic.insert(0, text)
        if not is_follow_up(text):
            break
    return " ".join([*topic, query.text])
