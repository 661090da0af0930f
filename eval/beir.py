"""Rank BEIR sets with our own retriever: each document becomes a document with one question."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from eval.configurations import Configuration
from eval.judge import Record
from eval.measure import measure_rankings
from eval.observe import Ranking, observe_search
from eval.queries import EvalQuery, RetrievalSet, digest_queries
from eval.results import Result
from rag.build import index_documents
from rag.config import Settings
from rag.index import OpenIndex
from rag.pipeline import Notes
from rag.synonyms import load_thesaurus
from rag.types import Document, Encoder, Progress, Query, Question

SPLIT = "test"


def to_documents(data: RetrievalSet) -> Iterator[tuple[Document, Question]]:
    """Turn the texts of a set into documents, each with the one question that it is; ids are kept as labels."""
    for identity, text in data.texts.items():
        title = data.titles.get(identity, "")
        body_start = min(len(title) + 1, len(text)) if title else 0
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        question = Question(
            id=identity,
            label=identity,
            number="",
            title=title,
            printed=title,
            path=identity,
            start=0,
            body_start=body_start,
            end=len(text),
            lines=(1, 1 + text.count("\n")),
            headings=(),
            content="text" if text[body_start:].strip() else "empty",
        )
        yield Document(identity, identity, text, digest), question


def open_set(data: RetrievalSet, encoder: Encoder, settings: Settings, progress: Progress | None = None) -> Notes:
    """Index a set in memory."""
    documents, questions = zip(*to_documents(data), strict=True) if data.texts else ((), ())
    thesaurus = load_thesaurus(settings.terms)
    content, _ = index_documents(documents, questions, encoder, thesaurus, progress=progress)
    return Notes(OpenIndex(content), encoder, settings)


def choose_queries(data: RetrievalSet, limit: int) -> tuple[EvalQuery, ...]:
    """Choose at most `limit` judged queries, 0 for all, by a hash of their ids."""
    ids = sorted(data.queries, key=lambda key: (zlib.crc32(key.encode()), key))
    return tuple(
        EvalQuery(key, Query(data.queries[key]), data.name, SPLIT, data.qrels[key]) for key in ids[: limit or None]
    )


def run_set(notes: Notes, queries: Sequence[EvalQuery], configuration: Configuration) -> Result:
    """Rank every query with one configuration."""
    own = Notes(notes.index, notes.encoder, notes.settings, configuration.parts)

    def search(query: EvalQuery) -> tuple[Ranking, float]:
        found = own.search(query.query)
        return tuple((hit.question.label, hit.score) for hit in found.hits), found.coverage

    seen = observe_search(search, queries)
    rankings = {query.id: [label for label, _ in one.ranking] for query, one in zip(queries, seen, strict=True)}
    values = measure_rankings({query.id: query.grades for query in queries}, rankings)
    records = tuple(
        Record(query.id, query.category, True, None, one.confidence, one.search_ms, one.ranking, values[query.id])
        for query, one in zip(queries, seen, strict=True)
    )
    content = notes.index.content
    corpus = hashlib.blake2b("".join(digest for _, digest in content.documents).encode(), digest_size=16).hexdigest()
    return Result(
        name=configuration.name,
        description=configuration.description,
        parts=repr(configuration.parts),
        split=SPLIT,
        corpus=corpus,
        queries=digest_queries(queries),
        encoder=notes.encoder.fingerprint,
        records=records,
    )


def find_sets(paths: Sequence[Path]) -> list[Path]:
    """Return BEIR folders as given, and those one level down in a folder that is none itself."""
    found: list[Path] = []
    for path in paths:
        inner = sorted(child.parent for child in path.glob("*/corpus.jsonl"))
        found += inner if inner and not (path / "corpus.jsonl").exists() else [path]
    return found
