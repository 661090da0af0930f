"""Read the number that a question's line begins with: an ordered table of rules, one idea each."""

import re
from dataclasses import dataclass

from rag.lookup import parse_chinese_number

_END = r"\s*(?:[.．、:：)）]\s*)*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One way of printing a question's number."""

    name: str
    pattern: re.Pattern[str]
    """Group 1 is the number."""
    in_text: bool
    """Whether a line that is no heading may be read so; a bare `14` may begin any sentence."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """A line's number and what follows it."""

    rule: str
    number: str
    """Without leading zeros, Chinese numerals in digits: `2.16.20`, `3`."""
    title: str


def _rule(name: str, pattern: str, *, in_text: bool = True) -> Rule:
    return Rule(name, re.compile(pattern), in_text)


RULES = (
    _rule("q label", rf"[Qq]\s?(\d+(?:\.\d+)*)(?![\w%]){_END}"),
    _rule(
        "question word",
        r"(?:面试题|问题|题目|问|题)\s*(\d+(?:\.\d+)*|[一二三四五六七八九十]+)(?!\d)\s*[.．、:：)） ]\s*",
    ),
    _rule("ordinal", rf"第\s*(\d+|[一二三四五六七八九十百]+)\s*(?:道?题|问)(?:目)?{_END}"),
    _rule("brackets", r"[(（\[【](\d{1,3}(?:\.\d+)*)[)）\]】]\s*[.、:：]?\s*(?!\()"),
    _rule("chinese brackets", r"[(（]([一二三四五六七八九十]{1,3})[)）]\s*[、.]?\s*"),
    _rule("chinese numeral", r"([一二三四五六七八九十百]{1,4})\s*[、.．:：]\s*"),
    _rule("dotted", rf"(\d{{1,3}}(?:\.\d{{1,3}})+)(?![\d%])(?!\s*(?:倍|版|亿|万|GB|MB|B\b)){_END}", in_text=False),
    _rule("number and mark", r"(\d{1,3})\s*(?:[.．、:：)）]\s*)+(?!\d)"),
    _rule("padded number", r"(0\d{1,3})\s+", in_text=False),
    _rule(
        "bare number",
        r"(\d{1,3})\s*(?![\d.,%年月日个种点次层天步倍大分xX×+\-~/]|[dDbBkKMG]\b|bit)(?=\S)",
        in_text=False,
    ),
)
"""Tried in order; the first that matches is taken."""


def read_number(line: str, *, in_text: bool = False) -> Numbering | None:
    """Read the number a line begins with, or None.

    :param in_text: the line is no heading, so only unmistakable rules apply.
    """
    for rule in RULES:
        if in_text and not rule.in_text:
            continue
        match = rule.pattern.match(line)
        if match and line[match.end() :].strip():
            return Numbering(rule.name, _normalise(match[1]), line[match.end() :].strip())
    return None


def _normalise(number: str) -> str:
    if number[0].isdecimal():
        return ".".join(part.lstrip("0") or "0" for part in number.split("."))
    return str(parse_chinese_number(number))
