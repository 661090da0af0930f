"""The weights of retrieval are fitted to what was judged, on the project's own notes and on notebooks."""

import random
from pathlib import Path

import numpy as np

from eval.fit import Described, choose_threshold, fit_coverage, fit_ranking
from eval.notebooks import bind_notebook
from eval.queries import EvalQuery
from rag.config import Settings
from rag.embed import ShippedEncoder
from rag.models.data import CARDS, is_held_out, read_cards
from rag.retrieve import Ranking
from rag.types import Query
from rag.weights import COVER_SIGNS, SIGNS


def describe(sign: str, answer: int, n: int, cover: float = 0.0, *, covered: bool = True) -> Described:
    """Make a query of `n` candidates, of which the one at `answer` has most of a sign."""
    signs = np.zeros((n, len(SIGNS)), dtype=np.float32)
    signs[answer, SIGNS.index(sign)] = 1.0
    cover_signs = np.zeros(len(COVER_SIGNS), dtype=np.float32)
    cover_signs[[COVER_SIGNS.index("bias"), COVER_SIGNS.index("cosine")]] = 1.0, cover
    none = np.zeros(0, dtype=np.int64)
    ranking = Ranking(np.arange(n), signs, signs.sum(axis=1), cover_signs, none, none.astype(np.float32))
    labels = [f"Q{at}" for at in range(n)]
    grades = {f"Q{answer}": 2} if covered else {}
    return Described(EvalQuery("x", Query("x"), "near", "dev", grades), ranking, labels, 1.0)


def test_the_sign_that_points_at_the_answer_gets_the_weight() -> None:
    described = [describe("title_cosine", at % 3, 3 + at % 4) for at in range(24)]
    weights = fit_ranking(described)
    assert max(weights, key=lambda name: weights[name] if name != "words" else 0.0) == "title_cosine"
    assert weights["title_cosine"] > 3 * weights["cosine"]


def test_coverage_rises_with_the_sign_that_tells_covered_from_not() -> None:
    rows = [(0.9, True), (0.8, True), (0.7, True), (0.3, False), (0.2, False), (0.4, False)] * 5
    described = [describe("cosine", 0, 3, cover, covered=covered) for cover, covered in rows]
    cover = fit_coverage(described)
    assert cover["cosine"] > 1.0

    def chance(value: float) -> float:
        return 1 / (1 + float(np.exp(-(cover["bias"] + cover["cosine"] * value))))

    assert chance(0.4) < choose_threshold(described, cover) < chance(0.7)


def test_a_notebook_asks_for_its_cards_and_for_those_torn_out(tmp_path: Path) -> None:
    names = ("deep-learning", "engineering", "llm", "machine-learning", "nlp", "practice")
    groups = [group for group in read_cards(CARDS) if is_held_out(group) and group[0].group.split(":")[0] in names][:2]
    book = bind_notebook("book", groups, random.Random(1), ShippedEncoder(), Settings((tmp_path,), tmp_path))
    n_cards = sum(len(group) for group in groups)
    labels = {question.label for question in book.notes.questions}
    assert len(labels) == n_cards - round(0.25 * n_cards)
    assert len(book.queries) == sum(len(texts) for group in groups for card in group for texts in card.asked.values())
    assert {label for query in book.queries for label in query.grades} == labels
    assert len({query.id.split(":")[1] for query in book.queries if not query.grades}) == round(0.25 * n_cards)
    near = [query for query in book.queries if query.category == "near" and query.grades]
    found = [book.notes.search(query.query).hits[0].question.label in query.grades for query in near]
    assert np.mean(found) > 0.8
