"""Say a question as someone would who forgot its terms: `decoder 为什么…` becomes `一个词一个词往外写的那部分 为什么…`."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rag.errors import RagError

PLAIN = Path(__file__).parent / "plain.jsonl"
"""Terms of the field and what people call them in plain words, written for this encoder."""
REPLACED = 0.7
"""Chance of each mention of a term to be replaced."""
CJK = re.compile(r"[\u4e00-\u9fff]")


class PlainWords:
    """Terms, and phrases in plain words that can stand in their place."""

    def __init__(self, phrases: Mapping[str, Sequence[str]]) -> None:
        """Take the phrases of each name, names in lower case."""
        self._phrases = phrases
        names = sorted(phrases, key=lambda name: -len(name))
        self._names = re.compile("|".join(map(_match_name, names)) or r"(?!)", re.IGNORECASE)

    def say(self, text: str, rng: random.Random) -> str:
        """Replace most of the terms that a Chinese text names; an English one stays, as does one that names none."""
        if not CJK.search(text):
            return text

        def replace(found: re.Match[str]) -> str:
            return rng.choice(self._phrases[found[0].lower()]) if rng.random() < REPLACED else found[0]

        return self._names.sub(replace, text)


def _match_name(name: str) -> str:
    """Write a pattern for a name: Latin ones as whole words."""
    before = r"(?<![a-z0-9])" if re.match(r"[a-z0-9]", name) else ""
    after = r"(?![a-z0-9])" if re.search(r"[a-z0-9]$", name) else ""
    return before + re.escape(name) + after


def read_terms(path: Path) -> list[tuple[list[str], list[str]]]:
    """Read terms, one JSON object a line: their `names`, and the phrases `plain` that mean the same.

    :raises RagError: when a line is not such an object.
    """
    terms = []
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            terms.append((list(row["names"]), list(row["plain"])))
        except (ValueError, KeyError, TypeError) as error:
            raise RagError(f"{path}:{n}: not a term with plain words ({error})") from error
    return terms


def read_plain_words(path: Path = PLAIN) -> PlainWords:
    """Read terms and what people call them.

    :raises RagError: when a line is no term.
    """
    phrases: dict[str, list[str]] = {}
    for names, plain in read_terms(path):
        for name in names:
            if len(name) > 1:  # 头 stands in many words
                phrases.setdefault(name.lower(), []).extend(plain)
    return PlainWords(phrases)
