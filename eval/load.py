"""Load a server with many clients at once: `python -m eval.load`.

Starts `python -m rag.serve` on a port of its own (or takes `--url`), lets every client ask its questions one after the
other over one connection, and counts what comes back. Clients and server share this machine's cores.
"""

import argparse
import http.client
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from eval.queries import OWN, load_queries
from rag.errors import UsageError
from rag.shell import EXIT_ANSWERED, EXIT_ERROR, guard, write
from rag.types import Query

ROOT = Path(__file__).parent.parent
CLIENTS = (1, 16, 64, 200, 256)
REQUESTS = 2_000
START_S, ANSWER_S = 120.0, 120.0
RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int
    key: str = ""

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection."""
        return http.client.HTTPConnection(self.host, self.port, timeout=ANSWER_S)

    def get(self, path: str) -> tuple[int, bytes]:
        """Fetch a page: status and body."""
        connection = self.connect()
        try:
            connection.request("GET", path, headers=self.headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})


@dataclass(frozen=True, slots=True)
class LoadRow:
    """What one number of clients met."""

    clients: int
    requests: int
    lost: int
    """Requests without a whole answer, whatever the reason."""
    per_s: float
    p50_ms: float
    p99_ms: float
    rss_before_mb: float | None
    """Of the server; None where it does not tell (its metrics do on Linux)."""
    rss_after_mb: float | None


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def start_server(corpus: Path) -> Iterator[Address]:
    """Run a server on the notes, its index in a folder of its own, until the caller is done.

    :raises UsageError: when it does not start.
    """
    address = Address("127.0.0.1", free_port())
    with tempfile.TemporaryDirectory() as index, tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "rag.serve", "--port", str(address.port)]
        command += ["--corpus", str(corpus), "--index", index]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, cwd=ROOT)
        try:
            if not wait_until_ready(address, server):
                log.seek(0)
                raise UsageError(f"服务没有起来：{log.read().decode(errors='replace').strip()[-400:]}")
            yield address
        finally:
            server.terminate()
            server.wait(ANSWER_S)


def wait_until_ready(address: Address, server: "subprocess.Popen[bytes]") -> bool:
    """Wait until the notes are open; tell whether they are."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if address.get("/healthz")[0] == http.HTTPStatus.OK:
                return True
        except OSError:
            pass  # it does not listen yet
        time.sleep(0.1)
    return False


def ask_all(address: Address, queries: Sequence[Query], *, stream: bool) -> list[float | None]:
    """Ask one client's questions one after the other: milliseconds each, None for one that was lost."""
    connection = address.connect()
    times: list[float | None] = []
    for query in queries:
        messages = [{"role": turn.role, "content": turn.content} for turn in query.history]
        messages.append({"role": "user", "content": query.text})
        body = json.dumps({"model": "mianjing", "messages": messages, "stream": stream})
        started = time.perf_counter()
        try:
            connection.request("POST", "/v1/chat/completions", body, address.headers)
            reply = connection.getresponse()
            whole = reply.read()
            is_whole = reply.status == http.HTTPStatus.OK and b'"citations"' in whole
            is_whole = is_whole and (not stream or whole.endswith(b"[DONE]\n\n"))
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens another
            is_whole = False
        times.append((time.perf_counter() - started) * 1000 if is_whole else None)
    connection.close()
    return times


def read_rss_mb(address: Address) -> float | None:
    """Read the server's resident memory from its metrics."""
    status, text = address.get("/metrics")
    found = RESIDENT.search(text.decode()) if status == http.HTTPStatus.OK else None
    return round(float(found[1]) / 1024**2, 1) if found else None


def measure(address: Address, n_clients: int, n_requests: int, queries: Sequence[Query], *, stream: bool) -> LoadRow:
    """Let some clients ask at once, together `n_requests` questions or one each."""
    share = max(1, n_requests // n_clients)
    asked = [list(islice(cycle(queries), at * share, (at + 1) * share)) for at in range(n_clients)]
    before = read_rss_mb(address)
    started = time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        times = [one for own in pool.map(lambda mine: ask_all(address, mine, stream=stream), asked) for one in own]
    elapsed_s = time.perf_counter() - started
    answered = [one for one in times if one is not None]
    p50, p99 = np.percentile(answered, [50, 99]) if answered else (float("nan"), float("nan"))
    return LoadRow(
        clients=n_clients,
        requests=len(times),
        lost=len(times) - len(answered),
        per_s=round(len(answered) / elapsed_s, 1),
        p50_ms=round(float(p50), 1),
        p99_ms=round(float(p99), 1),
        rss_before_mb=before,
        rss_after_mb=read_rss_mb(address),
    )


def format_row(row: LoadRow) -> str:
    """Write a row for the terminal."""
    return (
        f"{row.clients:5d} 个客户端  {row.requests:5d} 问  丢失 {row.lost}  每秒 {row.per_s:6.1f}"
        f"  p50 {row.p50_ms:7.1f} ms  p99 {row.p99_ms:7.1f} ms  内存 {row.rss_before_mb} → {row.rss_after_mb} MB"
    )


def run(arguments: list[str] | None) -> int:
    """Measure every number of clients, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.load", description="许多客户端同时来问，看服务丢不丢、慢不慢。"
    )
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, metavar="N", help="几个客户端，可写多个")
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N", help=f"一共几问（默认 {REQUESTS}）")
    parser.add_argument("--stream", action="store_true", help="用流式接口")
    parser.add_argument("--corpus", type=Path, default=ROOT / "corpus", metavar="DIR", help="笔记（默认 corpus）")
    parser.add_argument("--url", help="已经开着的服务，例如 http://127.0.0.1:8620；不写就自己起一个")
    parser.add_argument("--key", default="", help="那个服务的密钥")
    parser.add_argument("--json", type=Path, metavar="FILE", help="结果也写成 JSON")
    options = parser.parse_args(arguments)
    queries = [judged.query for judged in load_queries(OWN)]
    rows: list[LoadRow] = []
    with open_address(options) as address:
        measure(address, 1, 20, queries, stream=options.stream)  # warm
        for n_clients in options.clients:
            rows.append(measure(address, n_clients, options.requests, queries, stream=options.stream))
            write(format_row(rows[-1]))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return EXIT_ERROR if any(row.lost for row in rows) else EXIT_ANSWERED


@contextmanager
def open_address(options: argparse.Namespace) -> Iterator[Address]:
    """Take the server that is named, or start one."""
    if options.url:
        parts = urlsplit(options.url)
        yield Address(parts.hostname or "127.0.0.1", parts.port or 80, options.key)
        return
    with start_server(options.corpus) as address:
        yield address


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
