"""Write the panel of sources: the cited question as it stands in the notes, what was quoted marked in it."""

import html
import itertools
from collections.abc import Iterator, Sequence

from rag.corpus import read_corpus
from rag.errors import CorpusError
from rag.pipeline import Notes
from rag.types import Answer, Check, Citation, Question, Unit
from ui.icons import icon
from ui.locate import locate, text_of, write_place
from ui.pictures import find_note, pictures_of
from ui.render import render_markdown
from ui.talk import VERDICTS, attributes
from ui.texts import Texts

RAW_LINES = 40
"""Lines of the file shown before and after the cited ones."""


def hint(text: str) -> str:
    """Write what stands in the panel where there is nothing to show."""
    return f'<p class="hint">{html.escape(text)}</p>'


class SourceWriter:
    """Writes sources against the notes as they are now."""

    def __init__(self, notes: Notes, texts: Texts) -> None:
        self._notes, self._texts = notes, texts
        self._by_label = {question.label: question for question in notes.questions}

    def answer(self, answer: Answer, exchange: int, label: str = "") -> str:
        """Write the source of one label of an answer, of its first citation where none is named."""
        labels = list(dict.fromkeys(citation.label for citation in answer.citations))
        label = label or next(iter(labels), "")
        if not label:
            return self._checks(answer.checks, exchange) or hint(self._texts.no_citations)
        quoted = [citation for citation in answer.citations if citation.label == label]
        choices = self._choices(labels, label, exchange) if label in labels and len(labels) > 1 else ""
        return f"{choices}{self.question(label, exchange, quoted)}{self._checks(answer.checks, exchange)}"

    def question(self, label: str, exchange: int = 0, citations: Sequence[Citation] = ()) -> str:
        """Write one question whole, with what is cited of it marked."""
        found = [locate(self._notes, citation, self._by_label) for citation in citations]
        question = next((place for place in found if place), self._by_label.get(label))
        if question is None:
            return self._lost(label, citations)
        text = text_of(self._notes, question)
        skip = question.body_start - question.start
        ranges = [
            (start - skip, start - skip + len(citation.quote))
            for citation, place in zip(citations, found, strict=True)
            if place and (start := text.find(citation.quote)) >= 0
        ]
        body = text[skip:]
        pictures = pictures_of(self._notes.settings, question.path, self._texts)
        prose = render_markdown(body, [(max(0, a), b) for a, b in ranges if b > 0], pictures=pictures)
        lost = [citation for citation, place in zip(citations, found, strict=True) if place is None]
        return (
            f'<article class="source">{self._head(question, exchange, citations)}{self._stale(lost)}'
            f'<div class="prose">{prose if body.strip() else hint(self._texts.no_text)}</div></article>'
        )

    def raw(self, label: str, exchange: int) -> str:
        """Write the lines of the file around a question, numbered; only files of the notes are opened."""
        question = self._by_label.get(label)
        if question is None:
            return hint(self._texts.gone.format(label=label))
        file = find_note(self._notes.settings, question.path)
        if file is None:
            return hint(self._texts.raw_gone.format(file=question.path))
        try:
            document = read_corpus([file]).documents[0]
        except CorpusError:
            return hint(self._texts.raw_gone.format(file=question.path))
        split = "\n" if document.unit == "line" else "\f"
        back = self._step("browse", self._texts.rendered, "previous", label, exchange)
        rows = "".join(_number_lines(document.text.split(split), question.lines))
        return (
            f'<article class="source"><header><h3>{html.escape(question.path)}</h3><nav>{back}</nav></header>'
            f'<div class="raw" tabindex="0" role="region" aria-label="{html.escape(question.path)}">'
            f"<table><tbody>{rows}</tbody></table></div></article>"
        )

    def _head(self, question: Question, exchange: int, citations: Sequence[Citation]) -> str:
        unit: Unit = citations[0].unit if citations else self._unit(question)
        places = [citation.lines for citation in citations] or [question.lines]
        first, last = min(one for one, _ in places), max(other for _, other in places)
        where = write_place(Citation(question.label, "", question.path, (first, last), "", 0.0, unit=unit), self._texts)
        return (
            f'<header><h3><span class="label">{html.escape(question.label)}</span> {html.escape(question.title)}</h3>'
            f'<p class="where">{html.escape(question.path)} · {html.escape(where)}</p>'
            f"<nav>{self._steps(question, exchange)}</nav></header>"
        )

    def _unit(self, question: Question) -> Unit:
        passages = self._notes.passages[question.parent or question.id]
        return passages[0].unit if passages else "line"

    def _steps(self, question: Question, exchange: int) -> str:
        """Write the ways on from a question: to the ones before and after it, and into its file."""
        texts, every = self._texts, self._notes.questions
        at = next(place for place, other in enumerate(every) if other.id == question.id)
        steps = [self._step("raw", texts.raw, "raw", question.label, exchange)]
        if at > 0:
            steps.append(self._step("browse", texts.previous, "previous", every[at - 1].label, exchange))
        if at + 1 < len(every):
            steps.append(self._step("browse", texts.following, "following", every[at + 1].label, exchange))
        return "".join(steps)

    def _step(self, act: str, said: str, name: str, label: str, exchange: int) -> str:
        values = attributes(act=act, label=label, exchange=exchange)
        return f'<button type="button" class="step" {values}>{icon(name)}<span>{html.escape(said)}</span></button>'

    def _choices(self, labels: Sequence[str], chosen: str, exchange: int) -> str:
        chips = "".join(
            f'<button type="button" class="chip" aria-pressed="{str(label == chosen).lower()}" '
            f"{attributes(act='cite', label=label, exchange=exchange)}>{html.escape(label)}</button>"
            for label in labels
        )
        return f'<div class="choices" role="group" aria-label="{html.escape(self._texts.sources)}">{chips}</div>'

    def _stale(self, lost: Sequence[Citation]) -> str:
        quotes = "".join(f"<blockquote>{html.escape(citation.quote)}</blockquote>" for citation in lost)
        return f'<div class="stale"><p>{html.escape(self._texts.stale_note)}</p>{quotes}</div>' if lost else ""

    def _lost(self, label: str, citations: Sequence[Citation]) -> str:
        return f'<article class="source">{hint(self._texts.gone.format(label=label))}{self._stale(citations)}</article>'

    def _checks(self, checks: Sequence[Check], exchange: int) -> str:
        """Write what each sentence of a generated answer stands on."""
        if not checks:
            return ""
        said = dict(zip(VERDICTS, self._texts.verdicts, strict=True))
        rows = "".join(
            f'<li class="{check.verdict}"><span class="verdict">{html.escape(said[check.verdict])}</span>'
            f"<div><p>{html.escape(check.sentence)} {self._labels(check.labels, exchange)}</p>"
            f"{f'<p class=reason>{html.escape(check.reason)}</p>' if check.reason else ''}</div></li>"
            for check in checks
        )
        return f'<section class="verdicts"><h3>{html.escape(self._texts.checks)}</h3><ul>{rows}</ul></section>'

    def _labels(self, labels: Sequence[str], exchange: int) -> str:
        return "".join(
            f'<button type="button" class="chip" {attributes(act="cite", label=label, exchange=exchange)}>'
            f"{html.escape(label)}</button>"
            for label in labels
        )


def _number_lines(lines: Sequence[str], wanted: tuple[int, int]) -> Iterator[str]:
    first, last = wanted
    for number, line in itertools.islice(enumerate(lines, start=1), max(0, first - RAW_LINES - 1), last + RAW_LINES):
        kind = ' class="cited"' if first <= number <= last else ""
        yield f'<tr{kind}><th scope="row">{number}</th><td>{html.escape(line)}</td></tr>'
