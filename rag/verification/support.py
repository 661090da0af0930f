"""Measure whether a question of the notes says what a clause of an answer says: by vectors, by terms, by what is new."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from threading import Lock

import numpy as np
import numpy.typing as npt

from rag.types import Encoder, Passage, Vectors
from rag.verification.facts import Clause, Reader, is_common, weigh_overlap

SENTENCE = re.compile(r".+?(?:[。！？!?；;]+[」』”’）)]*|(?<=[a-z0-9)])\.(?=\s+[A-Z])|$)")
MAX_CACHED = 8192
"""Vectors kept between answers; 1.5 kB each."""
SHORT_CHARS = 60
"""An answer text this short is also read together with its question."""
WINDOW = 1
"""Sentences before and after one that are read with it."""
SIGNS = ("bias", "cosine", "clause_cosine", "terms", "clause_terms", "new_names", "new_topics", "new_numbers")
"""What describes a clause beside a question: the cosine of its sentence and its own to the closest sentence of the notes, the
share of the terms of both that the notes have, and how many names, terms of the field and numbers it has that the notes do not."""
Signs = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, of the notes or of an answer."""

    text: str
    whole: Clause
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What one question says."""

    sentences: tuple[Sentence, ...]
    """Its own, its title last; a short answer also together with the title."""
    windows: tuple[dict[str, float], ...]
    """Terms of each sentence, its neighbours and the title."""
    terms: dict[str, float]
    """All its terms."""
    numbers: frozenset[str]
    names: frozenset[str]


class Memory:
    """Embeds texts, and remembers them; safe to use from several threads."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, npt.NDArray[np.float32]] = {}
        self._lock = Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts; (n_texts, dim) float32, L2-normalised rows."""
        with self._lock:
            found = {text: self._known[text] for text in texts if text in self._known}
        if missing := [text for text in dict.fromkeys(texts) if text not in found]:
            found.update(zip(missing, self._encoder.embed_passages(missing), strict=True))
            with self._lock:
                if len(self._known) > MAX_CACHED:
                    self._known.clear()
                self._known.update((text, found[text]) for text in missing)
        return np.stack([found[text] for text in texts])


def read_sentence(text: str, reader: Reader) -> Sentence:
    """Read a sentence; one without content is a clause of its own."""
    clauses = tuple(reader.split(text)) or (reader.read(text),)
    return Sentence(text, reader.join(clauses), clauses)


def read_source(passages: Sequence[Passage], reader: Reader) -> Source:
    """Read the sentences of one question; its headings stand for what they are about."""
    titles = list(dict.fromkeys(heading for passage in passages for heading in passage.headings))
    lines = [line for passage in passages for line in passage.search_text.splitlines()]
    own = [match[0].strip() for line in lines for match in SENTENCE.finditer(line) if match[0].strip()]
    if own and sum(map(len, own)) <= SHORT_CHARS:
        own.append(f"{passages[0].headings[-1]} {' '.join(own)}")
    sentences = [read_sentence(text, reader) for text in (*own, *titles)]
    sentences = [sentence for sentence in sentences if sentence.whole.terms or sentence.whole.numbers]
    title_terms = {term: weight for title in titles for term, weight in reader.read(title).terms.items()}
    windows = []
    for at in range(len(sentences)):
        near = sentences[max(0, at - WINDOW) : at + WINDOW + 1]
        windows.append(title_terms | {term: weight for one in near for term, weight in one.whole.terms.items()})
    wholes = [sentence.whole for sentence in sentences]
    return Source(
        sentences=tuple(sentences),
        windows=tuple(windows),
        terms={term: weight for whole in wholes for term, weight in whole.terms.items()},
        numbers=frozenset(number.value for whole in wholes for number in whole.numbers),
        names=frozenset(name for whole in wholes for name in whole.names),
    )


def measure_signs(claim: Sentence, source: Source, cosines: Vectors, reader: Reader) -> Signs:
    """Measure the clauses of a claim beside a source; (n_clauses, n_signs).

    :param cosines: of the claim and of each of its clauses with each sentence of the source; (1 + n_clauses, n_sentences).
    """
    best = cosines.max(axis=1)
    terms = max(weigh_overlap(claim.whole.terms, window) for window in source.windows)
    return np.array(
        [
            (
                1.0,
                best[0],
                cosine,
                terms,
                max(weigh_overlap(clause.terms, window) for window in source.windows) if clause.terms else terms,
                len(clause.names - source.names),
                len(reader.list_topics(clause.folded) - source.terms.keys()),
                sum(number.value not in source.numbers and not is_common(number) for number in clause.numbers),
            )
            for clause, cosine in zip(claim.clauses, best[1:], strict=True)
        ]
    )


@cache
def load_weights() -> dict[str, float]:
    """Load the weight of each sign: `rag/data/verdicts.json`, fitted by `python -m eval verify --fit` on the dev half."""
    weights: dict[str, float] = json.loads((files("rag") / "data" / "verdicts.json").read_text())["clause"]
    return weights


def estimate_support(signs: Signs) -> list[float]:
    """Estimate for each clause the probability that the source says it: logistic regression over its signs."""
    strengths = signs @ np.array([load_weights()[name] for name in SIGNS])
    return [1 / (1 + math.exp(-strength)) for strength in strengths]
