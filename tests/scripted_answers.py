"""The real notes with a scripted model: what the tests of generated answers share."""

import re
from dataclasses import replace

from rag.adapters.llm import OpenAIGenerator
from rag.pipeline import Notes
from rag.types import Answer, Query, Turn
from tests.llm_server import KEY, Server, Step, serve

ASKED = "为什么要除以根号dk"
SANE = (
    "当维度很大时，点积结果会很大，",
    "会导致softmax的梯度很小，所以要对点积进行缩放[Q4]。",
    "除以根号dk以后方差变为1[Q4]。",
)
EARLIER = (
    Turn("user", "BERT 为什么要用 mask？"),
    Turn("assistant", "为了让模型根据上下文预测被遮住的词 [Q29][Q30]"),
)
LABELS = re.compile(r"\[(Q[\d.]+[a-h]?)\]")


def connect(notes: Notes, server: Server, context_tokens: int = 0, timeout_s: float = 0.5) -> Notes:
    return replace(notes, generator=OpenAIGenerator("tiny", server.url, KEY, context_tokens, timeout_s))


def ask(notes: Notes, query: Query, *script: Step) -> tuple[Answer, list[str], Server]:
    """Ask with a scripted model; return the answer, the pieces shown before it, and the server with its requests."""
    with serve(*script) as server:
        *pieces, answer = connect(notes, server).stream(query)
    assert isinstance(answer, Answer)
    return answer, [str(piece) for piece in pieces], server


def is_quoted(answer: Answer, notes: Notes, query: Query) -> bool:
    """Tell whether an answer is what the notes themselves would say."""
    plain = notes.ask(query)
    return (answer.mode, answer.text, answer.citations, answer.model) == ("extractive", plain.text, plain.citations, "")
