"""Real PDF and Word files, written by hand: what the tests of the readers share."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
TOP, LEADING = 780, 1.5

PdfLine = str | tuple[float, str]
"""A line in 12 points, or its size and text."""


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
