"""Write an answer in the notes' own words, part by part, as soon as each part is known."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rag.answer import (
    describe_cut,
    describe_missing_text,
    introduce,
    is_cut_off,
    write_heading,
    write_not_covered,
    write_quote,
)
from rag.asked import arrange
from rag.cite import cite
from rag.lookup import Lookup
from rag.quote import (
    Closeness,
    choose_units,
    fold,
    join_runs,
    make_spans,
    put_best_first,
    share_room,
    weigh_units,
)
from rag.search import Asked, Retrieval, Searcher
from rag.types import Answer, Encoder, Hit, Length, Query, Question, Reply, Span, Vectors
from rag.units import Unit, join_passages, split_units
from rag.weights import coverage_threshold

LIMITS: Mapping[Length, int] = {"short": 130, "normal": 600, "full": 1_000_000}
"""Most characters quoted for one thing asked: half a minute and two minutes read aloud, everything."""
LOOKUP_LIMITS: Mapping[Length, int] = {"short": 130, "normal": 1_800, "full": 1_000_000}
"""The same for questions asked by number."""
SEVERAL_SHARE = 0.5
"""What each further thing asked adds to the limit."""
SECOND_SHARE = 0.17
"""A second question is quoted too when at least this share of all the scores is its own. On the dev half, where the first
one is right in 80% of queries, a second one then is in half of those that have one."""
N_EMBEDDED = 4
"""Sentences embedded for one thing asked, some 3 ms each."""
MAX_REMEMBERED = 2_000
"""Sentence vectors kept: 3 MB with the shipped encoder."""
N_NEAREST, N_RELATED = 3, 3
Part = tuple[str, list[Span]]
"""A part of the answer's text, and what it quotes."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What is quoted of one question."""

    question: Question
    score: float
    units: Sequence[Unit]
    """Its whole text."""
    runs: Sequence[Sequence[Unit]]
    """What is quoted, in the order of the answer."""

    @property
    def chosen(self) -> set[int]:
        """Where the quoted units start."""
        return {unit.start for run in self.runs for unit in run}


class Extractive:
    """Quotes the questions that were found."""

    def __init__(self, searcher: Searcher, encoder: Encoder) -> None:
        self._searcher, self._encoder = searcher, encoder
        self._embedded: dict[str, Vectors] = {}
        """Sentences and their vectors: the next question is often about the same ones."""

    def write(self, query: Query, found: Retrieval) -> Reply:
        """Write the answer to a query from what was found for it."""
        abstained = not found.lookup.questions if found.lookup else _is_not_covered(found)
        parts: list[Part] = []
        for part in self._parts(found, query.length):
            yield f"\n\n{part[0]}" if parts else part[0]
            parts.append(part)
        spans = [span for _, own in parts for span in own]
        yield Answer(
            query=query.text,
            text="\n\n".join(text for text, _ in parts),
            abstained=abstained,
            mode="extractive",
            citations=tuple(cite(span) for span in spans),
            ranking=_rank(found.hits, spans),
            coverage=found.coverage,
            related=() if abstained else self._find_related(found, spans),
        )

    def _parts(self, found: Retrieval, length: Length) -> Iterator[Part]:
        if found.lookup:
            yield from self._look_up(found.lookup, length)
        elif _is_not_covered(found):
            yield write_not_covered([hit.question for hit in found.hits[:N_NEAREST]]), []
        else:
            several = arrange(self._searcher, found.asked)
            limit = int(LIMITS[length] * (1 + SEVERAL_SHARE * (len(several) - 1)) / len(several))
            for asked in several:
                if len(several) > 1:
                    yield write_heading(asked.text), []
                yield from self._answer(asked, limit, is_short=length == "short")

    def _look_up(self, lookup: Lookup, length: Length) -> Iterator[Part]:
        """Give the questions named by number, whole where they are not long."""
        limit = LOOKUP_LIMITS[length] // max(1, len(lookup.questions))
        for number in lookup.missing:
            yield f"笔记里没有第 {number} 题。", []
        for question in lookup.questions:
            if self._split(question):
                yield f"**[{question.label}] {question.title}**", []
            yield from self._quote([Hit(question, 1.0)], f"{question.title} {lookup.rest}", limit)

    def _answer(self, asked: Asked, limit: int, *, is_short: bool) -> Iterator[Part]:
        """Quote the best question for one thing asked, and the next one when it may be right too."""
        if asked.coverage < coverage_threshold():
            yield write_not_covered([hit.question for hit in asked.hits[:N_NEAREST]]), []
            return
        hits = self._worth_quoting(asked.hits)
        yield from self._quote(hits[:1] if is_short else hits, asked.text, limit)

    def _worth_quoting(self, hits: Sequence[Hit]) -> list[Hit]:
        """Keep the first hit, and a second one that does not say the same."""
        first = hits[0]
        same = set(self._searcher.same_content(first.question))
        others = [hit for hit in hits[1:] if hit.question.label not in same]
        total = first.score + sum(hit.score for hit in others)
        return [first, *(hit for hit in others[:1] if hit.score >= SECOND_SHARE * total)]

    def _quote(self, hits: Sequence[Hit], text: str, limit: int) -> Iterator[Part]:
        """Quote questions; what two of them say is said once, with the labels of both."""
        units = [self._split(hit.question) for hit in hits]
        sizes = [sum(unit.n_chars for unit in own) for own in units]
        room = share_room(sizes, [hit.score for hit in hits], limit)
        n_long = sum(size > own for size, own in zip(sizes, room, strict=True))
        closeness = self._closeness(text)
        quotes = []
        for hit, own, size, limit in zip(hits, units, sizes, room, strict=True):
            runs: Sequence[Sequence[Unit]] = join_runs(own, own)
            if size > limit:
                weights = weigh_units(text, own, closeness, N_EMBEDDED // n_long)
                runs = put_best_first(join_runs(own, choose_units(own, weights, limit)), own, weights)
            quotes.append(Quote(hit.question, hit.score, own, runs))
        for place, quote in enumerate(quotes):
            if not quote.units:
                yield describe_missing_text(quote.question), [self._heading(quote.question, quote.score)]
                continue
            lead = f"{introduce(quote.question)}\n\n" if place else ""
            for text, spans in self._write_quote(quote, quotes[:place], quotes[place + 1 :]):
                yield lead + text, spans
                lead = ""

    def _write_quote(self, quote: Quote, before: Sequence[Quote], after: Sequence[Quote]) -> Iterator[Part]:
        """Write what is quoted of a question, without what the questions before it said."""
        said = {fold(unit) for other in before for run in other.runs for unit in run} - {""}
        repeats = {fold(unit): (other, unit) for other in after for run in other.runs for unit in run}
        runs = [new for run in quote.runs for new in _drop_said(run, said)]
        headings = _choose_headings(quote.question, runs)
        for run, heading in zip(runs, headings, strict=True):
            whole = run[0].whole
            slices = [(whole, unit.start, unit.end) for unit in run]
            text = "\n\n".join(span.text.strip("\n") for span in make_spans(quote.question, slices, quote.score))
            spans = make_spans(quote.question, [*((whole, *place) for place in heading), *slices], quote.score)
            labels = [*self._searcher.same_content(quote.question)]
            for other, unit in (repeats[key] for key in map(fold, run) if key and key in repeats):
                spans += make_spans(other.question, [(unit.whole, unit.start, unit.end)], other.score)
                labels += self._searcher.same_content(other.question)
            shown = "".join(whole.text[slice(*place)] for place in heading)
            yield write_quote(text, list(dict.fromkeys(labels)), shown), spans
        whole = quote.units[0].whole
        if runs and is_cut_off(whole.text[max(0, quote.question.body_start - whole.start) :]):
            yield describe_cut(quoted_to_the_end=quote.units[-1].start in quote.chosen), []

    def _heading(self, question: Question, score: float) -> Span:
        """Return the span of a question's own heading, for one that has no text to quote."""
        first = next(p for p in self._searcher.passages[question.parent or question.id] if p.end > question.start)
        start = question.start - first.start
        return Span(question, first, start, start + len(question.printed.split("\n")[0]), score)

    def _split(self, question: Question) -> list[Unit]:
        passages = self._searcher.passages[question.parent or question.id]
        return split_units(question, join_passages(question, passages))

    def _closeness(self, text: str) -> Closeness:
        vectors: list[np.ndarray] = []

        def compare(parts: Sequence[str]) -> Sequence[float]:
            if not vectors:
                vectors.append(self._encoder.embed_queries([text])[0])
            cosines: list[float] = (self._embed_sentences(parts) @ vectors[0]).tolist()
            return cosines

        return compare

    def _embed_sentences(self, texts: Sequence[str]) -> Vectors:
        """Embed sentences that were not embedded before, and remember them, up to `MAX_REMEMBERED`."""
        known = self._embedded  # another thread may put a new one in its place
        if fresh := [text for text in dict.fromkeys(texts) if text not in known]:
            if len(known) + len(fresh) > MAX_REMEMBERED:
                known = self._embedded = {text: known[text] for text in texts if text in known}
            known.update(zip(fresh, self._encoder.embed_passages(fresh), strict=True))
        return np.stack([known[text] for text in texts])

    def _find_related(self, found: Retrieval, spans: Sequence[Span]) -> tuple[tuple[str, str], ...]:
        """Name the next questions of the ranking, none that was quoted or says the same as one before it."""
        quoted = {span.question.id: span.question for span in spans}
        hits = found.hits
        if found.lookup:  # what was asked for by number has no neighbours but itself
            first = next(iter(quoted.values()))
            hits = self._searcher.search(Query(first.title)).hits
        parents = {question.parent for question in quoted.values()}
        near = [*quoted.values(), *(hit.question for hit in found.hits if hit.question.id in parents)]
        known = {label for question in near for label in self._searcher.same_content(question)}
        related: list[tuple[str, str]] = []
        for question in (hit.question for hit in hits if hit.question.id not in parents | set(quoted)):
            if question.label not in known and len(related) < N_RELATED:
                related.append((question.label, question.title))
                known.update(self._searcher.same_content(question))
        return tuple(related)


def _drop_said(run: Sequence[Unit], said: set[str]) -> Iterator[list[Unit]]:
    """Leave out the units that the answer has said already; what is left may be several runs."""
    kept: list[Unit] = []
    for unit in run:
        if fold(unit) in said:
            if kept:
                yield kept
            kept = []
        else:
            kept.append(unit)
    if kept:
        yield kept


def _choose_headings(question: Question, runs: Sequence[Sequence[Unit]]) -> list[list[tuple[int, int]]]:
    """Return the heading to show above each run, if any: where another section begins than that of the run before.

    The only heading is not shown where the question's title says it already.
    """
    several = len({run[0].heading for run in runs}) > 1
    headings: list[list[tuple[int, int]]] = []
    former = None
    for unit in (run[0] for run in runs):
        is_new = unit.heading and unit.heading != former
        says_more = unit.heading and _fold(unit.whole.text[slice(*unit.heading)]) not in _fold(question.title)
        headings.append([unit.heading] if unit.heading and is_new and (several or says_more) else [])
        former = unit.heading
    return headings


def _fold(title: str) -> str:
    return re.sub(r"[\W\d_]+", "", title)


def _rank(hits: Sequence[Hit], spans: Sequence[Span]) -> tuple[tuple[str, float], ...]:
    """Return the ranking, best first; a question found only for one side of a comparison takes its place in it."""
    scores = {hit.question.label: hit.score for hit in hits}
    for span in spans:
        scores.setdefault(span.question.label, span.score)
    return tuple(sorted(scores.items(), key=lambda pair: -pair[1]))


def _is_not_covered(found: Retrieval) -> bool:
    return found.coverage < coverage_threshold() or not found.hits
