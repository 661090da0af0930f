"""The app on a real server, in a real browser: what the tests of its tabs share."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from rag.live import LiveNotes
from ui.app import make_app, make_server
from ui.texts import ZH, Texts

ROOT = Path(__file__).parent.parent
START_S = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


@contextlib.contextmanager
def serve(corpus: Path, folder: Path, *options: str, port: int = 0) -> Iterator[str]:
    """Run `python -m ui` over notes; what it keeps is under `folder`."""
    port = port or free_port()
    command = [sys.executable, "-m", "ui", "--no-browser", "--port", str(port), "--corpus", str(corpus)]
    command += ["--index", str(folder / "index"), *options]
    environment = os.environ | {"RAG_DATA": str(folder / "data"), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment) as server,
    ):
        try:
            wait_for_port(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@contextlib.contextmanager
def serve_here(live: LiveNotes, texts: Texts = ZH, port: int = 0) -> Iterator[str]:
    """Serve open notes from a thread of this process."""
    port = port or free_port()
    app = make_server(make_app(live, texts), texts)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for_port(port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_S)


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Run Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("RAG_TEST_BROWSER", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


def open_chat(page: Page, address: str) -> None:
    """Open the chat, ready to be asked."""
    page.set_default_timeout(30_000)
    page.goto(address)
    page.wait_for_selector("#talk [data-ready]")


def ask(page: Page, text: str) -> None:
    """Ask, and wait until the answer is whole."""
    before = page.locator("#talk .exchange").count()
    page.fill("#ask", text)
    page.press("#ask", "Enter")
    page.wait_for_function("n => document.querySelectorAll('#talk .exchange .tools').length === n", arg=before + 1)
