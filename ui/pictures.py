"""Show the pictures of the notes: files below the notes' own folders, and nothing else."""

import base64
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from rag.config import Settings
from rag.corpus import cite_path, find_files
from rag.errors import CorpusError
from ui.texts import ZH, Texts

KINDS = {
    ".png": ("image/png", b"\x89PNG"),
    ".jpg": ("image/jpeg", b"\xff\xd8"),
    ".jpeg": ("image/jpeg", b"\xff\xd8"),
    ".gif": ("image/gif", b"GIF8"),
    ".webp": ("image/webp", b"RIFF"),
}
"""File ending to media type and the bytes that such a file begins with."""
MAX_BYTES = 3_000_000
"""A larger picture would make the page slow."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to show, or why there is none."""

    data: str = ""
    """A `data:` address: the browser asks nobody for it."""
    problem: str = ""
    """A sentence with {name}."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures that one file of notes may show."""

    roots: tuple[Path, ...] = ()
    """The notes' folders, resolved."""
    folder: Path | None = None
    """Where the file of notes lies."""
    texts: Texts = ZH

    @property
    def untitled(self) -> str:
        """What a picture without a name is called."""
        return self.texts.picture_untitled

    def find(self, source: str) -> Picture:
        """Find the picture an image of the notes names."""
        if source.startswith("//") or ":" in source.partition("/")[0]:
            return Picture(problem=self.texts.picture_remote)
        missing = Picture(problem=self.texts.picture_missing)
        if self.folder is None or not source or "\0" in source:
            return missing
        try:
            path = (self.folder / unquote(source.partition("?")[0].partition("#")[0])).resolve()
            if not any(path.is_relative_to(root) for root in self.roots) or not path.is_file():
                return missing
            kind, beginning = KINDS.get(path.suffix.lower(), ("", b""))
            if not kind or path.stat().st_size > MAX_BYTES:
                return Picture(problem=self.texts.picture_kind)
            data = path.read_bytes()
        except (OSError, ValueError):
            return missing
        if not data.startswith(beginning):
            return Picture(problem=self.texts.picture_kind)
        return Picture(f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}")


NO_PICTURES = Pictures()


def find_note(settings: Settings, cited: str) -> Path | None:
    """Find the file that a citation names among the notes, or None: no other file is ever opened."""
    try:
        return next((file for file in find_files(settings.corpus) if cite_path(file) == cited), None)
    except CorpusError:
        return None


def pictures_of(settings: Settings, cited: str, texts: Texts = ZH) -> Pictures:
    """Return the pictures that a file of the notes may show."""
    file = find_note(settings, cited)
    roots = tuple((path if path.is_dir() else path.parent).resolve() for path in settings.corpus)
    return Pictures(roots, file.resolve().parent if file else None, texts)
