"""A scripted server that speaks OpenAI's chat protocol on loopback: each request takes the next step of its script."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-test-0123456789"
Step = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers one request; a step writes what it likes."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            place = len(self.server.requests)
            self.server.requests.append(body | {"key": self.headers.get("Authorization", "")})
        script = self.server.script
        try:
            script[min(place, len(script) - 1)](self)
        except (BrokenPipeError, ConnectionResetError):
            self.server.hung_up.set()
        self.close_connection = True

    def begin(self) -> None:
        """Begin a stream; it has no length, so only its own marks tell its end."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def event(self, data: Any) -> None:
        """Send one event."""
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        self.wfile.write(f"data: {text}\n\n".encode())
        self.wfile.flush()

    def piece(self, content: str | None = None, finish: str | None = None, **delta: Any) -> None:
        """Send one piece of the reply."""
        delta |= {"content": content} if content is not None else {}
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.event({"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]})

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """The server, with what it was asked."""

    daemon_threads = True

    def __init__(self, script: Sequence[Step]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.lock = script, threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.hung_up = threading.Event()

    @property
    def url(self) -> str:
        """What `RAG_LLM_BASE_URL` is set to."""
        return f"http://127.0.0.1:{self.server_port}/v1"


def say(*pieces: str, finish: str | None = "stop") -> Step:
    """Stream a reply in pieces."""

    def step(handler: Handler) -> None:
        handler.begin()
        handler.piece("", role="assistant")
        for piece in pieces:
            handler.piece(piece)
        handler.piece(finish=finish)
        handler.event("[DONE]")

    return step


def think(thoughts: str, *pieces: str) -> Step:
    """Stream thoughts in a field of their own, as DeepSeek's and Qwen's servers do, then a reply."""

    def step(handler: Handler) -> None:
        handler.begin()
        handler.piece(reasoning_content=thoughts)
        for piece in pieces:
            handler.piece(piece)
        handler.piece(finish="stop")
        handler.event("[DONE]")

    return step


def break_off(*pieces: str) -> Step:
    """Stream some pieces and hang up."""

    def step(handler: Handler) -> None:
        handler.begin()
        for piece in pieces:
            handler.piece(piece)

    return step


def stall(*pieces: str, after_s: float) -> Step:
    """Stream some pieces, then nothing for a while."""

    def step(handler: Handler) -> None:
        handler.begin()
        for piece in pieces:
            handler.piece(piece)
        time.sleep(after_s)

    return step


def drip(piece: str, pause_s: float) -> Step:
    """Stream a piece again and again until the reader hangs up."""

    def step(handler: Handler) -> None:
        handler.begin()
        while True:
            handler.piece(piece)
            time.sleep(pause_s)

    return step


def refuse(status: int, message: str = "no", **headers: str) -> Step:
    """Refuse with an HTTP status."""

    def step(handler: Handler) -> None:
        body = json.dumps({"error": {"message": message, "type": "error", "code": None}}).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return step


def babble(*events: str) -> Step:
    """Stream events that are not what the protocol says."""

    def step(handler: Handler) -> None:
        handler.begin()
        for event in events:
            handler.event(event)

    return step


@contextmanager
def serve(*script: Step) -> Iterator[Server]:
    """Run the server; the last step goes on for all further requests."""
    with Server(script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
