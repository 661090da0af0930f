"""Split documents into questions.

The headings of a document form a tree (`headings.py`); walking it decides which of
them are questions, which are sections inside an answer, and which are groups that only hold questions. Where a
section has no question headings, lines that are numbered or bold are tried. See docs/parsing.md.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rag.headings import LINE_LEVEL, MAX_TITLE_CHARS, SUMMARY_LEVEL, Heading, build_tree, find_line_starts
from rag.markdown import COMMENT, has_image, plain_words, split_blocks
from rag.numbering import Numbering, read_number
from rag.types import AnswerText, Document, Question, Section

INTERROGATIVE = re.compile(
    r"[?？]|什么|怎么|怎样|如何|为什么|为何|为啥|哪些|哪个|哪种|多少|是否|能否|区别|优缺点|吗$|呢$|手写|谈谈|说说|简述|介绍一下"
    r"|\b(what|why|how|when|which|explain|difference)\b",
    re.IGNORECASE,
)
NO_QUESTION = re.compile(
    r"^\W*(目录|目 录|contents?|table of contents|toc|参考|参考资料|参考文献|参考链接|引用|references?|致谢|贡献者|联系.{0,4}|license|版权.*|"
    r"前言|推荐阅读|扩展阅读|相关阅读|更新日志|changelog)\W*$",
    re.IGNORECASE,
)
BOLD_LINE = re.compile(r"\s{0,3}(?:\*\*|__)(?P<text>[^*\n]{2,120}?)(?:\*\*|__)\s*[:：]?\s*$")
SUB_NUMBER = re.compile(r"\s{0,3}(?:\*\*)?(\d{1,3}(?:\.\d{1,3})+)(?![\d%])[\s.、:：]*(?=\S)")
MIN_OWN_WORDS = 12
"""A heading with fewer words of its own than this may be a group of the questions below it."""
CHAPTER_RULES = ("chinese numeral", "chinese brackets")
MIN_LINE_QUESTIONS = 2
SLUG_CHARS = 20


@dataclass(frozen=True, slots=True)
class _Found:
    """A question, before it has an id."""

    heading: Heading
    end: int
    groups: tuple[str, ...]
    sections: tuple[Section, ...] = ()


def parse_document(document: Document) -> tuple[Question, ...]:
    """Find the questions of a document in its order, sub-questions after the question that holds them."""
    text = document.text
    root = build_tree(text.replace("\f", " "))  # a border of pages is a blank line
    found = list(_find_questions(root, (), text))
    if not found and plain_words(text).strip():
        found = [_Found(replace(root, title=document.stem, printed=""), len(text), ())]
    questions = []
    starts = find_line_starts(text)
    for entry in found:
        question = _make_question(document, starts, entry)
        questions += [question, *_find_sub_questions(document, starts, question)]
    return _name_questions(questions, document.stem)


def _is_question_like(heading: Heading) -> bool:
    return heading.numbering is not None or bool(INTERROGATIVE.search(heading.title)) or heading.level == SUMMARY_LEVEL


def _any_question_below(heading: Heading) -> bool:
    return any(_is_question_like(child) or _any_question_below(child) for child in heading.children)


def _find_questions(heading: Heading, groups: tuple[str, ...], text: str) -> Iterator[_Found]:
    """Walk the tree and yield its questions."""
    if NO_QUESTION.match(heading.name):
        return
    own = text[heading.body_start : heading.own_end]
    n_words = len(re.findall(r"\w", plain_words(own))) + has_image(own)
    if heading.level and _is_question_like(heading) and not _holds_questions(heading, n_words):
        yield _Found(heading, heading.end, groups, tuple(_list_sections(heading)))
        return
    inner = (*groups, heading.name) if heading.level else groups
    lines = _find_line_questions(text, heading.body_start, heading.own_end, bool(heading.children))
    if lines:
        n_before = len(re.findall(r"\w", plain_words(text[heading.body_start : lines[0].start])))
        if heading.level and n_before:
            yield _Found(_without_chapter_number(heading), lines[0].start, groups)
        yield from (_Found(line, line.end, inner) for line in lines)
    elif heading.level and (n_words or (heading.numbering and not heading.children)):
        yield _Found(_without_chapter_number(heading), heading.own_end, groups)
    elif not heading.level and heading.children and n_words >= MIN_OWN_WORDS * 3 and not _is_list_of_links(own):
        yield _Found(replace(heading, title="前言"), heading.own_end, ())
    for child in heading.children:
        yield from _find_questions(child, inner, text)


def _without_chapter_number(heading: Heading) -> Heading:
    """Take the number off a group that has text of its own: `一、` counts chapters, and would clash with question 1."""
    is_chapter = heading.numbering is not None and heading.numbering.rule in CHAPTER_RULES and heading.children
    return replace(heading, title=heading.name, numbering=None) if is_chapter else heading


def _is_list_of_links(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return sum("](" in line for line in lines) * 2 > len(lines)


def _holds_questions(heading: Heading, n_own_words: int) -> bool:
    """Tell a group with questions below it from a question whose answer has headings.

    A numbered question that asks something keeps all below it, unless the numbers below extend its own (3, 3.1).
    """
    if not _any_question_below(heading):
        return False
    asks = bool(INTERROGATIVE.search(heading.title))
    if any(_extends(heading, child) or child.level == SUMMARY_LEVEL for child in heading.children):
        return True
    if heading.numbering and asks:
        return False
    if n_own_words < MIN_OWN_WORDS:
        return True
    return any(INTERROGATIVE.search(child.title) for child in heading.children)


def _extends(heading: Heading, child: Heading) -> bool:
    if not heading.numbering or not child.numbering:
        return False
    return child.numbering.number.startswith(heading.numbering.number + ".")


def _list_sections(heading: Heading) -> Iterator[Section]:
    for child in heading.children:
        yield Section(child.title, child.level, child.start, child.end)
        yield from _list_sections(child)


def _find_line_questions(text: str, start: int, end: int, has_children: bool) -> list[Heading]:
    """Find questions printed as numbered or bold lines in a stretch of text that has no question headings."""
    body = text[start:end]
    candidates: list[tuple[int, int, str, Numbering | None, str]] = []
    for block in split_blocks(COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), body)):
        if block.kind not in ("prose", "list"):
            continue
        at = block.start
        for line in body[block.start : block.end].splitlines(keepends=True):
            candidates += _read_line(line, at)
            at += len(line)
    candidates = list(_leave_out_inner_lists(candidates))
    kind = _choose_kind(candidates)
    chosen = [entry for entry in candidates if entry[4] == kind] if kind else []
    headings = []
    for place, (at, after, title, numbering, _) in enumerate(chosen):
        stop = chosen[place + 1][0] if place + 1 < len(chosen) else len(body)
        printed = body[at:after].strip()
        headings.append(Heading(LINE_LEVEL, title, printed, start + at, start + after, start + stop, numbering))
    return headings


def _read_line(line: str, at: int) -> list[tuple[int, int, str, Numbering | None, str]]:
    """Read one line as a question: its range, title, number, and the kind of line it is."""
    if line.startswith(("    ", "\t")):
        return []
    bold = BOLD_LINE.match(line)
    title = plain_words(line).strip()
    if not title or len(title) > 120:
        return []
    numbering = read_number(title, in_text=True)
    if bold:
        return [(at, at + len(line), title, numbering, "bold " + (numbering.rule if numbering else "plain"))]
    return [(at, at + len(line), title, numbering, numbering.rule)] if numbering else []


def _leave_out_inner_lists(
    candidates: Sequence[tuple[int, int, str, Numbering | None, str]],
) -> Iterator[tuple[int, int, str, Numbering | None, str]]:
    """Leave out numbered lists inside answers: they begin again at 1 and ask nothing."""
    last: dict[str, int] = {}
    inner: dict[str, int] = {}
    for entry in candidates:
        _, _, title, numbering, kind = entry
        if not numbering or not numbering.number.isdecimal():
            yield entry
            continue
        number = int(numbering.number)
        asks = bool(INTERROGATIVE.search(title))
        if not asks and number == inner.get(kind, 0) + 1 and (number == 1 or kind in inner) and kind in last:
            inner[kind] = number
            continue
        inner.pop(kind, None)
        last[kind] = number
        yield entry


def _choose_kind(candidates: list[tuple[int, int, str, Numbering | None, str]]) -> str:
    """Choose the kind of line that prints the questions: one mostly asking, or unmistakably labelled; else none."""
    counts = Counter(entry[4] for entry in candidates)
    for kind, count in counts.most_common():
        if count < MIN_LINE_QUESTIONS:
            continue
        of_kind = [entry for entry in candidates if entry[4] == kind]
        asking = sum(bool(INTERROGATIVE.search(entry[2])) for entry in of_kind) / count
        rule = kind.removeprefix("bold ")
        sure = rule in ("q label", "question word", "ordinal")
        if sure or asking >= (0.4 if kind.startswith("bold") else 0.6):
            return kind
    return ""


def _make_question(document: Document, starts: Sequence[int], entry: _Found) -> Question:
    heading, text = entry.heading, document.text
    numbering = heading.numbering
    return Question(
        id="",
        label="",
        number=numbering.number if numbering else "",
        title=heading.name,
        printed=heading.printed,
        path=document.path,
        start=heading.start,
        body_start=heading.body_start,
        end=entry.end,
        lines=_places_of(document, starts, heading.start, entry.end),
        headings=entry.groups,
        content=_read_content(text[heading.body_start : entry.end]),
        sections=entry.sections,
    )


def _places_of(document: Document, starts: Sequence[int], start: int, end: int) -> tuple[int, int]:
    """Return the first and last line, page or cell of a slice."""
    text = document.text
    if document.unit == "line":
        first = bisect_right(starts, start)
        return first, first + text[start:end].rstrip().count("\n")
    first = 1 + text.count("\f", 0, start)
    return first, first + text[start:end].rstrip().count("\f")


def _read_content(body: str) -> AnswerText:
    if re.search(r"\w", plain_words(body)):
        return "text"
    return "picture" if has_image(body) else "empty"


def _find_sub_questions(document: Document, starts: Sequence[int], question: Question) -> list[Question]:
    """Find sub-questions printed as paragraphs inside a body: `29.1 …` inside question 29."""
    if not question.number:
        return []
    text = document.text
    found: list[tuple[int, int, str, str]] = []
    for block in split_blocks(text[question.body_start : question.end]):
        at = question.body_start + block.start
        line = text[at : starts[bisect_right(starts, at)]].rstrip("\n") if block.kind in ("prose", "list") else ""
        match = SUB_NUMBER.match(line)
        if match and match[1].startswith(question.number + "."):
            title = plain_words(line[match.end() :]).strip()[:MAX_TITLE_CHARS]
            found.append((at, min(at + len(line) + 1, question.end), match[1], title))
    subs = []
    for place, (at, after, number, title) in enumerate(found):
        end = found[place + 1][0] if place + 1 < len(found) else question.end
        body = text[after:end]
        subs.append(
            Question("", "", number, title, text[at:after].strip(), document.path, at, after, end,
                     _places_of(document, starts, at, end), (*question.headings, question.title), _read_content(body), "parent")
        )  # fmt: skip
    return subs


def make_slug(title: str) -> str:
    """Make a name for a question without a number: its first words."""
    return re.sub(r"[^\w]+", "-", title).strip("-")[:SLUG_CHARS].strip("-") or "无题"


def _name_questions(questions: Sequence[Question], stem: str) -> tuple[Question, ...]:
    """Give ids: a number printed again gets a letter, a repeated slug a count."""
    used: Counter[str] = Counter()
    named: list[Question] = []
    holder = ""
    for question in questions:
        base = f"Q{question.number}" if question.number else make_slug(question.title)
        used[base] += 1
        again = used[base]
        if again > 1:
            base += chr(ord("a") + again - 1) if question.number and again <= 26 else f"-{again}"
        identity = f"{stem}:{base}"
        if question.parent:
            named.append(replace(question, id=identity, label=base, parent=holder))
        else:
            holder = identity
            named.append(replace(question, id=identity, label=base))
    return tuple(named)


def assign_labels(questions: Sequence[Question]) -> tuple[Question, ...]:
    """Give every question the shortest label that no other has: `Q16`, or `stem:Q16` where two files have it."""
    counts = Counter(question.id.rpartition(":")[2] for question in questions)
    return tuple(
        replace(question, label=short if counts[short := question.id.rpartition(":")[2]] == 1 else question.id)
        for question in questions
    )
