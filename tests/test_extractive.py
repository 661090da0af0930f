"""Answers in the notes' own words: what they quote, how long they are, and how they are streamed."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rag import extractive
from rag.config import Settings
from rag.history import LABEL
from rag.parse import parse_document
from rag.pipeline import Notes, open_notes
from rag.types import LENGTHS, Answer, Length, Progress, Query, Turn, Vectors
from tests.conftest import CORPUS, make_document

TEXTS = {path.name: path.read_text(encoding="utf-8") for path in CORPUS.glob("*.md")}
MESSAGES = (
    "为什么要除以根号dk",
    "BERT 模型为什么要用 mask",
    "为什么要除以根号dk？另外 padding 怎么 mask？",
    "第3到5题",
    "第12题和第31题",
    "LSTM 和自注意力的区别",
    "今天股票涨了吗",
    "三个 Embedding 相加有什么影响",
    "self-attention 是什么",
    "",
)
HEADS = """# 1. 什么是多头注意力？

多头注意力把向量分成几个子空间，各自关注不同方面的信息。它的计算量和单头差不多。

# 2. 多头注意力有什么好处？

好处是能从不同角度提取信息。多头注意力把向量分成几个子空间，各自关注不同方面的信息。
"""
Ask = Callable[..., Answer]


@pytest.fixture
def ask_notes(tmp_path: Path) -> Ask:
    """Ask notes of a given text."""

    def ask(text: str, message: str, length: Length = "normal") -> Answer:
        (tmp_path / "a.md").write_text(text, encoding="utf-8")
        settings = Settings(corpus=(tmp_path / "a.md",), index=tmp_path / "index")
        return open_notes(settings, lambda line: None).ask(Query(message, length=length))

    return ask


def quoted(answer: Answer) -> list[str]:
    return list(dict.fromkeys(citation.label for citation in answer.citations))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("message", MESSAGES)
def test_the_pieces_of_a_stream_are_the_text_of_the_answer(notes: Notes, message: str, length: Length) -> None:
    *pieces, answer = notes.stream(Query(message, length=length))
    assert isinstance(answer, Answer)
    assert "".join(str(piece) for piece in pieces) == (answer.text if message else "")


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("message", MESSAGES)
def test_quotes_are_exact_and_every_label_of_the_text_is_in_the_ranking(
    notes: Notes, message: str, length: Length
) -> None:
    answer = notes.ask(Query(message, length=length))
    for citation in answer.citations:
        lines = TEXTS[Path(citation.file).name].split("\n")
        assert citation.quote in "\n".join(lines[citation.lines[0] - 1 : citation.lines[1]])
    ranked = {label for label, _ in answer.ranking}
    assert set(LABEL.findall(answer.text)) <= ranked
    assert set(quoted(answer)) <= ranked


def test_a_longer_answer_says_more(notes: Notes) -> None:
    short, normal, full = (notes.ask(Query("BERT 是怎么做 mask 的，为什么", length=length)).text for length in LENGTHS)
    assert len(short) < 350 < len(normal) < 1000 < len(full)


def test_a_full_answer_is_the_whole_question_in_the_order_of_the_notes(notes: Notes) -> None:
    question = next(question for question in notes.questions if question.label == "Q35")
    answer = notes.ask(Query("第35题", length="full"))
    said = "".join(citation.quote for citation in answer.citations if citation.label == "Q35")
    body = TEXTS["transformer-bert.md"][question.body_start : question.end]
    body = body.split("\n", 1)[1] if body.startswith("===") else body
    assert "".join(said.split()) == "".join(body.split())


def test_sentences_are_embedded_once_and_forgotten_when_they_are_many(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[str] = []
    embed = notes.encoder.embed_passages

    def record(texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        embedded.extend(texts)
        return embed(texts, progress)

    monkeypatch.setattr(notes.encoder, "embed_passages", record)
    own = Notes(notes.index, notes.encoder, notes.settings)

    def count(text: str) -> int:
        embedded.clear()
        own.ask(Query(text))
        return len(embedded)

    first, again = count("BERT 的 mask 为什么要分三种情况"), count("BERT 的 mask 为什么要分三种情况")
    assert first > again > 0  # the query itself
    monkeypatch.setattr(extractive, "MAX_REMEMBERED", 1)
    assert count("multi-head attention 的代码") > again
    assert count("BERT 的 mask 为什么要分三种情况") == first


def test_a_short_answer_to_several_things_has_a_part_for_each(notes: Notes) -> None:
    answer = notes.ask(Query("为什么要除以根号dk？另外 padding 怎么 mask？", length="short"))
    assert quoted(answer) == ["Q4", "Q5"]
    assert "**padding 怎么 mask**" in answer.text


def test_things_asked_that_one_question_answers_are_answered_together(notes: Notes) -> None:
    answer = notes.ask(Query("为什么要除以根号dk？另外 padding 怎么 mask？另外点积的方差怎么变成 dk 的？"))
    assert answer.text.count("方差变为1") == 1
    assert answer.text.startswith("**为什么要除以根号dk，点积的方差怎么变成 dk 的**\n\n")
    assert quoted(answer) == ["Q4", "Q5"]


@pytest.mark.parametrize(
    ("message", "headings", "labels"),
    [
        ("位置编码和残差连接的区别", ("**位置编码**", "**残差连接**"), {"Q15", "Q39"}),
        ("difference between warm-up and weight sharing", ("**warm-up**", "**weight sharing**"), {"Q35b", "Q35"}),
    ],
)
def test_two_things_that_are_compared_stand_side_by_side(
    notes: Notes, message: str, headings: tuple[str, str], labels: set[str]
) -> None:
    answer = notes.ask(Query(message))
    first, second = (answer.text.index(heading) for heading in headings)
    assert first < second
    assert labels <= set(quoted(answer))


@pytest.mark.parametrize(("message", "label"), [("BERT 和 GPT 有什么不同", "Q22"), ("BN vs LN", "Q16")])
def test_a_comparison_that_one_question_makes_is_quoted_from_it(notes: Notes, message: str, label: str) -> None:
    answer = notes.ask(Query(message))
    assert quoted(answer)[0] == label
    assert not answer.text.startswith("**")


def test_a_question_that_breaks_off_says_so_after_the_quote(notes: Notes) -> None:
    assert notes.ask(Query("第16题")).text.endswith("[Q16]\n\n（这一题的笔记到这里就断了，没写完。）")
    assert "断了" not in notes.ask(Query("第15题")).text


def test_a_part_of_a_question_that_breaks_off_later_says_so_too(ask_notes: Ask) -> None:
    text = "# 1. 学习率怎么预热？\n\n学习率从零开始慢慢升高。\n\n" + "别的话题说来话长。\n\n" * 99 + "详细步骤如下：\n"
    answer = ask_notes(text, "学习率怎么预热", "short")
    assert "学习率从零开始慢慢升高" in answer.text
    assert answer.text.endswith("（这一题的笔记结尾断了，没写完。）")


def test_a_sentence_of_two_questions_is_said_once_with_the_labels_of_both(ask_notes: Ask) -> None:
    answer = ask_notes(HEADS, "多头注意力关注什么", "full")
    assert answer.text.count("分成几个子空间") == 1
    assert "[Q1][Q2]" in answer.text or "[Q2][Q1]" in answer.text
    assert sorted(quoted(answer)) == ["Q1", "Q2"]


def test_a_second_question_is_introduced(ask_notes: Ask) -> None:
    answer = ask_notes(HEADS, "多头注意力关注什么", "full")
    assert sorted(quoted(answer)) == ["Q1", "Q2"]
    assert answer.text.count("另外，「") == 1


def test_sections_show_their_headings_and_quote_them(notes: Notes) -> None:
    answer = notes.ask(Query("第10题"))
    assert "**Transformer 的特征抽取能力比 RNN 系列的模型要好**\n\n上述结论" in answer.text
    assert any(citation.quote.startswith("2 Transformer 的特征抽取能力") for citation in answer.citations)


def test_a_heading_alone_is_never_shown(notes: Notes) -> None:
    for question in notes.questions:
        text = notes.ask(Query(f"第{question.number}题", length="full")).text
        paragraphs = [part for part in text.split("\n\n") if part]
        for heading, below in zip(paragraphs, [*paragraphs[1:], "**"], strict=True):
            is_question = heading.startswith("**[")
            assert is_question or not (heading.startswith("**") and heading.endswith("**") and below.startswith("**"))


def test_related_questions_are_neither_quoted_nor_repeats(notes: Notes) -> None:
    for message in MESSAGES:
        answer = notes.ask(Query(message))
        labels = [label for label, _ in answer.related]
        assert len(set(labels)) == len(labels) <= 3
        assert not set(labels) & {*quoted(answer), *LABEL.findall(answer.text)}
        assert not {"Q29", "Q30"} <= set(labels)
        assert answer.related == () if answer.abstained else len(labels) == 3


def test_a_question_asked_by_number_has_neighbours_in_meaning(notes: Notes) -> None:
    answer = notes.ask(Query("第29.1题"))
    labels = [label for label, _ in answer.related]
    assert "Q25" in labels
    assert not {"Q29", "Q30"} & set(labels)


def test_a_follow_up_is_quoted_by_its_topic(notes: Notes) -> None:
    history = (Turn("user", "BERT 的三个 Embedding 直接相加会有影响吗"), Turn("assistant", "不会。[Q24]"))
    answer = notes.ask(Query("那 one-hot 具体是怎么拼的", history, "short"))
    assert quoted(answer)[0] == "Q24"
    assert "one-hot" in answer.text or "one hot" in answer.text


def test_every_question_of_other_notes_is_quoted_whole_or_said_to_have_no_text(ask_notes: Ask) -> None:
    text = (
        "# 1. 损失函数是什么？\n\n**定义**\n\n公式是 $L=a。b$，其中：\n\n$$\nL = x\n$$\n\n| 甲 | 乙 |\n|---|---|\n| 一 | 二 |\n\n"
        "1. 先算前向\n2. 再算反向\n\n```python\nloss = f(x)\n\n\nprint(loss)\n```\n"
    )
    question = parse_document(make_document(text))[0]
    answer = ask_notes(text, "损失函数是什么", "full")
    for block in (
        "$L=a。b$，其中：\n\n$$\nL = x\n$$",
        "| 一 | 二 |",
        "1. 先算前向\n2. 再算反向",
        "loss = f(x)\n\n\nprint(loss)",
    ):
        assert block in answer.text
    said = "".join("".join(citation.quote for citation in answer.citations).split())
    assert said == "".join(text[question.body_start : question.end].split())
