"""Mend slips of the keyboard: characters of the same sound (`位置编马`), Latin words a letter off (`LayerNrom`).

Only what neither the notes nor the thesaurus know is touched, and only where the mended form is known to them.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

from rag.synonyms import Thesaurus
from rag.tokenize import STOP_WORDS, normalise

LATIN = re.compile(r"[A-Za-z]{4,}")
RUN = re.compile(r"[\u4e00-\u9fff]{2,}")
SHORT_WORD, LONG_WORD = 5, 8
"""Up to the first length only swapped or doubled letters count as a slip; from the second on two slips may be made."""
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
        if self._has_word(lower) or self._thesaurus.knows(lower):
            return word
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        limit = 2 if len(lower) >= LONG_WORD else 1
        choices = [*self._list_words(), *self._thesaurus.latin_words]
        found = process.extract(lower, choices, scorer=OSA.distance, score_cutoff=limit, limit=8)
        near = [choice for choice, _, _ in found if len(lower) > SHORT_WORD or _is_swap_or_double(lower, choice)]
        return near[0] if near else word

    def _mend_run(self, run: str, printed: str) -> str:
        """Put another character of the same sound where one stands in an unknown pair, if that makes known pairs.

        No known pair may be lost; and either both new pairs are known, or one belongs to a term of the field.
        """
        pairs, term_pairs = self._list_pairs()
        for at in range(len(run)):
            before, after = run[at - 1 : at], run[at + 1 : at + 2]
            is_unknown = [not_there not in pairs for not_there in (before + run[at], run[at] + after)]
            sides = [bool(before), bool(after)]
            if not any(side and unknown for side, unknown in zip(sides, is_unknown, strict=True)):
                continue
            for other in find_homophones(run[at]):
                left, right = before + other, other + after
                left_known, right_known = not before or left in pairs, not after or right in pairs
                if (before and not left_known and not is_unknown[0]) or (
                    after and not right_known and not is_unknown[1]
                ):
                    continue
                is_term = (before and is_unknown[0] and left in term_pairs) or (
                    after and is_unknown[1] and right in term_pairs
                )
                if (left_known and right_known) or is_term:
                    run, printed = run[:at] + other + run[at + 1 :], printed[:at] + other + printed[at + 1 :]
                    break
        return printed


def _is_swap_or_double(word: str, choice: str) -> bool:
    """Tell whether two short words differ by two swapped letters, or by one letter typed twice."""
    if len(word) == len(choice):
        return sorted(word) == sorted(choice)
    return re.sub(r"(.)\1+", r"\1", word) == re.sub(r"(.)\1+", r"\1", choice)
