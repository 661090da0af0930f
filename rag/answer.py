"""Compose an extractive answer: the sentences and blocks of the best questions that answer the query, each cited."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rag.markdown import ADDRESS, IMAGE, LINK, SETEXT, Block, plain_words, split_blocks, unwrap_links
from rag.types import Passage, Question, Span

MAX_UNITS_SCORED = 24
"""Sentences embedded for one answer: some 2 ms each."""
UNIT_CHARS = 200
"""Part of a unit that is embedded."""
ASKING_PENALTY = 0.3
"""Cosine taken from a sentence that asks: a question repeats the query and answers nothing."""
NEIGHBOUR_SHARE = 0.2
WORTH_SHARE = 0.5
"""A unit this far below the best one is left out even where there is room."""
SENTENCE = re.compile(r".+?(?:[。！？!?；;](?=[^」』”’）)\]]|$)[」』”’）)]*|\n|$)", re.DOTALL)
FENCED = re.compile(r"^(```|~~~)[ \t]*\n(.*?)\n?[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
CHINESE = re.compile(r"[\u3400-\u9fff，。；：、（）《》“”]")
POINTER = re.compile(r"^\W*(答案)?(解析)?\W*(请)?(参考|参见|详见|来源|链接|转载|原文|摘自|引用)")

Similarity = Callable[[Sequence[str]], Sequence[float]]
"""Texts to their closeness to the query."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, or a block that must stay whole, inside one passage."""

    passage: Passage
    start: int
    end: int
    is_block: bool

    @property
    def text(self) -> str:
        """The exact slice."""
        return self.passage.text[self.start : self.end]


def split_units(question: Question, passages: Sequence[Passage]) -> list[Unit]:
    """Split the answer text of a question into units, in the order of the notes; its headings are left out."""
    units = []
    for passage in sorted(passages, key=lambda passage: passage.start):
        skip = max(0, question.body_start - passage.start)
        stop = min(len(passage.text), question.end - passage.start)
        body = passage.text[skip:stop]
        blocks = [block for block in split_blocks(body) if block.kind != "heading"]
        for place, block in enumerate(blocks):
            following = blocks[place + 1] if place + 1 < len(blocks) else None
            underlined = following and following.start == block.end and SETEXT.match(following.slice_of(body))
            if block.kind == "rule" or underlined:
                continue
            if block.kind != "prose":
                units.append(Unit(passage, skip + block.start, skip + block.end, is_block=True))
                continue
            units += [
                Unit(passage, skip + start, skip + end, is_block=False) for start, end in _split_prose(body, block)
            ]
    return [unit for unit in units if not _is_noise(unit)]


def _split_prose(body: str, block: Block) -> Iterator[tuple[int, int]]:
    """Yield the sentences of a paragraph; lines that only point elsewhere (`答案参考：<link>`) are left out."""
    at = block.start
    for line in block.slice_of(body).splitlines(keepends=True):
        points_away = POINTER.match(line) and (LINK.search(line) or ADDRESS.search(line))
        if not points_away:
            yield from (match.span() for match in SENTENCE.finditer(body, at, at + len(line)) if match[0].strip())
        at += len(line)


def _is_noise(unit: Unit) -> bool:
    """Tell a unit with nothing to read: an image, a bare link."""
    if unit.is_block and unit.text.lstrip().startswith(("```", "~~~", "$$")):
        return False
    return len(re.findall(r"\w", plain_words(unit.text))) < 2


def choose_units(units: Sequence[Unit], similarity: Similarity, limit_chars: int) -> list[Unit]:
    """Choose the units closest to the query up to `limit_chars`, at least one; back in the order of the notes."""
    if sum(len(unit.text) for unit in units) <= limit_chars:
        return list(units)
    scored = list(units[:MAX_UNITS_SCORED])
    closeness = np.asarray(similarity([plain_words(unit.text)[:UNIT_CHARS] for unit in scored]))
    closeness -= [ASKING_PENALTY if unit.text.rstrip(" \n*").endswith(("？", "?")) else 0.0 for unit in scored]
    # A sentence between two good ones belongs with them.
    near = np.convolve(np.pad(closeness, 1, mode="edge"), [NEIGHBOUR_SHARE, 1.0, NEIGHBOUR_SHARE], mode="valid")
    chosen: list[int] = []
    used = 0
    for place in np.argsort(-near, kind="stable"):
        size = len(scored[place].text)
        if chosen and (used + size > limit_chars or near[place] < WORTH_SHARE * near.max()):
            continue
        chosen.append(int(place))
        used += size
    return [scored[place] for place in sorted(chosen)]


def join_units(question: Question, units: Sequence[Unit], score: float) -> list[Span]:
    """Join runs of neighbouring units of one passage into one span each."""
    spans: list[Span] = []
    for unit in units:
        last = spans[-1] if spans else None
        if last and last.passage is unit.passage and not unit.passage.text[last.end : unit.start].strip(" \n\t*-_"):
            spans[-1] = Span(question, unit.passage, last.start, unit.end, score)
        else:
            spans.append(Span(question, unit.passage, unit.start, unit.end, score))
    return spans


def extract(
    question: Question, passages: Sequence[Passage], similarity: Similarity, limit: int, score: float
) -> list[Span]:
    """Quote the parts of one question that answer the query, up to some `limit` characters."""
    units = split_units(question, passages)
    return join_units(question, choose_units(units, similarity, limit), score) if units else []


def describe_missing_text(question: Question) -> str:
    """Say that a question has no answer text, or only a picture."""
    name = f"[{question.label}]「{question.title}」"
    if question.content == "picture":
        return f"{name}在笔记里只有图片，没有文字答案。"
    return f"{name}在笔记里只有题目，还没有写答案。"


def write_spans(spans: Sequence[Span], labels: dict[str, list[str]]) -> str:
    """Write spans as the answer's paragraphs, each with the labels of the questions that say it.

    :param labels: question id to its label and those of questions with the same content.
    """
    paragraphs = []
    for span in spans:
        text = readable(span.text)
        marks = "".join(f"[{label}]" for label in labels[span.question.id])
        last_line = text.rsplit("\n", 1)[-1].strip()
        is_block = last_line.startswith(("```", "~~~", "|")) or last_line.endswith("$$")
        paragraphs.append(f"{text}\n\n{marks}" if is_block else f"{text} {marks}")
    return "\n\n".join(paragraphs)


def write_not_covered(nearest: Sequence[Question]) -> str:
    """Say that the notes do not cover the query, and name the nearest questions."""
    if not nearest:
        return "笔记里没有找到相关内容。"
    lines = [f"- [{question.label}] {question.title}" for question in nearest]
    return "笔记里没有讲到这个。离得最近的几题是：\n" + "\n".join(lines)


def readable(markdown: str) -> str:
    """Show a slice in an answer: images and rules dropped, prose that stands in a code fence taken out of it."""
    text = unwrap_links(IMAGE.sub("", FENCED.sub(_take_prose_out, markdown)))
    text = re.sub(r"(?m)^[ \t]*(?:\*[ \t]*){3,}$\n?", "", text)
    # A slice may begin or end inside bold text; a mark left without its partner would show.
    paragraphs = [part.replace("**", "") if part.count("**") % 2 else part for part in text.split("\n\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(paragraphs)).strip()


def _take_prose_out(fence: re.Match[str]) -> str:
    content = fence[2].strip()
    is_prose = 2 * len(CHINESE.findall(content)) > len("".join(content.split()))
    return content if is_prose else fence[0]
