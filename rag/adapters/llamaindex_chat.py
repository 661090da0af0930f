"""A chat engine of LlamaIndex that answers as the program does: own search, own prompt, every sentence checked."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, replace
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.chat_engine.types import AgentChatResponse, BaseChatEngine, StreamingAgentChatResponse
from llama_index.core.llms.llm import LLM
from llama_index.core.memory import BaseMemory, ChatMemoryBuffer

import rag.types as nouns
from rag.adapters.llamaindex_nodes import list_sources
from rag.adapters.llm import LlamaGenerator, estimate_tokens
from rag.pipeline import Notes
from rag.types import Answer, Length, Query, Turn

HISTORY_TOKENS = 3_000


def notes_chat_engine(
    llm: LLM | nouns.Generator, notes: Notes, memory: BaseMemory | None = None, length: Length = "normal"
) -> "NotesChatEngine":
    """Make a chat engine that answers from notes with an LLM of LlamaIndex, every sentence checked and cited."""
    generator: nouns.Generator = LlamaGenerator(llm) if isinstance(llm, LLM) else llm
    memory = memory or ChatMemoryBuffer.from_defaults(token_limit=HISTORY_TOKENS, tokenizer_fn=_tokenize)
    return NotesChatEngine(replace(notes, generator=generator), memory, length)


def _tokenize(text: str) -> list[int]:
    """Return as many tokens as a text may have; LlamaIndex's own way is another package's vocabulary."""
    return [0] * estimate_tokens(text)


class NotesChatEngine(BaseChatEngine):
    """One conversation with the notes: their own search, prompt and checks; LlamaIndex keeps the memory.

    What the notes do not cover is said to be missing, and the LLM is not asked.
    """

    def __init__(self, notes: Notes, memory: BaseMemory, length: Length = "normal") -> None:
        self._notes, self._memory, self._length = notes, memory, length

    def chat(self, message: str, chat_history: list[ChatMessage] | None = None) -> AgentChatResponse:
        """Answer a message."""
        answer = self._notes.ask(self._make_query(message, chat_history))
        self._remember(message, answer)
        return AgentChatResponse(
            response=answer.text, source_nodes=list_sources(answer.citations), metadata=_list_facts(answer)
        )

    def stream_chat(self, message: str, chat_history: list[ChatMessage] | None = None) -> "NotesStream":
        """Answer a message piece by piece; memory and sources are filled when the last one has been read."""
        stream = NotesStream()
        stream.pieces = self._write(stream, message, self._make_query(message, chat_history))
        return stream

    async def achat(self, message: str, chat_history: list[ChatMessage] | None = None) -> AgentChatResponse:
        """Answer a message; the work is done in a thread."""
        return await asyncio.to_thread(self.chat, message, chat_history)

    async def astream_chat(self, message: str, chat_history: list[ChatMessage] | None = None) -> "NotesStream":
        """Answer a message piece by piece; the work is done in a thread."""
        return await asyncio.to_thread(self.stream_chat, message, chat_history)

    def reset(self) -> None:
        """Forget what was said."""
        self._memory.reset()

    @property
    def chat_history(self) -> list[ChatMessage]:
        """All that was said, oldest first."""
        return list(self._memory.get_all())

    def _make_query(self, message: str, chat_history: list[ChatMessage] | None) -> Query:
        if chat_history is not None:
            self._memory.set(chat_history)
        turns = [
            Turn("user" if said.role == MessageRole.USER else "assistant", said.content or "")
            for said in self._memory.get(input=message)
            if said.role in (MessageRole.USER, MessageRole.ASSISTANT)
        ]
        return Query(message, tuple(turns), self._length)

    def _write(self, stream: "NotesStream", message: str, query: Query) -> Generator[str, None, None]:
        for piece in self._notes.stream(query):
            if isinstance(piece, Answer):
                self._remember(message, piece)
                stream.finish(piece)
            else:
                yield piece

    def _remember(self, message: str, answer: Answer) -> None:
        self._memory.put(ChatMessage(role=MessageRole.USER, content=message))
        self._memory.put(ChatMessage(role=MessageRole.ASSISTANT, content=answer.text))


@dataclass
class NotesStream(StreamingAgentChatResponse):
    """An answer on its way: read `response_gen` or `async_response_gen`, once.

    An error of the LLM is told in `metadata["notice"]`, and the answer then quotes the notes; nothing is swallowed.
    `response` is the final text, which the checks may have changed since its pieces were shown.
    """

    pieces: Generator[str, None, None] | None = None
    metadata: dict[str, Any] | None = None

    def __str__(self) -> str:
        for _ in self.response_gen:
            pass
        return self.response

    def finish(self, answer: Answer) -> None:
        """Take the whole answer."""
        self.response, self.is_done = answer.text, True
        self.source_nodes, self.metadata = list_sources(answer.citations), _list_facts(answer)

    @property
    def response_gen(self) -> Generator[str, None, None]:
        """Yield the pieces that have not been read; closing it stops the LLM."""
        if self.pieces is not None:
            yield from self.pieces

    async def async_response_gen(self) -> AsyncGenerator[str, None]:
        """Yield the pieces that have not been read, each awaited in a thread."""
        end = object()
        pieces = self.pieces
        try:
            while pieces is not None and (piece := await asyncio.to_thread(next, pieces, end)) is not end:
                yield str(piece)
        finally:
            if pieces is not None and inspect.getgeneratorstate(pieces) != inspect.GEN_RUNNING:
                pieces.close()


def _list_facts(answer: Answer) -> dict[str, Any]:
    """Return what is known of an answer beside its text and sources."""
    return {
        "abstained": answer.abstained,
        "mode": answer.mode,
        "coverage": answer.coverage,
        "model": answer.model,
        "notice": answer.notice,
        "ranking": list(answer.ranking),
        "related": list(answer.related),
    }
