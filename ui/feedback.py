"""Keep what readers think of answers, and hand it on as candidates for the evaluation's queries."""

import argparse
import hashlib
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rag.config import read_settings
from rag.errors import UsageError
from rag.shell import EXIT_ANSWERED, EXIT_NOTHING, guard, write
from rag.types import Answer, Turn

FILE = "feedback.jsonl"
REASON_CHARS = 2_000
CATEGORY = "feedback"
_writing = threading.Lock()


def record_feedback(
    folder: Path, answer: Answer, history: Sequence[Turn], liked: int, reason: str, *, owner: str = "", key: str = ""
) -> None:
    """Add one line to the file of ratings; a later line with the same key takes the place of an earlier one.

    :param liked: 1 helpful, -1 not, 0 taken back.
    :raises UsageError: when it cannot be written.
    """
    row = {
        "key": key,
        "owner": owner,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "liked": liked,
        "reason": reason[:REASON_CHARS],
        "text": answer.query,
        "history": [{"role": turn.role, "content": turn.content} for turn in history],
        "answer": answer.text,
        "mode": answer.mode,
        "model": answer.model,
        "labels": list(dict.fromkeys(citation.label for citation in answer.citations)),
        "quotes": [citation.quote for citation in answer.citations],
    }
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with _writing, path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UsageError(
            f"{path}: 评价存不下来（{error.strerror}）；换个地方：设环境变量 RAG_DATA=另一个文件夹"
        ) from error


def read_feedback(folder: Path, owner: str = "") -> list[dict[str, Any]]:
    """Read the ratings that still hold, oldest first; a line cut short by a crash is left out.

    :param owner: whose; empty: everybody's.
    :raises UsageError: when the file cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise UsageError(f"{path}: 读不了（{error.strerror}）") from error
    rows: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(lines):
        if line.endswith("}"):
            row = json.loads(line)
            rows[row["key"] or str(number)] = row
    return [row for row in rows.values() if row["liked"] and owner in ("", row["owner"])]


def to_candidates(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Write ratings as candidates for `eval/data/queries.jsonl`, to be looked through by hand.

    What was cited in a helpful answer is taken as relevant; of an unhelpful one only the question is kept, and why.
    """
    for row in rows:
        helpful = row["liked"] > 0
        seed = json.dumps([row["text"], row["history"]], ensure_ascii=False).encode()
        candidate = {
            "id": f"f{hashlib.blake2b(seed, digest_size=4).hexdigest()}",
            "text": row["text"],
            "category": CATEGORY,
            "relevant": row["labels"] if helpful else [],
            "also": [],
            "evidence": row["quotes"] if helpful else [],
            "split": "dev",
        }
        if row["history"]:
            candidate["history"] = row["history"]
        if row["reason"]:
            candidate["reason"] = row["reason"]
        yield candidate


def run(arguments: list[str] | None) -> int:
    """Print the candidates, one JSON object a line."""
    parser = argparse.ArgumentParser(
        prog="python -m ui.feedback", description="把网页里的评价导出成 eval/data/queries.jsonl 的候选，逐条看过再收。"
    )
    rows = read_feedback(read_settings(parser.parse_args(arguments)).home)
    for candidate in to_candidates(rows):
        write(json.dumps(candidate, ensure_ascii=False))
    return EXIT_ANSWERED if rows else EXIT_NOTHING


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
