"""BEIR sets, ranked by the real retriever."""

import json
from pathlib import Path

import pytest

from eval.beir import choose_queries, find_sets, open_set, run_set, to_documents
from eval.configurations import find_configuration
from eval.queries import load_beir
from eval.summary import summarise
from rag.config import Settings
from rag.pipeline import Notes

TEXTS = {
    "d1": ("位置编码", "Transformer 没有循环结构，所以要给每个位置加上编码，模型才知道词的先后。"),
    "d2": ("", "红烧肉要先焯水，再用冰糖炒糖色，小火炖一个小时。"),
    "d3": ("量子计算", "量子比特可以同时处在多个状态的叠加里。"),
    "d4": ("", ""),
    "第3题": ("猫", "猫每天要睡十几个小时。"),
}
QUERIES = {"q1": ("词的顺序怎么告诉模型", "d1"), "q2": ("红烧肉怎么做", "d2"), "q3": ("猫睡多久", "第3题")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "toy"
    (place / "qrels").mkdir(parents=True)
    rows = [json.dumps({"_id": key, "title": title, "text": text}) for key, (title, text) in TEXTS.items()]
    (place / "corpus.jsonl").write_text("\n".join(rows))
    (place / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": key, "text": text}) for key, (text, _) in QUERIES.items())
    )
    lines = [f"{key}\t{unit}\t1" for key, (_, unit) in QUERIES.items()]
    (place / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines))
    return place


def test_a_document_is_one_question_with_its_title_apart(folder: Path) -> None:
    pairs = list(to_documents(load_beir(folder)))
    assert [question.label for _, question in pairs] == list(TEXTS)
    for document, question in pairs:
        title, text = TEXTS[question.label]
        assert (question.title, document.text[question.body_start : question.end]) == (title, text)
        assert question.path == document.path
    assert [question.content for _, question in pairs][3] == "empty"


@pytest.mark.parametrize("name", ["bm25", "dense", "full"])
def test_a_toy_set_is_ranked_by_the_real_retriever(notes: Notes, folder: Path, name: str) -> None:
    data = load_beir(folder)
    own = open_set(data, notes.encoder, Settings((folder,), folder))
    result = run_set(own, choose_queries(data, 0), find_configuration(name))
    assert {record.id: record.ranking[0][0] for record in result.records} == {
        q: unit for q, (_, unit) in QUERIES.items()
    }
    overall = summarise(result.records)["overall"]
    assert {name: value["mean"] for name, value in overall.items()} == {
        "nDCG@10": 1.0, "R@1": 1.0, "R@5": 1.0, "RR": 1.0,
    }  # fmt: skip


def test_each_configuration_ranks_by_its_own_parts(notes: Notes, folder: Path) -> None:
    data = load_beir(folder)
    own = open_set(data, notes.encoder, Settings((folder,), folder))
    words, vectors = (run_set(own, choose_queries(data, 0), find_configuration(name)) for name in ("bm25", "dense"))
    assert [record.ranking for record in words.records] != [record.ranking for record in vectors.records]
    assert words.digest != vectors.digest


def test_wrong_judgements_are_measured_as_wrong(notes: Notes, folder: Path) -> None:
    lines = [f"{key}\td3\t1" for key in QUERIES]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines))
    data = load_beir(folder)
    own = open_set(data, notes.encoder, Settings((folder,), folder))
    result = run_set(own, choose_queries(data, 0), find_configuration("full"))
    assert summarise(result.records)["overall"]["R@1"]["mean"] == 0.0


def test_a_limit_chooses_the_same_queries_every_time(folder: Path) -> None:
    data = load_beir(folder)
    two = choose_queries(data, 2)
    assert len(two) == 2
    assert two == choose_queries(data, 2) == choose_queries(data, 0)[:2]


def test_a_folder_of_sets_stands_for_the_sets(folder: Path) -> None:
    assert find_sets([folder]) == [folder]
    assert find_sets([folder.parent]) == [folder]
    assert find_sets([folder / "nothing"]) == [folder / "nothing"]
