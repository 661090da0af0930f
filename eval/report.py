"""Write the report: three pictures, one page that holds them, and the table of the README."""

import base64
import html
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from eval.judge import Record
from eval.plots import MAIN, draw_categories, draw_risk, draw_times
from eval.readme import fill_section
from eval.results import Board, read_board, read_result, write_text
from eval.tables import format_board
from rag.errors import UsageError

LEFT_OUT = "full-"
"""Begins the names of configurations that leave one part out."""
SECTION = "eval"
"""Of the README."""
PAGE_NAME = "report.html"
PAGE = """<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>面经：检索评测</title>
<style>
body {{ font: 15px/1.6 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
       max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222 }}
img {{ max-width: 100% }} .table {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-size: 13px }}
td, th {{ padding: .25rem .5rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }}
td:first-child, th:first-child {{ text-align: left }}
</style></head><body>
<h1>面经：检索评测</h1>
{body}
<p>编码器 {encoder}；笔记 {corpus}；问题 {queries}</p>
</body></html>
"""


def write_report(folder: Path, board: Board, records: Mapping[str, tuple[Record, ...]]) -> Path:
    """Write pictures and page into a folder; the page needs nothing beside itself.

    :raises UsageError: when the folder cannot be written.
    """
    pictures = {
        "categories.png": draw_categories(board.rows),
        "risk.png": draw_risk(board.rows, records),
        "times.png": draw_times(board.rows),
    }
    write_text(folder / PAGE_NAME, make_page(board, pictures))
    for name, data in pictures.items():
        (folder / name).write_bytes(data)
    return folder / PAGE_NAME


def make_page(board: Board, pictures: Mapping[str, bytes]) -> str:
    """Make the page, the pictures inlined."""
    images = [
        f'<img alt="{html.escape(name)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
        for name, data in pictures.items()
    ]
    body = "\n".join([*images, *map(_to_html, format_board(board).split("\n\n"))])
    names = {name: html.escape(getattr(board, name)) for name in ("encoder", "corpus", "queries")}
    return PAGE.format(body=body, **names)


def _to_html(block: str) -> str:
    """Turn a paragraph or a Markdown table as `format_rows` writes it into HTML."""
    if not block.startswith("|"):
        return f"<p>{html.escape(block)}</p>"
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
    rows = [lines[0], *lines[2:]]
    tags = ["th", *["td"] * (len(rows) - 1)]
    cells = [
        "".join(f"<{tag}>{html.escape(cell.replace('`', ''))}</{tag}>" for cell in row)
        for tag, row in zip(tags, rows, strict=True)
    ]
    return '<div class="table"><table>' + "\n".join(f"<tr>{row}</tr>" for row in cells) + "</table></div>"


def read_records(folder: Path, board: Board) -> dict[str, tuple[Record, ...]]:
    """Read the judged queries of the rows that are drawn.

    :raises UsageError: when a result's file is missing.
    """
    return {row.name: read_result(folder / row.file).records for row in board.rows if row.name in MAIN}


def fill_readme(readme: Path, board: Board) -> None:
    """Put the tables into the README.

    :raises UsageError: when it cannot be read, or a marker is missing.
    """
    fill_section(readme, SECTION, format_readme(board))


def format_readme(board: Board) -> str:
    """Write the tables of the README: the ladder, without the rows that leave one part out of the whole."""
    return format_board(replace(board, rows=tuple(row for row in board.rows if not row.name.startswith(LEFT_OUT))))


def open_board(path: Path) -> Board:
    """Read a board that has something to draw.

    :raises UsageError: when there is no row.
    """
    board = read_board(path)
    if not board.rows:
        raise UsageError(f"{path}: 里面没有一个配置；重跑 python -m eval ablate")
    return board
