"""Hold the parts of an index against each other before it is used: files from elsewhere may be whole and still lie."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.types import Passage, Question

POSTINGS = ("passages.", "concepts.")
"""What the two word indexes' arrays begin with."""
TEXTS = ("latin", "pairs", "term_pairs", "thesaurus")
FILE_NAME = re.compile(r"\w+\.\w+")
QUESTION_TEXTS = ("id", "label", "number", "title", "printed", "path", "content", "parent")
PASSAGE_TEXTS = ("id", "question", "text", "search_text", "digest", "unit")
Arrays = Mapping[str, npt.NDArray[Any]]


def read_manifest(data: bytes) -> dict[str, Any]:
    """Read a manifest; the files it names lie beside it.

    :raises ValueError: when it is none.
    """
    manifest = json.loads(data)
    if not isinstance(manifest, dict) or "schema" not in manifest:
        raise ValueError("no manifest")
    if not all(FILE_NAME.fullmatch(name) for name in manifest["checksums"]):
        raise ValueError("a file that lies elsewhere")
    return manifest


def find_contradiction(
    questions: Sequence[Question], passages: Sequence[Passage], n_vectors: int, n_keys: int, lexical: Arrays
) -> str:
    """Name the first thing that does not fit; empty when all does."""
    ids = {question.id for question in questions}
    outer = {question.id for question in questions if not question.parent}
    n_rows = len(passages) + sum(bool(question.title) for question in questions)
    if len(ids) < len(questions) or any(question.parent and question.parent not in outer for question in questions):
        return "questions.json"
    if not _has_kinds(questions, QUESTION_TEXTS, ("start", "body_start", "end")):
        return "questions.json"
    if not _has_kinds(passages, PASSAGE_TEXTS, ("start", "end")) or any(
        passage.question not in outer or passage.end - passage.start != len(passage.text) or passage.start < 0
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


def _has_kinds(records: Sequence[Any], texts: Iterable[str], numbers: Iterable[str]) -> bool:
    """Tell whether the fields of records hold what they should."""
    return (
        all(_are(str, map(attrgetter(name), records)) for name in texts)
        and all(_are(int, map(attrgetter(name), records)) for name in numbers)
        and _are(str, chain.from_iterable(record.headings for record in records))
        and _are(int, chain.from_iterable(record.lines for record in records))
        and all(len(record.lines) == 2 for record in records)
    )


def _are(kind: type, values: Iterable[object]) -> bool:
    return set(map(type, values)) <= {kind}


def _has_texts(lexical: Arrays) -> bool:
    if not all(name in lexical and lexical[name].dtype == np.uint8 and lexical[name].ndim == 1 for name in TEXTS):
        return False
    try:
        thesaurus = json.loads(lexical["thesaurus"].tobytes())
        for name in TEXTS[:-1]:
            lexical[name].tobytes().decode()
    except (ValueError, RecursionError):
        return False
    if not isinstance(thesaurus, list) or [type(part) for part in thesaurus] != [dict, dict, list, dict]:
        return False
    concepts, names, starts, lengths = thesaurus
    return (
        _are(str, chain(concepts.values(), starts))
        and _are(list, names.values())
        and _are(str, chain.from_iterable(names.values()))
        and _are(int, lengths.values())
        and set(concepts.values()) <= names.keys()
    )


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
