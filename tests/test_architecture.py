"""Imports point one way, and a question loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CORPUS

ROOT = Path(__file__).parent.parent
BASE = {"errors", "types", "config", "markdown", "lookup", "tokenize"}
"""What any stage may import; `markdown`, `lookup` and `tokenize` read text for several stages."""
PARTS = {
    "parse": {"headings", "numbering"},
    "headings": {"numbering"},
    "index": {"consistency", "maps", "vectors"},
    "retrieve": {"weights"},
    "lexical": {"bm25", "spelling", "synonyms"},
    "spelling": {"synonyms"},
    "split": {"history"},
    "verify": {"verification", "synonyms"},
    "answer": {"unfinished"},
    "quote": {"units"},
    "corpus": {"adapters"},
}
"""Modules that a larger one is made of."""
ABOVE = {
    "build",
    "workers",
    "stores",
    "pipeline",
    "search",
    "asked",
    "extractive",
    "generated",
    "prompting",
    "grounding",
    "live",
    "explain",
}
ABOVE |= {"ask", "ingest", "records", "serve", "shell", "terminal"}
HEAVY = ("torch", "transformers", "llama_index", "gradio", "pandas")


def stages() -> list[Path]:
    every = [path for path in (ROOT / "rag").glob("*.py") if path.stem not in BASE | ABOVE | {"__init__"}]
    return sorted(every)


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(
                {node.module} | {f"{node.module}.{alias.name}" for alias in node.names if node.module == "rag"}
            )
    return names


@pytest.mark.parametrize("path", stages(), ids=lambda path: path.stem)
def test_a_stage_imports_no_other_stage(path: Path) -> None:
    own = {name.split(".")[1] for name in imported(path) if name.startswith("rag.")}
    assert own <= BASE | PARTS.get(path.stem, set())


@pytest.mark.parametrize("path", sorted((ROOT / "rag").glob("*.py")), ids=lambda path: path.stem)
def test_only_adapters_and_the_recipe_import_heavy_packages(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & set(HEAVY)


@pytest.mark.parametrize("folder", ["rag", "ui", "eval"])
def test_only_config_reads_the_environment(folder: str) -> None:
    readers = [
        path.name
        for path in (ROOT / folder).rglob("*.py")
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    ]
    assert readers == (["config.py"] if folder == "rag" else [])


def test_one_question_in_a_fresh_interpreter_loads_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys; from rag.ask import main\n"
        f"main(['--corpus', {str(CORPUS)!r}, '--index', {str(tmp_path)!r}, '为什么要除以根号dk'])\n"
        f"loaded = sorted(name for name in {HEAVY!r} if name in sys.modules)\n"
        "print('LOADED', loaded)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.splitlines()[-1] == "LOADED []"
