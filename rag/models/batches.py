"""Turn the training data into batches: aligned texts for distillation, query-section groups for contrast."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from rag.models.data import AlignedPair, Card, SectionPair
from rag.models.plain import PlainWords

Homophones = dict[str, list[str]]
"""Character to the others of the same sound, tones aside."""
Retell = Callable[[str, random.Random], str]
"""Makes a query less tidy."""
Batch = list[tuple[list[str], str]]
"""Texts, each with the queries it answers, as many for each."""

BUCKET_BATCHES = 24
"""Batches sorted together by length, so that little of a batch is padding."""
CLOZE_SHARE = 0.3
"""Share of queries that are a sentence of the body itself (inverse cloze, Lee et al. 2019, arXiv 1906.00300)."""
CLOZE_KEEP = 0.2
"""Share of those whose sentence also stays in the body."""
MISSPELT_SHARE = 0.15
"""Share of queries in which one character is replaced by another of the same sound, or one letter is lost."""
PLAIN_SHARE = 0.35
"""Share of queries whose terms are said in plain words, where they name any."""
WAYS = 3
"""In how many ways a batch asks for each of its cards: a query costs a fifth of its text to embed."""
TITLE_SHARE, BODY_SHARE = 0.15, 0.25
"""Shares of the batches of cards that show the title alone, and the body alone."""
MAX_BODY_CHARS = 300
SENTENCE = re.compile(r"[^。！？!?；;\n]{8,}[。！？!?；;]?")


def aligned_batches(pairs: list[AlignedPair], size: int, rng: random.Random) -> Iterator[list[AlignedPair]]:
    """Yield batches of similar length for ever, each pair once an epoch."""
    while True:
        order = rng.sample(pairs, len(pairs))
        span = size * BUCKET_BATCHES
        for start in range(0, len(order), span):
            bucket = sorted(order[start : start + span], key=lambda pair: len(pair.zh))
            batches = [bucket[at : at + size] for at in range(0, len(bucket) - size + 1, size)]
            rng.shuffle(batches)
            yield from batches


def near_neighbours(sections: list[SectionPair], n_neighbours: int) -> np.ndarray:
    """Find each query's most similar other sections by BM25 over character bigrams.

    :returns: (n_sections, n_neighbours) int64 indices into `sections`.
    """
    import bm25s

    def bigrams(text: str) -> list[str]:
        text = re.sub(r"\s+", "", text.lower())
        return [text[at : at + 2] for at in range(len(text) - 1)] or ["∅"]

    index = bm25s.BM25()
    index.index([bigrams(s.query + s.body[:200]) for s in sections], show_progress=False)
    queries = [bigrams(f"{s.context} {s.query}") for s in sections]
    found, _ = index.retrieve(queries, k=n_neighbours + 1, show_progress=False)
    return np.asarray(found)


def find_homophones(characters: Iterable[str]) -> Homophones:
    """Group the characters by their pinyin without tone."""
    from pypinyin import Style, pinyin

    by_sound: dict[str, list[str]] = defaultdict(list)
    sounds = {char: pinyin(char, style=Style.NORMAL)[0][0] for char in characters}
    for char, sound in sounds.items():
        by_sound[sound].append(char)
    return {char: [other for other in by_sound[sound] if other != char] for char, sound in sounds.items()}


def misspell(query: str, homophones: Homophones, rng: random.Random) -> str:
    """Make one slip of the input method or the keyboard, at a random place where one is possible."""
    at = rng.randrange(len(query))
    others = homophones.get(query[at], [])
    if others:
        return query[:at] + rng.choice(others) + query[at + 1 :]
    word = re.match(r"[a-z]{5,}", query[at:])
    return query[: at + 2] + query[at + 3 :] if word else query


def make_retell(plain: PlainWords, homophones: Homophones) -> Retell:
    """Return what makes a query less tidy: its terms in plain words, or a slip of the keyboard, or neither."""

    def retell(query: str, rng: random.Random) -> str:
        if rng.random() < PLAIN_SHARE:
            query = plain.say(query, rng)
        return misspell(query, homophones, rng) if rng.random() < MISSPELT_SHARE else query

    return retell


def section_batches(
    sections: list[SectionPair], neighbours: np.ndarray, retell: Retell, size: int, rng: random.Random
) -> Iterator[Batch]:
    """Yield batches of headings and bodies for ever; each seed brings a hard neighbour, so negatives in the batch are hard."""
    while True:
        order = rng.sample(range(len(sections)), len(sections))
        while len(order) >= size:
            members: dict[int, None] = {}
            while len(members) < size and order:
                seed = order.pop()
                members[seed] = None
                rivals = [int(at) for at in neighbours[seed] if at != seed]
                members[rng.choice(rivals)] = None
            examples = [draw_example(sections[at], rng) for at in list(members)[:size]]
            yield [([retell(query, rng)], body) for query, body in examples]


def card_batches(groups: list[list[Card]], retell: Retell, size: int, rng: random.Random) -> Iterator[Batch]:
    """Yield batches of cards for ever, each card once an epoch; its whole group is in the batch, as hard negatives.

    Each is asked for in `WAYS` ways, drawn anew. Its text is the title with the body, as passages are embedded, or one of
    the two alone.
    """
    while True:
        cards: list[Card] = []
        for group in rng.sample(groups, len(groups)):
            cards += rng.sample(group, len(group))
        for start in range(0, len(cards) - size + 1, size):
            batch = cards[start : start + size]
            view = rng.random()
            yield [(_draw_ways(card, retell, rng), _draw_view(card, view)) for card in batch]


def _draw_ways(card: Card, retell: Retell, rng: random.Random) -> list[str]:
    """Choose `WAYS` of the ways a card is asked for."""
    ways = [text for texts in card.asked.values() for text in texts]
    return [retell(text, rng) for text in rng.choices(ways, k=WAYS)]


def _draw_view(card: Card, draw: float) -> str:
    """Choose what of a card a batch shows, for all its cards alike."""
    if draw < TITLE_SHARE:
        return card.title
    return card.body if draw < TITLE_SHARE + BODY_SHARE else f"{card.title}\n{card.body}"


def draw_example(section: SectionPair, rng: random.Random) -> tuple[str, str]:
    """Make one (query, body): the heading with or without its parent, or a sentence taken out of the body."""
    body = _draw_window(section.body, rng)
    sentences = SENTENCE.findall(body)
    if len(sentences) >= 3 and rng.random() < CLOZE_SHARE:
        sentence = rng.choice(sentences)
        rest = body if rng.random() < CLOZE_KEEP else body.replace(sentence, "", 1)
        return sentence[:80], f"{section.query}\n{rest}" if rng.random() < 0.5 else rest
    query = section.query
    if section.context and (len(query) < 6 or rng.random() < 0.4):
        query = f"{section.context} {query}"
    return query, body


def _draw_window(body: str, rng: random.Random) -> str:
    """Take the start of the body, or a window from a line border inside it."""
    borders = [match.end() for match in re.finditer(r"[\n。]", body) if match.end() < len(body) - 80]
    start = rng.choice(borders) if borders and rng.random() < 0.3 else 0
    return body[start : start + MAX_BODY_CHARS]
