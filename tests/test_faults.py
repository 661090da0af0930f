"""Every call that writes the index may fail or be the last: the notes stay as they were or become the new ones, whole."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.errors import IndexFault
from rag.index import lock_for_writing, open_index, write_generation
from tests.test_index import make_content

CALLS = ((os, "fsync"), (os, "open"), (Path, "open"), (Path, "mkdir"), (Path, "rename"), (Path, "replace"))
"""What a writer does to the disk; `write` itself is buffered, so its failures come with `open` and `fsync`."""
ERRORS = (errno.ENOSPC, errno.EIO, errno.EINTR, errno.EACCES, errno.EROFS)
MAX_CALLS = 60


class Counter:
    """Lets calls through until the n-th, which meets its fate."""

    def __init__(self, n: int, fate: Callable[[], None]) -> None:
        self.n, self.n_calls, self._fate = n, 0, fate

    def wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.n_calls += 1
            if self.n_calls == self.n:
                self._fate()
            return real(*arguments, **options)

        return call


def write_counted(folder: Path, n: int, fate: Callable[[], None]) -> int:
    """Write a generation whose n-th call meets its fate; return how many calls there were."""
    counter = Counter(n, fate)
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in CALLS:
            patch.setattr(owner, name, counter.wrap(getattr(owner, name)))
        with lock_for_writing(folder, 0):
            write_generation(folder, make_content(5))
    return counter.n_calls


def n_questions(folder: Path) -> int:
    return len(open_index(folder).content.questions)


def count_calls(folder: Path) -> int:
    n_calls = write_counted(folder, 0, lambda: None)
    assert 15 < n_calls < MAX_CALLS
    return n_calls


@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
def test_any_call_may_fail_and_the_notes_stay_whole(tmp_path: Path, code: int) -> None:
    def fail() -> None:
        raise OSError(code, os.strerror(code))

    for n in range(1, count_calls(tmp_path / "counted") + 1):
        folder = tmp_path / f"at-{n}"
        write_generation(folder, make_content(3))
        said = ""
        try:
            write_counted(folder, n, fail)
        except IndexFault as fault:
            said = str(fault)
        # A failure that is not told did no harm; one that is told came before the switch, or while it was made to last.
        assert os.strerror(code) in said or n_questions(folder) == 5
        assert n_questions(folder) in (3, 5)
        assert write_counted(folder, 0, fail)
        assert n_questions(folder) == 5
        assert not list(folder.glob("*.partial"))


def test_any_call_may_be_the_last_and_the_notes_stay_whole(tmp_path: Path) -> None:
    for n in range(1, count_calls(tmp_path / "counted") + 1):
        folder = tmp_path / f"at-{n}"
        write_generation(folder, make_content(3))
        child = os.fork()
        if not child:
            try:
                write_counted(folder, n, lambda: os.kill(os.getpid(), signal.SIGKILL))
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert n_questions(folder) in (3, 5)
        write_counted(folder, 0, lambda: None)
        assert n_questions(folder) == 5
