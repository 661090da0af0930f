"""The notes as tools of the Model Context Protocol: search them, read one question, ask them."""

import re
from collections.abc import Callable, Sequence
from contextlib import aclosing
from difflib import get_close_matches
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, Field

from rag import __version__
from rag.cite import write_numbers, write_place
from rag.errors import RagError
from rag.lookup import match_number
from rag.pipeline import Notes
from rag.server.faults import ApiFault
from rag.server.openai_api import MAX_QUESTION_CHARS, clean, describe_answer
from rag.server.service import Service
from rag.terminal import format_answer
from rag.types import Answer, Hit, Length, Passage, Query, Question
from rag.weights import coverage_threshold

INSTRUCTIONS = (
    "这里是用户自己的面试笔记，一题一题编着号。先用 search_notes 找题，用 get_question 读全文，或者直接用 ask_notes 问。"
    "引用时写题号，例如 [Q16]。笔记里没有的，就说没有。"
)
QUOTE_CHARS = 300
"""How much of the best passage a search shows."""
N_NEAR = 5
"""Near labels named when a label is not found."""
READ_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


class Found(BaseModel):
    """One question found."""

    label: str
    title: str
    file: str
    lines: tuple[int, int]
    place: str
    """File with lines, pages or cells, as written in answers."""
    score: float
    quote: str


class Search(BaseModel):
    """What a search found, best first."""

    covered: bool
    """Whether the notes seem to answer it."""
    coverage: float
    questions: list[Found]


class QuestionText(BaseModel):
    """One question of the notes, whole."""

    label: str
    title: str
    file: str
    lines: tuple[int, int]
    place: str
    groups: list[str]
    text: str


class Told(BaseModel):
    """An answer in the fields of the shell contract."""

    answer: str
    abstained: bool
    mode: str
    coverage: float
    citations: list[dict[str, Any]]
    ranking: list[dict[str, Any]]
    related: list[dict[str, Any]]
    checks: list[dict[str, Any]]
    notice: str


Text = Annotated[str, Field(description="问题或关键词，中文英文都行", max_length=MAX_QUESTION_CHARS, min_length=1)]
Label = Annotated[str, Field(description="题号，例如 Q16、Q29.1、16", min_length=1, max_length=200)]
Count = Annotated[int, Field(description="最多几题", ge=1, le=50)]
Size = Annotated[Length, Field(description="答案的长短：short 半分钟，normal 两分钟，full 全部")]


def make_mcp(service: Service) -> "MCPServer[Any]":
    """Make the server of the tools; a transport is chosen by the caller."""
    mcp = MCPServer[Any](
        "mianjing", title="面经", version=__version__, instructions=INSTRUCTIONS, log_level="ERROR", subscriptions=False
    )

    @mcp.tool(title="在笔记里找题", description="在面试笔记里找相关的题，最相关的在前。", annotations=READ_ONLY)
    async def search_notes(query: Text, k: Count = 5) -> Annotated[CallToolResult, Search]:
        return await _run(service, lambda notes: search(notes, query, k))

    @mcp.tool(title="读一道题", description="按题号读一道题的全文。", annotations=READ_ONLY)
    async def get_question(label: Label) -> Annotated[CallToolResult, QuestionText]:
        return await _run(service, lambda notes: read_question(notes, label))

    @mcp.tool(
        title="问笔记", description="根据面试笔记回答问题，句句注明题号；笔记里没有就说没有。", annotations=READ_ONLY
    )
    async def ask_notes(question: Text, length: Size = "normal") -> Annotated[CallToolResult, Told]:
        return await _ask(service, Query(clean(question), length=length))

    return mcp


async def _run(service: Service, call: Callable[[Notes], CallToolResult]) -> CallToolResult:
    """Run a call on a thread of the desk; what it refuses is said to the caller."""
    try:
        notes = service.notes
        return await service.desk.run(lambda: call(notes))
    except (ApiFault, RagError) as error:
        raise ToolError(str(error)) from error


async def _ask(service: Service, query: Query) -> CallToolResult:
    """Ask the notes; a caller that leaves stops the answer."""
    try:
        notes = service.notes
        async with aclosing(service.desk.write(lambda: notes.stream(query))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    service.metrics.count_answer(piece)
                    return _tell(format_answer(piece, color=False), Told(**describe_answer(piece)))
    except (ApiFault, RagError) as error:
        raise ToolError(str(error)) from error
    raise RuntimeError("a reply ended without an answer")


def _tell(text: str, record: BaseModel) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=record.model_dump(mode="json")
    )


def search(notes: Notes, query: str, k: int) -> CallToolResult:
    """Find questions, at most `k` of as many as the server ranks."""
    retrieval = notes.search(Query(clean(query)))
    covered = bool(retrieval.hits) and retrieval.coverage >= coverage_threshold()
    found = [_describe_hit(hit) for hit in retrieval.hits[:k]]
    lines = [f"[{one.label}] {one.title}（{one.place}）\n{one.quote}" for one in found]
    head = "" if covered else "笔记里多半没有答案，最接近的是：\n\n" if found else "笔记里没有找到。"
    record = Search(covered=covered, coverage=round(retrieval.coverage, 3), questions=found)
    return _tell(head + "\n\n".join(lines), record)


def _describe_hit(hit: Hit) -> Found:
    question = hit.question
    quote = hit.passages[0][0].text.strip()[:QUOTE_CHARS] if hit.passages else ""
    return Found(
        label=question.label,
        title=question.title,
        file=question.path,
        lines=question.lines,
        place=_write_place(question, [passage for passage, _ in hit.passages]),
        score=hit.score,
        quote=quote,
    )


def read_question(notes: Notes, label: str) -> CallToolResult:
    """Give the whole text of the question that a label or a number names.

    :raises ToolError: when it names none, or several.
    """
    wanted = label.strip().strip("[]")
    named = [question for question in notes.questions if question.label == wanted]
    named = named or match_number(wanted, notes.questions)
    if len(named) != 1:
        labels = [question.label for question in named] or find_near(wanted, notes.questions)
        problem = "不只一题" if named else "笔记里没有这个题号"
        raise ToolError(
            f"{wanted}：{problem}；{'可选' if named else '相近'}的有 {'、'.join(labels) or '（一题也没有）'}"
        )
    question = named[0]
    passages = notes.passages[question.parent or question.id]
    text = "".join(p.text[max(0, question.start - p.start) : max(0, question.end - p.start)] for p in passages)
    record = QuestionText(
        label=question.label,
        title=question.title,
        file=question.path,
        lines=question.lines,
        place=_write_place(question, passages),
        groups=list(question.headings),
        text=text.strip(),
    )
    return _tell(f"[{record.label}] {record.place}\n\n{record.text}", record)


def _write_place(question: Question, passages: Sequence[Passage]) -> str:
    return write_place(question.path, write_numbers(question.lines), passages[0].unit if passages else "line")


def find_near(label: str, questions: Sequence[Question]) -> list[str]:
    """Name labels near one that is not there: by number where it has one, else by its letters."""
    labels = [question.label for question in questions]
    if number := re.search(r"\d+", label):
        numbered = [(abs(int(own[0]) - int(number[0])), name) for name in labels if (own := re.search(r"\d+", name))]
        return [name for _, name in sorted(numbered, key=lambda pair: pair[0])[:N_NEAR]]
    return get_close_matches(label, labels, N_NEAR, cutoff=0.0)
