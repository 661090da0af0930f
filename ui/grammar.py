"""What the notes write beyond CommonMark: formulas, citations, bold text beside Chinese, a few tags of HTML."""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

FORMULAS = (
    (re.compile(r"\$\$([^$]+?)\$\$"), True),
    (re.compile(r"\\\[((?:(?!\\\[).)+?)\\\]", re.DOTALL), True),
    (re.compile(r"\\\(((?:(?!\\\().)+?)\\\)", re.DOTALL), False),
    (re.compile(r"\$(?![\s$])((?:\\.|[^$\\\n`])*?)(?<![\s\\])\$(?!\d)"), False),
)
"""Each way to write a formula inside a line, and whether it stands by itself."""
BLOCK_ENDS = {"$$": "$$", "\\[": "\\]"}
LABEL = re.compile(r"\[([^\[\]\n]{1,80})\](?!\()")
STRONG = re.compile(r"\*\*(?=[^\s*])([^*\n]*[^\s*])\*\*(?!\*)")
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL)
SCRIPTED = re.compile(r"<(sub|sup)>([^<>\n]{1,120})</\1>", re.IGNORECASE)
IMG = re.compile(r"<img\b([^<>]*)>", re.IGNORECASE)
ATTRIBUTE = re.compile(r"""\b(src|alt)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
PLAIN = re.compile(
    r"</?(?:a|b|big|center|code|dd|details|div|dl|dt|em|figure|figcaption|font|i|kbd|p|pre|small|span|strong|summary|u)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
"""Tags that only dress their content: it is shown without them. Any other tag is shown as it is written."""


def add_rules(parser: MarkdownIt) -> None:
    """Teach the parser what the notes write."""
    parser.inline.ruler.before("escape", "formula", _formula)
    parser.inline.ruler.before("emphasis", "strong", _strong)
    parser.inline.ruler.before("link", "chip", _chip)
    parser.inline.ruler.before("autolink", "tag", _tag)
    parser.block.ruler.before("fence", "formula", _formula_block, {"alt": ["paragraph", "blockquote", "list"]})


def _formula(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    for pattern, display in FORMULAS:
        found = pattern.match(state.src, state.pos, state.posMax)
        if found and found[1].strip():
            if not silent:
                token = state.push("math", "", 0)
                token.content, token.meta = found[1], {"display": display}
            state.pos = found.end()
            return True
    return False


def _strong(state: StateInline, silent: bool) -> bool:
    """Read `**对，**但是`: beside Chinese punctuation CommonMark would leave the asterisks standing."""
    found = STRONG.match(state.src, state.pos, state.posMax)
    if not found:
        return False
    if not silent:
        end = state.posMax
        state.push("strong_open", "strong", 1)
        state.pos, state.posMax = found.start(1), found.end(1)
        state.md.inline.tokenize(state)
        state.posMax = end
        state.push("strong_close", "strong", -1)
    state.pos = found.end()
    return True


def _chip(state: StateInline, silent: bool) -> bool:
    found = LABEL.match(state.src, state.pos, state.posMax)
    if not found or found[1] not in state.env.get("chips", {}):
        return False
    if not silent:
        state.push("chip", "", 0).content = found[1]
    state.pos = found.end()
    return True


def _tag(state: StateInline, silent: bool) -> bool:
    """Read the few tags that notes use; nothing of a tag reaches the page as it was written."""
    if state.src[state.pos] != "<":
        return False
    where = (state.src, state.pos, state.posMax)
    found = COMMENT.match(*where) or PLAIN.match(*where)
    if not found and (found := BREAK.match(*where)) and not silent:
        state.push("hardbreak", "br", 0)
    elif not found and (found := SCRIPTED.match(*where)) and not silent:
        token = state.push("scripted", found[1].lower(), 0)
        token.content = found[2]
    elif not found and (found := IMG.match(*where)) and not silent:
        values = {name.lower(): one or two or three for name, one, two, three in ATTRIBUTE.findall(found[1])}
        token = state.push("image", "img", 0)
        token.content, token.attrs, token.children = values.get("alt", ""), {"src": values.get("src", "")}, []
    if not found:
        return False
    state.pos = found.end()
    return True


def _formula_block(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """Read a formula on lines of its own, so that nothing in it is taken for Markdown."""
    if state.is_code_block(first):
        return False
    line = _line(state, first)
    opening = line[:2]
    closing = BLOCK_ENDS.get(opening)
    if not closing:
        return False
    last, tex = first, [line[2:]]
    while closing not in tex[-1]:
        last += 1
        if last >= end or state.isEmpty(last):
            return False
        tex.append(_line(state, last))
    inner, _, after = tex[-1].partition(closing)
    if after.strip():
        return False
    if not silent:
        token = state.push("math", "", 0)
        token.content, token.meta, token.block = "\n".join([*tex[:-1], inner]), {"display": True}, True
        token.map = [first, last + 1]
    state.line = last + 1
    return True


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]
