"""Serve the notes to other programs: `python -m rag.serve`, then http://127.0.0.1:8620/v1 in any OpenAI client."""

import argparse
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from rag.config import Settings, add_options, read_settings
from rag.errors import UsageError
from rag.live import LiveNotes
from rag.server.options import HOST, MAX_BODY_BYTES, N_WAITING, PORT, TIMEOUT_S, ServerOptions
from rag.shell import EXIT_ANSWERED, guard, leave, tell
from rag.types import LENGTHS

if TYPE_CHECKING:
    from uvicorn import Server

PACKAGES = ("fastapi", "starlette", "uvicorn", "mcp", "mcp_types", "prometheus_client", "pydantic")
"""What the extra `serve` brings."""
GRACE_S = 30
"""How long requests that run may take to finish when the server is told to end."""
MAX_CONNECTIONS, BACKLOG = 4_096, 1_024


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rag.serve",
        description="把笔记开放给别的程序：OpenAI 兼容接口（/v1）和 MCP（/mcp）。",
        epilog="怎么接 Open WebUI、Chatbox、Claude Desktop，见 docs/serve.md。",
    )
    add_options(parser)
    parser.add_argument("--llm", metavar="SPEC", help="用大模型组织答案，写法同 rag.ask（RAG_LLM；默认直接摘录）")
    parser.add_argument("--length", metavar="|".join(LENGTHS), help="请求没说时答多长（RAG_LENGTH；默认 normal）")
    parser.add_argument("--top-k", metavar="N", help="排名里列出多少题（RAG_TOP_K；默认 10）")
    parser.add_argument("--host", default=HOST, help=f"监听的地址（默认 {HOST}，只有本机能访问）")
    parser.add_argument("--port", type=int, default=PORT, help=f"端口（默认 {PORT}）")
    parser.add_argument("--api-key", dest="serve_key", metavar="KEY", help="来问的程序要带的密钥（RAG_SERVE_KEY）")
    parser.add_argument("--no-key", action="store_true", help="对外开放也不要密钥：谁都能读到笔记")
    parser.add_argument(
        "--allowed-host", action="append", default=[], metavar="NAME", help="还接受哪个域名（Host 头），可以写多次"
    )
    parser.add_argument(
        "--cors-origin", action="append", default=[], metavar="URL", help="允许哪个网页从浏览器里直接来问，可以写多次"
    )
    parser.add_argument("--sources", action="store_true", help="答案末尾附上来源；给不显示 citations 的客户端")
    parser.add_argument("--threads", type=_positive, default=0, metavar="N", help="几个线程作答（默认同核数）")
    parser.add_argument(
        "--queue", type=_positive, default=N_WAITING, metavar="N", help=f"最多几个请求排队（默认 {N_WAITING}）"
    )
    parser.add_argument(
        "--timeout", type=_positive, default=TIMEOUT_S, metavar="S", help=f"一个请求最多几秒（默认 {TIMEOUT_S:g}）"
    )
    parser.add_argument(
        "--max-body",
        type=_positive,
        default=MAX_BODY_BYTES,
        metavar="BYTES",
        help=f"请求体最多几字节（默认 {MAX_BODY_BYTES}）",
    )
    parser.add_argument("--mcp-stdio", action="store_true", help="只当 MCP 服务，从标准输入输出通信；由客户端启动")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"要一个不小于 1 的整数，写的却是 {text!r}")
    return int(text)


def make_options(options: argparse.Namespace, key: str) -> ServerOptions:
    """Gather what the server is told.

    :raises UsageError: when other machines could read the notes without a key.
    """
    made = ServerOptions(
        host=options.host,
        port=options.port,
        key=key,
        hosts=tuple(name.lower() for name in options.allowed_host),
        origins=tuple(options.cors_origin),
        n_threads=options.threads,
        n_waiting=options.queue,
        max_body_bytes=options.max_body,
        timeout_s=options.timeout,
        sources=options.sources,
    )
    if not (key.isascii() and key.isprintable() and key == key.strip()):
        raise UsageError("--api-key（RAG_SERVE_KEY）：密钥只能用英文字母、数字和符号，两头没有空格")
    if options.no_key and key:
        raise UsageError("--no-key 和密钥（--api-key、RAG_SERVE_KEY）只能要一个")
    if not (made.is_loopback or key or options.no_key or options.mcp_stdio):
        raise UsageError(
            f"--host {made.host}: 别的机器也能访问，要先设密钥：环境变量 RAG_SERVE_KEY 或 --api-key；"
            "确实谁都可以读，就加 --no-key"
        )
    return made


def listen(options: ServerOptions) -> socket.socket:
    """Take the port before anything slow is done.

    :raises UsageError: when it cannot be listened on.
    """
    # Named TCP, or asyncio would leave Nagle's algorithm on for what is accepted: 40 ms on every reply.
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # there it would let two programs share a port
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((options.host, options.port))
        door.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        door.close()
        place = f"{options.host}:{options.port}"
        raise UsageError(f"{place}: 这个端口用不了（{error}）；换一个：--port {options.port + 1}") from error
    return door


def serve_http(settings: Settings, options: ServerOptions) -> int:
    """Serve until told to end; requests that run are finished."""
    from uvicorn import Config, Server

    from rag.server.app import make_app
    from rag.server.service import Service

    door = listen(options)
    failures: list[Exception] = []

    def give_up(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    service = Service(options, options.count_threads(settings.llm))
    app = make_app(service, lambda: LiveNotes(settings, tell), give_up)
    server = Server(
        Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    host, port = door.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    tell(f"OpenAI 兼容接口 {address}/v1，MCP {address}/mcp（Ctrl-C 结束）")
    _run(server, door)
    if failures:
        raise failures[0]
    return EXIT_ANSWERED


def _run(server: "Server", door: socket.socket) -> None:
    """Run; being told to end is no fault, so the signal that the server raises again afterwards is taken here."""
    former = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        server.run([door])
    finally:
        signal.signal(signal.SIGTERM, former)
        door.close()


def serve_stdio(settings: Settings, options: ServerOptions) -> int:
    """Serve one MCP client over the standard streams, until it closes them."""
    import anyio

    from rag.server.mcp_tools import make_mcp
    from rag.server.service import Service

    async def serve() -> None:
        service = Service(options, options.count_threads(settings.llm))
        service.open(lambda: LiveNotes(settings, tell))
        try:
            await make_mcp(service).run_stdio_async()
        finally:
            service.close()

    anyio.run(serve)
    return EXIT_ANSWERED


def set_up_logs(stream: str) -> None:
    """Log lines of JSON: requests, and what goes wrong."""
    from rag.server.observe import ACCESS, JsonLines

    handler = logging.StreamHandler(getattr(sys, stream))
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    ACCESS.setLevel(logging.INFO)


def run(arguments: list[str] | None) -> int:
    """Do what the command line asks for."""
    given = parse_arguments(arguments)
    settings = read_settings(given)
    options = make_options(given, settings.serve_key)
    try:
        set_up_logs("stderr" if given.mcp_stdio else "stdout")
        return serve_stdio(settings, options) if given.mcp_stdio else serve_http(settings, options)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PACKAGES:
            raise
        raise UsageError(f"没有装 {error.name}；开服务要先装：pip install '.[serve]'") from error


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    leave(main())
