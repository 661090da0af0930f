"""Let a language model write the answer from the passages that were found; the notes' own words where it cannot."""

import contextlib
from collections.abc import Generator as Pieces
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from rag.answer import describe_missing_text, write_not_covered
from rag.errors import GeneratorError
from rag.extractive import N_NEAREST, Extractive
from rag.grounding import cite_labels
from rag.history import LABEL, is_follow_up
from rag.markdown import ADDRESS
from rag.prompting import (
    Candidate,
    Source,
    fill_sources,
    plan_reply,
    plan_rewrite,
    plan_sources,
    write_messages,
    write_rewrite,
)
from rag.repair import Guard, drop_thinking, strip_thinking, unwrap
from rag.search import Asked, Retrieval, Searcher
from rag.tokenize import analyse_query, has_content
from rag.types import Answer, Encoder, Generator, Hit, Passage, Query, Question, Reply, Turn
from rag.verify import Verifier
from rag.weights import coverage_threshold

N_SOURCES = 4
MIN_SHARE = 0.02
"""A question is read by the model when it scores at least this share of the best one: scores fall off steeply."""
CHARS_PER_TOKEN = 8
"""A reply longer than its tokens could spell is not being stopped by its server, and is stopped here."""
LONGEST_REWRITE_CHARS = 120
SAYS_NOTHING, LONGEST_NOTHING_CHARS = "笔记里没有讲到", 60
UNFOUNDED = "大模型的回答在笔记里找不到依据，以下摘自笔记原文。"
TRUNCATED = "……"
TOO_SMALL = "大模型一次能读的太少，放不下笔记，以下摘自笔记原文；换一个上下文长些的模型，或调大 RAG_LLM_CONTEXT。"
CUT = "大模型的回答到了长度上限，没有写完。"


@dataclass(frozen=True, slots=True)
class Task:
    """What the model is asked, and what it may cite."""

    question: str
    sources: Sequence[Source]
    remarks: Sequence[str]
    """Paragraphs put below the answer: what was asked too and the notes lack."""
    labels: Mapping[str, Sequence[str]]
    """Each label that may be cited, to those of the questions that say the same."""
    questions: Mapping[str, tuple[Question, float, Sequence[Passage]]]
    """Each label that may be cited, to its question with score and passages."""

    @property
    def passages(self) -> dict[str, Sequence[Passage]]:
        """Each label that may be cited, to the passages of its question."""
        return {label: passages for label, (_, _, passages) in self.questions.items()}


class Generated:
    """Answers with a language model, and falls back on quotes."""

    def __init__(
        self,
        searcher: Searcher,
        extractive: Extractive,
        questions: Sequence[Question],
        encoder: Encoder,
        generator: Generator,
        verifier: Verifier,
    ) -> None:
        self._searcher, self._extractive, self._questions = searcher, extractive, questions
        self._encoder, self._generator, self._verifier = encoder, generator, verifier

    def write(self, query: Query, found: Retrieval) -> Reply:
        """Write the answer to a query from what was found for it; the model is only asked when the notes cover it."""
        question, problem = query.text.strip(), ""
        if query.history and not found.lookup and is_follow_up(query.text):
            try:
                question, found = self._rewrite(query, found)
            except GeneratorError as error:
                problem = _describe(error)
        parts = list(self._extractive.write(query, found))
        quoted = next(part for part in parts if isinstance(part, Answer))
        task = None if problem or quoted.abstained else self._plan(query, question, found)
        if task and not task.sources:
            task, problem = None, TOO_SMALL
        if task is None:
            yield from parts[:-1]
            yield replace(quoted, notice=problem or quoted.notice)
        else:
            yield from self._generate(query, task, parts[:-1], quoted)

    def _generate(self, query: Query, task: Task, parts: Sequence[str | Answer], quoted: Answer) -> Reply:
        """Yield the model's answer as it comes, then as it stands after all checks; or the quotes."""
        guard = Guard(task.labels, _find_addresses(task))
        raw: list[str] = []
        shown = False
        try:
            with contextlib.closing(self._ask(query, task, raw)) as pieces:
                for piece in guard.filter(drop_thinking(pieces)):
                    if text := piece if shown else piece.lstrip():
                        shown = True
                        yield text
            answer = self._finish(task, guard.clean(unwrap(strip_thinking("".join(raw)))), quoted)
        except GeneratorError as error:
            answer = replace(quoted, notice=_describe(error))
        if not shown:
            yield from parts
        yield answer

    def _ask(self, query: Query, task: Task, raw: list[str]) -> Pieces[str, None, None]:
        """Yield the model's reply as it comes, kept in `raw` too."""
        limit = plan_reply(self._generator, query.length)
        messages = write_messages(task.question, task.sources, query.history, query.length, self._generator)
        n_chars = 0
        with _stream(self._generator, messages, limit) as pieces:
            for piece in pieces:
                raw.append(piece)
                n_chars += len(piece)
                yield piece
                if n_chars > limit * CHARS_PER_TOKEN:
                    return

    def _finish(self, task: Task, text: str, quoted: Answer) -> Answer:
        """Hold the model's whole text against the notes."""
        if not text:
            return replace(quoted, notice="大模型什么也没有回答，以下摘自笔记原文。")
        common = replace(quoted, mode="generated", model=self._generator.name, citations=(), related=())
        if SAYS_NOTHING in text and len(text) <= LONGEST_NOTHING_CHARS and not LABEL.search(text):
            nearest = [source.question for source in task.sources[:N_NEAREST]]
            return replace(common, text=write_not_covered(nearest), abstained=True)
        verified = self._verifier.check(text, task.passages)
        cited = LABEL.findall(verified.text)
        if not cited or all(check.verdict == "unsupported" for check in verified.checks):
            return replace(quoted, notice=UNFOUNDED)
        citations = cite_labels(verified.text, verified.checks, task.questions, self._encoder)
        remarked = {label for remark in task.remarks for label in LABEL.findall(remark)}
        return replace(
            common,
            text="\n\n".join([verified.text, *task.remarks]),
            citations=citations + tuple(one for one in quoted.citations if one.label in remarked - set(cited)),
            related=tuple(one for one in quoted.related if one[0] not in cited),
            checks=verified.checks,
            notice=CUT if text.endswith(TRUNCATED) else "",
        )

    def _plan(self, query: Query, question: str, found: Retrieval) -> Task | None:
        """Choose what the model reads, or None where there is nothing for it to do."""
        lookup = found.lookup
        if lookup and not has_content(lookup.rest):
            return None
        remarks = [f"笔记里没有第 {number} 题。" for number in lookup.missing] if lookup else []
        asked = found.asked
        if lookup:
            asked = tuple(Asked(question, (Hit(named, 1.0),), 1.0) for named in lookup.questions)
        answerable: list[Asked] = []
        for one in asked:
            if one.coverage < coverage_threshold():
                remarks.append(f"「{one.text}」笔记里没有讲到。")
            elif one.hits[0].question.content != "text":
                remarks.append(describe_missing_text(one.hits[0].question))
            else:
                answerable.append(one)
        if len(answerable) < len(asked) and not lookup:
            question = "；".join(one.text for one in answerable)
        budget = plan_sources(self._generator, query.length, question, query.history)
        candidates = self._find_candidates(answerable)
        sources = fill_sources(candidates, budget, self._generator.count_tokens)
        return self._make_task(question, sources, remarks) if candidates else None

    def _make_task(self, question: str, sources: Sequence[Source], remarks: Sequence[str]) -> Task:
        by_label = {one.label: one for one in self._questions}
        labels, questions = {}, {}
        for source in sources:
            same = self._searcher.same_content(source.question)
            for label in same:
                labels[label] = same
                questions[label] = (by_label[label], source.score, self._passages(by_label[label]))
        return Task(question, sources, remarks, labels, questions)

    def _find_candidates(self, asked: Sequence[Asked]) -> list[Candidate]:
        """List the best questions for each thing asked, in turn, those that say the same once."""
        lists = [[hit for hit in one.hits if hit.score >= MIN_SHARE * one.hits[0].score] for one in asked]
        candidates: list[Candidate] = []
        known: set[str] = set()
        for hit in (hit for level in zip_longest(*lists) for hit in level if hit):
            if hit.question.label in known or hit.question.content != "text":
                continue
            known.update(self._searcher.same_content(hit.question))
            passages = self._passages(hit.question)
            best = {passage.id: passage for passage in [*(passage for passage, _ in hit.passages), *passages]}
            candidates.append(Candidate(hit.question, hit.score, passages, tuple(best.values())))
        return candidates[: max(N_SOURCES, len(asked))]

    def _passages(self, question: Question) -> tuple[Passage, ...]:
        own = self._searcher.passages[question.parent or question.id]
        return tuple(one for one in own if one.start < question.end and one.end > question.start)

    def _rewrite(self, query: Query, found: Retrieval) -> tuple[str, Retrieval]:
        """Have a follow-up rewritten to stand alone, and search for that; what makes no sense changes nothing.

        :raises GeneratorError: when the model cannot be asked.
        """
        messages = write_rewrite(query.text.strip(), query.history, self._generator)
        with _stream(self._generator, messages, plan_rewrite(self._generator)) as pieces:
            written = strip_thinking("".join(pieces))
        text = _read_rewrite(written, query)
        if text:
            new = self._searcher.search(replace(query, text=text, history=()))
            if not new.lookup and new.coverage >= coverage_threshold():
                return text, new
        return query.text.strip(), found


def _read_rewrite(written: str, query: Query) -> str:
    """Return a rewritten question, or nothing where it cannot be one: none of its words were said, or too many are there."""
    first = next((line.strip() for line in written.splitlines() if line.strip()), "")
    text = LABEL.sub("", first.rpartition("：")[2] if len(first.partition("：")[0]) <= 8 else first).strip(
        "“”\"'「」* "
    )
    said = set(analyse_query(" ".join([query.text, *(turn.content for turn in query.history)])))
    words = set(analyse_query(text))
    if not text or len(text) > LONGEST_REWRITE_CHARS or not has_content(text) or 2 * len(words & said) < len(words):
        return ""
    return text


@contextlib.contextmanager
def _stream(generator: Generator, messages: Sequence[Turn], max_tokens: int) -> Iterator[Iterator[str]]:
    """Ask a model, and stop it when the pieces are no longer read."""
    pieces = generator.stream(messages, max_tokens)
    try:
        yield pieces
    finally:
        if isinstance(pieces, Pieces):
            pieces.close()


def _find_addresses(task: Task) -> set[str]:
    texts = (passage.text for passages in task.passages.values() for passage in passages)
    return {address.strip("<>") for text in texts for address in ADDRESS.findall(text)}


def _describe(error: GeneratorError) -> str:
    return f"大模型没能回答（{error}），以下摘自笔记原文。"
