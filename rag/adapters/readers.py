"""Read notes that are no Markdown (extra `readers`): PDF, Word, HTML, Jupyter notebooks.

Such files come from anywhere, and the libraries that read them are large. So LlamaIndex's readers run in a process of
their own (`extract.py`), which may neither write nor reach a network, and which is ended when a file takes too long.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rag
from rag.types import Unit

VERSION = "1"
"""Raised when the same bytes would be read into another text."""
NEEDED = ("llama_index", "pypdf", "bs4", "defusedxml")
INSTALL = "pip install '.[readers]'"
START_LIMIT_S = 120.0
READ_LIMIT_S = 300.0
"""For one file; a slow machine reads ten pages a second."""
MAX_KEPT_CHARS = 20_000_000
"""Of texts that are kept in memory, so that notes that did not change are not read again."""
BROKE_OFF = "读到一半中断了，文件可能损坏或太大"
ReadFile = Callable[[Path, str], tuple[str, Unit]]


class UnreadableFile(ValueError):
    """A file that no text can be had from; the message is for its owner."""


_kept: dict[tuple[str, str], tuple[str, Unit]] = {}
_keeping = threading.Lock()


def is_installed() -> bool:
    """Tell whether the packages that the readers need are there."""
    return all(find_spec(name) is not None for name in NEEDED)


@contextlib.contextmanager
def open_reader(limit_s: float = READ_LIMIT_S) -> Iterator[ReadFile]:
    """Yield what reads one file after another: `read(file, digest)`, its text and what its places count.

    It raises UnreadableFile.
    """
    child = _Child(limit_s)

    def read(file: Path, digest: str) -> tuple[str, Unit]:
        key = (digest, file.suffix.lower())
        with _keeping:
            known = _kept.get(key)
        return known or _keep(key, child.read(file))

    try:
        yield read
    finally:
        child.close()


def _keep(key: tuple[str, str], found: tuple[str, Unit]) -> tuple[str, Unit]:
    """Keep a text, and let go of the oldest where there are too many."""
    with _keeping:
        _kept[key] = found
        while len(_kept) > 1 and sum(len(text) for text, _ in _kept.values()) > MAX_KEPT_CHARS:
            _kept.pop(next(iter(_kept)))
    return found


class _Child:
    """The process that reads, started when the first file is asked for and again after one that broke it."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[str] | None = None

    def read(self, file: Path) -> tuple[str, Unit]:
        """:raises UnreadableFile: when there is no text to be had."""
        if not is_installed():
            raise UnreadableFile(f"读这种文件还缺依赖，请运行：{INSTALL}")
        if self._process is None:
            self._process = self._start()
        reply = self._ask(self._process, {"file": str(file.absolute())}, self._limit_s, BROKE_OFF)
        if "problem" in reply:
            raise UnreadableFile(reply["problem"])
        unit: Unit = reply["unit"]
        return reply["text"], unit

    def _start(self) -> "subprocess.Popen[str]":
        root = str(Path(rag.__file__).parent.parent)
        script = f"import sys; sys.path.insert(0, {root!r}); from rag.adapters.extract import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="ascii",
        )
        self._ask(self._process, None, START_LIMIT_S, f"读取程序启动不了，检查依赖：{INSTALL}")
        return self._process

    def _ask(
        self, process: "subprocess.Popen[str]", request: dict[str, str] | None, limit_s: float, failure: str
    ) -> dict[str, Any]:
        """Send a request and wait for the reply; the process is ended when none comes in time."""
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limit_s, end)
        timer.start()
        try:
            if request is not None:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            timer.cancel()
        if line.endswith("\n"):
            reply: dict[str, Any] = json.loads(line)
            return reply
        self.close()
        raise UnreadableFile(f"读了 {limit_s:g} 秒还没有读完" if late.is_set() else failure)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                process.kill()
