"""Queries and answers as JSON: what `--batch` reads, and what `--json`, the app and the server write."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO, Any

from rag.errors import UsageError
from rag.terminal import escape_controls
from rag.types import LENGTHS, Answer, Length, Query, Turn


def read_batch(source: IO[str], name: str, length: Length = "normal") -> Iterator[tuple[str, Query]]:
    """Read queries from JSON lines.

    :param length: of the answers to rows that name none.
    :raises UsageError: when a line is not such an object; the line is named.
    """
    for number, line in enumerate(source, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            history = tuple(Turn(turn["role"], str(turn["content"])) for turn in row.get("history") or ())
            query = Query(str(row["text"]), history, _find_length(row.get("length") or length))
            yield str(row.get("id", number)), query
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            wanted = '{"id": "1", "text": "问题", "history": []}'
            choices = "、".join(LENGTHS)
            raise UsageError(
                f"{name}:{number}: 这一行读不懂；每行要写成 {wanted}，可以再加 length（{choices}）"
            ) from error


def _find_length(name: str) -> Length:
    """:raises ValueError: when there is no such length."""
    return LENGTHS[LENGTHS.index(name)]


def to_record(answer: Answer, identity: str | None = None) -> dict[str, Any]:
    """Turn an answer into the JSON object of the shell contract."""
    record: dict[str, Any] = {} if identity is None else {"id": identity}
    return (
        record
        | {
            "query": answer.query,
            "answer": answer.text,
            "abstained": answer.abstained,
            "mode": answer.mode,
            "citations": [asdict(citation) for citation in answer.citations],
            "ranking": [{"label": label, "score": score} for label, score in answer.ranking],
            "coverage": round(answer.coverage, 3),
            "elapsed_ms": answer.elapsed_ms,
        }
        | _to_generated_fields(answer)
    )


def _to_generated_fields(answer: Answer) -> dict[str, Any]:
    """Return what only a generated answer has, and any notice."""
    if answer.mode == "generated":
        checks = [asdict(check) for check in answer.checks]
        return {"model": answer.model, "notice": answer.notice, "checks": checks}
    return {"notice": answer.notice} if answer.notice else {}


def to_line(record: dict[str, Any]) -> str:
    """Write a record on one line that a terminal may show."""
    return escape_controls(json.dumps(record, ensure_ascii=False))
