"""Ingest on Ray: what the local engine makes, with any number of processes, one of them killed."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from rag.build import build, make_content
from rag.config import Settings
from rag.errors import EncoderError, UsageError
from rag.index import IndexContent, open_index
from rag.ingest import format_report, main
from rag.pipeline import Notes
from rag.stores import open_store
from rag.synonyms import load_thesaurus
from rag.vectors import VectorIndex
from rag.workers import join_cuts
from tests.conftest import CORPUS, make_document
from tests.milvus_store import release

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # Ray's own
ROOT = Path(__file__).parent.parent
N_FILES, N_QUESTIONS = 4, 24
CLUSTER = """
import sys, time
from rag.config import calm_ray
calm_ray(is_local=True)
import ray
ray.init(address="local", num_cpus=3, include_dashboard=False, object_store_memory=100 * 2**20, _temp_dir=sys.argv[1], log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
time.sleep(600)
"""
WAIT_S = 240
"""A busy machine starts processes slowly."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real notes, files that number their questions alike, a text met twice, and a file that nobody can read."""
    folder = tmp_path_factory.mktemp("ray") / "notes"
    folder.mkdir()
    (folder / "real.md").write_bytes((CORPUS / "transformer-bert.md").read_bytes())
    for file in range(N_FILES):
        parts = [
            f"## {at}. 第 {file} 组的第 {at} 个概念是什么\n\n{'它由几步组成。' * (1 + at % 5)}第 {file}-{at} 步最慢。\n"
            for at in range(1, N_QUESTIONS)
        ]
        (folder / f"f{file}.md").write_text("\n".join([*parts, "## 99. 共同的结尾\n\n每一份都有这一题。\n"]))
    (folder / "broken.md").write_bytes(b"\x00\xff")
    return folder


@pytest.fixture(scope="module")
def local(notes: Notes, corpus: Path) -> IndexContent:
    """What the local engine makes."""
    return make_content(Settings((corpus,), corpus), notes.encoder, None, None)[0]


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[str, dict[str, str]]]:
    """A Ray of another process: its address, and an environment whose home has its token."""
    with tempfile.TemporaryDirectory(
        prefix="ray-", ignore_cleanup_errors=True
    ) as folder:  # its sockets need a short path
        environment = {**os.environ, "HOME": folder}
        command = [sys.executable, "-c", CLUSTER, folder]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True, env=environment
        ) as head:
            assert head.stdout is not None
            yield head.stdout.readline().strip(), environment
            head.terminate()


def assert_same(first: IndexContent, second: IndexContent) -> None:
    plain = {"vectors": first.vectors, "lexical": first.lexical}
    assert replace(second, **plain) == first  # type: ignore[arg-type]
    np.testing.assert_allclose(second.vectors.all(), first.vectors.all(), atol=1e-5)


def kill_one_that_encodes(done: threading.Event) -> list[int]:
    """Kill the first process of this test's own Ray that is at work as an actor."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and not done.is_set():
        for child in psutil.Process().children(recursive=True):
            try:
                title = " ".join(child.cmdline()).strip()
            except psutil.Error:
                continue
            if title.startswith("ray::MapWorker(") and title.endswith(".submit"):
                child.send_signal(signal.SIGKILL)
                return [child.pid]
        time.sleep(0.01)
    return []


def test_a_worker_killed_while_it_encodes_loses_and_repeats_nothing(
    notes: Notes, corpus: Path, local: IndexContent, tmp_path: Path
) -> None:
    settings = Settings((corpus,), tmp_path / "index", engine="ray")
    done, killed = threading.Event(), list[int]()
    killer = threading.Thread(target=lambda: killed.extend(kill_one_that_encodes(done)))
    killer.start()
    report = build(settings, notes.encoder)
    done.set()
    killer.join()
    assert len(killed) == 1
    content = open_index(settings.index).content
    assert_same(local, content)
    assert len({passage.id for passage in content.passages}) == len(content.passages) == len(local.passages)
    assert report.n_embedded == len(set(local.row_keys))
    assert len(report.workers) >= 1
    assert "条/秒" in format_report(report)
    assert report.problems == local.problems != ()
    assert not [child for child in psutil.Process().children(recursive=True) if "ray" in child.name()]


def test_a_cluster_writes_into_milvus_what_the_local_engine_makes_and_embeds_only_what_is_new(
    notes: Notes, corpus: Path, local: IndexContent, cluster: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    file, (address, environment) = tmp_path / "notes.db", cluster
    settings = Settings((corpus,), tmp_path / "index", store=f"milvus:{file}")
    (corpus / "f0.md").rename(tmp_path / "f0.md")
    build(settings, notes.encoder)
    release(file)
    (tmp_path / "f0.md").rename(corpus / "f0.md")
    options = ["--index", str(settings.index), "--store", settings.store, "--engine", f"ray:{address}"]
    result = subprocess.run(
        [sys.executable, "-m", "rag.ingest", str(corpus), *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    told = [
        line for line in result.stderr.splitlines() if "chttp2_transport" not in line
    ]  # on a busy machine gRPC logs
    assert (result.returncode, len(told)) == (0, 1), result.stderr  # the broken file's line
    n_new = len([passage for passage in local.passages if passage.id.startswith("f0:")]) - 1
    assert f"新编码 {2 * n_new} 条" in result.stdout
    assert re.search(r"进程 \d+：\d+ 条，[\d.]+ 条/秒", result.stdout)
    former = open_store(settings).read_former()
    release(file)
    assert former is not None
    assert_same(replace(local, lexical={}), former.content)


@pytest.mark.parametrize("engine", ["spark", "ray:", "ray:host", "ray:host:port"])
def test_an_engine_that_makes_no_sense_is_told(
    corpus: Path, tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(corpus), "--index", str(tmp_path / "i"), "--engine", engine]) == 2
    assert f"--engine {engine}: 要 local、ray 或 ray:主机:端口" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_one_clear_line(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    assert main([str(corpus), "--index", str(tmp_path / "i"), "--engine", f"ray:127.0.0.1:{port}"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "连不上 Ray" in lines[0]


def test_without_the_extra_the_command_that_installs_it_is_told(
    notes: Notes, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'mianjing\[ray\]'"):
        build(Settings((corpus,), tmp_path / "i", engine="ray"), notes.encoder)


def test_what_the_workers_do_not_hand_in_is_named(notes: Notes) -> None:
    document = make_document("## 1. 题\n\n文\n", "real")
    with pytest.raises(EncoderError, match=r"Ray 没有把 real\.md 交回来"):
        join_cuts([document], {}, {}, load_thesaurus(), notes.encoder, VectorIndex.build)
