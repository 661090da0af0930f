"""Hostile text costs no more than long text: the time of every pattern and every reader grows with length, not its square."""

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

import rag
import ui
from rag.chunk import chunk_document
from rag.history import resolve
from rag.lookup import find_numbers, list_rules
from rag.markdown import plain_words, split_blocks, unwrap_links
from rag.parse import parse_document
from rag.repair import Guard, strip_thinking
from rag.split import find_compared, split_questions
from rag.synonyms import load_thesaurus
from rag.tokenize import analyse, analyse_query
from rag.types import Query, Turn
from rag.units import join_passages, split_units
from rag.verification.claims import split_claims
from rag.verification.facts import fold, read_numbers
from tests.conftest import make_document
from ui.render import render_markdown

SIZES = (1_500, 6_000)
"""Characters; the second is only tried where the first makes suspicious."""
FLOOR_S = 0.001
"""Of processor time. What takes less for the first size is no burden; a quadratic pattern takes at least twice as long."""
N_AGAIN = 4
GROWTH = 8
"""Linear time is 4 times as long for the second size, quadratic 16 times."""
PROBES = (30, 300)
BURDEN_S = 0.1
"""What takes as long for so few characters grows with a power or worse, and is not tried with more."""
N_OWN = 8
"""Characters of a pattern's own that it is tried with."""
PUMPS = (
    *"a1我# \t\n*`$([（]）【，。一_~=&!|<>-\\'\"0/:%?",
    "1.", "1、", "- ", "> ", "**", "第1", "![](", "](", "[](", "[a](", "<a ", "</", "<!--", "<img ", "Q1", " \n",
    "\n\n", "a\n", "* * ", "1.1.", "a1-", "http://a", "//a", "&a", " *a", "\\(", "$a", "```\n", "[Q1", "另外", "a和", "<think>",
    "~~~\n", "| ", "1 ", "a/", "a b", "a=", "<a", "《", "$a$。", "`a`。", "[a](b)。", "a。", "[Q1]。", "| a |\n", "- a\n", "# a\n", "1. a\n", "> a\n", "**a**\n", "[Q1][Q2]",
)  # fmt: skip
FRAMES = (("", ""), ("", "\0"), ("1. ", "\0"))
"""What stands before and after."""
OPENINGS, FILLINGS = ("](", "[", "<a ", "第", "/", "# ", "a ", "$", "`", "- "), (" ", "a", "1")
"""What opens something that goes on for long and never closes."""
Frame = tuple[str, str, str]
"""What stands before, what is repeated, what stands after."""
EXCLUDED = ("adapters", "models", "server", "__main__", "screenshots")


@cache
def load_patterns() -> dict[str, re.Pattern[str]]:
    found: dict[str, re.Pattern[str]] = {f"rag.lookup.{name}": pattern for name, pattern, _ in list_rules()}
    for package in (rag, ui):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part in module.name for part in EXCLUDED):
                content = vars(importlib.import_module(module.name))
                own = {name: value for name, value in content.items() if isinstance(value, re.Pattern)}
                found |= {
                    f"{module.name}.{name}": value for name, value in own.items() if isinstance(value.pattern, str)
                }
    return found


@cache
def read_sources() -> dict[str, str]:
    roots = [Path(package.__file__ or "").parent for package in (rag, ui)]
    paths = [(root, path) for root in roots for path in root.rglob("*.py")]
    return {
        ".".join(path.relative_to(root.parent).with_suffix("").parts): path.read_text(encoding="utf-8")
        for root, path in paths
    }


def is_anchored(place: str) -> bool:
    """Tell whether a pattern is only ever matched at one place."""
    module, _, name = place.rpartition(".")
    imports = re.compile(rf"from {module} import (?:\([^)]*|.*)\b{name}\b")
    users = [text for own, text in read_sources().items() if own == module or imports.search(text)]
    uses = set(re.findall(rf"\b{name}\.(\w+)", "\n".join(users))) - {"pattern", "flags"}
    return bool(uses) and uses <= {"match", "fullmatch"}


def frame(pumps: Iterable[str]) -> list[Frame]:
    return [(before, pump, after) for pump in pumps for before, after in FRAMES]


UNCLOSED = [(before, pump, "\0") for before in OPENINGS for pump in FILLINGS]
TEXTS = [*frame(PUMPS), *UNCLOSED]


def measure(use: Callable[[str], object], text: Frame, size: int) -> float:
    before, pump, after = text
    whole = before + (pump * size)[:size] + after
    started = time.thread_time()
    use(whole)
    return time.thread_time() - started


def quickest(use: Callable[[str], object], text: Frame, size: int) -> float:
    """Measure a suspicion again: noise only ever adds time, so the least of several is nearest the truth."""
    return min(measure(use, text, size) for _ in range(N_AGAIN))


def find_quadratic(use: Callable[[str], object], texts: Iterable[Frame] = TEXTS) -> str:
    """Find a text whose time grows faster than its length; empty when there is none."""
    use("a")  # whatever is loaded once
    for text in texts:
        for size in PROBES:
            if measure(use, text, size) > BURDEN_S and (taken_s := quickest(use, text, size)) > BURDEN_S:
                return f"{text} takes {taken_s:.1f} s for {size} characters"
        small_s = measure(use, text, SIZES[0])
        if small_s <= FLOOR_S:
            continue
        if measure(use, text, SIZES[1]) <= GROWTH * small_s:
            continue
        small_s, large_s = quickest(use, text, SIZES[0]), quickest(use, text, SIZES[1])
        if large_s > GROWTH * max(small_s, FLOOR_S):
            return (
                f"{text} takes {small_s * 1e3:.1f} ms for {SIZES[0]} characters, {large_s * 1e3:.1f} ms for {SIZES[1]}"
            )
    return ""


@pytest.mark.parametrize("name", sorted(load_patterns()))
def test_a_pattern_takes_linear_time(name: str) -> None:
    pattern = load_patterns()[name]
    letters = dict.fromkeys(re.findall(r"[^\W\d_]", re.sub(r"\\.|\(\?P<\w+>", "", pattern.pattern)))
    own = [letter for letter in letters if letter not in PUMPS][:N_OWN]
    use = pattern.match if is_anchored(name) else lambda text: pattern.sub("", text)
    assert not find_quadratic(use, [*TEXTS, *frame(own)])


def parse_and_chunk(text: str) -> None:
    document = make_document(text)
    list(chunk_document(document, parse_document(document), len, 200))


def read_units(text: str) -> None:
    document = make_document(f"# 1. 题\n\n{text}")
    questions = parse_document(document)
    passages = chunk_document(document, questions, len, 200)
    for question in questions:
        own = [passage for passage in passages if passage.question == question.id]
        if own:
            split_units(question, join_passages(question, own))


GUARD = Guard({"Q1": ["Q1"]}, ())
READERS: dict[str, Callable[[str], object]] = {
    "parse_and_chunk": parse_and_chunk,
    "split_units": read_units,
    "plain_words": plain_words,
    "split_blocks": lambda text: list(split_blocks(text)),
    "unwrap_links": unwrap_links,
    "analyse": analyse,
    "analyse_query": analyse_query,
    "split_questions": split_questions,
    "find_compared": lambda text: find_compared(f"{text}有什么区别"),
    "find_numbers": lambda text: find_numbers(text, ()),
    "find": load_thesaurus(None).find,
    "resolve": lambda text: resolve(Query("它呢", (Turn("user", text), Turn("assistant", text)))),
    "render_markdown": render_markdown,
    "split_claims": lambda text: split_claims(text, {"Q1"}),
    "read_numbers": lambda text: list(read_numbers(fold(text))),
    "strip_thinking": strip_thinking,
    "clean": GUARD.clean,
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_linear_time(name: str) -> None:
    assert not find_quadratic(READERS[name])


def test_the_clock_notices_a_quadratic_pattern() -> None:
    assert "takes" in find_quadratic(re.compile(r"\s+$").search, [("", " ", "\0")])


def test_the_clock_notices_an_exponential_pattern() -> None:
    assert "for 300 characters" in find_quadratic(re.compile(r"(?:a|a){1,17}b").search, [("", "a", "\0")])
