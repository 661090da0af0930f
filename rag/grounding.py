"""Find in the notes what the labels of a generated answer stand on."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from rag.cite import cite
from rag.history import LABEL
from rag.tokenize import weigh_query
from rag.types import Check, Citation, Encoder, Passage, Question, Span
from rag.units import Unit, join_passages, split_units

N_COMPARED = 24
"""Sentences of a question that are embedded for one claim: those that share most words with it."""
N_CITED = 3
"""Most sentences of one question that its citation shows."""


def cite_labels(
    text: str,
    checks: Sequence[Check],
    questions: Mapping[str, tuple[Question, float, Sequence[Passage]]],
    encoder: Encoder,
) -> tuple[Citation, ...]:
    """Cite for each label of an answer the sentences of its question that are nearest to the claims it stands behind.

    :param questions: label to its question, the score of it, and its passages.
    """
    citations: list[Citation] = []
    for label in dict.fromkeys(LABEL.findall(text)):
        question, score, passages = questions[label]
        units = split_units(question, join_passages(question, passages))
        claims = [check.sentence for check in checks if label in check.labels and check.verdict != "unsupported"]
        chosen = [_find_nearest(claim, units, encoder) for claim in claims[:N_CITED] or [text]] if units else []
        citations += [cite(span) for span in _join(question, score, units, {unit.start for unit in chosen})]
    return tuple(citations)


def _join(question: Question, score: float, units: Sequence[Unit], starts: Collection[int]) -> list[Span]:
    """Make spans of the units that start at `starts`; those of one line, or next to each other, become one."""
    spans: list[Span] = []
    after = -1
    for place, unit in enumerate(units):
        if unit.start not in starts:
            continue
        last = spans[-1] if spans else None
        if last and (after == place or "\n" not in unit.whole.text[last.end : unit.start]):
            spans[-1] = Span(question, unit.whole, last.start, unit.end, score)
        else:
            spans.append(Span(question, unit.whole, unit.start, unit.end, score))
        after = place + 1
    return spans


def _find_nearest(claim: str, units: Sequence[Unit], encoder: Encoder) -> Unit:
    """Return the unit nearest in meaning among those that share most words with a claim."""
    wanted = weigh_query(claim)
    shared = [sum(wanted[term] for term in wanted.keys() & weigh_query(unit.words).keys()) for unit in units]
    near = [units[at] for at in sorted(range(len(units)), key=lambda at: -shared[at])[:N_COMPARED]]
    cosines = encoder.embed_passages([unit.words for unit in near]) @ encoder.embed_queries([claim])[0]
    return near[int(np.argmax(cosines))]
