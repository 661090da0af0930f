"""Find the terms that a query describes without naming them: a reverse dictionary (Hill et al. 2016, arXiv 1504.00548).

Who forgot `padding` asks about the zeros that fill short sentences up. The encoder brings the query near to ways in which
people describe a term (`rag/models/plain.jsonl`), and the questions whose titles name that term gain.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from itertools import islice
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from rag.errors import EncoderError
from rag.tokenize import normalise
from rag.types import Vectors

FILE = "terms.npz"
"""Beside the shipped encoder, whose vectors it holds; `python -m rag.models.terms` writes it."""
LEAST_COSINE = 0.45
"""A description farther than this from the query says nothing; set on the dev half, as is the next."""
MAX_TERMS = 5
WORD = re.compile("[a-z0-9]")
Floats = npt.NDArray[np.float32]
Coarse = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Described:
    """A term that a query describes."""

    name: str
    forms: tuple[str, ...]
    """All its names, in lower case, in simplified and in traditional characters."""
    closeness: float
    """How far its cosine with the query is above `LEAST_COSINE`."""

    def spot(self, text: str) -> Iterator[int]:
        """Yield where a text in lower case names it: Latin names as whole words."""
        for form in self.forms:
            at = text.find(form)
            while at >= 0:
                if not (
                    _goes_on(form[0], text[max(0, at - 1) : at])
                    or _goes_on(form[-1], text[at + len(form) : at + len(form) + 1])
                ):
                    yield at
                at = text.find(form, at + 1)

    def is_named_in(self, text: str) -> bool:
        """Tell whether a text in lower case names it."""
        return next(iter(self.spot(text)), None) is not None


def _goes_on(edge: str, neighbour: str) -> bool:
    """Tell whether a word goes on beyond the edge of a name."""
    return WORD.match(edge) is not None and WORD.match(neighbour) is not None


class ReverseDictionary:
    """Descriptions of terms, by vector."""

    def __init__(
        self, terms: Sequence[tuple[str, tuple[str, ...]]], starts: npt.NDArray[np.int64], vectors: Coarse, axes: Floats
    ) -> None:
        """Take the terms.

        :param terms: name and forms of each.
        :param starts: (n_terms,) row of each term's first description; every term has one at least.
        :param vectors: (n_descriptions, width) turned onto `axes`, those of a term together.
        :param axes: (dim, width) columns, which take a query to its cosines with the vectors.
        """
        self._terms, self._starts, self._axes = terms, starts, axes
        self._vectors = vectors.astype(np.float32)

    def find(self, text: str, vector: Vectors) -> list[Described]:
        """Find the terms that a query is nearest to describing, but those it names.

        :param vector: the query's, (dim,).
        """
        # Neither `@` nor FAISS: both start threads for it, which wait up to 10 ms where others just ran.
        cosines = np.einsum("ij,j->i", self._vectors, np.einsum("i,ij->j", vector, self._axes))
        nearest = np.maximum.reduceat(cosines, self._starts)
        near = np.flatnonzero(nearest > LEAST_COSINE)
        near = near[np.argsort(-nearest[near], kind="stable")]
        folded = normalise(text).lower()
        terms = (Described(*self._terms[at], closeness=float(nearest[at]) - LEAST_COSINE) for at in near.tolist())
        return list(islice((term for term in terms if not term.is_named_in(folded)), MAX_TERMS))


@cache
def load_reverse_dictionary(fingerprint: str) -> ReverseDictionary | None:
    """Load the shipped dictionary; None for another encoder than the one whose vectors it holds.

    :raises EncoderError: when it cannot be read.
    """
    with as_file(files("rag.models")) as folder:
        return read_reverse_dictionary(folder / FILE, fingerprint)


def read_reverse_dictionary(path: Path, fingerprint: str) -> ReverseDictionary | None:
    """Read a dictionary; None when it holds another encoder's vectors.

    :raises EncoderError: when it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            if about["fingerprint"] != fingerprint:
                return None
            terms = [(name, tuple(forms)) for name, forms in about["terms"]]
            axes = arrays["axes"].astype(np.float32) * np.float32(about["scale"])
            return ReverseDictionary(terms, arrays["starts"], arrays["vectors"], axes)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise EncoderError(f"{path}: 自带的术语描述读不出来（{error}）；重新安装：pip install .") from error
