"""The nouns of the project and the roles its parts play.

Offsets are half-open characters into `Document.text`; lines are 1-based and both ends count. Scores: higher is better.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""(n_texts, dim) float32, L2-normalised rows."""
AnswerText = Literal["text", "empty", "picture"]
"""What a question offers: text, nothing at all, or only pictures."""
Length = Literal["short", "normal", "full"]
"""How much an answer says: half a minute, two minutes, everything; read aloud."""
LENGTHS: tuple[Length, ...] = get_args(Length)
Unit = Literal["line", "page", "cell"]
"""What places in a document and `lines` count: lines of Markdown or text, pages of a PDF, cells of a notebook."""
VerdictName = Literal["supported", "partly", "unsupported"]
Progress = Callable[[int, int], None]
"""Called with (done, total) while something long runs."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file of notes, decoded: line ends are line feeds, no byte-order mark."""

    path: str
    """As cited: relative to the working directory where possible, with `/`."""
    stem: str
    """File name without its ending; unique in the corpus (a folder is put before it when two files share a name)."""
    text: str
    digest: str
    """Hex digest of the file's bytes."""
    unit: Unit = "line"
    """What its places count; pages and cells are parted by form feeds in `text`."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading inside a question's body, or a group above questions."""

    title: str
    level: int
    """1 is the highest."""
    start: int
    end: int
    """Of the heading with what belongs to it."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the notes with its answer text."""

    id: str
    """`<file stem>:Q<number>`, or `<file stem>:<slug>` for one without a number."""
    label: str
    """Shortest unambiguous form of the id, such as `Q16`."""
    number: str
    """Normalised number as printed: `16`, `13.6`, `2.16.20`; empty when it has none."""
    title: str
    """The question's text, without its number and without Markdown marks."""
    printed: str
    """The heading's first line as it stands in the notes."""
    path: str
    start: int
    body_start: int
    end: int
    """The question with its heading is `text[start:end]` of the document at `path`; its body starts at `body_start`."""
    lines: tuple[int, int]
    """First and last line, trailing blank lines left out."""
    headings: tuple[str, ...]
    """Titles of the groups above it, outermost first."""
    content: AnswerText
    parent: str = ""
    """Id of the question that holds this one (`Q29` for `Q29.1`), or empty."""
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """An exact slice of a document: `passage.text == document.text[start:end]`."""

    id: str
    """`<question id>#<ordinal>`, the ordinal from 0."""
    question: str
    """Id of its question, the outermost one."""
    text: str
    start: int
    end: int
    lines: tuple[int, int]
    headings: tuple[str, ...]
    """Groups, question title, sub-headings: outermost first."""
    search_text: str
    """Cleaned body for retrieval, marks and links removed; never cited. May be empty."""
    digest: str
    """Hex digest of headings and search text: what its embedding depends on."""
    unit: Unit = "line"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: str


@dataclass(frozen=True, slots=True)
class Query:
    """What the user asks, with what was said before."""

    text: str
    history: tuple[Turn, ...] = ()
    length: Length = "normal"
    generate: bool = True
    """Whether a language model may write the answer, where one is named; else the notes are quoted."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved question and its best passages, best first."""

    question: Question
    score: float
    """Between 0 and 1; comparable within one query."""
    passages: tuple[tuple[Passage, float], ...] = ()


@dataclass(frozen=True, slots=True)
class WordMatch:
    """How the words of a query match a list of texts."""

    scores: npt.NDArray[np.float32]
    """(n_texts,), BM25."""
    ceiling: float
    """Highest score that a text could have had; 0 when the query has no words."""
    touched: npt.NDArray[np.int64]
    """The texts that have a word of the query, perhaps repeated: with many texts, few of all."""

    def best(self, k: int) -> npt.NDArray[np.int64]:
        """Return the k texts with the highest scores, each once, in no order; fewer when the query touches fewer."""
        n_taken = k
        while True:
            n_taken = min(8 * n_taken, len(self.touched))  # a text stands there once for each word it has
            taken = self.touched
            if n_taken < len(self.touched):
                taken = taken[np.argpartition(-self.scores[taken], n_taken)[:n_taken]]
            distinct = np.unique(taken)
            if len(distinct) > k:
                return distinct[np.argpartition(-self.scores[distinct], k)[:k]]
            if len(distinct) == k or n_taken == len(self.touched):
                return distinct


@dataclass(frozen=True, slots=True)
class LexicalMatch:
    """How the words of a query match the notes."""

    passages: WordMatch
    concepts: WordMatch
    """Of the passages, by what the thesaurus knows."""
    n_unknown_names: int
    """Latin names (with capitals or digits: `LoRA`, `T5`) of the query that no passage has."""
    n_absent_concepts: int
    """Terms of the field in the query that no passage names in any form."""
    latin_share: float
    """Of the letters of the query: English ones are matched less well by Chinese notes that answer them."""


@dataclass(frozen=True, slots=True)
class Span:
    """A slice of a passage that an answer quotes; `start` and `end` are offsets into the passage's text."""

    question: Question
    passage: Passage
    start: int
    end: int
    score: float

    @property
    def text(self) -> str:
        """The exact slice."""
        return self.passage.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a part of an answer comes from."""

    label: str
    title: str
    file: str
    lines: tuple[int, int]
    quote: str
    """Exact slice of the document; `digest` is its content hash."""
    score: float
    digest: str = ""
    unit: Unit = "line"


@dataclass(frozen=True, slots=True)
class Check:
    """A sentence of a generated answer, held against the notes it cites."""

    sentence: str
    """As it stands in the answer, its labels left out."""
    labels: tuple[str, ...]
    """The questions it cites, after repair."""
    verdict: VerdictName
    reason: str = ""
    """Why it is not fully supported, in words for the reader; empty when it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the program says, and what it stands on."""

    query: str
    text: str
    abstained: bool
    mode: Literal["extractive", "generated"]
    citations: tuple[Citation, ...] = ()
    ranking: tuple[tuple[str, float], ...] = field(default=())
    """(label, score), best first."""
    coverage: float = 0.0
    """Probability that the notes cover the query."""
    elapsed_ms: float = 0.0
    related: tuple[tuple[str, str], ...] = ()
    """(label, title) of questions worth reading next."""
    checks: tuple[Check, ...] = ()
    """Of a generated answer, sentence by sentence."""
    model: str = ""
    """Name of the language model that wrote it; empty for quotes."""
    notice: str = ""
    """One line the reader should see beside the answer, such as why the model could not be asked."""


Reply = Iterator[str | Answer]
"""An answer as it is written: pieces of its text, and last of all the whole `Answer`, whose text is the final word."""


class Encoder(Protocol):
    """Turns texts into vectors."""

    @property
    def fingerprint(self) -> str:
        """Names the encoder and its weights; another fingerprint means another vector space."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def max_tokens(self) -> int:
        """Longest passage it reads whole, in its own tokens, special tokens included."""

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, special tokens left out."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed short questions."""

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed passages; in the order given."""


class Reranker(Protocol):
    """Reads a query and passages together and puts them in a better order."""

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Score texts for a query; higher is better."""


class Generator(Protocol):
    """A chat model."""

    @property
    def name(self) -> str:
        """As a reader knows it, such as `qwen3:0.6b`."""

    @property
    def context_tokens(self) -> int:
        """Messages and reply together may have this many tokens."""

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, rather too many than too few."""

    def stream(self, messages: Sequence[Turn], max_tokens: int) -> Iterator[str]:
        """Write the reply piece by piece; closing the iterator stops the model. A reply cut at `max_tokens` ends in `……`.

        :raises GeneratorError: when the model cannot be asked or breaks off; a reason of one line for the reader.
        """
