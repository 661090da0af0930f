"""Measure the verifier of generated answers on hand-written sentences: verdicts, repaired labels, time; fit its weights."""

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from eval.measure import SEED
from rag.errors import UsageError
from rag.pipeline import Notes
from rag.types import Check, Passage, VerdictName
from rag.verification.support import SENTENCE, SIGNS
from rag.verify import Verifier

ROOT = Path(__file__).parent.parent
OWN = Path(__file__).parent / "data" / "verdicts.jsonl"
WEIGHTS = ROOT / "rag" / "data" / "verdicts.json"
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)
NAMES: Mapping[str, str] = {"supported": "支持", "partly": "部分支持", "unsupported": "无依据"}
KINDS: Mapping[str, str] = {
    "near": "接近原文",
    "paraphrase": "换了说法",
    "mixed": "中英夹杂",
    "miscited": "说得对，引错题",
    "half": "一半笔记里有，一半是添的",
    "absent": "没错，但笔记里没有",
    "contradicted": "跟笔记相反",
    "number": "改了数",
    "negated": "改了肯定否定",
    "swapped": "两边对调",
}
N_RESAMPLES = 2_000
N_OTHERS = 4
"""Other questions retrieved beside a sentence's own where every sentence of the notes is checked."""
ANSWER_SENTENCES, ANSWER_QUESTIONS = 10, 5
"""Size of the answer that is timed."""
OTHER_WEIGHT, HALF_WEIGHT = 0.15, 0.5
"""How much a question that is not cited counts in the fit, and the old half of a sentence half of which is new."""
RIDGE = 0.3

Cell = Mapping[str, float | tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence of an imagined answer, judged by hand against the notes."""

    id: str
    sentence: str
    cited: tuple[str, ...]
    """Labels it comes with; perhaps wrong ones."""
    retrieved: tuple[str, ...]
    """Labels of the questions the verifier may look into."""
    kind: str
    verdict: VerdictName
    labels: tuple[str, ...]
    """Labels of which any is right after repair; none for a sentence without support."""
    split: str

    @property
    def text(self) -> str:
        """The sentence with its labels, as a model would write it."""
        return self.sentence.rstrip("。") + "".join(f"[{label}]" for label in self.cited) + "。"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the verifier said of a case."""

    id: str
    kind: str
    expected: str
    found: str
    label_right: bool | None
    """Whether every label left is a right one; None where there is none to be right."""
    reason: str


def load_cases(path: Path = OWN) -> tuple[Case, ...]:
    """Load judged sentences, one JSON object a line.

    :raises UsageError: when the file cannot be read or a line lacks a field; line and field are named.
    """
    cases = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UsageError(f"{path}: 打不开（{error.strerror}）") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                cases.append(_read_case(json.loads(line)))
            except (KeyError, TypeError, ValueError) as error:
                raise UsageError(f"{path}:{number}: 缺字段或写错了（{error}）") from error
    return tuple(cases)


def _read_case(row: Mapping[str, Any]) -> Case:
    if row["verdict"] not in VERDICTS or row["kind"] not in KINDS:
        raise ValueError(f"verdict 要是 {'、'.join(VERDICTS)}，kind 要是 {'、'.join(KINDS)}")
    lists = {name: tuple(row[name]) for name in ("cited", "retrieved", "labels")}
    values: dict[str, Any] = {name: row[name] for name in ("id", "sentence", "kind", "verdict", "split")} | lists
    return Case(**values)


def list_passages(notes: Notes) -> dict[str, Sequence[Passage]]:
    """List the passages of every question, by label."""
    return {question.label: notes.passages[question.parent or question.id] for question in notes.questions}


def judge_cases(cases: Sequence[Case], verifier: Verifier, passages: Mapping[str, Sequence[Passage]]) -> list[Judged]:
    """Check every case alone, with what was retrieved for it.

    :raises UsageError: when a case names a question the notes do not have.
    """
    results = []
    for case in cases:
        if missing := [label for label in case.retrieved if label not in passages]:
            raise UsageError(f"{case.id}: 笔记里没有 {missing[0]}")
        sources = {label: passages[label] for label in case.retrieved}
        check = verifier.check(case.text, sources).checks[0]
        right = set(check.labels) <= set(case.labels) if check.labels else None
        results.append(Judged(case.id, case.kind, case.verdict, check.verdict, right, check.reason))
    return results


def summarise(judged: Sequence[Judged]) -> dict[str, Cell]:
    """Return precision, recall and F1 of each verdict, each with its bootstrap interval over cases."""
    expected = np.array([VERDICTS.index(one.expected) for one in judged])
    found = np.array([VERDICTS.index(one.found) for one in judged])
    rng = np.random.default_rng(SEED)
    draws = rng.integers(0, len(judged), (N_RESAMPLES, len(judged)))
    table: dict[str, Cell] = {}
    for at, verdict in enumerate(VERDICTS):
        values = dict(zip(("precision", "recall", "f1"), _measure(expected, found, at), strict=True))
        samples = np.array([_measure(expected[rows], found[rows], at) for rows in draws])
        low, high = np.quantile(samples, [0.025, 0.975], axis=0)
        spread = {f"{name}_ci": (float(low[n]), float(high[n])) for n, name in enumerate(values)}
        table[verdict] = {**values, **spread}
    return table


def _measure(expected: npt.NDArray[np.int64], found: npt.NDArray[np.int64], at: int) -> tuple[float, float, float]:
    hits = int(((expected == at) & (found == at)).sum())
    n_found, n_expected = int((found == at).sum()), int((expected == at).sum())
    return hits / max(1, n_found), hits / max(1, n_expected), 2 * hits / max(1, n_found + n_expected)


def check_notes(notes: Notes, verifier: Verifier) -> dict[str, float]:
    """Check every sentence of the notes against its own question, and cited to another one that was retrieved too.

    :returns: how many there are, the share supported, and of those cited wrongly the share relabelled or flagged.
    """
    passages = list_passages(notes)
    labels = [question.label for question in notes.questions if not question.parent]
    texts = {label: "\n".join(passage.search_text for passage in passages[label]) for label in labels}
    rng = random.Random(SEED)
    n_all = n_supported = n_mended = 0
    for label in labels:
        lines = (match[0].strip() for line in texts[label].splitlines() for match in SENTENCE.finditer(line))
        others = rng.sample([other for other in labels if other != label], N_OTHERS)
        sources = {name: passages[name] for name in (label, *others)}
        for sentence in filter(None, lines):
            own = verifier.check(f"{sentence} [{label}]", sources).checks
            moved = verifier.check(f"{sentence} [{others[0]}]", sources).checks
            n_all += len(own)
            n_supported += sum(check.verdict == "supported" for check in own)
            n_mended += sum(_is_mended(check, texts) for check in moved)
    return {"n": n_all, "supported": n_supported / max(1, n_all), "mended": n_mended / max(1, n_all)}


def _is_mended(check: Check, texts: Mapping[str, str]) -> bool:
    """Tell whether a wrongly cited sentence is flagged, or cites what has its very words."""
    return check.verdict == "unsupported" or all(check.sentence in texts[label] for label in check.labels)


def time_answer(cases: Sequence[Case], notes: Notes) -> dict[str, float]:
    """Time one answer of many sentences over the questions retrieved, nothing remembered, and again."""
    passages = list_passages(notes)
    chosen = cases[:ANSWER_SENTENCES]
    labels = list(dict.fromkeys(label for case in chosen for label in case.retrieved))[:ANSWER_QUESTIONS]
    sources, text = {label: passages[label] for label in labels}, "\n".join(case.text for case in chosen)
    verifier = Verifier(notes.encoder)
    verifier.check(cases[-1].text, {label: passages[label] for label in cases[-1].retrieved})
    started, spent = time.perf_counter(), time.process_time()
    verifier.check(text, sources)
    cold_ms, cpu_ms = (time.perf_counter() - started) * 1000, (time.process_time() - spent) * 1000
    started = time.perf_counter()
    verifier.check(text, sources)
    warm_ms = (time.perf_counter() - started) * 1000
    sizes = {"sentences": len(chosen), "questions": len(labels)}
    return sizes | {"cold_ms": cold_ms, "cpu_ms": cpu_ms, "warm_ms": warm_ms}


def _list_rows(
    case: Case, verifier: Verifier, passages: Mapping[str, Sequence[Passage]]
) -> Iterator[tuple[list[float], float, float]]:
    """Yield the clauses of a case beside each question retrieved: signs, whether it says them, and how much that counts."""
    if case.verdict == "unsupported" and case.kind != "absent":
        return
    for label, own in verifier.describe(case.sentence, {label: passages[label] for label in case.retrieved}).items():
        signs, n = own.tolist(), len(own)
        if case.kind == "half":
            # The first half is in the notes, the last is new; what stands between may be either.
            yield from [(signs[0], 1.0, HALF_WEIGHT), (signs[-1], 0.0, 1.0)] if label == case.labels[0] else []
        elif label not in case.labels or label == case.labels[0]:
            weight = 1.0 if label in (case.labels or case.cited) else OTHER_WEIGHT
            yield from ((sign, float(label in case.labels), weight / n) for sign in signs)


def fit_weights(
    cases: Sequence[Case], verifier: Verifier, passages: Mapping[str, Sequence[Passage]]
) -> dict[str, float]:
    """Fit the weights of a clause's signs on the dev half: logistic regression with a ridge, by Newton's method.

    What contradicts the notes is left out: it looks supported, and words tell it apart.
    """
    rows = [row for case in cases if case.split == "dev" for row in _list_rows(case, verifier, passages)]
    x, y, w = (np.array([row[part] for row in rows]) for part in range(3))
    weights, ridge = np.zeros(len(SIGNS)), np.array([1e-3, *[RIDGE] * (len(SIGNS) - 1)])
    for _ in range(50):
        chances = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (w * (chances - y)) + ridge * weights
        weights -= np.linalg.solve((x * (w * chances * (1 - chances))[:, None]).T @ x + np.diag(ridge), slope)
    return dict(zip(SIGNS, weights.round(2).tolist(), strict=True))
