"""Run servers for tests: the real command, or the application on a thread with notes that a test holds back."""

import functools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from eval.load import Address, free_port, wait_until_ready
from rag.pipeline import Notes
from rag.serve import listen
from rag.server.app import make_app
from rag.server.options import ServerOptions
from rag.server.service import Service
from rag.types import Query, Reply
from tests.conftest import CORPUS

ROOT = Path(__file__).parent.parent
KEY = "sesame-4711"
ASKED = "为什么要除以根号dk"
HEADERS = {"Authorization": f"Bearer {KEY}"}
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": ASKED}]
get, post = functools.partial(httpx.get, timeout=60), functools.partial(httpx.post, timeout=60)


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    address: Address
    log: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"http://{self.address.host}:{self.address.port}"


@contextmanager
def run_command(folder: Path, *arguments: str) -> Iterator[Running]:
    """Run `python -m rag.serve` with its log in a file."""
    address, log = Address("127.0.0.1", free_port()), folder / "serve.log"
    command = [sys.executable, "-m", "rag.serve", "--port", str(address.port), *arguments]
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=dict(os.environ))
        try:
            assert wait_until_ready(address, server), log.read_text(encoding="utf-8")
            yield Running(address, log, server)
        finally:
            server.terminate()
            server.wait(60)


@contextmanager
def run_on_copy(folder: Path) -> Iterator[Running]:
    """Run the command with a key on a copy of the real notes, which a test may change."""
    shutil.copytree(CORPUS, folder / "corpus")
    places = ("--corpus", str(folder / "corpus"), "--index", str(folder / "index"))
    with run_command(folder, *places, "--api-key", KEY, "--max-body", "200000") as server:
        yield server


def ask(running: Running, body: object) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return post(running.url + CHAT, content=content, headers=HEADERS)


class HeldNotes:
    """Real notes whose stream says one piece, then waits until the test lets it go on."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self.begun, self.go_on, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._notes, name)

    def stream(self, query: Query) -> Reply:
        if self.error:
            raise self.error
        answer = self._notes.ask(query)
        try:
            yield "第一句"
            self.begun.set()
            while not self.go_on.wait(0.01):
                yield "……"
            yield replace(answer, text="第一句，最后一句")
        finally:
            self.closed.set()


class LiveStub:
    """Notes that stay as they are."""

    def __init__(self, notes: Any) -> None:
        self.current = notes

    def watch(self, interval_s: float) -> None:
        """Look for nothing."""

    def close(self) -> None:
        """Hold nothing."""


@dataclass(frozen=True)
class OnThread:
    """A server on a thread of the test's own process."""

    url: str
    server: uvicorn.Server
    service: Service
    failures: list[Exception]


@contextmanager
def run_thread(open_notes: Callable[[], Any], options: ServerOptions | None = None) -> Iterator[OnThread]:
    """Run the application; the caller waits for readiness where it matters."""
    options = replace(options or ServerOptions(), port=free_port())
    service, door = Service(options, options.count_threads("")), listen(options)
    failures: list[Exception] = []
    app = make_app(service, open_notes, failures.append)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", lifespan="on"))
    thread = threading.Thread(target=server.run, args=([door],))
    thread.start()
    try:
        yield OnThread(f"http://127.0.0.1:{options.port}", server, service, failures)
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def wait_for(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
