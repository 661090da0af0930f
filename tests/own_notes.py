"""Notes of a test's own: one question, and how they are opened."""

from pathlib import Path

from rag.config import Settings
from rag.pipeline import Notes, open_notes

TEXT = "# 1. 什么是注意力？\n\n把权重分给各个位置。\n"


def open_own(tmp_path: Path, text: str, name: str = "notes.md") -> Notes:
    (tmp_path / "own").mkdir(exist_ok=True)
    (tmp_path / "own" / name).write_text(text, encoding="utf-8")
    return open_notes(Settings(corpus=(tmp_path / "own",), index=tmp_path / "index"), lambda line: None)
