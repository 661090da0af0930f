"""Ask a system every query, one by one and warm, and keep what it said and how long its search took."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eval.configurations import Configuration
from eval.judge import Observation, Source, judge
from eval.queries import EvalQuery, digest_queries, load_queries, select_split
from eval.results import Result
from eval.spans import resolve_spans
from rag.config import Settings
from rag.corpus import read_corpus
from rag.errors import UsageError
from rag.pipeline import Notes, open_notes
from rag.types import Encoder, Progress, Question, Vectors

N_WARM_UP = 3
Ranking = tuple[tuple[str, float], ...]


class RememberingEncoder:
    """An encoder that embeds the same batch of passages once.

    Configurations mostly quote from the same questions, and embedding their sentences is nine tenths of an answer.
    Whole batches are kept, not texts: an 8-bit model's vectors depend a little on what else is in the batch. Queries
    are embedded anew each time, because their time is measured.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[tuple[str, ...], Vectors] = {}

    @property
    def fingerprint(self) -> str:
        """As the encoder's own."""
        return self._encoder.fingerprint

    @property
    def dim(self) -> int:
        """As the encoder's own."""
        return self._encoder.dim

    @property
    def max_tokens(self) -> int:
        """As the encoder's own."""
        return self._encoder.max_tokens

    def count_tokens(self, text: str) -> int:
        """Count as the encoder does."""
        return self._encoder.count_tokens(text)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed as the encoder does."""
        return self._encoder.embed_queries(texts)

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed a batch, or remember it."""
        key = tuple(texts)
        if key not in self._known:
            self._known[key] = self._encoder.embed_passages(texts, progress)
        return self._known[key]


@dataclass(frozen=True, slots=True)
class Workbench:
    """Open notes with the queries judged for them: every configuration shares the index and the vectors."""

    notes: Notes
    encoder: Encoder
    queries: tuple[EvalQuery, ...]
    source: Source
    split: str
    queries_digest: str

    def run(self, configuration: Configuration) -> Result:
        """Ask and judge all queries with one configuration."""
        notes = replace(self.notes, encoder=self.encoder, parts=configuration.parts)
        observations = observe_notes(notes, self.queries)
        return self.make_result(configuration.name, configuration.description, repr(configuration.parts), observations)

    def make_result(self, name: str, description: str, parts: str, observations: Sequence[Observation]) -> Result:
        """Judge what any system said."""
        content = self.notes.index.content
        return Result(
            name=name,
            description=description,
            parts=parts,
            split=self.split,
            corpus=content.corpus,
            queries=self.queries_digest,
            encoder=self.encoder.fingerprint,
            records=judge(self.queries, observations, self.source),
        )


def open_workbench(settings: Settings, queries_file: Path, split: str, notice: Callable[[str], None]) -> Workbench:
    """Open the notes, and resolve the judgements in them.

    :raises UsageError: when a judgement does not fit the notes, or the split has no query.
    """
    every = load_queries(queries_file)
    queries = select_split(every, split)
    if not queries:
        raise UsageError(f"{queries_file}: 没有 {split} 这一半的问题")
    notes = open_notes(settings, notice)
    documents = read_corpus(settings.corpus).documents
    spans = resolve_spans(every, documents, notes.questions, queries_file)
    source = Source({document.path: document.text for document in documents}, find_outer(notes.questions), spans)
    return Workbench(notes, RememberingEncoder(notes.encoder), queries, source, split, digest_queries(every))


def find_outer(questions: Sequence[Question]) -> dict[str, str]:
    """Map the label of each sub-question to the label of the question that holds it."""
    labels = {question.id: question.label for question in questions}
    return {question.label: labels[question.parent] for question in questions if question.parent}


def observe_notes(notes: Notes, queries: Sequence[EvalQuery]) -> list[Observation]:
    """Ask our own notes: search for rank and time, then the whole answer."""

    def search(query: EvalQuery) -> tuple[Ranking, float]:
        found = notes.search(query.query)
        return tuple((hit.question.label, hit.score) for hit in found.hits), found.coverage

    seen = observe_search(search, queries)
    answers = [notes.ask(query.query) for query in queries]
    return [replace(one, answer=answer) for one, answer in zip(seen, answers, strict=True)]


def observe_search(
    search: Callable[[EvalQuery], tuple[Ranking, float]], queries: Sequence[EvalQuery]
) -> list[Observation]:
    """Time a search that returns ranking and confidence."""
    for query in queries[:N_WARM_UP]:
        search(query)
    observations = []
    for query in queries:
        started = time.perf_counter()
        ranking, confidence = search(query)
        elapsed_ms = (time.perf_counter() - started) * 1000
        observations.append(Observation(ranking, confidence, elapsed_ms))
    return observations
