"""Read the training data: aligned sentences, heading-section pairs, a term lexicon, and cards.

The first three are plain files in one folder; see MODEL_CARD.md for what they hold and under which licences. The cards lie
beside this file: interview questions with their answers and the ways people ask for them, written for this encoder.
"""

import gzip
import json
import random
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rag.errors import RagError

CAP_PER_SOURCE = 14_000
"""Most aligned rows taken from one source that is not about machine learning: keeps one manual from dominating."""
N_HELD_OUT = 1_000
"""Aligned machine-learning sentences kept out of training, for cross-lingual recall."""

MIN_TERM_SOURCES = 3
"""Mined terms from fewer sources are wrong or cut too often to distil from."""
CARDS = Path(__file__).parent / "cards"
HELD_OUT_GROUPS = 6
"""One group of cards in so many is kept out of training, to fit the weights of retrieval on."""


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """One Chinese text and its English counterpart."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class SectionPair:
    """A heading or question, and the section below it."""

    query: str
    context: str
    """The parent heading, or empty."""
    body: str
    source: str


@dataclass(frozen=True, slots=True)
class Card:
    """An interview question, its answer, and the ways people ask for it."""

    group: str
    """Narrow topic; the cards of a group are easily taken for one another."""
    title: str
    body: str
    asked: dict[str, list[str]]
    """How it is asked (`near`, `far`, `keywords`, `english`, `mixed`, `detail`, `spoken`) to the questions."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Everything the recipe reads."""

    aligned: list[AlignedPair]
    held_out: list[AlignedPair]
    sections: list[SectionPair]
    lexicon: list[tuple[str, str, int]]
    """Chinese term, English term, count."""
    terms: list[AlignedPair]
    """The surer part of the lexicon, to distil from."""
    cards: list[list[Card]]
    """By group, without the groups held out."""


def _read_rows(path: Path) -> Iterator[dict[str, str]]:
    if not path.exists():
        raise RagError(f"{path}: training file not found; --data names the folder that holds it (see MODEL_CARD.md)")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _is_held_out(row: dict[str, str]) -> bool:
    """Pick held-out rows by content, so that they stay out whatever the order or size of the file."""
    text_is_long = 12 <= len(row["zh"]) <= 120 and len(row["en"].split()) >= 5
    return bool(row["ai"]) and row["kind"] == "sentence" and text_is_long and zlib.crc32(row["en"].encode()) % 40 == 0


def _read_aligned(path: Path, seed: int) -> tuple[list[AlignedPair], list[AlignedPair]]:
    by_source: dict[str, list[AlignedPair]] = defaultdict(list)
    held_out: list[AlignedPair] = []
    kept: list[AlignedPair] = []
    for row in _read_rows(path):
        pair = AlignedPair(row["zh"].strip(), row["en"].strip())
        if not pair.zh or not pair.en or pair.zh == pair.en:
            continue
        if _is_held_out(row):
            held_out.append(pair)
        elif row["ai"]:
            kept.append(pair)
        else:
            by_source[row["src"]].append(pair)
    rng = random.Random(seed)
    for pairs in by_source.values():
        kept.extend(pairs if len(pairs) <= CAP_PER_SOURCE else rng.sample(pairs, CAP_PER_SOURCE))
    seen = {pair.zh for pair in kept} | {pair.en for pair in kept}
    held_out = [pair for pair in held_out if pair.zh not in seen and pair.en not in seen]
    return kept, list({pair.en: pair for pair in held_out}.values())[:N_HELD_OUT]


def read_corpus(folder: Path, seed: int) -> Corpus:
    """Read the three training files of `folder`.

    :raises RagError: when a file is missing.
    """
    aligned, held_out = _read_aligned(folder / "parallel.jsonl.gz", seed)
    sections = [
        SectionPair(row["q"], row["ctx"], row["d"], row["src"]) for row in _read_rows(folder / "pairs_zh.jsonl.gz")
    ]
    lexicon, terms = [], []
    for line in (folder / "lexicon.tsv").read_text(encoding="utf-8").splitlines():
        zh, en, count, n_sources, origin = line.split("\t")
        if not count.isdigit():
            continue  # the header
        lexicon.append((zh, en, int(count)))
        if origin != "mined" or int(n_sources) >= MIN_TERM_SOURCES:
            terms.append(AlignedPair(zh, en))
    cards = [group for group in read_cards(CARDS) if not is_held_out(group)]
    return Corpus(aligned, held_out, sections, lexicon, terms, cards)


def read_cards(folder: Path) -> list[list[Card]]:
    """Read the cards of a folder, group by group.

    :raises RagError: when a line is not a card.
    """
    groups: dict[str, list[Card]] = defaultdict(list)
    for path in sorted(folder.glob("*.jsonl")):
        for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                card = Card(f"{path.stem}:{row.pop('group')}", row.pop("title"), row.pop("body"), row)
            except (ValueError, KeyError) as error:
                raise RagError(f"{path}:{n}: not a card ({error})") from error
            groups[card.group].append(card)
    return list(groups.values())


def is_held_out(group: list[Card]) -> bool:
    """Tell whether a group of cards stays out of training; by its name, so whatever else is added."""
    return zlib.crc32(group[0].group.encode()) % HELD_OUT_GROUPS == 0


def read_held_out(path: Path) -> list[AlignedPair]:
    """Read the aligned pairs that training leaves out.

    :raises RagError: when the file is missing.
    """
    return _read_aligned(path, seed=0)[1]
