"""What an answer shows of the notes."""

import pytest

from rag.answer import readable


def test_prose_in_a_code_fence_is_shown_as_prose_and_code_as_code() -> None:
    assert (
        readable("```\n答：在此后的研究中发现，NSP任务可能并不是必要的。 \n```\n")
        == "答：在此后的研究中发现，NSP任务可能并不是必要的。"
    )
    code = "```\nfc = nn.Linear(d, v, bias=False) # 定义，无 bias\n```"
    assert readable(code) == code
    assert readable("```python\n# 全是中文注释的代码\n```") == "```python\n# 全是中文注释的代码\n```"


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("![图](a.png)正文", "正文"),
        ("上文\n\n* * *\n\n下文", "上文\n\n下文"),
        ("**半句粗体", "半句粗体"),
        ("[原文](https://links.jianshu.com/go?to=https%3A%2F%2Fa.cn%2Fb)", "[原文](https://a.cn/b)"),
    ],
)
def test_pictures_and_rules_are_left_out_and_links_unwrapped(markdown: str, shown: str) -> None:
    assert readable(markdown) == shown
