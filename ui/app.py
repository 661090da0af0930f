"""Compose the app: one page, a tab for each thing to do with the notes."""

import html
import json
from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from rag.corpus import MAX_BYTES
from rag.live import LiveNotes
from ui.chat import build_chat_tab
from ui.conversations import Conversations
from ui.debug import build_debug_tab
from ui.guard import add_guards
from ui.icons import icon
from ui.library import build_library_tab
from ui.manage import build_manage_tab
from ui.texts import ZH, Texts

HERE = Path(__file__).parent
FONTS = ("system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif")
"""Fonts of the reader's own machine: nothing is fetched."""
BUNDLED = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
"""Gradio brings KaTeX; its files have a digest in their names."""

COLOURS = {
    "body_background_fill": ("#f7f6f2", "#15181a"),
    "background_fill_primary": ("#ffffff", "#1c2023"),
    "background_fill_secondary": ("#f4f3ee", "#15181a"),
    "block_background_fill": ("#ffffff", "#1c2023"),
    "border_color_primary": ("#e4e2da", "#31373b"),
    "body_text_color": ("#22262a", "#e6e7e4"),
    "body_text_color_subdued": ("#5c636b", "#a3a9ae"),
    "color_accent_soft": ("#e6f0ea", "#20342b"),
    "button_primary_background_fill": ("#23694f", "#86cdae"),
    "button_primary_background_fill_hover": ("#2c7d5f", "#9ad9bd"),
    "button_primary_text_color": ("#ffffff", "#15181a"),
    "link_text_color": ("#23694f", "#86cdae"),
}
"""Of Gradio's theme: light and dark."""


def make_app(live: LiveNotes, texts: Texts = ZH, *, local: bool = False) -> gr.Blocks:
    """Build the app over open notes.

    :param local: whether only this machine's user can reach it, who may then name folders of the machine.
    :raises UsageError: when there is no place to keep conversations.
    """
    conversations = Conversations(live.current.settings.home)
    app = gr.Blocks(title=texts.title, analytics_enabled=False, fill_height=True)
    with app:
        head = gr.HTML(_write_header(live, texts), apply_default_css=False, elem_id="header", js_on_load=None)
        app.load(lambda: _write_header(live, texts), None, head, api_visibility="private", show_progress="hidden")
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab(texts.tab_chat, id="chat", elem_id="tab-chat"):
                build_chat_tab(app, live, texts, conversations)
            with gr.Tab(texts.tab_library, id="library", elem_id="tab-library"):
                build_library_tab(live, texts)
            with gr.Tab(texts.tab_debug, id="debug", elem_id="tab-debug"):
                build_debug_tab(live, texts)
            with gr.Tab(texts.tab_manage, id="manage", elem_id="tab-manage"):
                build_manage_tab(live, texts, local=local)
    return app


def _write_header(live: LiveNotes, texts: Texts) -> str:
    n_questions = sum(not question.parent for question in live.current.questions)
    return (
        f'<header class="masthead"><h1>{html.escape(texts.title)}</h1>'
        f"<p>{html.escape(texts.tagline.format(n=n_questions))}</p>"
        f'<button type="button" class="tool" data-theme-switch aria-label="{html.escape(texts.theme)}" '
        f'title="{html.escape(texts.theme)}">{icon("theme")}</button></header>'
    )


def _write_head(texts: Texts) -> str:
    """Write what goes into the page's head: our script, and where the bundled KaTeX lies."""
    bundled = {kind: next((path.name for path in BUNDLED.glob(f"katex-*.{kind}")), "") for kind in ("js", "css")}
    knows = {
        "katex": bundled,
        "lang": {"zh": "zh-CN", "en": "en"}[texts.lang],
        "copy": texts.copy,
        "copied": texts.copied,
        "close": texts.close,
        "regions": {"rail": texts.chats, "scroll": texts.tab_chat, "sources": texts.sources},
    }
    settings = json.dumps(knows, ensure_ascii=False).replace("<", "\\u003c")
    script = (HERE / "app.js").read_text(encoding="utf-8")
    return f"<script>window.mianjingSettings = {settings};\n{script}</script>"


def make_theme() -> gr.themes.Base:
    """Make Gradio's own parts look like ours; the colours are those of style.css."""
    theme = gr.themes.Base(
        primary_hue="emerald", neutral_hue="stone", font=FONTS, font_mono=("ui-monospace", "Consolas", "monospace")
    )
    for name, (light, dark) in COLOURS.items():
        theme.set(**{name: light, f"{name}_dark": dark})
    return theme


def make_server(
    app: gr.Blocks, texts: Texts = ZH, *, auth: tuple[str, str] | None = None, root_path: str = ""
) -> FastAPI:
    """Wrap the app into a server that sends no reader's browser, and asks itself nothing, elsewhere.

    :param auth: user and password that are asked for.
    :param root_path: where a proxy shows the app, such as `/notes`.
    """
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_guards(server)
    gr.mount_gradio_app(
        server, app, path="/", favicon_path=str(HERE / "favicon.png"), theme=make_theme(), css=(HERE / "style.css").read_text(encoding="utf-8"),
        head=_write_head(texts), auth=auth, auth_message=texts.title, root_path=root_path or None, footer_links=[],
        run_history=False, ssr_mode=False, enable_monitoring=False, pwa=False, mcp_server=False, allowed_paths=[],
        max_file_size=MAX_BYTES,
    )  # fmt: skip
    return server
