"""Mend slips of the keyboard: characters of the same sound (`位置编马`), Latin words a letter off (`LayerNrom`).

Only what the notes, the thesaurus and everyday language do not know is touched: Latin words become words of the notes or the
thesaurus, Chinese characters parts of a term of the field. Notes are small: a pair of characters that they lack is no slip.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files

from rag.synonyms import Thesaurus
from rag.tokenize import STOP_WORDS, normalise

LATIN = re.compile(r"[A-Za-z]{4,}")
RUN = re.compile(r"[\u4e00-\u9fff]{2,}")
SHORT_WORD, LONG_WORD = 5, 8
"""Up to the first length only swapped or doubled letters count as a slip; from the second on two slips may be made."""
LONGEST_TERM = 6
SIMILAR_SOUNDS = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ing", "in"), ("eng", "en"), ("ang", "an"))
"""Sounds that many speakers do not tell apart, and input methods offer alike."""


@cache
def _load_sounds() -> tuple[str, ...]:
    """Load the characters of each sound, tones and similar sounds folded."""
    by_sound: dict[str, str] = defaultdict(str)
    for line in (files("rag") / "data" / "pinyin.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            sound, _, characters = line.partition("\t")
            for full, folded in SIMILAR_SOUNDS:
                sound = sound.replace(full, folded)
            by_sound[sound] += characters
    return tuple(by_sound.values())


@cache
def load_words() -> frozenset[str]:
    """Load the words of everyday language, of four and more letters or two and more characters."""
    return frozenset((files("rag") / "data" / "words.txt").read_text(encoding="utf-8").split())


@cache
def find_homophones(character: str) -> str:
    """Return the common characters that sound like this one, itself among them."""
    return "".join(characters for characters in _load_sounds() if character in characters)


class Speller:
    """Mends the words of a query that neither the notes nor the thesaurus know."""

    def __init__(
        self,
        has_word: Callable[[str], bool],
        list_words: Callable[[], Sequence[str]],
        list_pairs: Callable[[], tuple[frozenset[str], frozenset[str]]],
        thesaurus: Thesaurus,
    ) -> None:
        self._has_word, self._list_words, self._list_pairs = has_word, list_words, list_pairs
        """Latin words of the notes; pairs of neighbouring Chinese characters, all known ones and those of terms. They are
        listed only when they are needed."""
        self._thesaurus = thesaurus

    def mend(self, text: str) -> str:
        """Return the text with its likely slips mended; what is known stays as it is."""
        mended = LATIN.sub(lambda match: self._mend_word(match[0]), text)
        plain = normalise(mended)
        if len(plain) != len(mended):
            return mended
        masked = STOP_WORDS.sub(lambda match: " " * len(match[0]), plain)
        for run in RUN.finditer(masked):
            mended = mended[: run.start()] + self._mend_run(run[0], mended[slice(*run.span())]) + mended[run.end() :]
        return mended

    def _mend_word(self, word: str) -> str:
        lower = word.lower()
        if self._has_word(lower) or self._thesaurus.knows(lower) or lower in load_words():
            return word
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        limit = 2 if len(lower) >= LONG_WORD else 1
        choices = [*self._list_words(), *self._thesaurus.latin_words]
        found = process.extract(lower, choices, scorer=OSA.distance, score_cutoff=limit, limit=8)
        near = [choice for choice, _, _ in found if len(lower) > SHORT_WORD or _is_swap_or_double(lower, choice)]
        return near[0] if near else word

    def _mend_run(self, run: str, printed: str) -> str:
        """Put another character of the same sound where one stands in an unknown pair, if that makes a term of the field."""
        pairs, term_pairs = self._list_pairs()
        for at in range(len(run)):
            around = [run[start : start + 2] for start in (at - 1, at) if 0 <= start < len(run) - 1]
            if all(pair in pairs for pair in around) or find_word(run, at):
                continue
            before, after = run[at - 1 : at] if at else "", run[at + 1 : at + 2]
            for other in find_homophones(run[at]):
                if other == run[at] or not {before + other, other + after} & term_pairs:  # no term could hold it
                    continue
                mended = run[:at] + other + run[at + 1 :]
                if self._makes_term(run, mended, at):
                    run, printed = mended, printed[:at] + other + printed[at + 1 :]
                    break
        return printed

    def _makes_term(self, run: str, mended: str, at: int) -> bool:
        """Tell whether a mended run has a term at a place, cut out of no word that it had before."""
        for start, end in _spans(run, at):
            if self._thesaurus.is_term(mended[start:end]):
                words = [find_word(run, place) for place in range(start, end)]
                if all(word is None or (start <= word[0] and word[1] <= end) for word in words):
                    return True
        return False


def _spans(run: str, at: int) -> Iterator[tuple[int, int]]:
    """Yield the slices of a run that hold a place, the longest first."""
    for size in range(min(LONGEST_TERM, len(run)), 1, -1):
        for start in range(max(0, at - size + 1), min(at, len(run) - size) + 1):
            yield start, start + size


def find_word(run: str, at: int) -> tuple[int, int] | None:
    """Find the longest word of everyday language around a place; None when the character stands alone."""
    words = load_words()
    return next(((start, end) for start, end in _spans(run, at) if run[start:end] in words), None)


def _is_swap_or_double(word: str, choice: str) -> bool:
    """Tell whether two short words differ by two swapped letters, or by one letter typed twice."""
    if len(word) == len(choice):
        return sorted(word) == sorted(choice)
    return re.sub(r"(.)\1+", r"\1", word) == re.sub(r"(.)\1+", r"\1", choice)
