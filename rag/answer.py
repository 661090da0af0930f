"""Word an extractive answer: quotes made readable, each with its labels, and what is said where there is none."""

import re
from collections.abc import Sequence

from rag.markdown import IMAGE, plain_words, unwrap_links
from rag.types import Question
from rag.unfinished import (
    is_cut_off as is_cut_off,
)  # what the answer says of a question, the list of questions shows too

FENCED = re.compile(r"^(```|~~~)[ \t]*\n(.*?)\n?[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
CHINESE = re.compile(r"[\u3400-\u9fff，。；：、（）《》“”]")
OPENERS = re.compile(
    r"^(?:(?:\*\*|__)?(?:参考答案|答案解析|答案|解答|回答|答|解析|注解)(?:\*\*|__)?\s*[:：]\s*(?:\*\*|__)?\s*|[、，。,;；]\s*)+(?=\S)"
)
"""What stands before an answer and says only that it is one; or punctuation left over."""
ORDINAL = re.compile(r"^\d+(?:\.\d+)*(?:[.、)）:：]\s*|\s+)(?=\S)")
PICTURE_NAME = re.compile(r"(?m)^[ \t]*[\w-]+\.(?:png|jpe?g|gif|webp)[ \t]*$\n?")
TITLE_CHARS = 60
PAIRS = (("「", "」"), ("“", "”"), ("『", "』"))
BREAKS_OFF, ENDS_BROKEN = "（这一题的笔记到这里就断了，没写完。）", "（这一题的笔记结尾断了，没写完。）"


def describe_missing_text(question: Question) -> str:
    """Say that a question has no answer text, or only a picture."""
    name = f"[{question.label}]「{question.title}」"
    if question.content == "picture":
        return f"{name}在笔记里只有图片，没有文字答案。"
    return f"{name}在笔记里只有题目，还没有写答案。"


def describe_cut(*, quoted_to_the_end: bool) -> str:
    """Say that the notes on a question break off."""
    return BREAKS_OFF if quoted_to_the_end else ENDS_BROKEN


def write_quote(markdown: str, labels: Sequence[str], heading: str = "") -> str:
    """Write a slice as a part of an answer, with the labels of the questions that say it.

    :param heading: the heading to put above it, as it stands in the notes.
    """
    text = readable(markdown)
    marks = "".join(f"[{label}]" for label in labels)
    last_line = text.rsplit("\n", 1)[-1].strip()
    is_block = last_line.startswith(("```", "~~~", "|")) or last_line.endswith("$$")
    part = f"{text}\n\n{marks}" if is_block else f"{text} {marks}"
    return f"{write_heading(heading)}\n\n{part}" if heading else part


def write_heading(title: str) -> str:
    """Write a heading in bold, without its number and marks."""
    return f"**{ORDINAL.sub('', plain_words(title).replace('*', '').strip('# ')).rstrip(':： ')}**"


def introduce(question: Question) -> str:
    """Lead over to what another question says."""
    title = re.split(r"(?<=[？?])", question.title)[0]
    return f"另外，「{title if len(title) <= TITLE_CHARS else title[: TITLE_CHARS - 1] + '…'}」里讲到："


def write_not_covered(nearest: Sequence[Question]) -> str:
    """Say that the notes do not cover the query, and name the nearest questions."""
    if not nearest:
        return "笔记里没有找到相关内容。"
    lines = [f"- [{question.label}] {question.title}" for question in nearest]
    return "笔记里没有讲到这个。离得最近的几题是：\n" + "\n".join(lines)


def readable(markdown: str) -> str:
    """Show a slice in an answer: images and rules dropped, prose that stands in a code fence taken out of it."""
    text = unwrap_links(IMAGE.sub("", FENCED.sub(_take_prose_out, markdown.replace("\n\f\n", "\n"))))  # a page ends
    text = PICTURE_NAME.sub("", re.sub(r"(?m)^[ \t]*(?:\*[ \t]*){3,}$\n?", "", text))
    paragraphs = [OPENERS.sub("", _drop_half_marks(part).strip("\n")) for part in _split_paragraphs(text)]
    return "\n\n".join(part for part in paragraphs if part.strip()).strip()


def _split_paragraphs(text: str) -> list[str]:
    """Split at blank lines, but not inside a fence."""
    parts: list[str] = []
    is_open = False
    for part in re.split(r"\n[ \t]*\n", text):
        if is_open:
            parts[-1] += f"\n\n{part}"
        else:
            parts.append(part)
        is_open ^= len(re.findall(r"(?m)^\s*(?:```|~~~)", part)) % 2 == 1
    return parts


def _drop_half_marks(paragraph: str) -> str:
    """Drop marks whose partner is outside the slice: it may begin or end inside bold text or a quotation."""
    if re.match(r"\s*(?:```|~~~)", paragraph):
        return paragraph
    if paragraph.count("**") % 2:
        paragraph = paragraph.replace("**", "")
    for opening, closing in PAIRS:
        if paragraph.count(opening) != paragraph.count(closing):
            paragraph = paragraph.replace(opening, "").replace(closing, "")
    return paragraph


def _take_prose_out(fence: re.Match[str]) -> str:
    content = fence[2].strip()
    is_prose = 2 * len(CHINESE.findall(content)) > len("".join(content.split()))
    return content if is_prose else fence[0]
