"""Keep results: one JSON file for each configuration, named by what it depends on, and a board that lists several."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from eval.judge import DECISION, RANKING_MEASURES, Record
from eval.summary import Summary, summarise
from rag.errors import UsageError

OUT = Path("build/eval")
BOARD = "ablation.json"
COMMITTED = Path(__file__).parent / "results.json"
"""Summaries only: what the table in the README is made from."""
DIGEST_BYTES = 6
BY_CATEGORY = (RANKING_MEASURES[0], DECISION)
"""Measures that the tables show by category."""
MS_DIGITS, SCORE_DIGITS = 2, 6


@dataclass(frozen=True, slots=True)
class Result:
    """All judged queries of one configuration, with what they depend on."""

    name: str
    description: str
    parts: str
    """The configuration's switches, written out."""
    split: str
    corpus: str
    queries: str
    """Digests of the notes, and of queries and judgements."""
    encoder: str
    """Fingerprint."""
    records: tuple[Record, ...]

    @property
    def digest(self) -> str:
        """Hash what the result depends on."""
        parts = (self.name, self.parts, self.split, self.corpus, self.queries, self.encoder)
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=DIGEST_BYTES).hexdigest()

    @property
    def file_name(self) -> str:
        """`<configuration>-<digest>.json`."""
        return f"{self.name}-{self.digest}.json"


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration on a board."""

    name: str
    description: str
    file: str
    """Name of the result's file, beside the board's."""
    summary: Summary


@dataclass(frozen=True, slots=True)
class Board:
    """Several configurations on the same queries."""

    split: str
    corpus: str
    queries: str
    encoder: str
    rows: tuple[Row, ...]


def write_result(folder: Path, result: Result) -> Path:
    """Write a result with its summary.

    :raises UsageError: when the folder cannot be written.
    """
    data = asdict(result)
    for record in data["records"]:
        record["search_ms"] = round(record["search_ms"], MS_DIGITS)
        record["ranking"] = [(label, round(score, SCORE_DIGITS)) for label, score in record["ranking"]]
    path = folder / result.file_name
    write_text(path, json.dumps({**data, "summary": summarise(result.records)}, ensure_ascii=False))
    return path


def read_result(path: Path) -> Result:
    """Read a result.

    :raises UsageError: when the file is no result.
    """
    data = _read(path)
    try:
        records = tuple(
            Record(**{**record, "ranking": tuple((str(label), score) for label, score in record["ranking"])})
            for record in data["records"]
        )
        names = ("name", "description", "parts", "split", "corpus", "queries", "encoder")
        return Result(**{name: str(data[name]) for name in names}, records=records)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: 不是评测结果；结果由 python -m eval run 写出") from error


def make_board(results: Sequence[Result]) -> Board:
    """Put results on the same queries side by side; the first one names what they share."""
    first = results[0]
    rows = tuple(
        Row(result.name, result.description, result.file_name, summarise(result.records)) for result in results
    )
    return Board(first.split, first.corpus, first.queries, first.encoder, rows)


def write_board(path: Path, board: Board) -> None:
    """Write a board, one row a line, so that a change of one configuration is a change of one line.

    :raises UsageError: when the file cannot be written.
    """
    data = asdict(board)
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in data.pop("rows"))
    head = json.dumps(data, ensure_ascii=False).removesuffix("}")
    write_text(path, f'{head}, "rows": [\n{rows}\n]}}\n')


def slim(board: Board) -> Board:
    """Keep of each category what the tables show; the files in `build/eval` have the rest."""
    return replace(board, rows=tuple(replace(row, summary=_slim_summary(row.summary)) for row in board.rows))


def _slim_summary(summary: Summary) -> Summary:
    categories = {
        name: {measure: values[measure] for measure in BY_CATEGORY if measure in values}
        for name, values in summary["categories"].items()
    }
    return {**summary, "categories": categories}


def read_board(path: Path) -> Board:
    """Read a board.

    :raises UsageError: when the file is no board.
    """
    data = _read(path)
    try:
        rows = tuple(Row(**row) for row in data["rows"])
        return Board(**{name: str(data[name]) for name in ("split", "corpus", "queries", "encoder")}, rows=rows)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: 不是消融结果；结果由 python -m eval ablate 写出") from error


def write_text(path: Path, text: str) -> None:
    """Write a file, its folder made first.

    :raises UsageError: when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: 写不进去（{error.strerror}）") from error


def _read(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: 打不开（{error.strerror}）；先运行 python -m eval ablate") from error
    except ValueError as error:
        raise UsageError(f"{path}: 不是 JSON") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: 不是评测结果；结果由 python -m eval run 写出")
    return data
