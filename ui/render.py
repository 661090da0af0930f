"""Render Markdown of the notes, or of an answer, as safe HTML.

Markdown's own HTML is never let through: every tag that comes out is written here. Formulas come out as `<tex-math>`
and code as `<copy-code>`, elements that app.js brings to life; without it they show their source.
"""

import html
import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from ui.grammar import add_rules
from ui.marks import END, START, insert_marks
from ui.pictures import NO_PICTURES, Pictures

Env = MutableMapping[str, Any]
TOP_HEADING = 3
"""Headings of the notes begin below those of the page."""
MARK = re.compile(f"([{START}{END}])")
OUTSIDE = re.compile(r"(?:https?|mailto):", re.IGNORECASE)


def render_markdown(
    text: str,
    highlights: Sequence[tuple[int, int]] = (),
    *,
    pictures: Pictures = NO_PICTURES,
    chips: Mapping[str, str] | None = None,
) -> str:
    """Render untrusted Markdown as HTML without scripts, foreign addresses or styles of its own.

    :param highlights: half-open character ranges of `text` to mark.
    :param pictures: finds the pictures that may be shown.
    :param chips: label to the safe HTML that stands for `[label]`.
    """
    env: Env = {"marking": False, "pictures": pictures, "chips": chips or {}}
    rendered: str = _parser().render(insert_marks(text, highlights), env)
    return rendered


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    add_rules(parser)
    for name, rule in RULES.items():
        parser.add_render_rule(name, rule)
    return parser


def _marked(text: str, env: Env) -> str:
    """Escape a text, and wrap what stands between marks; they may begin and end in different texts."""
    pieces = []
    for piece in MARK.split(text):
        if piece in (START, END):
            env["marking"] = piece == START
        elif piece:
            safe = html.escape(piece)
            pieces.append(f"<mark>{safe}</mark>" if env["marking"] else safe)
    return "".join(pieces)


def _unmarked(text: str) -> str:
    return MARK.sub("", text)


def _is_marked(text: str, env: Env) -> bool:
    """Tell whether a thing that is marked whole or not at all is marked, and keep count of the marks in it."""
    marked = env["marking"] or START in text
    for piece in MARK.findall(text):
        env["marking"] = piece == START
    return marked


def _text(_: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Env) -> str:
    return _marked(tokens[at].content, env)


def _code_inline(_: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Env) -> str:
    return f"<code>{_marked(tokens[at].content, env)}</code>"


def _code_block(_: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Env) -> str:
    return f'<copy-code><pre tabindex="0"><code>{_marked(tokens[at].content, env)}</code></pre></copy-code>\n'


def _math(_: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Env) -> str:
    token = tokens[at]
    marked = _is_marked(token.content, env)
    tex = html.escape(_unmarked(token.content).strip())
    block = ' class="block" tabindex="0"' if token.meta["display"] else ""
    element = f'<tex-math{block} data-tex="{tex}">{tex}</tex-math>'
    return f"<mark>{element}</mark>" if marked else element


def _image(_: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Env) -> str:
    token = tokens[at]
    _is_marked(token.content, env)
    return show_picture(env["pictures"], _unmarked(str(token.attrs.get("src", ""))), _unmarked(token.content))


def show_picture(pictures: Pictures, source: str, name: str) -> str:
    """Write a picture of the notes, or in its place what it is and why it is not shown."""
    found = pictures.find(source)
    if found.data:
        return f'<img src="{found.data}" alt="{html.escape(name or pictures.untitled)}" loading="lazy">'
    what = found.problem.format(name=" · ".join(part for part in (name, source) if part)[:300])
    return f'<span class="picture-missing" role="img" aria-label="{html.escape(what)}">{html.escape(what)}</span>'


def _link_open(_: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Env) -> str:
    address = _unmarked(str(tokens[at].attrs.get("href", "")))
    if not OUTSIDE.match(address):
        return '<span class="dead-link">'
    return f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer nofollow">'


def _link_close(_: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Env) -> str:
    depth, opening = 1, at
    while depth:
        opening -= 1
        depth += {"link_close": 1, "link_open": -1}.get(tokens[opening].type, 0)
    address = _unmarked(str(tokens[opening].attrs.get("href", "")))
    return "</a>" if OUTSIDE.match(address) else "</span>"


def _chip(_: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Env) -> str:
    return str(env["chips"][tokens[at].content])


def _heading(_: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Env) -> str:
    token = tokens[at]
    tag = f"h{min(6, int(token.tag[1]) + TOP_HEADING)}"
    return f"<{tag}>" if token.nesting == 1 else f"</{tag}>\n"


def _table_open(*_: Any) -> str:
    return '<div class="table" tabindex="0"><table>\n'


def _table_close(*_: Any) -> str:
    return "</table></div>\n"


def _scripted(_: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Env) -> str:
    tag = tokens[at].tag
    return f"<{tag}>{_marked(tokens[at].content, env)}</{tag}>"


RULES: dict[str, Callable[..., str]] = {
    "text": _text,
    "text_special": _text,
    "code_inline": _code_inline,
    "code_block": _code_block,
    "fence": _code_block,
    "math": _math,
    "image": _image,
    "link_open": _link_open,
    "link_close": _link_close,
    "chip": _chip,
    "heading_open": _heading,
    "heading_close": _heading,
    "table_open": _table_open,
    "table_close": _table_close,
    "scripted": _scripted,
}
"""How each kind of token is written; the rest are plain tags without attributes."""
