"""Take notes away without losing them: a hidden `.trash` folder beside each file, which nothing reads."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.corpus import cite_path
from rag.errors import CorpusError

TRASH = ".trash"


@dataclass(frozen=True, slots=True)
class Trashed:
    """A file in the trash: `<folder>/.trash/<when>/<name>`."""

    path: Path
    size: int

    @property
    def id(self) -> str:
        """Name it for a page."""
        return cite_path(self.path)

    @property
    def home(self) -> Path:
        """Where it was."""
        return self.path.parent.parent.parent / self.path.name

    @property
    def when(self) -> str:
        """When it was taken away, `2025-01-31 08:30`."""
        stamp = self.path.parent.name
        return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}"


def move_to_trash(file: Path) -> Trashed:
    """Move a file of the notes into the trash beside it.

    :raises CorpusError: when it cannot be moved.
    """
    now = time.time_ns()
    stamp = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now // 10**9))}-{now % 10**9:09d}"
    folder = file.parent / TRASH / stamp
    try:
        folder.mkdir(parents=True)
        size = file.lstat().st_size
        return Trashed(file.rename(folder / file.name), size)
    except OSError as error:
        raise CorpusError(f"{cite_path(file)}: 没有删成（{error.strerror or error}），还在原处") from error


def list_trash(paths: Sequence[Path]) -> list[Trashed]:
    """List what is in the trash of the notes, the latest first."""
    found: dict[Path, Trashed] = {}
    for path in paths:
        for file in _walk(path if path.is_dir() else path.parent):
            found[file.resolve()] = Trashed(file, file.stat().st_size)
    return sorted(found.values(), key=lambda trashed: trashed.path.parent.name, reverse=True)


def _walk(root: Path) -> Iterator[Path]:
    for here, folders, _ in os.walk(root):
        if TRASH in folders:
            yield from (file for file in sorted((Path(here) / TRASH).glob("*/*")) if file.is_file())
        folders[:] = [name for name in folders if not name.startswith(".")]


def restore(trashed: Trashed) -> Path:
    """Put a file back where it was, under a numbered name where its own is taken.

    :raises CorpusError: when it cannot be moved.
    """
    home = trashed.home
    number = 1
    while os.path.lexists(home):
        number += 1
        home = trashed.home.with_name(f"{trashed.home.stem}-{number}{trashed.home.suffix}")
    try:
        trashed.path.rename(home)
        trashed.path.parent.rmdir()
    except OSError as error:
        raise CorpusError(f"{cite_path(trashed.home)}: 没有恢复成（{error.strerror or error}）") from error
    return home
