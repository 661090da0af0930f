"""Notes that are no Markdown: PDF, Word, HTML and notebooks, whole and broken."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pypdf
import pytest

from rag.adapters.docx import MAX_UNPACKED_BYTES, check_unpacked_size, read_docx
from rag.adapters.notebook import read_notebook
from rag.adapters.pdf import MAX_PAGES, read_pdf
from rag.adapters.readers import UnreadableFile, open_reader
from rag.adapters.webpage import read_webpage
from rag.config import Settings
from rag.corpus import corpus_digest, read_corpus
from rag.parse import parse_document
from rag.pipeline import Notes, open_notes
from rag.terminal import format_answer
from rag.types import Answer, Document, Query, Question
from tests.office import PdfLine, make_docx, make_pdf, paragraph, table, write_pdf
from tests.test_architecture import HEAVY
from tests.ui_browser import open_browser

ROOT = Path(__file__).parent.parent
PDF: tuple[tuple[PdfLine, ...], ...] = (
    (
        "面试笔记 · 内部资料",
        "1. 为什么要除以根号dk？",
        "点积的方差随维度变大，除以根号dk让方差回到一，",
        "softmax 不会饱和，梯度不会消失。",
        "2. 什么是多头注意力？",
        "把向量分成几份各自做注意力，再拼起来。",
        "- 1 -",
    ),
    (
        "面试笔记 · 内部资料",
        "3. 层归一化和批归一化有什么区别？",
        "1. 层归一化在一个样本的特征维上做，跟批大小无关。",
        "2. 批归一化在一个批次上做。",
        "4. 学习率预热有什么用？",
        "训练刚开始时梯度方向不稳，先用小的学习率",
        "- 2 -",
    ),
    ("面试笔记 · 内部资料", "可以避免把参数带偏，之后再慢慢升上去。", "- 3 -"),
)
HTML = """<html><head><meta charset="utf-8"><title>x</title><style>p{color:red}</style></head><body>
<script>alert("秘密脚本")</script><nav>菜单</nav>
<h1>笔记</h1><h2>1. 什么是词袋模型？</h2><p>把一句话看成<b>词的集合</b>，<br>不管先后。</p>
<ol start="3"><li>建词表</li><li>数次数<ul><li>可以加权</li></ul></li></ol>
<pre><code class="language-python"># 数一数
count = {}</code></pre>
<table><tr><th>词</th><th>次数</th></tr><tr><td>a|b</td><td>2</td></tr></table>
<h2>2. 什么是逆文档频率？</h2><p># 不是标题</p></body></html>"""
CELLS = [
    {"cell_type": "markdown", "source": ["# 梯度下降\n", "```\n没有关上的围栏"]},
    {"cell_type": "code", "source": "lr = 0.1  # 学习率\ns = '```'"},
    {"cell_type": "markdown", "source": "## 1. 动量法解决什么问题？\n\n动量法累积历史梯度，减小来回震荡，收敛更快。"},
]


def make_notebook(cells: object) -> str:
    return json.dumps({"nbformat": 4, "metadata": {"language_info": {"name": "python"}}, "cells": cells})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notes of every kind."""
    here = tmp_path_factory.mktemp("notes")
    write_pdf(here / "transformer.pdf", *PDF)
    (here / "word.docx").write_bytes(
        make_docx(paragraph("1. 什么是丢弃法？", "1"), paragraph("训练时随机关掉一些神经元，防止过拟合。"))
    )
    (here / "bag.html").write_text(HTML, encoding="utf-8")
    (here / "momentum.ipynb").write_text(make_notebook(CELLS), encoding="utf-8")
    (here / "plain.txt").write_text(
        "Q1：什么是困惑度？\n答：\f交叉熵的指数。\n\nQ2：什么是束搜索？\n答：每步留下几条最好的。\n", encoding="utf-8"
    )
    return here


@pytest.fixture(scope="module")
def documents(folder: Path) -> dict[str, Document]:
    reading = read_corpus([folder])
    assert reading.problems == ()
    return {document.stem: document for document in reading.documents}


@pytest.fixture(scope="module")
def mixed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Notes:
    return open_notes(Settings(corpus=(folder,), index=tmp_path_factory.mktemp("index")), lambda line: None)


def ask(notes: Notes, text: str) -> Answer:
    return notes.ask(Query(text))


def parse(text: str, unit: str = "page") -> tuple[Question, ...]:
    return parse_document(Document("a.pdf", "a", text, "0", unit))  # type: ignore[arg-type]


def test_an_answer_from_a_pdf_cites_its_page(mixed: Notes) -> None:
    answer = ask(mixed, "层归一化和批归一化有什么区别")
    assert {(citation.unit, citation.lines) for citation in answer.citations} == {("page", (2, 2))}
    assert "transformer.pdf 第 2 页" in format_answer(answer, color=False)


def test_a_question_over_a_page_break_stays_one_and_its_quotes_are_exact(
    mixed: Notes, documents: dict[str, Document]
) -> None:
    question = next(question for question in mixed.questions if question.title == "学习率预热有什么用？")
    assert question.lines == (2, 3)
    answer = ask(mixed, "学习率预热有什么用")
    assert all(citation.quote in documents["transformer"].text for citation in answer.citations)
    assert {page for citation in answer.citations for page in citation.lines} == {2, 3}
    assert "\f" not in format_answer(answer, color=False)


def test_an_answer_from_a_notebook_cites_its_cell(mixed: Notes) -> None:
    assert "momentum.ipynb 第 3 格" in format_answer(ask(mixed, "动量法解决什么问题"), color=False)


@pytest.mark.parametrize(
    ("text", "place"),
    [("什么是丢弃法", "word.docx:1-3"), ("什么是词袋模型", "bag.html:"), ("什么是困惑度", "plain.txt:")],
)
def test_an_answer_from_other_text_cites_lines(mixed: Notes, text: str, place: str) -> None:
    answer = ask(mixed, text)
    assert not answer.abstained
    assert place.partition(":")[0] + ":" in format_answer(answer, color=False)
    assert {citation.unit for citation in answer.citations} == {"line"}


def test_passages_of_every_kind_are_exact_slices_that_know_their_places(
    mixed: Notes, documents: dict[str, Document]
) -> None:
    of_path = {document.path: document for document in documents.values()}
    paths = {question.id: question.path for question in mixed.questions}
    for passage in mixed.index.content.passages:
        document = of_path[paths[passage.question]]
        border = "\n" if document.unit == "line" else "\f"
        start = passage.start + len(passage.text) - len(passage.text.lstrip())
        assert passage.text == document.text[passage.start : passage.end]
        assert passage.unit == document.unit
        assert passage.lines[0] == document.text.count(border, 0, start) + 1
        assert passage.lines[1] == passage.lines[0] + passage.text.strip().count(border)


def test_form_feeds_only_part_pages_and_cells(documents: dict[str, Document]) -> None:
    breaks = {stem: document.text.count("\f") for stem, document in documents.items()}
    assert breaks == {"transformer": 2, "word": 0, "bag": 0, "momentum": 2, "plain": 0}
    assert documents["transformer"].text.count("\n\f\n") == 2


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


def test_a_numbered_list_inside_an_answer_makes_no_questions(documents: dict[str, Document]) -> None:
    questions = parse_document(documents["transformer"])
    assert [question.label for question in questions] == ["Q1", "Q2", "Q3", "Q4"]


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


def test_broken_files_are_named_and_all_others_are_read(tmp_path: Path) -> None:
    write_pdf(tmp_path / "good.pdf", *PDF)
    (tmp_path / "cut.pdf").write_bytes(make_pdf(PDF)[:300])
    (tmp_path / "old.docx").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "bomb.docx").write_bytes(
        make_docx(paragraph("x"), doctype='<!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>')
    )
    (tmp_path / "deep.html").write_text("<div>" * 5000 + "<p>底</p>", encoding="utf-8")
    (tmp_path / "not.ipynb").write_text("[]", encoding="utf-8")
    (tmp_path / "~$good.docx").write_bytes(b"lock")
    reading = read_corpus([tmp_path])
    assert [document.stem for document in reading.documents] == ["good"]
    reasons = {Path(line.partition(":")[0]).name: line.partition(":")[2] for line in reading.problems}
    assert set(reasons) == {"cut.pdf", "old.docx", "bomb.docx", "deep.html", "not.ipynb"}
    assert "另存为 .docx" in reasons["old.docx"]
    assert "EntitiesForbidden" in reasons["bomb.docx"]
    assert "嵌套太深" in reasons["deep.html"]
    assert all("\n" not in line and "其余笔记照常可用" in line for line in reading.problems)


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    file = write_pdf(tmp_path / "slow.pdf", *[("字" * 500,)] * 300)
    with open_reader(limit_s=0.05) as read, pytest.raises(UnreadableFile, match="0.05 秒还没有读完"):
        read(file, "slow")


def test_without_the_extra_a_file_is_named_with_the_command_and_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.md").write_text("# 1. 什么是注意力？\n\n权重。\n", encoding="utf-8")
    write_pdf(tmp_path / "b.pdf", ("没有读过的一页",))
    installed = corpus_digest([tmp_path])
    monkeypatch.setitem(sys.modules, "pypdf", None)
    reading = read_corpus([tmp_path])
    assert [document.stem for document in reading.documents] == ["a"]
    assert len(reading.problems) == 1
    assert "b.pdf" in reading.problems[0]
    assert "pip install '.[readers]'" in reading.problems[0]
    assert corpus_digest([tmp_path]) != installed  # so the file is read once the extra is there


def test_the_reading_process_can_neither_write_nor_connect(tmp_path: Path) -> None:
    script = (
        "import socket, subprocess, sys; from rag.adapters import extract\n"
        "sys.addaudithook(extract._forbid)\n"
        f"tries = [lambda: open({str(tmp_path / 'x')!r}, 'w'), lambda: socket.create_connection(('127.0.0.1', 9)),"
        " lambda: subprocess.run(['true'])]\n"
        "for one in tries:\n"
        "    try: one(); print('done')\n"
        "    except PermissionError: print('refused')\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.split() == ["refused"] * 3


def test_a_question_to_a_pdf_loads_nothing_heavy_here(folder: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from rag.ask import main\n"
        f"main(['--corpus', {str(folder)!r}, '--index', {str(tmp_path)!r}, '什么是多头注意力'])\n"
        f"print('LOADED', sorted(name for name in {HEAVY!r} if name in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "transformer.pdf 第 1 页" in result.stdout
    assert result.stdout.splitlines()[-1] == "LOADED []"
