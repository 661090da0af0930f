"""What of a question is quoted."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.quote import (
    choose_units,
    fold,
    join_runs,
    make_spans,
    put_best_first,
    share_room,
    weigh_units,
)
from rag.types import Passage, Question
from rag.units import Unit

QUESTION = Question("a:Q1", "Q1", "1", "问", "1. 问", "a.md", 0, 0, 99, (1, 3), headings=(), content="text")


def make_units(*paragraphs: Sequence[str]) -> list[Unit]:
    """Make units, a sentence each, of paragraphs."""
    text = "\n\n".join("".join(sentences) for sentences in paragraphs)
    whole = Passage("a:Q1#0", "a:Q1", text, 0, len(text), (1, 1 + text.count("\n")), (), "", "")
    units, at = [], 0
    for number, sentences in enumerate(paragraphs):
        for sentence in sentences:
            at = text.index(sentence, at)
            units.append(Unit(whole, at, at + len(sentence), "prose", number, sentence))
            at += len(sentence)
    return units


def same_closeness(parts: Sequence[str]) -> Sequence[float]:
    return [0.5] * len(parts)


def shown(units: Sequence[Unit]) -> list[str]:
    return [unit.text for unit in units]


def test_a_sentence_with_the_words_asked_for_weighs_more_and_one_that_asks_less() -> None:
    units = make_units(["天气很好。"], ["学习率要预热。"], ["学习率要预热吗？"], ["今天下雨。"])
    weights = weigh_units("学习率预热", units, same_closeness, 4)
    assert weights.argmax() == 1
    assert weights[2] < weights[1]


def test_only_so_many_units_are_embedded_and_the_others_count_as_the_farthest() -> None:
    seen: list[str] = []

    def closeness(parts: Sequence[str]) -> Sequence[float]:
        seen.extend(parts)
        return [0.9, 0.1]

    units = make_units(["没有关系。"], ["学习率预热。"], ["也没有。"], ["学习率。"], ["没有。"])
    weights = weigh_units("学习率预热", units, closeness, 2)
    assert seen == ["学习率预热。", "学习率。"]
    assert weights[0] < weights[1]


def test_a_paragraph_that_fits_is_chosen_whole_and_in_the_order_of_the_notes() -> None:
    units = make_units(["一一一。", "二二二。"], ["三三三。"], ["四四四。", "五五五。"])
    weights = np.array([0.1, 0.8, 0.2, 0.6, 0.9])
    assert shown(choose_units(units, weights, 16)) == ["一一一。", "二二二。", "四四四。", "五五五。"]
    assert shown(choose_units(units, weights, 9)) == ["四四四。", "五五五。"]


def test_of_a_paragraph_too_long_the_best_sentences_are_chosen_and_at_least_one() -> None:
    units = make_units(["一一一一一一。", "二二二。", "三三三三三三三三。"])
    assert shown(choose_units(units, np.array([0.1, 0.5, 0.9]), 10)) == ["三三三三三三三三。"]
    assert shown(choose_units(units, np.array([0.1, 0.5, 0.9]), 1)) == ["三三三三三三三三。"]


def test_what_is_far_worse_than_the_best_is_left_out_though_there_is_room() -> None:
    units = make_units(["一一一。"], ["二二二。"], ["三三三。"])
    assert shown(choose_units(units, np.array([1.0, 0.6, 0.4]), 11)) == ["一一一。", "二二二。"]


def test_a_sentence_that_leans_brings_the_one_before_it() -> None:
    units = make_units(["模型很大。"], ["因此要剪枝。"], ["无关的话。"])
    assert shown(choose_units(units, np.array([0.1, 0.9, 0.1]), 10)) == ["模型很大。", "因此要剪枝。"]
    assert shown(choose_units(units, np.array([0.1, 0.9, 0.1]), 7)) == ["因此要剪枝。"]


def test_the_best_run_comes_first_unless_it_needs_what_is_before_it() -> None:
    units = make_units(["一一一。"], ["二二二。"], ["三三三。"])
    apart = [[units[0]], [units[2]]]
    assert put_best_first(apart, units, np.array([0.1, 0.2, 0.9])) == [[units[2]], [units[0]]]
    leaning = make_units(["一一一。"], ["二二二。"], ["但是三三三。"])
    apart = [[leaning[0]], [leaning[2]]]
    assert put_best_first(apart, leaning, np.array([0.1, 0.2, 0.9])) == apart


def test_sentences_of_one_paragraph_keep_their_order() -> None:
    units = make_units(["一一一。", "二二二。", "三三三。"])
    apart = [[units[0]], [units[2]]]
    assert put_best_first(apart, units, np.array([0.1, 0.2, 0.9])) == apart


def test_neighbours_are_one_run_and_one_span() -> None:
    units = make_units(["一一一。", "二二二。"], ["三三三。"], ["四四四。"])
    runs = join_runs(units, [units[0], units[1], units[3]])
    assert [shown(run) for run in runs] == [["一一一。", "二二二。"], ["四四四。"]]
    spans = make_spans(QUESTION, [(unit.whole, unit.start, unit.end) for unit in units], 1.0)
    assert [span.text for span in spans] == ["一一一。二二二。\n\n三三三。\n\n四四四。"]


def test_what_is_not_quoted_between_two_units_parts_their_spans() -> None:
    first, _, last = make_units(["一一一。"], ["中间的话。"], ["三三三。"])
    spans = make_spans(QUESTION, [(unit.whole, unit.start, unit.end) for unit in (first, last)], 1.0)
    assert [span.text for span in spans] == ["一一一。", "三三三。"]


@pytest.mark.parametrize(
    ("sizes", "scores", "limit", "room"),
    [
        ([300, 200], [0.9, 0.1], 600, [300, 200]),
        ([1000, 1000], [0.5, 0.5], 600, [300, 300]),
        ([1000, 50], [0.5, 0.5], 600, [550, 50]),
        ([100, 1000], [0.9, 0.1], 600, [100, 500]),
        ([0, 10], [0.0, 0.0], 600, [0, 10]),
        ([], [], 600, []),
    ],
)
def test_room_is_shared_by_score_and_what_is_not_needed_passed_on(
    sizes: list[int], scores: list[float], limit: int, room: list[int]
) -> None:
    assert share_room(sizes, scores, limit) == room


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.floats(0.01, 1)), max_size=5),
    st.integers(1, 2000),
)
def test_no_more_room_is_given_than_there_is_nor_less_than_is_needed(
    questions: list[tuple[int, float]], limit: int
) -> None:
    sizes = [size for size, _ in questions]
    room = share_room(sizes, [score for _, score in questions], limit)
    assert sum(room) <= limit
    assert all(own <= size for own, size in zip(room, sizes, strict=True))
    assert sum(sizes) > limit or room == sizes


def test_sentences_are_held_equal_by_their_words_when_long_enough() -> None:
    one, other, short = make_units(["**多头**可以让模型，关注不同方面！"], ["多头可以让模型关注不同方面。"], ["好的。"])
    one, other = (
        Unit(unit.whole, 0, 1, "prose", 0, words)
        for unit, words in ((one, "多头 可以让模型，关注不同方面！"), (other, other.words))
    )
    assert fold(one) == fold(other) != ""
    assert fold(short) == ""


def test_chosen_units_are_in_the_order_of_the_notes_whatever_their_weights() -> None:
    units = make_units(*[[f"第{number}句话。"] for number in "一二三四五六"])
    rng = np.random.default_rng(7)
    for _ in range(50):
        chosen = choose_units(units, rng.random(6), 20)
        assert all(one.start < other.start for one, other in pairwise(chosen))
        assert sum(unit.n_chars for unit in chosen) <= 20 * 1.25
