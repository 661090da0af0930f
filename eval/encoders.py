"""Compare encoders: `python -m eval.encoders [--beir FOLDER ...] [--parallel FILE]`.

BM25, the teacher, the shipped encoder and the fusion of encoder and BM25 (with the program's weights) in one run: on the
project's own queries by category, and on any BEIR folders. Texts as they are: no thesaurus, no spelling.
"""

import argparse
import json
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.measure import bootstrap_interval, measure_queries
from eval.queries import RetrievalSet, load_beir, load_queries
from rag.bm25 import Bm25
from rag.build import make_content, texts_to_embed
from rag.config import Settings
from rag.embed import ShippedEncoder
from rag.errors import EncoderError
from rag.history import resolve
from rag.lexical import WordIndex
from rag.retrieve import COSINES
from rag.shell import guard, tell
from rag.synonyms import Thesaurus
from rag.tokenize import analyse, weigh_query
from rag.types import Encoder, WordMatch
from rag.weights import BM25_UNIT, load_weights

MAX_QUERIES = 400
MAX_CHARS = 1_200
"""Part of a long text that is embedded; the encoders cut at their own limit anyway."""
N_CANDIDATES = 1_000
SYSTEMS = ("BM25", "teacher", "encoder", "fusion")
CORPUS = Path(__file__).parent.parent / "corpus"

Matrix = npt.NDArray[np.float32]
"""(n_queries, n_units)."""
Rows = dict[str, dict[str, list[float]]]
"""Set or category to system to values by query."""


def load_teacher() -> Encoder | None:
    """Load all-MiniLM-L6-v2 from the package that carries it, or None when the extra is not installed."""
    try:
        from rag.adapters.hf import HfEncoder
        from rag.models.student import find_teacher

        return HfEncoder(str(find_teacher()))
    except (ImportError, EncoderError) as error:
        tell(f"老师模型用不了（{error}），这一列留空；安装：pip install 'mianjing[train]'")
        return None


def score_words(texts: Sequence[str], queries: Sequence[str]) -> tuple[Matrix, Matrix]:
    """Score texts by BM25; the scores, and the most that each query's words could bring, (n_queries, 1)."""
    index = Bm25.build([[(analyse(text), 1.0)] for text in texts])
    return stack_matches([index.search(weigh_query(query)) for query in queries])


def stack_matches(matches: Sequence[WordMatch]) -> tuple[Matrix, Matrix]:
    """Return scores and ceilings as matrices."""
    ceilings = np.array([[max(match.ceiling, 1e-6)] for match in matches], dtype=np.float32)
    return np.stack([match.scores for match in matches]), ceilings


def score_dense(encoder: Encoder, texts: Sequence[str], queries: Sequence[str]) -> Matrix:
    """Score texts by cosine."""
    passages = encoder.embed_passages([text[:MAX_CHARS] for text in texts])
    scores: Matrix = encoder.embed_queries(queries) @ passages.T
    return scores


def fuse(words: Matrix, ceilings: Matrix, dense: Matrix) -> Matrix:
    """Add BM25 scores and cosines with the weights the program has for them."""
    weights = load_weights()["rank"]
    cosine = sum(weights[name] for name in COSINES)
    fused: Matrix = cosine * dense + weights["words"] * (words / BM25_UNIT) ** 2 + weights["matched"] * words / ceilings
    return fused


def to_run(queries: Sequence[str], units: Sequence[str], scores: Matrix) -> dict[str, dict[str, float]]:
    """Make a run of each query's 100 best units; ties keep their order by a hair's difference of score."""
    run = {}
    for query, row in zip(queries, scores, strict=True):
        best = np.argsort(-row, kind="stable")[:100]
        run[query] = {units[at]: float(row[at]) - place * 1e-7 for place, at in enumerate(best)}
    return run


def compare_on_set(data: RetrievalSet, encoders: dict[str, Encoder | None]) -> dict[str, dict[str, float]]:
    """Measure all systems on one BEIR set; system to query to nDCG@10."""
    ids = sorted(data.queries, key=lambda key: zlib.crc32(key.encode()))[:MAX_QUERIES]
    texts, queries = list(data.texts.values()), [data.queries[key] for key in ids]
    words, ceilings = score_words(texts, queries)
    matrices = {"BM25": words}
    for name, encoder in encoders.items():
        if encoder:
            matrices[name] = score_dense(encoder, texts, queries)
    matrices["fusion"] = fuse(words, ceilings, matrices["encoder"])
    qrels = {key: data.qrels[key] for key in ids}
    units = list(data.texts)
    return {name: measure_queries(qrels, to_run(ids, units, matrix)) for name, matrix in matrices.items()}


def compare_on_notes(encoders: dict[str, Encoder | None]) -> Rows:
    """Measure all systems on the project's own queries, by category; a question scores as its best part."""
    judged = [query for query in load_queries() if query.grades]
    texts = [resolve(query.query).text for query in judged]
    rows: Rows = {}
    matrices: dict[str, Matrix] = {}
    labels: list[str] = []
    for name, encoder in encoders.items():
        if not encoder:
            continue
        content, _ = make_content(Settings((CORPUS,), Path("unused")), encoder, None, None)
        outer = [question for question in content.questions if not question.parent]
        labels = [question.label for question in outer]
        at = {question.id: place for place, question in enumerate(outer)}
        passage_owner = np.array([at[passage.question] for passage in content.passages])
        title_owner = np.array([at[question.parent or question.id] for question in content.questions])
        plain = Thesaurus.from_groups([])
        units = [forms[0] for forms in texts_to_embed(content.questions, content.passages, plain)]
        dense = encoder.embed_queries(texts) @ encoder.embed_passages(units).T
        matrices[name] = _best_by_owner(dense, np.concatenate([passage_owner, title_owner]), len(outer))
        if name == "encoder":
            index = WordIndex(content.lexical)
            words, ceilings = stack_matches([index.search(text).passages for text in texts])
            matrices["BM25"] = _best_by_owner(words, passage_owner, len(outer))
            matrices["fusion"] = fuse(matrices["BM25"], ceilings, matrices["encoder"])
    qrels = {query.id: query.grades for query in judged}
    for name, matrix in matrices.items():
        values = measure_queries(qrels, to_run([query.id for query in judged], labels, matrix))
        for query in judged:
            for row in ("notes: all", f"notes: {query.category}"):
                rows.setdefault(row, {}).setdefault(name, []).append(values[query.id])
    return rows


def _best_by_owner(scores: Matrix, owners: npt.NDArray[np.int64], n_owners: int) -> Matrix:
    best = np.full((len(scores), n_owners), scores.min(), dtype=np.float32)
    for column, owner in enumerate(owners):
        np.maximum(best[:, owner], scores[:, column], out=best[:, owner])
    return best


def measure_cross_lingual(encoder: Encoder, path: Path) -> float:
    """Recall@1 of the Chinese text among 1,000, asked with its English counterpart, on pairs held out of training."""
    from rag.models.data import read_held_out

    pairs = read_held_out(path)[:N_CANDIDATES]
    english = encoder.embed_queries([pair.en for pair in pairs])
    chinese = encoder.embed_passages([pair.zh for pair in pairs])
    return float(((english @ chinese.T).argmax(axis=1) == np.arange(len(pairs))).mean())


def format_table(rows: Rows) -> str:
    """Write the table: nDCG@10 in points with its 95% interval."""
    lines = ["| set | n | " + " | ".join(SYSTEMS) + " |", "|---|---|" + "---|" * len(SYSTEMS)]
    for row, by_system in rows.items():
        cells = [_format_cell(by_system.get(system)) for system in SYSTEMS]
        lines.append(f"| {row} | {len(by_system['encoder'])} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _format_cell(values: list[float] | None) -> str:
    if not values:
        return "–"
    low, high = bootstrap_interval(values)
    return f"{100 * float(np.mean(values)):.1f} ({100 * low:.0f}–{100 * high:.0f})"


def run(arguments: list[str] | None) -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m eval.encoders", description=__doc__.splitlines()[0])
    parser.add_argument("--beir", type=Path, nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--parallel", type=Path, metavar="FILE", help="aligned pairs, for cross-lingual recall")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the values by query as JSON")
    options = parser.parse_args(arguments)
    shipped = ShippedEncoder()
    encoders: dict[str, Encoder | None] = {"teacher": load_teacher(), "encoder": shipped}
    rows = compare_on_notes(encoders)
    for folder in options.beir:
        values = compare_on_set(load_beir(folder), encoders)
        rows[folder.name] = {system: list(by_query.values()) for system, by_query in values.items()}
    print(format_table(rows))
    if options.parallel:
        print(f"cross-lingual recall@1 among {N_CANDIDATES}: {measure_cross_lingual(shipped, options.parallel):.3f}")
    if options.out:
        options.out.write_text(json.dumps(rows), encoding="utf-8")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
