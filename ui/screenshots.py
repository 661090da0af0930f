"""Take the pictures of the app that the README shows: `python -m ui.screenshots`."""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag.config import Settings, add_options, read_settings
from rag.errors import UsageError
from rag.shell import EXIT_ANSWERED, guard, tell, write
from ui.__main__ import HOST
from ui.texts import LANGUAGES, texts_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = Path("docs/img")
MAX_BYTES = 200_000
COLOURS = 128
"""A picture of a page needs no more."""
WAIT_MS = 30_000
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Look:
    """One way to look at the app."""

    name: str
    width: int
    height: int
    scheme: str


LOOKS = (Look("light", 1360, 840, "light"), Look("dark", 1360, 840, "dark"), Look("phone", 390, 800, "light"))


def show_chat(page: "Page") -> None:
    """Ask two things, and open a source."""
    for number, text in enumerate(("为什么要除以根号dk", "BERT 和 GPT 有什么不同"), start=1):
        page.fill("#ask", text)
        page.press("#ask", "Enter")
        page.wait_for_function("n => document.querySelectorAll('#talk .exchange .tools').length === n", arg=number)
    page.wait_for_timeout(600)  # the page scrolls to the answer


def show_source(page: "Page") -> None:
    """Open the source of a citation; on a phone it covers the talk."""
    show_chat(page)
    page.locator("#talk .chip").last.click()
    page.wait_for_selector("#sources mark")
    page.wait_for_timeout(600)


def show_tab(name: str) -> Callable[["Page"], None]:
    """Return what opens another tab."""

    def show(page: "Page") -> None:
        page.click(f"#tab-{name}-button")
        page.wait_for_selector(f"#tab-{name}", state="visible")
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(800)

    return show


def show_library(page: "Page") -> None:
    """Open a question of the library."""
    show_tab("library")(page)
    page.locator("#library-page tbody tr").nth(3).click()
    page.wait_for_timeout(600)


def show_debug(page: "Page") -> None:
    """Look at how a question is found."""
    show_tab("debug")(page)
    page.locator("#debug-page input").first.fill("为什么要除以根号dk")
    page.keyboard.press("Enter")
    page.wait_for_selector("#debug-page table", state="attached")
    page.wait_for_timeout(600)


TABS: dict[str, Callable[["Page"], None]] = {
    "chat": show_chat,
    "source": show_source,
    "library": show_library,
    "debug": show_debug,
    "manage": show_tab("manage"),
}
"""Picture to what is done before it is taken."""


def take(browser: "Browser", address: str, look: Look, name: str, folder: Path) -> Path:
    """Take one picture."""
    context = browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme="dark" if look.scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    page.wait_for_selector("#talk [data-ready]")
    TABS[name](page)
    path = folder / f"{name}-{look.name}.png"
    page.screenshot(path=path)
    context.close()
    shrink(path)
    return path


def shrink(path: Path) -> None:
    """Store a picture with few colours: a third of its size, and nobody sees it.

    :raises UsageError: when it is still too large for a repository.
    """
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path}: {path.stat().st_size} 字节，超过 {MAX_BYTES}；把 ui/screenshots.py 里的窗口改小")


def serve(settings: Settings, language: str, port: int) -> Callable[[], None]:
    """Serve the app in a thread, and return what stops it."""
    import uvicorn

    from rag.live import LiveNotes
    from ui.app import make_app, make_server

    texts = texts_for(language)
    server = uvicorn.Server(
        uvicorn.Config(
            make_server(make_app(LiveNotes(settings, tell), texts), texts),
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, name="serve", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)

    def stop() -> None:
        server.should_exit = True
        thread.join(START_S)

    return stop


def run(arguments: list[str] | None) -> int:
    """Serve the notes with an empty memory, and take every picture."""
    parser = argparse.ArgumentParser(prog="python -m ui.screenshots", description="给网页截图，放进 docs/img/。")
    add_options(parser)
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"放在哪个文件夹（默认 {FOLDER}）")
    parser.add_argument("--only", choices=TABS, help="只截这一张")
    parser.add_argument("--lang", choices=LANGUAGES, default=LANGUAGES[0], help="界面语言（默认 zh）")
    parser.add_argument("--browser", default=shutil.which("chromium") or "chromium", help="Chromium 在哪里")
    parser.add_argument("--port", type=int, default=7869)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as memory:
        options.data = memory
        stop = serve(read_settings(options), options.lang, options.port)
        try:
            take_all(options)
        finally:
            stop()
    return EXIT_ANSWERED


def take_all(options: argparse.Namespace) -> None:
    """Take the pictures that were asked for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=["--no-sandbox"])
        for name in [options.only] if options.only else TABS:
            for look in LOOKS:
                path = take(browser, f"http://{HOST}:{options.port}", look, name, options.folder)
                write(f"{path}  {path.stat().st_size // 1000} kB")
        browser.close()


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
