"""Follow-ups lean on what was said; new topics do not."""

import pytest

from rag.history import resolve
from rag.pipeline import Notes
from rag.types import Query, Turn

HISTORY = (Turn("user", "BERT 为什么要用 mask"), Turn("assistant", "为了引入噪音。 [Q29][Q30]"))


@pytest.mark.parametrize(
    "text", ["那它是怎么做的呢", "公式呢", "第二点再详细点", "有什么缺点", "why is that", "代码怎么写"]
)
def test_a_follow_up_takes_its_topic_and_citations_from_the_conversation(text: str) -> None:
    resolved = resolve(Query(text, HISTORY))
    assert resolved.text == f"BERT 为什么要用 mask {text}"
    assert resolved.leans
    assert resolved.cited == ("Q29", "Q30")


@pytest.mark.parametrize(
    "text", ["Transformer 的位置编码有什么意义和优缺点", "how does a decoder attend to the encoder output"]
)
def test_a_new_topic_stands_alone(text: str) -> None:
    resolved = resolve(Query(text, HISTORY))
    assert (resolved.text, resolved.leans, resolved.cited) == (text, False, ())


def test_the_topic_is_looked_for_behind_other_follow_ups() -> None:
    history = (*HISTORY, Turn("user", "那缺点呢"), Turn("assistant", "不一致。 [notes:Q36]"))
    resolved = resolve(Query("还有呢", history))
    assert resolved.text == "BERT 为什么要用 mask 那缺点呢 还有呢"
    assert resolved.cited == ("notes:Q36",)


def test_without_history_nothing_is_added() -> None:
    assert resolve(Query("公式呢")).text == "公式呢"


@pytest.mark.parametrize(("text", "label"), [("为什么要除以根号dk", "Q4"), ("代码怎么写", "Q38")])
def test_a_short_question_is_a_new_topic_where_the_notes_cover_it_by_itself(
    notes: Notes, text: str, label: str
) -> None:
    history = (Turn("user", "讲讲 multi-head attention"), Turn("assistant", "多个头。 [Q38]"))
    assert notes.search(Query(text, history)).hits[0].question.label == label
    assert resolve(Query(text, history)).leans
