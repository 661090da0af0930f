"""Answer `POST /v1/chat/completions`, whole or as a stream."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from rag.errors import RagError
from rag.pipeline import Notes
from rag.server.desk import close
from rag.server.faults import ApiFault, make_crash
from rag.server.observe import CLIENT_GONE, log_crash
from rag.server.openai_api import ChatRequest, Completion, Usage, read_request, to_query, write_event, write_sources
from rag.server.service import Service
from rag.types import Answer, Query

STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Proxies hand on each piece at once."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """A whole answer, as it is told."""

    answer: Answer
    tail: str
    """What is put after its text."""
    usage: Usage


Pieces = AsyncGenerator[str | Told, None]


async def answer_chat(service: Service, request: Request) -> Response:
    """Answer a chat request.

    :raises ApiFault: when it makes no sense, or cannot be answered now.
    """
    asked = read_request(await request.body())
    notes = service.notes
    query = to_query(asked, notes.settings.length)
    with_sources = service.options.sources if asked.sources is None else asked.sources
    completion = Completion(asked.model)
    pieces = service.desk.write(lambda: tell(service, notes, query, with_sources=with_sources))
    try:
        if not asked.stream:
            told = await unless_gone(request, _take_last(pieces))
            text = told.answer.text + told.tail
            return JSONResponse(completion.whole(told.answer, text, told.usage))
        first = await unless_gone(request, anext(pieces))  # so that what goes wrong at once has a status of its own
    except ClientGone:
        await pieces.aclose()
        return Response(status_code=CLIENT_GONE)
    return StreamingResponse(_stream(asked, completion, first, pieces), 200, STREAM_HEADERS, "text/event-stream")


def tell(service: Service, notes: Notes, query: Query, *, with_sources: bool) -> Iterator[str | Told]:
    """Write an answer piece by piece, and last the whole of it with its usage. Runs on a thread of the desk."""
    reply = notes.stream(query)
    try:
        for piece in reply:
            if isinstance(piece, str):
                yield piece
                continue
            service.metrics.count_answer(piece)
            tail = write_sources(piece) if with_sources else ""
            said = [*(turn.content for turn in query.history), query.text]
            n_read = sum(notes.encoder.count_tokens(text) for text in said)
            yield Told(piece, tail, Usage(n_read, notes.encoder.count_tokens(piece.text + tail)))
    finally:
        close(reply)


async def _take_last(pieces: Pieces) -> Told:
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Told):
                return piece
    raise RuntimeError("a reply ended without an answer")


async def _stream(
    asked: ChatRequest, completion: Completion, first: str | Told, pieces: Pieces
) -> AsyncIterator[bytes]:
    """Write the events of a stream; when something goes wrong half-way, the last event says so."""
    wants_usage = asked.stream_options is not None and asked.stream_options.include_usage
    try:
        async with aclosing(pieces):
            n_sent = 0
            async for piece in _chain(first, pieces):
                text = piece if isinstance(piece, str) else piece.tail if n_sent else piece.answer.text + piece.tail
                if text or not n_sent:
                    yield completion.piece(text, first=not n_sent)
                    n_sent += 1
                if isinstance(piece, Told):
                    for event in completion.end(piece.answer, piece.usage if wants_usage else None):
                        yield event
    except (ApiFault, RagError) as error:
        fault = error if isinstance(error, ApiFault) else to_fault(error)
        yield write_event(fault.to_record())
    except Exception as error:  # the status has been sent: only an event can still tell
        log_crash(error)
        yield write_event(make_crash().to_record())


async def _chain(first: T, rest: AsyncGenerator[T, None]) -> AsyncIterator[T]:
    yield first
    async for piece in rest:
        yield piece


def to_fault(error: RagError) -> ApiFault:
    """Turn an error that the notes report into one of the protocol's."""
    return ApiFault(500, "notes_error", str(error))


class ClientGone(Exception):
    """The client left before it was answered."""


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for some work, but drop it when the client leaves.

    :raises ClientGone: when it does.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_wait_until_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for waiting in (task, gone):
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait({waiting})


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
