"""Read the notes: find the files, decode them, and say which could not be read."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from rag.errors import CorpusError
from rag.types import Document, Unit

ReadFile = Callable[[Path, str], tuple[str, Unit]]
"""Reads a file, given the digest of its bytes: its text, and what its places count."""

TEXT_ENDINGS = (".md", ".markdown", ".mdown", ".txt")
READER_ENDINGS = (".pdf", ".docx", ".html", ".htm", ".ipynb")
"""What the readers of the extra `readers` turn into text."""
ENDINGS = TEXT_ENDINGS + READER_ENDINGS
MAX_BYTES = 64 * 1024 * 1024
"""A larger file is no notes but a dump."""
BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


@dataclass(frozen=True, slots=True)
class CorpusReading:
    """What could be read of the notes."""

    documents: tuple[Document, ...]
    """Sorted by path."""
    problems: tuple[str, ...]
    """One line for each file left out: what, where, what to do."""


def read_corpus(paths: Sequence[Path]) -> CorpusReading:
    """Read all notes under `paths`, files or folders; a broken file does not stop the others.

    :raises CorpusError: when a path does not exist, or there is nothing to read.
    """
    listed = list(_list_files(paths))
    found = [file for file, is_inside in listed if is_inside]
    problems = [
        f"{cite_path(file)}: 这个链接指到笔记文件夹外面，先跳过；要读就把文件复制进来"
        for file, is_inside in listed
        if not is_inside
    ]
    read: list[tuple[Path, Document]] = []
    with _open_reader(found) as read_file:
        for file in found:
            try:
                read.append((file, _read_document(file, read_file)))
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                problems.append(f"{cite_path(file)}: 读不了这个文件（{reason}），先跳过；其余笔记照常可用")
    if not read:
        where = "、".join(map(str, paths))
        what = "；".join(problems) if problems else f"没有找到笔记（能读的是 {'、'.join(ENDINGS)}）"
        raise CorpusError(f"{where}: {what}；把笔记放进去，或用 --corpus 指到别处，再运行 python -m rag.ingest")
    stems = _make_stems([file for file, _ in read])
    documents = [replace(document, stem=stem) for (_, document), stem in zip(read, stems, strict=True)]
    return CorpusReading(tuple(sorted(documents, key=lambda document: document.path)), tuple(problems))


def _needs_reader(file: Path) -> bool:
    return file.suffix.lower() in READER_ENDINGS


def _open_reader(files: Sequence[Path]) -> AbstractContextManager[ReadFile | None]:
    """Open what reads other files than text, where there are any."""
    if not any(map(_needs_reader, files)):
        return contextlib.nullcontext()
    from rag.adapters.readers import open_reader

    return open_reader()


def _read_document(file: Path, read_file: ReadFile | None) -> Document:
    """Read a file; its stem is not yet unique.

    :raises OSError: when it cannot be opened.
    :raises ValueError: when it cannot be turned into text.
    """
    data = _read_bytes(file)
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    text, unit = read_file(file, digest) if read_file and _needs_reader(file) else (_decode(data), "line")
    # What readers return may hold unpaired surrogates, which cannot be written, and other ends of lines.
    text = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")
    return Document(cite_path(file), file.stem, text, digest, unit)


def find_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the notes' files, sorted, each once; hidden files and folders and links that lead outside are left out.

    :raises CorpusError: when a path does not exist.
    """
    yield from (file for file, is_inside in _list_files(paths) if is_inside)


def _list_files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield files, and whether each lies in the folders that were named, whatever links lead to it."""
    seen: set[str] = set()
    roots = [os.path.join(os.path.realpath(path), "") for path in paths]
    for path in paths:
        if not path.exists():
            raise CorpusError(f"{path}: 没有这个文件或文件夹；把笔记放进去，或用 --corpus 指到笔记所在的地方")
        is_named = path.is_file()
        for file in [path] if is_named else _walk(path):
            real = os.path.realpath(file)  # `resolve` raises where links go round in circles
            if real not in seen:
                seen.add(real)
                yield file, is_named or real.startswith(tuple(roots))


def _walk(folder: Path) -> Iterator[Path]:
    # os.walk does not follow links to folders, so a loop of links ends here.
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            # Word keeps a `~$name.docx` beside a file that is open.
            if name.lower().endswith(ENDINGS) and not name.startswith((".", "~$")):
                yield Path(here) / name


def corpus_digest(paths: Sequence[Path], reading: str = "") -> str:
    """Digest names and bytes of all notes, to tell whether an index is stale.

    :param reading: names whatever else the index depends on, such as the thesaurus.
    :raises CorpusError: when a path does not exist.
    """
    digest = hashlib.blake2b(reading.encode(), digest_size=16)
    files = list(find_files(paths))
    if any(map(_needs_reader, files)):
        from rag.adapters.readers import VERSION, is_installed

        digest.update(f"readers {VERSION} {is_installed()}".encode())
    for file in files:
        digest.update(cite_path(file).encode() + b"\0")
        try:
            digest.update(hashlib.blake2b(_read_bytes(file), digest_size=16).digest())
        except (OSError, ValueError) as error:
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()


def cite_path(file: Path) -> str:
    """Write a path as citations do: relative to the working folder where it lies inside, with `/`."""
    try:
        shown = Path(os.path.realpath(file)).relative_to(Path.cwd())
    except ValueError:
        shown = file
    return _show_name(shown.as_posix())


def _show_name(name: str) -> str:
    """Write a file's name as text: some systems take any bytes as one."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _read_bytes(file: Path) -> bytes:
    """Read an ordinary file; a pipe would keep the program waiting, a device never end."""
    with open(file, "rb", opener=_open_at_once) as opened:
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("不是普通文件")
        if status.st_size > MAX_BYTES:
            raise ValueError(
                f"有 {status.st_size // 1024 // 1024} MB，超过 {MAX_BYTES // 1024 // 1024} MB 的上限，请拆开"
            )
        return opened.read(MAX_BYTES)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _decode(data: bytes) -> str:
    """Decode UTF-8, UTF-16 with its mark, or GB18030, which holds GBK.

    :raises ValueError: when it is none of these; the message names the byte.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _fold_lines(data[len(mark) :].decode(encoding))
    if b"\0" in data:
        raise ValueError(f"第 {data.index(0) + 1} 个字节是 0，不是文本")
    try:
        return _fold_lines(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        place, value = error.start, data[error.start]
    try:
        return _fold_lines(data.decode("gb18030"))
    except UnicodeDecodeError:
        raise ValueError(f"既不是 UTF-8 也不是 GBK，第 {place + 1} 个字节 0x{value:02x} 解不出来") from None


def _fold_lines(text: str) -> str:
    # A form feed means the border of a page, and text has none.
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ")


def _make_stems(files: Sequence[Path]) -> list[str]:
    """Name each file by its stem, its folder put before it where two share one."""
    stems = [_show_name(file.stem) for file in files]
    for depth in (2, 3, 4):
        if len(set(stems)) == len(stems):
            return stems
        repeated = {stem for stem in stems if stems.count(stem) > 1}
        stems = [
            _show_name("-".join([*file.resolve().parts[-depth:-1], file.stem])) if stem in repeated else stem
            for file, stem in zip(files, stems, strict=True)
        ]
    return [stem if stems.index(stem) == at else f"{stem}-{at}" for at, stem in enumerate(stems)]
