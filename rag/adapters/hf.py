"""Any transformers encoder by id or path (extra `hf`): torch and transformers are imported here alone.

Pooling, prompts and the length limit are read from the model's own sentence-transformers files, where it has them.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.adapters.hub import find_model, missing_extra
from rag.errors import EncoderError
from rag.types import Progress, Vectors

BATCH_TOKENS = 8_192
"""Padded tokens in one forward pass."""
MAX_TOKENS = 512
"""Longest passage when the model's files set a higher limit or none: longer ones make citations vague."""
NLI_LABELS = ("entail", "neutral", "contradict")
"""How the names of an entailment model's outputs begin."""


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _load(folder: Path, kind: str, *, trust_remote_code: bool) -> tuple[Any, Any, Any]:
    """Load tokenizer and model (by the name of its transformers class), and return torch with them.

    :raises EncoderError: when the folder holds no such model.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise missing_extra("--encoder ") from error
    try:
        # Only safetensors: a pickled checkpoint can run code.
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
        model = getattr(transformers, kind).from_pretrained(folder, use_safetensors=True, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise EncoderError(f"{folder}: 读不出 transformers 模型（{reason}）；文件夹里要有 safetensors 权重") from error
    return tokenizer, model.eval().float(), torch


class HfReranker:
    """A transformers cross-encoder: reads query and passage together and says how well they fit."""

    def __init__(self, spec: str, *, trust_remote_code: bool = False) -> None:
        folder = find_model("--reranker ", spec)
        kind = "AutoModelForSequenceClassification"
        self._tokenizer, self._model, self._torch = _load(folder, kind, trust_remote_code=trust_remote_code)
        places = getattr(self._model.config, "max_position_embeddings", MAX_TOKENS)
        self._max_tokens = min(places, MAX_TOKENS)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score texts for a query; higher is better. Of several outputs the last is taken to mean relevant."""
        batch = self._tokenizer(
            [query] * len(texts), list(texts), truncation="longest_first", max_length=self._max_tokens, padding=True,
            return_tensors="pt",
        )  # fmt: skip
        with self._torch.inference_mode():
            logits = self._model(**batch).logits
        scores = logits[:, 0] if logits.shape[1] == 1 else logits.log_softmax(dim=1)[:, -1]
        values: list[float] = scores.tolist()
        return values


class HfEntailment:
    """A transformers model for natural-language inference: does a premise entail a hypothesis, or contradict it."""

    def __init__(self, spec: str, *, trust_remote_code: bool = False) -> None:
        folder = find_model("--verifier ", spec)
        kind = "AutoModelForSequenceClassification"
        self._tokenizer, self._model, self._torch = _load(folder, kind, trust_remote_code=trust_remote_code)
        self._columns = _order_labels(spec, self._model.config.id2label)
        places = getattr(self._model.config, "max_position_embeddings", MAX_TOKENS)
        self._max_tokens = min(places, MAX_TOKENS)

    def score(self, premises: Sequence[str], hypotheses: Sequence[str]) -> Vectors:
        """Return (n, 3) float32: probabilities of entailment, neutrality and contradiction."""
        batch = self._tokenizer(
            list(premises), list(hypotheses), truncation="only_first", max_length=self._max_tokens, padding=True,
            return_tensors="pt",
        )  # fmt: skip
        with self._torch.inference_mode():
            chances = self._model(**batch).logits.softmax(dim=1).numpy()
        ordered: Vectors = chances[:, self._columns].astype(np.float32)
        return ordered


def _order_labels(spec: str, names: dict[int, str]) -> list[int]:
    """Find the columns of entailment, neutrality and contradiction among a model's outputs.

    :raises EncoderError: when it has others, or does not name them.
    """
    found = [[at for at, name in names.items() if name.lower().startswith(begin)] for begin in NLI_LABELS]
    if len(names) != len(NLI_LABELS) or any(len(places) != 1 for places in found):
        raise EncoderError(
            f"--verifier {spec}: 要一个判断蕴含的模型，三个输出叫 entailment、neutral、contradiction，"
            f"它的输出却叫 {'、'.join(names.values())}"
        )
    return [places[0] for places in found]


class HfEncoder:
    """A transformers encoder with the pooling and prompts that its own files name."""

    def __init__(self, spec: str, *, trust_remote_code: bool = False) -> None:
        folder = find_model("--encoder ", spec)
        self._tokenizer, self._model, self._torch = _load(folder, "AutoModel", trust_remote_code=trust_remote_code)
        self.dim = int(self._model.config.hidden_size)
        self._read_settings(folder)
        self.fingerprint = f"hf:{_digest_folder(folder)}:{self._pooling}"

    def _read_settings(self, folder: Path) -> None:
        """Read pooling, prompts and length from the sentence-transformers files; mean pooling without them."""
        pooling = _read_json(folder / "1_Pooling" / "config.json")
        modes = {"cls": "cls_token", "max": "max_tokens", "lasttoken": "lasttoken"}
        chosen = [name for name, key in modes.items() if pooling.get(f"pooling_mode_{key}")]
        self._pooling = pooling.get("pooling_mode") or (chosen[0] if chosen else "mean")
        if self._pooling not in ("mean", *modes):
            raise EncoderError(
                f"{folder / '1_Pooling'}: 不认识的池化方式 {self._pooling}；认识的有 mean、{'、'.join(modes)}"
            )
        prompts = _read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
        self._query_prompt = prompts.get("query") or ""
        self._passage_prompt = prompts.get("passage") or prompts.get("document") or ""
        limit = _read_json(folder / "sentence_bert_config.json").get("max_seq_length")
        places = getattr(self._model.config, "max_position_embeddings", MAX_TOKENS)
        self.max_tokens = min(value for value in (limit, places, MAX_TOKENS) if value)

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, special tokens left out."""
        return len(self._tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed short questions, each behind the model's query prompt."""
        return self._embed([self._query_prompt + text for text in texts], None)

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed passages; (n_texts, dim) float32, L2-normalised rows, in the order given."""
        return self._embed([self._passage_prompt + text for text in texts], progress)

    def _embed(self, texts: list[str], progress: Progress | None) -> Vectors:
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        encoded = self._tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"] if texts else []
        order = sorted(range(len(texts)), key=lambda at: (len(encoded[at]), at))
        done = 0
        while done < len(order):
            size = max(1, BATCH_TOKENS // len(encoded[order[min(done + 64, len(order)) - 1]]))
            rows = order[done : done + min(size, 64)]
            vectors[rows] = self._run([encoded[at] for at in rows])
            done += len(rows)
            if progress:
                progress(done, len(texts))
        return vectors

    def _run(self, rows: list[list[int]]) -> Vectors:
        """Embed one padded batch of token ids."""
        torch = self._torch
        batch = self._tokenizer.pad({"input_ids": rows}, return_tensors="pt", padding_side="right")
        with torch.inference_mode():
            hidden = self._model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        if self._pooling == "cls":
            pooled = hidden[:, 0]
        elif self._pooling == "lasttoken":
            pooled = hidden[torch.arange(len(rows)), mask[:, :, 0].sum(1) - 1]
        elif self._pooling == "max":
            pooled = hidden.masked_fill(mask == 0, float("-inf")).max(1).values
        else:
            pooled = (hidden * mask).sum(1) / mask.sum(1)
        vectors: Vectors = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        return vectors


def _digest_folder(folder: Path) -> str:
    """Digest names, sizes and the first and last megabyte of the model's files; whole weights would take seconds."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".json", ".safetensors", ".txt", ".model") and path.is_file():
            size = path.stat().st_size
            with path.open("rb") as data:
                digest.update(f"{path.relative_to(folder).as_posix()}:{size}".encode() + data.read(1 << 20))
                data.seek(max(0, size - (1 << 20)))
                digest.update(data.read())
    return digest.hexdigest()
