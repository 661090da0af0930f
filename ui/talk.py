"""Write a conversation as HTML: questions, answers with their citations, and what can be done with them."""

import html
from collections.abc import Mapping, Sequence
from typing import get_args

from rag.pipeline import Notes
from rag.types import Answer, Citation, Question, VerdictName
from ui.conversations import Exchange
from ui.grammar import LABEL
from ui.icons import icon
from ui.locate import locate
from ui.render import render_markdown
from ui.texts import Texts

QUOTE_CHARS = 160
EXAMPLE_CHARS = 26
N_EXAMPLES = 4
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)


def attributes(**values: str | int) -> str:
    """Write the data attributes of a button; a value may be any text."""
    return " ".join(f'data-{name}="{html.escape(str(value))}"' for name, value in values.items())


def button(act: str, label: str, name: str, **values: str | int) -> str:
    """Write a button with a picture, its label read out and shown on hovering."""
    said = html.escape(label)
    return (
        f'<button type="button" class="tool" title="{said}" aria-label="{said}" '
        f"{attributes(act=act, **values)}>{icon(name)}</button>"
    )


def choose_examples(questions: Sequence[Question]) -> list[str]:
    """Choose short questions from all over the notes to begin with."""
    fit = [q.title for q in questions if not q.parent and q.content == "text" and 4 < len(q.title) <= EXAMPLE_CHARS]
    step = max(1, len(fit) // N_EXAMPLES)
    return list(dict.fromkeys(fit[::step]))[:N_EXAMPLES]


def name_model(spec: str) -> str:
    """Return the short name of a language model: `openai:org/name` is `name`."""
    return spec.partition(":")[2].rpartition("/")[2] or spec.rpartition("/")[2]


class TalkWriter:
    """Writes exchanges against the notes as they are now."""

    def __init__(self, notes: Notes, texts: Texts) -> None:
        self._notes, self._texts = notes, texts
        self._by_label = {question.label: question for question in notes.questions}

    def welcome(self) -> str:
        """Write what stands where nothing was said yet."""
        texts = self._texts
        examples = "".join(
            f'<button type="button" class="example" {attributes(act="ask", text=title)}>{html.escape(title)}</button>'
            for title in choose_examples(self._notes.questions)
        )
        more = texts.welcome_more if self._notes.questions else texts.no_notes
        return (
            f'<div class="welcome" data-ready><h2>{html.escape(texts.welcome)}</h2>'
            f"<p>{html.escape(more)}</p>"
            f'<div class="examples" role="group" aria-label="{html.escape(texts.examples)}">{examples}</div></div>'
        )

    def conversation(self, exchanges: Sequence[Exchange]) -> str:
        """Write a whole conversation."""
        if not exchanges:
            return self.welcome()
        last = exchanges[-1].id
        return f"<div data-ready>{''.join(self.exchange(one, is_last=one.id == last) for one in exchanges)}</div>"

    def exchange(self, exchange: Exchange, *, is_last: bool) -> str:
        """Write one question with its answer, or with why there is none."""
        texts = self._texts
        if exchange.answer:
            body = self._answer(exchange, exchange.answer)
        else:
            told = texts.failed.format(error=exchange.error) if exchange.error else texts.unanswered
            body = f'<p class="notice" role="status">{html.escape(told)}</p>'
        return (
            f'<article class="exchange" data-exchange="{exchange.id}">{self._asked(exchange)}'
            f'<div class="answer">{body}{self._tools(exchange, is_last=is_last)}</div></article>'
        )

    def growing(self, asked: str, text: str) -> str:
        """Write a question whose answer is being written."""
        body = f'<div class="prose">{self._render(0, text, ())}</div>' if text else ""
        waiting = f'<p class="working" role="status"><span></span>{html.escape(self._texts.working)}</p>'
        return (
            f'<article class="exchange" data-busy>{self._question(asked)}'
            f'<div class="answer growing">{body}{"" if text else waiting}</div></article>'
        )

    def _question(self, asked: str, after: str = "") -> str:
        you = html.escape(self._texts.you)
        return f'<div class="asked"><p><span class="sr-only">{you}: </span>{html.escape(asked)}</p>{after}</div>'

    def _asked(self, exchange: Exchange) -> str:
        edit = button("edit", self._texts.edit, "edit", exchange=exchange.id, text=exchange.asked)
        return self._question(exchange.asked, edit)

    def _answer(self, exchange: Exchange, answer: Answer) -> str:
        parts = [f'<div class="prose">{self._render(exchange.id, answer.text, answer.citations)}</div>']
        if exchange.stopped:
            parts.append(f'<p class="notice">{html.escape(self._texts.stopped)}</p>')
        if answer.notice:
            parts.append(f'<p class="notice">{html.escape(answer.notice)}</p>')
        if answer.checks:
            parts.append(self._checks(exchange.id, answer))
        if answer.related:
            parts.append(self._related(answer))
        return "".join(parts)

    def _render(self, exchange: int, text: str, citations: Sequence[Citation]) -> str:
        return render_markdown(text, chips=self._chips(exchange, text, citations))

    def _chips(self, exchange: int, text: str, citations: Sequence[Citation]) -> dict[str, str]:
        """Make a button of each label in a text that is cited, or that the notes have."""
        cited = {citation.label: citation for citation in reversed(citations)}
        stale = {one.label for one in citations if locate(self._notes, one, self._by_label) is None}
        chips = {}
        for label in dict.fromkeys(LABEL.findall(text)):
            citation, question = cited.get(label), self._by_label.get(label)
            if citation or question:
                title = citation.title if citation else question.title if question else ""
                quote = citation.quote if citation else ""
                chips[label] = self._chip(exchange, label, title, quote, stale=label in stale)
        return chips

    def _chip(self, exchange: int, label: str, title: str, quote: str, *, stale: bool) -> str:
        said = self._texts.source_of.format(label=label, title=title) + (f" · {self._texts.stale}" if stale else "")
        values = attributes(act="cite", exchange=exchange, label=label, title=title, quote=quote[:QUOTE_CHARS])
        mark = f' data-stale="{html.escape(self._texts.stale)}"' if stale else ""
        return (
            f'<button type="button" class="chip" aria-label="{html.escape(said)}" {values}{mark}>'
            f"{html.escape(label)}</button>"
        )

    def _checks(self, exchange: int, answer: Answer) -> str:
        counts: Mapping[str, int] = {name: sum(c.verdict == name for c in answer.checks) for name in VERDICTS}
        said = html.escape(self._texts.checks_summary.format(**counts))
        worst = next((name for name in reversed(VERDICTS) if counts[name]), VERDICTS[0])
        values = attributes(act="cite", exchange=exchange, label="")
        return f'<button type="button" class="checks {worst}" {values}>{icon("check")}<span>{said}</span></button>'

    def _related(self, answer: Answer) -> str:
        asks = "".join(
            f'<button type="button" class="example" {attributes(act="ask", text=title)}>{html.escape(title)}</button>'
            for _, title in answer.related
        )
        return f'<div class="related"><span>{html.escape(self._texts.related)}</span>{asks}</div>'

    def _tools(self, exchange: Exchange, *, is_last: bool) -> str:
        texts, tools = self._texts, []
        if exchange.answer:
            tools.append(button("copy", texts.copy, "copy", text=exchange.answer.text))
            for value, said, name in ((1, texts.like, "like"), (-1, texts.dislike, "dislike")):
                pressed = exchange.liked == value
                one = button("rate", said, name, exchange=exchange.id, liked=0 if pressed else value)
                tools.append(one.replace("<button ", f'<button aria-pressed="{str(pressed).lower()}" ', 1))
        if is_last:
            tools.append(button("retry", texts.retry, "retry", exchange=exchange.id, text=exchange.asked))
        meta = f'<span class="meta">{html.escape(self._origin(exchange.answer))}</span>' if exchange.answer else ""
        return f'<div class="tools">{"".join(tools)}{meta}</div>{self._reason(exchange)}'

    def _origin(self, answer: Answer) -> str:
        texts = self._texts
        took = texts.took.format(seconds=f"{max(0.01, answer.elapsed_ms / 1000):.2f}")
        if answer.mode == "generated":
            return f"{texts.answer_by_model.format(model=name_model(answer.model))} · {took}"
        return f"{texts.answer_by_quotes} · {took}" if answer.citations else took

    def _reason(self, exchange: Exchange) -> str:
        """Write where to say what is wrong with an answer; thanks when it is said."""
        texts = self._texts
        if exchange.liked >= 0:
            return ""
        if exchange.reason:
            return f'<p class="thanks" role="status">{html.escape(texts.thanks)}：{html.escape(exchange.reason)}</p>'
        return (
            f'<form class="reason" {attributes(act="rate", exchange=exchange.id, liked=-1)}>'
            f'<input name="reason" maxlength="500" placeholder="{html.escape(texts.reason)}" '
            f'aria-label="{html.escape(texts.reason)}"><button type="submit">{html.escape(texts.save)}</button></form>'
        )
