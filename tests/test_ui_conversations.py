"""Conversations are kept, each reader's apart; ratings become candidates for the evaluation."""

import json
import threading
from pathlib import Path

import pytest

from eval.queries import load_queries
from rag.errors import UsageError
from rag.types import Answer, Check, Citation, Turn
from ui.conversations import Conversations, name_owner, read_answer, to_history, write_answer
from ui.feedback import FILE, main, read_feedback, record_feedback, to_candidates
from ui.rail import write_markdown, write_rail
from ui.texts import EN, ZH

CITATION = Citation("Q4", "为什么缩放", "a.md", (3, 5), "除以根号dk，\n避免梯度消失", 0.9, "ab")
ANSWER = Answer(
    "为什么", "因为。[Q4]", abstained=False, mode="generated", citations=(CITATION,), ranking=(("Q4", 0.9),), coverage=0.8,
    related=(("Q5", "下一题"),), checks=(Check("因为。", ("Q4",), "partly", "一半"),), model="openai:m", notice="慢",
)  # fmt: skip
ALICE, BOB = name_owner("alice", ""), name_owner(None, "b" * 32)


@pytest.fixture
def kept(tmp_path: Path) -> Conversations:
    return Conversations(tmp_path / "data")


def test_an_answer_is_read_back_as_it_was() -> None:
    assert read_answer(write_answer(ANSWER)) == ANSWER
    assert read_answer("") is None


def test_a_conversation_is_found_again_after_a_restart(kept: Conversations, tmp_path: Path) -> None:
    conversation, exchange = kept.begin(ALICE, "", "  为什么\n要缩放 ")
    kept.finish(exchange, ANSWER)
    again = Conversations(tmp_path / "data")
    assert [(one.id, one.title) for one in again.of(ALICE)] == [(conversation, "为什么 要缩放")]
    assert [one.answer for one in again.read(ALICE, conversation)] == [ANSWER]


def test_nobody_reads_or_changes_the_conversation_of_another(kept: Conversations) -> None:
    conversation, exchange = kept.begin(ALICE, "", "为什么")
    kept.finish(exchange, ANSWER)
    kept.rename(BOB, conversation, "偷看")
    kept.rate(BOB, conversation, exchange, -1, "坏")
    kept.cut(BOB, conversation, exchange)
    kept.delete(BOB, conversation)
    assert kept.of(BOB) == kept.read(BOB, conversation) == []
    assert kept.find(BOB, conversation) is None
    other, _ = kept.begin(BOB, conversation, "接着问")
    assert other != conversation
    assert [(one.asked, one.liked) for one in kept.read(ALICE, conversation)] == [("为什么", 0)]


def test_a_browser_cannot_name_itself_a_user() -> None:
    assert name_owner("alice", "") != name_owner(None, "alice")


def test_a_question_asked_anew_takes_what_came_after_it_away(kept: Conversations) -> None:
    conversation, first = kept.begin(ALICE, "", "一")
    kept.begin(ALICE, conversation, "二")
    kept.cut(ALICE, conversation, first)
    assert kept.read(ALICE, conversation) == []


def test_an_answer_to_a_question_taken_away_meanwhile_is_dropped(kept: Conversations) -> None:
    conversation, exchange = kept.begin(ALICE, "", "一")
    kept.delete(ALICE, conversation)
    kept.finish(exchange, ANSWER)
    assert kept.of(ALICE) == []


def test_many_readers_write_at_once(kept: Conversations) -> None:
    def talk(owner: str) -> None:
        conversation = ""
        for number in range(8):
            conversation, exchange = kept.begin(owner, conversation, f"问 {number}")
            kept.finish(exchange, ANSWER)

    owners = [name_owner(None, f"{place:032}") for place in range(6)]
    threads = [threading.Thread(target=talk, args=[owner]) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[len(kept.read(owner, one.id)) for one in kept.of(owner)] for owner in owners] == [[8]] * 6


def test_only_answered_questions_are_history(kept: Conversations) -> None:
    conversation, exchange = kept.begin(ALICE, "", "一")
    kept.finish(exchange, ANSWER)
    kept.begin(ALICE, conversation, "二")
    assert to_history(kept.read(ALICE, conversation)) == (Turn("user", "一"), Turn("assistant", "因为。[Q4]"))


def test_a_file_that_cannot_be_kept_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(UsageError, match="存不了对话.*RAG_DATA"):
        Conversations(tmp_path / "data")


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "chats.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(UsageError, match=r"chats\.sqlite: 存不了对话"):
        Conversations(tmp_path)


def test_a_conversation_is_exported_with_its_sources(kept: Conversations) -> None:
    conversation, exchange = kept.begin(ALICE, "", "为什么")
    kept.finish(exchange, ANSWER)
    kept.begin(ALICE, conversation, "还有呢")
    text = write_markdown("标题", kept.read(ALICE, conversation), ZH)
    assert text == (
        "# 标题\n\n## 为什么\n\n因为。[Q4]\n\n**出处**\n\n- [Q4] 为什么缩放 — `a.md` 第 3–5 行\n\n"
        "  > 除以根号dk，\n  > 避免梯度消失\n\n## 还有呢\n\n这一问还没有答完。\n"
    )


def test_the_title_of_a_conversation_is_escaped_in_the_list(kept: Conversations) -> None:
    kept.begin(ALICE, "", "<img src=x onerror=alert(1)>\"'")
    rail = write_rail(kept.of(ALICE), "", EN)
    assert "<img" not in rail
    assert "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;" in rail


def test_a_rating_that_was_changed_counts_once(tmp_path: Path) -> None:
    for liked, reason in ((1, ""), (-1, "漏了"), (0, "")):
        record_feedback(tmp_path, ANSWER, (), liked, reason, owner=ALICE, key="k1")
    record_feedback(tmp_path, ANSWER, (), 1, "", owner=ALICE, key="k2")
    record_feedback(tmp_path, ANSWER, (), -1, "短", owner=BOB, key="k3")
    assert [row["key"] for row in read_feedback(tmp_path)] == ["k2", "k3"]
    assert [row["key"] for row in read_feedback(tmp_path, BOB)] == ["k3"]


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    record_feedback(tmp_path, ANSWER, (), 1, "", key="k1")
    with (tmp_path / FILE).open("a", encoding="utf-8") as file:
        file.write('{"key": "k2", "liked"')
    assert [row["key"] for row in read_feedback(tmp_path)] == ["k1"]


def test_candidates_are_queries_the_evaluation_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record_feedback(tmp_path, ANSWER, (Turn("user", "先前"), Turn("assistant", "说过")), 1, "", key="k1")
    record_feedback(tmp_path, ANSWER, (), -1, "漏了一半", key="k2")
    monkeypatch.setenv("RAG_DATA", str(tmp_path))
    assert main([]) == 0
    file = tmp_path / "candidates.jsonl"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    liked, disliked = load_queries(file)
    assert liked.grades == {"Q4": 2}
    assert liked.query.history[0] == Turn("user", "先前")
    assert disliked.grades == {}
    assert [json.loads(line).get("reason") for line in file.read_text(encoding="utf-8").splitlines()] == [
        None,
        "漏了一半",
    ]
    assert len({candidate["id"] for candidate in to_candidates(read_feedback(tmp_path))}) == 2


def test_no_ratings_are_no_candidates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAG_DATA", str(tmp_path))
    assert main([]) == 1
