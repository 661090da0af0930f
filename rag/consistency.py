"""Hold the parts of an index against each other before it is used: files from elsewhere may be whole and still lie."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.types import Passage, Question

POSTINGS = ("passages.", "concepts.")
"""What the two word indexes' arrays begin with."""
TEXTS = ("latin", "pairs", "term_pairs", "thesaurus")
Arrays = Mapping[str, npt.NDArray[Any]]


def find_contradiction(
    questions: Sequence[Question], passages: Sequence[Passage], n_vectors: int, n_keys: int, lexical: Arrays
) -> str:
    """Name the first thing that does not fit; empty when all does."""
    ids = {question.id for question in questions}
    n_rows = len(passages) + sum(bool(question.title) for question in questions)
    if len(ids) < len(questions):
        return "questions.json"
    if any(
        passage.question not in ids or passage.end - passage.start != len(passage.text) or passage.start < 0
        for passage in passages
    ):
        return "passages.json"
    if n_keys != n_rows:
        return "row_keys.json"
    if n_vectors != n_rows:
        return "vectors.faiss"
    return (
        "" if all(_fits(lexical, part, len(passages)) for part in POSTINGS) and _has_texts(lexical) else "lexical.npz"
    )


def _has_texts(lexical: Arrays) -> bool:
    if not all(name in lexical and lexical[name].dtype == np.uint8 and lexical[name].ndim == 1 for name in TEXTS):
        return False
    try:
        thesaurus = json.loads(lexical["thesaurus"].tobytes())
    except ValueError:
        return False
    return isinstance(thesaurus, list) and [type(part) for part in thesaurus] == [dict, dict, list, dict]


def _fits(lexical: Arrays, part: str, n_texts: int) -> bool:
    """Tell whether postings stay inside their arrays, and name texts that there are."""
    kinds = {"hashes": np.uint64, "starts": np.int64, "owners": np.int32, "weights": np.float32, "lengths": np.float32}
    arrays = {name: lexical.get(part + name) for name in kinds}
    if any(array is None or array.ndim != 1 or array.dtype != kinds[name] for name, array in arrays.items()):
        return False
    hashes, starts, owners = (lexical[part + name] for name in ("hashes", "starts", "owners"))
    if len(starts) != len(hashes) + 1 or starts[0] != 0 or starts[-1] != len(owners):
        return False
    if len(lexical[part + "weights"]) != len(owners) or len(lexical[part + "lengths"]) != n_texts:
        return False
    in_range = not len(owners) or (int(owners.min()) >= 0 and int(owners.max()) < n_texts)
    return in_range and bool((np.diff(starts) >= 0).all())
