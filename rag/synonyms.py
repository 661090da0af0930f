"""Know which words of the field mean the same: `层归一化`, `LayerNorm`, `LN`; `补零`, `padding`.

A group of such words is a concept. Passages and queries are both reduced to the concepts they name, so a query finds
the other words for what it asks. The groups are data (`rag/data/terms.tsv`); users add their own in the same format.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

from rag.errors import UsageError
from rag.tokenize import CJK, normalise

LATIN_WORD = re.compile(r"[a-z0-9]+(?:\+\+|#)?")
NEXT_WORD = re.compile(r"[-_ /]?([a-z0-9]+)")
MAX_WORDS = 5
"""Longest Latin form, in words."""
ASKING_SECTION = "# 问法"
"""The groups below this comment are ways of asking (`区别`, `difference`), not topics."""
ASKING_MARK = "?"
MAX_ABBREVIATION = 3
"""Latin forms this short say little to an encoder."""
N_REMEMBERED = 64
"""Texts whose forms are remembered."""


class Thesaurus:
    """Groups of words that mean the same, looked up by the words."""

    def __init__(
        self,
        concepts: dict[str, str],
        names: dict[str, list[str]],
        latin_starts: Iterable[str],
        cjk_lengths: dict[str, int],
    ) -> None:
        self._concepts = concepts
        """Folded form to its concept."""
        self._names = names
        """Concept to its names as they are printed: the first Chinese one, the first Latin one."""
        self._latin_starts = frozenset(latin_starts)
        """First words of the Latin forms, and those forms folded."""
        self._cjk_lengths = cjk_lengths
        """First two characters of the Chinese forms to the length of the longest that begins so."""
        self._find_forms = lru_cache(N_REMEMBERED)(self._look_for_forms)
        """A query is looked through four times on its way."""

    @classmethod
    def from_groups(cls, groups: Iterable[tuple[str, Sequence[str]]]) -> "Thesaurus":
        """Make it from (concept, forms); of groups that share a form, the first has it."""
        concepts: dict[str, str] = {}
        names: dict[str, list[str]] = {}
        starts: set[str] = set()
        lengths: dict[str, int] = {}
        for name, forms in groups:
            chinese = [form for form in forms if CJK.search(form)]
            latin = [form for form in forms if form.isascii() and len(form) > MAX_ABBREVIATION]
            names.setdefault(name, chinese[:1] + latin[:1])
            for form in forms:
                key = _fold(form)
                concepts.setdefault(key, name)
                if CJK.match(key):
                    lengths[key[:2]] = max(lengths.get(key[:2], 0), len(key))
                else:
                    starts.update((key, *LATIN_WORD.findall(normalise(form).lower())[:1]))
        return cls(concepts, names, starts, lengths)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Thesaurus":
        """Take up what `to_bytes` wrote; reading the groups again would take 50 ms of every start."""
        return cls(*json.loads(data))

    def to_bytes(self) -> bytes:
        """Write it as JSON."""
        parts = [self._concepts, self._names, sorted(self._latin_starts), self._cjk_lengths]
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()

    def find(self, text: str) -> list[str]:
        """Name the concepts of a text, in its order; the longest form wins, and forms do not overlap."""
        return [self._concepts[form] for form in self._find_forms(text)]

    def find_terms(self, text: str) -> list[str]:
        """Name only the concepts that a text calls by their proper names: the first of their forms, or a Latin one."""
        forms = self._find_forms(text)
        return [self._concepts[form] for form in forms if form.isascii() or form == self._concepts[form]]

    def _look_for_forms(self, text: str) -> tuple[str, ...]:
        folded = normalise(text).lower()
        found: list[str] = []
        at = 0
        while at < len(folded):
            end = self._match_cjk(folded, at) or self._match_latin(folded, at)
            if end:
                found.append(_fold(folded[at:end]))
                at = end
            else:
                at += 1
        return tuple(found)

    def expand(self, text: str, max_names: int) -> str:
        """Put other names of what a text names after it: `补零的地方` becomes `补零的地方 padding`."""
        lower = text.lower()
        topics = (concept for concept in dict.fromkeys(self.find(text)) if not concept.startswith(ASKING_MARK))
        names = [name for concept in topics for name in self._names[concept] if name.lower() not in lower]
        return " ".join([text, *names[:max_names]])

    def knows(self, word: str) -> bool:
        """Tell whether a word is a term of the field."""
        return _fold(word) in self._concepts

    def is_term(self, form: str) -> bool:
        """Tell whether a form, folded already, names a thing of the field: ways of asking are none."""
        concept = self._concepts.get(form)
        return concept is not None and not concept.startswith(ASKING_MARK)

    @property
    def pairs(self) -> frozenset[str]:
        """Pairs of neighbouring Chinese characters in the forms."""
        return frozenset(key[at : at + 2] for key in self._concepts for at in range(len(key) - 1) if CJK.match(key, at))

    @cached_property
    def latin_words(self) -> tuple[str, ...]:
        """The Latin words of the forms, four letters or longer."""
        words = (word for key in self._latin_starts for word in re.findall(r"[a-z]{4,}", key))
        return tuple(sorted(set(words)))

    def _match_cjk(self, text: str, at: int) -> int:
        longest = self._cjk_lengths.get(text[at : at + 2], 0)
        for length in range(longest, 1, -1):
            if text[at : at + length] in self._concepts and at + length <= len(text):
                return at + length
        return 0

    def _match_latin(self, text: str, at: int) -> int:
        """Match whole Latin words, whatever stands between them: `layer norm`, `layer-norm`, `layernorm`."""
        if at and LATIN_WORD.match(text[at - 1]):  # inside a word
            return 0
        first = LATIN_WORD.match(text, at)
        if not first or first[0] not in self._latin_starts:
            return 0
        ends = [first.end()]
        while len(ends) < MAX_WORDS and (following := NEXT_WORD.match(text, ends[-1])):
            ends.append(following.end())
        return next((end for end in reversed(ends) if _fold(text[at:end]) in self._concepts), 0)


def _fold(form: str) -> str:
    """Fold case, width and traditional characters, and leave out what stands between Latin words."""
    return re.sub(r"[\s\-_/]+", "", normalise(form).lower())


def read_groups(text: str, where: str) -> list[tuple[str, list[str]]]:
    """Read groups: one a line, forms separated by tabs; `#` begins a comment.

    :returns: the concept's name (its first form) and its forms; ways of asking are marked in the name.
    :raises UsageError: when a form has nothing to match.
    """
    groups = []
    asking = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            asking = line.startswith(ASKING_SECTION)
            continue
        forms = [form.strip() for form in line.split("\t") if form.strip()]
        if not forms:
            continue
        short = [form for form in forms if len(_fold(form)) < 2]
        if short:
            raise UsageError(f"{where}:{number}: {short[0]!r} 太短，至少要两个字或两个字母")
        groups.append(((ASKING_MARK if asking else "") + _fold(forms[0]), forms))
    return groups


def digest_groups(extra: Path | None = None) -> str:
    """Digest the shipped groups and the user's own, to tell whether an index was made with others."""
    return hashlib.blake2b("".join(_read_files(extra)).encode(), digest_size=8).hexdigest()


def load_thesaurus(extra: Path | None = None) -> Thesaurus:
    """Load the user's own groups, and the shipped ones after them.

    :raises UsageError: when the user's file cannot be read.
    """
    shipped, own = _read_files(extra)
    return Thesaurus.from_groups(read_groups(own, str(extra)) + read_groups(shipped, "rag/data/terms.tsv"))


def _read_files(extra: Path | None) -> tuple[str, str]:
    shipped = (files("rag") / "data" / "terms.tsv").read_text(encoding="utf-8")
    try:
        return shipped, extra.read_text(encoding="utf-8") if extra else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{extra}: 读不了这份同义词（{error}）；要 UTF-8 文本，一行一组，用制表符隔开") from error
