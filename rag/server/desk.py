"""Answer requests on a few threads: so many at once, so many waiting, the rest are told to come back.

A reply is written on one thread from its first piece to its last, so a generator never runs on two threads. Whoever
reads the pieces can stop: the thread then closes the reply at its next piece, and a reply not yet begun never begins.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from rag.server.faults import make_busy, make_late

RETRY_S = 2
"""What a client that was turned away is told to wait."""
T = TypeVar("T")


class Pieces(Generic[T]):
    """Hands the pieces of a reply from the thread that writes it to the event loop that reads it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[T | Exception | None] = asyncio.Queue()
        self._stop = threading.Event()

    def write(self, begin: Callable[[], Iterator[T]]) -> None:
        """Write a reply on this thread, and close it when nobody reads on."""
        try:
            if not self._stop.is_set():
                reply = begin()
                try:
                    for piece in reply:
                        self._hand_on(piece)
                        if self._stop.is_set():
                            break
                finally:
                    close(reply)
            self._hand_on(None)
        except Exception as error:  # raised again where the pieces are read
            self._hand_on(error)

    def _hand_on(self, piece: T | Exception | None) -> None:
        _tell(self._loop, self._queue.put_nowait, piece)

    async def take(self) -> T | None:
        """Wait for the next piece; None at the end."""
        piece = await self._queue.get()
        if isinstance(piece, Exception):
            raise piece
        return piece

    def stop(self) -> None:
        """Tell the thread that nobody reads on."""
        self._stop.set()


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    """Call something on the event loop, unless the server has ended meanwhile."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, *arguments)


def close(reply: Iterator[Any]) -> None:
    """Close a reply if it is a generator."""
    if stop := getattr(reply, "close", None):
        stop()


class Desk:
    """Bounds the work that requests cause. Used from one event loop."""

    def __init__(self, n_threads: int, n_waiting: int, timeout_s: float) -> None:
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="answer")
        self._n_free, self._timeout_s = n_threads + n_waiting, timeout_s

    def close(self) -> None:
        """Begin nothing more; what nobody has read to its end by now is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def write(self, begin: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
        """Begin a reply on a thread, and return its pieces as they come; closing them stops it.

        :raises ApiFault: at once when there is no room; from the pieces when it takes too long.
        """
        pieces = Pieces[T]()
        job = self._submit(lambda: pieces.write(begin))
        return self._read(pieces, job, asyncio.get_running_loop().time() + self._timeout_s)

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call returns.

        :raises ApiFault: when there is no room, or it takes too long.
        """

        def answer() -> Iterator[T]:
            yield call()

        async with aclosing(self.write(answer)) as pieces:
            return await anext(pieces)

    def _submit(self, call: Callable[[], T]) -> Future[T]:
        """Queue a call; its place is free again when the thread is done with it, however its reader ended."""
        if not self._n_free:
            raise make_busy(RETRY_S)
        self._n_free -= 1
        loop, job = asyncio.get_running_loop(), self._pool.submit(call)
        job.add_done_callback(lambda _: _tell(loop, self._free))
        return job

    def _free(self) -> None:
        self._n_free += 1

    async def _read(self, pieces: Pieces[T], job: Future[None], deadline: float) -> AsyncGenerator[T, None]:
        try:
            while (piece := await self._take(pieces, deadline)) is not None:
                yield piece
        finally:
            pieces.stop()
            job.cancel()

    async def _take(self, pieces: Pieces[T], deadline: float) -> T | None:
        waiting = asyncio.timeout_at(deadline)
        try:
            async with waiting:
                return await pieces.take()
        except TimeoutError as error:
            if not waiting.expired():
                raise
            raise make_late(self._timeout_s) from error
