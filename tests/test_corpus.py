"""Reading notes: encodings, broken files, and what is said about them."""

from pathlib import Path

import pytest

from rag.corpus import corpus_digest, read_corpus
from rag.errors import CorpusError

TEXT = "# 1. 什么是注意力？\n\n把权重分给各个位置。\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.encode("gbk"),
        b"\xff\xfe" + TEXT.encode("utf-16-le"),
    ],
    ids=["utf-8", "mark", "crlf", "gbk", "utf-16"],
)
def test_notes_in_any_usual_encoding_read_the_same(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.md").write_bytes(data)
    assert read_corpus([tmp_path]).documents[0].text == TEXT


def test_a_broken_file_is_named_with_its_byte_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text(TEXT, encoding="utf-8")
    (tmp_path / "bad.md").write_bytes("好".encode() + b"\xff\xff\xff")
    reading = read_corpus([tmp_path])
    assert [document.stem for document in reading.documents] == ["good"]
    assert len(reading.problems) == 1
    assert "bad.md" in reading.problems[0]
    assert "第 4 个字节 0xff" in reading.problems[0]


def test_a_binary_file_is_a_problem_not_a_document(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text(TEXT, encoding="utf-8")
    (tmp_path / "image.md").write_bytes(b"PNG\x00\x01")
    assert "第 4 个字节是 0" in read_corpus([tmp_path]).problems[0]


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"没有找到笔记.*--corpus"):
        read_corpus([tmp_path])


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere: 没有这个文件或文件夹"):
        read_corpus([tmp_path / "nowhere"])


def test_hidden_files_are_left_out_and_each_file_is_read_once(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.md").write_text(TEXT, encoding="utf-8")
    (tmp_path / "a.md").write_text(TEXT, encoding="utf-8")
    (tmp_path / "b.md").symlink_to(tmp_path / "a.md")
    assert len(read_corpus([tmp_path, tmp_path / "a.md"]).documents) == 1


def test_files_of_one_name_get_stems_of_their_own(tmp_path: Path) -> None:
    for folder in ("nlp", "cv"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.md").write_text(TEXT, encoding="utf-8")
    assert [document.stem for document in read_corpus([tmp_path]).documents] == ["cv-notes", "nlp-notes"]


def test_the_digest_changes_with_a_byte_and_with_a_name(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text(TEXT, encoding="utf-8")
    first = corpus_digest([tmp_path])
    assert corpus_digest([tmp_path]) == first
    file.write_text(TEXT + "。", encoding="utf-8")
    second = corpus_digest([tmp_path])
    file.rename(tmp_path / "b.md")
    assert len({first, second, corpus_digest([tmp_path])}) == 3
