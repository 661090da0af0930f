"""Notes put together from the cards that the encoder was not trained on, with some cards torn out.

The weights of retrieval are fitted on several such notebooks beside the project's own notes, so that they suit notes on
other subjects too; the questions that the torn-out cards answered are questions of the field that the notes do not cover.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eval.beir import open_set
from eval.queries import RELEVANT, EvalQuery, RetrievalSet
from rag.config import Settings
from rag.models.data import CARDS, Card, is_held_out, read_cards
from rag.pipeline import Notes
from rag.types import Encoder, Query

SPLIT = "dev"
N_NOTEBOOKS = 12
N_GROUPS = 4
"""Groups of cards in a notebook: some forty questions."""
TORN_OUT = 0.25
SEED = 7


@dataclass(frozen=True, slots=True)
class Notebook:
    """Indexed notes, and what is asked of them."""

    notes: Notes
    queries: tuple[EvalQuery, ...]


def make_notebooks(encoder: Encoder, settings: Settings, n_notebooks: int = N_NOTEBOOKS) -> Iterator[Notebook]:
    """Put notebooks together from the groups of cards held out; the same ones each time."""
    groups = [group for group in read_cards(CARDS) if is_held_out(group)]
    rng = random.Random(SEED)
    for at in range(n_notebooks):
        yield bind_notebook(f"notebook-{at}", rng.sample(groups, N_GROUPS), rng, encoder, settings)


def bind_notebook(
    name: str, groups: Sequence[Sequence[Card]], rng: random.Random, encoder: Encoder, settings: Settings
) -> Notebook:
    """Index the cards of some groups but those torn out, which are asked for all the same."""
    cards = [card for group in groups for card in group]
    torn_out = set(rng.sample(range(len(cards)), round(TORN_OUT * len(cards))))
    kept = {str(at): card for at, card in enumerate(cards) if at not in torn_out}
    data = RetrievalSet(
        name,
        texts={key: f"{card.title}\n{card.body}" for key, card in kept.items()},
        queries={},
        qrels={},
        titles={key: card.title for key, card in kept.items()},
    )
    queries = tuple(
        EvalQuery(f"{name}:{at}:{style}:{n}", Query(text), style, SPLIT, {str(at): RELEVANT} if str(at) in kept else {})
        for at, card in enumerate(cards)
        for style, texts in card.asked.items()
        for n, text in enumerate(texts)
    )
    return Notebook(open_set(data, encoder, settings), queries)
