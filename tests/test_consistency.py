"""An index from elsewhere whose files are whole and lie: it is named and made anew, never used."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.config import Settings
from rag.errors import IndexFault
from rag.index import CURRENT, open_index
from rag.pipeline import open_notes
from rag.types import Query
from rag.vectors import VectorIndex

NOTES = (
    "## 1. 什么是困惑度\n\n困惑度是交叉熵的指数，越低越好。\n\n## 2. 什么是束搜索\n\n每一步保留概率最高的几个候选。\n"
)
Lie = Callable[[Path], None]


def digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def seal(index: Path) -> None:
    """Make all checksums fit what the files now say."""
    name = (index / CURRENT).read_text().split(" ")[0]
    manifest = json.loads((index / name / "manifest.json").read_bytes())
    manifest["checksums"] = {file: digest((index / name / file).read_bytes()) for file in manifest["checksums"]}
    (index / name / "manifest.json").write_text(json.dumps(manifest))
    pointer = f"{name} {digest((index / name / 'manifest.json').read_bytes())}"
    (index / CURRENT).write_text(f"{pointer} {digest(pointer.encode())}\n")


def change_json(file: str, change: Callable[[list[Any]], object]) -> Lie:
    def lie(place: Path) -> None:
        rows = json.loads((place / file).read_bytes())
        change(rows)
        (place / file).write_text(json.dumps(rows))

    return lie


def change_words(name: str, change: Callable[[np.ndarray], np.ndarray], *, packed: bool = False) -> Lie:
    def lie(place: Path) -> None:
        with np.load(place / "lexical.npz") as arrays:
            words = dict(arrays)
        words[name] = change(words[name])
        data = io.BytesIO()
        (np.savez_compressed if packed else np.savez)(data, **words)
        (place / "lexical.npz").write_bytes(data.getvalue())

    return lie


def change_vectors(change: Callable[[bytes], bytes]) -> Lie:
    def lie(place: Path) -> None:
        (place / "vectors.faiss").write_bytes(change((place / "vectors.faiss").read_bytes()))

    return lie


def announce(count: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:8] + count.to_bytes(8, "little") + data[16:]


LIES: dict[str, Lie] = {
    "vectors that announce more rows than the file holds": change_vectors(announce(1 << 40)),
    "vectors that announce a negative number of rows": change_vectors(announce((1 << 64) - 1)),
    "fewer vectors than rows": change_vectors(
        lambda data: VectorIndex.build(np.eye(3, 384, dtype=np.float32)).to_bytes()
    ),
    "vectors of another length": change_vectors(
        lambda data: VectorIndex.build(np.eye(4, 16, dtype=np.float32)).to_bytes()
    ),
    "vectors cut off": change_vectors(lambda data: data[:-100]),
    "another kind of index": change_vectors(lambda data: b"IxPQ" + data[4:]),
    "postings of texts that are not there": change_words("passages.owners", lambda array: array + 1),
    "postings below zero": change_words("concepts.owners", lambda array: array - 1),
    "postings that go back": change_words("passages.starts", lambda array: np.r_[0, array[1:-1][::-1], array[-1]]),
    "postings past the end": change_words("passages.starts", lambda array: array + 1),
    "fewer weights": change_words("passages.weights", lambda array: array[:-1]),
    "floats for hashes": change_words("passages.hashes", lambda array: array.astype(np.float64)),
    "an object": change_words("thesaurus", lambda array: np.array([{"a": 1}], dtype=object)),
    "a thesaurus of noise": change_words("thesaurus", lambda array: array[::-1].copy()),
    "packed arrays": change_words("latin", lambda array: array, packed=True),
    "a passage of no question": change_json("passages.json", lambda rows: rows[0].__setitem__(1, "nobody")),
    "a passage that is no slice": change_json("passages.json", lambda rows: rows[0].__setitem__(4, 10**9)),
    "a passage too few fields": change_json("passages.json", lambda rows: rows[0].pop()),
    "a question twice": change_json("questions.json", lambda rows: rows.append(rows[0])),
    "a number for questions": lambda place: (place / "questions.json").write_text("7") and None,
    "nested too deep": lambda place: (place / "questions.json").write_text("[" * 100_000) and None,
    "one key too few": change_json("row_keys.json", lambda rows: rows.pop()),
}


WRONG_ONLY_FOR_THE_ENCODER = "vectors of another length"


@pytest.mark.parametrize("name", LIES)
def test_an_index_that_lies_is_named_and_made_anew(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.md").write_text(NOTES, encoding="utf-8")
    settings = Settings(corpus=(tmp_path / "a.md",), index=tmp_path / "index")
    open_notes(settings, lambda line: None)
    place = next((tmp_path / "index").glob("gen-*"))
    LIES[name](place)
    seal(tmp_path / "index")
    if name != WRONG_ONLY_FOR_THE_ENCODER:
        with pytest.raises(IndexFault, match="重建：python -m rag.ingest"):
            open_index(tmp_path / "index")
    said: list[str] = []
    notes = open_notes(settings, said.append)
    assert str(tmp_path / "index") in said[0]
    assert notes.ask(Query("困惑度是什么")).citations[0].label == "Q1"


def test_an_untouched_index_whose_seals_are_made_again_opens(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(NOTES, encoding="utf-8")
    open_notes(Settings(corpus=(tmp_path / "a.md",), index=tmp_path / "index"), lambda line: None)
    seal(tmp_path / "index")
    assert len(open_index(tmp_path / "index").content.questions) == 2
