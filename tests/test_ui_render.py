"""Markdown of the notes becomes HTML that is safe, and marks what was quoted without changing what it means."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.marks import END, START
from ui.pictures import MAX_BYTES, Pictures
from ui.render import render_markdown

PNG = b"\x89PNG\r\n\x1a\n"
TAGS = set(
    "p br em strong s code pre copy-code tex-math ul ol li blockquote hr a span img h4 h5 h6 div table thead tbody tr th td mark sub sup".split()
)
ATTRIBUTES = {
    "href",
    "target",
    "rel",
    "class",
    "data-tex",
    "tabindex",
    "src",
    "alt",
    "loading",
    "role",
    "aria-label",
    "start",
}
HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<iframe src=javascript:alert(1)>",
    "[a](javascript:alert(1))", "[a](  JaVaScRiPt:alert(1) )", "[a](data:text/html;base64,PHNjcmlwdD4=)", "![a](javascript:alert(1))",
    '![a" onerror="alert(1)](x)', '<a href="x" onclick="alert(1)">a</a>', "<style>*{display:none}</style>", '<p style="position:fixed">a</p>',
    '$\\href{javascript:alert(1)}{x}$" onmouseover="alert(1)', "`<img src=x onerror=alert(1)>`", "```\n<script>alert(1)</script>\n```",
    "<sub><script>alert(1)</script></sub>", "<!-- --><b onclick=alert(1)>a</b>", "[a]: javascript:alert(1)\n\n[a]", "<javascript:alert(1)>",
    '<tex-math data-tex="x" onclick="alert(1)">', "| <td onclick=alert(1)> |\n|---|\n| <script> |", "&lt;script&gt; &#60;script&#62;",
]  # fmt: skip


class Reader(HTMLParser):
    """Collects the tags and attributes of a page as a browser would read them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def assert_safe(html: str) -> None:
    reader = Reader()
    reader.feed(html)
    assert reader.tags <= TAGS
    assert {name for name, _ in reader.attributes} <= ATTRIBUTES
    for name, value in reader.attributes:
        assert name != "href" or re.match(r"(?i)(https?|mailto):", value)
        assert name != "src" or value.startswith("data:image/")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_markdown_is_inert(text: str) -> None:
    assert_safe(render_markdown(text))
    assert_safe(render_markdown(text, [(0, len(text))]))


@given(
    st.lists(
        st.sampled_from(
            [*HOSTILE, "\n", "\n\n", "> ", "- ", "**", "`", "$", "$$", "[", "](", "<", '"', "|", START, END]
        )
    ),
    st.integers(0, 80),
)
def test_any_mixture_is_inert_and_its_marks_close(pieces: list[str], at: int) -> None:
    text = "".join(pieces)
    html = render_markdown(text, [(at, at + 30), (at + 40, len(text))])
    assert_safe(html)
    assert html.count("<mark>") == html.count("</mark>")
    assert START not in html
    assert END not in html


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("行内 $x_1$ 和 \\(y\\)", ['data-tex="x_1"', 'data-tex="y"']),
        ("$$\na \\\\ b_1*c*d\n$$", ['data-tex="a \\\\ b_1*c*d"', 'class="block"']),
        ("\\[\nE=mc^2\n\\]", ['data-tex="E=mc^2"']),
        ("前 $$a$$ 后", ['class="block"', 'data-tex="a"']),
        ("涨到 $5，又跌到 $4", ["涨到 $5，又跌到 $4"]),
        ("`$x$`", ["<code>$x$</code>"]),
        ("**注意：**后面", ["<strong>注意：</strong>后面"]),
        ("H<sub>2</sub>O<br>下一行", ["<sub>2</sub>", "<br />"]),
        ("<div align=center>居中</div>", ["<p>居中</p>"]),
        ("vector<int> 和 <T>", ["vector&lt;int&gt; 和 &lt;T&gt;"]),
        ("# 标题", ["<h4>标题</h4>"]),
        ("第一行\n第二行", ["第一行<br />"]),
    ],
)
def test_what_notes_write_is_drawn(text: str, expected: list[str]) -> None:
    html = render_markdown(text)
    for part in expected:
        assert part in html


@pytest.mark.parametrize(
    ("text", "quote", "marked"),
    [
        ("前一句。这一句。后一句。", "这一句。", ["这一句。"]),
        ("- 第一条\n- 第二条", "- 第一条\n- 第二条", ["第一条", "第二条"]),
        ("**粗体**的话", "**粗体**的话", ["粗体", "的话"]),
        ("# 标题\n\n正文", "# 标题\n\n正文", ["标题", "正文"]),
        ("| 甲 | 乙 |\n|---|---|\n| 一 | 二 |", "| 一 | 二 |", ["一", "二"]),
        ("```py\nx = 1\ny = 2\n```", "```py\nx = 1\ny = 2\n```", ["x = 1", "y = 2"]),
        ("一段\n\n* * *\n\n二段", "一段\n\n* * *\n\n二段", ["一段", "二段"]),
        ("看[这里](https://a.b)吧", "看[这里](https://a.b)吧", ["看", "这里", "吧"]),
        ("1. 甲\n2. 乙", "1. 甲", ["甲"]),
        ("> 引文", "> 引文", ["引文"]),
    ],
)
def test_a_quote_is_marked_and_the_rest_stays_as_it_was(text: str, quote: str, marked: list[str]) -> None:
    start = text.index(quote)
    html = render_markdown(text, [(start, start + len(quote))])
    assert re.findall(r"<mark>(.*?)</mark>", html) == marked
    assert re.sub(r"</?mark>", "", html) == render_markdown(text)


def test_a_formula_in_a_quote_is_marked_whole() -> None:
    text = "因为 $a_1$ 大。\n\n$$\nb\n$$"
    html = render_markdown(text, [(0, len(text))])
    assert '<mark><tex-math data-tex="a_1">' in html
    assert '<mark><tex-math class="block" tabindex="0" data-tex="b">' in html


def test_labels_become_what_they_stand_for_and_no_others_do() -> None:
    html = render_markdown("答案 [Q4][Q5]，[Q6](https://a.b)，`[Q4]`", chips={"Q4": "<i>4</i>", "Q6": "<i>6</i>"})
    assert "<i>4</i>[Q5]" in html
    assert '<a href="https://a.b"' in html
    assert "<code>[Q4]</code>" in html


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    (tmp_path / "notes" / "img").mkdir(parents=True)
    (tmp_path / "notes" / "img" / "a b.png").write_bytes(PNG)
    (tmp_path / "notes" / "fake.png").write_bytes(b"<svg onload=alert(1)>")
    (tmp_path / "notes" / "drawing.svg").write_bytes(b"<svg/>")
    (tmp_path / "notes" / "big.png").write_bytes(PNG + bytes(MAX_BYTES))
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "notes" / "link.png").symlink_to(tmp_path / "secret.png")
    return Pictures((tmp_path / "notes",), tmp_path / "notes")


def test_a_picture_of_the_notes_is_shown_inside_the_page(pictures: Pictures) -> None:
    assert '<img src="data:image/png;base64,iVBORw0KGgo="' in render_markdown("![图](img/a%20b.png)", pictures=pictures)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("img/none.png", "图片不在笔记文件夹里"),
        ("../secret.png", "图片不在笔记文件夹里"),
        ("link.png", "图片不在笔记文件夹里"),
        ("/etc/passwd", "图片不在笔记文件夹里"),
        ("img", "图片不在笔记文件夹里"),
        ("fake.png", "这种图片显示不了"),
        ("drawing.svg", "这种图片显示不了"),
        ("big.png", "这种图片显示不了"),
        ("https://a.b/c.png", "网上的图片，不自动下载"),
        ("//a.b/c.png", "网上的图片，不自动下载"),
        ("file:///etc/passwd", "网上的图片，不自动下载"),
        ("img/" + "x" * 5000, "图片不在笔记文件夹里"),
    ],
)
def test_any_other_picture_leaves_its_name_and_why(pictures: Pictures, source: str, why: str) -> None:
    html = render_markdown(f"![图](<{source}>)", pictures=pictures)
    assert "<img" not in html
    # an address that Markdown itself refuses stays as it was written
    assert why in html or source.startswith("file:")
