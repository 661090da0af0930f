"""Build the Gradio app: the chat on the left, the lines an answer stands on at the right."""

import html
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from rag.errors import RagError
from rag.pipeline import Notes
from rag.types import Answer, Citation, Query, Turn

N_EXAMPLES = 4
FORMULA_MARKS: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
NO_SOURCES = '<p class="hint">问了问题，这里会列出答案出自笔记的哪一题、哪几行。</p>'
CSS = """
.sources article { border-left: 3px solid var(--primary-500); padding: 2px 0 2px 12px; margin: 0 0 16px; }
.sources h4 { margin: 0 0 2px; font-size: 15px; }
.sources .where { color: var(--body-text-color-subdued); font-size: 13px; font-family: ui-monospace, monospace; }
.sources blockquote { white-space: pre-wrap; overflow-wrap: anywhere; margin: 6px 0 0; font-size: 14px; line-height: 1.6; }
.hint { color: var(--body-text-color-subdued); }
"""
FONTS = ("system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif")
"""Fonts of the reader's own machine: nothing is fetched."""

Message = dict[str, Any]


def message_text(message: Message) -> str:
    """Return the text of a chatbot message, which Gradio holds as a string or as a list of parts."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def to_history(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """Turn the chatbot's messages into the conversation so far."""
    return tuple(Turn("user" if m["role"] == "user" else "assistant", message_text(m)) for m in messages)


def write_source(citation: Citation) -> str:
    """Write one citation as HTML; the notes are untrusted text, so all of it is escaped."""
    first, last = citation.lines
    where = f"{citation.file}:{first}" + (f"-{last}" if last > first else "")
    return (
        f"<article><h4>[{html.escape(citation.label)}] {html.escape(citation.title)}</h4>"
        f'<div class="where">{html.escape(where)}</div>'
        f"<blockquote>{html.escape(citation.quote)}</blockquote></article>"
    )


def write_sources(answer: Answer) -> str:
    """Write the sources of an answer as HTML."""
    if not answer.citations:
        return '<p class="hint">这个回答没有引用笔记。</p>'
    return "".join(map(write_source, answer.citations))


def stream_paragraphs(text: str) -> Iterator[str]:
    """Yield the answer as it grows, paragraph by paragraph; a fence arrives whole."""
    shown = ""
    for paragraph in text.split("\n\n"):
        shown = f"{shown}\n\n{paragraph}" if shown else paragraph
        if shown.count("```") % 2 == 0:
            yield shown
    if shown.count("```") % 2:
        yield shown


def make_app(notes: Notes) -> gr.Blocks:
    """Build the app over open notes."""

    def respond(text: str, messages: list[Message]) -> Iterator[tuple[list[Message], str, str]]:
        if not text.strip():
            yield messages, gr.skip(), ""
            return
        asked = [*messages, {"role": "user", "content": text}]
        yield asked, gr.skip(), ""
        try:
            answer = notes.ask(Query(text, to_history(messages)))
        except RagError as error:
            yield [*asked, {"role": "assistant", "content": f"出错了：{error}"}], NO_SOURCES, ""
            return
        sources = write_sources(answer)
        for shown in stream_paragraphs(answer.text):
            yield [*asked, {"role": "assistant", "content": shown}], sources, ""

    outer = [question for question in notes.questions if not question.parent]
    examples = [question.title for question in outer if question.content == "text" and len(question.title) < 40]
    app = gr.Blocks(title="面经", analytics_enabled=False, fill_height=True)
    with app:
        gr.Markdown(f"## 面经\n跟自己的面试笔记对话：{len(outer)} 道题，答案全部出自笔记，注明题号和行号。")
        with gr.Row():
            with gr.Column(scale=3):
                chatbot = gr.Chatbot(
                    show_label=False, height="56vh", latex_delimiters=FORMULA_MARKS, buttons=["copy"], allow_tags=False,
                    placeholder="问一道面试题，比如：为什么要除以根号dk？也可以直接问题号：第16题",
                )  # fmt: skip
                box = gr.Textbox(
                    placeholder="写下问题，回车发送", show_label=False, autofocus=True, max_lines=4, elem_id="ask"
                )
                with gr.Row():
                    send = gr.Button("发送", variant="primary")
                    fresh = gr.Button("换个话题")
                gr.Examples([[title] for title in examples[:N_EXAMPLES]], inputs=box, label="试试这些")
            with gr.Column(scale=2, min_width=320):
                gr.Markdown("#### 来源")
                sources = gr.HTML(NO_SOURCES, elem_classes="sources")
        for event in (box.submit, send.click):
            event(respond, [box, chatbot], [chatbot, sources, box], show_progress="hidden", api_visibility="private")
        fresh.click(lambda: ([], NO_SOURCES, ""), None, [chatbot, sources, box], api_visibility="private")
    return app


def launch(app: gr.Blocks, host: str, port: int, *, open_browser: bool) -> None:
    """Serve the app until it is stopped."""
    theme = gr.themes.Soft(font=FONTS, font_mono=("ui-monospace", "Consolas", "monospace"))
    app.launch(
        server_name=host, server_port=port, inbrowser=open_browser, share=False, theme=theme, css=CSS, footer_links=[],
        quiet=True, ssr_mode=False,
    )  # fmt: skip
