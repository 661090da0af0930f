"""What a reader of Milvus holds in memory, kept in Milvus too: questions, vocabulary, thesaurus, the manifest.

They are files cut into rows of a collection of their own, compressed, each with its checksum in the manifest (row 0).
"""

import base64
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.adapters.milvus_rows import pack_passage
from rag.errors import IndexFault
from rag.index import INGEST, IndexContent, pack_records, unpack_questions
from rag.stores import fold_words

SCHEMA = 1
"""Raised whenever the collections or the files change: older generations are imported anew."""
PART_BYTES = 48_000
"""Base64 makes 64,000 of them, and a field holds 65,535."""
PARTS_PER_REQUEST = 100
KEPT_ARRAYS = ("latin", "pairs", "term_pairs", "thesaurus")
"""Of the lexical index, as they are."""
Arrays = dict[str, npt.NDArray[Any]]


def pack_files(content: IndexContent) -> dict[str, bytes]:
    """Serialise what a reader holds: names to bytes."""
    arrays: Arrays = {name: content.lexical[name] for name in KEPT_ARRAYS}
    for part in ("passages", "concepts"):
        arrays[f"{part}.hashes"] = content.lexical[f"{part}.hashes"]
        arrays[f"{part}.counts"] = np.diff(content.lexical[f"{part}.starts"]).astype(np.int32)
    places = {q.id: place for place, q in enumerate(q for q in content.questions if not q.parent)}
    arrays["owners"] = np.array([places[passage.question] for passage in content.passages], dtype=np.int32)
    texts: dict[str, list[Any]] = {key: [] for key in places}
    for passage in content.passages:
        texts[passage.question].append(passage)
    large = {row: fields for row, fields in enumerate(pack_records(content.passages)) if not pack_passage(fields)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return {
        "questions.json": _json(pack_records(content.questions)),
        "folds.json": _json({key: _hash_words(fold_words(passages)) for key, passages in texts.items()}),
        "large.json": _json(large),
        "documents.json": _json(content.documents),
        "problems.json": _json(content.problems),
        "arrays.npz": buffer.getvalue(),
    }


def _hash_words(folded: str) -> str:
    return _digest(folded.encode()) if folded else ""


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class Files:
    """The files of one generation."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name

    def write(self, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> None:
        """Make the collection and put the files in."""
        from pymilvus import DataType

        parts: list[str] = []
        listed = {}
        for name, data in files.items():
            packed = zlib.compress(data)
            cut = [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]
            listed[name] = {"first": len(parts) + 1, "n_parts": len(cut), "digest": _digest(data)}
            parts += [base64.b64encode(piece).decode() for piece in cut]
        rows = [json.dumps({**manifest, "schema": SCHEMA, "files": listed}, ensure_ascii=False), *parts]
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("part", DataType.INT64, is_primary=True)
        schema.add_field("data", DataType.VARCHAR, max_length=65_535)
        schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)  # Milvus has no collection without a vector
        self._client.create_collection(self._name, schema=schema, consistency_level="Strong")
        for start in range(0, len(rows), PARTS_PER_REQUEST):
            batch = enumerate(rows[start : start + PARTS_PER_REQUEST], start)
            self._client.upsert(self._name, [{"part": at, "data": data, "nothing": [0.0, 0.0]} for at, data in batch])
        self._client.flush(self._name)
        indexes = self._client.prepare_index_params()
        indexes.add_index("nothing", index_type="FLAT", metric_type="L2")
        self._client.create_index(self._name, indexes)
        self._client.load_collection(self._name)

    def read_manifest(self) -> dict[str, Any]:
        """Read row 0.

        :raises IndexFault: when there is none, or it is of another schema.
        """
        self._client.load_collection(self._name)
        rows = list(self._read_parts(0, 1))
        manifest: dict[str, Any] = json.loads(rows[0]) if rows else {"schema": None}
        if manifest["schema"] != SCHEMA:
            raise IndexFault(
                f"{self._name}: 格式是第 {manifest['schema']} 版，现在用第 {SCHEMA} 版；重新导入：{INGEST}"
            )
        return manifest

    def read(self, manifest: Mapping[str, Any]) -> dict[str, bytes]:
        """Read all files.

        :raises IndexFault: when one is damaged; it is named.
        """
        files = {}
        for name, entry in manifest["files"].items():
            parts = self._read_parts(entry["first"], entry["n_parts"])
            packed = b"".join(base64.b64decode(part) for part in parts)
            try:
                files[name] = zlib.decompress(packed)
            except zlib.error:
                files[name] = b""
            if _digest(files[name]) != entry["digest"]:
                raise IndexFault(f"{self._name}/{name}: Milvus 里的索引损坏了；重新导入：{INGEST}")
        return files

    def _read_parts(self, first: int, n_parts: int) -> Iterator[str]:
        for start in range(first, first + n_parts, PARTS_PER_REQUEST):
            wanted = range(start, min(start + PARTS_PER_REQUEST, first + n_parts))
            rows = self._client.query(self._name, ids=list(wanted), output_fields=["part", "data"])
            yield from (row["data"] for row in sorted(rows, key=lambda row: int(row["part"])))


def read_arrays(data: bytes) -> Arrays:
    """Read the arrays of `arrays.npz`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def read_common(files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields that any content has."""
    return {
        "questions": unpack_questions(json.loads(files["questions.json"])),
        "encoder": manifest["encoder"],
        "corpus": manifest["corpus"],
        "documents": tuple((path, digest) for path, digest in json.loads(files["documents.json"])),
        "problems": tuple(json.loads(files["problems.json"])),
    }
