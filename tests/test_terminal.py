"""Answers shown in a terminal while they are written."""

import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.pipeline import Notes
from rag.terminal import count_rows, show_reply
from rag.types import Answer
from tests.conftest import CORPUS
from tests.llm_server import KEY, say, serve

ROOT = Path(__file__).parent.parent


def reply(shown: list[str], text: str) -> Iterator[str | Answer]:
    yield from shown
    yield Answer("问", text, abstained=False, mode="generated")


@pytest.mark.parametrize(
    ("text", "rows"), [("", 1), ("a" * 80, 1), ("a" * 81, 2), ("字" * 40, 1), ("字" * 41, 2), ("a\n\nb", 3)]
)
def test_rows_are_counted_as_a_terminal_wraps_them(text: str, rows: int) -> None:
    assert count_rows(text, 80) == rows


def test_what_was_shown_is_not_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    show_reply(reply(["一，", "二。"], "一，二。"), lambda answer: f"{answer.text}\n来源")
    assert capsys.readouterr().out == "一，二。\n来源\n"


def test_another_final_wording_takes_the_place_of_what_was_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    show_reply(reply(["一，\n", "三。"], "一，二。"), lambda answer: answer.text)
    assert capsys.readouterr().out == "一，\n三。\r\x1b[1A\x1b[J一，二。\n"
    show_reply(reply(["一\n" * 30], "二。"), lambda answer: answer.text)
    assert capsys.readouterr().out.endswith("核对以后：\n\n二。\n")


def test_a_chat_in_a_terminal_shows_the_answer_and_its_sources_once(notes: Notes) -> None:
    sane = ("当维度很大时，点积结果会很大，", "会导致softmax的梯度很小，所以要对点积进行缩放[Q4]。")
    with serve(say(*sane)) as server:
        process, terminal = pty.fork()
        if process == 0:
            command = [sys.executable, "-m", "rag.ask", "--corpus", str(CORPUS), "--index", str(notes.settings.index)]
            environment = {**os.environ, "RAG_LLM_BASE_URL": server.url, "RAG_LLM_API_KEY": KEY}
            os.chdir(ROOT)
            os.execve(sys.executable, [*command, "--llm", "openai:tiny", "为什么要除以根号dk"], environment)
        shown = read_all(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status == 0
    assert shown.count("".join(sane)) == 1
    assert "来源" in shown


def read_all(terminal: int) -> str:
    """Read until the other side is gone, which Linux reports as an error."""
    data = b""
    try:
        while piece := os.read(terminal, 4096):
            data += piece
    except OSError:
        os.close(terminal)
    return data.decode()
