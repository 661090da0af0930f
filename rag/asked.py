"""Arrange what a message asks: two things that it compares side by side, and together what one question answers."""

from collections.abc import Sequence
from dataclasses import replace

from rag.search import Asked, Searcher
from rag.split import find_compared
from rag.tokenize import analyse, analyse_query
from rag.types import Hit, Query, Question
from rag.weights import coverage_threshold

ABOUT_SHARE = 0.2
"""A question with this share of the best score for a thing is about that thing."""


def arrange(searcher: Searcher, several: Sequence[Asked]) -> list[Asked]:
    """Return the things that a covered message asks for, one for each part of the answer."""
    return (_set_side_by_side(searcher, several[0]) if len(several) == 1 else []) or _merge(several)


def _set_side_by_side(searcher: Searcher, asked: Asked) -> list[Asked]:
    """Look for each of two things that are compared, unless one question of the notes is about both."""
    compared = find_compared(asked.text)
    first = asked.hits[0].question
    if not compared or _names_both(first.title, compared):
        return []
    sides = [searcher.search(Query(thing)) for thing in compared]
    covered = [side.hits[0].question.id for side in sides if side.hits and side.coverage >= coverage_threshold()]
    if len(set(covered)) < len(sides) or all(_has_hit(side.hits, first) for side in sides):
        return []
    return [Asked(thing, side.hits, side.coverage) for thing, side in zip(compared, sides, strict=True)]


def _names_both(title: str, things: tuple[str, str]) -> bool:
    """Tell whether a title has all the words of two things."""
    words = set(analyse(title))
    return all(words.issuperset(analyse_query(thing)) for thing in things)


def _has_hit(hits: Sequence[Hit], question: Question) -> bool:
    return any(hit.question.id == question.id and hit.score >= ABOUT_SHARE * hits[0].score for hit in hits)


def _merge(several: Sequence[Asked]) -> list[Asked]:
    """Merge the things asked that one question of the notes answers best."""
    merged: dict[str, Asked] = {}
    for asked in several:
        key = asked.hits[0].question.id if asked.coverage >= coverage_threshold() else asked.text
        former = merged.get(key)
        merged[key] = replace(former, text=f"{former.text}，{asked.text}") if former else asked
    return list(merged.values())
