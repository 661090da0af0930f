"""The eval data and its measures."""

import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest

from eval.cover import fit, measure_auroc
from eval.measure import bootstrap_interval, compare_paired, measure_queries
from eval.queries import load_beir, load_queries
from rag.errors import UsageError
from rag.lexical import ENGLISH_STOP_WORDS, STOP_WORDS, normalise
from rag.pipeline import Notes

COMMON = {"它", "会", "用", "不", "有", "个", "这", "那", "要", "一"}
"""Characters whose pairs carry no content."""


def test_queries_are_judged_to_questions_that_exist(notes: Notes) -> None:
    labels = {question.label for question in notes.questions}
    queries = load_queries()
    assert not {label for query in queries for label in query.grades} - labels
    assert len({query.id for query in queries}) == len(queries)
    assert not {query.category for query in queries if not query.grades} - {"absent", "offtopic"}


def test_every_kind_of_query_is_there() -> None:
    counts = Counter(query.category for query in load_queries())
    assert counts["far"] >= 25
    assert counts["english"] >= 25
    assert min(counts.values()) >= 5


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


def test_no_question_is_in_both_halves() -> None:
    halves: dict[str, set[str]] = {}
    for query in load_queries():
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


def test_the_fit_separates_what_can_be_separated() -> None:
    import numpy as np

    signs = np.array([[0.9, 0.0], [0.8, 0.0], [0.2, 1.0], [0.1, 1.0]])
    covered = np.array([1.0, 1.0, 0.0, 0.0])
    weights = fit(signs, covered)
    scores = weights[0] + signs @ weights[1:]
    assert measure_auroc(scores, covered) == 1.0
    assert (scores > 0).tolist() == [True, True, False, False]


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


def test_a_query_without_a_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(json.dumps({"id": "a", "text": "x", "relevant": []}))
    with pytest.raises(UsageError, match=r"q\.jsonl:1: 缺少字段 'also'"):
        load_queries(tmp_path / "q.jsonl")
