"""What docs/security.md promises about files from elsewhere: links and pipes among the notes, an index that lies."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rag.config import Settings
from rag.corpus import corpus_digest, read_corpus
from rag.errors import IndexFault
from rag.index import CURRENT, open_index
from rag.pipeline import open_notes
from rag.types import Query
from tests.own_notes import TEXT, open_own
from tests.test_consistency import change_json, change_vectors, digest, seal

pytestmark = pytest.mark.usefixtures("ends_in_time")


# The folder of notes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes" / "deep").mkdir(parents=True)
    (tmp_path / "notes" / "a.md").write_text(TEXT, encoding="utf-8")
    (tmp_path / "secret.md").write_text("# 1. 密码是什么？\n\n芝麻开门。\n", encoding="utf-8")
    return tmp_path / "notes"


def test_a_link_out_of_the_folder_is_left_out_and_told(folder: Path) -> None:
    (folder / "b.md").symlink_to(folder.parent / "secret.md")
    (folder / "c.md").symlink_to("../secret.md")
    (folder / "deep" / "d.md").symlink_to("/etc/passwd")
    reading = read_corpus([folder])
    assert [document.stem for document in reading.documents] == ["a"]
    assert ["链接指到笔记文件夹外面" in problem for problem in reading.problems] == [True, True]
    assert "b.md" in reading.problems[0]
    before = corpus_digest([folder])
    (folder.parent / "secret.md").write_text("# 1. 别的\n", encoding="utf-8")
    assert corpus_digest([folder]) == before


def test_a_folder_linked_into_the_notes_is_not_walked(folder: Path) -> None:
    (folder / "all").symlink_to(folder.parent)
    assert [document.stem for document in read_corpus([folder]).documents] == ["a"]


def test_links_that_stay_inside_and_a_folder_that_is_a_link_are_read(folder: Path) -> None:
    (folder / "deep" / "b.md").symlink_to("../a.md")
    (folder.parent / "link").symlink_to(folder)
    reading = read_corpus([folder.parent / "link"])
    assert ([document.stem for document in reading.documents], reading.problems) == (["a"], ())
    assert len(read_corpus([folder.parent / "link", folder.parent / "secret.md"]).documents) == 2


def test_links_in_a_circle_are_told_and_the_rest_is_read(folder: Path) -> None:
    (folder / "b.md").symlink_to("c.md")
    (folder / "c.md").symlink_to("b.md")
    (folder / "d.md").symlink_to("gone.md")
    reading = read_corpus([folder])
    assert [document.stem for document in reading.documents] == ["a"]
    assert len(reading.problems) == 3
    assert len(corpus_digest([folder])) == 32


def test_pipes_sockets_and_folders_named_like_notes_keep_nobody_waiting(folder: Path) -> None:
    os.mkfifo(folder / "pipe.md")
    (folder / "folder.md").mkdir()
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind("door.md")
            reading = read_corpus([folder])
            corpus_digest([folder])
    finally:
        os.chdir(here)
    assert [document.stem for document in reading.documents] == ["a"]
    assert "pipe.md: 读不了这个文件（不是普通文件）" in reading.problems[1]
    assert len(reading.problems) == 2


def test_a_file_that_may_not_be_read_is_told_and_the_others_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "b.md").write_text(TEXT, encoding="utf-8")
    real = os.open

    def refuse_one(path: str | os.PathLike[str], *arguments: int, **options: int) -> int:
        if Path(path).name == "b.md":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse_one)
    reading = read_corpus([folder])
    assert len(reading.documents) == 1
    assert "b.md: 读不了这个文件（Permission denied）" in reading.problems[0]


def test_a_name_of_any_bytes_is_read_and_written_as_text(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / os.fsdecode(b"\xff\xfe\xb1.md")).write_text(TEXT, encoding="utf-8")
    notes = open_notes(Settings(corpus=(tmp_path / "own",), index=tmp_path / "index"), lambda line: None)
    answer = notes.ask(Query("什么是注意力"))
    assert answer.citations[0].file.endswith(r"\xff\xfe\xb1.md")
    assert notes.index.generation


# An index from elsewhere


def point_to(index: Path, name: str) -> None:
    own, manifest, _ = (index / CURRENT).read_text().split(" ")
    pointer = f"{name.format(own)} {manifest}"
    (index / CURRENT).write_text(f"{pointer} {digest(pointer.encode())}\n")


def point_outside(name: str) -> Callable[[Path], None]:
    """A whole index lies there too."""

    def lie(index: Path) -> None:
        shutil.copytree(next(index.glob("gen-*")), index.parent / next(index.glob("gen-*")).name)
        point_to(index, name.replace("HERE", str(index.parent)))

    return lie


def name_a_file_outside(index: Path) -> None:
    (index.parent / "outside.txt").write_bytes(b"x")
    place = next(index.glob("gen-*"))
    manifest = json.loads((place / "manifest.json").read_bytes())
    manifest["checksums"]["../../outside.txt"] = digest(b"x")
    (place / "manifest.json").write_text(json.dumps(manifest))
    seal(index)


def be_a_pipe(name: str) -> Callable[[Path], None]:
    def lie(index: Path) -> None:
        file = index / name if name == CURRENT else next(index.glob("gen-*")) / name
        file.unlink()
        os.mkfifo(file)

    return lie


def sealed(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def lie(index: Path) -> None:
        change(next(index.glob("gen-*")))
        seal(index)

    return lie


def set_first(row: list[object], at: int, value: object) -> None:
    row[at] = value


NO_NUMBERS = np.full(8, np.nan, dtype=np.float32).tobytes()
FOREIGN: dict[str, Callable[[Path], None]] = {
    "CURRENT points outside": point_outside("../{}"),
    "CURRENT points to a path": point_outside("HERE/{}"),
    "the manifest names a file elsewhere": name_a_file_outside,
    "the manifest is a list": lambda index: (next(index.glob("gen-*")) / "manifest.json").write_text("[]") and None,
    "CURRENT is a pipe": be_a_pipe(CURRENT),
    "vectors are a pipe": be_a_pipe("vectors.faiss"),
    "vectors hold no numbers": sealed(change_vectors(lambda data: data[:-32] + NO_NUMBERS)),
    "a title is a number": sealed(change_json("questions.json", lambda rows: set_first(rows[0], 3, 7))),
    "lines are words": sealed(change_json("questions.json", lambda rows: set_first(rows[0], 9, ["a", "b"]))),
    "a parent is nobody": sealed(change_json("questions.json", lambda rows: set_first(rows[0], 12, "nobody"))),
    "headings are numbers": sealed(change_json("passages.json", lambda rows: set_first(rows[0], 6, [1]))),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_index_from_elsewhere_reads_nothing_elsewhere_and_is_made_anew(tmp_path: Path, name: str) -> None:
    settings = open_own(tmp_path, TEXT).settings
    FOREIGN[name](settings.index)
    with pytest.raises(IndexFault, match="重建：python -m rag.ingest"):
        open_index(settings.index)
    said: list[str] = []
    again = open_notes(settings, said.append)
    assert len(said) == 1
    assert again.ask(Query("什么是注意力")).citations[0].label == "Q1"
