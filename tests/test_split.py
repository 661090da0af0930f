"""Messages that ask several things."""

import pytest

from rag.split import find_compared, split_questions


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
        "它能同时看到左边和右边的词，靠的是什么",
        "我在做文本分类，一个 batch 里句子长短不一，后面补了 0，怎么让它们不参与计算",
        "",
        "？？？",
    ],
)
def test_one_question_with_its_explanation_stays_whole(text: str) -> None:
    assert split_questions(text) == [text]


@pytest.mark.parametrize(
    ("text", "things"),
    [
        ("BN 和 LN 有什么区别", ("BN", "LN")),
        ("BN vs LN", ("BN", "LN")),
        ("讲讲BERT与GPT的异同", ("BERT", "GPT")),
        ("self-attention跟普通attention有啥不一样？", ("self-attention", "普通attention")),
        ("请问绝对位置编码和相对位置编码的区别是什么", ("绝对位置编码", "相对位置编码")),
        ("对比一下点积和加性注意力", ("点积", "加性注意力")),
        ("what is the difference between batch norm and layer norm?", ("batch norm", "layer norm")),
        ("compare BERT with GPT", ("BERT", "GPT")),
    ],
)
def test_a_comparison_names_two_things(text: str, things: tuple[str, str]) -> None:
    assert find_compared(text) == things


@pytest.mark.parametrize(
    "text",
    ["Q 和 K 为什么不同", "为什么要除以根号dk", "BERT 有什么不同", "它和 GPT 有什么区别", "BERT 和 BERT 的区别", ""],
)
def test_what_names_no_two_things_is_no_comparison(text: str) -> None:
    assert find_compared(text) is None
