"""Read an HTML page as Markdown: headings, lists, tables, code and formulas; scripts, styles and menus left out."""

import re
from collections.abc import Iterator
from typing import Any

from rag.adapters.readers import UnreadableFile

DROPPED = frozenset(
    "script style noscript template head svg canvas iframe object embed audio video form button input select textarea nav".split()
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
BLOCKS = frozenset(
    "address article aside blockquote body dd details div dl dt figcaption figure footer header hr html li main ol p pre section "
    "summary table tbody td tfoot th thead tr ul".split()
) | set(HEADINGS)
LANGUAGE = re.compile(r"(?:language|lang|highlight-source)-([\w+#-]+)")


def read_webpage(data: bytes) -> str:
    """Return a page's text as Markdown; its encoding is the one it names, or guessed.

    :raises UnreadableFile: when it holds no text.
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(data, "html.parser", from_encoding=_find_encoding(data))
    root = soup.find("main") or soup.body or soup
    text = re.sub(r"\n{3,}", "\n\n", "\n\n".join(_write_blocks(root))).strip()
    if not text:
        raise UnreadableFile("网页里没有文字；内容可能是打开时才由脚本生成的，请另存为 PDF 再放进来")
    return text + "\n"


def _find_encoding(data: bytes) -> str | None:
    """Return UTF-8 where the bytes are that: pages saved by editors often name another."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None if b"charset" in data[:4096].lower() or data.startswith((b"\xff\xfe", b"\xfe\xff")) else "gb18030"
    return "utf-8"


def _write_blocks(element: Any) -> Iterator[str]:
    """Yield the blocks inside an element, each as Markdown; stray text between them is a paragraph."""
    inline: list[Any] = []
    for child in element.children:
        if _is_dropped(child):
            continue
        name = getattr(child, "name", None)
        holds_blocks = name and name not in ("math", "code") and child.find(BLOCKS)
        if name not in BLOCKS and not holds_blocks:
            inline.append(child)
            continue
        yield from _write_paragraph(inline)
        inline = []
        yield from _write_block(child)
    yield from _write_paragraph(inline)


def _is_dropped(node: Any) -> bool:
    from bs4.element import PageElement, PreformattedString, Tag

    if isinstance(node, Tag):
        return node.name in DROPPED or node.get("aria-hidden") == "true" or node.has_attr("hidden")
    return isinstance(node, PreformattedString) or not isinstance(node, PageElement)


def _write_block(element: Any) -> Iterator[str]:
    name = element.name
    if name in HEADINGS:
        yield from (f"{'#' * HEADINGS[name]} {text}" for text in _write_paragraph(element.children, one_line=True))
    elif name == "summary":
        yield from (f"<summary>{text}</summary>" for text in _write_paragraph(element.children, one_line=True))
    elif name == "pre":
        yield _write_code(element)
    elif name in ("ul", "ol"):
        yield _write_list(element)
    elif name == "table":
        yield _write_table(element)
    elif name == "blockquote":
        for block in _write_blocks(element):
            yield re.sub(r"(?m)^", "> ", block)
    elif name != "hr":
        yield from _write_blocks(element)


def _write_paragraph(nodes: Any, *, one_line: bool = False) -> Iterator[str]:
    text = re.sub(r"[ \t\r\n\f]+", " ", "".join(_write_inline(nodes))).replace("\v", " " if one_line else "\n")
    text = re.sub(r" *\n *", "\n", text).strip()
    if text:
        yield text if one_line else re.sub(r"(?m)^(#{1,6}\s)", r"\\\1", text)


def _write_inline(nodes: Any) -> Iterator[str]:
    """Yield running text; a line break is a vertical tab until white space has been folded."""
    for node in nodes:
        if _is_dropped(node):
            continue
        name = getattr(node, "name", None)
        if name is None:
            yield str(node).replace("\v", " ")
        elif name == "br":
            yield "\v"
        elif name in ("code", "kbd", "samp"):
            yield f"`{node.get_text()}`" if node.get_text().strip() else ""
        elif name == "math":
            yield _write_formula(node)
        elif name in ("b", "strong"):
            text = "".join(_write_inline(node.children))
            yield f"**{text.strip()}**" if text.strip() and "**" not in text else text
        else:
            yield from _write_inline(node.children)


def _write_formula(math: Any) -> str:
    source = math.find("annotation", attrs={"encoding": "application/x-tex"})
    text = source.get_text().strip() if source else math.get_text(" ", strip=True)
    return f"$${text}$$" if math.get("display") == "block" else f"${text}$"


def _write_code(element: Any) -> str:
    names = " ".join(
        [*element.get("class", ()), *(one for code in element.find_all("code") for one in code.get("class", ()))]
    )
    language = LANGUAGE.search(names)
    text = element.get_text().strip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language[1] if language else ''}\n{text}\n{fence}"


def _write_list(element: Any) -> str:
    """Write a list, numbered as a browser numbers it."""
    start = str(element.get("start", "1"))
    number = int(start) if start.isdecimal() else 1
    lines = []
    for item in element.find_all("li", recursive=False):
        value = str(item.get("value", ""))
        number = int(value) if value.isdecimal() else number
        mark = f"{number}." if element.name == "ol" else "-"
        number += 1
        content = "\n".join(_write_blocks(item))
        if content.strip():
            lines.append(f"{mark} " + content.replace("\n", "\n" + " " * (len(mark) + 1)))
    return "\n".join(lines)


def _write_table(element: Any) -> str:
    """Write a table with its first row as head; one inside a cell becomes text."""
    rows = []
    for row in element.find_all("tr"):
        if row.find_parent("table") is not element:
            continue
        cells = [" ".join(_write_blocks(cell)) for cell in row.find_all(["td", "th"], recursive=False)]
        rows.append([re.sub(r"\s+", " ", cell).strip().replace("|", "\\|") for cell in cells])
    if not any(any(row) for row in rows):
        return ""
    width = max(map(len, rows))
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])
