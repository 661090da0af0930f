"""The shapes of OpenAI's chat protocol: from a request to a `Query`, from an `Answer` to replies and chunks."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from rag.cite import group_citations, write_place
from rag.records import to_record
from rag.server.faults import ApiFault
from rag.types import LENGTHS, Answer, Length, Query, Turn

MODEL, EXTRACTIVE = "mianjing", "mianjing-extractive"
MODELS = {MODEL: "设了大模型就由它组织答案，没设就摘录原文", EXTRACTIVE: "只摘录笔记原文，从不用大模型"}
MAX_QUESTION_CHARS = 8_000
"""Longest question: far more than a person asks; even letters at random keep a thread busy for no more than a second."""
MAX_TURNS = 20
"""Turns of the history that are read, the last ones; each as far as a question may go."""
DONE = b"data: [DONE]\n\n"


class Part(BaseModel):
    """A part of a message's content."""

    type: str
    text: str = ""


class Message(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class StreamOptions(BaseModel):
    """What a stream holds besides the answer."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """What is read of a request; all else (`temperature`, `n`, `stop`, `max_tokens` …) is accepted and ignored."""

    model: str = MODEL
    messages: list[Message]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    length: str | None = None
    """How much the answer says, one of `LENGTHS`."""
    sources: bool | None = None
    """Whether the text ends with where the answer comes from."""


def read_request(body: bytes) -> ChatRequest:
    """Read the body of a chat request.

    :raises ApiFault: when it is no such request; the field is named.
    """
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(step) for step in first["loc"])
        where = f"请求体里的 {field}" if field else "请求体"
        raise ApiFault(400, "invalid_request", f"{where} 读不懂：{first['msg']}", param=field or None) from error
    find_model(request.model)
    if request.length not in (None, *LENGTHS):
        message = f"length 要是 {'、'.join(LENGTHS)} 中的一个，写的却是 {request.length!r}"
        raise ApiFault(400, "invalid_value", message, param="length")
    return request


def find_model(name: str) -> dict[str, Any]:
    """Describe a model by its name.

    :raises ApiFault: when there is no such model.
    """
    if name not in MODELS:
        message = f"没有叫 {name!r} 的模型；可用的是 {'、'.join(MODELS)}"
        raise ApiFault(404, "model_not_found", message, param="model")
    record = {"id": name, "object": "model", "created": 0, "owned_by": "mianjing"}
    return record | {"description": MODELS[name]}


def to_query(request: ChatRequest, length: Length) -> Query:
    """Turn a conversation into a query: the user's last message is what is asked, what came before is the history.

    :param length: of the answer, where the request names none.
    :raises ApiFault: when nothing is asked, or what is asked cannot be read.
    """
    asked = max((at for at, message in enumerate(request.messages) if message.role == "user"), default=None)
    if asked is None:
        raise ApiFault(400, "invalid_value", "messages 里没有 role 为 user 的消息", param="messages")
    text = _read_text(request.messages[asked], f"messages.{asked}")
    if len(text) > MAX_QUESTION_CHARS:
        message = f"问题有 {len(text)} 个字，最多 {MAX_QUESTION_CHARS} 个"
        raise ApiFault(400, "context_length_exceeded", message, param=f"messages.{asked}.content")
    turns = [
        Turn(message.role, _read_text(message, f"messages.{at}")[:MAX_QUESTION_CHARS])
        for at, message in enumerate(request.messages[:asked])
        if message.role == "user" or message.role == "assistant"
    ]
    wanted: Length = next((known for known in LENGTHS if known == request.length), length)
    return Query(text, tuple(turns[-MAX_TURNS:]), wanted, generate=request.model != EXTRACTIVE)


def _read_text(message: Message, where: str) -> str:
    """Return a message's text."""
    parts = message.content or ""
    if not isinstance(parts, str):
        if others := [part.type for part in parts if part.type != "text"]:
            fault = f"{where}.content 里有 {others[0]!r}，这里只读得懂 text"
            raise ApiFault(400, "unsupported_content", fault, param=f"{where}.content")
        parts = "\n".join(part.text for part in parts)
    return clean(parts)


def clean(text: str) -> str:
    """Replace unpaired surrogates: no encoder takes them."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written, as the encoder counts them."""

    prompt: int
    completion: int

    def to_record(self) -> dict[str, int]:
        """Write it as OpenAI does."""
        total = self.prompt + self.completion
        return {"prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": total}


def describe_answer(answer: Answer) -> dict[str, Any]:
    """Return what a reply says beyond OpenAI's fields: those of the shell contract, and what is worth showing."""
    record = {
        "related": [{"label": label, "title": title} for label, title in answer.related],
        "checks": [asdict(check) for check in answer.checks],
        "notice": answer.notice,
        "llm": answer.model,
    }
    return record | {name: value for name, value in to_record(answer).items() if name not in ("model", "query")}


def write_sources(answer: Answer) -> str:
    """Write where an answer comes from as Markdown below its text; empty when it cites nothing."""
    if not answer.citations:
        return ""
    lines = [
        f"- [{first.label}] {first.title}（{write_place(first.file, places, first.unit)}）"
        for first, places in group_citations(answer.citations)
    ]
    return "\n\n---\n来源\n" + "\n".join(lines)


class Completion:
    """One reply to one request: its id, and the time and model it is marked with."""

    def __init__(self, model: str) -> None:
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, answer: Answer, text: str, usage: Usage) -> dict[str, Any]:
        """Write a reply that is not streamed."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        record = {**self._head, "object": "chat.completion", "choices": [choice], "usage": usage.to_record()}
        return record | describe_answer(answer)

    def piece(self, text: str, *, first: bool) -> bytes:
        """Write a chunk with a piece of the text."""
        delta = {"role": "assistant", "content": text} if first else {"content": text}
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])

    def end(self, answer: Answer, usage: Usage | None) -> Iterator[bytes]:
        """Write the last chunks: what the answer stands on, the usage where it is asked for, and the end mark."""
        choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield self._chunk([choice], **describe_answer(answer))
        if usage:
            yield self._chunk([], usage=usage.to_record())
        yield DONE

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return write_event({**self._head, "object": "chat.completion.chunk", "choices": choices, **more})


def write_event(record: dict[str, Any]) -> bytes:
    """Write a server-sent event; in ASCII, since some clients take U+2028 for the end of a line."""
    return b"data: " + json.dumps(record).encode() + b"\n\n"
