"""Write the box that questions are written in, and what the page's script has to know."""

import html
import json

from rag.config import Settings
from rag.types import LENGTHS
from ui.icons import icon
from ui.talk import name_model
from ui.texts import Texts

MAX_CHARS = 4_000
"""Of a question; a longer one is a pasted document."""
EVENTS = (
    "ask", "stop", "cite", "browse", "raw", "rate", "open", "new", "rename", "delete", "export", "likes",
)  # fmt: skip
"""What the page's script can ask the server for; the buttons name them in `data-act`."""
ON_LOAD = (
    f"const events = {json.dumps(EVENTS)};"
    "const attach = () => window.mianjing.attach(trigger, events);"
    "window.mianjing ? attach() : document.addEventListener('mianjing', attach, {once: true});"
)


def write_composer(settings: Settings, texts: Texts) -> str:
    """Write the composer: the text, how to answer, how long, send and stop."""
    spoken = {"copied": texts.copied, "save": texts.save, "cancel": texts.cancel, "sure": texts.delete_sure,
              "delete": texts.delete, "rename": texts.rename, "edit": texts.edit}  # fmt: skip
    lengths = zip(LENGTHS, texts.lengths, strict=True)
    choices = _choose("length", texts.length, list(lengths), settings.length)
    if settings.llm:
        modes = (texts.modes[0], texts.modes[1].format(model=name_model(settings.llm)))
        choices = _choose("mode", texts.mode, list(zip(("quote", "write"), modes, strict=True)), "write") + choices
    return (
        f'<form id="composer" data-texts="{html.escape(json.dumps(spoken, ensure_ascii=False))}">'
        f'<label class="sr-only" for="ask">{html.escape(texts.ask_label)}</label>'
        f'<textarea id="ask" name="text" rows="1" maxlength="{MAX_CHARS}" placeholder="{html.escape(texts.ask_hint)}" '
        f'autocomplete="off" spellcheck="false"></textarea>'
        f'<div class="controls">{choices}<span class="space"></span>'
        f'<button type="button" class="stop" data-act="stop" aria-label="{html.escape(texts.stop)}" '
        f'title="{html.escape(texts.stop)}">{icon("stop")}</button>'
        f'<button type="submit" class="send" aria-label="{html.escape(texts.send)}" '
        f'title="{html.escape(texts.send)}">{icon("send")}</button></div></form>'
    )


def _choose(name: str, said: str, choices: list[tuple[str, str]], chosen: str) -> str:
    """Write a choice of one among a few."""
    options = "".join(
        f'<label><input type="radio" name="{name}" value="{value}"{" checked" if value == chosen else ""}>'
        f"<span>{html.escape(label)}</span></label>"
        for value, label in choices
    )
    return f'<fieldset class="choice"><legend class="sr-only">{html.escape(said)}</legend>{options}</fieldset>'
