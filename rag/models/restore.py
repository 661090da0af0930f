"""Read an exported encoder back into a student, so that training can go on where only the shipped files are at hand.

The matrices come back rounded to their 8 bits; a few hundred steps mend what that costs. Positions beyond the exported
ones stay the teacher's.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper

from rag.errors import RagError
from rag.models.student import Student

Array = npt.NDArray[Any]
PRODUCTS = {
    "out": "attention.output.dense.weight",
    "up": "intermediate.dense.weight",
    "down": "output.dense.weight",
}
"""Graph constant to weight; the graph holds them transposed and quantised."""
VECTORS = {
    "attended_bias": "attention.output.dense.bias",
    "attended_gamma": "attention.output.LayerNorm.weight",
    "attended_beta": "attention.output.LayerNorm.bias",
    "up_bias": "intermediate.dense.bias",
    "layer_bias": "output.dense.bias",
    "layer_gamma": "output.LayerNorm.weight",
    "layer_beta": "output.LayerNorm.bias",
}


def restore(student: Student, tokenizer: str, folder: Path) -> None:
    """Load the weights of `folder`/model.onnx into `student`.

    :param tokenizer: the student's own tokenizer as JSON, which has to be the exported one.
    :raises RagError: when the files are missing or belong to another vocabulary.
    """
    try:
        exported = (folder / "tokenizer.json").read_text(encoding="utf-8")
        graph = onnx.load(folder / "model.onnx").graph
    except OSError as error:
        raise RagError(f"{folder}: no exported encoder to start from ({error.strerror})") from error
    if exported.strip() != tokenizer.strip():
        raise RagError(
            f"{folder}/tokenizer.json: made from other data or another --seed; leave out --start-from to train from scratch"
        )
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    state = {name: value.numpy().copy() for name, value in student.bert.state_dict().items()}
    kind = state["embeddings.token_type_embeddings.weight"][0]
    n_places = len(constants["positions"])
    state["embeddings.position_embeddings.weight"][:n_places] = constants["positions"] - kind
    state["embeddings.LayerNorm.weight"] = constants["words_gamma"]
    state["embeddings.LayerNorm.bias"] = constants["words_beta"]
    for at in range(student.bert.config.num_hidden_layers):
        for name, value in _read_layer(constants, at).items():
            state[f"encoder.layer.{at}.{name}"] = value
    student.bert.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    table = torch.tensor(constants["word_table"].astype(np.float32) * constants["word_scale"])
    with torch.no_grad():
        student.pieces.copy_(table[: len(student.pieces)])
        student.chinese.copy_(table[len(student.pieces) :])


def _read_layer(constants: dict[str, Array], at: int) -> dict[str, Array]:
    """Gather the weights of one layer under their names in the torch model."""
    weights = {key: constants[f"{name}{at}"] for name, key in VECTORS.items()}
    weights |= {key: _dequantise(constants, f"{name}{at}").T for name, key in PRODUCTS.items()}
    products = np.split(_dequantise(constants, f"qkv{at}"), 3, axis=1)
    biases = np.split(constants[f"qkv_bias{at}"], 3)
    for part, product, bias in zip(("query", "key", "value"), products, biases, strict=True):
        weights[f"attention.self.{part}.weight"] = product.T
        weights[f"attention.self.{part}.bias"] = bias
    return weights


def _dequantise(constants: dict[str, Array], name: str) -> Array:
    zero = constants[name + "_zero_point"].astype(np.float32)
    return (constants[name + "_quantized"].astype(np.float32) - zero) * constants[name + "_scale"]
