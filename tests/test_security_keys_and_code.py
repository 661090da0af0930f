"""What docs/security.md promises of the program: no key shows, nothing of others is run, every risk has a test."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from rag.config import Settings
from rag.embed import ApiEncoder
from rag.errors import EncoderError
from rag.parse import parse_document
from rag.pipeline import Notes
from rag.types import Query
from tests.conftest import make_document
from tests.llm_server import KEY, refuse, serve
from tests.own_notes import TEXT

pytestmark = pytest.mark.usefixtures("ends_in_time")
ROOT = Path(__file__).parent.parent


# Keys

SECRET = "geheim-7731"


def test_no_key_shows_in_the_settings() -> None:
    values = {name: SECRET for name in ("llm_api_key", "api_key", "store_token", "ui_auth", "serve_key")}
    addresses = {name: f"http://me:{SECRET}@127.0.0.1:1" for name in ("llm_base_url", "api_base", "store")}
    secret = {field.name for field in fields(Settings) if re.search("key|token|auth|secret", field.name)}
    assert secret <= set(values)
    assert SECRET not in repr(Settings(corpus=(), index=Path("i"), **values, **addresses))


def test_no_key_and_no_password_of_an_address_shows_in_an_error_or_an_index() -> None:
    encoder = ApiEncoder("m", f"http://me:{SECRET}@127.0.0.1:9/v1", SECRET)
    with pytest.raises(EncoderError, match=r"http://127\.0\.0\.1:9/v1/embeddings: 取不到向量") as caught:
        encoder.embed_queries(["问"])
    assert SECRET not in str(caught.value)
    assert SECRET not in encoder.fingerprint


def test_no_key_shows_in_what_the_command_prints(notes: Notes) -> None:
    with serve(refuse(401, KEY)) as server:
        command = [sys.executable, "-m", "rag.ask", "--index", str(notes.settings.index), "--llm", "openai:m", "--json"]
        environment = {**os.environ, "RAG_LLM_BASE_URL": server.url, "RAG_LLM_API_KEY": KEY, "RAG_API_KEY": SECRET}
        environment |= {"RAG_UI_AUTH": f"me:{SECRET}", "RAG_SERVE_KEY": SECRET, "RAG_STORE_TOKEN": SECRET}
        result = subprocess.run(
            [*command, "为什么要除以根号dk"],
            capture_output=True,
            encoding="utf-8",
            cwd=ROOT,
            check=False,
            env=environment,
        )
    assert json.loads(result.stdout)["notice"]
    for key in (KEY, SECRET):
        assert key not in result.stdout + result.stderr


def test_a_question_of_the_notes_keeps_its_settings_out_of_answers(notes: Notes) -> None:
    answer = replace(notes, settings=replace(notes.settings, api_key=SECRET)).ask(Query("为什么要除以根号dk"))
    assert SECRET not in repr(answer)
    assert parse_document(make_document(TEXT))[0].title == "什么是注意力？"


# Code

CALLS = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "yaml", "xml"}
SOURCES = [*(ROOT / "rag").rglob("*.py"), *(ROOT / "ui").rglob("*.py")]
OPTIONS = {
    "shell": {True},
    "trust_remote_code": {True},
    "allow_pickle": {True},
    "weights_only": {False},
    "verify": {False},
}
FORBIDDEN_CALLS = {("os", "system"), ("os", "popen"), ("pickle", "load"), ("yaml", "load"), ("tempfile", "mktemp")}


def list_dangers(tree: ast.AST) -> Iterator[str]:
    """Yield what would run or believe what others wrote."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (name for name in names if name.split(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            yield from _list_dangers_of(node)


def _list_dangers_of(call: ast.Call) -> Iterator[str]:
    options = {
        word.arg: word.value.value for word in call.keywords if word.arg and isinstance(word.value, ast.Constant)
    }
    yield from (name for name, value in options.items() if value in OPTIONS.get(name, ()) or "dangerous" in name)
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if name in CALLS:
        yield name
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        place = (call.func.value.id, call.func.attr)
        if place in FORBIDDEN_CALLS:
            yield ".".join(place)
        if place == ("np", "load") and options.get("allow_pickle") is not False:
            yield "np.load"
        if place == ("torch", "load") and options.get("weights_only") is not True:
            yield "torch.load"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_of_others_is_run_unpickled_or_believed(path: Path) -> None:
    assert list(list_dangers(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')", "import pickle", "from yaml import load", "np.load(f)", "np.load(f, allow_pickle=True)", "torch.load(f)",
        "run(c, shell=True)", "f(trust_remote_code=True)", "g(allow_dangerous_deserialization=True)", "os.system('x')",
    ],
)  # fmt: skip
def test_what_is_dangerous_is_noticed(code: str) -> None:
    assert list(list_dangers(ast.parse(code)))


# The page itself


def test_every_risk_names_a_test_that_there_is() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{file}::{test}"
