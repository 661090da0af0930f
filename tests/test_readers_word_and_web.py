"""Word files, web pages and notebooks become Markdown; bombs and empty pages are told."""

import zipfile
from pathlib import Path

import pytest

from rag.adapters.docx import MAX_UNPACKED_BYTES, check_unpacked_size, read_docx
from rag.adapters.notebook import read_notebook
from rag.adapters.pdf import read_pdf
from rag.adapters.readers import UnreadableFile
from rag.adapters.webpage import read_webpage
from tests.office import CELLS, HTML, make_docx, make_notebook, paragraph, parse, table, write_pdf


def test_a_word_file_keeps_headings_lists_tables_code_and_its_own_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.docx"
    file.write_bytes(
        make_docx(
            paragraph("笔记", "1"),
            paragraph("什么是注意力？", "a", numbered=0),
            paragraph("给各个位置分权重。"),
            paragraph("第一点", numbered=1),
            paragraph("第二点", numbered=1),
            paragraph("x = 1", "c"),
            paragraph("y = 2", "c"),
            table(("模型", "层数"), ("BERT", "12")),
            paragraph("什么是位置编码？", "a", numbered=0),
            paragraph("# 不是标题"),
        )
    )
    assert read_docx(file) == (
        "# 笔记\n\n## 1. 什么是注意力？\n\n给各个位置分权重。\n\n  1.1 第一点\n  1.2 第二点\n\n```\nx = 1\ny = 2\n```\n\n"
        "| 模型 | 层数 |\n| --- | --- |\n| BERT | 12 |\n\n## 2. 什么是位置编码？\n\n\\# 不是标题\n"
    )
    assert [question.label for question in parse(read_docx(file), "line") if not question.parent] == ["Q1", "Q2"]


def test_a_table_of_contents_makes_no_questions(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(
        make_docx(paragraph("1. 什么是注意力？ 3", "t"), paragraph("1. 什么是注意力？", "1"))
    )
    assert read_docx(tmp_path / "a.docx") == "# 1. 什么是注意力？\n"
    write_pdf(
        tmp_path / "a.pdf", ("目录", "1. 什么是注意力？........ 2", "2. 什么是位置编码？ . . . . . 3"), ("正文。",)
    )
    assert read_pdf(tmp_path / "a.pdf") == ["目录", "正文。"]


def test_deleted_text_of_a_word_file_stays_deleted(tmp_path: Path) -> None:
    gone = "<w:p><w:del><w:r><w:delText>删掉的话</w:delText></w:r></w:del><w:r><w:t>留下的话</w:t></w:r></w:p>"
    (tmp_path / "a.docx").write_bytes(make_docx(gone))
    assert read_docx(tmp_path / "a.docx") == "留下的话\n"


def test_a_word_file_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.docx"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * 5_000_000)
    with pytest.raises(UnreadableFile, match="倍，不像正常的文档"):
        read_docx(file)
    with zipfile.ZipFile(file) as archive:
        archive.infolist()[0].file_size = MAX_UNPACKED_BYTES + 1
        with pytest.raises(UnreadableFile, match="超过 200 MB 的上限"):
            check_unpacked_size(archive)


def test_a_web_page_becomes_markdown_without_scripts_and_styles() -> None:
    assert read_webpage(HTML.encode()) == (
        "# 笔记\n\n## 1. 什么是词袋模型？\n\n把一句话看成**词的集合**，\n不管先后。\n\n"
        "3. 建词表\n4. 数次数\n   - 可以加权\n\n```python\n# 数一数\ncount = {}\n```\n\n"
        "| 词 | 次数 |\n| --- | --- |\n| a\\|b | 2 |\n\n## 2. 什么是逆文档频率？\n\n\\# 不是标题\n"
    )


@pytest.mark.parametrize("head", ["", '<meta charset="gbk">'])
def test_a_web_page_in_gbk_is_read(head: str) -> None:
    assert read_webpage(f"{head}<p>什么是注意力</p>".encode("gbk")) == "什么是注意力\n"


def test_formulas_of_a_web_page_keep_their_source() -> None:
    math = '<math><mi>x</mi><annotation encoding="application/x-tex">\\sqrt{d_k}</annotation></math>'
    assert read_webpage(f'<p>除以{math}<span aria-hidden="true">√dk</span>。</p>'.encode()) == "除以$\\sqrt{d_k}$。\n"


def test_a_page_that_scripts_would_fill_is_told_to_be_empty() -> None:
    with pytest.raises(UnreadableFile, match="网页里没有文字"):
        read_webpage(b"<div id=app></div><script>render()</script>")


def test_cells_of_a_notebook_end_with_themselves(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(make_notebook([*CELLS, {"cell_type": "code", "source": []}]), encoding="utf-8")
    assert read_notebook(tmp_path / "a.ipynb") == [
        "# 梯度下降\n```\n没有关上的围栏\n```",
        "````python\nlr = 0.1  # 学习率\ns = '```'\n````",
        CELLS[2]["source"],
        "",
    ]
