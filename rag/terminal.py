"""Show an answer in a terminal while it is written, and put its final wording in the place of what was shown."""

import shutil
import sys
import unicodedata
from collections.abc import Callable

from rag.cite import group_citations, write_place
from rag.types import Answer, Reply

BOLD, DIM, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
TAB_CELLS = 8
CONTROLS = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"} | {0x7F: "␡"}
"""What a terminal would obey, to the picture that stands for it."""
DIRECTIONS = (*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Controls of eight bits, and marks that put what is read in another order than it is written."""
SHOWN: dict[int, str | None] = {**CONTROLS, **dict.fromkeys(DIRECTIONS, "\ufffd"), ord("\f"): None}
"""A form feed only parts the pages of a document."""
ESCAPED = {code: f"\\u{code:04x}" for code in (0x7F, *DIRECTIONS)}
"""What JSON itself leaves as it is."""


def count_rows(text: str, width: int) -> int:
    """Count the rows that a text takes in a terminal; Chinese characters take two cells."""
    rows = 0
    for line in text.split("\n"):
        rows, used = rows + 1, 0
        for char in line:
            cells = TAB_CELLS if char == "\t" else _count_cells(char)
            if used + cells > width:
                rows, used = rows + 1, 0
            used += cells
    return rows


def _count_cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) == "Cf":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def show_controls(text: str) -> str:
    """Write a text of others for a terminal, which must not obey it: control characters become visible."""
    return text.translate(SHOWN)


def escape_controls(record: str) -> str:
    """Write a line of JSON without the characters a terminal would obey; it stays the same JSON."""
    return record.translate(ESCAPED)


def show_line(text: str) -> str:
    """Write a text of others on one line of a terminal."""
    return show_controls(text).replace("\n", "␊")


def format_answer(answer: Answer, *, color: bool) -> str:
    """Write an answer for a terminal, its sources and what to read next below it."""
    bold, dim, plain = (BOLD, DIM, PLAIN) if color else ("", "", "")
    lines = [show_controls(answer.text)]
    if answer.citations:
        lines += ["", f"{bold}来源{plain}"]
        for first, places in group_citations(answer.citations):
            place = show_line(write_place(first.file, places, first.unit))
            lines.append(f"{show_line(f'[{first.label}] {first.title}')}  {dim}{place}{plain}")
    if answer.related:
        lines += ["", f"{bold}相关题目{plain}", *(show_line(f"[{label}] {title}") for label, title in answer.related)]
    return "\n".join(lines)


def show_reply(reply: Reply, write_whole: Callable[[Answer], str]) -> Answer:
    """Show the pieces as they come, then the whole answer as `write_whole` writes it, and return it."""
    shown = ""
    for piece in reply:
        if isinstance(piece, Answer):
            _put(_replace(shown, write_whole(piece)) + "\n")
            return piece
        piece = show_controls(piece)
        shown += piece
        _put(piece)
    raise ValueError("a reply ends with its answer")


def _replace(shown: str, whole: str) -> str:
    """Return what turns the shown text into the whole one."""
    if whole.startswith(shown):
        return whole[len(shown) :]
    width, height = shutil.get_terminal_size()
    rows = count_rows(shown, width)
    if rows >= height:  # its beginning has left the screen
        return f"\n\n核对以后：\n\n{whole}"
    up = f"\x1b[{rows - 1}A" if rows > 1 else ""
    return f"\r{up}\x1b[J{whole}"


def _put(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
