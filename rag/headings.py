"""Find the headings of a document and build their tree, with a CommonMark parser and its source maps."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag.markdown import plain_words
from rag.numbering import Numbering, read_number

FRONT_MATTER = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)
LISTED_HEADING = re.compile(r"^( {0,3}\d{1,3}[.)])[ \t](?=[^\n]*\n {0,3}(?:=+|-{3,})[ \t]*$)", re.MULTILINE)
SUMMARY = re.compile(r"<summary[^>]*>(.*?)</summary>", re.IGNORECASE | re.DOTALL)
MAX_TITLE_CHARS = 200

SUMMARY_LEVEL, LINE_LEVEL = 8, 9
"""Levels of a `<summary>` and of a question printed as a line: below every heading."""


@dataclass(slots=True)
class Heading:
    """A node of the heading tree; `text[start:end]` holds it with its subtree."""

    level: int
    title: str
    """Without marks, its number still before it."""
    printed: str
    start: int
    body_start: int
    end: int
    numbering: Numbering | None
    children: list["Heading"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The title without its number."""
        return self.numbering.title if self.numbering else self.title

    @property
    def own_end(self) -> int:
        """Where the heading's own text ends and that of its children begins."""
        return self.children[0].start if self.children else self.end


def find_line_starts(text: str) -> list[int]:
    """Return the offset of every line, and the end of the text."""
    starts = [0]
    starts.extend(match.end() for match in re.finditer("\n", text))
    return [*starts, len(text)]


def build_tree(text: str) -> Heading:
    """Build the tree of headings below a root that stands for the whole file."""
    starts = find_line_starts(text)
    front = FRONT_MATTER.match(text)
    skip = front.end() if front else 0
    # Front matter becomes blank lines, so that line numbers stay what they are.
    source = "\n" * text.count("\n", 0, skip) + text[skip:]
    # CommonMark reads an underlined `6. question` as a list item; a no-break space makes it the heading it looks like.
    source = LISTED_HEADING.sub("\\1\u00a0", source)
    root = Heading(0, "", "", skip, skip, len(text), None)
    path = [root]
    for level, line, after, raw in _read_headings(source):
        title = plain_words(raw).replace("\n", " ").strip()[:MAX_TITLE_CHARS]
        printed = text[starts[line] : starts[line + 1]].strip()
        heading = Heading(level, title, printed, starts[line], starts[after], len(text), read_number(title))
        while path[-1].level >= level:
            path.pop().end = heading.start
        path[-1].children.append(heading)
        path.append(heading)
    return root


def _read_headings(source: str) -> Iterator[tuple[int, int, int, str]]:
    """Yield (level, first line, line after, raw title) of the headings; a `<summary>` is one below all others."""
    parser = MarkdownIt("commonmark").enable("table").disable("inline", ignoreInvalid=True)
    tokens: list[Token] = parser.parse(source)
    for at, token in enumerate(tokens):
        if not token.map or token.level:
            continue
        if token.type == "heading_open":
            first, after = token.map
            if token.markup in ("=", "-"):
                # Of a paragraph with an underline, people mean the last line alone.
                first = after - 2
            raw = tokens[at + 1].content.rpartition("\n")[2]
            if plain_words(raw).strip():
                yield int(token.tag[1]), first, after, raw
        elif token.type == "html_block" and (summary := SUMMARY.search(token.content)):
            last = token.map[0] + token.content.count("\n", 0, summary.end()) + 1
            yield SUMMARY_LEVEL, token.map[0], min(last, token.map[1]), summary[1]
