"""The index in Milvus (Milvus Lite, the very code that talks to a server): whole generations, faults in one line."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag.adapters import milvus
from rag.adapters.milvus_files import Files
from rag.build import build
from rag.config import Settings
from rag.errors import IndexBusy, IndexFault, UsageError
from rag.lexical import WordIndex
from rag.pipeline import Notes, open_notes
from rag.stores import open_store
from rag.synonyms import load_thesaurus
from rag.types import Query
from tests.milvus_store import keep_small_notes, release
from tests.test_index import make_content

ROOT = Path(__file__).parent.parent
KILLED_WRITER = """
import sys, time
from pathlib import Path
from rag.adapters import milvus
from rag.build import build
from rag.config import Settings
from rag.pipeline import load_encoder

def stop(*_):
    print("ready", flush=True)
    time.sleep(600)

def stop_after_some(content, vectors, make=milvus.make_rows):
    for place, row in enumerate(make(content, vectors)):
        if place == 3:
            stop()
        yield row

corpus, folder, address, moment = sys.argv[1:]
if moment == "rows":
    milvus.make_rows = stop_after_some
    import rag.adapters.milvus_rows as rows
    rows.INSERTED_ROWS = 2
else:
    milvus.Rows.check = stop
settings = Settings((Path(corpus),), Path(folder), store=address)
build(settings, load_encoder(settings))
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    with keep_small_notes(tmp_path) as settings:
        yield settings


def test_only_what_changed_is_embedded_and_what_is_gone_is_gone(notes: Notes, own: Settings) -> None:
    assert build(own, notes.encoder).added == ("Q1", "Q2")
    file = own.corpus[0] / "a.md"
    file.write_text(file.read_text().partition("## 2.")[0] + "## 3. 什么是门控\n\n用门决定留下多少。\n")
    report = build(own, notes.encoder)
    assert (report.added, report.changed, report.removed) == (("Q3",), (), ("Q2",))
    assert report.n_embedded == 2
    opened = open_notes(own, lambda line: None)
    assert [question.label for question in opened.questions] == ["Q1", "Q3"]
    assert opened.ask(Query("门控是什么")).citations[0].label == "Q3"


def test_notes_without_changes_are_not_written_again(notes: Notes, own: Settings) -> None:
    build(own, notes.encoder)
    generation = open_store(own).generation()
    assert build(own, notes.encoder).n_embedded == 0
    assert open_store(own).generation() == generation


def test_a_reader_keeps_its_generation_while_newer_ones_are_written_and_one_old_one_stays(
    notes: Notes, own: Settings
) -> None:
    file = own.corpus[0] / "a.md"
    build(own, notes.encoder)
    reader = open_notes(own, lambda line: None)
    file.write_text(file.read_text().replace("残差", "跳连"))
    build(own, notes.encoder)
    assert reader.ask(Query("什么是残差")).citations[0].title == "什么是残差"
    assert open_notes(own, lambda line: None).ask(Query("什么是跳连")).citations[0].title == "什么是跳连"
    file.write_text(file.read_text().replace("跳连", "短路"))
    build(own, notes.encoder)
    client = milvus.connect(str(Path(own.store.removeprefix("milvus:")).resolve()), "")
    assert sorted(client.list_collections()) == [
        "mianjing_g0002",
        "mianjing_g0002_files",
        "mianjing_g0003",
        "mianjing_g0003_files",
    ]
    with pytest.raises(IndexFault, match="已经换成新的一代"):
        reader.ask(Query("注意力"))


@pytest.mark.parametrize("moment", ["rows", "count"])
def test_a_writer_killed_before_the_switch_leaves_the_former_generation_and_the_next_one_cleans_up(
    notes: Notes, own: Settings, moment: str
) -> None:
    path = Path(own.store.removeprefix("milvus:"))
    build(own, notes.encoder)
    release(path)
    file = own.corpus[0] / "a.md"
    file.write_text(file.read_text() + "\n## 3. 什么是门控\n\n用门决定留下多少。\n")
    arguments = [str(own.corpus[0]), str(own.index), own.store, moment]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, *arguments], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        writer.send_signal(signal.SIGKILL)
    before = open_notes(own, lambda line: None)
    assert [question.label for question in before.questions] == ["Q1", "Q2"]
    assert before.ask(Query("什么是残差")).citations[0].label == "Q2"
    client = milvus.connect(str(path.resolve()), "")
    assert "mianjing_g0002" in client.list_collections()
    build(own, notes.encoder)
    assert [question.label for question in open_notes(own, lambda line: None).questions] == ["Q1", "Q2", "Q3"]
    assert sorted({name.removesuffix("_files") for name in client.list_collections()}) == [
        "mianjing_g0001",
        "mianjing_g0003",
    ]
    assert client.query("mianjing_g0003", output_fields=["count(*)"])[0]["count(*)"] == 6


def test_two_sets_of_notes_share_a_server_under_names_of_their_own(notes: Notes, own: Settings) -> None:
    build(own, notes.encoder)
    other = replace(own, store=own.store + "#other")
    (own.corpus[0] / "a.md").write_text("## 9. 什么是蒸馏\n\n小模型学大模型。\n")
    build(other, notes.encoder)
    assert [question.label for question in open_notes(own, lambda line: None).questions] == ["Q1", "Q2"]
    assert [question.label for question in open_notes(other, lambda line: None).questions] == ["Q9"]


def test_a_passage_longer_than_a_field_holds_comes_back_whole(notes: Notes, own: Settings) -> None:
    content = make_content(3)
    long = "长" * 30_000
    passages = (replace(content.passages[0], text=long), *content.passages[1:])
    words = WordIndex.build(content.questions, passages, load_thesaurus()).to_arrays()
    store = open_store(own)
    store.write(replace(content, passages=passages, lexical=words))
    assert store.open().content.passages[0].text == long
    former = store.read_former()
    assert former is not None
    assert former.content.passages == passages
    np.testing.assert_array_equal(former.content.vectors.all(), content.vectors.all())
    assert former.content.row_keys == content.row_keys


def test_a_damaged_file_is_named_and_the_next_import_makes_it_anew(notes: Notes, own: Settings) -> None:
    build(own, notes.encoder)
    client = milvus.connect(str(Path(own.store.removeprefix("milvus:")).resolve()), "")
    part = Files(client, "mianjing_g0001_files").read_manifest()["files"]["questions.json"]["first"]
    client.upsert("mianjing_g0001_files", [{"part": part, "data": "AAAA", "nothing": [0.0, 0.0]}])
    with pytest.raises(IndexFault, match=r"questions\.json: Milvus 里的索引损坏了"):
        open_notes(own, lambda line: None)
    build(own, notes.encoder)
    assert len(open_notes(own, lambda line: None).questions) == 2


def test_an_import_by_another_encoder_is_refused(notes: Notes, own: Settings) -> None:
    build(own, notes.encoder)
    with pytest.raises(IndexFault, match="另一个编码器导入的.*现在是 other:1"):
        open_store(own).open("other:1")


def test_a_store_without_notes_says_how_to_import_them(own: Settings) -> None:
    with pytest.raises(IndexFault, match=r"还没有笔记；先导入：python -m rag\.ingest --store milvus:.*notes\.db"):
        open_notes(own, lambda line: None)
    assert not Path(own.store.removeprefix("milvus:")).exists()


def test_a_server_that_does_not_answer_is_one_clear_line(own: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(IndexFault, match="连不上 Milvus") as caught:
        open_notes(replace(own, store=f"milvus:{address}"), lambda line: None)
    assert "\n" not in str(caught.value)


def test_a_path_that_another_process_has_open_is_one_clear_line(notes: Notes, own: Settings) -> None:
    build(own, notes.encoder)
    result = subprocess.run(
        [sys.executable, "-m", "rag.ask", "--store", own.store, "残差"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert result.returncode == 2
    assert "另一个进程正开着它" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert issubclass(IndexBusy, IndexFault)


@pytest.mark.parametrize(
    ("store", "line"),
    [
        ("milvus:notes", "看不懂这个地址"),
        ("milvus:http://host:1#9", "看不懂这个地址"),
        ("milvus:http://user:secret@host:1", "milvus:host:1: 看不懂这个地址.*RAG_STORE_TOKEN"),
        ("redis:x", "要写成 milvus:地址"),
        ("milvus", "要写成"),
        ("milvus:", "要写成"),
    ],
)
def test_an_address_that_makes_no_sense_is_told(own: Settings, store: str, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        open_store(replace(own, store=store))


def test_without_the_extra_the_command_that_installs_it_is_told(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus.exceptions", None)
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(UsageError, match=r"pip install 'mianjing\[milvus\]'"):
        open_store(replace(own, store="milvus:http://127.0.0.1:1")).open()
