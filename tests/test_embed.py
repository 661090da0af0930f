"""The three encoders: shipped, transformers by path, and an endpoint; all offline."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast

from rag.adapters.hf import HfEncoder, HfReranker
from rag.embed import ApiEncoder, ShippedEncoder
from rag.errors import EncoderError
from rag.types import Encoder

TEXTS = ["什么是注意力机制？", "How does attention work?", "红烧肉要先焯水", "", "位置编码" * 400]


@pytest.fixture(scope="module")
def shipped() -> ShippedEncoder:
    return ShippedEncoder()


def make_tiny_model(folder: Path, pooling: str = "cls", prompt: str = "") -> Path:
    """Write a tiny BERT with the sentence-transformers files that name its pooling and prompt."""
    torch.manual_seed(1)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"什么是注意力机制红烧肉问：", "a", "b"]
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{pooling}": True}))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": prompt}}))
    return folder


def assert_sound(encoder: Encoder) -> None:
    vectors = encoder.embed_passages(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-4)


def test_the_shipped_encoder_gives_unit_rows(shipped: ShippedEncoder) -> None:
    assert_sound(shipped)
    assert (shipped.dim, shipped.max_tokens) == (384, 256)


def test_a_vector_does_not_depend_on_its_neighbours(shipped: ShippedEncoder) -> None:
    together = shipped.embed_passages(TEXTS)
    alone = np.concatenate([shipped.embed_passages([text]) for text in TEXTS])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(
    ("query", "near", "far"),
    [
        ("how is positional information added", "位置编码表示词在句子中的位置", "学习率预热避免训练初期不稳定"),
        ("怎么让模型跑得更快", "通过剪枝和量化减少推理时间", "位置编码表示词在句子中的位置"),
        ("注意力機制", "注意力机制", "批归一化"),
    ],
)
def test_meaning_is_near_across_words_languages_and_scripts(
    shipped: ShippedEncoder, query: str, near: str, far: str
) -> None:
    asked = shipped.embed_queries([query])[0]
    first, second = shipped.embed_passages([near, far]) @ asked
    assert first > second + 0.15


def test_tokens_are_counted_beyond_the_limit(shipped: ShippedEncoder) -> None:
    assert shipped.count_tokens("位置编码，" * 300) >= 600


def test_progress_is_told_text_by_text(shipped: ShippedEncoder) -> None:
    told: list[tuple[int, int]] = []
    shipped.embed_passages(TEXTS[:3], lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_damaged_model_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"fingerprint": "x", "dim": 384, "max_tokens": 256}')
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(EncoderError, match="自带的编码模型读不出来"):
        ShippedEncoder(tmp_path)


@pytest.mark.parametrize("pooling", ["cls_token", "mean_tokens", "max_tokens", "lasttoken"])
def test_a_transformers_model_loads_by_path_and_pools_as_its_files_say(tmp_path: Path, pooling: str) -> None:
    folder = make_tiny_model(tmp_path / "model", pooling)
    encoder = HfEncoder(str(folder))
    assert_sound(encoder)
    tokenizer, model = BertTokenizerFast.from_pretrained(folder), BertModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        hidden = model(**tokenizer("什么是注意力", return_tensors="pt")).last_hidden_state[0]
    pooled = {
        "cls_token": hidden[0],
        "mean_tokens": hidden.mean(0),
        "max_tokens": hidden.max(0).values,
        "lasttoken": hidden[-1],
    }
    expected = torch.nn.functional.normalize(pooled[pooling], dim=0).numpy()
    np.testing.assert_allclose(encoder.embed_passages(["什么是注意力", "红烧肉是什么机制"])[0], expected, atol=1e-5)


def test_a_models_own_query_prompt_is_put_before_queries_alone(tmp_path: Path) -> None:
    encoder = HfEncoder(str(make_tiny_model(tmp_path / "model", prompt="问：")))
    np.testing.assert_allclose(encoder.embed_queries(["红烧肉"]), encoder.embed_passages(["问：红烧肉"]), atol=1e-6)
    assert not np.allclose(encoder.embed_queries(["红烧肉"]), encoder.embed_passages(["红烧肉"]))


@pytest.mark.parametrize("n_labels", [1, 2])
def test_a_cross_encoder_by_path_scores_as_the_model_itself(tmp_path: Path, n_labels: int) -> None:
    folder = make_tiny_model(tmp_path / "model")
    config = BertConfig.from_pretrained(folder, num_labels=n_labels)
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    texts = ["注意力机制", "红烧肉", "a b"]
    scores = HfReranker(str(folder)).score("什么是注意力", texts)
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    with torch.no_grad():
        logits = [model(**tokenizer("什么是注意力", text, return_tensors="pt")).logits[0] for text in texts]
    expected = [float(row[0] if n_labels == 1 else row.log_softmax(0)[1]) for row in logits]
    assert scores == pytest.approx(expected, abs=1e-5)


def test_another_models_fingerprint_differs(tmp_path: Path) -> None:
    first = HfEncoder(str(make_tiny_model(tmp_path / "a", "cls_token")))
    second = HfEncoder(str(make_tiny_model(tmp_path / "b", "mean_tokens")))
    assert first.fingerprint != second.fingerprint


def test_a_folder_without_weights_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="读不出 transformers 模型"):
        HfEncoder(str(tmp_path))


def test_a_hub_that_cannot_be_reached_names_three_ways_out() -> None:
    with pytest.raises(EncoderError, match=r"三条出路.*自带的编码器.*HF_ENDPOINT.*文件夹路径"):
        HfEncoder("someone/no-such-model")


def test_no_socket_is_opened_by_the_shipped_encoder_or_a_model_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_tiny_model(tmp_path / "model")

    def refuse(*arguments: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert_sound(ShippedEncoder())
    assert_sound(HfEncoder(str(folder)))


class _Endpoint(BaseHTTPRequestHandler):
    """Speaks OpenAI's embeddings call; answers out of order, as the protocol allows."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer secret":
            self.send_error(401)
            return
        rows = [{"index": at, "embedding": [len(text) + 1.0, 2.0, 0.0]} for at, text in enumerate(asked["input"])]
        reply = json.dumps({"data": rows[::-1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_an_endpoints_vectors_come_back_in_order_and_normalised(endpoint: str) -> None:
    encoder = ApiEncoder("m", endpoint, "secret")
    vectors = encoder.embed_passages(["x" * n for n in range(70)])
    assert vectors.shape == (70, 3)
    expected = np.array([[n + 1.0, 2.0, 0.0] for n in range(70)])
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-5)


def test_an_endpoint_that_refuses_is_one_clear_line(endpoint: str) -> None:
    with pytest.raises(EncoderError, match=r"取不到向量.*401.*RAG_API_KEY"):
        ApiEncoder("m", endpoint, "wrong").embed_queries(["x"])
