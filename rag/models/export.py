"""Write a checkpoint as the files the program ships: `python -m rag.models.export --checkpoint DIR`.

The graph is built by hand from ONNX Runtime's fused operators (Attention, SkipLayerNormalization, BiasGelu), which
the general exporters reach only by pattern matching. The word table is int8 with a scale per row; the products are
quantised dynamically to 8 bits (7 in the weights, so that CPUs without VNNI do not saturate).
"""

import argparse
import copy
import hashlib
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import BertConfig

from rag.models.student import Student
from rag.models.terms import write_terms
from rag.models.vocabulary import Vocabulary

OPSET = 17
MAX_TOKENS = 256
"""Longest text the exported encoder reads; the teacher's own limit."""
Array = npt.NDArray[Any]


@dataclass(slots=True)
class _Graph:
    """Nodes and constants, gathered in the order of the data."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, values: Array) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        fused = kind in ("Attention", "SkipLayerNormalization", "BiasGelu")
        domain = "com.microsoft" if fused else ""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output


def _add_words(graph: _Graph, table: Array, weights: dict[str, Array], eps: float) -> str:
    """Look up int8 word rows, scale them, add positions (with the one token type folded in) and normalise."""
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-8) / 127
    graph.constant("word_table", np.round(table / scale).astype(np.int8))
    graph.constant("word_scale", scale.astype(np.float32))
    kind = weights["embeddings.token_type_embeddings.weight"][0]
    graph.constant("positions", (weights["embeddings.position_embeddings.weight"] + kind)[:MAX_TOKENS])
    graph.add("Gather", ["word_table", "input_ids"], "word_rows")
    graph.add("Cast", ["word_rows"], "word_floats", to=TensorProto.FLOAT)
    graph.add("Gather", ["word_scale", "input_ids"], "row_scales")
    graph.add("Mul", ["word_floats", "row_scales"], "words")
    graph.add("Shape", ["input_ids"], "length", start=1, end=2)
    graph.constant("zero", np.array([0], dtype=np.int64))
    graph.add("Slice", ["positions", "zero", "length"], "places")
    graph.add("Add", ["words", "places"], "placed")
    gamma = graph.constant("words_gamma", weights["embeddings.LayerNorm.weight"])
    beta = graph.constant("words_beta", weights["embeddings.LayerNorm.bias"])
    return graph.add("LayerNormalization", ["placed", gamma, beta], "hidden", axis=-1, epsilon=eps)


def _add_layer(graph: _Graph, at: int, hidden: str, weights: dict[str, Array], config: BertConfig) -> str:
    """Add one transformer layer and return the name of its output."""
    layer = f"encoder.layer.{at}."

    def constant(name: str, key: str, *, transpose: bool = False) -> str:
        values = weights[layer + key]
        return graph.constant(f"{name}{at}", values.T if transpose else values)

    def skip_norm(inputs: str, rest: str, key: str, output: str) -> str:
        bias = constant(output + "_bias", key + ".dense.bias")
        gamma = constant(output + "_gamma", key + ".LayerNorm.weight")
        beta = constant(output + "_beta", key + ".LayerNorm.bias")
        eps = config.layer_norm_eps
        return graph.add("SkipLayerNormalization", [inputs, rest, gamma, beta, bias], f"{output}{at}", epsilon=eps)

    parts = [layer + f"attention.self.{part}." for part in ("query", "key", "value")]
    qkv = graph.constant(f"qkv{at}", np.concatenate([weights[part + "weight"].T for part in parts], axis=1))
    qkv_bias = graph.constant(f"qkv_bias{at}", np.concatenate([weights[part + "bias"] for part in parts]))
    n_heads = config.num_attention_heads
    seen = graph.add("Attention", [hidden, qkv, qkv_bias, "mask"], f"attention{at}", num_heads=n_heads)
    seen = graph.add("MatMul", [seen, constant("out", "attention.output.dense.weight", transpose=True)], f"mixed{at}")
    middle = skip_norm(seen, hidden, "attention.output", "attended")
    wide = graph.add("MatMul", [middle, constant("up", "intermediate.dense.weight", transpose=True)], f"wide{at}")
    wide = graph.add("BiasGelu", [wide, constant("up_bias", "intermediate.dense.bias")], f"gelu{at}")
    narrow = graph.add("MatMul", [wide, constant("down", "output.dense.weight", transpose=True)], f"narrow{at}")
    return skip_norm(narrow, middle, "output", "layer")


def _add_pooling(graph: _Graph, hidden: str) -> None:
    """Mean the hidden states under the mask and normalise to length one."""
    graph.constant("last", np.array([-1], dtype=np.int64))
    graph.constant("second", np.array([1], dtype=np.int64))
    graph.add("Cast", ["attention_mask"], "weights", to=TensorProto.FLOAT)
    graph.add("Unsqueeze", ["weights", "last"], "columns")
    graph.add("Mul", [hidden, "columns"], "kept")
    graph.add("ReduceSum", ["kept", "second"], "total", keepdims=0)
    graph.add("ReduceL2", ["total"], "norm", axes=[1], keepdims=1)
    graph.add("Div", ["total", "norm"], "embedding")


def build_graph(student: Student) -> onnx.ModelProto:
    """Build the float graph: (n, length) int64 ids and mask to (n, dim) float32 unit rows.

    The mean needs no division by the count: the norm takes it out again.
    """
    config = student.bert.config
    weights = {name: value.detach().float().numpy() for name, value in student.bert.state_dict().items()}
    graph = _Graph()
    graph.add("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    hidden = _add_words(graph, student.word_table().numpy(), weights, config.layer_norm_eps)
    for at in range(config.num_hidden_layers):
        hidden = _add_layer(graph, at, hidden, weights, config)
    _add_pooling(graph, hidden)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", config.hidden_size])]
    body = helper.make_graph(graph.nodes, "encoder", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=9)


def export(student: Student, vocabulary: Vocabulary, folder: Path, provenance: dict[str, Any]) -> None:
    """Write model.onnx, tokenizer.json and config.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        onnx.save(build_graph(student), plain)
        quantize_dynamic(
            plain,
            folder / "model.onnx",
            op_types_to_quantize=["MatMul", "Attention"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},  # the fused operators have no shape inference
        )
    (folder / "tokenizer.json").write_text(vocabulary.to_json() + "\n", encoding="utf-8")
    digest = hashlib.blake2b((folder / "model.onnx").read_bytes() + vocabulary.to_json().encode(), digest_size=8)
    config = {
        "name": "mianjing-zh-en",
        "fingerprint": f"mianjing-zh-en:{digest.hexdigest()}",
        "dim": student.bert.config.hidden_size,
        "max_tokens": MAX_TOKENS,
        **provenance,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_checkpoint(folder: Path) -> tuple[Student, Vocabulary, dict[str, Any]]:
    """Load the student of a run, its vocabulary, and what made it."""
    from rag.models.student import find_teacher

    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    vocabulary = Vocabulary(**record["vocabulary"])
    changes = {"num_hidden_layers": record["settings"]["layers"]}
    config = BertConfig(**{**BertConfig.from_pretrained(find_teacher()).to_dict(), **changes})
    student = Student(config, len(vocabulary.pieces), len(vocabulary.chinese))
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    student.load_state_dict(state["student"])
    return student.eval(), vocabulary, {"settings": record["settings"], "step": state["step"]}


def mix_weights(student: Student, start: Student, share: float) -> None:
    """Move the student's weights towards those it started from, by `share` of the way (WiSE-FT, arXiv 2109.01903)."""
    before = start.state_dict()
    mixed = {
        name: torch.lerp(value, before[name], share) if value.is_floating_point() else value
        for name, value in student.state_dict().items()
    }
    student.load_state_dict(mixed)


def main(arguments: list[str] | None = None) -> int:
    """Export the checkpoint of a run."""
    parser = argparse.ArgumentParser(prog="python -m rag.models.export", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=Path("build/encoder"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--start", type=Path, metavar="DIR", help="exported encoder the run started from, to mix in")
    parser.add_argument("--start-share", type=float, default=0.4, metavar="SHARE")
    options = parser.parse_args(arguments)
    student, vocabulary, provenance = load_checkpoint(options.checkpoint)
    if options.start:
        from rag.models.restore import restore

        start = copy.deepcopy(student)
        restore(start, vocabulary.to_json(), options.start)
        mix_weights(student, start, options.start_share)
        provenance["start_share"] = options.start_share
    export(student, vocabulary, options.out, provenance)
    write_terms(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
