"""PDF files: lines become paragraphs, large type headings; running heads go; locked files and scans are told."""

import io
from pathlib import Path

import pypdf
import pytest

from rag.adapters.pdf import MAX_PAGES, read_pdf
from rag.adapters.readers import UnreadableFile
from tests.office import PDF, PdfLine, make_pdf, parse, write_pdf
from tests.ui_browser import open_browser


def test_running_heads_and_page_numbers_are_dropped_but_no_question_number(tmp_path: Path) -> None:
    assert "内部资料" not in "".join(read_pdf(write_pdf(tmp_path / "a.pdf", *PDF)))
    assert "- 2 -" not in "".join(read_pdf(tmp_path / "a.pdf"))
    for name in ("第{}题", "问题 {}", "Question {}"):
        cards = [(name.format(number), f"什么是概念{number}？", "就是这样。") for number in range(1, 5)]
        pages = read_pdf(write_pdf(tmp_path / "b.pdf", *cards))
        assert [page.split("\n")[0] for page in pages] == [name.format(number) for number in range(1, 5)]


def test_page_numbers_inside_a_running_foot_are_dropped(tmp_path: Path) -> None:
    pages = [(f"正文第{number}段，各不相同。", f"about:blank {number}/3") for number in range(1, 4)]
    assert read_pdf(write_pdf(tmp_path / "a.pdf", *pages)) == [
        "正文第1段，各不相同。",
        "正文第2段，各不相同。",
        "正文第3段，各不相同。",
    ]


def test_wrapped_lines_are_rejoined_and_new_paragraphs_are_not(tmp_path: Path) -> None:
    lines = (
        "注意力机制让每个位置都能看到序列里所有别的位置，因此能捕捉长距离的依",
        "赖，这一点跟循环网络很不一样。",
        "Training large models needs a warm-up phase, since the atten-",
        "tion weights are random at first and gradients point anywhere.",
        "1. 第一步先把词变成向量。",
        "2. 第二步加上位置编码。",
    )
    assert read_pdf(write_pdf(tmp_path / "a.pdf", lines))[0].split("\n") == [
        lines[0] + lines[1],
        "Training large models needs a warm-up phase, since the attention weights are random at first and gradients point anywhere.",
        lines[4],
        lines[5],
    ]


def test_a_full_line_that_ends_a_sentence_is_not_joined_to_the_next(tmp_path: Path) -> None:
    lines = ("残差连接让梯度可以直接传回去，所以网络可以很深。", "层归一化放在前面更容易训练，放在后面效果更好一些")
    assert read_pdf(write_pdf(tmp_path / "a.pdf", lines))[0].split("\n") == list(lines)


def test_large_type_makes_headings_and_code_comments_make_none(tmp_path: Path) -> None:
    page: tuple[PdfLine, ...] = (
        (24, "深度学习笔记"),
        (16, "残差连接"),
        "残差连接让梯度可以直接传回去。",
        "# 这是代码里的注释",
        (16, "权重衰减"),
        "权重衰减让参数不会太大。",
    )
    text = read_pdf(write_pdf(tmp_path / "a.pdf", page))[0]
    assert [line for line in text.split("\n") if line.startswith("#")] == [
        "# 深度学习笔记",
        "## 残差连接",
        "## 权重衰减",
    ]
    assert [question.title for question in parse(text)] == ["残差连接", "权重衰减"]


def test_radicals_that_fonts_print_become_characters(tmp_path: Path) -> None:
    assert read_pdf(write_pdf(tmp_path / "a.pdf", ("⽤⻓⽂本训练，⻅第⼆章",))) == ["用长文本训练，见第二章"]


def test_a_pdf_printed_by_a_browser_gives_its_questions(tmp_path: Path) -> None:
    bold = (
        "this line is bold from its first word to its last, " * 3
    )  # Latin, since a Chinese font may have no bold face
    stressed = f"<p>An ordinary sentence fills the line before it, and then <b>{bold}</b> and it goes on as before.</p>"
    code = "<pre><code># 求平均\nmean = x.mean()\n</code></pre>"
    body = "<h1>笔记</h1>" + "".join(
        f"<h2>{n}. 第{n}种方法有什么用？</h2><h4>Where it is used</h4>{stressed}{code}"
        + f"<p>第{n}种方法用在训练里，能让收敛更快，也更稳。</p>" * 9
        for n in range(1, 9)
    )
    with open_browser() as browser:
        page = browser.new_page()
        page.set_content(f"<meta charset=utf-8>{body}")
        page.pdf(path=tmp_path / "a.pdf", format="A5", display_header_footer=True, margin={"top": "60", "bottom": "60"})
    pages = read_pdf(tmp_path / "a.pdf")
    text = "\n\f\n".join(pages)
    found = parse(text)
    assert [question.title.replace(" ", "") for question in found] == [f"第{n}种方法有什么用？" for n in range(1, 9)]
    assert [section.title for section in found[0].sections] == ["Where it is used"]
    assert found[-1].lines[1] == len(pages) > 2
    assert text.count("```\n# 求平均\nmean = x.mean()\n```") == 8
    assert "about:blank" not in text


def test_a_locked_pdf_is_told_in_one_line(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(io.BytesIO(make_pdf(PDF)))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "a.pdf")
    with pytest.raises(UnreadableFile, match="有密码"):
        read_pdf(tmp_path / "a.pdf")


def test_a_pdf_that_only_its_owner_may_change_is_read(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(io.BytesIO(make_pdf(PDF)))
    writer.encrypt("", owner_password="secret", algorithm="RC4-128")
    writer.write(tmp_path / "a.pdf")
    assert len(read_pdf(tmp_path / "a.pdf")) == 3


def test_a_scan_is_told_to_have_no_text(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="扫描件"):
        read_pdf(write_pdf(tmp_path / "a.pdf", ("",), ("",)))


def test_a_pdf_of_too_many_pages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=f"有 {MAX_PAGES + 1} 页"):
        read_pdf(write_pdf(tmp_path / "a.pdf", *[("字",)] * (MAX_PAGES + 1)))
