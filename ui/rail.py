"""Write the list of conversations, and a conversation as a Markdown file."""

import html
from collections.abc import Sequence

from rag.types import Citation
from ui.conversations import Conversation, Exchange
from ui.icons import icon
from ui.locate import write_place
from ui.talk import attributes, button
from ui.texts import Texts


def write_rail(conversations: Sequence[Conversation], opened: str, texts: Texts) -> str:
    """Write the list, the open conversation marked."""
    fresh = (
        f'<button type="button" class="fresh" data-act="new">{icon("plus")}'
        f"<span>{html.escape(texts.new_chat)}</span></button>"
    )
    rows = "".join(_row(one, texts, is_open=one.id == opened) for one in conversations)
    listed = f"<ul>{rows}</ul>" if rows else f'<p class="hint">{html.escape(texts.no_chats)}</p>'
    likes = f'<button type="button" class="quiet" data-act="likes">{html.escape(texts.export_likes)}</button>'
    return f'<nav aria-label="{html.escape(texts.chats)}">{fresh}{listed}{likes}</nav>'


def _row(one: Conversation, texts: Texts, *, is_open: bool) -> str:
    current = ' aria-current="true"' if is_open else ""
    tools = "".join(
        button(act, said, name, conversation=one.id, title=one.title, ask=texts.delete_sure if act == "delete" else "")
        for act, said, name in (
            ("rename", texts.rename, "edit"),
            ("export", texts.export, "export"),
            ("delete", texts.delete, "delete"),
        )
    )
    return (
        f"<li{current}><button type='button' class='open' {attributes(act='open', conversation=one.id)}>"
        f"{html.escape(one.title or texts.untitled)}</button><span class='row-tools'>{tools}</span></li>"
    )


def write_markdown(title: str, exchanges: Sequence[Exchange], texts: Texts) -> str:
    """Write a conversation as Markdown, the sources of each answer below it."""
    parts = [f"# {title}"]
    for exchange in exchanges:
        parts.append(f"## {exchange.asked}")
        if not exchange.answer:
            parts.append(texts.failed.format(error=exchange.error) if exchange.error else texts.unanswered)
            continue
        parts.append(exchange.answer.text)
        if exchange.answer.citations:
            parts.append(f"**{texts.sources}**")
            parts += [_source(citation, texts) for citation in exchange.answer.citations]
    return "\n\n".join(parts) + "\n"


def _source(citation: Citation, texts: Texts) -> str:
    quote = "\n".join(f"  > {line}".rstrip() for line in citation.quote.split("\n"))
    return f"- [{citation.label}] {citation.title} — `{citation.file}` {write_place(citation, texts)}\n\n{quote}"
