"""Messages that ask several things."""

import pytest

from rag.split import split_questions


@pytest.mark.parametrize(
    ("text", "n_parts"),
    [
        ("为什么要除以根号dk？另外 padding 怎么 mask？", 2),
        ("1. NSP 有没有必要 2. warm-up 为什么要做", 2),
        ("BERT 有几层？顺便讲讲它和 GPT 的区别", 1),
        ("Q、K 为什么用不同的权重，点乘换成加法又行不行", 2),
        ("what is self-attention and why does BERT mask tokens", 2),
        ("自注意力凭啥这么强，跟LSTM比优势在哪，最后BERT缺点是啥", 3),
    ],
)
def test_each_question_is_a_part_of_its_own(text: str, n_parts: int) -> None:
    assert len(split_questions(text)) == n_parts


@pytest.mark.parametrize(
    "text",
    [
        "为什么要除以根号dk",
        "Transformer 为什么需要多头注意力？这样做有什么好处？",
        "位置编码是什么，有什么意义",
        "我在做文本分类，一个 batch 里句子长短不一，后面补了 0，怎么让它们不参与计算",
        "",
        "？？？",
    ],
)
def test_one_question_with_its_explanation_stays_whole(text: str) -> None:
    assert split_questions(text) == [text]
