"""Embed texts with the shipped encoder (ONNX Runtime), or with an OpenAI-compatible endpoint."""

import json
import os
import re
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.errors import EncoderError
from rag.types import Progress, Vectors

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

API_BATCH = 32
"""Texts sent in one request; every known endpoint takes this many."""
API_TIMEOUT_S = 60.0
API_MAX_TOKENS = 400
"""Passage size for an endpoint that does not tell its own limit."""
PASSWORD = re.compile(r"//[^/@\s]+@")
"""In an address: neither messages nor the index show it."""


class ShippedEncoder:
    """The project's own Chinese-English encoder: 384 dimensions, mean pooling, 8-bit weights.

    Every text runs alone. Dynamic quantisation scales activations over a whole batch, so in a batch a vector would
    depend on its neighbours; alone it is the same every time, and the cores are kept busy by running several at once.
    """

    def __init__(self, folder: Path | None = None) -> None:
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        with as_file(files("rag.models")) as shipped:
            folder = folder or shipped
            config = self._read_config(folder)
            options = SessionOptions()
            options.intra_op_num_threads = 1
            options.log_severity_level = 3
            try:
                model = str(folder / "model.onnx")
                self._session = InferenceSession(model, options, providers=["CPUExecutionProvider"])
                self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            # Both libraries raise bare Exception subclasses of their own, and a damaged file can raise any of them.
            except Exception as error:
                raise EncoderError(f"{folder}: 自带的编码模型读不出来（{error}）；重新安装：pip install .") from error
        self.fingerprint: str = config["fingerprint"]
        self.dim: int = config["dim"]
        self.max_tokens: int = config["max_tokens"]
        self._tokenizer.enable_truncation(self.max_tokens)

    @staticmethod
    def _read_config(folder: Path) -> dict[str, Any]:
        try:
            config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EncoderError(f"{folder / 'config.json'}: 自带的编码模型不完整；重新安装：pip install .") from error
        return config

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, special tokens left out, however long it is."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return len(encoding.ids) + sum(len(rest.ids) for rest in encoding.overflowing)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed short questions; the model was trained on both sides alike and takes no instruction."""
        return self.embed_passages(texts)

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed passages; (n_texts, dim) float32, L2-normalised rows, in the order given."""
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        if len(texts) == 1:
            vectors[0] = self._embed(texts[0])
            return vectors
        for row, vector in enumerate(self._pool.map(self._embed, texts)):
            vectors[row] = vector
            if progress:
                progress(row + 1, len(texts))
        return vectors

    @cached_property
    def _pool(self) -> "ThreadPoolExecutor":
        """A thread for each core, kept: to start them costs a message of several questions 3 ms."""
        from concurrent.futures import ThreadPoolExecutor  # 5 ms that a single question does not need

        return ThreadPoolExecutor(count_cores(), "embed")

    def _embed(self, text: str) -> Vectors:
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        vector: Vectors = self._session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
        return vector


class ApiEncoder:
    """Any endpoint that speaks OpenAI's `POST /embeddings`."""

    def __init__(self, model: str, base_url: str, api_key: str) -> None:
        self._model, self._url, self._key = model, base_url.rstrip("/") + "/embeddings", api_key
        self._shown = PASSWORD.sub("//", self._url)
        self.fingerprint = f"api:{PASSWORD.sub('//', base_url)}:{model}"
        self.max_tokens = API_MAX_TOKENS
        self.dim = 0
        """Told by the first reply."""

    def count_tokens(self, text: str) -> int:
        """Estimate the tokens: one for a Chinese character, one for four other characters."""
        n_wide = sum(char > "\u2e7f" for char in text)
        return n_wide + (len(text) - n_wide + 3) // 4

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed short questions."""
        return self.embed_passages(texts)

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed passages in the order given."""
        parts = []
        for start in range(0, len(texts), API_BATCH):
            parts.append(self._request(texts[start : start + API_BATCH]))
            if progress:
                progress(min(start + API_BATCH, len(texts)), len(texts))
        return np.concatenate(parts) if parts else np.empty((0, self.dim), dtype=np.float32)

    def _request(self, texts: Sequence[str]) -> Vectors:
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            payload = {"model": self._model, "input": list(texts)}
            reply = httpx.post(self._url, json=payload, headers=headers, timeout=API_TIMEOUT_S)
            reply.raise_for_status()
            rows = sorted(reply.json()["data"], key=lambda row: int(row["index"]))
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        except (httpx.HTTPError, httpx.InvalidURL, KeyError, TypeError, ValueError) as error:
            reason = PASSWORD.sub("//", str(error).split("\n")[0])
            raise EncoderError(
                f"{self._shown}: 取不到向量（{reason}）；检查 RAG_API_BASE、RAG_API_KEY 和模型名，"
                "或去掉 --encoder 改用自带的编码器"
            ) from error
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise EncoderError(f"{self._shown}: 发去 {len(texts)} 段文字，收到的向量形状却是 {vectors.shape}")
        self.dim = vectors.shape[1]
        return normalise_rows(vectors)


def normalise_rows(vectors: Vectors) -> Vectors:
    """Scale every row to length one; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / np.maximum(norms, np.float32(1e-12))
    return scaled


def count_cores() -> int:
    """Return how many cores this process may use."""
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1
