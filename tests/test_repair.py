"""A reply is put right as it streams: labels, addresses, thoughts and fences, however it is cut."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.repair import Guard, drop_thinking, strip_thinking, unwrap

TOKENS = [
    "[Q4]", "[Q9]", "【", "】", "[", "]", "(", ")", "!", "<img", " src=", ">", "<", "http://e.cn", "https://ok.cn/a", "//e.cn/a",
    " ", "\n", "字", "，", "a", "&sol;", "\\", "Q4", "、", "\x1b", "`", "<think>", "</think>", "Q29",
]  # fmt: skip
GUARD = Guard({"Q4": ["Q4"], "Q29": ["Q29", "Q30"]}, {"https://ok.cn/a"})


def cut(text: str, seed: int) -> list[str]:
    rng, pieces, at = random.Random(seed), [], 0
    while at < len(text):
        pieces.append(text[at : (at := at + rng.randint(1, 6))])
    return pieces


@given(st.lists(st.sampled_from(TOKENS), max_size=14), st.integers(0, 2**32))
def test_a_stream_is_cleaned_as_the_whole_is_however_it_is_cut(tokens: Sequence[str], seed: int) -> None:
    text = "".join(tokens)
    assert "".join(GUARD.filter(iter(cut(text, seed)))) == GUARD.clean(text)
    assert "".join(drop_thinking(iter(cut(text, seed)))) == "".join(drop_thinking(iter([text])))


@given(st.lists(st.sampled_from(TOKENS), max_size=14))
def test_what_is_clean_stays_as_it_is_and_holds_no_stranger(tokens: Sequence[str]) -> None:
    clean = GUARD.clean("".join(tokens))
    assert "[Q9]" not in clean
    assert "http://e.cn" not in clean
    assert "\x1b" not in clean


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("【Q4、Q99】［Q29］[q]", "[Q4][Q29][Q30][q]"),
        ("[CLS] 和 f[0](x) 留着", "[CLS] 和 f[0](x) 留着"),
        ("[好](https://ok.cn/a) [坏](https://e.cn)", "[好](https://ok.cn/a) [坏]"),
        ("![a](&#104;ttps:&sol;&sol;e.cn/a)字", "字"),
        ("$\\frac{a}{b}$ // 注释 a<b", "$\\frac{a}{b}$ // 注释 a<b"),
    ],
)
def test_marks_of_every_kind_are_put_right(written: str, shown: str) -> None:
    assert GUARD.clean(written) == shown


def test_thinking_whose_opening_mark_was_in_the_prompt_is_left_out() -> None:
    assert strip_thinking("先想想</think>\n\n答案") == "答案"
    assert strip_thinking("`<think>` 是思考的开始") == "`<think>` 是思考的开始"


def test_a_reply_wrapped_in_a_fence_is_taken_out_of_it() -> None:
    assert unwrap("```markdown\n要缩放[Q4]。\n```") == "要缩放[Q4]。"
    assert unwrap("```python\nx = 1\n```") == "```python\nx = 1\n```"
    assert unwrap("```\na\n```\n字\n```\nb\n```").startswith("```")
