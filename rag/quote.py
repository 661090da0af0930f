"""Choose what to quote of a question: the units closest to the query, in whole paragraphs where there is room."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from rag.markdown import plain_words
from rag.tokenize import analyse, weigh_query
from rag.types import Passage, Question, Span
from rag.units import Unit

OVERLAP_WEIGHT = 1.5
"""Of the share of the query's words that a unit has, beside its cosine. This and what follows was set on the dev half."""
ASKING_PENALTY = 0.3
"""Taken from a sentence that asks: a question repeats the query and answers nothing."""
NEIGHBOUR_SHARE = 0.2
"""What a unit gains from the one before and the one after it: a sentence between two good ones belongs with them."""
WORTH_SHARE = 0.5
"""A paragraph whose best unit is this far below the best of all is left out even where there is room."""
UNIT_CHARS = 200
"""Part of a unit that is embedded."""
SLACK = 1.25
"""How far over the limit a sentence may go that another one leans on."""
SAME_CHARS = 8
"""A sentence with fewer word characters is not held to repeat another."""
TINY = 1e-6
LEANS = re.compile(
    r"[\s*_>「“]*(?:而|但|不过|然而|因此|所以|于是|从而|此外|另外|其次|再次|并且|同时|也|还|它|他们|她|这|该|其(?!实)|上述|上面|如上|"
    r"第[二三四五六七八九]|然后|接着|同理|相反|反之|否则|总之|综上|However|But|Therefore|Thus|So|It|This|These|They|Then|Moreover)"
)
"""How a sentence begins that says little without the one before it."""

Closeness = Callable[[Sequence[str]], Sequence[float]]
"""Texts to their cosines with the query."""
Slice = tuple[Passage, int, int]
"""Of a question's text."""
Weights = npt.NDArray[np.float64]


def weigh_units(query: str, units: Sequence[Unit], closeness: Closeness, n_embedded: int) -> Weights:
    """Weigh how well each unit answers the query, (n_units,); higher is better.

    Only the `n_embedded` units with the most words of the query are embedded, some 3 ms each; the others count as the
    farthest of them.
    """
    asking = [unit.text.rstrip(" \n*」").endswith(("？", "?")) for unit in units]
    weights = OVERLAP_WEIGHT * _share_words(query, units) - ASKING_PENALTY * np.array(asking)
    nearest = np.argsort(-weights, kind="stable")[:n_embedded]
    if len(nearest):
        cosines = np.asarray(closeness([units[place].words[:UNIT_CHARS] for place in nearest]))
        all_cosines = np.full(len(units), cosines.min())
        all_cosines[nearest] = cosines
        weights += all_cosines
    return np.convolve(np.pad(weights, 1, mode="edge"), [NEIGHBOUR_SHARE, 1.0, NEIGHBOUR_SHARE], mode="valid")


def _share_words(query: str, units: Sequence[Unit]) -> Weights:
    """Return the share of the query's words that each unit has; words that every unit has say little."""
    terms = [set(analyse(unit.words)) for unit in units]
    n_units_with = Counter(term for own in terms for term in own)
    worth = {
        term: weight * math.log(1 + len(units) / (0.5 + n_units_with[term]))
        for term, weight in weigh_query(query).items()
    }
    total = sum(worth.values()) or 1.0
    return np.array([sum(value for term, value in worth.items() if term in own) / total for own in terms])


def choose_units(units: Sequence[Unit], weights: Weights, limit_chars: int) -> list[Unit]:
    """Choose units up to `limit_chars`, at least one; back in the order of the notes.

    The paragraph with the best unit comes first. One that fits is taken whole, of another its best units.
    """
    paragraphs: dict[int, list[int]] = {}
    for place, unit in enumerate(units):
        paragraphs.setdefault(unit.paragraph, []).append(place)
    best = {number: max(weights[place] for place in places) for number, places in paragraphs.items()}
    chosen: set[int] = set()
    used = 0
    for number in sorted(paragraphs, key=lambda number: -best[number]):
        if chosen and best[number] < WORTH_SHARE * weights.max():
            break
        places = paragraphs[number]
        fits = used + sum(units[place].n_chars for place in places) <= limit_chars
        for place in places if fits else sorted(places, key=lambda place: -weights[place]):
            if not chosen or used + units[place].n_chars <= limit_chars:
                chosen.add(place)
                used += units[place].n_chars
    chosen |= _find_supports(units, chosen, int(limit_chars * SLACK) - used)
    return [units[place] for place in sorted(chosen)]


def _find_supports(units: Sequence[Unit], chosen: set[int], room: int) -> set[int]:
    """Find the sentences that chosen ones lean on, as long as there is room."""
    found: set[int] = set()
    for place in sorted(chosen):
        before = place - 1
        is_needed = before >= 0 and before not in chosen | found and LEANS.match(units[place].text)
        if is_needed and units[before].heading == units[place].heading and units[before].n_chars <= room:
            found.add(before)
            room -= units[before].n_chars
    return found


def share_room(sizes: Sequence[int], scores: Sequence[float], limit_chars: int) -> list[int]:
    """Share a limit among questions by their scores; what a short one does not need goes to the others."""
    scores = [max(score, TINY) for score in scores]
    room = dict.fromkeys(range(len(sizes)), 0)
    open_places, left = set(room), limit_chars
    while open_places:
        total = sum(scores[place] for place in open_places)
        shares = {place: int(left * scores[place] / total) for place in open_places}
        small = {place for place in open_places if sizes[place] <= shares[place]}
        for place in small or open_places:
            room[place] = sizes[place] if small else shares[place]
        left -= sum(sizes[place] for place in small)
        open_places = open_places - small if small else set()
    return list(room.values())


def join_runs(units: Sequence[Unit], chosen: Sequence[Unit]) -> list[list[Unit]]:
    """Bring chosen units together that follow each other under one heading."""
    places = {unit.start: place for place, unit in enumerate(units)}
    runs: list[list[Unit]] = []
    for unit in chosen:
        last = runs[-1][-1] if runs else None
        if last and last.heading == unit.heading and places[unit.start] == places[last.start] + 1:
            runs[-1].append(unit)
        else:
            runs.append([unit])
    return runs


def put_best_first(runs: Sequence[list[Unit]], units: Sequence[Unit], weights: Weights) -> list[list[Unit]]:
    """Put the run with the best unit first, unless it needs what is before it; the others stay in order."""
    weight = {unit.start: value for unit, value in zip(units, weights, strict=True)}
    best = max(runs, key=lambda run: max(weight[unit.start] for unit in run))
    if LEANS.match(best[0].text) or best[0].paragraph == runs[0][0].paragraph:
        return list(runs)
    return [best, *(run for run in runs if run is not best)]


def make_spans(question: Question, slices: Sequence[Slice], score: float) -> list[Span]:
    """Return the slices as spans: one, unless something that is not quoted stands between them."""
    spans: list[Span] = []
    for whole, start, end in slices:
        if spans and not re.search(r"\w", plain_words(whole.text[spans[-1].end : start])):
            spans[-1] = Span(question, whole, spans[-1].start, end, score)
        else:
            spans.append(Span(question, whole, start, end, score))
    return spans


def fold(unit: Unit) -> str:
    """Fold a unit for comparison: word characters only; empty when it is too short to be called a repetition."""
    folded = re.sub(r"\W+", "", unit.words).lower()
    return folded if len(folded) >= SAME_CHARS else ""
