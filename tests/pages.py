"""Serve one tab over open notes in this process, and look at it in a real browser."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import Page, sync_playwright

from rag.config import Settings
from rag.live import LiveNotes

BROWSER = os.environ.get("RAG_TEST_BROWSER", "/usr/bin/chromium")


def open_live(corpus: Path, index: Path) -> LiveNotes:
    return LiveNotes(Settings(corpus=(corpus,), index=index), lambda line: None)


@contextlib.contextmanager
def serve(build: Callable[[], None]) -> Iterator[str]:
    """Serve a page made by `build`; its address."""
    with gr.Blocks(analytics_enabled=False, title="面经") as app:
        build()
    server = FastAPI()
    gr.mount_gradio_app(server, app, path="/", footer_links=[], ssr_mode=False, run_history=False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    running = uvicorn.Server(uvicorn.Config(server, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    waiting = threading.Event()
    while not running.started and thread.is_alive():
        waiting.wait(0.05)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join(10)


@contextlib.contextmanager
def browse() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(20_000)
        yield page
        browser.close()


def find_barriers(page: Page, within: str) -> list[str]:
    """List what axe finds serious or critical inside an element: `rule: element`."""
    found = Axe().run(page, context=within).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['html'][:200]}" for one in grave for node in one["nodes"]]
