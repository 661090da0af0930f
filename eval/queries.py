"""Load the project's own queries, and retrieval sets in BEIR layout."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag.errors import UsageError
from rag.types import Query, Turn

OWN = Path(__file__).parent / "data" / "queries.jsonl"
RELEVANT, PARTLY = 2, 1
SPLITS = ("dev", "test", "all")


@dataclass(frozen=True, slots=True)
class EvalQuery:
    """One judged query."""

    id: str
    query: Query
    category: str
    split: str
    grades: dict[str, int]
    """Question label to relevance: 2 answers it, 1 touches it; empty when the notes do not cover it."""
    evidence: tuple[str, ...] = ()
    """Exact slices of the notes that an answer should stand on, one for each point of the answer."""

    @property
    def covered(self) -> bool:
        """Whether some question of the notes answers it."""
        return RELEVANT in self.grades.values()


@dataclass(frozen=True, slots=True)
class RetrievalSet:
    """Texts, queries and judgements, as BEIR lays them out (Thakur et al. 2021, arXiv 2104.08663)."""

    name: str
    texts: dict[str, str]
    """Title and text, one below the other."""
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    titles: dict[str, str] = field(default_factory=dict)
    """Title of each text that has one."""


def _read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines that hold something, each with where it stands."""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:  # only line feeds end a line: texts hold U+2028
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path}:{number}", line.rstrip("\r\n")
    except OSError as error:
        raise UsageError(f"{path}: 打不开（{error.strerror}）") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: 不是 UTF-8 文本") from error


def _read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, line in _read_lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{where}: 不是 JSON") from error
        if not isinstance(row, dict):
            raise UsageError(f"{where}: 要一个 JSON 对象，找到的是 {type(row).__name__}")
        yield where, row


def load_queries(path: Path = OWN) -> tuple[EvalQuery, ...]:
    """Load judged queries.

    :raises UsageError: when a line lacks a field; line and field are named.
    """
    queries = []
    for where, row in _read_rows(path):
        try:
            grades = {**dict.fromkeys(row["also"], PARTLY), **dict.fromkeys(row["relevant"], RELEVANT)}
            history = tuple(Turn(turn["role"], turn["content"]) for turn in row.get("history") or ())
            query = Query(row["text"], history)
            evidence = tuple(row.get("evidence") or ())
            queries.append(EvalQuery(row["id"], query, row["category"], row["split"], grades, evidence))
        except KeyError as error:
            raise UsageError(f"{where}: 缺少字段 {error}") from error
    return tuple(queries)


def select_split(queries: Sequence[EvalQuery], split: str) -> tuple[EvalQuery, ...]:
    """Keep the queries of one half, or all of them."""
    return tuple(query for query in queries if split in ("all", query.split))


def digest_queries(queries: Sequence[EvalQuery]) -> str:
    """Hash queries and judgements, to tell results on other data apart."""
    judged = [
        (q.id, q.query.text, [(t.role, t.content) for t in q.query.history], q.category, q.split, q.grades, q.evidence)
        for q in queries
    ]
    return hashlib.blake2b(repr(judged).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def load_beir(folder: Path) -> RetrievalSet:
    """Load a BEIR folder: corpus.jsonl, queries.jsonl, qrels/test.tsv.

    :raises UsageError: when a file is missing or a line cannot be read.
    """
    texts: dict[str, str] = {}
    titles: dict[str, str] = {}
    for where, row in _read_rows(folder / "corpus.jsonl"):
        identity, text = _take(row, where, "_id"), _take(row, where, "text")
        title = " ".join(str(row.get("title") or "").split())
        texts[identity] = f"{title}\n{text}".strip()
        if title:
            titles[identity] = title
    qrels = _read_qrels(folder / "qrels" / "test.tsv")
    queries = {
        _take(row, where, "_id"): _take(row, where, "text") for where, row in _read_rows(folder / "queries.jsonl")
    }
    if lost := [key for key in qrels if key not in queries]:
        raise UsageError(f"{folder / 'queries.jsonl'}: 没有 qrels 里的 query {lost[0]!r}（一共缺 {len(lost)} 个）")
    return RetrievalSet(folder.name, texts, {key: queries[key] for key in queries if key in qrels}, qrels, titles)


def _take(row: dict[str, Any], where: str, name: str) -> str:
    if name not in row:
        raise UsageError(f"{where}: 缺少字段 {name!r}")
    return str(row[name])


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read judgements above 0; the first line is the header."""
    qrels: dict[str, dict[str, int]] = {}
    for number, (where, line) in enumerate(_read_lines(path)):
        fields = line.split("\t")
        if len(fields) != 3:
            raise UsageError(f"{where}: 要有三列（query、corpus、score），找到 {len(fields)} 列")
        if number == 0 and not fields[2].lstrip("-").isdecimal():
            continue
        try:
            grade = int(fields[2])
        except ValueError as error:
            raise UsageError(f"{where}: score 要是整数，找到 {fields[2]!r}") from error
        if grade > 0:
            qrels.setdefault(fields[0], {})[fields[1]] = grade
    return qrels
