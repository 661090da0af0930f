"""Read a Jupyter notebook: every cell's source, code in fences; outputs are left out."""

import json
import re
from pathlib import Path
from typing import Any

from rag.adapters.readers import UnreadableFile

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)


def read_notebook(file: Path) -> list[str]:
    """Return the text of every cell as Markdown, in order; an empty cell is empty.

    :raises UnreadableFile: when it is no notebook of format 4.
    """
    try:
        notebook = json.loads(file.read_bytes().decode("utf-8-sig"))
    except ValueError as error:
        raise UnreadableFile("不是笔记本（JSON 解不出来），或者已经损坏") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise UnreadableFile("不是第 4 版格式的笔记本；先在 Jupyter 里打开、保存一次")
    metadata = notebook.get("metadata") or {}
    language = (metadata.get("language_info") or {}).get("name") or (metadata.get("kernelspec") or {}).get("language")
    return [_write_cell(cell, str(language or "python")) for cell in cells]


def _write_cell(cell: dict[str, Any], language: str) -> str:
    source = cell.get("source", "")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    text = text.replace("\r\n", "\n").strip("\n")
    if not text.strip():
        return ""
    if cell.get("cell_type") == "code":
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
        return f"{fence}{language}\n{text}\n{fence}"
    return text + _close_fence(text)


def _close_fence(text: str) -> str:
    """Return what closes a fence that is left open: a cell ends with itself, not with the notebook."""
    mark = ""
    for match in FENCE.finditer(text):
        if not mark:
            mark = match[1]
        elif match[1].startswith(mark):
            mark = ""
    return f"\n{mark}" if mark else ""
