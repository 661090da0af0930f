"""Explain a ranking: what a message was taken to ask, which words and concepts matched, and what each sign was worth.

Nothing here takes part in answering. The figures are those of `Notes.search` and `Notes.rank`; the stages are run once
more, one by one, to be timed.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np

from rag.history import resolve
from rag.lexical import WordIndex
from rag.lookup import find_numbers
from rag.pipeline import Notes
from rag.retrieve import COSINES, Ranking
from rag.search import Asked
from rag.split import split_questions
from rag.stores import StoredContent, Words
from rag.synonyms import ASKING_MARK, load_thesaurus
from rag.tokenize import CJK, analyse, analyse_query, normalise
from rag.types import Hit, Passage, Query, Question
from rag.weights import COVER_SIGNS, SIGNS, coverage_threshold, load_weights

LEXICAL = ("words", "matched", "concepts")
DENSE = (*COSINES, "described")
Stage = Literal["lookup", "split", "resolve", "mend", "embed", "words", "rank", "search"]
"""`rank` holds embedding, words and the weighing of signs for one text; `search` is the whole, as an answer begins."""
Made = TypeVar("Made")
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that speaks for a question, or for the notes as a whole."""

    name: str
    value: float
    weighed: float
    """Value times weight: what it adds."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ranked question and why it stands where it does."""

    question: Question
    place: tuple[int, int]
    """First and last line of its best passage."""
    passage: str
    """The best passage, as it stands in the notes."""
    score: float
    lexical: float
    dense: float
    """What the words and the vectors add to its strength."""
    strength: float
    signs: tuple[Sign, ...]
    words: tuple[str, ...]
    """Stretches of the query that it holds."""
    concepts: tuple[str, ...]
    """Terms of the field that both name, perhaps by different words."""


@dataclass(frozen=True, slots=True)
class ExplainedText:
    """One of the things a message asks."""

    text: str
    """With what it leans on put before it."""
    mended: str
    leans: bool
    described: tuple[str, ...]
    """Terms it describes without naming them."""
    coverage: float
    cover_signs: tuple[Sign, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a message was taken and what was found."""

    query: str
    named: tuple[str, ...]
    """Labels it names by number."""
    missing: tuple[str, ...]
    """Numbers it names that the notes do not have."""
    asked: tuple[ExplainedText, ...]
    """More than one when it was split."""
    coverage: float
    threshold: float
    timings: tuple[tuple[Stage, float], ...]
    """Milliseconds."""

    @property
    def covered(self) -> bool:
        """Whether the notes are taken to cover it."""
        return bool(self.named) or self.coverage >= self.threshold


def explain(notes: Notes, query: Query) -> Explanation:
    """Explain what the notes' ranking for a query is made of."""
    content = notes.index.content
    words = content.words if isinstance(content, StoredContent) else WordIndex(content.lexical)
    found, search_ms = _timed(lambda: notes.search(query))
    lookup = found.lookup
    asked = () if lookup else tuple(_explain_text(notes, words, query, asked) for asked in found.asked)
    return Explanation(
        query=query.text,
        named=tuple(question.label for question in lookup.questions) if lookup else (),
        missing=lookup.missing if lookup else (),
        asked=asked,
        coverage=found.coverage,
        threshold=coverage_threshold(),
        timings=(*_time_stages(notes, words, query), ("search", search_ms)),
    )


def _timed(stage: Callable[[], Made]) -> tuple[Made, float]:
    started = time.perf_counter()
    made = stage()
    return made, round((time.perf_counter() - started) * 1000, 2)


def _time_stages(notes: Notes, words: Words, query: Query) -> Iterator[tuple[Stage, float]]:
    """Run the stages of a search one by one."""
    if not query.text.strip() or not notes.passages:
        return
    text = resolve(query).text
    stages: dict[Stage, Callable[[], object]] = {
        "lookup": lambda: find_numbers(query.text, notes.questions),
        "split": lambda: split_questions(query.text),
        "resolve": lambda: resolve(query),
        "mend": lambda: words.mend(text),
        "embed": lambda: notes.encoder.embed_queries([words.expand(text)]),
        "words": lambda: words.search(text),
        "rank": lambda: notes.rank([query]),
    }
    for name in STAGES[:-1]:
        yield name, _timed(stages[name])[1]


def _explain_text(notes: Notes, words: Words, query: Query, asked: Asked) -> ExplainedText:
    several = asked.text not in (query.text, resolve(query).text)
    own = Query(asked.text) if several else query
    ranking = notes.rank([own])[0]
    mended = words.mend(asked.text)
    describe = _Describer(notes, mended, ranking)
    return ExplainedText(
        text=asked.text,
        mended=mended,
        leans=asked.text != own.text,
        described=ranking.described,
        coverage=asked.coverage,
        cover_signs=_weigh(COVER_SIGNS, ranking.cover_signs, load_weights()["cover"]),
        candidates=tuple(describe(hit) for hit in asked.hits),
    )


def _weigh(names: Sequence[str], values: Sequence[float] | np.ndarray, weights: dict[str, float]) -> tuple[Sign, ...]:
    return tuple(
        Sign(name, round(float(value), 4), round(float(value) * weights[name], 4))
        for name, value in zip(names, values, strict=True)
    )


class _Describer:
    """Describes the hits of one text."""

    def __init__(self, notes: Notes, text: str, ranking: Ranking) -> None:
        outer = [question.id for question in notes.questions if not question.parent]
        self._at = {outer[place]: at for at, place in enumerate(ranking.places.tolist())}
        self._notes, self._text, self._ranking = notes, text, ranking
        self._thesaurus = load_thesaurus(notes.settings.terms)
        self._concepts = [name for name in self._thesaurus.find(text) if not name.startswith(ASKING_MARK)]

    def __call__(self, hit: Hit) -> Candidate:
        at = self._at[hit.question.id]
        signs = _weigh(SIGNS, self._ranking.signs[at], load_weights()["rank"])
        worth = {sign.name: sign.weighed for sign in signs}
        best = hit.passages[0][0] if hit.passages else None
        texts = [_read(passage) for passage in self._notes.passages[hit.question.id]]
        named = {name for text in texts for name in self._thesaurus.find(text)}
        return Candidate(
            question=hit.question,
            place=best.lines if best else hit.question.lines,
            passage=best.text if best else "",
            score=hit.score,
            lexical=round(sum(worth[name] for name in LEXICAL), 4),
            dense=round(sum(worth[name] for name in DENSE), 4),
            strength=round(float(self._ranking.strengths[at]), 4),
            signs=signs,
            words=match_words(self._text, "\n".join(texts)),
            concepts=tuple(dict.fromkeys(name for name in self._concepts if name in named)),
        )


def _read(passage: Passage) -> str:
    return "\n".join([*passage.headings, passage.search_text])


def match_words(query: str, text: str) -> tuple[str, ...]:
    """Return the stretches of a query whose terms a text holds: Latin words, and runs of pairs of Chinese characters."""
    asked, held = set(analyse_query(query)), set(analyse(text))
    folded = normalise(query)
    matched: list[str] = []
    for run in re.finditer(rf"{CJK.pattern}|[A-Za-z0-9]+(?:[-_.+#'][A-Za-z0-9]+)*", folded):
        if not CJK.match(run[0]):
            if asked & held & set(analyse(run[0])):
                matched.append(run[0])
            continue
        kept = [False] * len(run[0])
        for at in range(len(run[0]) - 1):
            if (pair := run[0][at : at + 2]) in asked and pair in held:
                kept[at] = kept[at + 1] = True
        marked = "".join(char if keep else " " for char, keep in zip(run[0], kept, strict=True))
        matched.extend(marked.split())
    return tuple(dict.fromkeys(matched))
