"""Make a tab that draws itself in the browser: one component, its script and its style, and the functions it calls.

The page's script writes texts as text nodes, so what the notes say is never read as HTML; the one exception is what
`render_markdown` made. Nothing is put into a template: Gradio would run it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from rag.errors import RagError

HERE = Path(__file__).parent
Reply = dict[str, Any]
"""What a function of the server answers, as JSON."""
ServerFunction = Callable[[Any], Reply]


def build_page(name: str, words: Mapping[str, Any], functions: Sequence[ServerFunction], **props: Any) -> gr.HTML:
    """Build the component of a tab from `<name>.js`; each function takes one JSON value."""
    return gr.HTML(
        value="",
        elem_id=f"{name}-page",
        html_template='<div class="tab-page"></div>',
        css_template=_read("tabs.css"),
        js_on_load=_read("tabs.js") + _read(f"{name}.js"),
        apply_default_css=False,
        server_functions=list(functions),
        words=dict(words),
        **props,
    )


@cache
def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def answer_errors(function: ServerFunction) -> ServerFunction:
    """Let a function answer `{"error": line}` for the errors a user can meet."""

    def guarded(argument: Any) -> Reply:
        try:
            return function(argument)
        except RagError as error:
            return {"error": str(error)}

    guarded.__name__ = function.__name__
    return guarded
