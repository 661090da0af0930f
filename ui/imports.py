"""Copy a folder of this machine into the notes: its notes and the pictures beside them, nothing else."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rag.corpus import ENDINGS, cite_path
from rag.errors import RagError, UsageError
from ui.pictures import KINDS, MAX_BYTES
from ui.uploads import Stored, check_name, copy_picture, store

MAX_FILES = 2_000


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a folder."""

    stored: tuple[Stored, ...]
    problems: tuple[str, ...]
    n_pictures: int


def import_folder(source: Path, notes: Path) -> Imported:
    """Copy the notes below a folder, and their pictures, into a folder of that name among the notes.

    :raises UsageError: when it is no folder, is part of the notes already, or holds too much.
    """
    with contextlib.suppress(RuntimeError):  # a home of nobody: then there is no such folder either
        source = source.expanduser()
    if not source.is_absolute() or not source.is_dir():
        raise UsageError(f"{source}: 没有这个文件夹；写完整的路径，比如 /home/me/面经")
    inside, own = source.resolve(), notes.resolve()
    if inside == own or inside.is_relative_to(own) or own.is_relative_to(inside):
        raise UsageError(f"{source}: 和笔记文件夹 {cite_path(notes)} 互相包含，不用再加")
    files = list(_walk(inside))
    if len(files) > MAX_FILES:
        raise UsageError(f"{source}: 里面有 {len(files)} 个以上的文件，最多一次加 {MAX_FILES} 个；分几次加")
    stored, problems, n_pictures = [], [], 0
    for file in files:
        target = own / inside.name / file.parent.relative_to(inside)
        try:
            if file.suffix.lower() in KINDS:
                n_pictures += copy_picture(file, target)
            else:
                stored.append(store(target, check_name(file.name), file))
        except RagError as error:
            problems.append(str(error))
    return Imported(tuple(stored), tuple(problems), n_pictures)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield notes and pictures, hidden ones and links left out; one more than the limit at most."""
    n_files = 0
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(here) / name
            is_picture = file.suffix.lower() in KINDS and file.lstat().st_size <= MAX_BYTES
            if name.startswith(".") or file.is_symlink() or not (name.lower().endswith(tuple(ENDINGS)) or is_picture):
                continue
            yield file
            n_files += 1
            if n_files > MAX_FILES:
                return
