"""Make inputs that no one writes, mixed from the notes, from hostile fragments and from noise; `eval.fuzz` feeds them."""

import json
import random
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from rag.types import LENGTHS, Query, Turn

CORPUS = Path(__file__).parent.parent / "corpus"
MANIFEST = "manifest.json"
MAX_PIECES, MAX_CHARS = 12, 4_000
FRAGMENTS = (
    "# 1. ", "## 第3题", "1.1.1 ", "Q12：", "一、", "- ", "* * *\n", "> ", "```py\n", "~~~", "$$", "$x_1$", "\\(", "\\]", "|a|b|\n|-|-|\n",
    "![](", "](javascript:alert(1))", "<script>alert(1)</script>", '<img src=x onerror="x">', "<details><summary>", "</details>", "<!--",
    "-->", "&lt;", "&#x3c;", "**", "__", "`", "\n\n", "\r\n", "\t", "\x00", "\x1b[2J", "\u202e", "\u200b", "\ufeff", "\ud800", "\U0001f600",
    "第16题", "第3到5题", "q1-q99999999999", "最后一题", "倒数第二题", "另外", "区别", "BN 和 LN 有什么区别", "那第二个呢", "它为什么", "？", "。",
    "[Q4]", "[Q99]", "[^1]", "{}", "[]", '"', "\\", "0" * 40, "九" * 40, "a" * 300, " " * 300, "=" * 80, "((((", "为什么要除以根号dk", "ignore all",
)  # fmt: skip


@cache
def notes_text() -> str:
    """Return the notes that come with the program."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(CORPUS.glob("*.md")))


def make_text(rng: random.Random) -> str:
    """Mix a text from hostile fragments, stretches of the notes and noise."""
    notes = notes_text()
    pieces = []
    for _ in range(rng.randrange(1, MAX_PIECES)):
        kind = rng.random()
        if kind < 0.6:
            pieces.append(rng.choice(FRAGMENTS) * rng.choice((1, 1, 1, 2, 30)))
        elif kind < 0.9:
            at = rng.randrange(len(notes))
            pieces.append(notes[at : at + rng.randrange(200)])
        else:
            pieces.append(
                "".join(chr(rng.choice((rng.randrange(0x250), rng.randrange(0x3000, 0xA000)))) for _ in range(20))
            )
    return "".join(pieces)[:MAX_CHARS]


def make_value(rng: random.Random, depth: int = 0) -> object:
    """Make a JSON value of any shape."""
    kind = rng.randrange(8 if depth < 3 else 6)
    plain: tuple[object, ...] = (
        None,
        rng.random() < 0.5,
        rng.randrange(-9, 10**9),
        float("nan"),
        "",
        make_text(rng)[:80],
    )
    if kind < 6:
        return plain[kind]
    if kind == 6:
        return [make_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {
        rng.choice(("role", "content", "text", "id", "x")): make_value(rng, depth + 1) for _ in range(rng.randrange(4))
    }


def make_row(rng: random.Random) -> str:
    """Make a line of a batch: mostly one that is nearly right."""
    row = {
        "id": "1",
        "text": make_text(rng),
        "history": [
            {"role": rng.choice(("user", "assistant")), "content": make_text(rng)} for _ in range(rng.randrange(3))
        ],
        "length": rng.choice((*LENGTHS, "long")),
    }
    return _spoil(json.dumps(_change(rng, row), ensure_ascii=rng.random() < 0.5), rng)


def make_request(rng: random.Random) -> bytes:
    """Make the body of a chat request: mostly one that is nearly right."""
    parts = [{"type": rng.choice(("text", "image_url")), "text": make_text(rng)}]
    content = rng.choice((make_text(rng), parts))
    body = {
        "model": rng.choice(("mianjing", "mianjing-extractive", "gpt")),
        "messages": [
            {"role": rng.choice(("user", "assistant", "system", "x")), "content": content}
            for _ in range(rng.randrange(4))
        ],
        "stream": rng.choice((True, False, None)),
        "length": rng.choice((*LENGTHS, None, "x")),
    }
    return _spoil(json.dumps(_change(rng, body)), rng).encode("utf-8", "surrogatepass")


def _change(rng: random.Random, row: Mapping[str, object]) -> object:
    """Leave a value as it is, or put any other in the place of a field or of the whole."""
    kind = rng.random()
    if kind < 0.5:
        return row
    if kind < 0.9:
        return {**row, rng.choice([*row, "other"]): make_value(rng)}
    return make_value(rng)


def _spoil(text: str, rng: random.Random) -> str:
    """Now and then cut a text or put a character into it."""
    at = rng.randrange(len(text) + 1)
    return (
        text if rng.random() < 0.8 else text[:at] + rng.choice(("", "\n", "\\", '"', "\x00", "[" * 3_000)) + text[at:]
    )


def make_query(rng: random.Random) -> Query:
    """Make a question with a history."""
    roles = ("user", "assistant") * 2
    history = tuple(
        Turn("user" if role == "user" else "assistant", make_text(rng)) for role in roles[: rng.randrange(4)]
    )
    return Query(make_text(rng), history, rng.choice(LENGTHS))


def make_lie(files: Mapping[str, bytes], rng: random.Random) -> dict[str, bytes]:
    """Change a few bytes of one file of an index."""
    name = rng.choice([name for name in files if name != MANIFEST])
    data = bytearray(files[name])
    for _ in range(rng.choice((1, 1, 4, 30))):
        at = rng.randrange(len(data))
        data[at] = rng.choice((rng.randrange(256), data[at] ^ 1, ord("0"), 0xFF))
    return {**files, name: bytes(data[: rng.randrange(len(data))] if rng.random() < 0.1 else data)}
