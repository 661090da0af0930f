"""Split an answer into claims with the labels they cite, and put repaired labels and flags back in.

Only labels and flags are ever put in or taken out: every other character of the answer stays. A claim is a sentence of
prose, of a list or of a table's row. Headings, code, formulas, questions, announcements (`下面分三点说明：`), turns of
phrase (`总的来说`) and sentences that say what the notes lack make no claim about the field and are not checked.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rag.markdown import Block, plain_words, split_blocks

FLAG = "〔无依据〕"
OPENS, CLOSES = r"[\[【(（]", r"[\]】)）]"
MARK = re.compile(rf"{OPENS}((?:[^\[\]【】()（）\n])+){CLOSES}(?!\()")
LEAD = re.compile(r"^(?:详?见|参见|参考|来自|来源|出处|引自|笔记)?[:：\s]*")
NUMBERED = re.compile(r"(?:[\w.\-]+:)?Q\d+(?:\.\d+)*[a-z]?$")
SEPARATORS = re.compile(r"(?:(?<!\s)\s+)?[,，、;；和]\s*")
WHOLE = re.compile(r"`[^`\n]+`|\$[^$\n]+\$|\\\((?:(?!\\\().)+?\\\)|!?\[[^\[\]\n]*\]\((?:[^)\]\n]|\](?!\())*\)")
"""Inline code, formulas and links: no sentence ends and no label stands inside."""
SENTENCE = re.compile(
    r"\S.*?(?:[。！？!?]+(?![」』”’）)\]】])[」』”’）)*_]*|[。！？!?]+[」』”’）)*_]+|(?<=\x00)[；;]|(?<=[a-z0-9)\]\x00])\.(?=\s+\S)|$)"
)
"""A semicolon ends a sentence only after a label."""
AFTERWARDS = re.compile(r"[ \t]*\x00+")
"""Labels after a full stop belong to the sentence before it; labels are masked while sentences are sought."""
_CLOSERS = r"[\s。！？!?；;.，,、：:*_」』”’）)|〕]"
END = re.compile(rf"(?<!{_CLOSERS}){_CLOSERS}*$")
BULLET = re.compile(r"\s*(?:>\s?)*(?:[-*+]|\d{1,3}[.)、])\s+|\s*(?:>\s?)+|\s+")
TABLE_RULE = re.compile(r"[\s|:\-]+$")
EMPTY_WORDS = re.compile(
    r"总的来说|总而言之|综上所述|综上|总结一下|总结|概括地说|简单来说|简单说|简而言之|换句话说|也就是说|具体来说|具体如下|具体"
    r"|一般来说|首先|其次|再次|最后|第[一二三四五六]|另外|此外|因此|所以|下面|以下|如下|分别|说明|回答|解释|分析|介绍|来看|讲讲"
    r"|主要|有|分|为|是|从|[一二两三四五六七八九十几\d]+(?:个|点|条|种|步|方面|部分|项)?|方面|原因|要点|几点|包括|这个|问题|你好|您好"
    r"|根据|按照|笔记|可以|我们|来|的|了|地|这|那|好|嗯|希望|对你|对您|有帮助|帮助|in short|overall|in summary|first|second|finally"
)
ABSENCE = re.compile(
    r"笔记(?:里|中|上)?(?:并|也|都|还|其实)*(?:没有|没|未)(?:有)?(?:明确|具体|直接|专门)?(?:讲|提|说|写|涉及|覆盖|给出|记|回答|包含)"
)
MIN_CONTENT = 2
"""Letters and characters a claim has beyond empty words."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer that says something about the field."""

    start: int
    end: int
    """Of the sentence with its labels, in the answer."""
    close: int
    """Where a label is put: before the marks that end the sentence."""
    text: str
    """As it stands, its labels left out."""
    plain: str
    """Its words without Markdown marks."""
    labels: tuple[str, ...]
    marks: tuple[tuple[int, int], ...]
    """Where its labels stand, blanks before them included."""
    paragraph: int
    """Number of its paragraph, row or list item: a label at the end of one covers the sentences before it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a claim in the repaired answer."""

    labels: tuple[str, ...]
    """To stand in the text; empty: none."""
    flagged: bool = False


def find_marks(text: str, known: Collection[str]) -> list[tuple[int, int, tuple[str, ...]]]:
    """Find the labels of a line: where each mark stands, and what it names. `[MASK]` and `[4,768]` are none."""
    whole = [match.span() for match in WHOLE.finditer(text)]
    marks = []
    for match in MARK.finditer(text):
        names = tuple(part for part in SEPARATORS.split(LEAD.sub("", match[1]).strip()) if part)
        before = bisect_right(whole, (match.start(), len(text))) - 1
        inside = before >= 0 and match.end() <= whole[before][1]
        if names and not inside and all(name in known or NUMBERED.match(name) for name in names):
            marks.append((match.start(), match.end(), names))
    return marks


def split_claims(text: str, known: Collection[str]) -> list[Claim]:
    """Split an answer into its claims, in order.

    :param known: labels that may stand in it whatever their form.
    """
    claims: list[Claim] = []
    paragraph = 0
    for block in split_blocks(text):
        paragraph += 1
        if block.kind in ("prose", "list", "table"):
            for start, end in _split_lines(text, block):
                # The lines of a paragraph belong together; rows and items stand each for itself.
                paragraph += block.kind != "prose"
                claims += _split_line(text, start, end, paragraph, known)
    return claims


def _split_lines(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """Yield the lines of a block without bullets and blank ends; of a table only the rows below its rule."""
    at = block.start
    lines = block.slice_of(text).splitlines(keepends=True)
    n_head = 1 + next((n for n, line in enumerate(lines) if TABLE_RULE.match(line)), -1) if block.kind == "table" else 0
    for number, line in enumerate(lines):
        bullet = BULLET.match(line)
        start = at + (bullet.end() if bullet else 0)
        end = at + len(line.rstrip())
        at += len(line)
        if start < end and number >= n_head:
            yield start, end


def _split_line(text: str, start: int, end: int, paragraph: int, known: Collection[str]) -> Iterator[Claim]:
    line = text[start:end]
    marks = find_marks(line, known)
    masked = WHOLE.sub(lambda match: "x" * len(match[0]), line)
    for first, last, _ in marks:
        masked = masked[:first] + "\x00" * (last - first) + masked[last:]
    at, firsts = 0, [first for first, _, _ in marks]
    while match := SENTENCE.search(masked, at):
        if match.end() == match.start():
            break
        at = match.end()
        while following := AFTERWARDS.match(masked, at):
            at = following.end()
        # A stop after the labels that follow a stop: `……。[Q4]。`
        own = marks[bisect_left(firsts, match.start()) : bisect_left(firsts, at)]
        if claim := _make_claim(text, start + match.start(), start + at, start, own, paragraph):
            yield claim


def _make_claim(
    text: str, start: int, end: int, base: int, marks: Sequence[tuple[int, int, tuple[str, ...]]], paragraph: int
) -> Claim | None:
    own = [(base + first, base + last, names) for first, last, names in marks if start <= base + first < end]
    spans = []
    for first, last, _ in own:
        blank = len(text[start:first]) - len(text[start:first].rstrip(" \t"))
        spans.append((first - blank, last))
    bare = _cut(text, start, end, spans).replace(FLAG, "")
    plain = plain_words(bare.strip(" |"))
    if not _says_something(plain):
        return None
    close = _find_close(text, start, end, spans)
    names = tuple(dict.fromkeys(name for _, _, names in own for name in names))
    return Claim(start, end, close, bare.strip(" \t|"), plain, names, tuple(spans), paragraph)


def _find_close(text: str, start: int, end: int, spans: Sequence[tuple[int, int]]) -> int:
    """Find where a label goes: after the last word that is no label."""
    for first, last in reversed(spans):
        if not text[last:end].strip(" \t。！？!?；;.|"):
            end = first
    closing = END.search(text[start:end])
    return start + closing.start() if closing else end


def _says_something(plain: str) -> bool:
    """Tell a claim from a question, an announcement, a turn of phrase, or what says that the notes lack something."""
    if plain.rstrip(" *”’」』）)").endswith(("？", "?")) or ABSENCE.search(plain):
        return False
    content = re.sub(r"[\W_]+", "", EMPTY_WORDS.sub("", plain.lower()))
    announces = plain.rstrip().endswith(("：", ":")) and re.search(
        r"如下|以下|下面|[几两三四五六\d](?:个|点|条|种|方面)", plain
    )
    return len(content) >= MIN_CONTENT and not (announces and len(content) < 6 * MIN_CONTENT)


def _cut(text: str, start: int, end: int, spans: Sequence[tuple[int, int]]) -> str:
    kept, at = "", start
    for first, last in spans:
        kept, at = kept + text[at:first], last
    return kept + text[at:end]


def repair(text: str, claims: Sequence[Claim], outcomes: Sequence[Outcome], known: Mapping[str, object]) -> str:
    """Write an answer again with the labels and flags its claims should have.

    Labels that belong to no claim stay where `known` holds them.
    """
    edits = [edit for claim, outcome in zip(claims, outcomes, strict=True) for edit in _edit(text, claim, outcome)]
    taken = [span for claim in claims for span in claim.marks]
    edits += [edit for edit in _edit_loose(text, known) if not any(s <= edit[0] and edit[1] <= e for s, e in taken)]
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def write_labels(labels: Sequence[str]) -> str:
    """Write labels as they stand in a text: `[Q4][Q9]`."""
    return "".join(f"[{label}]" for label in labels)


def _edit(text: str, claim: Claim, outcome: Outcome) -> Iterator[tuple[int, int, str]]:
    """Yield what to replace: (start, end, new text)."""
    had_flag = text.startswith(FLAG, claim.end) or FLAG in text[claim.start : claim.end]
    if outcome.labels != claim.labels or any(text[s:e].strip() != write_labels(claim.labels) for s, e in claim.marks):
        for place, (start, end) in enumerate(claim.marks):
            blank = text[start:end][: len(text[start:end]) - len(text[start:end].lstrip())]
            new = blank + write_labels(outcome.labels) if outcome.labels and not place else ""
            yield start, end, new
        if outcome.labels and not claim.marks:
            yield claim.close, claim.close, write_labels(outcome.labels)
    if outcome.flagged and not had_flag:
        row_end = re.search(r"\s*\|\s*$", text[claim.start : claim.end])
        at = claim.start + row_end.start() if row_end else claim.end
        yield at, at, FLAG


def _edit_loose(text: str, known: Mapping[str, object]) -> Iterator[tuple[int, int, str]]:
    """Yield the removal of labels outside any claim that were never retrieved; code and formulas are left alone."""
    for block in split_blocks(text):
        if block.kind in ("fence", "formula"):
            continue
        for first, last, names in find_marks(block.slice_of(text), known):
            kept = [name for name in names if name in known]
            if len(kept) < len(names):
                yield block.start + first, block.start + last, write_labels(kept)
