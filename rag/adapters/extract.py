"""LlamaIndex readers for notes that are no Markdown, and the process that runs them on files of any origin.

LlamaIndex's own readers for these flatten headings, lists and tables (HTML, Word), lose the numbers that Word counts
by itself, or need a whole Jupyter (notebooks). These are ordinary `BaseReader`s too, and keep what tells one question
from the next. `READERS` serves `SimpleDirectoryReader(file_extractor=...)` as it is.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document

from rag.adapters.docx import read_docx
from rag.adapters.notebook import read_notebook
from rag.adapters.pdf import read_pdf
from rag.adapters.readers import UnreadableFile
from rag.adapters.webpage import read_webpage
from rag.types import Unit

MAX_CHARS = 20_000_000
"""A hundred thick books; more is no notes."""
MAX_MEMORY_BYTES = 2 * 1024**3
"""On top of what the libraries take."""
BORDER = "\n\f\n"
"""Between pages or cells, and nowhere else."""
FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system",
             "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.mkdir", "os.rmdir")  # fmt: skip


def _make_documents(texts: Sequence[str], file: Path, unit: Unit, extra_info: dict[str, Any] | None) -> list[Document]:
    shared = {"file_name": file.name, "file_path": str(file), **(extra_info or {})}
    place = {} if unit == "line" else {"unit": unit}
    return [
        Document(text=text, metadata={**shared, **place, **({unit: number} if place else {})})
        for number, text in enumerate(texts, start=1)
    ]


class PdfReader(BaseReader):
    """Pages of a PDF, one document each, headings marked."""

    def load_data(self, file: Path, extra_info: dict[str, Any] | None = None) -> list[Document]:
        """Read a PDF.

        :raises UnreadableFile: when it is locked, too long, broken or without text.
        """
        return _make_documents(read_pdf(Path(file)), Path(file), "page", extra_info)


class DocxReader(BaseReader):
    """A Word file as one document in Markdown."""

    def load_data(self, file: Path, extra_info: dict[str, Any] | None = None) -> list[Document]:
        """Read a Word file.

        :raises UnreadableFile: when it is none, or unpacks to far more than it is.
        """
        return _make_documents([read_docx(Path(file))], Path(file), "line", extra_info)


class WebpageReader(BaseReader):
    """An HTML page as one document in Markdown."""

    def load_data(self, file: Path, extra_info: dict[str, Any] | None = None) -> list[Document]:
        """Read an HTML page.

        :raises UnreadableFile: when it holds no text.
        """
        return _make_documents([read_webpage(Path(file).read_bytes())], Path(file), "line", extra_info)


class NotebookReader(BaseReader):
    """Cells of a Jupyter notebook, one document each."""

    def load_data(self, file: Path, extra_info: dict[str, Any] | None = None) -> list[Document]:
        """Read a notebook.

        :raises UnreadableFile: when it is none of format 4.
        """
        return _make_documents(read_notebook(Path(file)), Path(file), "cell", extra_info)


READERS: dict[str, Callable[[], BaseReader]] = {
    ".pdf": PdfReader,
    ".docx": DocxReader,
    ".html": WebpageReader,
    ".htm": WebpageReader,
    ".ipynb": NotebookReader,
}
"""Ending of a file to what reads it."""


def extract(file: Path) -> tuple[str, Unit]:
    """Read a file with the reader for its ending: its whole text, and what its places count.

    :raises UnreadableFile: when it cannot be read; the message is for its owner.
    """
    documents = READERS[file.suffix.lower()]().load_data(file)
    unit: Unit = documents[0].metadata.get("unit", "line") if documents else "line"
    text = BORDER.join(_strip_breaks(document.text) for document in documents)
    if len(text) > MAX_CHARS:
        raise UnreadableFile(f"里面的文字有 {len(text)} 字，超过 {MAX_CHARS} 的上限，请拆开")
    return text, unit


def _strip_breaks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ").replace("\0", "").rstrip()


def _forbid(event: str, arguments: tuple[Any, ...]) -> None:
    """Keep a crafted file from doing anything but being read: no network, no programs, no writing."""
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event in FORBIDDEN or writes:
        raise PermissionError(f"{event} is not allowed while notes are read")


def _limit_memory() -> None:
    """Give reading so much memory and no more, where the system can do that (Linux)."""
    sizes = Path("/proc/self/statm")
    if sizes.exists():
        import resource

        used = int(sizes.read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = used + MAX_MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))


def _answer(requests: IO[str]) -> Iterator[dict[str, str]]:
    """Yield an answer to every request: a file's text, or why there is none."""
    for line in requests:
        try:
            text, unit = extract(Path(json.loads(line)["file"]))
            yield {"text": text, "unit": unit}
        except MemoryError:
            yield {"problem": "内存放不下"}
        except RecursionError:
            yield {"problem": "层层嵌套太深"}
        except UnreadableFile as error:
            yield {"problem": str(error)}
        # What the libraries raise on broken files has no common base.
        except Exception as error:
            yield {"problem": f"文件已经损坏，或格式不对（{type(error).__name__}）"}


def serve() -> None:
    """Answer requests from standard input until it ends; nothing else may write to standard output."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    import bs4  # noqa: F401  what the readers need is loaded before files are opened
    import pypdf  # noqa: F401
    from defusedxml import ElementTree  # type: ignore[import-untyped]  # noqa: F401

    sys.dont_write_bytecode = True
    _limit_memory()
    sys.addaudithook(_forbid)
    for reply in chain([{"ready": "yes"}], _answer(sys.stdin)):
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    serve()
