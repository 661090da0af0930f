"""Write what was measured of the verifier as Markdown tables, and run the command `python -m eval verify`."""

import hashlib
import json
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.results import OUT, write_text
from eval.verdicts import (
    KINDS,
    NAMES,
    OWN,
    VERDICTS,
    WEIGHTS,
    Case,
    Cell,
    Judged,
    check_notes,
    fit_weights,
    judge_cases,
    list_passages,
    load_cases,
    summarise,
    time_answer,
)
from rag.config import add_options, read_settings
from rag.pipeline import open_notes
from rag.shell import EXIT_ANSWERED, tell, write
from rag.verify import Verifier

ROOT = Path(__file__).parent.parent
HALVES = ("dev", "test")
FILE = "verdicts.json"


def add_verify(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    add_options(parser)
    parser.set_defaults(corpus=str(ROOT / "corpus"))
    parser.add_argument("--data", type=Path, default=OWN, metavar="FILE", help="判好的句子（默认 eval/data）")
    parser.add_argument("--fit", action="store_true", help="先在 dev 上重新拟合权重，写进 rag/data/verdicts.json")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, metavar="FILE", help="权重写到哪里（默认 rag/data）")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="结果写到哪里（默认 build/eval）")


def run_verify(options: Namespace) -> int:
    """Measure the verifier on both halves, on the notes themselves, and its speed; or fit it."""
    cases = load_cases(options.data)
    if options.index is None:
        options.index = str(options.out / "index")
    settings = read_settings(options)
    notes = open_notes(settings, tell)
    passages, verifier = list_passages(notes), Verifier(notes.encoder)
    if options.fit:
        weights = fit_weights(cases, verifier, passages)
        write_text(options.weights, json.dumps({"clause": weights}, indent=1) + "\n")
        write(json.dumps(weights, indent=1))
        return EXIT_ANSWERED
    result: dict[str, Any] = {
        "data": digest_cases(cases),
        "corpus": notes.index.content.corpus,
        "encoder": notes.encoder.fingerprint,
    }
    for half in HALVES:
        judged = judge_cases([case for case in cases if case.split == half], verifier, passages)
        if judged:
            result[half] = {"summary": summarise(judged), "cases": [asdict(one) for one in judged]}
            write(format_half(half, judged))
    result["notes"], result["time"] = check_notes(notes, verifier), time_answer(cases, notes)
    write(format_notes(result["notes"], result["time"]))
    write_text(options.out / FILE, json.dumps(result, ensure_ascii=False))
    tell(f"写进了 {options.out / FILE}")
    return EXIT_ANSWERED


def digest_cases(cases: Sequence[Case]) -> str:
    """Hash the judged sentences, to tell results on other data apart."""
    return hashlib.blake2b(repr(cases).encode(), digest_size=16).hexdigest()


def format_half(half: str, judged: Sequence[Judged]) -> str:
    """Write the tables of one half: by verdict, what was taken for what, and by kind."""
    labels = [one.label_right for one in judged if one.label_right is not None and one.expected == "supported"]
    right = f"留下的题号 {sum(labels)}/{len(labels)} 句全对。" if labels else ""
    parts = [f"{half} 的 {len(judged)} 句，满分 100，括号里是 95% 区间。{right}"]
    parts.append(_format_verdicts(summarise(judged)))
    taken = Counter((one.expected, one.found) for one in judged)
    by_kind = Counter((one.kind, one.found) for one in judged)
    parts.append(_format_counts("该判成", {name: NAMES[name] for name in VERDICTS}, taken))
    parts.append(_format_counts("类别", {kind: name for kind, name in KINDS.items()}, by_kind))
    return "\n\n".join(parts) + "\n"


def _format_verdicts(table: Mapping[str, Cell]) -> str:
    lines = ["| 判成 | 准确率 | 召回率 | F1 |", "|---|---|---|---|"]
    for verdict, cell in table.items():
        values = (_show(cell[name], cell[f"{name}_ci"]) for name in ("precision", "recall", "f1"))
        lines.append(f"| {NAMES[verdict]} | {' | '.join(values)} |")
    return "\n".join(lines)


def _show(value: float | tuple[float, float], interval: float | tuple[float, float]) -> str:
    assert isinstance(value, float)
    assert isinstance(interval, tuple)
    return f"{100 * value:.1f} ({100 * interval[0]:.0f}–{100 * interval[1]:.0f})"


def _format_counts(head: str, names: Mapping[str, str], counts: Mapping[tuple[str, str], int]) -> str:
    lines = [f"| {head} | {' | '.join(NAMES[verdict] for verdict in VERDICTS)} |", "|---|---:|---:|---:|"]
    for key, name in names.items():
        cells = [str(counts.get((key, verdict), 0)) for verdict in VERDICTS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def format_notes(notes: Mapping[str, float], spent: Mapping[str, float]) -> str:
    """Say how the notes' own sentences fare, and how long an answer takes."""
    return (
        f"笔记里的 {notes['n']:.0f} 句原话：引自己的题，{100 * notes['supported']:.1f}% 判为支持；"
        f"故意引别的题，{100 * notes['mended']:.1f}% 改对或标出。\n"
        f"{spent['sentences']:.0f} 句的答案对 {spent['questions']:.0f} 题：第一次 {spent['cold_ms']:.0f} ms"
        f"（各核加起来 {spent['cpu_ms']:.0f} ms），"
        f"再来一次 {spent['warm_ms']:.0f} ms。"
    )
