"""Keep the index in Milvus (extra `milvus`): a server or cluster, or Milvus Lite in a local `.db` path.

A generation is two collections, `<name>_g0007` with a row for every vector and `<name>_g0007_files` with what a reader
holds in memory. The alias `<name>` names the current one and moves at one stroke, after everything is written and counted.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rag import __version__
from rag.adapters.milvus_files import Files, pack_files, read_arrays, read_common
from rag.adapters.milvus_reader import StoredPassages, StoredVectors, StoredWords
from rag.adapters.milvus_rows import Rows, make_rows
from rag.errors import IndexBusy, IndexFault, UsageError
from rag.index import INGEST, IndexContent, OpenIndex, lock_for_writing
from rag.stores import StoredContent
from rag.types import Vectors
from rag.vectors import VectorIndex

DEFAULT_NAME = "mianjing"
NO_SUCH_COLLECTION = 100
"""Milvus's code."""
TIMEOUT_S = 10.0
"""For a connection."""
ADDRESS = re.compile(r"(?P<uri>(?:https?|tcp|unix):[^#@\s]+|[^#]+\.db)(?:#(?P<name>[A-Za-z_]\w{0,99}))?")
"""A server, or a path for Milvus Lite; several sets of notes on one server are told apart by the name after `#`."""


def hold_flat(vectors: Vectors) -> VectorIndex:
    """Hold vectors as they are: Milvus makes the index for searching."""
    import faiss

    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(np.ascontiguousarray(vectors, dtype=np.float32))
    return VectorIndex(flat)


@cache
def connect(uri: str, token: str) -> Any:
    """Connect, once for a process: Milvus Lite runs inside it and locks its files.

    :raises MilvusException: when nothing answers there.
    """
    # Both log what they raise as well, with tracebacks; what they raise is told in one line.
    for library in ("pymilvus", "milvus_lite"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    from pymilvus import MilvusClient

    return MilvusClient(uri, token=token, timeout=TIMEOUT_S)


class Telling:
    """A client whose errors are told in one line."""

    def __init__(self, client: Any, kind: type[Exception], explain: Callable[[Exception], IndexFault]) -> None:
        self._client, self._kind, self._explain = client, kind, explain

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*values: Any, **named: Any) -> Any:
            try:
                return method(*values, **named)
            except self._kind as error:
                raise self._explain(error) from error

        return call


class MilvusStore:
    """Keeps generations in Milvus; nothing is connected before it is needed."""

    def __init__(self, address: str, token: str, lock_folder: Path) -> None:
        match = ADDRESS.fullmatch(address)
        if not match:
            raise UsageError(
                f"--store milvus:{address.rpartition('@')[2]}: 看不懂这个地址；要 http://主机:19530，或以 .db 结尾的路径，"
                "后面可以加 #名字；密码放在 RAG_STORE_TOKEN"
            )
        self._uri, self._token, self._lock_folder = match["uri"], token, lock_folder
        self._name = match["name"] or DEFAULT_NAME
        self._ingest = f"{INGEST} --store milvus:{address}"
        self._is_lite = self._uri.endswith(".db")
        self._read_name, self._read_manifest = "", dict[str, Any]()
        """The generation that was read whole last."""
        self.index_vectors: Callable[[Vectors], VectorIndex] = hold_flat

    def open(self, encoder: str | None = None) -> OpenIndex:
        """Open the current generation; passages, vectors and postings stay in Milvus."""
        name = self.generation()
        if not name:
            raise IndexFault(f"{self._uri}: Milvus 里还没有笔记；先导入：{self._ingest}")
        try:
            return self._open(name, encoder)
        except IndexFault:
            if self.generation() == name:
                raise
            return self.open(encoder)  # it was replaced, and perhaps dropped, while we read it

    def _open(self, name: str, encoder: str | None) -> OpenIndex:
        files, rows = Files(self._connect(), f"{name}_files"), Rows(self._connect(), name)
        manifest = files.read_manifest()
        if encoder not in (None, manifest["encoder"]):
            raise IndexFault(
                f"{self._uri}: Milvus 里的笔记是用另一个编码器导入的（{manifest['encoder']}，现在是 {encoder}）；"
                f"换回那个编码器，或重新导入：{self._ingest}"
            )
        rows.load()
        return OpenIndex(_make_content(files.read(manifest), manifest, rows), name)

    def generation(self) -> str:
        """Name the collection that the alias names; empty when there is none."""
        if self._is_lite and not Path(self._uri).exists():
            return ""
        client = self._connect()
        # A generation has no collection called like the alias, so what has that name is the alias.
        has_alias = client.has_collection(self._name)
        return str(client.describe_alias(self._name)["collection_name"]) if has_alias else ""

    def hold(self, wait_s: float) -> AbstractContextManager[None]:
        """Lock the local index folder: two ingests on one machine come one after the other."""
        return lock_for_writing(self._lock_folder, wait_s)

    def read_former(self) -> OpenIndex | None:
        """Read the current generation whole; one that is damaged or of another schema is made anew."""
        name = self.generation()
        try:
            return self._read_whole(name) if name else None
        except IndexFault:
            return None

    def write(self, content: IndexContent) -> None:
        """Write two collections beside the former ones, count their rows, and move the alias; the former ones stay.

        What is there already, word for word, is not written again.
        """
        former, vectors = self.generation(), content.vectors.all()
        manifest = _make_manifest(content, vectors)
        if former == self._read_name and manifest.items() <= self._read_manifest.items():
            return
        client = self._connect()
        known = self._list_generations()
        # Readers may be at the former generation; older ones, and what a killed writer left, only take memory.
        self._drop([number for number in known if self._name_of(number) != former])
        name = self._name_of(max([*known, _number_of(former)]) + 1)
        n_rows = len(content.row_keys)
        rows = Rows(client, name)
        rows.create(vectors.shape[1])
        rows.insert(make_rows(content, vectors))
        rows.make_indexes(n_rows)
        Files(client, f"{name}_files").write(pack_files(content), manifest)
        rows.check(n_rows)
        switch = client.alter_alias if former else client.create_alias
        switch(collection_name=name, alias=self._name)

    def _read_whole(self, name: str) -> OpenIndex:
        """Read every row of a generation, without its postings."""
        files, rows = Files(self._connect(), f"{name}_files"), Rows(self._connect(), name)
        manifest = files.read_manifest()
        read = files.read(manifest)
        rows.load()
        arrays = read_arrays(read["arrays.npz"])
        n_passages, n_rows = len(arrays["owners"]), manifest["n_rows"]
        entries = rows.fetch(range(n_rows), ["key", "vector"])
        keys, vectors = [], np.empty((n_rows, manifest["dim"]), dtype=np.float32)
        for row, entry in enumerate(entries):
            keys.append(entry["key"])
            vectors[row] = entry["vector"]
        passages = StoredPassages(rows, n_passages, json.loads(read["large.json"]))[:]
        content = IndexContent(
            passages=passages,
            vectors=hold_flat(vectors),
            row_keys=tuple(keys),
            lexical={},
            **read_common(read, manifest),
        )
        self._read_name, self._read_manifest = name, manifest
        return OpenIndex(content, name)

    def _name_of(self, number: int) -> str:
        return f"{self._name}_g{number:04d}"

    def _list_generations(self) -> list[int]:
        """List the numbers of the generations there are, whole or not."""
        pattern = re.compile(rf"{re.escape(self._name)}_g(\d{{4,}})(?:_files)?")
        matches = (pattern.fullmatch(name) for name in self._connect().list_collections())
        return sorted({int(match[1]) for match in matches if match})

    def _drop(self, numbers: list[int]) -> None:
        client = self._connect()
        for name in map(self._name_of, numbers):
            for collection in (name, f"{name}_files"):
                if client.has_collection(collection):
                    client.drop_collection(collection)

    def _connect(self) -> Any:
        """Return the client, its errors told in one line."""
        try:
            from pymilvus.exceptions import MilvusException
        except ImportError as error:
            raise UsageError("--store milvus: 还缺依赖；请先运行：pip install 'mianjing[milvus]'") from error
        path = Path(self._uri).resolve()
        if self._is_lite:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            client = connect(str(path) if self._is_lite else self._uri, self._token)
        except MilvusException as error:
            raise self._explain(error) from error
        return Telling(client, MilvusException, self._explain)

    def _explain(self, error: Exception) -> IndexFault:
        reason = " ".join(str(getattr(error, "message", error)).split())[:160]
        if self._is_lite and "Open local milvus failed" in reason:
            return IndexBusy(
                f"{self._uri}: 打不开；多半是另一个进程正开着它（Milvus Lite 一次只能一个进程用）。"
                "先关掉那个进程，或改用 Milvus 服务器：--store milvus:http://主机:19530"
            )
        if getattr(error, "code", None) == NO_SUCH_COLLECTION:
            return IndexFault(f"{self._uri}: 笔记已经换成新的一代，旧的已删除；重新打开即可")
        if "connect" in reason.lower() or "unavailable" in reason.lower():
            return IndexFault(f"{self._uri}: 连不上 Milvus（{reason}）；检查地址和 RAG_STORE_TOKEN，确认服务已启动")
        return IndexFault(f"{self._uri}: Milvus 报错（{reason}）；稍后再试，或重新导入：{self._ingest}")


def _make_manifest(content: IndexContent, vectors: Vectors) -> dict[str, Any]:
    """Describe a generation: what made it, and a digest of its rows."""
    return {
        "version": __version__,
        "encoder": content.encoder,
        "corpus": content.corpus,
        "n_rows": len(content.row_keys),
        "dim": vectors.shape[1],
        "rows": hashlib.blake2b("".join(content.row_keys).encode(), digest_size=16).hexdigest(),
    }


def _number_of(name: str) -> int:
    return int(name.rpartition("_g")[2]) if name else 0


def _make_content(files: Mapping[str, bytes], manifest: Mapping[str, Any], rows: Rows) -> StoredContent:
    arrays = read_arrays(files["arrays.npz"])
    n_passages = len(arrays["owners"])
    return StoredContent(
        passages=StoredPassages(rows, n_passages, json.loads(files["large.json"])),
        vectors=StoredVectors(rows, manifest["n_rows"]),
        words=StoredWords(arrays, rows, n_passages),
        owners=arrays["owners"].astype(np.int64),
        folds=json.loads(files["folds.json"]),
        row_keys=(),
        lexical={},
        **read_common(files, manifest),
    )
