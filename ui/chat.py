"""The chat: ask, read, follow up, and keep what was said."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.events import api

from rag.live import LiveNotes
from rag.records import to_record
from rag.types import LENGTHS, Answer, Length, Query
from ui.composer import EVENTS, MAX_CHARS, ON_LOAD, write_composer
from ui.conversations import Conversations, Exchange, make_id, name_owner, to_history
from ui.feedback import read_feedback, record_feedback, to_candidates
from ui.icons import icon
from ui.rail import write_markdown, write_rail
from ui.sources import SourceWriter, hint
from ui.talk import TalkWriter
from ui.texts import Texts
from ui.writing import Writing

STORAGE_KEY, STORAGE_SECRET = "mianjing-chat", "mianjing"
"""Where the browser keeps who it is; fixed, so that it is found again after a restart."""
N_ANSWERING = 16
"""Answers written at the same time; the next reader waits."""
Memory = dict[str, str]
"""What the browser keeps: `id`, who it is; `open`, the conversation it looks at."""


@dataclass(frozen=True, slots=True)
class View:
    """The panels of the chat, in the order that handlers return them."""

    memory: gr.BrowserState
    rail: gr.HTML
    talk: gr.HTML
    growing: gr.HTML
    sources: gr.HTML

    def panels(self) -> list[Any]:
        """All of them."""
        return [self.memory, self.rail, self.talk, self.growing, self.sources]


SAME: Any = gr.skip()
"""Leaves a panel as it is."""


def read_memory(memory: Any) -> Memory:
    """Read what the browser sent, or make it somebody new."""
    if isinstance(memory, dict) and isinstance(memory.get("id"), str) and len(memory["id"]) >= 32:
        return {"id": memory["id"], "open": str(memory.get("open") or "")}
    return {"id": make_id(), "open": ""}


def read_number(data: gr.EventData, name: str) -> int:
    """Read a whole number of an event; anything else is 0."""
    text = str(data._data.get(name, ""))
    return int(text) if text.removeprefix("-").isdecimal() else 0


def read_text(data: gr.EventData, name: str) -> str:
    """Read a text of an event."""
    return str(data._data.get(name) or "")[:MAX_CHARS].strip()


def _owner(memory: Memory, request: gr.Request) -> str:
    return name_owner(request.username, memory["id"])


class Chat:
    """What happens when the reader does something; every handler is told whose conversations they are."""

    def __init__(self, live: LiveNotes, texts: Texts, conversations: Conversations) -> None:
        self._live, self._texts, self._conversations = live, texts, conversations
        self._writings: dict[str, Writing] = {}

    def load(self, memory: Any, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Show the conversation the browser looked at last."""
        yield from self._show(read_memory(memory), request)

    def open(self, memory: Any, data: gr.EventData, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Show another conversation."""
        yield from self._show(read_memory(memory) | {"open": read_text(data, "conversation")}, request)

    def new(self, memory: Any, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Begin a conversation; it is kept when something is asked."""
        yield from self._show(read_memory(memory) | {"open": ""}, request)

    def _show(self, memory: Memory, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Show a conversation, and go on showing an answer that is still being written."""
        owner = _owner(memory, request)
        exchanges = self._conversations.read(owner, memory["open"])
        if not exchanges:
            memory = memory | {"open": ""}
        writing = self._writings.get(memory["open"])
        if not writing:
            yield memory, *self._whole(owner, memory["open"], exchanges)
            return
        yield from self._follow(writing, memory, owner, exchanges)

    def _whole(self, owner: str, conversation: str, exchanges: list[Exchange]) -> tuple[str, str, str, str]:
        """Write all panels for a conversation at rest."""
        notes = self._live.current
        last = exchanges[-1] if exchanges else None
        sources = hint(self._texts.no_source)
        if last and last.answer:
            sources = SourceWriter(notes, self._texts).answer(last.answer, last.id)
        rail = write_rail(self._conversations.of(owner), conversation, self._texts)
        return rail, TalkWriter(notes, self._texts).conversation(exchanges), "", sources

    def _follow(
        self, writing: Writing, memory: Memory, owner: str, exchanges: list[Exchange]
    ) -> Iterator[tuple[Any, ...]]:
        """Show the last answer of a conversation while it is written, then the whole."""
        writer, asked = TalkWriter(self._live.current, self._texts), exchanges[-1].asked
        rail = write_rail(self._conversations.of(owner), memory["open"], self._texts)
        before = writer.conversation(exchanges[:-1]) if exchanges[:-1] else "<div data-ready></div>"
        yield memory, rail, before, writer.growing(asked, ""), SAME
        for text in writing.follow():
            yield SAME, SAME, SAME, writer.growing(asked, text), SAME
        yield memory, *self._whole(owner, memory["open"], self._conversations.read(owner, memory["open"]))

    def ask(self, memory: Any, data: gr.EventData, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Answer a question; one that replaces an earlier one takes what came after it away."""
        mine, text = read_memory(memory), read_text(data, "text")
        if not text:
            yield (SAME,) * 5
            return
        owner = _owner(mine, request)
        if earlier := self._writings.get(mine["open"]):
            earlier.stop()
        if replaced := read_number(data, "exchange"):
            self._conversations.cut(owner, mine["open"], replaced)
        history = to_history(self._conversations.read(owner, mine["open"]))
        length: Length = next((known for known in LENGTHS if known == data._data.get("length")), "normal")
        query = Query(text, history, length, generate=data._data.get("mode") != "quote")
        mine["open"], exchange = self._conversations.begin(owner, mine["open"], text)
        writing = self._write(query, mine["open"], exchange)
        yield from self._follow(writing, mine, owner, self._conversations.read(owner, mine["open"]))

    def _write(self, query: Query, conversation: str, exchange: int) -> Writing:
        """Begin to write an answer; it is kept when it is done, whoever still looks."""

        def finish(answer: Answer | None, error: str, stopped: bool) -> None:
            self._conversations.finish(exchange, answer, error=error, stopped=stopped)
            if self._writings.get(conversation) is writing:
                del self._writings[conversation]

        writing = Writing(self._live.current, query, finish)
        self._writings[conversation] = writing
        writing.start()
        return writing

    def stop(self, memory: Any, request: gr.Request) -> None:
        """Stop the answer that is being written in the open conversation."""
        mine = read_memory(memory)
        writing = self._writings.get(mine["open"])
        if writing and self._conversations.find(_owner(mine, request), mine["open"]):
            writing.stop()

    def _answer(self, memory: Memory, data: gr.EventData, request: gr.Request) -> Answer | None:
        wanted = read_number(data, "exchange")
        exchanges = self._conversations.read(_owner(memory, request), memory["open"]) if wanted else []
        return next((exchange.answer for exchange in exchanges if exchange.id == wanted), None)

    def cite(self, memory: Any, data: gr.EventData, request: gr.Request) -> str:
        """Show the source of a label."""
        writer = SourceWriter(self._live.current, self._texts)
        answer, label = self._answer(read_memory(memory), data, request), read_text(data, "label")
        return writer.answer(answer, read_number(data, "exchange"), label) if answer else writer.question(label)

    def browse(self, memory: Any, data: gr.EventData, request: gr.Request) -> str:
        """Show any question of the notes; what the answer cites of it is marked."""
        writer, label = SourceWriter(self._live.current, self._texts), read_text(data, "label")
        answer = self._answer(read_memory(memory), data, request)
        cited = [one for one in answer.citations if one.label == label] if answer else []
        return writer.question(label, read_number(data, "exchange"), cited)

    def raw(self, data: gr.EventData) -> str:
        """Show the file a question stands in."""
        writer = SourceWriter(self._live.current, self._texts)
        return writer.raw(read_text(data, "label"), read_number(data, "exchange"))

    def rate(self, memory: Any, data: gr.EventData, request: gr.Request) -> str:
        """Keep what the reader thinks of an answer."""
        mine, wanted, reason = read_memory(memory), read_number(data, "exchange"), read_text(data, "reason")
        owner, liked = _owner(mine, request), max(-1, min(1, read_number(data, "liked")))
        exchanges = self._conversations.read(owner, mine["open"])
        place = next((at for at, one in enumerate(exchanges) if one.id == wanted), None)
        answer = exchanges[place].answer if place is not None else None
        if answer:
            key = hashlib.blake2b(f"{mine['open']}:{wanted}".encode(), digest_size=8).hexdigest()
            history = to_history(exchanges[:place])
            self._conversations.rate(owner, mine["open"], wanted, liked, reason)
            record_feedback(self._home, answer, history, liked, reason, owner=owner, key=key)
        return TalkWriter(self._live.current, self._texts).conversation(self._conversations.read(owner, mine["open"]))

    @property
    def _home(self) -> Any:
        return self._live.current.settings.home

    def rename(self, memory: Any, data: gr.EventData, request: gr.Request) -> str:
        """Give a conversation another title."""
        mine = read_memory(memory)
        owner = _owner(mine, request)
        self._conversations.rename(owner, read_text(data, "conversation"), read_text(data, "title"))
        return write_rail(self._conversations.of(owner), mine["open"], self._texts)

    def delete(self, memory: Any, data: gr.EventData, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Delete a conversation."""
        mine = read_memory(memory)
        self._conversations.delete(_owner(mine, request), read_text(data, "conversation"))
        yield from self._show(mine, request)

    def export(self, memory: Any, data: gr.EventData, request: gr.Request) -> list[str]:
        """Write a conversation as a Markdown file: its name and its text."""
        owner, wanted = _owner(read_memory(memory), request), read_text(data, "conversation")
        found = self._conversations.find(owner, wanted)
        title = found.title if found else self._texts.untitled
        return [f"{title}.md", write_markdown(title, self._conversations.read(owner, wanted), self._texts)]

    def likes(self, memory: Any, request: gr.Request) -> list[str]:
        """Write the reader's own ratings as candidates for the evaluation."""
        rows = read_feedback(self._home, _owner(read_memory(memory), request))
        lines = (json.dumps(one, ensure_ascii=False) + "\n" for one in to_candidates(rows))
        return ["feedback.jsonl", "".join(lines)]

    def answer(self, text: str) -> dict[str, Any]:
        """Answer one question from the notes, as JSON.

        :param text: the question, in Chinese or English.
        """
        return to_record(self._live.current.ask(Query(text[:MAX_CHARS])))


def build_chat_tab(app: gr.Blocks, live: LiveNotes, texts: Texts, conversations: Conversations) -> None:
    """Fill the tab, and connect what the page's script asks for."""
    chat = Chat(live, texts, conversations)
    memory = gr.BrowserState(storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
    with gr.Row(elem_id="chat"):
        with gr.Column(elem_id="rail", elem_classes="side", min_width=0):
            rail = gr.HTML("", apply_default_css=False)
        with gr.Column(elem_id="middle", min_width=0):
            gr.HTML(_write_bar(texts), apply_default_css=False, elem_id="bar", js_on_load=None)
            with gr.Column(elem_id="scroll", min_width=0):
                talk = gr.HTML("", apply_default_css=False, elem_id="talk", js_on_load=None)
                growing = gr.HTML("", apply_default_css=False, elem_id="growing", js_on_load=None)
            hub = gr.HTML(
                write_composer(live.current.settings, texts), apply_default_css=False, js_on_load=ON_LOAD, elem_id="hub"
            )
        with gr.Column(elem_id="sources", elem_classes="side", min_width=0):
            sources = gr.HTML(hint(texts.no_source), apply_default_css=False, js_on_load=None)
    _connect(app, chat, hub, View(memory, rail, talk, growing, sources))
    api(chat.answer, api_name="ask", concurrency_limit=N_ANSWERING)


def _write_bar(texts: Texts) -> str:
    """Write the bar that opens the side panels where there is no room for them."""
    return (
        f'<button type="button" class="tool" data-drawer="rail" aria-label="{texts.open_chats}" '
        f'title="{texts.open_chats}">{icon("menu")}</button><span class="space"></span>'
        f'<button type="button" class="tool" data-drawer="sources" aria-label="{texts.sources}" '
        f'title="{texts.sources}">{icon("raw")}</button>'
    )


def _connect(app: gr.Blocks, chat: Chat, hub: gr.HTML, view: View) -> None:
    """Connect the events of the page with what they do and the panels they change."""
    file = gr.JSON(visible=False)
    outputs: dict[str, list[Any]] = {name: view.panels() for name in ("ask", "open", "new", "delete")}
    outputs |= {name: [view.sources] for name in ("cite", "browse", "raw")}
    outputs |= {"rate": [view.talk], "rename": [view.rail], "export": [file], "likes": [file], "stop": []}
    for name in EVENTS:
        listen = getattr(hub, name)
        event = listen(
            getattr(chat, name), [] if name == "raw" else [view.memory], outputs[name], trigger_mode="multiple",
            api_name=f"chat_{name}", api_visibility="private", show_progress="hidden", concurrency_limit=N_ANSWERING,
        )  # fmt: skip
        if outputs[name] == [file]:
            event.then(None, [file], None, js="(file) => window.mianjing.download(file)")
    app.load(
        chat.load, [view.memory], view.panels(), api_visibility="private", show_progress="hidden",
        concurrency_limit=N_ANSWERING,
    )  # fmt: skip
