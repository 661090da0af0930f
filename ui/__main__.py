"""Open the app: `python -m ui`, then 127.0.0.1:7860 in a browser."""

import argparse
import socket
import sys

from rag.config import add_options, read_settings
from rag.errors import UsageError
from rag.shell import EXIT_ANSWERED, guard, tell, write

HOST, PORT = "127.0.0.1", 7860


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m ui", description="在浏览器里跟自己的面经对话。")
    add_options(parser)
    parser.add_argument("--host", default=HOST, help="监听的地址（默认只有本机能访问）")
    parser.add_argument("--port", type=int, default=PORT, help=f"端口（默认 {PORT}）")
    parser.add_argument("--no-browser", action="store_true", help="不自动打开浏览器")
    return parser.parse_args(arguments)


def check_port(host: str, port: int) -> None:
    """Say in one line that a port is taken, before anything slow is done.

    :raises UsageError: when it cannot be listened on.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"{host}:{port}: 这个端口用不了（{error}）；换一个：python -m ui --port {port + 1}"
            ) from error


def run(arguments: list[str] | None) -> int:
    """Open the notes and serve the app."""
    options = parse_arguments(arguments)
    check_port(options.host, options.port)
    from rag.pipeline import open_notes
    from ui.app import launch, make_app

    notes = open_notes(read_settings(options), tell)
    write(f"在浏览器里打开 http://{options.host}:{options.port} （Ctrl-C 结束）")
    launch(make_app(notes), options.host, options.port, open_browser=not options.no_browser)
    return EXIT_ANSWERED


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
