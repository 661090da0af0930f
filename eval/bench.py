"""Measure speed and memory as ratios in one run: `python -m eval.bench` (`make bench`).

Every figure is the median of several fresh processes, or of several rounds in one process; what is compared runs in
turns, so that a busy machine slows both alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "corpus"
QUERY = "为什么要除以根号dk"
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
STARTER = """
import faiss
from pathlib import Path
from llama_index.core import Settings, SimpleDirectoryReader, StorageContext, VectorStoreIndex
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.faiss import FaissVectorStore
from rag.models.student import find_teacher
Settings.embed_model = HuggingFaceEmbedding(model_name=str(find_teacher()))
documents = SimpleDirectoryReader(input_files=[{notes!r}]).load_data()
store = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss_index=faiss.IndexFlatIP(384)))
VectorStoreIndex.from_documents(documents, storage_context=store).as_retriever().retrieve({query!r})
"""
RATES = """
import json, sys, time
from pathlib import Path
from rag.config import Settings
from rag.embed import ShippedEncoder
from rag.build import make_content
started = time.perf_counter()
encoder = ShippedEncoder()
load_ms = (time.perf_counter() - started) * 1000
content, _ = make_content(Settings((Path({corpus!r}),), Path("unused")), encoder, None, None)
texts = [passage.search_text for passage in content.passages if passage.search_text] * 2
queries = [question.title for question in content.questions]
def rate(embed):
    started = time.perf_counter(); embed(texts); return len(texts) / (time.perf_counter() - started)
times = []
for query in queries * 3:
    started = time.perf_counter(); encoder.embed_queries([query]); times.append((time.perf_counter() - started) * 1000)
result = {{"load_ms": load_ms, "query_ms": sorted(times)[len(times) // 2], "ours": [], "theirs": []}}
other = None
try:
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from rag.models.student import find_teacher
    other = HuggingFaceEmbedding(model_name=str(find_teacher()), embed_batch_size=32)
except ImportError as error:
    print(error, file=sys.stderr)
for _ in range({rounds}):
    result["ours"].append(rate(encoder.embed_passages))
    if other:
        result["theirs"].append(rate(lambda batch: other.get_text_embedding_batch(batch)))
print("RATES", json.dumps(result))
"""


def run_process(*arguments: str) -> tuple[float, float, str]:
    """Run a fresh interpreter: seconds, peak memory in MB, output."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"a measured process failed:\n{errors.read()[-800:]}")
        return elapsed_s, usage.ru_maxrss / 1024, output.read()


def measure_cold(rounds: int) -> None:
    """Compare a cold question with a bare process that loads the same libraries and model."""
    with tempfile.TemporaryDirectory() as index:
        bare = ("-c", BARE.format(query=QUERY))
        ask = ("-m", "rag.ask", "--corpus", str(CORPUS), "--index", index, QUERY)
        run_process(*ask)
        pairs = [(run_process(*bare), run_process(*ask)) for _ in range(rounds)]
    for name, place in (("bare process", 0), ("cold ask", 1)):
        seconds = statistics.median(pair[place][0] for pair in pairs)
        peak_mb = statistics.median(pair[place][1] for pair in pairs)
        print(f"{name:<34}{seconds:8.2f} s {peak_mb:8.0f} MB")
    ratio = statistics.median(asked[0] / plain[0] for plain, asked in pairs)
    print(f"{'cold ask / bare process':<34}{ratio:8.2f} ×  (wanted: at most 1.3; memory under 200 MB)")


def measure_starter() -> None:
    """Time a stock LlamaIndex starter on the same notes, where its packages are installed."""
    try:
        seconds, peak_mb, _ = run_process("-c", STARTER.format(notes=str(CORPUS / "transformer-bert.md"), query=QUERY))
    except SystemExit as error:
        print(f"stock LlamaIndex starter: not measured ({str(error).splitlines()[-1]})")
        return
    print(f"{'stock LlamaIndex starter':<34}{seconds:8.2f} s {peak_mb:8.0f} MB")


def measure_rates(rounds: int) -> None:
    """Compare the rate of embedding passages, and print the time of one query and of loading."""
    _, peak_mb, output = run_process("-c", RATES.format(corpus=str(CORPUS), rounds=rounds))
    line = next(line for line in output.splitlines() if line.startswith("RATES"))
    result = json.loads(line.removeprefix("RATES "))
    ours = statistics.median(result["ours"])
    print(f"{'encoder: load':<34}{result['load_ms']:8.0f} ms  (wanted: at most 100)")
    print(f"{'encoder: one query':<34}{result['query_ms']:8.1f} ms  (wanted: at most 4)")
    print(f"{'encoder: passages':<34}{ours:8.1f} a second")
    if result["theirs"]:
        ratio = statistics.median(a / b for a, b in zip(result["ours"], result["theirs"], strict=True))
        print(f"{'HuggingFaceEmbedding all-MiniLM':<34}{statistics.median(result['theirs']):8.1f} a second")
        print(f"{'encoder / HuggingFaceEmbedding':<34}{ratio:8.2f} ×  (wanted: at least 3)")


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m eval.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    measure_cold(options.rounds)
    measure_rates(max(1, options.rounds // 2))
    measure_starter()
    return 0


if __name__ == "__main__":
    sys.exit(main())
