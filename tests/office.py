"""Real PDF and Word files, written by hand, a web page and a notebook: what the tests of the readers share."""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from rag.parse import parse_document
from rag.types import Document, Question

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
TOP, LEADING = 780, 1.5

PdfLine = str | tuple[float, str]
"""A line in 12 points, or its size and text."""
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


def make_pdf(pages: Sequence[Sequence[PdfLine]]) -> bytes:
    """Write a PDF with Chinese text; a blank line leaves space."""
    font = (
        "<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UTF16-H/DescendantFonts[<</Type/Font"
        "/Subtype/CIDFontType0/BaseFont/STSong-Light/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 5>>"
        "/DW 1000>>]>>"
    )
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects = ["<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>", font]
    for at, lines in enumerate(pages):
        content = _draw(lines)
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>/Contents {5 + 2 * at} 0 R>>"
        )
        objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
    out, places = "%PDF-1.5\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj{body}endobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n"
    out += "".join(f"{place:010d} 00000 n \n" for place in places)
    out += f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n"
    return out.encode("latin-1")


def _draw(lines: Sequence[PdfLine]) -> str:
    drawn, y = [], float(TOP)
    for line in lines:
        size, text = (12.0, line) if isinstance(line, str) else line
        y -= size * LEADING
        if text:
            drawn.append(f"BT /F {size} Tf 1 0 0 1 60 {y:.1f} Tm <{text.encode('utf-16-be').hex()}> Tj ET")
    return "\n".join(drawn)


def write_pdf(file: Path, *pages: Sequence[PdfLine]) -> Path:
    file.write_bytes(make_pdf(pages))
    return file


def paragraph(text: str, style: str = "", numbered: int | None = None) -> str:
    """Write a paragraph of a Word file; `numbered` is the level of a list."""
    number = "" if numbered is None else f'<w:numPr><w:ilvl w:val="{numbered}"/><w:numId w:val="7"/></w:numPr>'
    name = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{name}{number}</w:pPr><w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def table(*rows: Sequence[str]) -> str:
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def make_docx(*blocks: str, doctype: str = "") -> bytes:
    """Write a Word file whose second heading style is named as Chinese Word does, with one list of two levels."""
    styles = (
        '<w:style w:styleId="1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:styleId="2"><w:name w:val="heading 2"/></w:style>'
        '<w:style w:styleId="a"><w:name w:val="我的问题"/><w:basedOn w:val="2"/></w:style>'
        '<w:style w:styleId="t"><w:name w:val="toc 1"/></w:style>'
        '<w:style w:styleId="c"><w:name w:val="Source Code"/></w:style>'
    )
    levels = "".join(
        f'<w:lvl w:ilvl="{at}"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="{text}"/></w:lvl>'
        for at, text in enumerate(("%1.", "%1.%2"))
    )
    numbering = f'<w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum><w:num w:numId="7"><w:abstractNumId w:val="0"/></w:num>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "word/document.xml", f"{doctype}<w:document {W}><w:body>{''.join(blocks)}</w:body></w:document>"
        )
        archive.writestr("word/styles.xml", f"<w:styles {W}>{styles}</w:styles>")
        archive.writestr("word/numbering.xml", f"<w:numbering {W}>{numbering}</w:numbering>")
    return out.getvalue()


def make_notebook(cells: object) -> str:
    return json.dumps({"nbformat": 4, "metadata": {"language_info": {"name": "python"}}, "cells": cells})


def parse(text: str, unit: str = "page") -> tuple[Question, ...]:
    return parse_document(Document("a.pdf", "a", text, "0", unit))  # type: ignore[arg-type]
