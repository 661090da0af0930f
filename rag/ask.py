"""Ask the notes from a shell: `python -m rag.ask "为什么要除以根号dk"`."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rag.cite import write_numbers, write_place
from rag.config import Settings, add_options, read_settings
from rag.errors import UsageError
from rag.shell import EXIT_ANSWERED, EXIT_NOTHING, guard, leave, tell, write
from rag.terminal import escape_controls, show_controls, show_line, show_reply
from rag.types import LENGTHS, Answer, Citation, Length, Query, Turn

if TYPE_CHECKING:
    from rag.pipeline import Notes

BOLD, DIM, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rag.ask",
        description="向自己的面经提问，答案出自笔记，句句注明题号。不带问题就进入对话。",
        epilog="退出状态：0 有答案，1 笔记里没有，2 出错。",
    )
    parser.add_argument("question", nargs="*", help="问题；中文英文都行，也可以问题号：第16题")
    add_options(parser)
    parser.add_argument(
        "--llm",
        metavar="openai:MODEL|hf:ID|PATH",
        help="用大模型组织答案：兼容 OpenAI 接口的服务（RAG_LLM_BASE_URL、RAG_LLM_API_KEY），"
        "或本机的 transformers 对话模型（RAG_LLM；默认直接摘录）",
    )
    parser.add_argument(
        "--length",
        metavar="|".join(LENGTHS),
        help="答多长：short 一两句，normal 两分钟，full 整题（RAG_LENGTH；默认 normal）",
    )
    parser.add_argument("--top-k", metavar="N", help="排名里列出多少题（RAG_TOP_K；默认 10）")
    parser.add_argument("--json", action="store_true", help="输出一个 JSON 对象")
    parser.add_argument("--batch", metavar="FILE|-", help='逐行读 {"id","text","history","length"}，逐行输出 JSON')
    parser.add_argument("--no-color", action="store_true", help="不用颜色（NO_COLOR 也行）")
    return parser.parse_args(arguments)


def to_record(answer: Answer, identity: str | None = None) -> dict[str, Any]:
    """Turn an answer into the JSON object of the shell contract."""
    record: dict[str, Any] = {} if identity is None else {"id": identity}
    return (
        record
        | {
            "query": answer.query,
            "answer": answer.text,
            "abstained": answer.abstained,
            "mode": answer.mode,
            "citations": [asdict(citation) for citation in answer.citations],
            "ranking": [{"label": label, "score": score} for label, score in answer.ranking],
            "coverage": round(answer.coverage, 3),
            "elapsed_ms": answer.elapsed_ms,
        }
        | _to_generated_fields(answer)
    )


def _to_generated_fields(answer: Answer) -> dict[str, Any]:
    """Return what only a generated answer has, and any notice."""
    if answer.mode == "generated":
        checks = [asdict(check) for check in answer.checks]
        return {"model": answer.model, "notice": answer.notice, "checks": checks}
    return {"notice": answer.notice} if answer.notice else {}


def _to_line(record: dict[str, Any]) -> str:
    return escape_controls(json.dumps(record, ensure_ascii=False))


def format_answer(answer: Answer, *, color: bool) -> str:
    """Write an answer for a terminal, its sources and what to read next below it."""
    bold, dim, plain = (BOLD, DIM, PLAIN) if color else ("", "", "")
    lines = [show_controls(answer.text)]
    if answer.citations:
        lines += ["", f"{bold}来源{plain}"]
        for first, places in group_citations(answer.citations):
            place = show_line(write_place(first.file, places, first.unit))
            lines.append(f"{show_line(f'[{first.label}] {first.title}')}  {dim}{place}{plain}")
    if answer.related:
        lines += ["", f"{bold}相关题目{plain}", *(show_line(f"[{label}] {title}") for label, title in answer.related)]
    return "\n".join(lines)


def group_citations(citations: Sequence[Citation]) -> list[tuple[Citation, str]]:
    """Bring citations of one question together: the first of them, and all their lines (or pages) as `44-48,53`."""
    groups: dict[str, list[Citation]] = {}
    for citation in citations:
        groups.setdefault(citation.label, []).append(citation)
    return [
        (group[0], ",".join(dict.fromkeys(write_numbers(citation.lines) for citation in group)))
        for group in groups.values()
    ]


def read_batch(source: IO[str], name: str, length: Length = "normal") -> Iterator[tuple[str, Query]]:
    """Read queries from JSON lines.

    :param length: of the answers to rows that name none.
    :raises UsageError: when a line is not such an object; the line is named.
    """
    for number, line in enumerate(source, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            history = tuple(Turn(turn["role"], str(turn["content"])) for turn in row.get("history") or ())
            query = Query(str(row["text"]), history, _find_length(row.get("length") or length))
            yield str(row.get("id", number)), query
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            wanted = '{"id": "1", "text": "问题", "history": []}'
            choices = "、".join(LENGTHS)
            raise UsageError(
                f"{name}:{number}: 这一行读不懂；每行要写成 {wanted}，可以再加 length（{choices}）"
            ) from error


def _find_length(name: str) -> Length:
    """:raises ValueError: when there is no such length."""
    return LENGTHS[LENGTHS.index(name)]


def chat(settings: Settings) -> int:
    """Talk in the terminal, remembering what was said, until the input ends."""
    from rag.pipeline import open_notes

    notes = open_notes(settings, tell)
    outer = sum(not question.parent for question in notes.questions)
    interactive = sys.stdin.isatty()
    if interactive:
        with contextlib.suppress(ImportError):  # Windows has none
            import readline  # noqa: F401  gives input() its line editing

        write(f"笔记里有 {outer} 道题，直接问吧。（Ctrl-D 或输入 /exit 结束，/new 换个话题）")
    history: list[Turn] = []
    while True:
        try:
            text = input("\n问> " if interactive else "").strip()
        except EOFError:
            return EXIT_ANSWERED
        if text in ("/exit", "/quit"):
            return EXIT_ANSWERED
        if text == "/new":
            history.clear()
            continue
        if text:
            answer = _show(notes, Query(text, tuple(history), settings.length), settings)
            history += [Turn("user", text), Turn("assistant", answer.text)]


def _show(notes: "Notes", query: Query, settings: Settings) -> Answer:
    """Answer for a reader: piece by piece where a model writes on a terminal, and any notice beside it."""
    if notes.generator and sys.stdout.isatty():
        answer = show_reply(notes.stream(query), lambda whole: format_answer(whole, color=settings.color))
    else:
        answer = notes.ask(query)
        write(format_answer(answer, color=settings.color))
    if answer.notice:
        tell(answer.notice)
    return answer


def ask_once(settings: Settings, question: str, *, as_json: bool) -> int:
    """Answer one question."""
    from rag.pipeline import open_notes

    notes, query = open_notes(settings, tell), Query(question, length=settings.length)
    if as_json:
        answer = notes.ask(query)
        write(_to_line(to_record(answer)))
    else:
        answer = _show(notes, query, settings)
    return EXIT_NOTHING if answer.abstained else EXIT_ANSWERED


def ask_batch(settings: Settings, source: str) -> int:
    """Answer a file of questions, one JSON object a line, in order."""
    from rag.pipeline import open_notes

    notes = open_notes(settings, tell)
    answered = False
    try:
        with sys.stdin if source == "-" else Path(source).open(encoding="utf-8") as lines:
            for identity, query in read_batch(lines, source, settings.length):
                answer = notes.ask(query)
                answered = answered or not answer.abstained
                write(_to_line(to_record(answer, identity)))
    except UnicodeDecodeError as error:
        raise UsageError(f"{source}: 不是 UTF-8 文本（第 {error.start} 字节）；先转成 UTF-8") from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise UsageError(f"--batch {source}: 打不开（{error.strerror}）") from error
    return EXIT_ANSWERED if answered else EXIT_NOTHING


def run(arguments: list[str] | None) -> int:
    """Do what the command line asks for."""
    options = parse_arguments(arguments)
    settings = read_settings(options)
    if options.batch:
        return ask_batch(settings, options.batch)
    if not options.question:
        return chat(settings)
    return ask_once(settings, " ".join(options.question), as_json=options.json)


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    leave(main())
