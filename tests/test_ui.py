"""The app in a real browser, on a real server."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from rag.types import Citation
from tests.conftest import CORPUS
from ui.app import stream_paragraphs, write_source

ROOT = Path(__file__).parent.parent
HOSTILE = "# 1. 什么是 <img src=x onerror=\"document.title='pwned'\">？\n\n<script>document.title='pwned'</script>正文说的是安全。\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    shutil.copy(CORPUS / "transformer-bert.md", folder)
    (folder / "hostile.md").write_text(HOSTILE.replace("# 1.", "# 77."), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def address(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "ui", "--no-browser", "--port", str(port), "--corpus", str(corpus)]
    command += ["--index", str(tmp_path_factory.mktemp("index"))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("RAG_TEST_BROWSER", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.set_default_timeout(30_000)
        yield page
        browser.close()


@pytest.fixture
def fresh(page: Page, address: str) -> Page:
    page.goto(address)
    page.wait_for_selector("#ask textarea")
    return page


def ask(page: Page, text: str) -> None:
    page.fill("#ask textarea", text)
    page.press("#ask textarea", "Enter")


def test_a_question_is_answered_with_its_sources_beside_it(fresh: Page) -> None:
    ask(fresh, "为什么要除以根号dk")
    fresh.wait_for_selector(".sources article")
    assert "[Q4]" in fresh.inner_text(".bot")
    source = fresh.inner_text(".sources article")
    assert "transformer-bert.md:44-48" in source
    assert "因此使用dk的平方根被用于缩放" in source


def test_the_next_question_knows_what_was_asked(fresh: Page) -> None:
    ask(fresh, "BERT 的优缺点")
    fresh.wait_for_selector(".sources article:has-text('Q36')")
    ask(fresh, "GPT 和它有什么不同")
    fresh.wait_for_selector(".sources article:has-text('Q22')")
    assert fresh.locator(".user").count() == 2


def test_notes_cannot_run_script_in_the_page(fresh: Page) -> None:
    ask(fresh, "第77题")
    fresh.wait_for_selector(".sources article:has-text('正文说的是安全')")
    fresh.wait_for_timeout(500)
    assert fresh.title() == "面经"
    assert fresh.locator(".bot img[onerror], .bot script").count() == 0


def test_nothing_is_fetched_from_elsewhere(page: Page, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#ask textarea")
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def test_a_port_that_is_taken_is_one_line(address: str) -> None:
    port = address.rpartition(":")[2]
    command = [sys.executable, "-m", "ui", "--no-browser", "--port", port]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"127.0.0.1:{port}: 这个端口用不了" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_sources_are_escaped() -> None:
    citation = Citation("Q1", "<b>题", "a.md", (1, 2), "<script>x</script>", 1.0)
    assert "<script>" not in write_source(citation)
    assert "&lt;b&gt;题" in write_source(citation)


def test_a_fence_is_streamed_whole() -> None:
    text = "先看代码：\n\n```\na\n\nb\n```\n\n[Q1]"
    assert list(stream_paragraphs(text)) == ["先看代码：", "先看代码：\n\n```\na\n\nb\n```", text]
