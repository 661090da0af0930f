"""The named configurations switch what they say, and the baselines are mapped to our questions."""

from dataclasses import fields

import pytest

from eval.configurations import CONFIGURATIONS, LADDER, LATER, PLAIN, WITHOUT, find_configuration
from eval.queries import EvalQuery
from eval.starter import find_missing, make_search, make_words, map_to_labels, split_stock
from rag.errors import UsageError
from rag.pipeline import EVERYTHING
from rag.retrieve import Parts
from rag.types import Query
from tests.test_eval_spans import DOCUMENT, TEXT, TEXTS, parse


def test_every_part_of_retrieval_has_a_rung_and_a_row_without_it() -> None:
    parts = [field.name for field in fields(Parts) if field.name != "fusion"]
    assert sorted(["words", "vectors", *LATER]) == sorted(parts)
    assert [name for name in parts if f"full-{name}" not in CONFIGURATIONS] == []


def test_the_ladder_ends_with_everything_and_never_repeats() -> None:
    assert LADDER[-1].parts == Parts() == EVERYTHING
    for rows in (LADDER, WITHOUT):
        assert len({configuration.parts for configuration in rows}) == len(rows)
    assert (PLAIN.words, PLAIN.vectors, PLAIN.fusion) == (True, True, "learned")
    assert not any(getattr(PLAIN, name) for name in LATER)


def test_a_row_without_a_part_differs_from_everything_by_that_part_only() -> None:
    for name, configuration in CONFIGURATIONS.items():
        if name.startswith("full-"):
            off = [f.name for f in fields(Parts) if getattr(configuration.parts, f.name) != getattr(Parts(), f.name)]
            assert off == [name.removeprefix("full-")]


def test_an_unknown_configuration_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError, match="--config nope: 没有这个配置；可选 bm25、dense"):
        find_configuration("nope")


def test_a_node_stands_for_the_questions_it_overlaps_largest_first() -> None:
    outer = [question for question in parse() if not question.parent]
    first, second, third = outer
    assert map_to_labels(DOCUMENT.path, first.end - 3, second.end, outer) == ["Q2", "Q1"]
    assert map_to_labels(DOCUMENT.path, 0, len(TEXT), outer)[0] == "Q1"
    assert map_to_labels(DOCUMENT.path, third.start, third.start, outer) == []
    assert map_to_labels("other.md", 0, len(TEXT), outer) == []


def test_the_stock_bm25_retriever_ranks_our_labels() -> None:
    outer = [question for question in parse() if not question.parent]
    assert not find_missing()
    search = make_search(make_words(split_stock(TEXTS)), outer)
    ranking, confidence = search(EvalQuery("n1", Query("softmax"), "near", "dev", {}))
    assert [label for label, _ in ranking][0] == "Q1"
    assert confidence == ranking[0][1]
    assert search(EvalQuery("n2", Query("  "), "adversarial", "dev", {})) == ((), 0.0)
