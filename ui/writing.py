"""Write an answer in a thread of its own, so that the reader can stop it and a closed page does not lose it."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Literal

from rag.errors import RagError
from rag.pipeline import Notes
from rag.types import Answer, Query

SHOW_S = 0.08
"""How often a growing answer is shown: faster than that nobody reads."""
Finish = Callable[[Answer | None, str, bool], None]
"""Called once with the answer, or why there is none, and whether it was stopped."""


class Writing:
    """One answer while it is written."""

    def __init__(self, notes: Notes, query: Query, finish: Finish) -> None:
        self._notes, self._query, self._finish = notes, query, finish
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._text, self._claimed, self._done = "", False, False

    def start(self) -> None:
        """Begin to write."""
        threading.Thread(target=self._write, name="write-answer", daemon=True).start()

    def stop(self) -> None:
        """Stop writing; what is written so far is kept."""
        self._stop.set()
        self._end(self._partial(), "", stopped=True)

    def follow(self) -> Iterator[str]:
        """Yield the text as it grows, until it is done or stopped."""
        shown = ""
        while not self._done:
            with self._changed:
                self._changed.wait_for(lambda: self._done or self._text != shown)  # noqa: B023  read while it waits
            if self._text != shown:
                shown = self._text
                yield shown
                time.sleep(SHOW_S)

    def _write(self) -> None:
        answer, error = None, ""
        pieces = self._notes.stream(self._query)
        try:
            for piece in pieces:
                if isinstance(piece, Answer):
                    answer = piece
                else:
                    self._grow(piece)
                if self._stop.is_set():
                    break
        except RagError as problem:
            error = str(problem)
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"
            raise
        finally:
            if isinstance(pieces, Generator):
                pieces.close()
            self._end(answer or self._partial(), error, stopped=answer is None and not error)

    def _grow(self, piece: str) -> None:
        with self._changed:
            self._text += piece
            self._changed.notify_all()

    def _partial(self) -> Answer | None:
        """Make an answer of what is written so far."""
        if not self._text:
            return None
        model = self._notes.settings.llm if self._query.generate else ""
        mode: Literal["generated", "extractive"] = "generated" if model else "extractive"
        return Answer(self._query.text, self._text, abstained=False, mode=mode, model=model)

    def _end(self, answer: Answer | None, error: str, *, stopped: bool) -> None:
        """Hand over what there is, once: by whoever comes first, the writer or the reader who stops it."""
        with self._changed:
            first, self._claimed = not self._claimed, True
        if not first:
            return
        try:
            self._finish(answer, error, stopped)
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()
