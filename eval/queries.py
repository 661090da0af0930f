"""Load the project's own queries, and retrieval sets in BEIR layout."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import UsageError
from rag.types import Query, Turn

OWN = Path(__file__).parent / "data" / "queries.jsonl"
RELEVANT, PARTLY = 2, 1


@dataclass(frozen=True, slots=True)
class EvalQuery:
    """One judged query."""

    id: str
    query: Query
    category: str
    split: str
    grades: dict[str, int]
    """Question label to relevance: 2 answers it, 1 touches it; empty when the notes do not cover it."""


@dataclass(frozen=True, slots=True)
class RetrievalSet:
    """Texts, queries and judgements, as BEIR lays them out (Thakur et al. 2021, arXiv 2104.08663)."""

    name: str
    texts: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def _read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: texts hold U+2028
    except OSError as error:
        raise UsageError(f"{path}: 打不开（{error.strerror}）") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", json.loads(line)
            except ValueError as error:
                raise UsageError(f"{path}:{number}: 不是 JSON") from error


def load_queries(path: Path = OWN) -> tuple[EvalQuery, ...]:
    """Load judged queries.

    :raises UsageError: when a line lacks a field; line and field are named.
    """
    queries = []
    for where, row in _read_rows(path):
        try:
            grades = {**dict.fromkeys(row["also"], PARTLY), **dict.fromkeys(row["relevant"], RELEVANT)}
            history = tuple(Turn(turn["role"], turn["content"]) for turn in row.get("history", ()))
            queries.append(EvalQuery(row["id"], Query(row["text"], history), row["category"], row["split"], grades))
        except KeyError as error:
            raise UsageError(f"{where}: 缺少字段 {error}") from error
    return tuple(queries)


def load_beir(folder: Path) -> RetrievalSet:
    """Load a BEIR folder: corpus.jsonl, queries.jsonl, qrels/test.tsv.

    :raises UsageError: when a file is missing or a line cannot be read.
    """
    texts = {
        row["_id"]: f"{row.get('title', '')}\n{row['text']}".strip() for _, row in _read_rows(folder / "corpus.jsonl")
    }
    qrels: dict[str, dict[str, int]] = {}
    path = folder / "qrels" / "test.tsv"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
    except OSError as error:
        raise UsageError(f"{path}: 打不开（{error.strerror}）") from error
    for number, line in enumerate(lines, start=2):
        fields = line.split("\t")
        if len(fields) != 3:
            raise UsageError(f"{path}:{number}: 要有三列（query、corpus、score），找到 {len(fields)} 列")
        if int(fields[2]) > 0:
            qrels.setdefault(fields[0], {})[fields[1]] = int(fields[2])
    queries = {row["_id"]: row["text"] for _, row in _read_rows(folder / "queries.jsonl") if row["_id"] in qrels}
    return RetrievalSet(folder.name, texts, queries, qrels)
