"""Check a generated answer against the notes it was given, sentence by sentence, and put its citations right.

Without any model beyond the encoder: each clause of a sentence is put beside the sentences of the retrieved questions
that are closest to it, by vector and by shared terms, and a fitted logistic says whether the notes say it. What they say
otherwise (a number, a negation, an opposite, two sides changed about) is sought by words. A model for entailment can be
added; where it is sure, it has the last word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rag.synonyms import Thesaurus, load_thesaurus
from rag.types import Check, Encoder, Passage, Vectors, VerdictName
from rag.verification.claims import Claim, Outcome, repair, split_claims
from rag.verification.conflicts import find_conflict
from rag.verification.facts import Evidence, Reader, weigh_overlap
from rag.verification.support import (
    Memory,
    Sentence,
    Signs,
    Source,
    estimate_support,
    measure_signs,
    read_sentence,
    read_source,
)

Sources = Mapping[str, Sequence[Passage]]
"""Question label to its passages: what was retrieved for the answer."""
MAX_SENTENCES = 96
"""Sentences of the notes embedded for one answer, those that share most terms with it: about 0.5 ms each on two cores."""
N_CLOSEST = 6
"""Sentences of a question in which a conflict is sought."""
SUPPORTED, PARTLY = 0.5, 0.5
"""Least probability of the weakest clause of a supported sentence, and of the strongest of a partly supported one."""
NLI_SURE = 0.8
"""Probability from which an entailment model's word counts."""
N_PREMISE = 3
"""Sentences of each question that it reads."""


class Entailment(Protocol):
    """Reads a premise and a hypothesis together and tells whether the one says the other."""

    def score(self, premises: Sequence[str], hypotheses: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return (n, 3) float32: probabilities of entailment, neutrality and contradiction, rows adding up to 1."""


@dataclass(frozen=True, slots=True)
class Verified:
    """An answer with its citations put right, and what was found of each sentence."""

    text: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Support:
    """What one question says to a claim."""

    label: str
    source: Source
    signs: Signs
    chances: tuple[float, ...]
    """Probability that it says each clause."""
    closest: tuple[int, ...]
    """Its sentences, closest first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on a claim, and the labels that stand for it."""

    verdict: VerdictName
    labels: tuple[str, ...] = ()
    reason: str = ""


class Verifier:
    """Checks answers; safe to use from several threads."""

    def __init__(self, encoder: Encoder, nli: Entailment | None = None, thesaurus: Thesaurus | None = None) -> None:
        self._memory, self._nli = Memory(encoder), nli
        self._reader = Reader(thesaurus or load_thesaurus())
        self._read_source = lru_cache(maxsize=256)(lambda passages: read_source(passages, self._reader))

    def check(self, text: str, sources: Sources) -> Verified:
        """Check every claim of an answer against the sources, and put labels and flags right."""
        claims = split_claims(text, sources.keys())
        findings = self._judge(claims, sources)
        outcomes = _place_labels(claims, findings)
        checks = (
            Check(claim.text, finding.labels, finding.verdict, finding.reason)
            for claim, finding in zip(claims, findings, strict=True)
        )
        return Verified(repair(text, claims, outcomes, sources), tuple(checks))

    def describe(self, sentence: str, sources: Sources) -> dict[str, Signs]:
        """Describe the clauses of one sentence beside each source: label to (n_clauses, n_signs)."""
        read = {label: self._read_source(tuple(passages)) for label, passages in sources.items()}
        measured = self._measure([read_sentence(sentence, self._reader)], read)[0]
        return {support.label: support.signs for support in measured}

    def _judge(self, claims: Sequence[Claim], sources: Sources) -> list[Finding]:
        read = {label: self._read_source(tuple(passages)) for label, passages in sources.items() if passages}
        read = {label: source for label, source in read.items() if source.sentences}
        if not claims or not read:
            return [Finding("unsupported", reason="没有可对照的笔记") for _ in claims]
        sentences = [read_sentence(claim.plain, self._reader) for claim in claims]
        supports = self._measure(sentences, read)
        cited = _inherit_labels(claims)
        return [self._decide(*each) for each in zip(sentences, supports, cited, strict=True)]

    def _measure(self, sentences: Sequence[Sentence], read: Mapping[str, Source]) -> list[list[Support]]:
        """Measure what each source says to each sentence."""
        chosen = _choose_sentences(sentences, read)
        parts = [_list_parts(sentence) for sentence in sentences]
        texts = [read[label].sentences[at].text for label, at in chosen]
        vectors = self._memory.embed([*texts, *(part for own in parts for part in own)])
        theirs, mine = vectors[: len(texts)], vectors[len(texts) :]
        places = {label: [row for row, (own, _) in enumerate(chosen) if own == label] for label in read}
        results, at = [], 0
        for sentence, own in zip(sentences, parts, strict=True):
            cosines = mine[at : at + len(own)] @ theirs.T
            at += len(own)
            found = []
            for label, rows in places.items():
                if rows:
                    signs = measure_signs(sentence, read[label], cosines[:, rows], self._reader)
                    closest = _rank_sentences(sentence, read[label], [chosen[row][1] for row in rows], cosines[0, rows])
                    found.append(Support(label, read[label], signs, tuple(estimate_support(signs)), closest))
            results.append(found)
        return results

    def _decide(self, sentence: Sentence, supports: Sequence[Support], cited: Sequence[str]) -> Finding:
        by_label = {support.label: support for support in supports}
        own = [by_label[label] for label in dict.fromkeys(cited) if label in by_label]
        best = max(supports, key=lambda support: (min(support.chances), sum(support.chances)))
        findings = [self._find(sentence, group) for group in (own, [best], _cover(sentence, supports)) if group]
        if findings[0].reason and findings[0].verdict == "unsupported":
            return findings[0]
        for verdict in ("supported", "partly"):
            for finding in findings:
                if finding.verdict == verdict:
                    return finding
        # Of sentences without support the reason that names what the notes say is worth most.
        finding = next((one for one in findings if one.reason), findings[0])
        if not finding.reason:
            lost = [label for label in cited if label not in by_label] or [support.label for support in own]
            reason = f"引用的 {'、'.join(lost)} 里没有讲这个" if lost else "笔记里没有讲这个"
            return Finding("unsupported", (), reason)
        return finding

    def _find(self, sentence: Sentence, group: Sequence[Support]) -> Finding:
        """Judge a sentence by some questions together."""
        chances = [max(support.chances[at] for support in group) for at in range(len(sentence.clauses))]
        labels = tuple(support.label for support in group if _bears(support, chances))
        entails, _, contradicts = self._read_together(sentence, group)
        if entails >= NLI_SURE:
            return Finding("supported", labels or (group[0].label,))
        if contradicts >= NLI_SURE:
            return Finding("unsupported", (), "笔记说的跟这里相反")
        if max(chances) < PARTLY:
            return Finding("unsupported")
        if conflict := _find_conflict(sentence, group):
            return Finding("unsupported", (), conflict)
        if min(chances) >= SUPPORTED:
            return Finding("supported", labels)
        new = sentence.clauses[chances.index(min(chances))].text
        return Finding("partly", labels, f"笔记里没有讲“{new}”")

    def _read_together(self, sentence: Sentence, group: Sequence[Support]) -> tuple[float, float, float]:
        """Ask the entailment model, if there is one, about the closest sentences of the notes."""
        if not self._nli:
            return 0.0, 1.0, 0.0
        closest = [support.source.sentences[at].text for support in group for at in sorted(support.closest[:N_PREMISE])]
        entails, neutral, contradicts = self._nli.score(["\n".join(closest)], [sentence.text])[0].tolist()
        return entails, neutral, contradicts


def _find_conflict(sentence: Sentence, group: Sequence[Support]) -> str:
    for support in group:
        evidence = _gather(support)
        for at, clause in enumerate(sentence.clauses):
            if conflict := find_conflict(clause, sentence.clauses[:at], evidence):
                return conflict
    return ""


def _list_parts(sentence: Sentence) -> list[str]:
    """List what is embedded of a claim: itself, and its clauses."""
    if len(sentence.clauses) == 1:
        return [sentence.text] * 2
    return [sentence.text, *(clause.text for clause in sentence.clauses)]


def _rank_sentences(sentence: Sentence, source: Source, places: Sequence[int], cosines: Vectors) -> tuple[int, ...]:
    """Rank some sentences of a source by vector and terms, closest first; places in the source."""
    terms = [weigh_overlap(sentence.whole.terms, source.sentences[at].whole.terms) for at in places]
    alike = cosines + np.array(terms)
    return tuple(places[row] for row in np.argsort(-alike, kind="stable")[:N_CLOSEST])


def _choose_sentences(claims: Sequence[Sentence], read: Mapping[str, Source]) -> list[tuple[str, int]]:
    """Choose the sentences of the notes to embed: those that share most terms with any claim."""
    every = [(label, at) for label, source in read.items() for at in range(len(source.sentences))]
    if len(every) <= MAX_SENTENCES:
        return every
    shares = {
        (label, at): max(weigh_overlap(claim.whole.terms, read[label].windows[at]) for claim in claims)
        for label, at in every
    }
    kept = set(sorted(every, key=lambda key: -shares[key])[:MAX_SENTENCES])
    return [key for key in every if key in kept]


def _gather(support: Support) -> Evidence:
    """Gather the clauses in which a conflict is sought: of the closest sentences, with what each is about."""
    clauses, subjects = [], []
    for at in support.closest:
        last: frozenset[str] = frozenset()
        for clause in support.source.sentences[at].clauses:
            last = clause.names or last
            clauses.append(clause)
            subjects.append(last)
    return Evidence(tuple(clauses), tuple(subjects), support.source.numbers, support.source.names)


def _cover(sentence: Sentence, supports: Sequence[Support]) -> list[Support]:
    """Choose for each clause the question that says it best."""
    best = [max(supports, key=lambda support: support.chances[at]) for at in range(len(sentence.clauses))]
    return list({support.label: support for support in best}.values())


def _bears(support: Support, chances: Sequence[float]) -> bool:
    """Tell whether a question says some clause as well as any in its group."""
    return any(own >= SUPPORTED and own >= 0.9 * best for own, best in zip(support.chances, chances, strict=True))


def _inherit_labels(claims: Sequence[Claim]) -> list[tuple[str, ...]]:
    """Return what each claim cites: its own labels, or those of the next claim of its paragraph that has some."""
    cited: list[tuple[str, ...]] = []
    for at, claim in enumerate(claims):
        following = (other for other in claims[at:] if other.paragraph == claim.paragraph and other.labels)
        cited.append(next((other.labels for other in following), ()))
    return cited


def _place_labels(claims: Sequence[Claim], findings: Sequence[Finding]) -> list[Outcome]:
    """Say what stands in the text: a label at the end of a run of sentences covers the run, so it is not repeated."""
    outcomes = []
    for at, (claim, finding) in enumerate(zip(claims, findings, strict=True)):
        follows = at + 1 < len(claims) and claims[at + 1].paragraph == claim.paragraph
        covered = follows and not claim.labels and findings[at + 1].labels == finding.labels
        outcomes.append(Outcome(() if covered else finding.labels, finding.verdict == "unsupported"))
    return outcomes
