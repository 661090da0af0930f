"""Read a Word file as Markdown: headings, the numbers Word counts by itself, lists, tables and code."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag.adapters.readers import UnreadableFile

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MAX_UNPACKED_BYTES = 200 * 1024 * 1024
MAX_RATIO = 100
"""Of unpacked to packed bytes; a written page packs to a tenth, not to a hundredth."""
SMALL_BYTES = 1024 * 1024
"""What unpacks to less is harmless, however well it packs."""
SKIPPED = {f"{W}del", f"{W}moveFrom", f"{W}instrText", f"{W}delText", f"{W}rPr", f"{W}pPr"}
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
CODE_STYLE = re.compile(r"(?i)code|preformatted|代码|源码")
CONTENTS_NAME = re.compile(r"(?i)(?:toc|目录)\s*(?:\d|heading|标题)")
HEADING_NAME = re.compile(r"(?i)(?:heading|标题)\s*(\d)")
CHINESE_DIGITS = "零一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class _Style:
    """What a paragraph style means."""

    level: int = 0
    """Of a heading; 0 for any other text."""
    is_code: bool = False
    is_contents: bool = False
    """Of a table of contents, which only repeats the headings."""
    numbering: tuple[str, int] = ("", 0)
    """List and level that its paragraphs belong to."""


@dataclass(frozen=True, slots=True)
class _Level:
    """How one level of a list is numbered."""

    kind: str
    """`bullet`, `decimal`, …"""
    text: str
    """Its label: `%1.%2`."""
    start: int


@dataclass(slots=True)
class _Numbers:
    """The lists of a document, and how far each has counted."""

    levels: dict[tuple[str, int], _Level]
    counts: dict[str, list[int]] = field(default_factory=dict)

    def next_label(self, number: str, depth: int) -> str:
        """Count a paragraph, and return its label; `-` for a bullet, empty where the list has none."""
        level = self.levels.get((number, depth))
        if level is None or level.kind == "none":
            return ""
        if level.kind == "bullet":
            return "-"
        counts = self.counts.setdefault(number, [])
        while len(counts) <= depth:
            outer = self.levels.get((number, len(counts)))
            counts.append((outer.start if outer else 1) - 1 + (len(counts) < depth))
        counts[depth] += 1
        del counts[depth + 1 :]

        def fill(match: re.Match[str]) -> str:
            at = int(match[1]) - 1
            return _write_number(counts[at], level.kind) if at < len(counts) else ""

        return re.sub(r"%(\d)", fill, level.text).strip()


def read_docx(file: Path) -> str:
    """Return a Word file's text as Markdown.

    :raises UnreadableFile: when it is no Word file, or unpacks to far more than it is.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            check_unpacked_size(archive)
            names = set(archive.namelist())
            if "word/document.xml" not in names:
                raise UnreadableFile("不是 Word 文件（里面没有 word/document.xml）")
            body = _parse(archive, "word/document.xml")
            styles = _read_styles(_parse(archive, "word/styles.xml")) if "word/styles.xml" in names else {}
            levels = _read_levels(_parse(archive, "word/numbering.xml")) if "word/numbering.xml" in names else {}
    except zipfile.BadZipFile as error:
        raise UnreadableFile("不是 Word 文件，或者损坏、加了密码；旧的 .doc 要先另存为 .docx") from error
    blocks = _read_blocks(body.find(f"{W}body"), styles, _Numbers(levels))
    return _join_blocks(list(blocks))


def check_unpacked_size(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that would fill the memory, before anything is unpacked.

    :raises UnreadableFile: when it says that it unpacks to too much.
    """
    entries = archive.infolist()
    unpacked, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if unpacked > MAX_UNPACKED_BYTES:
        raise UnreadableFile(
            f"解开有 {unpacked // 1024 // 1024} MB，超过 {MAX_UNPACKED_BYTES // 1024 // 1024} MB 的上限"
        )
    if unpacked > SMALL_BYTES and unpacked > MAX_RATIO * max(packed, 1):
        raise UnreadableFile(f"解开是原来的 {unpacked // max(packed, 1)} 倍，不像正常的文档")


def _parse(archive: zipfile.ZipFile, name: str) -> Any:
    """Parse a part; zipfile never unpacks more than the size that was checked."""
    from defusedxml import ElementTree  # type: ignore[import-untyped]

    return ElementTree.fromstring(archive.read(name))


def _value(element: Any, path: str, default: str = "") -> str:
    found = element.find(path) if element is not None else None
    return str(found.get(f"{W}val", default)) if found is not None else default


def _read_styles(root: Any) -> dict[str, _Style]:
    """Read the paragraph styles; one that says nothing takes after the one it is based on."""
    own: dict[str, _Style] = {}
    parents: dict[str, str] = {}
    for style in root.iter(f"{W}style"):
        name, identity = _value(style, f"{W}name"), style.get(f"{W}styleId", "")
        heading = HEADING_NAME.fullmatch(name.strip())
        outline = _value(style, f"{W}pPr/{W}outlineLvl")
        level = int(heading[1]) if heading else int(outline) + 1 if outline.isdecimal() and int(outline) < 9 else 0
        level = 1 if name.lower() == "title" else level
        numbering = _read_list(style.find(f"{W}pPr"))
        own[identity] = _Style(level, bool(CODE_STYLE.search(name)), bool(CONTENTS_NAME.match(name)), numbering)
        parents[identity] = _value(style, f"{W}basedOn")
    return {identity: _inherit(identity, own, parents) for identity in own}


def _inherit(identity: str, own: dict[str, _Style], parents: dict[str, str]) -> _Style:
    found, seen = _Style(), set()
    while identity in own and identity not in seen:
        seen.add(identity)
        style = own[identity]
        found = _Style(
            found.level or style.level,
            found.is_code or style.is_code,
            found.is_contents or style.is_contents,
            found.numbering if found.numbering[0] else style.numbering,
        )
        identity = parents[identity]
    return found


def _read_list(properties: Any) -> tuple[str, int]:
    number = _value(properties, f"{W}numPr/{W}numId")
    depth = _value(properties, f"{W}numPr/{W}ilvl", "0")
    return number, int(depth) if depth.isdecimal() else 0


def _read_levels(root: Any) -> dict[tuple[str, int], _Level]:
    abstract: dict[str, dict[int, _Level]] = {}
    for entry in root.iter(f"{W}abstractNum"):
        levels = {}
        for level in entry.iter(f"{W}lvl"):
            start = _value(level, f"{W}start", "1")
            kind, text = _value(level, f"{W}numFmt", "decimal"), _value(level, f"{W}lvlText")
            levels[int(level.get(f"{W}ilvl", "0"))] = _Level(kind, text, int(start) if start.isdecimal() else 1)
        abstract[entry.get(f"{W}abstractNumId", "")] = levels
    found: dict[tuple[str, int], _Level] = {}
    for entry in root.iter(f"{W}num"):
        number = entry.get(f"{W}numId", "")
        for depth, level in abstract.get(_value(entry, f"{W}abstractNumId"), {}).items():
            found[number, depth] = level
    return found


def _write_number(number: int, kind: str) -> str:
    if not kind.startswith(("chinese", "japanese", "ideograph")) or not 0 < number < 100:
        return str(number)
    tens, ones = divmod(number, 10)
    return ("" if tens == 0 else "十" if tens == 1 else CHINESE_DIGITS[tens] + "十") + (
        CHINESE_DIGITS[ones] if ones or not tens else ""
    )


def _read_blocks(body: Any, styles: dict[str, _Style], numbers: _Numbers) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of paragraphs and tables: `heading`, `code`, `list`, `prose`, `table`."""
    for element in body if body is not None else ():
        if element.tag == f"{W}p":
            yield _read_paragraph(element, styles, numbers)
        elif element.tag == f"{W}tbl":
            yield "table", _read_table(element)
        elif element.tag == f"{W}sdt":
            yield from _read_blocks(element.find(f"{W}sdtContent"), styles, numbers)


def _read_paragraph(paragraph: Any, styles: dict[str, _Style], numbers: _Numbers) -> tuple[str, str]:
    properties = paragraph.find(f"{W}pPr")
    style = styles.get(_value(properties, f"{W}pStyle"), _Style())
    text = "" if style.is_contents else "".join(_read_text(paragraph))
    if style.is_code:
        return "code", text
    number, depth = _read_list(properties)
    number, depth = (number, depth) if number else style.numbering
    text = text.strip()
    label = numbers.next_label(number, depth) if number not in ("", "0") and text else ""
    outline = _value(properties, f"{W}outlineLvl")
    level = int(outline) + 1 if outline.isdecimal() and int(outline) < 9 else style.level
    if level and text:
        shown = f"{label} {text}" if label not in ("", "-") else text
        return "heading", f"{'#' * min(level, 6)} {shown}".replace("\n", " ")
    if label:
        return "list", "  " * depth + f"{label} {text}"
    return "prose", re.sub(r"(?m)^(#{1,6}\s)", r"\\\1", text)


def _read_text(element: Any) -> Iterator[str]:
    """Yield the text of runs and formulas; what was deleted, and doubles for old versions of Word, left out."""
    for child in element:
        if child.tag in SKIPPED or child.tag == FALLBACK:
            continue
        if child.tag in (f"{W}t", f"{M}t"):
            yield child.text or ""
        elif child.tag == f"{W}tab":
            yield "\t"
        elif child.tag in (f"{W}br", f"{W}cr"):
            yield "\n"
        elif child.tag == f"{W}noBreakHyphen":
            yield "-"
        else:
            yield from _read_text(child)


def _read_table(table: Any) -> str:
    rows = []
    for row in table.iter(f"{W}tr"):
        cells = ["".join(_read_text(cell)) for cell in row.iter(f"{W}tc")]
        rows.append("| " + " | ".join(re.sub(r"\s+", " ", cell).strip().replace("|", "\\|") for cell in cells) + " |")
    if rows:
        rows.insert(1, "|" + " --- |" * (rows[0].replace("\\|", "").count("|") - 1))
    return "\n".join(rows)


def _join_blocks(blocks: list[tuple[str, str]]) -> str:
    """Put blank lines between blocks, none inside a list, and a fence around code."""
    parts: list[str] = []
    before = ""
    for kind, text in blocks:
        if kind == "code" and before != "code":
            parts.append("\n```")
        elif before == "code" and kind != "code":
            parts.append("```\n")
        if kind == "code":
            parts.append(text.replace("```", "'''"))
        elif text.strip():
            parts.append(text if kind == before == "list" else f"\n{text}")
        before = kind if kind == "code" or text.strip() else before if before != "code" else ""
    if before == "code":
        parts.append("```")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip() + "\n"
