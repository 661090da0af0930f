"""The index in Milvus (Milvus Lite, the very code that talks to a server): the rankings of the local one, whole generations."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag import retrieve
from rag.adapters import milvus
from rag.adapters.milvus_files import Files
from rag.adapters.milvus_reader import StoredVectors
from rag.adapters.milvus_rows import Ids, Rows, Scores
from rag.build import build
from rag.config import Settings
from rag.errors import IndexBusy, IndexFault, UsageError
from rag.lexical import WordIndex
from rag.pipeline import Notes, open_notes
from rag.stores import open_store
from rag.synonyms import load_thesaurus
from rag.tokenize import weigh_query
from rag.types import Hit, Query, Turn
from tests.conftest import CORPUS
from tests.test_index import make_content

ROOT = Path(__file__).parent.parent
QUERIES = [json.loads(line) for line in (ROOT / "eval" / "data" / "queries.jsonl").read_text().splitlines()]
TIED = 2e-4
"""Scores are rounded to four digits, and Milvus adds its products in another order: hits this close may change places."""

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


def release(path: Path) -> None:
    """Let another process open a Milvus Lite path."""
    from milvus_lite.server_manager import server_manager_instance

    milvus.connect.cache_clear()
    server_manager_instance.release_server(str(path))


def make_settings(folder: Path, corpus: Path = CORPUS, name: str = "") -> Settings:
    return Settings((corpus,), folder / "index", store=f"milvus:{folder / 'notes.db'}{name}")


@pytest.fixture(scope="module")
def stored(notes: Notes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notes]:
    """The real notes, imported into Milvus Lite."""
    settings = make_settings(tmp_path_factory.mktemp("milvus"))
    build(settings, notes.encoder)
    yield open_notes(settings, lambda line: None)
    release(Path(settings.store.removeprefix("milvus:")))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    """Settings of two small notes and a Milvus of their own."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text(
        "## 1. 什么是注意力\n\n按相关程度加权求和。\n\n## 2. 什么是残差\n\n输入加到输出上。\n"
    )
    yield make_settings(tmp_path, tmp_path / "notes")
    release(tmp_path / "notes.db")


def read_query(entry: dict[str, object]) -> Query:
    history = entry.get("history", [])
    assert isinstance(history, list)
    return Query(str(entry["text"]), tuple(Turn(turn["role"], turn["content"]) for turn in history))


def assert_same_order(first: Sequence[Hit], second: Sequence[Hit]) -> None:
    """Compare ids and scores place by place; hits that tie may stand in either order."""
    assert [hit.score for hit in second] == pytest.approx([hit.score for hit in first], abs=TIED)
    score_of = {hit.question.id: hit.score for hit in first}
    for one, other in zip(first, second, strict=True):
        # Q29 and Q30 say the same: where few are candidates, either may be the last of them.
        ties = abs(score_of.get(other.question.id, -1.0) - one.score) <= TIED
        assert other.question.id == one.question.id or ties or other.question.title == one.question.title


@pytest.mark.parametrize("limits", [(300, 512), (8, 12)], ids=["all-are-candidates", "few-candidates"])
def test_the_ten_best_are_those_of_the_local_index(
    notes: Notes, stored: Notes, limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieve, "MAX_CANDIDATES", limits[0])
    monkeypatch.setattr(retrieve, "DENSE_ROWS", limits[1])
    for entry in QUERIES[::25]:
        one, other = notes.search(read_query(entry)), stored.search(read_query(entry))
        assert_same_order(one.hits, other.hits)
        assert other.coverage == pytest.approx(one.coverage, abs=TIED)


def test_answers_and_citations_are_those_of_the_local_index(notes: Notes, stored: Notes) -> None:
    for text in (
        "为什么要除以根号dk",
        "第16题",
        "BERT 为什么要用 mask",
        "红烧肉怎么做",
        "NSP 有没有必要？另外学习率 warm-up 是怎么做的？",
    ):
        one, other = (replace(source.ask(Query(text)), elapsed_ms=0) for source in (notes, stored))
        assert (other.text, [c.label for c in other.citations]) == (one.text, [c.label for c in one.citations])
        assert [(c.lines, c.quote, c.digest) for c in other.citations] == [
            (c.lines, c.quote, c.digest) for c in one.citations
        ]


def test_questions_passages_and_what_says_the_same_are_those_of_the_local_index(notes: Notes, stored: Notes) -> None:
    assert stored.questions == notes.questions
    assert {key: list(passages) for key, passages in stored.passages.items()} == dict(notes.passages)
    q29 = next(question for question in notes.questions if question.label == "Q29")
    assert stored._searcher.same_content(q29) == notes._searcher.same_content(q29) == ["Q29", "Q30"]


@pytest.mark.parametrize("text", ["为什么用层归一化", "LayerNorm 和 BatchNorm", "zzzz", "红烧肉"])
def test_word_scores_are_bm25s_own(notes: Notes, stored: Notes, text: str) -> None:
    local, remote = WordIndex(notes.index.content.lexical).search(text), stored._searcher._words.search(text)
    every = np.arange(len(notes.index.content.passages))
    for one, other in (
        (local.passages, remote.passages),
        (local.concepts, remote.concepts),
        (local.topics, remote.topics),
    ):
        np.testing.assert_allclose(other.scores[every], one.scores[every], rtol=1e-4, atol=1e-5)
        assert other.ceiling == pytest.approx(one.ceiling)
    assert set(remote.passages.best(5)) <= set(np.flatnonzero(local.passages.scores))
    assert remote.n_unknown_names == local.n_unknown_names


def test_a_term_so_common_that_the_budget_is_spent_is_left_out_as_locally(
    notes: Notes, stored: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.bm25.POSTINGS_BUDGET", 30)
    monkeypatch.setattr("rag.adapters.milvus_reader.POSTINGS_BUDGET", 30)
    local, remote = (source._searcher._words._passages for source in (notes, stored))  # type: ignore[attr-defined]
    terms = weigh_query("层归一化的位置编码和注意力")
    every = np.arange(len(notes.index.content.passages))
    np.testing.assert_allclose(remote.search(terms).scores[every], local.search(terms).scores, rtol=1e-4, atol=1e-5)


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


def test_many_rows_get_an_approximate_index_and_candidates_are_scored_alike(
    notes: Notes, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.adapters.milvus_rows.EXACT_ROWS", 10)
    settings = replace(own, corpus=(CORPUS,))
    build(settings, notes.encoder)
    client = milvus.connect(str(Path(own.store.removeprefix("milvus:")).resolve()), "")
    assert client.describe_index("mianjing_g0001", "vector")["index_type"] == "HNSW"
    opened = open_notes(settings, lambda line: None)
    for entry in QUERIES[::100]:
        assert_same_order(notes.search(read_query(entry)).hits, opened.search(read_query(entry)).hits)


def test_rows_that_an_approximate_search_does_not_reach_are_scored_all_the_same(stored: Notes) -> None:
    class Forgetful(Rows):
        def search(self, *values: object, **named: object) -> tuple[Ids, Scores]:
            rows, scores = super().search(*values, **named)  # type: ignore[arg-type]
            return rows[:3], scores[:3]

    whole = stored.index.content.vectors
    some = StoredVectors(Forgetful(whole._rows._client, whole._rows._name), len(whole))
    rows, query = np.array([5, 1, 9, 40, 2, 60]), whole.take(np.array([9]))
    np.testing.assert_allclose(some.score(rows, query), whole.score(rows, query), atol=1e-5)
    np.testing.assert_allclose(some.score(rows, query), whole.take(rows) @ query[0], atol=1e-5)


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
