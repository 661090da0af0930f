"""Open the app: `python -m ui`, then 127.0.0.1:7860 in a browser."""

import argparse
import ipaddress
import socket
import sys
import threading
import webbrowser

from rag.config import Settings, add_options, read_settings
from rag.errors import UsageError
from rag.shell import EXIT_ANSWERED, guard, tell, write
from ui.texts import LANGUAGES, texts_for

HOST, PORT = "127.0.0.1", 7860
WATCH_S = 3.0
"""How often the notes are looked at for changes."""
AUTH = "--auth 用户名:密码（或环境变量 RAG_UI_AUTH）"


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m ui", description="在浏览器里跟自己的面经对话。")
    add_options(parser)
    parser.add_argument("--llm", metavar="SPEC", help="用大模型组织答案（RAG_LLM；默认直接摘录）")
    parser.add_argument("--host", default=HOST, help="监听的地址（默认只有本机能访问）")
    parser.add_argument("--port", type=int, default=PORT, help=f"端口（默认 {PORT}）")
    parser.add_argument("--auth", metavar="USER:PASS", help="要用户名和密码才能打开（RAG_UI_AUTH，不会出现在命令行里）")
    parser.add_argument("--no-auth", action="store_true", help="监听别的地址时也不要密码：谁连得上谁就能用")
    parser.add_argument("--root-path", default="", metavar="PATH", help="放在反向代理的哪个路径下，比如 /notes")
    parser.add_argument("--lang", default=LANGUAGES[0], metavar="|".join(LANGUAGES), help="界面语言（默认 zh）")
    parser.add_argument("--no-browser", action="store_true", help="不自动打开浏览器")
    return parser.parse_args(arguments)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def choose_auth(options: argparse.Namespace, settings: Settings) -> tuple[str, str] | None:
    """Return the user and password to ask for.

    :raises UsageError: when they make no sense, or others could reach the app without any.
    """
    given = options.auth or settings.ui_auth
    if given and not options.no_auth:
        user, colon, password = given.partition(":")
        if not (colon and user and password):
            raise UsageError("--auth（RAG_UI_AUTH）：要写成 用户名:密码")
        return user, password
    if not options.no_auth and not is_loopback(options.host):
        raise UsageError(f"--host {options.host}: 别的机器也连得上，要设密码：加上 {AUTH}；真不要就加 --no-auth")
    return None


def check_port(host: str, port: int) -> None:
    """Say in one line that a port is taken, before anything slow is done.

    :raises UsageError: when it cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
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
    settings, texts = read_settings(options), texts_for(options.lang)
    auth = choose_auth(options, settings)
    check_port(options.host, options.port)
    import uvicorn

    from rag.live import LiveNotes
    from ui.app import make_app, make_server

    live = LiveNotes(settings, tell)
    local = auth is None and is_loopback(options.host) and not options.root_path
    server = make_server(make_app(live, texts, local=local), texts, auth=auth, root_path=options.root_path)
    live.watch(WATCH_S)
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{host}:{options.port}"
    write(f"在浏览器里打开 {address} （Ctrl-C 结束）")
    if not options.no_browser:
        threading.Timer(1.0, webbrowser.open, [address]).start()
    try:
        uvicorn.run(server, host=options.host, port=options.port, log_level="warning", timeout_graceful_shutdown=1)
    finally:
        live.close()
    return EXIT_ANSWERED


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
