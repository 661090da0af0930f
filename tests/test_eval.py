"""The eval data and its measures."""

import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest

from eval.measure import FIRST, bootstrap_interval, compare_paired, measure_queries, measure_rankings
from eval.queries import OWN, load_beir, load_queries, select_split
from rag.errors import UsageError
from rag.pipeline import Notes
from rag.tokenize import ENGLISH_STOP_WORDS, STOP_WORDS, normalise

UNSEEN = OWN.with_name("unseen.jsonl")
COMMON = {"它", "会", "用", "不", "有", "个", "这", "那", "要", "一"}
"""Characters whose pairs carry no content."""


@pytest.mark.parametrize("file", [OWN, UNSEEN])
def test_queries_are_judged_to_questions_that_exist(notes: Notes, file: Path) -> None:
    labels = {question.label for question in notes.questions}
    queries = load_queries(file)
    assert not {label for query in queries for label in query.grades} - labels
    assert len({query.id for query in queries}) == len(queries)
    assert not {query.category for query in queries if not query.grades} - {
        "absent",
        "offtopic",
        "adversarial",
        "number",
    }
    assert all(query.covered == bool(query.grades) for query in queries)


def test_every_kind_of_query_is_there() -> None:
    counts = Counter(query.category for query in load_queries())
    assert len(counts) >= 14
    assert counts["far"] >= 25
    assert counts["english"] >= 25
    assert min(counts.values()) >= 15
    assert any(not query.query.text for query in load_queries())


def content_bigrams(text: str) -> set[str]:
    runs = re.findall(r"[\u4e00-\u9fff]+", STOP_WORDS.sub(" ", normalise(text)))
    pairs = {run[at : at + 2] for run in runs for at in range(len(run) - 1)}
    words = set(re.findall(r"[a-z]{2,}", normalise(text).lower())) - ENGLISH_STOP_WORDS
    return {pair for pair in pairs if not set(pair) & COMMON} | words


def test_far_paraphrases_share_no_word_with_the_heading(notes: Notes) -> None:
    titles = {question.label: question.title for question in notes.questions}
    shared = {
        query.id: content_bigrams(query.query.text) & content_bigrams(titles[label])
        for query in load_queries()
        if query.category == "far"
        for label, grade in query.grades.items()
        if grade == 2
    }
    assert {identity: words for identity, words in shared.items() if words} == {}


def test_the_unseen_queries_are_others() -> None:
    shared = {query.query.text for query in load_queries()} & {query.query.text for query in load_queries(UNSEEN)}
    assert len(shared) < 10  # two people type the same keyword


@pytest.mark.parametrize("file", [OWN, UNSEEN])
def test_no_question_is_in_both_halves(file: Path) -> None:
    halves: dict[str, set[str]] = {}
    for query in load_queries(file):
        for label in [label for label, grade in query.grades.items() if grade == 2][:1]:
            halves.setdefault(label, set()).add(query.split)
    assert [label for label, splits in halves.items() if len(splits) > 1] == []


def test_ndcg_is_the_textbooks() -> None:
    qrels = {"q": {"a": 2, "b": 1}}
    run = {"q": {"x": 3.0, "a": 2.0, "b": 1.0}}
    gained = 2 / math.log2(3) + 1 / math.log2(4)
    ideal = 2 / math.log2(2) + 1 / math.log2(3)
    assert measure_queries(qrels, run)["q"] == pytest.approx(gained / ideal)


def test_a_query_without_results_scores_nothing() -> None:
    assert measure_queries({"q": {"a": 1}, "p": {"b": 1}}, {"q": {"a": 1.0}}) == {"q": 1.0, "p": 0.0}


def test_the_bootstrap_is_seeded_and_holds_the_mean() -> None:
    values = [0.0, 1.0] * 50
    low, high = bootstrap_interval(values)
    assert bootstrap_interval(values) == (low, high)
    assert 0.39 < low < 0.42
    assert 0.58 < high < 0.61


def test_a_paired_difference_is_sure_where_every_query_gains() -> None:
    mean, (low, high) = compare_paired({"a": 0.1, "b": 0.5}, {"a": 0.3, "b": 0.7})
    assert (mean, low, high) == (pytest.approx(0.2), pytest.approx(0.2), pytest.approx(0.2))


def test_different_queries_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same queries"):
        compare_paired({"a": 1.0}, {"b": 1.0})


def test_only_the_order_of_a_ranking_counts() -> None:
    values = measure_rankings({"q": {"a": 2, "b": 1}, "p": {"a": 2}}, {"q": ["b", "a"]})
    assert values["q"] == {"nDCG@10": pytest.approx((1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3))), "R@1": 0.5,
                           "R@5": 1.0, "RR": 1.0}  # fmt: skip
    assert set(values["p"].values()) == {0.0}


def test_a_first_question_that_only_touches_the_query_is_not_right() -> None:
    qrels = {"q": {"a": 2, "b": 1}}
    first = [measure_rankings(qrels, {"q": ranking}, [FIRST])["q"] for ranking in (["a", "b"], ["b", "a"])]
    assert first == [{str(FIRST): 1.0}, {str(FIRST): 0.0}]


def test_the_bootstrap_of_many_values_draws_in_parts() -> None:
    low, high = bootstrap_interval([0.0, 1.0] * 1500)
    assert 0.48 < low < 0.485
    assert 0.515 < high < 0.52


def test_a_split_is_one_half() -> None:
    queries = load_queries()
    dev, test = select_split(queries, "dev"), select_split(queries, "test")
    assert {query.split for query in dev} == {"dev"}
    assert len(dev) + len(test) == len(select_split(queries, "all")) == len(queries)


def test_a_beir_folder_is_read_and_a_broken_line_named(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "title": "题", "text": "文\u2028文"}\n', encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text(
        '{"_id": "q", "text": "问"}\n{"_id": "unjudged", "text": "x"}\n', encoding="utf-8"
    )
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    data = load_beir(tmp_path)
    assert (data.texts, data.queries, data.qrels) == ({"d": "题\n文\u2028文"}, {"q": "问"}, {"q": {"d": 1}})
    (tmp_path / "corpus.jsonl").write_text("{\n")
    with pytest.raises(UsageError, match=r"corpus\.jsonl:1: 不是 JSON"):
        load_beir(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("corpus.jsonl", '{"title": "题"}\n', r"corpus\.jsonl:1: 缺少字段 '_id'"),
        ("corpus.jsonl", "[]\n", r"corpus\.jsonl:1: 要一个 JSON 对象"),
        ("queries.jsonl", '{"_id": "other", "text": "x"}\n', r"queries\.jsonl: 没有 qrels 里的 query 'q'"),
        ("qrels/test.tsv", "a\tb\tscore\nq\td\n", r"test\.tsv:2: 要有三列"),
        ("qrels/test.tsv", "a\tb\tscore\nq\td\tx\n", r"test\.tsv:2: score 要是整数，找到 'x'"),
    ],
)
def test_a_fault_in_a_beir_folder_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "text": "文"}\n', encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "问"}\n', encoding="utf-8")
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    assert load_beir(tmp_path).qrels == {"q": {"d": 1}}
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        load_beir(tmp_path)


def test_a_query_without_a_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(json.dumps({"id": "a", "text": "x", "relevant": []}))
    with pytest.raises(UsageError, match=r"q\.jsonl:1: 缺少字段 'also'"):
        load_queries(tmp_path / "q.jsonl")
