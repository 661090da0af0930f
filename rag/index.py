"""Keep the index on disk: immutable generations, one atomic switch, a checksum for every file."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.consistency import find_contradiction, read_manifest
from rag.errors import IndexBusy, IndexFault
from rag.maps import map_arrays, map_file
from rag.types import Passage, Question, Section
from rag.vectors import VectorIndex

SCHEMA = 4
"""Raised whenever a file's layout or the meaning of a field changes: older indexes are rebuilt."""
CURRENT, GENERATION = "CURRENT", re.compile(r"gen-\d+\Z")
KEPT_GENERATIONS = 2
"""The current one, and the one that readers may just be opening."""
OPEN_ATTEMPTS = 5
LOCK_POLL_S = 0.05
INGEST = "python -m rag.ingest"


@dataclass(frozen=True, slots=True)
class IndexContent:
    """What a generation holds."""

    questions: tuple[Question, ...]
    passages: tuple[Passage, ...]
    vectors: VectorIndex
    row_keys: tuple[str, ...]
    """Content hash of the text in each vector row."""
    lexical: Mapping[str, npt.NDArray[Any]]
    encoder: str
    """Fingerprint of the encoder that made the vectors."""
    corpus: str
    """Digest of the notes' files."""
    documents: tuple[tuple[str, str], ...]
    """Path and digest of each file."""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenIndex:
    """A generation in memory; later generations on disk do not disturb it."""

    content: IndexContent
    generation: str = ""
    """As `current_generation` names it; empty for one that is on no disk."""


def _digest(data: bytes | memoryview) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def pack_records(records: tuple[Any, ...]) -> list[list[Any]]:
    """Turn value types into lists of their fields, the names said once by the code."""
    return [list(dataclasses.astuple(record)) for record in records]


def unpack_questions(rows: list[list[Any]]) -> tuple[Question, ...]:
    """Make questions from lists of their fields."""
    names = [entry.name for entry in dataclasses.fields(Question)]
    questions = []
    for row in rows:
        values = dict(zip(names, row, strict=True))
        values["lines"], values["headings"] = tuple(values["lines"]), tuple(values["headings"])
        values["sections"] = tuple(Section(*section) for section in values["sections"])
        questions.append(Question(**values))
    return tuple(questions)


def unpack_passages(rows: list[list[Any]]) -> tuple[Passage, ...]:
    """Make passages from lists of their fields."""
    names = [entry.name for entry in dataclasses.fields(Passage)]
    passages = []
    for row in rows:
        values = dict(zip(names, row, strict=True))
        values["lines"], values["headings"] = tuple(values["lines"]), tuple(values["headings"])
        passages.append(Passage(**values))
    return tuple(passages)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _to_files(content: IndexContent) -> dict[str, bytes]:
    """Serialise a generation: file names to bytes, the manifest last."""
    lexical = io.BytesIO()
    np.savez(lexical, allow_pickle=False, **content.lexical)
    files = {
        "questions.json": _json(pack_records(content.questions)),
        "passages.json": _json(pack_records(content.passages)),
        "lexical.npz": lexical.getvalue(),
        "vectors.faiss": content.vectors.to_bytes(),
        "row_keys.json": _json(content.row_keys),
    }
    manifest = {
        "schema": SCHEMA,
        "encoder": content.encoder,
        "corpus": content.corpus,
        "documents": content.documents,
        "problems": content.problems,
        "checksums": {name: _digest(data) for name, data in files.items()},
    }
    return {**files, "manifest.json": json.dumps(manifest, ensure_ascii=False, indent=1).encode()}


def write_generation(folder: Path, content: IndexContent) -> Path:
    """Write a new generation and switch to it in one rename; the caller holds the writer's lock.

    :raises IndexFault: when the folder cannot be written; what was there stays as it was.
    """
    try:
        numbers = [int(path.name[4:]) for path in folder.glob("gen-*") if path.name[4:].isdecimal()]
        name = f"gen-{max(numbers, default=0) + 1:04d}"
        partial = folder / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        files = _to_files(content)
        for file_name, data in files.items():
            _write_durably(partial / file_name, data)
        partial.rename(folder / name)
        pointer = f"{name} {_digest(files['manifest.json'])}"
        _write_durably(folder / f"{CURRENT}.partial", f"{pointer} {_digest(pointer.encode())}\n".encode())
        (folder / f"{CURRENT}.partial").replace(folder / CURRENT)
        _sync_folder(folder)
    except OSError as error:
        _remove_partials(folder)
        raise _cannot_write(folder, error) from error
    _remove_old(folder, name)
    return folder / name


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _cannot_write(folder: Path, error: OSError) -> IndexFault:
    return IndexFault(f"{folder}: 索引写不进去（{error.strerror or error}）；换个地方：加上 --index 另一个文件夹")


def _remove_partials(folder: Path) -> None:
    for path in folder.glob("*.partial"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _remove_old(folder: Path, current: str) -> None:
    """Remove leftovers and all but the last generations; one that cannot be removed does no harm."""
    _remove_partials(folder)
    names = sorted(path.name for path in folder.glob("gen-*") if path.name <= current)
    for name in names[:-KEPT_GENERATIONS]:
        shutil.rmtree(folder / name, ignore_errors=True)


def open_index(folder: Path, encoder: str | None = None) -> OpenIndex:
    """Open the generation that CURRENT names, every byte checked.

    :param encoder: the fingerprint it must have been made by; None takes any.
    :raises IndexFault: when it is missing, damaged, or made by another encoder or schema.
    """
    for attempt in range(OPEN_ATTEMPTS):
        pointer = _read_pointer(folder)
        try:
            content = _read_generation(folder, *pointer)
            break
        except FileNotFoundError as error:
            # A writer may have removed it between our two reads; then CURRENT now names another.
            if attempt + 1 == OPEN_ATTEMPTS or _read_pointer(folder) == pointer:
                raise IndexFault(f"{error.filename}: 索引缺了这个文件；重建：{INGEST}") from error
    if encoder is not None and content.encoder != encoder:
        raise IndexFault(f"{folder}: 索引是用另一个编码器做的（{content.encoder}，现在是 {encoder}）；重建：{INGEST}")
    return OpenIndex(content, " ".join(pointer))


def current_generation(folder: Path) -> str:
    """Name the generation that CURRENT points to and its digest; empty when there is none to open."""
    try:
        return " ".join(_read_pointer(folder))
    except IndexFault:
        return ""


def _read_pointer(folder: Path) -> tuple[str, str]:
    """Read CURRENT: the generation's name and the digest of its manifest."""
    path = folder / CURRENT
    try:
        words = bytes(map_file(path)).decode("ascii").split(" ")
    except FileNotFoundError as error:
        raise IndexFault(f"{folder}: 还没有索引；建立：{INGEST}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise IndexFault(f"{path}: 索引文件损坏或读不了；重建：{INGEST}") from error
    if len(words) != 3 or words[2] != _digest(" ".join(words[:2]).encode()) + "\n" or not GENERATION.match(words[0]):
        raise IndexFault(f"{path}: 索引文件损坏；重建：{INGEST}")
    return words[0], words[1]


def _read_generation(folder: Path, name: str, manifest_digest: str) -> IndexContent:
    place = folder / name
    try:
        manifest = read_manifest(bytes(_read_checked(place / "manifest.json", manifest_digest)))
        if manifest["schema"] != SCHEMA:
            raise IndexFault(f"{place}: 索引格式是第 {manifest['schema']} 版，现在用第 {SCHEMA} 版；重建：{INGEST}")
        data = {name: _read_checked(place / name, digest) for name, digest in manifest["checksums"].items()}
        content = _unpack(place, manifest, data)
    # Whole files whose content is none that this program writes: each reader objects in its own way.
    except (ValueError, KeyError, TypeError, IndexError, RuntimeError, MemoryError, RecursionError) as error:
        raise IndexFault(f"{place}: 索引内容读不懂（{type(error).__name__}）；重建：{INGEST}") from error
    vectors, words = content.vectors, content.lexical
    wrong = find_contradiction(content.questions, content.passages, len(vectors), len(content.row_keys), words)
    if wrong:
        raise IndexFault(f"{place / wrong}: 索引内容前后对不上；重建：{INGEST}")
    return content


def _unpack(place: Path, manifest: dict[str, Any], data: dict[str, memoryview]) -> IndexContent:
    return IndexContent(
        questions=unpack_questions(json.loads(bytes(data["questions.json"]))),
        passages=unpack_passages(json.loads(bytes(data["passages.json"]))),
        vectors=VectorIndex.open(place / "vectors.faiss"),
        row_keys=tuple(json.loads(bytes(data["row_keys.json"]))),
        lexical=map_arrays(data["lexical.npz"]),
        encoder=manifest["encoder"],
        corpus=manifest["corpus"],
        documents=tuple((path, digest) for path, digest in manifest["documents"]),
        problems=tuple(manifest["problems"]),
    )


def _read_checked(path: Path, digest: str) -> memoryview:
    try:
        data = map_file(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise IndexFault(f"{path}: 索引文件读不了（{error.strerror}）；重建：{INGEST}") from error
    if _digest(data) != digest:
        raise IndexFault(f"{path}: 索引文件损坏；重建：{INGEST}")
    return data


@contextlib.contextmanager
def lock_for_writing(folder: Path, wait_s: float) -> Iterator[None]:
    """Hold the writer's lock; the system releases it when the process ends, however it ends.

    :raises IndexBusy: when another process still holds it after `wait_s`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "LOCK").open("ab")
    except OSError as error:
        raise _cannot_write(folder, error) from error
    with file:
        deadline = time.monotonic() + wait_s
        while not _try_lock(file.fileno()):
            if time.monotonic() >= deadline:
                raise IndexBusy(f"{folder}: 另一个进程正在更新索引，等了 {wait_s:g} 秒；稍后再试")
            time.sleep(LOCK_POLL_S)
        yield


def _try_lock(handle: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
