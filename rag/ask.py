"""Ask the notes from a shell: `python -m rag.ask "为什么要除以根号dk"`."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rag.config import Settings, add_options, read_settings
from rag.errors import UsageError
from rag.records import read_batch, to_line, to_record
from rag.shell import EXIT_ANSWERED, EXIT_NOTHING, guard, leave, tell, write
from rag.terminal import format_answer, show_reply
from rag.types import LENGTHS, Answer, Query, Turn

if TYPE_CHECKING:
    from rag.pipeline import Notes


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
        write(to_line(to_record(answer)))
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
                write(to_line(to_record(answer, identity)))
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
