"""Notes in Milvus Lite: what the tests of the Milvus index and of Ray share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rag.adapters import milvus
from rag.config import Settings
from tests.conftest import CORPUS


def release(path: Path) -> None:
    """Let another process open a Milvus Lite path."""
    from milvus_lite.server_manager import server_manager_instance

    milvus.connect.cache_clear()
    server_manager_instance.release_server(str(path))


def make_settings(folder: Path, corpus: Path = CORPUS, name: str = "") -> Settings:
    return Settings((corpus,), folder / "index", store=f"milvus:{folder / 'notes.db'}{name}")


@contextmanager
def keep_small_notes(folder: Path) -> Iterator[Settings]:
    """Settings of two small notes and a Milvus of their own."""
    (folder / "notes").mkdir()
    (folder / "notes" / "a.md").write_text(
        "## 1. 什么是注意力\n\n按相关程度加权求和。\n\n## 2. 什么是残差\n\n输入加到输出上。\n"
    )
    yield make_settings(folder, folder / "notes")
    release(folder / "notes.db")
