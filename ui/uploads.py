"""Take files into the notes: check the name, the size and what the bytes are, and write without losing what is there."""

import contextlib
import filecmp
import json
import os
import re
import shutil
import tempfile
import threading
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rag.corpus import ENDINGS, MAX_BYTES
from rag.errors import CorpusError, UsageError
from ui.pictures import KINDS
from ui.trash import move_to_trash

Outcome = Literal["added", "same", "copied", "replaced"]
"""Stored; there already; stored under a numbered name; stored in the place of one that is in the trash now."""
MAX_NAME_BYTES = 200
"""File systems take 255; room is kept for a number."""
MAX_COPIES = 1_000
MAX_UNPACKED = 256 * 1024 * 1024
MAX_PARTS, MAX_RATIO, SMALL = 5_000, 200, 16 * 1024 * 1024
"""Of a zip: parts, and how many times its own size they may unpack to where that is not small. Word's files stay below 30."""
FORBIDDEN = frozenset('<>:"|?*')
"""What some system cannot have in a file's name."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
MAGIC = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "压缩包或 Office 文件",
    b"\x89PNG": "图片",
    b"\xff\xd8\xff": "图片",
    b"GIF8": "图片",
    b"\x7fELF": "程序",
    b"MZ\x90": "程序",
    b"\x1f\x8b": "压缩包",
    b"Rar!": "压缩包",
    b"7z\xbc\xaf": "压缩包",
    b"\xd0\xcf\x11\xe0": "旧版 Office 文件",
}
"""How files that are no text begin."""
_WRITING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an uploaded file."""

    name: str
    outcome: Outcome
    path: Path
    """Where its content lies now."""


def check_name(name: str) -> str:
    """Return the name a file may have among the notes: one part, visible, printable, with an ending that is read.

    :raises UsageError: when it may not.
    """
    name = unicodedata.normalize("NFC", name)
    shown = "".join(char if char.isprintable() else "�" for char in name)
    shown = shown if len(shown) <= 60 else shown[:60] + "…"
    if "/" in name or "\\" in name:
        raise UsageError(f"{shown}: 文件名里不能有路径（/ 或 \\）；只要文件自己的名字")
    if not name.strip() or name.startswith("."):
        raise UsageError(f"{shown or '（空）'}: 以点开头的是隐藏文件，笔记里不读；换个名字再传")
    # Marks of direction are not printable either: a name must read as it is.
    bad = next((char for char in name if not char.isprintable() or char in FORBIDDEN), "")
    if bad:
        raise UsageError(f"{shown}: 文件名里有不能用的字符（U+{ord(bad):04X}）；换个名字再传")
    if RESERVED.match(name) or name.endswith((" ", ".")) or name.startswith(" "):
        raise UsageError(f"{shown}: 这个名字在有些系统上存不下；换个名字再传")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise UsageError(f"{shown}: 文件名太长（{len(name.encode())} 字节，最多 {MAX_NAME_BYTES}）；改短一点再传")
    if not name.lower().endswith(tuple(ENDINGS)):
        raise UsageError(f"{shown}: 这种文件还不会读；能读的是 {'、'.join(ENDINGS)}")
    return name


def check_content(name: str, file: Path) -> None:
    """Make sure that a file is what its ending says, and not too large.

    :raises UsageError: when it is not.
    """
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise UsageError(f"{name}: 有 {size // 1024**2} MB，超过 {MAX_BYTES // 1024**2} MB 的上限；拆开再传")
    if size == 0:
        raise UsageError(f"{name}: 是个空文件，没有存")
    try:
        CHECKS.get(Path(name).suffix.lower(), _check_text)(file)
    except (ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError) as error:
        reason = str(error) if isinstance(error, ValueError) else "打不开"
        raise UsageError(f"{name}: {reason}；没有存") from error


def _check_text(file: Path) -> str:
    data = file.read_bytes()
    kind = next((kind for beginning, kind in MAGIC.items() if data.startswith(beginning)), "")
    if kind:
        raise ValueError(f"内容是{kind}，和名字的后缀不符")
    for encoding in ("utf-16",) if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text
    raise ValueError("内容不是文本（既不是 UTF-8 也不是 GBK）")


def _check_pdf(file: Path) -> None:
    with file.open("rb") as opened:
        if b"%PDF-" not in opened.read(1024):
            raise ValueError("内容不是 PDF")


def _check_docx(file: Path) -> None:
    """Look into the zip's table of contents only: Python never unpacks more of a part than is declared there."""
    with file.open("rb") as opened:
        if opened.read(4) != b"PK\x03\x04":
            raise ValueError("内容不是 Word 文档（.docx）")
    with zipfile.ZipFile(file) as packed:
        parts = packed.infolist()
        unpacked = sum(part.file_size for part in parts)
        ratio = unpacked / file.stat().st_size if unpacked > SMALL else 1.0
        if len(parts) > MAX_PARTS or unpacked > MAX_UNPACKED or ratio > MAX_RATIO:
            raise ValueError(f"解开后太大（{unpacked // 1024**2} MB，{len(parts)} 个部分），像是压缩炸弹")
        if "word/document.xml" not in packed.namelist():
            raise ValueError("是压缩包，但不是 Word 文档（.docx）")


def _check_notebook(file: Path) -> None:
    notebook = json.loads(_check_text(file))
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells", notebook.get("worksheets")), list):
        raise ValueError("不是 Jupyter 笔记本（.ipynb）：没有 cells")


CHECKS: dict[str, Callable[[Path], object]] = {
    ".pdf": _check_pdf,
    ".docx": _check_docx,
    ".ipynb": _check_notebook,
}
"""How a file's content is checked by its ending; the others must be text."""


def store(folder: Path, name: str, source: Path, *, replace: bool = False) -> Stored:
    """Copy a file into a folder of notes under `name`; nothing there is ever overwritten.

    :param replace: whether a file of that name goes into the trash first; else the new one gets a number.
    :raises UsageError: when it is refused.
    :raises CorpusError: when it cannot be written.
    """
    name = check_name(name)
    with _WRITING, _tell_faults(f"{folder / name}"):
        check_content(name, source)
        folder.mkdir(parents=True, exist_ok=True)
        if same := _find_same(folder, source):
            return Stored(name, "same", same)
        target = folder / name
        taken = os.path.lexists(target)
        partial = _copy_beside(source, folder)
        try:
            if taken and replace:
                move_to_trash(target)
            placed = _place(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(folder)
        return Stored(name, ("replaced" if replace else "copied") if taken else "added", placed)


@contextlib.contextmanager
def _tell_faults(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(f"{where}: 没有写成（{error.strerror or error}）；腾出空间或换个文件夹再试") from error


def _find_same(folder: Path, source: Path) -> Path | None:
    """Find a visible file of the folder with the same bytes."""
    size = source.stat().st_size
    for entry in os.scandir(folder):
        alike = entry.is_file() and not entry.name.startswith(".") and entry.stat().st_size == size
        if alike and filecmp.cmp(entry.path, source, shallow=False):
            return Path(entry.path)
    return None


def copy_picture(file: Path, folder: Path) -> bool:
    """Copy a picture beside the notes that show it, and tell whether it was new there; what has its name stays.

    :raises CorpusError: when it cannot be written.
    """
    target = folder / file.name
    _, beginning = KINDS[file.suffix.lower()]
    with _WRITING, _tell_faults(str(target)):
        with file.open("rb") as opened:
            if opened.read(len(beginning)) != beginning or os.path.lexists(target):
                return False
        folder.mkdir(parents=True, exist_ok=True)
        partial = _copy_beside(file, folder)
        try:
            _place(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    return True


def _copy_beside(source: Path, folder: Path) -> Path:
    """Copy a file into a hidden one of the folder, down to the disk."""
    handle, name = tempfile.mkstemp(prefix=".upload-", suffix=".part", dir=folder)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as copy, source.open("rb") as opened:
            shutil.copyfileobj(opened, copy)
            copy.flush()
            os.fsync(copy.fileno())
        partial.chmod(0o644)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return partial


def _place(partial: Path, target: Path) -> Path:
    """Give a file its name, or the first numbered one that is free; a link fails where a name is taken, so none is lost."""
    for number in range(1, MAX_COPIES):
        free = target if number == 1 else target.with_name(f"{target.stem}-{number}{target.suffix}")
        try:
            os.link(partial, free)
        except FileExistsError:
            continue
        except OSError:  # a file system without links
            if os.path.lexists(free):
                continue
            partial.replace(free)
        return free
    raise OSError(f"已经有 {MAX_COPIES} 个同名的文件")


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
