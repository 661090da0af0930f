"""Find questions by the number a query names: `第16题`, `Q29.1`, `第十六题`, `第3到5题`, `最后一题`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from rag.types import Question

DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
MAX_RANGE = 20
"""Longest range looked up; more is a request for the whole file."""

_DIGITS = r"\d{1,9}(?:\.\d{1,9}){0,9}[b-h]?"
_NUMBER = rf"(?:{_DIGITS}|[零〇一二两三四五六七八九十百]{{1,9}})"
_TO = "(?:到|至|~|～|-|—)"
_AND = "(?:、|,|，|和|与|及|跟|还有)"
_UNIT = r"(?:[那这]?[号道个]|[那这])?(?:题目?|问题|问(?![题的]))"
MAY_NAME = re.compile(r"\d|题|第|最后|倒数")
"""What every way of naming a question has some of."""
SPACED = re.compile(
    rf"(?<=第)\s+|(?<=[\d零〇一二两三四五六七八九十百])\s+(?={_UNIT})|(?<=题)\s+(?=[第到至~和、])|(?<=[到至~和、])\s+(?=第)"
)
"""Spaces inside `第 7 题 和 第 10 题`."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the numbers in a query name."""

    questions: tuple[Question, ...]
    missing: tuple[str, ...]
    """Numbers the notes do not print."""
    rest: str
    """The query without its numbers."""


def parse_chinese_number(text: str) -> int:
    """Read a number below a thousand, written in Chinese or in digits: `三十五` is 35.

    :raises ValueError: when it is neither.
    """
    if text.isdecimal():
        return int(text)
    total = digit = 0
    for char in text:
        if char in "十百":
            total += (digit or 1) * (10 if char == "十" else 100)
            digit = 0
        elif char in DIGITS:
            digit = DIGITS[char]
        else:
            raise ValueError(f"not a number: {text!r}")
    return total + digit


def _normalise(text: str) -> str:
    return text.lower() if text[0].isdecimal() else str(parse_chinese_number(text))


def _range(match: re.Match[str], questions: Sequence[Question]) -> list[str]:
    first, last = (_normalise(match[group]) for group in ("first", "last"))
    if not (first.isdecimal() and last.isdecimal()) or not 0 < int(last) - int(first) < MAX_RANGE:
        return [first, last]
    return [str(number) for number in range(int(first), int(last) + 1)]


def _list(match: re.Match[str], questions: Sequence[Question]) -> list[str]:
    return [_normalise(number) for number in re.findall(_NUMBER, match["list"], re.IGNORECASE)]


def _from_end(match: re.Match[str], questions: Sequence[Question]) -> list[str]:
    outer = [question for question in questions if not question.parent]
    place = parse_chinese_number(match["place"]) if match["place"] else 1
    return [outer[-place].label] if 0 < place <= len(outer) else [f"倒数第{place}"]


Rule = tuple[str, re.Pattern[str], Callable[[re.Match[str], Sequence[Question]], list[str]]]


def _rule(name: str, pattern: str, read: Callable[[re.Match[str], Sequence[Question]], list[str]]) -> Rule:
    return name, re.compile(pattern, re.IGNORECASE), read


@cache
def list_rules() -> tuple[Rule, ...]:
    """List the rules, tried in order; a stretch of the query that one rule read is not read again.

    They are made when a query first may name a number: compiling them takes 4 ms.
    """
    return (
        _rule("last question", rf"最后(?:一|1)?{_UNIT}(?P<place>)", _from_end),
        _rule("question from the end", rf"倒数第(?P<place>{_NUMBER}){_UNIT}", _from_end),
        _rule(
            "range of labels",
            rf"(?<![a-z0-9])q\s*(?P<first>\d{{1,9}})\s*{_TO}\s*q?\s*(?P<last>\d{{1,9}})(?![\d.%])",
            _range,
        ),
        _rule("range after 第", rf"第(?P<first>{_NUMBER}){_UNIT}?{_TO}第?(?P<last>{_NUMBER}){_UNIT}", _range),
        _rule("plain range", rf"(?<![\d.])(?P<first>{_NUMBER})题?{_TO}(?P<last>{_NUMBER})号?题", _range),
        _rule("list after 第", rf"第(?P<list>{_NUMBER}(?:{_UNIT}?{_AND}第?{_NUMBER}){{0,{MAX_RANGE}}}){_UNIT}", _list),
        # Without 第, a measure word would make it an amount: 三道题, 两个问题.
        _rule(
            "plain list",
            rf"(?<![\d.])(?P<list>{_NUMBER}(?:题?{_AND}{_NUMBER}){{0,{MAX_RANGE}}})(?:号|[那这]道?)?题",
            _list,
        ),
        _rule("label", rf"(?<![a-z0-9])(?:q|question|no\.?|#|题目?)\s*(?P<list>{_DIGITS})(?![\w%])", _list),
        _rule(
            "dotted number first",
            r"^\s*(?P<list>\d{1,9}(?:\.\d{1,9}){1,9})\s*(?=讲|说|答案|怎么答|是啥|是什么|呢)",
            _list,
        ),
        _rule("bare number", rf"^\s*(?P<list>{_DIGITS})\s*[.、。?？]?\s*$", _list),
    )


def find_numbers(text: str, questions: Sequence[Question]) -> Lookup | None:
    """Find the questions that `text` names by number, or None when it names none."""
    if not MAY_NAME.search(text):
        return None
    wanted: dict[str, None] = {}
    rest = SPACED.sub("", text)
    for _, pattern, read in list_rules():
        for match in pattern.finditer(rest):
            wanted.update(dict.fromkeys(read(match, questions)))
        rest = pattern.sub(" ", rest)
    if not wanted:
        return None
    found: dict[str, Question] = {}
    missing = []
    for number in wanted:
        matches = match_number(number, questions)
        found.update((question.id, question) for question in matches)
        if not matches:
            missing.append(number)
    return Lookup(tuple(found.values()), tuple(missing), rest.strip())


def match_number(number: str, questions: Sequence[Question]) -> list[Question]:
    """Return the questions printed with `number`; for want of any, those numbered below it (13 finds 13.6)."""
    name = number.lower().removeprefix("q")
    exact = [
        question
        for question in questions
        if question.number == name or question.label.lower().rpartition(":")[2].removeprefix("q") == name
    ]
    return exact or [
        question for question in questions if not question.parent and question.number.startswith(name + ".")
    ]
