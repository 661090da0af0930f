"""Files taken into the notes: names, contents, writing, the trash, whole folders."""

import json
import os
import resource
import threading
import zipfile
from pathlib import Path

import pytest

from rag.errors import CorpusError, UsageError
from ui.imports import import_folder
from ui.trash import list_trash, move_to_trash, restore
from ui.uploads import MAX_NAME_BYTES, check_content, check_name, store

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def upload(tmp_path: Path, content: str | bytes) -> Path:
    file = tmp_path / "uploaded"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def write_docx(file: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
    return file


@pytest.mark.parametrize(
    "name", ["面经.md", "C++ 八股(2024)、上.md", "a b-c_d.MD", "笔记。第1版.txt", "x" * 197 + ".md"]
)
def test_an_ordinary_name_is_taken(name: str) -> None:
    assert check_name(name) == name


def test_a_name_is_kept_in_one_unicode_form() -> None:
    assert check_name("e\u0301.md") == "\u00e9.md"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../../x.md", "不能有路径"),
        ("/etc/passwd.md", "不能有路径"),
        ("..\\x.md", "不能有路径"),
        ("x.md/", "不能有路径"),
        ("a\0.md", r"不能用的字符（U\+0000）"),
        ("a\n.md", r"U\+000A"),
        ("gpj\u202edm.md", r"U\+202E"),
        ("a:b.md", r"U\+003A"),
        (".bashrc", "隐藏文件"),
        (".md", "隐藏文件"),
        ("", "隐藏文件"),
        ("   ", "隐藏文件"),
        ("con.md", "有些系统上存不下"),
        ("x.md ", "有些系统上存不下"),
        ("x.md.", "有些系统上存不下"),
        ("x" * 300 + ".md", f"最多 {MAX_NAME_BYTES}"),
        ("题" * 100 + ".md", "文件名太长"),
        ("x.exe", "能读的是 .md"),
        ("x", "能读的是"),
        ("md", "能读的是"),
    ],
)
def test_a_hostile_name_is_refused_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        check_name(name)
    assert len(str(caught.value).splitlines()) == 1
    assert "\0" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.md", b"", "空文件"),
        ("a.md", b"%PDF-1.4 x", "内容是PDF"),
        ("a.md", b"PK\x03\x04rest", "压缩包"),
        ("a.txt", b"\x7fELF\x02", "程序"),
        ("a.md", b"good\0text", "不是文本"),
        ("a.md", b"\xff\xfe\x00\xd8", "不是文本"),
        ("a.md", b"\x81", "不是文本"),
        ("a.pdf", b"just text", "不是 PDF"),
        ("a.docx", b"just text", "不是 Word"),
        ("a.docx", b"PK\x03\x04broken", "打不开"),
        ("a.ipynb", b"{}", "没有 cells"),
        ("a.ipynb", b"[1]", "没有 cells"),
        ("a.ipynb", b"not json", "没有存"),
        ("a.ipynb", b"[" * 100_000, "打不开"),
    ],
)
def test_a_content_that_belies_its_ending_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        check_content(name, upload(tmp_path, content))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", "# 题\n".encode()),
        ("a.md", "# 题目\n".encode("gbk")),
        ("a.txt", "\ufeff题".encode("utf-16-le")),
        ("a.html", b"<p>x</p>"),
        ("a.pdf", b"%PDF-1.7\n..."),
        ("a.ipynb", json.dumps({"cells": []}).encode()),
    ],
)
def test_a_content_that_fits_its_ending_is_taken(tmp_path: Path, name: str, content: bytes) -> None:
    file = upload(tmp_path, content)
    check_content(name, file)
    assert file.read_bytes() == content


def test_a_word_document_is_taken_and_a_plain_zip_is_not(tmp_path: Path) -> None:
    check_content("a.docx", write_docx(tmp_path / "good", {"word/document.xml": b"<w:document/>"}))
    with pytest.raises(UsageError, match="不是 Word 文档"):
        check_content("a.docx", write_docx(tmp_path / "bad", {"readme.txt": b"x"}))


def test_a_zip_bomb_is_refused_without_being_unpacked(tmp_path: Path) -> None:
    bomb = write_docx(tmp_path / "bomb", {"word/document.xml": bytes(60 * 1024 * 1024)})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(UsageError, match="压缩炸弹"):
        check_content("a.docx", bomb)


def test_a_zip_of_many_parts_is_refused(tmp_path: Path) -> None:
    parts = {f"{number}": b"" for number in range(5_001)} | {"word/document.xml": b"x"}
    with pytest.raises(UsageError, match="5002 个部分"):
        check_content("a.docx", write_docx(tmp_path / "many", parts))


def test_a_file_is_stored_whole_and_readable(folder: Path, tmp_path: Path) -> None:
    stored = store(folder, "a.md", upload(tmp_path, "# 1. 题\n"))
    assert (stored.outcome, stored.path) == ("added", folder / "a.md")
    assert stored.path.read_text(encoding="utf-8") == "# 1. 题\n"
    assert stored.path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(folder) == ["a.md"]


def test_the_same_content_is_said_and_not_stored_again(folder: Path, tmp_path: Path) -> None:
    store(folder, "a.md", upload(tmp_path, "same"))
    again = store(folder, "b.md", upload(tmp_path, "same"), replace=True)
    assert (again.outcome, again.path) == ("same", folder / "a.md")
    assert os.listdir(folder) == ["a.md"]


def test_another_content_under_a_taken_name_gets_a_number(folder: Path, tmp_path: Path) -> None:
    for text in ("one", "two", "three"):
        last = store(folder, "a.md", upload(tmp_path, text))
    assert (last.outcome, last.path.name) == ("copied", "a-3.md")
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "a.md": "one",
        "a-2.md": "two",
        "a-3.md": "three",
    }


def test_a_replaced_file_is_in_the_trash(folder: Path, tmp_path: Path) -> None:
    store(folder, "a.md", upload(tmp_path, "old"))
    assert store(folder, "a.md", upload(tmp_path, "new"), replace=True).outcome == "replaced"
    (trashed,) = list_trash([folder])
    assert ((folder / "a.md").read_text(), trashed.path.read_text(), trashed.home) == ("new", "old", folder / "a.md")


def test_uploads_at_once_lose_nothing(folder: Path, tmp_path: Path) -> None:
    files = []
    for number in range(12):
        files.append(tmp_path / f"up{number}")
        files[-1].write_text(f"text {number}")
    threads = [threading.Thread(target=store, args=(folder, "a.md", file)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {file.read_text() for file in folder.iterdir()} == {f"text {number}" for number in range(12)}


def test_a_link_under_the_name_is_not_written_through(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (folder / "a.md").symlink_to(tmp_path / "victim")
    store(folder, "a.md", upload(tmp_path, "new"))
    store(folder, "a.md", upload(tmp_path, "newer"), replace=True)
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_disk_that_takes_no_more_is_one_line_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    large = upload(tmp_path, "x" * 200_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(CorpusError, match="没有写成") as caught:
            store(folder, "a.md", large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(str(caught.value).splitlines()) == 1
    assert os.listdir(folder) == []


def test_a_restored_file_is_back_and_a_taken_name_is_respected(folder: Path) -> None:
    (folder / "a.md").write_text("first")
    move_to_trash(folder / "a.md")
    (folder / "a.md").write_text("second")
    (trashed,) = list_trash([folder])
    assert restore(trashed) == folder / "a-2.md"
    assert (folder / "a-2.md").read_text() == "first"
    assert list_trash([folder]) == []


def test_the_trash_of_a_subfolder_is_found_and_the_latest_is_first(folder: Path) -> None:
    (folder / "sub").mkdir()
    for file in (folder / "a.md", folder / "sub" / "b.md"):
        file.write_text("x")
        move_to_trash(file)
    assert [one.home for one in list_trash([folder])] == [folder / "sub" / "b.md", folder / "a.md"]


def test_a_file_gone_meanwhile_is_one_line(folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"a\.md: 没有删成"):
        move_to_trash(folder / "a.md")


def test_a_folder_brings_its_notes_and_their_pictures(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine"
    (source / "_img").mkdir(parents=True)
    (source / ".git").mkdir()
    (source / "a.md").write_text("# 1. 题\n")
    (source / "_img" / "1.png").write_bytes(PNG)
    (source / "_img" / "fake.png").write_bytes(b"no picture")
    (source / ".git" / "b.md").write_text("hidden")
    (source / "secret.key").write_text("key")
    (source / "bad.md").write_bytes(b"\x7fELF")
    (source / "link.md").symlink_to("/etc/hostname")
    done = import_folder(source, folder)
    copied = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    assert copied == ["mine/_img/1.png", "mine/a.md"]
    assert (len(done.stored), done.n_pictures, len(done.problems)) == (1, 1, 1)
    assert "bad.md" in done.problems[0]


def test_a_folder_added_twice_changes_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.md").write_text("x")
    import_folder(tmp_path / "mine", folder)
    assert [one.outcome for one in import_folder(tmp_path / "mine", folder).stored] == ["same"]


@pytest.mark.parametrize("inside", [".", "sub", ".."])
def test_the_notes_are_not_added_to_themselves(folder: Path, inside: str) -> None:
    (folder / "sub").mkdir()
    with pytest.raises(UsageError, match="互相包含"):
        import_folder(folder / inside, folder)


@pytest.mark.parametrize("name", ["", ".", "/nowhere/at/all", "~nobody-of-that-name/x", "/etc/hostname", "/a\0b"])
def test_a_folder_that_is_none_is_said(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="没有这个文件夹"):
        import_folder(Path(name), folder)
