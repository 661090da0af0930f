"""Read Markdown by lines: the blocks of a text, and its words without the marks. Used by several stages."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

Kind = Literal["prose", "fence", "formula", "table", "list", "heading", "rule"]

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
# Untrusted text: no pattern may look past the next place where it could begin, or long lines take quadratic time.
IMAGE = re.compile(r"!\[[^\[\]]*\]\([^)\[\n]*\)|<img\b[^<>]*>", re.IGNORECASE)
LINK = re.compile(r"(?<!!)\[((?:[^\[\]\n]|\[[^\[\]\n]*\])*)\]\(\s{0,9}<?([^)\[\s>]*)(?:[\s>][^)\[\n]*)?\)")
ADDRESS = re.compile(r"<?https?://[^\s<>()（）\]，。；、]+>?")
COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL)
TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>")
SETEXT = re.compile(r" {0,3}(=+|-{2,})\s*$")
WRAPPERS = {"links.jianshu.com": "to", "link.jianshu.com": "t", "link.zhihu.com": "target", "link.juejin.cn": "target"}
"""Redirect hosts to the query field that holds the true address."""


@dataclass(frozen=True, slots=True)
class Block:
    """A run of lines of one kind; blank lines belong to none."""

    start: int
    end: int
    kind: Kind

    def slice_of(self, text: str) -> str:
        """Return the block's text."""
        return text[self.start : self.end]


def split_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of `text` in order; their ranges do not overlap and hold every non-blank line."""
    start, kind = 0, ""
    closing = ""
    at = 0
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if closing:
            at += len(line)
            if _closes(bare, closing):
                yield Block(start, at, kind)  # type: ignore[arg-type]
                kind = closing = ""
            continue
        found = _line_kind(line, bare, kind)
        if kind and (not bare or found != kind or kind in ("heading", "rule")):
            yield Block(start, at, kind)  # type: ignore[arg-type]
            kind = ""
        if bare and not kind:
            start, kind = at, found
            closing = _opens(bare, found)
        at += len(line)
    if kind:
        yield Block(start, at, kind)  # type: ignore[arg-type]


def _opens(bare: str, kind: str) -> str:
    """Return what ends a block that this line opens, or nothing when it ends with its kind of line."""
    if kind == "fence":
        mark = FENCE.match(bare)
        return mark[1] if mark else ""
    if kind == "formula" and not (len(bare) > 3 and bare.endswith("$$")):
        return "$$"
    return ""


def _closes(bare: str, closing: str) -> bool:
    if closing == "$$":
        return bare.endswith("$$")
    return bare.startswith(closing) and not bare.strip(closing[0])


def _line_kind(line: str, bare: str, before: str) -> str:
    """Name the kind of block a line begins or goes on with, given the kind before it."""
    if FENCE.match(line):
        return "fence"
    if bare.startswith("$$"):
        return "formula"
    if bare.startswith("|"):
        return "table"
    if SETEXT.match(line) or re.match(r" {0,3}([-*_])[ \t]*(\1[ \t]*){2,}$", line):
        return "rule"
    if re.match(r" {0,3}#{1,6}(\s|$)", line):
        return "heading"
    if re.match(r"\s*([-*+]|\d{1,3}[.)])\s+\S", line):
        return "list"
    if before == "list" or (before != "prose" and line.startswith(("    ", "\t"))):
        return "list"
    return "prose"


def plain_words(markdown: str) -> str:
    """Return the words of a text without Markdown marks, images, addresses and tags; formulas and code stay."""
    text = COMMENT.sub(" ", markdown)
    text = IMAGE.sub(" ", text)
    text = LINK.sub(r"\1", text)
    text = ADDRESS.sub(" ", text)
    text = html.unescape(TAG.sub(" ", text))
    lines = []
    for line in text.splitlines():
        if FENCE.match(line) or SETEXT.match(line) or re.match(r"[\s|:\-*_=]+$", line):
            continue
        line = re.sub(r"^\s*(#{1,6}\s+|>\s?|[-*+]\s+)+", "", line).rstrip("#").replace("|", " ")
        line = re.sub(r"(\*\*|__|`|~~)", "", line)
        line = re.sub(r"(?<![\w*])[*_](?=\S)(.{1,300}?)(?<=\S)[*_](?![\w*])", r"\1", line)
        line = re.sub(r"\\([\\`*_{}\[\]()#+\-.!|~>])", r"\1", line)
        if line.strip():
            lines.append(re.sub(r"[ \t\u3000]+", " ", line).strip())
    return "\n".join(lines)


def has_image(markdown: str) -> bool:
    """Tell whether a text shows an image."""
    return bool(IMAGE.search(markdown))


def unwrap_link(url: str) -> str:
    """Return the address a redirect link leads to; any other address stays."""
    parts = urlsplit(url.replace("\\", ""))
    field = WRAPPERS.get(parts.netloc.lower())
    target = parse_qs(parts.query).get(field, [""])[0] if field else ""
    return unquote(target) if target.startswith(("http://", "https://", "http%3A", "https%3A")) else url


def unwrap_links(markdown: str) -> str:
    """Unwrap the redirect links of a text that is shown."""
    return LINK.sub(lambda match: f"[{match[1]}]({unwrap_link(match[2])})", markdown)
