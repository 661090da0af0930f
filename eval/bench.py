"""Measure speed and memory as ratios in one run: `python -m eval.bench` (`make bench`).

Every figure is the median of several fresh processes, or of several rounds in one process; what is compared runs in
turns, so that a busy machine slows all alike. Writes `bench.json` and `bench.png`; `--readme` takes them into
the README and into `eval/bench.json`.
"""

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.benchtables import draw, fill_readme, format_report
from eval.processes import Run, RunFailed, run_python
from eval.rivals import OURS, QUERIES, SYSTEMS
from eval.scale import SIZES, fit_growth, measure
from rag.parse import parse_document
from rag.shell import tell, write
from rag.types import Document

ROOT = Path(__file__).parent.parent
NOTES = ROOT / "corpus" / "transformer-bert.md"
OUT = ROOT / "build" / "bench"
COMMITTED = Path(__file__).parent / "bench.json"
"""What the README's table is made from."""
CLIENTS = (1, 4, 16, 64, 256)
MANY_COPIES = 8
"""How often larger notes hold each question of the real ones, its sentences in another order each time."""
MARKS = re.compile(r"```|~~~|\$\$|<[^<>\n]*>|(?m:^[ \t]*#+ )")
WARM_ROUNDS = 5
RIVALS = ("llamaindex", "langchain", "txtai", f"llamaindex{OURS}", f"langchain{OURS}", f"txtai{OURS}")
BARE = """
import numpy as np, onnxruntime, faiss
from tokenizers import Tokenizer
from importlib.resources import files
folder = files("rag.models")
options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
ids = np.array([Tokenizer.from_file(str(folder / "tokenizer.json")).encode({query!r}).ids])
session.run(None, {{"input_ids": ids, "attention_mask": np.ones_like(ids)}})
"""
WARM = """
import json, time
from pathlib import Path
from eval.queries import load_queries
from rag.config import Settings
from rag.pipeline import open_notes
notes = open_notes(Settings(corpus=(Path({notes!r}),), index=Path({index!r})), lambda line: None)
queries = [query.query for query in load_queries() if query.covered]
first, whole = [], []
for query in queries:
    started = time.perf_counter()
    for place, _ in enumerate(notes.stream(query)):
        if place == 0:
            first.append((time.perf_counter() - started) * 1000)
    whole.append((time.perf_counter() - started) * 1000)
def quantile(times, share):
    return sorted(times)[int(share * (len(times) - 1))]
print(json.dumps({{f"{{name}}_{{mark}}_ms": quantile(times, share)
    for name, times in (("first", first), ("whole", whole)) for mark, share in (("p50", 0.5), ("p99", 0.99))}}))
"""
ENCODERS = """
import json, time
from pathlib import Path
from eval.rivals import find_teacher_folder
from rag.build import make_content
from rag.config import Settings
from rag.embed import ShippedEncoder
started = time.perf_counter()
encoder = ShippedEncoder()
load_ms = (time.perf_counter() - started) * 1000
content, _ = make_content(Settings((Path({notes!r}),), Path("unused")), encoder, None, None)
texts = [passage.search_text for passage in content.passages if passage.search_text] * 2
times = []
for question in content.questions * 3:
    started = time.perf_counter(); encoder.embed_queries([question.title])
    times.append((time.perf_counter() - started) * 1000)
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
other = HuggingFaceEmbedding(model_name=find_teacher_folder(), embed_batch_size=32)
def rate(embed):
    started = time.perf_counter(); embed(texts); return len(texts) / (time.perf_counter() - started)
pairs = [(rate(encoder.embed_passages), rate(other.get_text_embedding_batch)) for _ in range({rounds})]
print(json.dumps({{"load_ms": load_ms, "query_ms": sorted(times)[len(times) // 2], "pairs": pairs}}))
"""


def medians(runs: Sequence[Run]) -> dict[str, float]:
    """Sum up runs of one command."""
    return {
        "seconds": statistics.median(run.seconds for run in runs),
        "peak_mb": statistics.median(run.peak_mb for run in runs),
    }


def last_json(run: Run) -> dict[str, Any]:
    """Read the JSON object in the last line of what a process printed."""
    found: dict[str, Any] = json.loads(run.output.strip().splitlines()[-1])
    return found


def measure_cold(rounds: int, index: Path) -> dict[str, Any]:
    """Compare one question in a fresh process with a bare process that loads the same libraries and model."""
    bare = ("-c", BARE.format(query=QUERIES[0]))
    ask = ("-m", "rag.ask", "--corpus", str(NOTES), "--index", str(index), QUERIES[0])
    run_python(*ask)
    pairs = [(run_python(*bare), run_python(*ask)) for _ in range(rounds)]
    ratio = statistics.median(asked.seconds / plain.seconds for plain, asked in pairs)
    return {"bare": medians([a for a, _ in pairs]), "ask": medians([b for _, b in pairs]), "ratio": ratio}


def write_many(folder: Path, copies: int) -> Path:
    """Write larger notes: every question of the real ones several times, no two alike, so that nothing is embedded once."""
    rng = random.Random(copies)
    text = NOTES.read_text(encoding="utf-8")
    questions = [q for q in parse_document(Document("n.md", "n", text, "")) if not q.parent]
    parts: list[str] = []
    for copy in range(copies):
        for question in questions:
            body = MARKS.sub("", text[question.body_start : question.end])  # half a fence would hold all that follows
            sentences = re.split(r"(?<=[。！？\n])", body)
            rng.shuffle(sentences)
            parts.append(f"## {len(parts) + 1}. {question.title}（{copy + 1}）\n\n{''.join(sentences)}\n")
    file = folder / "many.md"
    file.write_text("\n".join(parts), encoding="utf-8")
    return file


def measure_system(name: str, rounds: int, folder: Path, many: Path) -> dict[str, Any]:
    """Measure ingest of real and of larger notes, a cold question and warm ones."""

    def phase(name_of_phase: str, notes: Path, *options: str) -> Run:
        store = folder / f"{name}-{notes.stem}"
        return run_python("-m", "eval.rivals", name, name_of_phase, str(notes), str(store), *options)

    ingest = [phase("ingest", NOTES) for _ in range(1 if name.startswith("mianjing") else rounds)]
    cold = [phase("ask", NOTES) for _ in range(rounds)]
    warm = phase("ask", NOTES, "--rounds", str(WARM_ROUNDS))
    return {
        "ingest": medians(ingest),
        "ingest_many": medians([phase("ingest", many)]),
        "cold": medians(cold),
        "warm_ms": last_json(warm)["warm_ms"],
    }


def measure_systems(rounds: int) -> dict[str, Any]:
    """Measure ourselves and the others; one that is not installed is said and left out."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        many = write_many(Path(name), MANY_COPIES)
        for system in (f"mianjing{OURS}", *RIVALS):
            tell(f"{system}……")
            try:
                found[system] = measure_system(system, rounds, Path(name), many)
            except RunFailed as error:
                tell(f"{system}: 没量成（{str(error).splitlines()[-1]}）")
    return found


def measure_load(out: Path) -> list[dict[str, Any]]:
    """Let ever more clients ask the server at once."""
    file = out / "load.json"
    run_python("-m", "eval.load", "--json", str(file), "--clients", *map(str, CLIENTS))
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return rows


def run_bench(rounds: int, sizes: Sequence[int], texts: Path, out: Path) -> dict[str, Any]:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as name:
        report: dict[str, Any] = {"cold": measure_cold(rounds, Path(name))}
        report["warm"] = last_json(run_python("-c", WARM.format(notes=str(NOTES), index=name)))
    tell("编码器……")
    report["encoder"] = last_json(run_python("-c", ENCODERS.format(notes=str(NOTES), rounds=max(1, rounds // 2))))
    report["systems"] = measure_systems(rounds)
    assert set(SYSTEMS) >= {name.removesuffix(OURS) for name in report["systems"]}
    tell("很多客户端……")
    report["load"] = measure_load(out)
    rows = []
    for size in sizes:
        tell(f"{size:,} 段……")
        rows.append(measure(texts, [size])[0])
    report["scale"] = [asdict(row) for row in rows]
    report["growth"] = fit_growth(rows)
    return report


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m eval.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="每个命令跑几遍，取中位数（默认 5）")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, metavar="N", help="笔记多大（段）")
    parser.add_argument("--texts", type=Path, default=NOTES.parent, metavar="DIR", help="大笔记由哪里的文字重新组合")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="结果写到哪里（默认 build/bench）")
    parser.add_argument("--readme", action="store_true", help="不测，只用上次的结果重写 README 的表")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "bench.json"
    if not options.readme:
        report = run_bench(options.rounds, options.sizes, options.texts, options.out)
        file.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (options.out / "bench.png").write_bytes(draw(report))
    report = json.loads(file.read_text(encoding="utf-8"))
    write(format_report(report))
    if options.readme:
        COMMITTED.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        fill_readme(ROOT / "README.md", report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
