"""Make text of the lines of a PDF: drop what every page repeats, rejoin wrapped lines, mark headings and code."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

MIN_HEADING_SHARE = 1.1
"""Type this much larger than the body's is a heading's."""
SAME_SIZE = 0.03
MAX_HEADING_CHARS, MAX_BOLD_CHARS = 160, 100
FULL_SHARE, FULL_WITH_WORD_SHARE = 0.85, 0.95
"""A line at least this wide, of the widest usual one, goes on below; or so wide with the word that follows."""
MIN_LEADING, MIN_GAP = 0.9, 1.3
"""Lines of a paragraph stand at least so many sizes apart; paragraphs this much further."""
N_EDGE_LINES = 3
REPEATED_SHARE = 0.6
"""What stands at the edge of this many pages is no part of the notes."""

RADICALS = str.maketrans(
    "⼾⺟⺠⺫⺯⺶⺼⻁⻄⻅⻆⻉⻋⻓⻔⻗⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻨⻩⻬⻮⻰⻲⺁⺇⺌⺎⺕⺗⺝⺩⺪⺬⺭⺮⺳⻂⻊⻌⻏⻖⻟⻠",
    "户母民目糸羊肉虎西见角贝车长门雨青韦页风飞食马骨鬼鱼鸟麦黄齐齿龙龟厂几小尢彐心月王疋示礻竹网衤足辶邑阜飠饣",
)
"""Radicals that fonts print for characters, and that NFKC leaves alone."""
COMPATIBLE = re.compile("[\u2f00-\u2fdf\uf900-\ufaff\ufb00-\ufb06]")
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff\0\x0b\x0c]")
BULLET = re.compile(r"^(\s*)[•●○▪■◦◆‣∙\uf06c\uf0b7\uf0a7\uf0d8]\s*(?=\S)")
SPACED = re.compile(r"(?<=[\u3400-\u9fff，。、；：？！]) (?=[\u3400-\u9fff，。、；：？！])")
WIDE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60\u3000-\u303f]")
OPENS = re.compile(
    r"\s*(?:[-*+]\s|\d{1,3}\s*[.．、)）:：](?!\d)|\d{1,3}(?:\.\d{1,3})+\s|[（(【\[]\d{1,3}[)）】\]]|[①-⑳]|[一二三四五六七八九十]{1,3}[、.．]|[（(][一二三四五六七八九十]{1,3}[)）]"
    r"|第\s*[\d一二三四五六七八九十百]{1,4}\s*[题问章节道]|[QqAa]\s?\d*\s*[.:：]|[Qq]\d|(?:面试题|问题|题目|问|答|答案)\s*\d*\s*[:：]|#|>|\||```|\$\$)"
)
"""What a line of its own begins with: an item, a question, a heading."""
ENDS = re.compile(r"[。！？!?；;：:.…{}]\s*[」』”’）)\]]*\s*$")
SAYS = re.compile(r"[。；;：:，,]\s*$")
LEADER = re.compile(r"(?:[.．·…]\s?){4,}\s*\d+\s*$|…{2,}\s*\d+\s*$")
"""Dots that lead from an entry of a table of contents to its page."""
PAGE_MARK = re.compile(r"(?i)\W*(?:(?:第|共|页|page|of|p\.?)\s*|\d+|[-–—/|·.,，\s])+\W*")
NUMBER_AT_END = re.compile(r"(?<=[\s|/·–—-])(?:第\s*)?\d+(?:\s*/\s*\d+|\s*页)?\s*$|^\s*\d+\s*(?=[\s|/·–—-])")
QUESTION_WORD = re.compile(r"(?i)(?:第|面试题|问题|题目|题|问|q|question|chapter|section|part)\W*$")
LATIN_END, LATIN_START = re.compile(r"[A-Za-z0-9,.)%]$"), re.compile(r"[A-Za-z0-9(]")
COMMENT = re.compile(r"\s*(?:#|//|--)\s")
BROKEN_WORD = re.compile(r"([A-Za-z]+)-$")
MARKDOWN_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(?!\d|[Qq]\d|第)(?!.*[?？])")


@dataclass(frozen=True, slots=True)
class Line:
    """A line as a page shows it."""

    text: str
    size: float
    """Of most of its letters, in points."""
    y: float = 0.0
    """Height above the foot of the page, in points."""
    bold: bool = False
    mono: bool = False
    apart: bool = False
    """Whether there is space above it."""

    @property
    def width(self) -> float:
        """Roughly how wide it is, in points."""
        return self.size * (len(self.text) + len(WIDE.findall(self.text))) / 2


@dataclass(frozen=True, slots=True)
class _Layout:
    """What is usual in a document."""

    body: float
    """Size of most of its type."""
    headings: tuple[float, ...]
    """Sizes of headings, largest first."""
    width: float
    """Of a full line."""
    leading: float
    """From one line of a paragraph to the next, in sizes of its type."""
    words: frozenset[str]
    has_bold_body: bool

    def leads_apart(self, line: Line, below: Line) -> bool:
        """Tell whether more space than between lines of a paragraph stands between two."""
        return 0 < self.leading * MIN_GAP < _leading(line, below)

    def is_full(self, line: Line) -> bool:
        """Tell whether a line reaches the right margin."""
        return line.width >= FULL_SHARE * self.width

    def stands_out(self, line: Line) -> bool:
        """Tell whether a line in bold is a heading's, not the beginning of a paragraph."""
        return line.bold and not self.has_bold_body and not SAYS.search(line.text)

    def level(self, line: Line) -> int:
        """Return the level of a heading, or 0."""
        if line.mono or len(line.text) > MAX_HEADING_CHARS or not re.search(r"\w", line.text):
            return 0
        if line.size < self.body * MIN_HEADING_SHARE:
            return min(6, len(self.headings) + 1) if self.headings and self.stands_out(line) else 0
        return min(6, 1 + next(at for at, size in enumerate(self.headings) if line.size >= size * (1 - SAME_SIZE)))


def write_pages(pages: Sequence[Sequence[Line]]) -> list[str]:
    """Write each page's text: Markdown marks before headings and around code, blank lines where it leaves space."""
    cleaned = [
        [clean for line in lines if (clean := _clean(line)).text.strip() and not LEADER.search(clean.text)]
        for lines in pages
    ]
    kept = list(_drop_repeated(cleaned))
    layout = _measure(kept)
    return [_write_page(_join_wrapped(_settle_bold(lines, layout), layout), layout) for lines in kept]


def _clean(line: Line) -> Line:
    text = INVISIBLE.sub("", line.text.translate(RADICALS)).replace("\u00a0", " ").rstrip()
    text = COMPATIBLE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = BULLET.sub(r"\1- ", text)
    n_wide = len(WIDE.findall(text))
    if n_wide > 3 and len(SPACED.findall(text)) > n_wide / 2:  # justified by spaces between all characters
        text = SPACED.sub("", text)
    return replace(line, text=text if line.mono else text.lstrip())


def _drop_repeated(pages: Sequence[Sequence[Line]]) -> Iterator[list[Line]]:
    """Drop running heads, running feet and page numbers."""
    edges = [set(map(_key, _edge(lines))) for lines in pages]
    counts = Counter(key for keys in edges for key in keys)
    wanted = max(2, math.ceil(REPEATED_SHARE * len(pages)))
    repeated = {key for key, count in counts.items() if count >= wanted}
    for lines in pages:
        edge = {id(line) for line in _edge(lines)}
        yield [line for line in lines if id(line) not in edge or _key(line) not in repeated]


def _edge(lines: Sequence[Line]) -> list[Line]:
    return list(lines) if len(lines) <= 2 * N_EDGE_LINES else [*lines[:N_EDGE_LINES], *lines[-N_EDGE_LINES:]]


def _key(line: Line) -> str:
    """Return what a line says on every page: its page number left out, but never the number of a question."""
    text = line.text.strip()
    if PAGE_MARK.fullmatch(text) and re.search(r"\d", text):
        return "#"
    folded = NUMBER_AT_END.sub("#", text)
    rest = folded.replace("#", "").strip(" |/·–—-")
    is_mark = len(re.findall(r"\w", rest)) > 1 and not QUESTION_WORD.search(rest) and not OPENS.match(text)
    return folded if is_mark else text


def _measure(pages: Sequence[Sequence[Line]]) -> _Layout:
    lines = [line for own in pages for line in own]
    n_chars: Counter[float] = Counter()
    for line in lines:
        n_chars[line.size] += len(line.text)
    body = n_chars.most_common(1)[0][0] if n_chars else 1.0
    sizes: list[float] = []
    for size in sorted((one for one in n_chars if one >= body * MIN_HEADING_SHARE), reverse=True):
        if not sizes or size < sizes[-1] * (1 - SAME_SIZE):
            sizes.append(size)
    widths = sorted(line.width for line in lines)
    pairs = [(line, below) for own in pages for line, below in pairwise(own) if line.size == below.size == body]
    leadings = sorted(leading for pair in pairs if (leading := _leading(*pair)) > MIN_LEADING)
    return _Layout(
        body=body,
        headings=tuple(sizes),
        width=widths[int(0.95 * (len(widths) - 1))] if widths else 0.0,
        leading=leadings[len(leadings) // 4] if leadings else 0.0,
        words=frozenset(re.findall(r"[A-Za-z]+(?:-[A-Za-z]+)*", "\n".join(line.text for line in lines))),
        has_bold_body=sum(line.bold for line in lines) * 2 > len(lines),
    )


def _leading(line: Line, below: Line) -> float:
    """Return how far a line stands above the next, in sizes of its type; 0 where that is not known."""
    return (line.y - below.y) / max(line.size, below.size) if line.size and below.size else 0.0


def _settle_bold(lines: Sequence[Line], layout: _Layout) -> list[Line]:
    """Leave bold only what is a line of its own; inside a paragraph it only stresses."""
    settled: list[Line] = []
    for at, line in enumerate(lines):
        above = lines[at - 1] if at else None
        below = lines[at + 1] if at + 1 < len(lines) else None
        begins = not above or layout.leads_apart(above, line) or not layout.is_full(above) or ENDS.search(above.text)
        goes_on_bold = above is not None and settled[-1].bold and layout.is_full(above)
        ends = not below or below.bold or layout.leads_apart(line, below) or not layout.is_full(line)
        settled.append(replace(line, bold=bool(line.bold and ends and (begins or goes_on_bold))))
    return settled


def _join_wrapped(lines: Sequence[Line], layout: _Layout) -> list[Line]:
    """Rejoin what was only broken because the line was full; a space on the page becomes a blank line."""
    joined: list[Line] = []
    last: Line | None = None
    for line in lines:
        has_space = last is not None and layout.leads_apart(last, line)
        if joined and last and not has_space and _goes_on(joined[-1], last, line, layout):
            joined[-1] = replace(joined[-1], text=_join(joined[-1].text, line.text, layout.words))
        else:
            joined.append(replace(line, apart=has_space))
        last = line
    return joined


def _goes_on(line: Line, last: Line, following: Line, layout: _Layout) -> bool:
    """Tell whether a line, joined so far, was only broken because the last part of it was full."""
    level = layout.level(following)
    if line.mono or following.mono or layout.level(line) != level or OPENS.match(following.text):
        return False
    if level and len(line.text) + len(following.text) > MAX_HEADING_CHARS:
        return False
    first_word = re.match(r"[!-~]+|.", following.text)
    needed = replace(following, text=first_word[0] if first_word else "").width
    has_no_room = layout.is_full(last) or last.width + needed >= FULL_WITH_WORD_SHARE * layout.width
    return has_no_room and not ENDS.search(line.text)


def _join(text: str, following: str, words: frozenset[str]) -> str:
    """Put two halves together: Chinese without a space, a word broken by a hyphen whole again."""
    if (broken := BROKEN_WORD.search(text)) and (rest := re.match(r"[a-z]+", following)):
        is_compound = f"{broken[1]}-{rest[0]}" in words and broken[1] + rest[0] not in words
        return text + following if is_compound else text[:-1] + following
    space = " " if LATIN_END.search(text) and LATIN_START.match(following) else ""
    return text + space + following


def _write_page(lines: list[Line], layout: _Layout) -> str:
    parts: list[str] = []
    fenced = False
    for line in _spread_code(lines):
        is_code = line.mono and not layout.level(line)
        if is_code != fenced:
            parts.append("```" if fenced else "\n```")
            fenced = is_code
        parts.append(line.text.replace("```", "'''") if fenced else _mark(line, layout))
    return re.sub(r"\n{3,}", "\n\n", "\n".join([*parts, *(["```"] if fenced else [])])).strip()


def _spread_code(lines: list[Line]) -> Iterator[Line]:
    """Count comments beside code as code, though Chinese has another font."""
    for at, line in enumerate(lines):
        near = lines[max(0, at - 1) : at] + lines[at + 1 : at + 2]
        is_comment = COMMENT.match(line.text) and any(other.mono for other in near)
        yield replace(line, mono=True) if is_comment else line


def _mark(line: Line, layout: _Layout) -> str:
    """Put Markdown marks on a line, and take their meaning from what only looks like one."""
    text = line.text.replace("```", "'''")
    space = "\n" if line.apart else ""
    if level := layout.level(line):
        return f"\n{'#' * level} {text.lstrip('# ')}\n"
    if layout.stands_out(line) and len(text) <= MAX_BOLD_CHARS and "**" not in text:
        return f"\n**{text}**\n"
    return space + ("\\" if MARKDOWN_HEADING.match(text) else "") + text
