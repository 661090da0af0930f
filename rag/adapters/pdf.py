"""Read the pages of a PDF as Markdown-like text: headings by the size of their type, code by its fixed pitch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag.adapters.pdf_layout import Line, write_pages
from rag.adapters.readers import UnreadableFile

MAX_PAGES = 2_000
FIXED_PITCH, FORCE_BOLD = 1 << 0, 1 << 18
"""Bits of a font's flags (PDF 1.7, table 123)."""
BOLD_WEIGHT = 600
BOLD_SHARE = 0.95
"""Of a line's letters, for it to be bold as a whole."""
BOLD_NAMES = ("bold", "heavy", "black", "semibold", "medi")
MONO_NAMES = ("mono", "courier", "consol", "menlo", "monaco", "code")


@dataclass(slots=True)
class _Open:
    """A line while its pieces come: characters counted by size and by face."""

    text: str = ""
    sizes: dict[float, int] = field(default_factory=dict)
    n_chars: int = 0
    n_bold: int = 0
    n_mono: int = 0
    y: float | None = None

    def add(self, piece: str, size: float, y: float, font: Mapping[str, Any] | None) -> None:
        self.text += piece
        if n := len(piece.strip()):
            self.y = y if self.y is None else self.y
            self.sizes[size] = self.sizes.get(size, 0) + n
            self.n_chars += n
            bold, mono = _read_face(font)
            self.n_bold += n * bold
            self.n_mono += n * mono

    def close(self) -> Line:
        size = max(self.sizes, key=lambda one: self.sizes[one]) if self.sizes else 0.0
        is_bold = 0 < self.n_chars * BOLD_SHARE <= self.n_bold
        return Line(self.text, size, self.y or 0.0, bold=is_bold, mono=self.n_mono > self.n_chars / 2)


def read_pdf(file: Path) -> list[str]:
    """Return the text of every page, in order; a page without text is empty.

    :raises UnreadableFile: when it is locked, too long, broken, or holds pictures only.
    """
    import pypdf

    reader = pypdf.PdfReader(file)
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnreadableFile("这个 PDF 有密码，请另存一份不带密码的")
    n_pages = len(reader.pages)
    if n_pages > MAX_PAGES:
        raise UnreadableFile(f"有 {n_pages} 页，超过 {MAX_PAGES} 页的上限，请拆开")
    pages = []
    for number, page in enumerate(reader.pages, start=1):
        try:
            pages.append(_read_lines(page))
        # A damaged page can raise anything, from a missing key to a bad number.
        except Exception as error:
            raise UnreadableFile(f"第 {number} 页读不出来（{type(error).__name__}），文件可能损坏") from error
    if not any(line.text.strip() for lines in pages for line in lines):
        raise UnreadableFile("里面没有文字，可能是扫描件；先做文字识别（OCR）再放进来")
    return write_pages(pages)


def _read_lines(page: Any) -> list[Line]:
    """Read a page's lines in the order in which it draws them."""
    lines = [_Open()]

    def visit(text: str, cm: list[float], tm: list[float], font: Mapping[str, Any] | None, size: float) -> None:
        # Type is as large as the text matrix and the page's own scale make it.
        true_size = round(size * math.hypot(tm[2], tm[3]) * math.hypot(cm[2], cm[3]), 1)
        y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        first, *others = text.split("\n")
        lines[-1].add(first, true_size, y, font)
        for other in others:
            lines.append(_Open())
            lines[-1].add(other, true_size, y, font)

    page.extract_text(visitor_text=visit)
    return [line.close() for line in lines]


def _read_face(font: Mapping[str, Any] | None) -> tuple[bool, bool]:
    """Tell whether a font is bold, and whether all its letters are equally wide."""
    if not font:
        return False, False
    descendants = font.get("/DescendantFonts")
    descriptor = font.get("/FontDescriptor") or (descendants and descendants[0].get_object().get("/FontDescriptor"))
    facts: Mapping[str, Any] = descriptor.get_object() if descriptor is not None else {}
    name = str(font.get("/BaseFont") or facts.get("/FontName") or "").lower()
    flags = int(facts.get("/Flags", 0))
    bold = bool(flags & FORCE_BOLD) or int(facts.get("/FontWeight", 0)) >= BOLD_WEIGHT
    return (
        bold or any(part in name for part in BOLD_NAMES),
        bool(flags & FIXED_PITCH) or any(part in name for part in MONO_NAMES),
    )
